"""What a server can do for a judge, found by one tiny question that is made plainer until the server takes it.

Servers that speak the same protocol differ in what they take: some hold replies to a JSON schema, some know only part
of JSON Schema or only "some JSON object"; some give log-probabilities, or fewer of them; some refuse a temperature or a
seed, or call the token limit by another name. What is refused by name is left out or lowered, and nothing else.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Set
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, get_args

from ..chat import ChatReply
from ..contract import ALTERNATIVES
from .failures import names_parameter

# full: the engine holds replies to the whole schema. shape: likewise, to the schema less its bounds on lengths and
# values, which some servers refuse. json_object: it holds them to some JSON object. asked: only the prompt asks.
SchemaLevel = Literal["full", "shape", "json_object", "asked"]
LEVELS: tuple[SchemaLevel, ...] = get_args(SchemaLevel)
# none: the server takes no token limit, and ends replies by its own.
Limit = Literal["max_tokens", "max_completion_tokens", "none"]
LIMITS: tuple[Limit, ...] = get_args(Limit)
BOUNDS = frozenset({"minLength", "maxLength", "minItems", "maxItems", "minimum", "maximum"})
# What a schema can do without, where a server refuses it by name.
SPARED = ("minLength", "maxLength", "minItems", "maxItems", "minimum", "maximum", "additionalProperties", "strict")
# Raise when the probe, or what is read from its reply, changes: what an older one found is then found anew.
PROBE_VERSION = 2
# What is asked for where a server says that it gives fewer alternatives, and not how many.
FEW_ALTERNATIVES = 5

# Enough for the probe's reply by a model that thinks before it speaks.
PROBE_TOKENS = 1024
# Stands in the schema and not in the question: only an engine that enforces the schema makes a model say it.
_WORD = "interface-7Qx4"
# Every keyword of the verdicts' schemas, and finite, so that even a model of random weights ends.
PROBE_SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {
        "word": {"type": "string", "minLength": 1, "maxLength": 40, "enum": [_WORD]},
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
    """What a server takes, and so what a judge behind it is sent.

    ``alternatives`` is how many log-probabilities of a token it gives. ``without`` names the keywords that it refused
    in a schema.
    """

    schema: SchemaLevel = "full"
    log_probabilities: bool = True
    temperature: bool = True
    seed: bool = True
    limit: Limit = "max_tokens"
    alternatives: int = ALTERNATIVES
    without: tuple[str, ...] = ()

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
        if (most := adapted.pop("max_tokens", None)) is not None and self.limit != "none":
            adapted[self.limit] = most
        if self.schema == "json_object":
            adapted["response_format"] = {"type": "json_object"}
        elif self.schema == "asked":
            adapted.pop("response_format", None)
        elif "response_format" in adapted and (spared := self._spared):
            adapted["response_format"] = without_keywords(adapted["response_format"], spared)
        if not self.log_probabilities:
            adapted.pop("logprobs", None)
            adapted.pop("top_logprobs", None)
        elif "top_logprobs" in adapted:
            adapted["top_logprobs"] = min(adapted["top_logprobs"], self.alternatives)
        return adapted

    @property
    def _spared(self) -> Set[str]:
        return {*self.without, *(BOUNDS if self.schema == "shape" else ())}


def read_capabilities(record: object) -> Capabilities | None:
    """Capabilities from the facts of a record; None where it holds no valid ones."""
    if not isinstance(record, Mapping):
        return None
    try:
        found = Capabilities(**record)
        found = replace(found, without=tuple(found.without))
    except TypeError:
        return None
    flags = (found.log_probabilities, found.temperature, found.seed)
    known = found.schema in LEVELS and found.limit in LIMITS and set(found.without) <= set(SPARED)
    known = known and isinstance(found.alternatives, int) and 0 < found.alternatives <= ALTERNATIVES
    return found if known and all(isinstance(flag, bool) for flag in flags) else None


def without_keywords(value: Any, names: Set[str] = BOUNDS) -> Any:
    """A JSON schema, or anything that holds one, less some keywords; a range of integers becomes their list.

    >>> without_keywords({"type": "integer", "minimum": 1, "maximum": 3})
    {'type': 'integer', 'enum': [1, 2, 3]}
    >>> without_keywords({"type": "array", "minItems": 1, "items": {"type": "string", "minLength": 1}}, {"minLength"})
    {'type': 'array', 'minItems': 1, 'items': {'type': 'string'}}
    """
    if isinstance(value, list):
        return [without_keywords(entry, names) for entry in value]
    if not isinstance(value, Mapping):
        return value
    low, high = value.get("minimum"), value.get("maximum")
    spared = set(names)
    if (
        value.get("type") == "integer"
        and isinstance(low, int)
        and isinstance(high, int)
        and spared & {"minimum", "maximum"}
    ):
        spared |= {"minimum", "maximum"}
        value = {**value, "enum": list(range(low, high + 1))}
    return {name: without_keywords(entry, names) for name, entry in value.items() if name not in spared}


def probe_body(tokens: int = PROBE_TOKENS) -> dict[str, Any]:
    """The probe's request, as it is sent to a server that can do everything; its reply has room for so many tokens."""
    schema = {"name": "probe", "strict": True, "schema": PROBE_SCHEMA}
    return {
        "temperature": 0.0,
        "max_tokens": tokens,
        "seed": 0,
        "response_format": {"type": "json_schema", "json_schema": schema},
        "logprobs": True,
        "top_logprobs": ALTERNATIVES,
    }


