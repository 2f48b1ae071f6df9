"""Whether a judge tells right answers from wrong ones: sensitivity, specificity and AUC, of all answers and by system.

A judge calls an answer right where its score, rounded half up, is `RIGHT_SCORE` or more.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

from .agreement import (
    RESAMPLES,
    TAILS,
    Coefficient,
    CoefficientEstimate,
    cluster_draws,
    estimate,
    rank_auc,
)
from .labelled import RIGHT_SCORE, Label

NO_REASON = "no reason given"
NONE_RIGHT, NONE_WRONG = "no right answer was judged", "no wrong answer was judged"


@dataclass(frozen=True, slots=True)
class DiagnosticRow:
    """The answers of one system, or of all (``system`` None): how many of the judged are right and wrong by the labels.

    ``sensitivity`` is the share of right answers that the judge calls right, ``specificity`` that of wrong ones that it
    calls wrong, ``auc`` the chance that a right answer has the higher score, ties as a half.
    """

    system: str | None
    right: int
    wrong: int
    missing: Mapping[str, int]
    sensitivity: CoefficientEstimate
    specificity: CoefficientEstimate
    auc: CoefficientEstimate


def diagnostic_rows(
    labels: Sequence[Label],
    scores: Sequence[float | None],
    reasons: Sequence[str | None] = (),
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> tuple[DiagnosticRow, ...]:
    """The row of all answers, then one a system, in the order of the labels; empty where no label has a verdict.

    ``scores`` are a judge's, 1 to 5, one a label; where it gave none ``reasons`` says why.
    """
    labelled = [i for i, label in enumerate(labels) if label.verdict is not None]
    systems = dict.fromkeys(system for i in labelled if (system := labels[i].system) is not None)
    groups: list[tuple[str | None, list[int]]] = [(None, labelled)]
    groups += [(system, [i for i in labelled if labels[i].system == system]) for system in systems]
    rows = []
    for system, members in groups if labelled else ():
        told = [reasons[i] if reasons else None for i in members if scores[i] is None]
        judged = [(labels[i], score) for i in members if (score := scores[i]) is not None]
        missing = dict(sorted(Counter(reason or NO_REASON for reason in told).items()))
        rows.append(_row(system, judged, missing, seed, resamples))
    return tuple(rows)


def share_estimate(hits: Sequence[bool], clusters: Sequence[Hashable], absent: str) -> CoefficientEstimate:
    """A share, with Wilson's 95 % interval for as many independent answers as would vary as much as these clusters do.

    Where all are alike nothing varies, and only the clusters are counted: a bootstrap would claim certainty there.
    ``absent`` is the reason where there is no answer. Sources: Wilson 1927; Kish 1965 (effective sample size).

    >>> found = share_estimate([True] * 8 + [False] * 2, range(10), "no answer")
    >>> found.value, round(found.low, 3), round(found.high, 3)
    (0.8, 0.49, 0.943)
    """
    n = len(hits)
    if not n:
        return CoefficientEstimate(None, None, None, 0, absent)
    share = sum(hits) / n
    deviations: dict[Hashable, float] = {}
    for hit, cluster in zip(hits, clusters, strict=True):
        deviations[cluster] = deviations.get(cluster, 0.0) + hit - share
    variance = math.fsum(each**2 for each in deviations.values()) / n**2
    size = min(n, share * (1 - share) / variance) if 0 < share < 1 and variance > 0 else len(deviations)
    z = NormalDist().inv_cdf(TAILS[1])
    middle = (share + z**2 / (2 * size)) / (1 + z**2 / size)
    half = z / (1 + z**2 / size) * math.sqrt(share * (1 - share) / size + z**2 / (4 * size**2))
    return CoefficientEstimate(share, max(0.0, middle - half), min(1.0, middle + half), n)


def _row(
    system: str | None, judged: Sequence[tuple[Label, float]], missing: Mapping[str, int], seed: int, resamples: int
) -> DiagnosticRow:
    right = [(label.cluster, score) for label, score in judged if label.verdict]
    wrong = [(label.cluster, score) for label, score in judged if not label.verdict]
    clusters = [label.cluster for label, _ in judged]

    def auc(at: Sequence[int]) -> Coefficient:
        drawn = [judged[i] for i in at]
        higher = [score for label, score in drawn if label.verdict]
        lower = [score for label, score in drawn if not label.verdict]
        if not higher or not lower:
            return Coefficient(None, len(drawn), NONE_WRONG if higher else NONE_RIGHT)
        return Coefficient(rank_auc(higher, lower), len(drawn))

    return DiagnosticRow(
        system,
        len(right),
        len(wrong),
        missing,
        share_estimate([_called_right(score) for _, score in right], [cluster for cluster, _ in right], NONE_RIGHT),
        share_estimate([not _called_right(score) for _, score in wrong], [cluster for cluster, _ in wrong], NONE_WRONG),
        estimate(auc, clusters, cluster_draws(clusters, resamples, seed)),
    )


def _called_right(score: float) -> bool:
    return math.floor(score + 0.5) >= RIGHT_SCORE
