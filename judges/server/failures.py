"""What went wrong with a request, and whether asking again can help."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from ..chat import MalformedAnswerError, read_object
from .http import HttpAnswer, StatusError, WireError
from .pacing import retry_after

# fatal: no request of the run can succeed. refused: this request cannot. broken: this attempt failed. overloaded:
# the server asks for patience. unreachable: there was no connection.
Kind = Literal["fatal", "refused", "broken", "overloaded", "unreachable"]

FATAL = {401, 403, 404}
REPEATABLE = {408, 409}
_LONGEST = 200
_SECRET = re.compile(r"\b(?:sk|key)-[\w*.-]{8,}|\bBearer\s+\S+", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class RequestFailure:
    """One failed attempt: its kind, one line of reason, the HTTP status and the seconds the server asks to wait.

    ``timed_out``: the deadline passed before there was an answer.
    """

    kind: Kind
    reason: str
    status: int | None = None
    wait: float | None = None
    timed_out: bool = False

    @property
    def cuts(self) -> bool:
        """Whether it is a sign that too many requests are open."""
        return self.kind == "overloaded" or (self.status or 0) >= 500


def failure_of(error: Exception, key: str) -> RequestFailure | None:
    """Judge an exception of asking or of reading the answer; None if it is neither.

    ``key`` is the API key; it and anything that looks like one is taken out of the reason.
    """
    import openai

    if isinstance(error, StatusError):
        return _failure_of_status(error.answer, key)
    if isinstance(error, openai.APIStatusError):
        response = error.response
        return _failure_of_status(HttpAnswer(error.status_code, response.headers, response.content), key)
    if isinstance(error, WireError):
        if error.connected:
            return RequestFailure("broken", f"the connection broke ({tidy(str(error), key)})")
        return RequestFailure("unreachable", f"no connection ({tidy(str(error), key)})")
    if isinstance(error, openai.APIConnectionError):
        cause = error.__cause__
        name = type(cause).__name__
        detail = tidy(f"{name}: {cause}" if str(cause or "") else name, key)
        if name in {"ConnectError", "ConnectTimeout", "ProxyError"}:
            return RequestFailure("unreachable", f"no connection ({detail})")
        if name == "UnsupportedProtocol":
            return RequestFailure("fatal", detail)
        return RequestFailure("broken", f"the connection broke ({detail})")
    if isinstance(error, MalformedAnswerError):
        return RequestFailure("broken", tidy(str(error), key))
    if isinstance(error, ValueError):
        # Text that has no UTF-8 form or a number that has no JSON form: raised while the request is written.
        return RequestFailure("refused", f"the request cannot be written ({tidy(str(error), key)})")
    return None


def _failure_of_status(answer: HttpAnswer, key: str) -> RequestFailure:
    status = answer.status
    reason = f"status {status}"
    # Servers repeat a refused key in part; that message says nothing that the status does not.
    if status != 401 and (message := _server_message(answer.content)):
        reason = f"{reason}: {tidy(message, key)}"
    if status in FATAL:
        return RequestFailure("fatal", reason, status)
    wait = retry_after(answer.headers)
    if status == 429 or (status == 503 and wait is not None):
        return RequestFailure("overloaded", reason, status, wait)
    if status in REPEATABLE or status >= 500:
        return RequestFailure("broken", reason, status, wait)
    return RequestFailure("refused", reason, status)


def tidy(text: str, key: str) -> str:
    r"""One line, at most 200 characters, secrets taken out.

    >>> tidy("refused:\n  sk-abcdefgh1234", "")
    'refused: ***'
    """
    line = " ".join((text.replace(key, "***") if key else text).split())
    line = _SECRET.sub("***", line)
    return line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…"


def _server_message(content: bytes) -> str:
    try:
        body = read_object(content)
    except MalformedAnswerError:
        text = content[: 4 * _LONGEST].decode("utf-8", "replace")
        # A proxy's error page says less than its status.
        return "" if "<html" in text.lower() or "<!doctype" in text.lower() else text
    error = body.get("error", body)
    if not isinstance(error, dict):
        return error if isinstance(error, str) else ""
    message = error.get("message") or error.get("detail")
    # Servers tell the kind of a filtered prompt here only.
    code = "content_filter" if error.get("code") == "content_filter" else ""
    return ": ".join(part for part in (code, message) if isinstance(part, str) and part)
