"""What a judge said, as a typed record, or why there is nothing to go by: missing with a reason, never a score of 0."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from .position_bias import Choice

Outcome = Literal["TP", "FP", "FN"]
Reason = Literal[
    "timeout", "refusal", "tool_calls", "malformed", "schema", "content_filter", "truncated", "empty", "error"
]


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


@dataclass(frozen=True, slots=True)
class JointVerdict:
    """Verdicts of several kinds in one reply, by their kinds; None where that kind was not asked for."""

    claims: ClaimVerdicts | Missing | None = None
    faithfulness: Faithfulness | Missing | None = None
    rubric_score: RubricScore | Missing | None = None

    @property
    def lacking(self) -> dict[str, Missing]:
        """Kinds that were asked for and not given, and why."""
        parts = {"claims": self.claims, "faithfulness": self.faithfulness, "rubric_score": self.rubric_score}
        return {kind: part for kind, part in parts.items() if isinstance(part, Missing)}


Verdict = ClaimVerdicts | Faithfulness | RubricScore | GeneratedQuestions | JudgedPassages | Preference | JointVerdict


def part_of(verdict: Verdict | Missing, kind: str) -> Verdict | Missing:
    """The verdict of one kind: itself, or the part of a joint one; missing where that part was not asked for."""
    if not isinstance(verdict, JointVerdict):
        return verdict
    part: Verdict | Missing | None = getattr(verdict, kind)
    return Missing("error", f"{kind} was not asked for") if part is None else part


def lacks(verdict: Verdict | Missing) -> Missing | None:
    """Why a verdict, or the first part that lacks of a joint one, is missing; None for a whole one."""
    if isinstance(verdict, JointVerdict):
        return next(iter(verdict.lacking.values()), None)
    return verdict if isinstance(verdict, Missing) else None


def weighted_by(verdict: Verdict | Missing, weighted: float | None, mass: float | None) -> Verdict | Missing:
    """The verdict with its score, alone or as a part, weighted by the judge's probabilities; others as they are."""
    if isinstance(verdict, RubricScore):
        return replace(verdict, weighted=weighted, mass=mass)
    if isinstance(verdict, JointVerdict) and isinstance(verdict.rubric_score, RubricScore):
        return replace(verdict, rubric_score=replace(verdict.rubric_score, weighted=weighted, mass=mass))
    return verdict


def factual_f1(tp: int, fp: int, fn: int) -> float | None:
    """F1 over claims; None where all three counts are 0. It is not the Jaccard index TP / (TP + FP + FN).

    >>> factual_f1(2, 1, 1)
    0.6666666666666666
    """
    return 2 * tp / (2 * tp + fp + fn) if tp + fp + fn else None
