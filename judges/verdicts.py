"""What a judge said, as a typed record, or why there is nothing to go by.

Nothing is coerced: "5" is no 5, 5.0 is no 5, 7 is on no scale from 1 to 5. A verdict that does not hold to its schema
is missing with a reason, never a score of 0.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NoReturn

from .chat import ChatReply

Kind = Literal["claims", "faithfulness", "rubric_score"]
Outcome = Literal["TP", "FP", "FN"]
Reason = Literal["timeout", "refusal", "malformed", "schema", "content_filter", "truncated", "empty", "error"]

# More than any answer to a telecom question needs, and an end to a judge that repeats itself.
MOST_CLAIMS = 64
SCORES = (1, 2, 3, 4, 5)

_TEXT: Mapping[str, Any] = {"type": "string", "minLength": 1}


def _object(**properties: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _claims(**verdict: Mapping[str, Any]) -> dict[str, Any]:
    # The reason stands before the verdict, so that a model which writes from left to right reasons first.
    items = _object(claim=_TEXT, reason=_TEXT, **verdict)
    return _object(claims={"type": "array", "maxItems": MOST_CLAIMS, "items": items})


SCHEMAS: Mapping[Kind, Mapping[str, Any]] = {
    "claims": _claims(verdict={"type": "string", "enum": ["TP", "FP", "FN"]}),
    "faithfulness": _claims(supported={"type": "boolean"}),
    "rubric_score": _object(
        reasons={"type": "array", "minItems": 1, "maxItems": MOST_CLAIMS, "items": _TEXT},
        score={"type": "integer", "minimum": SCORES[0], "maximum": SCORES[-1]},
    ),
}


@dataclass(frozen=True, slots=True)
class Missing:
    """No verdict, and why; ``detail`` is one line for the reader."""

    reason: Reason
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Claim:
    """A claim of the answer (TP, FP) or one of the reference that the answer lacks (FN)."""

    claim: str
    reason: str
    verdict: Outcome


@dataclass(frozen=True, slots=True)
class ClaimVerdicts:
    """The claims behind factual correctness."""

    claims: tuple[Claim, ...]

    def count(self, verdict: Outcome) -> int:
        """How many claims have this verdict."""
        return sum(claim.verdict == verdict for claim in self.claims)

    @property
    def f1(self) -> float | None:
        """TP / (TP + (FP + FN) / 2), 0 to 1; None without any claim. Source: Roychowdhury et al. 2024 (2407.12873)."""
        return factual_f1(self.count("TP"), self.count("FP"), self.count("FN"))


@dataclass(frozen=True, slots=True)
class SupportedClaim:
    """A claim of the answer, and whether the context supports it."""

    claim: str
    reason: str
    supported: bool


@dataclass(frozen=True, slots=True)
class Faithfulness:
    """The claims behind faithfulness."""

    claims: tuple[SupportedClaim, ...]

    @property
    def share(self) -> float | None:
        """Share of claims that the context supports, 0 to 1; None for an answer without claims."""
        return sum(claim.supported for claim in self.claims) / len(self.claims) if self.claims else None


@dataclass(frozen=True, slots=True)
class RubricScore:
    """A score from 1 to 5 with reasons.

    ``weighted`` is the mean of the scores by the judge's probabilities at the score's token, and ``mass`` the
    probability that the listed alternatives give to any score at all; both None where the reply does not tell.
    """

    score: int
    reasons: tuple[str, ...]
    weighted: float | None = None
    mass: float | None = None


Verdict = ClaimVerdicts | Faithfulness | RubricScore


def factual_f1(tp: int, fp: int, fn: int) -> float | None:
    """F1 over claims; None where all three counts are 0. It is not the Jaccard index TP / (TP + FP + FN).

    >>> factual_f1(2, 1, 1)
    0.6666666666666666
    """
    return 2 * tp / (2 * tp + fp + fn) if tp + fp + fn else None


def read_verdict(kind: Kind, reply: ChatReply) -> Verdict | Missing:
    """The verdict in a judge's reply. Never raises for anything that a judge can say."""
    if reply.error is not None:
        reason = "timeout" if reply.error.startswith("no answer within") else "error"
        return Missing("content_filter" if "content_filter" in reply.error else reason, reply.error)
    if reply.finish_reason == "content_filter":
        return Missing("content_filter", "the server filtered the judge's answer")
    if reply.finish_reason == "length":
        return Missing("truncated", "the judge's answer was cut at its token limit")
    verdict = parse_verdict(kind, reply.text)
    if isinstance(verdict, RubricScore) and reply.logprobs is not None:
        weighted, mass = weighted_score(reply.logprobs)
        return RubricScore(verdict.score, verdict.reasons, weighted, mass)
    return verdict


