"""A judge's requests as batches: half the price, answered within a day, and found again after a kill.

What is submitted is written down before and after: the same command picks up a batch that is under way, and asks
nothing twice. What a batch left without an answer is submitted once more, a few times.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

from telbench.errors import EngineError, InputError

from ..chat import ChatReply, ChatRequest, MalformedAnswerError, read_object, read_reply
from .batch_api import ENDPOINT, BatchApi
from .failures import failure_of, tidy
from .http import HttpAnswer, StatusError
from .settings import Server, ServerSettings

# Less than the 50,000 requests and 200 MB that the API takes.
MOST_REQUESTS, MOST_BYTES = 25_000, 100_000_000
# How often what has no answer is submitted.
ROUNDS = 3
# Seconds between two looks at a batch: at first, and at most.
FIRST_LOOK, LONGEST_LOOK = 1.0, 60.0
# Seconds for which a server may be broken while a batch is under way.
PATIENCE = 900.0
# Seconds between two lines about a batch that goes on.
TELL_EVERY = 60.0
ENDED = {"completed", "failed", "expired", "cancelled"}


class BatchLedger(Protocol):
    """Records of batches by key, which outlive the process."""

    def get(self, key: str) -> Mapping[str, Any] | None:
        """The record of a key."""
        ...

    def put(self, key: str, record: Mapping[str, Any]) -> None:
        """Keep a record."""
        ...

    def keys(self) -> Iterable[str]:
        """All keys."""
        ...


class Batches:
    """Asks like a `ChatClient`, through the server's Batch API.

    `keep` says where to write down what was submitted, and whom to tell; without it nothing outlives the process.
    """

    def __init__(self, settings: ServerSettings, *, patience: float = PATIENCE, first_look: float = FIRST_LOOK) -> None:
        self._settings, self._server = settings, Server(settings)
        self._api = BatchApi(self._server, patience)
        self._first_look = first_look
        self._ledger: BatchLedger = _Memory()
        self._tell: Callable[[str], None] = lambda line: None

    def keep(self, ledger: BatchLedger, tell: Callable[[str], None]) -> None:
        """Write batches down in ``ledger``, and tell of them by ``tell``, line by line."""
        self._ledger, self._tell = ledger, tell

    def ask(self, requests: Iterable[ChatRequest]) -> Iterator[ChatReply]:
        """Yield one reply a request, batch by batch; one that has no answer after all rounds has ``error``.

        Raises `InputError` where no batch can be made (no Batch API, key, model, a batch that is refused), and
        `EngineError` where the server stopped working or a batch was cancelled; what was answered has been yielded.
        """
        wanted = {_custom_id(body := self._body(request)): (request, body) for request in requests}
        reasons: dict[str, str] = {}
        for key in list(self._ledger.keys()):
            if self._is_open(key, wanted):
                yield from self._collected(key, wanted, reasons)
        for _ in range(ROUNDS):
            if not wanted:
                return
            for key in [self._submit(chunk) for chunk in _chunks(wanted)]:
                yield from self._collected(key, wanted, reasons)
        for name, (request, _) in wanted.items():
            why = reasons.get(name, "it is not in the results")
            told = f"no answer in {ROUNDS} batches, at last: {why}"
            yield ChatReply(request.key, error=told, timed_out=why.startswith("batch_expired"), batch=True)

    def close(self) -> None:
        """Close the connections; batches go on at the server."""
        self._api.close()

    def _body(self, request: ChatRequest) -> dict[str, Any]:
        return {"model": self._settings.model, **request.asked, **request.body}

    def _is_open(self, key: str, wanted: Mapping[str, Any]) -> bool:
        """Is this a batch that may hold answers to what is wanted? One whose creation was cut off is looked for."""
        record = self._ledger.get(key) or {}
        if record.get("url") != self._server.url or not wanted.keys() & record.get("ids", ()):
            return False
        if record.get("state") not in {"uploaded", "submitted"}:
            return False
        if record["state"] == "uploaded":
            found = self._api.find(str(record.get("token")))
            if found is None:
                self._note(key, state="done")
                return False
            self._note(key, state="submitted", batch=found)
        self._tell(f"batch {(self._ledger.get(key) or {}).get('batch')} of {self._server.url} is picked up")
        return True

    def _submit(self, chunk: Mapping[str, tuple[ChatRequest, dict[str, Any]]]) -> str:
        """Upload and submit requests; the key of the batch's record."""
        lines = [_line(name, body) for name, (_, body) in chunk.items()]
        file = self._api.upload(b"".join(lines))
        # A file's id is new with each upload, so the token is no other batch's.
        token = hashlib.sha256(f"{self._server.url} {file}".encode()).hexdigest()[:32]
        record = {"url": self._server.url, "file": file, "token": token, "ids": list(chunk), "state": "uploaded"}
        self._ledger.put(token, record)
        name = self._api.create(file, token)
        self._note(token, state="submitted", batch=name)
        self._tell(
            f"batch {name}: {len(chunk)} requests submitted to {self._server.url}, which has 24 hours; stop when you "
            "like: the same command picks it up"
        )
        return token

    def _note(self, key: str, **changes: Any) -> None:
        record = {name: value for name, value in (self._ledger.get(key) or {}).items() if name != "key"}
        self._ledger.put(key, {**record, **changes})

    def _collected(
        self, key: str, wanted: dict[str, tuple[ChatRequest, dict[str, Any]]], reasons: dict[str, str]
    ) -> Iterator[ChatReply]:
        """The replies of a batch when it has ended, taken out of ``wanted``; ``reasons`` why others have none."""
        name = str((self._ledger.get(key) or {}).get("batch"))
        batch = self._ended(name)
        if batch is None:
            self._tell(f"batch {name} is not known at {self._server.url} any more: its requests are submitted anew")
            self._note(key, state="done")
            return
        status, strange = batch["status"], 0
        if status == "failed":
            self._note(key, state="done")
            raise _refused(name, batch)
        for file in (batch.get("output_file_id"), batch.get("error_file_id")):
            for line in self._api.lines(file) if isinstance(file, str) and file else ():
                custom, reply = self._read(line, wanted, reasons)
                if custom is None:
                    strange += bool(line.strip())
                elif reply is not None:
                    del wanted[custom]
                    yield reply
        # Whoever reads a reply keeps it before the next one: now all of them are safe.
        self._note(key, state="done")
        left = sum(custom in wanted for custom in (self._ledger.get(key) or {})["ids"])
        told = f"; {strange} lines answer nothing that was asked" if strange else ""
        self._tell(f"batch {name}: {status}, {left} requests without an answer{told}")
        if left and status == "cancelled":
            raise EngineError(f"batch {name} was cancelled at {self._server.url}: repeat the command for what is left")

    def _ended(self, name: str) -> dict[str, Any] | None:
        """What the server says of a batch when it has ended; None where it does not know it."""
        look, told, last = self._first_look, "", time.monotonic()
        while (batch := self._api.batch(name)) is not None:
            if batch.get("status") in ENDED:
                return batch
            counts = batch.get("request_counts")
            counts = counts if isinstance(counts, dict) else {}
            line = (
                f"batch {name}: {batch.get('status')}, {counts.get('completed', 0)} of {counts.get('total', '?')} done"
            )
            if line != told and (not told or time.monotonic() - last > TELL_EVERY):
                told, last = line, time.monotonic()
                self._tell(line)
            time.sleep(look)
            look = min(LONGEST_LOOK, 1.5 * look)
        return None

    def _read(
        self, line: bytes, wanted: Mapping[str, tuple[ChatRequest, dict[str, Any]]], reasons: dict[str, str]
    ) -> tuple[str | None, ChatReply | None]:
        """Whose answer a line of results is (None: nobody's who waits), and the reply; none where it may yet come."""
        try:
            entry = read_object(line)
        except MalformedAnswerError:
            return None, None
        name = entry.get("custom_id")
        if not isinstance(name, str) or name not in wanted:
            return None, None
        request, response = wanted[name][0], entry.get("response")
        if not isinstance(response, dict):
            error = entry.get("error")
            error = error if isinstance(error, dict) else {}
            reasons[name] = tidy(f"{error.get('code')}: {error.get('message')}", self._server.secret)
            return name, None
        body = json.dumps(response.get("body")).encode()
        try:
            status = response.get("status_code")
            if status != 200:
                raise StatusError(HttpAnswer(status if isinstance(status, int) else 500, {}, body))
            return name, replace(read_reply(request.key, body), batch=True)
        except (MalformedAnswerError, StatusError) as error:
            failure = failure_of(error, self._server.secret)
        reasons[name] = failure.reason if failure else "it cannot be read"
        if failure is not None and failure.kind == "fatal" and failure.status != 403:
            raise self._server.verdict(failure)
        if failure is not None and failure.kind in {"refused", "fatal"}:
            return name, ChatReply(request.key, error=failure.reason, status=failure.status, batch=True)
        return name, None


