"""What a judge said, as a typed record, or why there is nothing to go by.

Nothing is coerced: "5" is no 5, 5.0 is no 5, 7 is on no scale from 1 to 5. A verdict that does not hold to its schema
is missing with a reason, never a score of 0.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from .chat import ChatReply, writable
from .position_bias import Choice
from .schemas import LONGEST_TEXT, MOST_CLAIMS, MOST_PASSAGES, MOST_REASONS, QUESTIONS, SCORES, Kind, weighted_score
from .strict_json import read_strict_json

Outcome = Literal["TP", "FP", "FN"]
Reason = Literal["timeout", "refusal", "malformed", "schema", "content_filter", "truncated", "empty", "error"]


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
    def precision(self) -> float | None:
        """TP / (TP + FP), 0 to 1; None for an answer without claims."""
        said = self.count("TP") + self.count("FP")
        return self.count("TP") / said if said else None

    @property
    def recall(self) -> float | None:
        """TP / (TP + FN), 0 to 1; None where neither occurs."""
        wanted = self.count("TP") + self.count("FN")
        return self.count("TP") / wanted if wanted else None

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


@dataclass(frozen=True, slots=True)
class GeneratedQuestions:
    """Questions that an answer would answer, and whether it evades answering anything."""

    questions: tuple[str, ...]
    evasive: bool


@dataclass(frozen=True, slots=True)
class JudgedPassage:
    """Whether a passage helps to arrive at the reference."""

    reason: str
    useful: bool


@dataclass(frozen=True, slots=True)
class JudgedPassages:
    """The passages behind context precision, in their order."""

    passages: tuple[JudgedPassage, ...]

    @property
    def average_precision(self) -> float:
        """Mean, over the useful passages, of the share of useful ones up to and with each; 0 where none is useful."""
        precisions, useful = [], 0
        for rank, passage in enumerate(self.passages, 1):
            useful += passage.useful
            if passage.useful:
                precisions.append(useful / rank)
        return sum(precisions) / len(precisions) if precisions else 0.0


@dataclass(frozen=True, slots=True)
class Preference:
    """Which of two answers is better, by the order in which the judge saw them."""

    reasons: tuple[str, ...]
    winner: Choice


Verdict = ClaimVerdicts | Faithfulness | RubricScore | GeneratedQuestions | JudgedPassages | Preference


def factual_f1(tp: int, fp: int, fn: int) -> float | None:
    """F1 over claims; None where all three counts are 0. It is not the Jaccard index TP / (TP + FP + FN).

    >>> factual_f1(2, 1, 1)
    0.6666666666666666
    """
    return 2 * tp / (2 * tp + fp + fn) if tp + fp + fn else None


def read_verdict(kind: Kind, reply: ChatReply, count: int | None = None) -> Verdict | Missing:
    """The verdict in a judge's reply, held to `schema_of` kind and count. Never raises for what a judge can say."""
    if reply.error is not None:
        reason = "timeout" if reply.timed_out else "content_filter" if "content_filter" in reply.error else "error"
        return Missing(reason, reply.error)
    if reply.finish_reason == "content_filter":
        return Missing("content_filter", "the server filtered the judge's answer")
    if reply.finish_reason == "length":
        return Missing("truncated", "the judge's answer was cut at its token limit")
    verdict = parse_verdict(kind, reply.text, count)
    if isinstance(verdict, RubricScore) and reply.logprobs is not None:
        weighted, mass = weighted_score(reply.logprobs)
        return RubricScore(verdict.score, verdict.reasons, weighted, mass)
    return verdict


def parse_verdict(kind: Kind, text: str, count: int | None = None) -> Verdict | Missing:
    """The verdict in ``text``: one JSON object, bare or alone in one code fence. Never raises for any text."""
    body = text.strip(" \t\r\n")
    if not body:
        return Missing("empty", "the judge gave no text")
    if fence := _FENCE.fullmatch(body):
        body = fence[1]
    try:
        # Grammars that enforce a schema let control characters into strings, where they do no harm.
        value = read_strict_json(body, unique_keys=True, control_characters=True)
    except (ValueError, RecursionError) as error:
        if _REFUSAL.match(body):
            return Missing("refusal", _one_line(body))
        return Missing("malformed", _one_line(f"not one JSON object: {error or type(error).__name__}"))
    try:
        verdict = _READERS[kind](value)
        if isinstance(verdict, JudgedPassages) and len(verdict.passages) != (count or len(verdict.passages)):
            raise _SchemaError(f"passages has {len(verdict.passages)} entries for {count} passages")
        return verdict
    except _SchemaError as error:
        return Missing("schema", _one_line(str(error)))


_FENCE = re.compile(r"```(?:json|JSON)?[ \t]*\r?\n(.*)\r?\n[ \t]*```", re.DOTALL)
_REFUSAL = re.compile(
    r"(i['’]?m (very )?sorry|i am sorry|sorry,|i can(no|['’])t|i can not|i['’]?m (unable|not able)"
    r"|i am (unable|not able)|i (won['’]t|will not|must decline)|as an ai\b|i apologi[sz]e)",
    re.IGNORECASE,
)