def plainer(now: Capabilities, reason: str) -> Capabilities | None:
    """What to try after the server refused ``now`` with ``reason``: less of what the reason names, else of what can
    be spared most; None where nothing is left. Log-probabilities go first, then the schema, level by level.
    """
    ways: list[tuple[str, Capabilities]] = []
    if now.log_probabilities:
        ways.append((r"logprob", _fewer_alternatives(now, reason)))
    if now.schema in {"full", "shape"}:
        kept = set(SPARED) - now._spared
        for word in (word for word in SPARED if word in kept):
            # One that is an ordinary word counts where it stands as a name.
            name = rf"[\"'`.]{word}\b" if word.islower() else rf"\b{word}\b"
            ways.append((name, replace(now, without=(*now.without, word))))
    if now.schema != "asked":
        less = replace(now, schema=LEVELS[LEVELS.index(now.schema) + 1])
        ways.append((r"response_format|schema|structured output|grammar", less))
    if now.limit == "max_tokens":
        ways.append((r"max_completion_tokens|max_tokens", replace(now, limit="max_completion_tokens")))
    if now.temperature:
        ways.append((r"\btemperature\b", replace(now, temperature=False)))
    if now.seed:
        ways.append((r"\bseed\b", replace(now, seed=False)))
    if now.limit == "max_completion_tokens":
        # The last to go: a reply without a limit may be cut by one that nobody knows.
        ways.append((r"max_completion_tokens|max_tokens", replace(now, limit="none")))
    named = [way for word, way in ways if re.search(word, reason, re.IGNORECASE)]
    unnamed = [way for _, way in ways if way.without == now.without]
    return next(iter([*named, *unnamed]), None)


def _fewer_alternatives(now: Capabilities, reason: str) -> Capabilities:
    """As many as the server says that it gives, or none where it says nothing of a number."""
    fewer = [int(number) for number in re.findall(r"\b\d+\b", reason) if 0 < int(number) < now.alternatives]
    if re.search(r"logprob", reason, re.IGNORECASE) and fewer:
        return replace(now, alternatives=max(fewer))
    too_many = re.search(r"top_logprobs.*\b(?:exceed\w*|greater|large|at most|max\w*|less)\b", reason, re.IGNORECASE)
    if too_many and now.alternatives > FEW_ALTERNATIVES:
        return replace(now, alternatives=FEW_ALTERNATIVES)
    return replace(now, log_probabilities=False)


def refuses_parameters(reply: ChatReply) -> bool:
    """Whether the server refused what it was sent, as against failing at it."""
    if reply.error is None:
        return False
    return reply.status in {400, 422} or names_parameter(reply.error)


def tells_nothing(reply: ChatReply) -> bool:
    """Whether a reply to the probe was cut or is empty, so that it shows neither that a schema holds nor that not."""
    return reply.finish_reason == "length" or not reply.text.strip()


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