class _Memory:
    """A ledger of batches for one process."""

    def __init__(self) -> None:
        self._records: dict[str, Mapping[str, Any]] = {}

    def get(self, key: str) -> Mapping[str, Any] | None:
        return self._records.get(key)

    def put(self, key: str, record: Mapping[str, Any]) -> None:
        self._records[key] = record

    def keys(self) -> Iterable[str]:
        return self._records.keys()


def _refused(name: str, batch: Mapping[str, Any]) -> InputError | EngineError:
    """The one line for a batch that did not begin."""
    errors = batch.get("errors")
    listed = errors.get("data") if isinstance(errors, dict) else None
    told = [each for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []
    why = tidy("; ".join(dict.fromkeys(str(each.get("message")) for each in told)) or "it does not say why", "")
    if any("limit" in str(each.get("code")) for each in told):
        return EngineError(f"batch {name} was not begun: {why}; repeat the command when others have ended")
    return InputError(f"batch {name} was refused: {why}; mend that, or leave --judge-batch out")


def _custom_id(body: Mapping[str, Any]) -> str:
    """By content: a repaired request is another one, and a batch of an earlier process is known again."""
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()[:48]


def _line(name: str, body: Mapping[str, Any]) -> bytes:
    entry = {"custom_id": name, "method": "POST", "url": ENDPOINT, "body": body}
    return json.dumps(entry, allow_nan=False).encode() + b"\n"


def _chunks(
    wanted: Mapping[str, tuple[ChatRequest, dict[str, Any]]],
) -> Sequence[dict[str, tuple[ChatRequest, dict[str, Any]]]]:
    """The requests in parts that one batch takes."""
    chunks: list[dict[str, tuple[ChatRequest, dict[str, Any]]]] = []
    size = 0
    for name, (request, body) in wanted.items():
        length = len(_line(name, body))
        if not chunks or len(chunks[-1]) >= MOST_REQUESTS or size + length > MOST_BYTES:
            chunks.append({})
            size = 0
        chunks[-1][name] = request, body
        size += length
    return chunks
