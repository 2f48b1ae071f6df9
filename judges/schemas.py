"""The kinds of verdicts, the JSON schema of each, and the score that a judge's probabilities give.

Reasons stand before what they are reasons for, so that a model which writes from left to right reasons first. Texts and
lists have a longest length: a judge that repeats itself comes to an end. A score is weighted by the probabilities of
what could have stood at its place in a reply of such a schema.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any, Literal

Kind = Literal[
    "claims",
    "faithfulness",
    "rubric_score",
    "questions",
    "passages",
    "preference",
    # Several verdicts in one reply, each under the name of its kind.
    "claims-faithfulness-rubric_score",
    "claims-faithfulness",
    "claims-rubric_score",
    "faithfulness-rubric_score",
]
JOINTS: tuple[Kind, ...] = (
    "claims-faithfulness-rubric_score",
    "claims-faithfulness",
    "claims-rubric_score",
    "faithfulness-rubric_score",
)

# More claims than an answer to a telecom question makes; characters of a claim, a reason or a question.
MOST_CLAIMS = 40
LONGEST_TEXT = 300
MOST_REASONS = 5
MOST_PASSAGES = 12
QUESTIONS = 3
SCORES = (1, 2, 3, 4, 5)
# Its exponential is 0; JSON also holds integers that no float can.
_LEAST = -1e4
# Inside a JSON string the quotes would be escaped, so that this finds the key alone.
_SCORE = re.compile(r'"score"[ \t\r\n]*:[ \t\r\n]*([1-5])')

_TEXT_SCHEMA: Mapping[str, Any] = {"type": "string", "minLength": 1, "maxLength": LONGEST_TEXT}


def _object_schema(**properties: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _list_schema(items: Mapping[str, Any], least: int, most: int) -> dict[str, Any]:
    return {"type": "array", "minItems": least, "maxItems": most, "items": items}


def _claims_schema(**verdict: Mapping[str, Any]) -> dict[str, Any]:
    return _object_schema(
        claims=_list_schema(_object_schema(claim=_TEXT_SCHEMA, reason=_TEXT_SCHEMA, **verdict), 0, MOST_CLAIMS)
    )


def _passages_schema(least: int, most: int) -> dict[str, Any]:
    return _object_schema(
        passages=_list_schema(_object_schema(reason=_TEXT_SCHEMA, useful={"type": "boolean"}), least, most)
    )


_SINGLE: Mapping[Kind, Mapping[str, Any]] = {
    "claims": _claims_schema(verdict={"type": "string", "enum": ["TP", "FP", "FN"]}),
    "faithfulness": _claims_schema(supported={"type": "boolean"}),
    "rubric_score": _object_schema(
        reasons=_list_schema(_TEXT_SCHEMA, 1, MOST_REASONS),
        score={"type": "integer", "minimum": SCORES[0], "maximum": SCORES[-1]},
    ),
    "questions": _object_schema(
        questions=_list_schema(_TEXT_SCHEMA, QUESTIONS, QUESTIONS), evasive={"type": "boolean"}
    ),
    "passages": _passages_schema(1, MOST_PASSAGES),
    "preference": _object_schema(
        reasons=_list_schema(_TEXT_SCHEMA, 1, MOST_REASONS),
        winner={"type": "string", "enum": ["first", "second", "tie"]},
    ),
}


def parts_of(kind: Kind) -> tuple[Kind, ...]:
    """The kinds of the verdicts in one of this kind: itself, or those that are asked for together.

    >>> parts_of("claims"), parts_of("claims-rubric_score")
    (('claims',), ('claims', 'rubric_score'))
    """
    return tuple(single for single in _SINGLE if single in kind.split("-"))


SCHEMAS: Mapping[Kind, Mapping[str, Any]] = {
    **_SINGLE,
    **{joint: _object_schema(**{part: _SINGLE[part] for part in parts_of(joint)}) for joint in JOINTS},
}


def schema_of(kind: Kind, count: int | None = None) -> Mapping[str, Any]:
    """The schema of a verdict; ``count``, of passages only, is how many entries it has to have."""
    return _passages_schema(count, count) if kind == "passages" and count is not None else SCHEMAS[kind]


def outline(schema: Mapping[str, Any]) -> str:
    """A schema in the few words that a prompt has for it; what it leaves out, such as lengths, is still checked.

    >>> outline(SCHEMAS["rubric_score"])
    '{"reasons": [text, ... (1 to 5)], "score": 1 to 5}'
    """
    if "enum" in schema:
        return " or ".join(json.dumps(value) for value in schema["enum"])
    if schema["type"] == "object":
        return "{" + ", ".join(f'"{name}": {outline(part)}' for name, part in schema["properties"].items()) + "}"
    if schema["type"] == "array":
        least, most = schema["minItems"], schema["maxItems"]
        number = f"exactly {most}" if least == most else f"{least} to {most}" if least else f"up to {most}"
        return f"[{outline(schema['items'])}, ... ({number})]"
    if schema["type"] == "integer":
        return f"{schema['minimum']} to {schema['maximum']}"
    return "true or false" if schema["type"] == "boolean" else "text"


def weighted_score(logprobs: Mapping[str, Any]) -> tuple[float | None, float | None]:
    """The probability-weighted score and the probability of any score, from a chat completion's ``logprobs``.

    Both None unless the score is a token of its own with alternatives that are numbers. Source of the weighting: Liu et
    al. 2023 (G-Eval), section 2.
    """
    chances = score_alternatives(logprobs)
    return (None, None) if chances is None else weighted_mean(chances)


def score_alternatives(logprobs: Mapping[str, Any]) -> dict[str, float] | None:
    """Natural log-probabilities of what could have stood at the score's token, by text; None where it is not told."""
    tokens = logprobs.get("content")
    if not isinstance(tokens, list) or not all(isinstance(t, dict) and isinstance(t.get("token"), str) for t in tokens):
        return None
    found = list(_SCORE.finditer("".join(token["token"] for token in tokens)))
    if len(found) != 1:
        return None
    position, token = found[0].start(1), None
    for token in tokens:
        if position < len(token["token"]):
            break
        position -= len(token["token"])
    alternatives = token.get("top_logprobs") if token and token["token"].strip() == found[0][1] else None
    if not token or not isinstance(alternatives, list):
        return None
    chances: dict[str, float] = {}
    for entry in (token, *alternatives):
        if not isinstance(entry, dict) or not isinstance(entry.get("token"), str):
            return None
        logprob = entry.get("logprob")
        # Above 0 only by rounding; NaN fails the comparison.
        if isinstance(logprob, bool) or not isinstance(logprob, int | float) or not logprob <= 1e-3:
            return None
        chances[entry["token"]] = float(min(0.0, max(logprob, _LEAST)))
    return chances


def weighted_mean(chances: Mapping[str, float]) -> tuple[float | None, float | None]:
    """The mean score by the log-probabilities of texts, and the probability that any score has; None for no score.

    Texts that differ in white space only count together.
    """
    weights = [
        sum(math.exp(chance) for text, chance in chances.items() if text.strip() == str(score)) for score in SCORES
    ]
    mass = sum(weights)
    if not mass:
        return None, None
    return sum(score * weight for score, weight in zip(SCORES, weights, strict=True)) / mass, min(1.0, mass)