def parse_verdict(kind: Kind, text: str) -> Verdict | Missing:
    """The verdict in ``text``: one JSON object, bare or alone in one code fence. Never raises for any text."""
    body = text.strip(" \t\r\n")
    if not body:
        return Missing("empty", "the judge gave no text")
    if fence := _FENCE.fullmatch(body):
        body = fence[1]
    try:
        value = json.loads(body, parse_constant=_refuse, object_pairs_hook=_without_duplicates)
    except (ValueError, RecursionError) as error:
        if _REFUSAL.match(body):
            return Missing("refusal", _line(body))
        return Missing("malformed", _line(f"not one JSON object: {error or type(error).__name__}"))
    try:
        return _READERS[kind](value)
    except _SchemaError as error:
        return Missing("schema", _line(str(error)))


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


# Its exponential is 0; JSON also holds integers that no float can.
_LEAST = -1e4
_FENCE = re.compile(r"```(?:json|JSON)?[ \t]*\r?\n(.*)\r?\n[ \t]*```", re.DOTALL)
# Inside a JSON string the quotes would be escaped, so that this finds the key alone.
_SCORE = re.compile(r'"score"[ \t\r\n]*:[ \t\r\n]*([1-5])')
_REFUSAL = re.compile(
    r"(i['’]?m (very )?sorry|i am sorry|sorry,|i can(no|['’])t|i can not|i['’]?m (unable|not able)"
    r"|i am (unable|not able)|i (won['’]t|will not|must decline)|as an ai\b|i apologi[sz]e)",
    re.IGNORECASE,
)


class _SchemaError(Exception):
    """Valid JSON that is not the verdict asked for."""


def _read_claims(value: object) -> ClaimVerdicts:
    claims = []
    for where, entry in _entries(value, "verdict"):
        verdict = entry["verdict"]
        # Equality alone would hash or compare whatever JSON holds; the type comes first.
        if not isinstance(verdict, str) or verdict not in {"TP", "FP", "FN"}:
            raise _SchemaError(f"{where}.verdict is not TP, FP or FN")
        named: Outcome = "TP" if verdict == "TP" else "FP" if verdict == "FP" else "FN"
        claims.append(Claim(_text(entry["claim"], f"{where}.claim"), _text(entry["reason"], f"{where}.reason"), named))
    return ClaimVerdicts(tuple(claims))


def _read_faithfulness(value: object) -> Faithfulness:
    claims = []
    for where, entry in _entries(value, "supported"):
        if not isinstance(entry["supported"], bool):
            raise _SchemaError(f"{where}.supported is not true or false")
        claim, reason = _text(entry["claim"], f"{where}.claim"), _text(entry["reason"], f"{where}.reason")
        claims.append(SupportedClaim(claim, reason, entry["supported"]))
    return Faithfulness(tuple(claims))


def _read_score(value: object) -> RubricScore:
    entry = _fields(value, "the verdict", {"reasons", "score"})
    reasons, score = _list(entry["reasons"], "reasons"), entry["score"]
    if not reasons:
        raise _SchemaError("reasons is empty")
    if isinstance(score, bool) or not isinstance(score, int) or score not in SCORES:
        raise _SchemaError("score is not an integer from 1 to 5")
    return RubricScore(score, tuple(_text(reason, f"reasons[{i}]") for i, reason in enumerate(reasons)))


_READERS = {"claims": _read_claims, "faithfulness": _read_faithfulness, "rubric_score": _read_score}


def _entries(value: object, verdict: str) -> list[tuple[str, dict[str, Any]]]:
    claims = _list(_fields(value, "the verdict", {"claims"})["claims"], "claims")
    names = {"claim", "reason", verdict}
    return [(f"claims[{i}]", _fields(entry, f"claims[{i}]", names)) for i, entry in enumerate(claims)]


def _fields(value: object, where: str, names: set[str]) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _SchemaError(f"{where} is not an object")
    if missing := sorted(names - value.keys()):
        raise _SchemaError(f"{where} lacks {', '.join(missing)}")
    if value.keys() - names:
        raise _SchemaError(f"{where} holds more than {', '.join(sorted(names))}")
    return value


def _list(value: object, where: str) -> list[Any]:
    if not isinstance(value, list):
        raise _SchemaError(f"{where} is not a list")
    if len(value) > MOST_CLAIMS:
        raise _SchemaError(f"{where} has more than {MOST_CLAIMS} entries")
    return value


def _text(value: object, where: str) -> str:
    if not isinstance(value, str) or not value:
        raise _SchemaError(f"{where} is not a text, or empty")
    return _writable(value)


def _writable(text: str) -> str:
    # Escaped lone surrogates are legal JSON but can be written to no file.
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _line(text: str) -> str:
    return _writable(" ".join(text.split())[:200])


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a key occurs twice")
    return value
