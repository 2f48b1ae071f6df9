"""What went wrong with a request, and whether asking again can help."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from ..chat import MalformedAnswerError
from ..strict_json import read_strict_json
from .http import HttpAnswer, StatusError, WireError
from .pacing import retry_after

# fatal: no request of the run can succeed. refused: this request cannot. broken: this attempt failed. overloaded:
# the server asks for patience. unreachable: there was no connection.
Kind = Literal["fatal", "refused", "broken", "overloaded", "unreachable"]

FATAL = {401, 402, 403, 404}
REPEATABLE = {408, 409}
_LONGEST = 200
# Parts of a request that servers refuse, as their messages name them.
_PARAMETER = re.compile(
    r"logprob|response_format|json_schema|structured output|max_tokens|max_completion_tokens|\btemperature\b|\bseed\b"
    r"|\b(?:min|max)(?:Length|Items)\b|\badditionalProperties\b",
    re.IGNORECASE,
)
_NO_MODEL = re.compile(
    r"\bmodel\b[^.]{0,80}\b(?:not (?:found|exist|available|a valid)|does not exist|unknown)"
    r"|\b(?:invalid|unknown|no such) model\b|model_not_found",
    re.IGNORECASE,
)
# Google calls a rate a quota too, so that words about quotas alone say nothing.
_NO_CREDIT = re.compile(
    r"insufficient_quota|\b(?:credit|balance)\b[^.]{0,40}\btoo low|\binsufficient (?:credit|balance|funds)",
    re.IGNORECASE,
)
# What says more than the message beside it.
_CODES = ("content_filter", "insufficient_quota", "model_not_found")
_SECRET = re.compile(r"\b(?:sk|key)-[\w*.-]{8,}|\bBearer\s+\S+", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class RequestFailure:
    """One failed attempt: its kind, one line of reason, the HTTP status and the seconds the server asks to wait.

    ``timed_out``: the deadline passed before there was an answer. ``stalled``: others were answered far sooner.
    """

    kind: Kind
    reason: str
    status: int | None = None
    wait: float | None = None
    timed_out: bool = False
    stalled: bool = False

    @property
    def about_money(self) -> bool:
        """Whether the account behind the key has nothing left."""
        return self.status == 402 or bool(_NO_CREDIT.search(self.reason))

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
    # Some servers refuse a parameter as if it were a right that the key lacks, or a page that is not there.
    if status in FATAL and not (status != 401 and names_parameter(reason)):
        return RequestFailure("fatal", reason, status)
    if _NO_CREDIT.search(reason) or (status in {400, 422} and _NO_MODEL.search(reason) and not names_parameter(reason)):
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


def names_parameter(reason: str) -> bool:
    """Whether a server's message is about a part of the request that may be left out.

    >>> names_parameter("status 403: You are not allowed to request logprobs"), names_parameter("status 403: no")
    (True, False)
    """
    return bool(_PARAMETER.search(reason))


def _server_message(content: bytes) -> str:
    try:
        body = read_strict_json(content)
    except (ValueError, RecursionError):
        text = content[: 4 * _LONGEST].decode("utf-8", "replace")
        # A proxy's error page says less than its status.
        return "" if "<html" in text.lower() or "<!doctype" in text.lower() else text
    try:
        return "; ".join(dict.fromkeys(_told(body)))
    except RecursionError:
        return ""


def _told(value: object) -> Iterator[str]:
    """The messages in an error's body, whatever its shape: a text, an object, a list of objects, one in another.

    What FastAPI and Mistral say of a field begins with its name, and what the API names in ``param`` ends with it.
    """
    if isinstance(value, str):
        if value:
            yield value
    elif isinstance(value, list):
        for entry in value:
            yield from _told(entry)
    elif isinstance(value, dict):
        place = value.get("loc")
        if isinstance(place, list) and isinstance(value.get("msg"), str):
            yield f"{'.'.join(str(part) for part in place if part != 'body')}: {value['msg']}"
            return
        code, parameter = value.get("code") or value.get("type"), value.get("param")
        parts = [part for name in ("error", "message", "detail", "errors") for part in _told(value.get(name))]
        if code in _CODES and code not in " ".join(parts):
            parts.insert(0, str(code))
        if isinstance(parameter, str) and parts and parameter not in " ".join(parts):
            parts[-1] += f" ({parameter})"
        yield ": ".join(parts) if len(parts) < 3 else "; ".join(parts)