class _SchemaError(Exception):
    """Valid JSON that is not the verdict asked for."""


def _read_claims(value: object) -> ClaimVerdicts:
    claims = []
    for where, entry in _checked_entries(value, "claims", {"claim", "reason", "verdict"}, 0, MOST_CLAIMS):
        verdict = entry["verdict"]
        # Equality alone would hash or compare whatever JSON holds; the type comes first.
        if not isinstance(verdict, str) or verdict not in {"TP", "FP", "FN"}:
            raise _SchemaError(f"{where}.verdict is not TP, FP or FN")
        named: Outcome = "TP" if verdict == "TP" else "FP" if verdict == "FP" else "FN"
        claims.append(
            Claim(
                _checked_text(entry["claim"], f"{where}.claim"),
                _checked_text(entry["reason"], f"{where}.reason"),
                named,
            )
        )
    return ClaimVerdicts(tuple(claims))


def _read_faithfulness(value: object) -> Faithfulness:
    claims = []
    for where, entry in _checked_entries(value, "claims", {"claim", "reason", "supported"}, 0, MOST_CLAIMS):
        claim, reason = (
            _checked_text(entry["claim"], f"{where}.claim"),
            _checked_text(entry["reason"], f"{where}.reason"),
        )
        claims.append(SupportedClaim(claim, reason, _checked_truth(entry["supported"], f"{where}.supported")))
    return Faithfulness(tuple(claims))


def _read_score(value: object) -> RubricScore:
    entry = _checked_fields(value, "the verdict", {"reasons", "score"})
    score = entry["score"]
    if isinstance(score, bool) or not isinstance(score, int) or score not in SCORES:
        raise _SchemaError("score is not an integer from 1 to 5")
    return RubricScore(score, _checked_texts(entry["reasons"], "reasons", 1, MOST_REASONS))


def _read_questions(value: object) -> GeneratedQuestions:
    entry = _checked_fields(value, "the verdict", {"questions", "evasive"})
    return GeneratedQuestions(
        _checked_texts(entry["questions"], "questions", QUESTIONS, QUESTIONS),
        _checked_truth(entry["evasive"], "evasive"),
    )


def _read_passages(value: object) -> JudgedPassages:
    passages = []
    for where, entry in _checked_entries(value, "passages", {"reason", "useful"}, 1, MOST_PASSAGES):
        reason = _checked_text(entry["reason"], f"{where}.reason")
        passages.append(JudgedPassage(reason, _checked_truth(entry["useful"], f"{where}.useful")))
    return JudgedPassages(tuple(passages))


def _read_preference(value: object) -> Preference:
    entry = _checked_fields(value, "the verdict", {"reasons", "winner"})
    winners: dict[str, Choice] = {"first": "first", "second": "second", "tie": "tie"}
    winner = entry["winner"]
    if not isinstance(winner, str) or winner not in winners:
        raise _SchemaError("winner is not first, second or tie")
    return Preference(_checked_texts(entry["reasons"], "reasons", 1, MOST_REASONS), winners[winner])


_READERS: Mapping[Kind, Callable[[object], Verdict]] = {
    "claims": _read_claims,
    "faithfulness": _read_faithfulness,
    "rubric_score": _read_score,
    "questions": _read_questions,
    "passages": _read_passages,
    "preference": _read_preference,
}


def _checked_entries(
    value: object, name: str, names: set[str], least: int, most: int
) -> list[tuple[str, dict[str, Any]]]:
    entries = _checked_list(_checked_fields(value, "the verdict", {name})[name], name, least, most)
    return [(f"{name}[{i}]", _checked_fields(entry, f"{name}[{i}]", names)) for i, entry in enumerate(entries)]


def _checked_fields(value: object, where: str, names: set[str]) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _SchemaError(f"{where} is not an object")
    if missing := sorted(names - value.keys()):
        raise _SchemaError(f"{where} lacks {', '.join(missing)}")
    if value.keys() - names:
        raise _SchemaError(f"{where} holds more than {', '.join(sorted(names))}")
    return value


def _checked_list(value: object, where: str, least: int, most: int) -> list[Any]:
    if not isinstance(value, list):
        raise _SchemaError(f"{where} is not a list")
    if not least <= len(value) <= most:
        raise _SchemaError(f"{where} has {len(value)} entries, not {least} to {most}")
    return value


def _checked_texts(value: object, where: str, least: int, most: int) -> tuple[str, ...]:
    return tuple(
        _checked_text(text, f"{where}[{i}]") for i, text in enumerate(_checked_list(value, where, least, most))
    )


def _checked_text(value: object, where: str) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= LONGEST_TEXT:
        raise _SchemaError(f"{where} is not a text of 1 to {LONGEST_TEXT} characters")
    return writable(value)


def _checked_truth(value: object, where: str) -> bool:
    if not isinstance(value, bool):
        raise _SchemaError(f"{where} is not true or false")
    return value


def _one_line(text: str) -> str:
    return writable(" ".join(text.split())[:200])
