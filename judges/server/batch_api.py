"""The files and batches of OpenAI's Batch API, through the package ``openai``: patient calls, JSON objects back.

https://platform.openai.com/docs/api-reference/batch is the reference for paths and fields.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from typing import Any, Literal, cast

from telbench.errors import EngineError, InputError

from ..chat import MalformedAnswerError, read_object
from .failures import RequestFailure, failure_of
from .pacing import full_jitter
from .settings import Server

ENDPOINT: Literal["/v1/chat/completions"] = "/v1/chat/completions"
# What a server answers that has no such path.
_ABSENT = {404, 405, 501}
# The name under which a batch carries the token of what asked for it.
OWNER = "telbench"
# Batches that are looked through for one whose id was lost.
_LISTED = 100
LONGEST_PAUSE = 30.0


class BatchApi:
    """Calls of one server. Failures that may pass are repeated for ``patience`` seconds.

    Raises, whatever is called: `InputError` where it cannot succeed, or the server has no Batch API; `EngineError`
    where the server stayed broken.
    """

    def __init__(self, server: Server, patience: float) -> None:
        self._server, self._patience = server, patience
        self._random = random.Random(server.settings.jitter_seed)
        self._api: Any = None

    @property
    def _left_out(self) -> dict[str, Any]:
        return {"extra_headers": self._server.left_out}

    def upload(self, content: bytes) -> str:
        """The id of a new file of requests."""
        file = ("telbench.jsonl", content)
        return _id(
            self._call(
                "files", lambda api: api.files.with_raw_response.create(file=file, purpose="batch", **self._left_out)
            )
        )

    def create(self, file: str, token: str) -> str:
        """The id of the batch of a file's requests, which carries ``token``; a second call finds the first one's."""
        tried = False

        def submitted(api: Any) -> Any:
            # An earlier attempt may have come through, though its answer did not.
            nonlocal tried
            found = self._listed(token) if tried else None
            tried = True
            return _known(found) if found else api.batches.with_raw_response.create(**asked, **self._left_out)

        asked = {
            "input_file_id": file,
            "endpoint": ENDPOINT,
            "completion_window": "24h",
            "metadata": {OWNER: token},
        }
        return _id(self._call("batches", submitted))

    def find(self, token: str) -> str | None:
        """The id of the batch that carries ``token``, among the last hundred."""
        asked = {"limit": _LISTED, **self._left_out}
        found = self._call("batches", lambda api: api.batches.with_raw_response.list(**asked), absent=True)
        return _with_token(found, token)

    def batch(self, name: str) -> dict[str, Any] | None:
        """What the server says of a batch; None where it does not know it."""
        asked = self._left_out
        return self._call("batches", lambda api: api.batches.with_raw_response.retrieve(name, **asked), absent=True)

    def lines(self, file: str) -> Iterator[bytes]:
        """The lines of a file; none where it is not there (any more)."""
        asked = self._left_out
        found = self._call("files", lambda api: api.files.content(file, **asked), absent=True, text=True)
        yield from (found or {}).get("content", b"").splitlines()

    def close(self) -> None:
        """Close the connections."""
        if self._api is not None:
            self._api.close()
            self._api = None

    def _listed(self, token: str) -> str | None:
        """`find`, once and without complaint: a server may have batches and no list of them."""
        import openai

        try:
            answer = self._client().batches.with_raw_response.list(limit=_LISTED, **self._left_out)
            return _with_token(read_object(answer.content), token)
        except (openai.APIError, MalformedAnswerError, ValueError):
            return None

    def _client(self) -> Any:
        if self._api is None:
            self._api = self._server.client()
        return self._api

    def _call(
        self, path: str, ask: Callable[[Any], Any], *, absent: bool = False, text: bool = False
    ) -> dict[str, Any] | None:
        """The answer's object (``text``: its body alone); None for 404 where what is asked for may be ``absent``."""
        import openai

        began, attempt = time.monotonic(), 0
        while True:
            try:
                answer = ask(self._client())
                return {"content": answer.content} if text else read_object(answer.content)
            except (openai.APIError, MalformedAnswerError, ValueError) as error:
                failure = failure_of(error, self._server.secret)
                if failure is None:
                    raise
            if absent and failure.status == 404:
                return None
            pause = self._pause(path, failure, attempt, began)
            attempt += 1
            time.sleep(pause)

    def _pause(self, path: str, failure: RequestFailure, attempt: int, began: float) -> float:
        """Seconds until the next attempt. Raises where there shall be none."""
        url = self._server.url
        if failure.status in _ABSENT:
            raise InputError(f"{url} has no Batch API (/{path}: {failure.reason}): leave --judge-batch out")
        if failure.kind == "fatal":
            raise self._server.verdict(failure)
        if failure.kind == "refused":
            raise InputError(
                f"{url} refuses a batch (/{path}: {failure.reason}): mend that, or leave --judge-batch out"
            )
        backoff = self._server.settings.backoff
        pause = failure.wait or max(backoff / 2, full_jitter(attempt, backoff, LONGEST_PAUSE, self._random))
        if time.monotonic() - began + pause > self._patience:
            raise EngineError(
                f"{url} is broken (/{path}: {failure.reason}); what was submitted goes on there: repeat the command, "
                "which picks it up"
            )
        return pause


class _Content:
    """An answer of which the body alone counts."""

    def __init__(self, content: bytes) -> None:
        self.content = content


def _known(name: str) -> _Content:
    """A batch that is there already, as the answer to its creation."""
    return _Content(b'{"id": "%s"}' % name.encode())


def _id(answer: dict[str, Any] | None) -> str:
    name = (answer or {}).get("id")
    if not isinstance(name, str) or not name:
        raise InputError("the server's answer to a batch has no id: it has no Batch API that telbench knows")
    return name


def _with_token(answer: dict[str, Any] | None, token: str) -> str | None:
    listed = (answer or {}).get("data")
    for entry in listed if isinstance(listed, list) else ():
        batch = cast("dict[str, Any]", entry) if isinstance(entry, dict) else {}
        own = batch.get("metadata")
        if isinstance(own, dict) and own.get(OWNER) == token and isinstance(batch.get("id"), str):
            return str(batch["id"])
    return None
