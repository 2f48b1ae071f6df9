"""What a server can do for a judge, found by one tiny question that is made plainer until the server takes it.

Servers that speak the same protocol differ in what they take: some hold replies to a JSON schema, some know only part
of JSON Schema or only "some JSON object"; some give log-probabilities; some refuse a temperature or a seed, or call the
token limit by another name.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, get_args

from ..chat import ChatReply

# full: the engine holds replies to the whole schema. shape: likewise, to the schema less its bounds on lengths and
# values, which some servers refuse. json_object: it holds them to some JSON object. asked: only the prompt asks.
SchemaLevel = Literal["full", "shape", "json_object", "asked"]
LEVELS: tuple[SchemaLevel, ...] = get_args(SchemaLevel)
Limit = Literal["max_tokens", "max_completion_tokens"]
LIMITS: tuple[Limit, ...] = get_args(Limit)
BOUNDS = {"minLength", "maxLength", "minItems", "maxItems", "minimum", "maximum"}

# Enough for the probe's reply by a model that thinks before it speaks.
PROBE_TOKENS = 1024
# Stands in the schema and not in the question: only an engine that enforces the schema makes a model say it.
_WORD = "interface-7Qx4"
# Every keyword of the verdicts' schemas, and finite, so that even a model of random weights ends.
PROBE_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "word": {"type": "string", "minLength": 1, "enum": [_WORD]},
        "list": {"type": "array", "minItems": 1, "maxItems": 1, "items": {"type": "string", "enum": ["a", "b"]}},
        "sure": {"type": "boolean"},
        "score": {"type": "integer", "minimum": 1, "maximum": 5},
    },
    "required": ["word", "list", "sure", "score"],
    "additionalProperties": False,
}
PROBE_QUESTION = "Greet the reader. Reply with one JSON object that has the key greeting."


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a server takes, and so what a judge behind it is sent."""

    schema: SchemaLevel = "full"
    log_probabilities: bool = True
    temperature: bool = True
    seed: bool = True
    limit: Limit = "max_tokens"

    @property
    def enforced(self) -> bool:
        """Whether the engine holds replies to the shape of the schema."""
        return self.schema in {"full", "shape"}

    def facts(self) -> dict[str, Any]:
        """As a run's header and the remembered record hold it."""
        return asdict(self)

    def body(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """A judge's request as this server takes it."""
        adapted = dict(body)
        if not self.temperature:
            adapted.pop("temperature", None)
        if not self.seed:
            adapted.pop("seed", None)
        if "max_tokens" in adapted:
            adapted[self.limit] = adapted.pop("max_tokens")
        if self.schema == "json_object":
            adapted["response_format"] = {"type": "json_object"}
        elif self.schema == "asked":
            adapted.pop("response_format", None)
        elif self.schema == "shape" and "response_format" in adapted:
            adapted["response_format"] = without_bounds(adapted["response_format"])
        if not self.log_probabilities:
            adapted.pop("logprobs", None)
            adapted.pop("top_logprobs", None)
        return adapted


def read_capabilities(record: object) -> Capabilities | None:
    """Capabilities from the facts of a record; None where it holds no valid ones."""
    if not isinstance(record, Mapping):
        return None
    try:
        found = Capabilities(**record)
    except TypeError:
        return None
    flags = (found.log_probabilities, found.temperature, found.seed)
    known = found.schema in LEVELS and found.limit in LIMITS
    return found if known and all(isinstance(flag, bool) for flag in flags) else None


def without_bounds(value: Any) -> Any:
    """A JSON schema, or anything that holds one, less its bounds on lengths and values; a range of integers becomes
    their list.

    >>> without_bounds({"type": "integer", "minimum": 1, "maximum": 3})
    {'type': 'integer', 'enum': [1, 2, 3]}
    >>> without_bounds({"type": "array", "minItems": 1, "items": {"type": "string", "minLength": 1}})
    {'type': 'array', 'items': {'type': 'string'}}
    """
    if isinstance(value, list):
        return [without_bounds(entry) for entry in value]
    if not isinstance(value, Mapping):
        return value
    plain = {name: without_bounds(entry) for name, entry in value.items() if name not in BOUNDS}
    low, high = value.get("minimum"), value.get("maximum")
    if value.get("type") == "integer" and isinstance(low, int) and isinstance(high, int):
        plain["enum"] = list(range(low, high + 1))
    return plain


def probe_body(alternatives: int) -> dict[str, Any]:
    """The probe's request, as it is sent to a server that can do everything."""
    schema = {"name": "probe", "strict": True, "schema": PROBE_SCHEMA}
    return {
        "temperature": 0.0,
        "max_tokens": PROBE_TOKENS,
        "seed": 0,
        "response_format": {"type": "json_schema", "json_schema": schema},
        "logprobs": True,
        "top_logprobs": alternatives,
    }


def plainer(now: Capabilities, reason: str) -> Capabilities | None:
    """What to try after the server refused ``now`` with ``reason``: less of what the reason names, else of what can
    be spared most; None where nothing is left. Log-probabilities go first, then the schema, level by level.
    """
    ways: list[tuple[str, Capabilities]] = []
    if now.log_probabilities:
        ways.append(("logprob", replace(now, log_probabilities=False)))
    if now.schema != "asked":
        less = replace(now, schema=LEVELS[LEVELS.index(now.schema) + 1])
        ways += [("response_format", less), ("schema", less)]
    if now.limit == "max_tokens":
        ways.append(("max_completion_tokens", replace(now, limit="max_completion_tokens")))
    if now.temperature:
        ways.append(("temperature", replace(now, temperature=False)))
    if now.seed:
        ways.append(("seed", replace(now, seed=False)))
    named = [way for word, way in ways if word in reason.lower()]
    return next(iter([*named, *(way for _, way in ways)]), None)


def refuses_parameters(reply: ChatReply) -> bool:
    """Whether the server refused what it was sent, as against failing at it."""
    if reply.error is None:
        return False
    words = ("logprob", "response_format", "json_schema", "max_tokens", "max_completion_tokens", "temperature", "seed")
    return reply.status in {400, 422} or any(word in reply.error.lower() for word in words)


def shown_by(reply: ChatReply, tried: Capabilities) -> Capabilities:
    """What the reply to a probe shows of what was tried: a parameter that is taken and ignored does not count."""
    content = (reply.logprobs or {}).get("content")
    first = content[0] if isinstance(content, list) and content else None
    alternatives = first.get("top_logprobs") if isinstance(first, Mapping) else None
    told = isinstance(alternatives, list) and bool(alternatives)
    shown = replace(tried, log_probabilities=tried.log_probabilities and told)
    holds = _CHECKS[tried.schema](_json_object(reply.text))
    return shown if holds else replace(shown, schema="asked")


def _holds_schema(value: Mapping[str, Any] | None) -> bool:
    if value is None or set(value) != set(PROBE_SCHEMA["required"]):
        return False
    listed, score = value["list"], value["score"]
    scored = isinstance(score, int) and not isinstance(score, bool) and 1 <= score <= 5
    return value["word"] == _WORD and isinstance(value["sure"], bool) and scored and isinstance(listed, list)


_CHECKS: Mapping[SchemaLevel, Callable[[Mapping[str, Any] | None], bool]] = {
    "full": _holds_schema,
    "shape": _holds_schema,
    "json_object": lambda value: value is not None,
    "asked": lambda _: True,
}


def _json_object(text: str) -> Mapping[str, Any] | None:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
