"""How far raters agree, whether a judge's error goes with the length of what it judged, and intervals of both.

A coefficient that the data leave undefined is None with a reason, never NaN. Sums of counts are exact, so that renaming
labels or swapping raters changes no digit. Intervals resample whole clusters: answers to one question are not
independent of each other.
"""

from __future__ import annotations

import math
import random
import statistics
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

Weights = Literal["none", "linear", "quadratic"]
Level = Literal["nominal", "ordinal", "interval"]

RESAMPLES = 1000
# Beyond this share of resamples without a value the percentiles of the others describe something else.
_MOST_UNDEFINED = 0.1
TAILS = (0.025, 0.975)


@dataclass(frozen=True, slots=True)
class Coefficient:
    """A coefficient over ``n`` items; ``value`` is None exactly where ``reason`` says why."""

    value: float | None
    n: int
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class CoefficientEstimate:
    """A coefficient over ``n`` labels with a 95 % interval; ``reason`` says why the value or the interval is None."""

    value: float | None
    low: float | None
    high: float | None
    n: int
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class LengthBias:
    """Correlations of (judge minus human) with length over ``n`` items; ``n_missing`` items had no judge score.

    ``mean_error`` is the judge's mean lead over the human, in points of the scale.
    """

    n: int
    n_missing: int
    mean_error: float | None
    pearson: Coefficient
    spearman: Coefficient


def mean_of(values: Sequence[float], absent: str) -> Coefficient:
    """The mean, by an exact sum; ``absent`` is the reason where there is no value.

    >>> mean_of([1.0, 0.25], "no pair"), mean_of([], "no pair")
    (Coefficient(value=0.625, n=2, reason=None), Coefficient(value=None, n=0, reason='no pair'))
    """
    return Coefficient(math.fsum(values) / len(values), len(values)) if values else Coefficient(None, 0, absent)


def percent_agreement(first: Sequence[Hashable], second: Sequence[Hashable]) -> Coefficient:
    """Share of items (0 to 1) that two raters label alike; items with a None are left out.

    >>> percent_agreement(["a", "b", "b", None], ["a", "b", "a", "a"])
    Coefficient(value=0.6666666666666666, n=3, reason=None)
    """
    pairs = _pairs(first, second)
    if not pairs:
        return Coefficient(None, 0, "no item has both labels")
    return Coefficient(sum(one == other for one, other in pairs) / len(pairs), len(pairs))


def cohen_kappa(
    first: Sequence[Hashable],
    second: Sequence[Hashable],
    weights: Weights = "none",
    scale: Sequence[Hashable] | None = None,
) -> Coefficient:
    """Cohen's kappa of two raters, at most 1; items with a None are left out.

    ``scale`` names every label in order and is needed for linear and quadratic weights: the distance of two labels is
    that of their positions, and a label that nobody gave still keeps its neighbours apart. Raises ValueError for
    unequal lengths, a missing scale, or a label outside it. Sources: Cohen 1960, 1968.
    """
    pairs = _pairs(first, second)
    if scale is None:
        if weights != "none":
            raise ValueError(f"{weights} weights need the scale: every label, in order")
        scale = tuple(dict.fromkeys(label for pair in pairs for label in pair))
    position = {label: index for index, label in enumerate(scale)}
    if stray := [label for pair in pairs for label in pair if label not in position]:
        raise ValueError(f"label {stray[0]!r} is not on the scale {list(scale)!r}")
    if not pairs:
        return Coefficient(None, 0, "no item has both labels")

    def distance(one: Hashable, other: Hashable) -> int:
        steps = abs(position[one] - position[other])
        return steps**2 if weights == "quadratic" else steps if weights == "linear" else int(steps > 0)

    rows, columns = Counter(one for one, _ in pairs), Counter(other for _, other in pairs)
    observed = sum(distance(one, other) for one, other in pairs)
    expected = sum(distance(one, other) * rows[one] * columns[other] for one in rows for other in columns)
    if not expected:
        return Coefficient(None, len(pairs), "both raters gave one and the same label throughout")
    return Coefficient(float(1 - Fraction(len(pairs) * observed, expected)), len(pairs))


def krippendorff_alpha(ratings: Sequence[Sequence[Hashable | None]], level: Level = "nominal") -> Coefficient:
    """Krippendorff's alpha of any number of raters, at most 1.

    ``ratings``: raters x units, None where a rater gave nothing. ``n`` counts the units that two raters or more rated;
    the others say nothing about agreement. Ordinal and interval take finite numbers. Raises ValueError for rows of
    unequal length or values that the level does not take. Source: Krippendorff, Computing Krippendorff's
    Alpha-Reliability, 2011.
    """
    if len({len(row) for row in ratings}) > 1:
        raise ValueError("the raters' rows differ in length: give None where a rater gave nothing")
    units = [[value for value in unit if value is not None] for unit in zip(*ratings, strict=True)]
    units = [unit for unit in units if len(unit) > 1]
    if level != "nominal":
        _check_numbers([value for unit in units for value in unit])
    if not units:
        return Coefficient(None, 0, "no unit has two ratings")
    totals = Counter(value for unit in units for value in unit)
    if len(totals) == 1:
        return Coefficient(None, len(units), "every rating is the same")
    distance = _distance(totals, level)
    observed = Fraction(0)
    # Units rated alike count together: there are few patterns of ratings, however many units.
    for pattern, times in Counter(frozenset(Counter(unit).items()) for unit in units).items():
        disagreement = sum(n * m * distance(one, other) for one, n in pattern for other, m in pattern)
        observed += times * Fraction(disagreement) / (sum(n for _, n in pattern) - 1)
    expected = sum(totals[one] * totals[other] * distance(one, other) for one in totals for other in totals)
    return Coefficient(float(1 - (totals.total() - 1) * observed / Fraction(expected)), len(units))


def length_bias(judge: Sequence[float | None], human: Sequence[float], lengths: Sequence[float]) -> LengthBias:
    """Whether the judge's error (judge minus human) rises with the answer's length, in any unit of length.

    Raises ValueError for unequal lengths of the lists and for numbers that are not finite.
    """
    triples = [triple for triple in zip(judge, human, lengths, strict=True) if triple[0] is not None]
    _check_numbers([value for triple in triples for value in triple])
    errors = [float(given) - float(true) for given, true, _ in triples if given is not None]
    sizes = [float(length) for _, _, length in triples]
    return LengthBias(
        n=len(triples),
        n_missing=len(judge) - len(triples),
        mean_error=math.fsum(errors) / len(errors) if errors else None,
        pearson=_correlation(errors, sizes, "the errors or the lengths are all the same"),
        spearman=_correlation(_ranks(errors), _ranks(sizes), "the errors or the lengths are all the same"),
    )


def spearman(first: Sequence[float | None], second: Sequence[float | None]) -> Coefficient:
    """Spearman's rank correlation of two raters, ties sharing their mean rank; items with a None are left out.

    Raises ValueError for unequal lengths and for numbers that are not finite.
    """
    pairs = [(one, other) for one, other in zip(first, second, strict=True) if one is not None and other is not None]
    _check_numbers([value for pair in pairs for value in pair])
    ones, others = [float(one) for one, _ in pairs], [float(other) for _, other in pairs]
    return _correlation(_ranks(ones), _ranks(others), "one of the raters gave the same number throughout")


def rank_auc(higher: Sequence[float], lower: Sequence[float]) -> float:
    """P(a value of ``higher`` > one of ``lower``) + ½ P(equal), exact over all pairs (Mann and Whitney 1947)."""
    import numpy as np

    ordered = np.sort(np.asarray(lower, np.float64))
    values = np.asarray(higher, np.float64)
    below = np.searchsorted(ordered, values, side="left") + np.searchsorted(ordered, values, side="right")
    return float(below.sum() / (2 * len(values) * len(ordered)))


def cluster_draws(clusters: Sequence[Hashable], resamples: int, seed: int) -> list[list[int]]:
    """Positions of the members of as many clusters as there are, drawn with replacement, ``resamples`` times."""
    members: dict[Hashable, list[int]] = {}
    for position, cluster in enumerate(clusters):
        members.setdefault(cluster, []).append(position)
    groups = list(members.values())
    source = random.Random(seed)
    return [[i for group in source.choices(groups, k=len(groups)) for i in group] for _ in range(resamples)]


def estimate(
    statistic: Callable[[Sequence[int]], Coefficient], clusters: Sequence[Hashable], draws: Sequence[Sequence[int]]
) -> CoefficientEstimate:
    """``statistic`` of all positions, with the 2.5th and 97.5th percentile of its values over ``draws``.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13 (percentile interval).
    """
    found = statistic(range(len(clusters)))
    if found.value is None:
        return CoefficientEstimate(None, None, None, found.n, found.reason)
    if len(set(clusters)) < 2:
        return CoefficientEstimate(found.value, None, None, found.n, "an interval needs two questions or more")
    import numpy as np

    values = sorted(value for draw in draws if (value := statistic(draw).value) is not None)
    if len(values) < (1 - _MOST_UNDEFINED) * len(draws) or not values:
        reason = f"no interval: undefined in {len(draws) - len(values)} of {len(draws)} resamples"
        return CoefficientEstimate(found.value, None, None, found.n, reason)
    # Linear between neighbours, as numpy.quantile has it, which differs in the last digit here and there.
    low, high = np.interp(np.multiply(TAILS, len(values) - 1), range(len(values)), values).tolist()
    return CoefficientEstimate(found.value, low, high, found.n)


def _pairs(first: Sequence[Hashable], second: Sequence[Hashable]) -> list[tuple[Hashable, Hashable]]:
    both = zip(first, second, strict=True)
    return [(one, other) for one, other in both if one is not None and other is not None]


def _check_numbers(values: Sequence[object]) -> None:
    for value in values:
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise ValueError(f"{value!r} is not a finite number")


def _distance(totals: Counter[Hashable], level: Level) -> Callable[[Hashable, Hashable], Fraction | int]:
    """The squared difference of two values; ordinal ones are apart by how many ratings lie between their middles."""
    if level == "nominal":
        return lambda one, other: int(one != other)
    if level == "interval":
        exact: dict[Hashable, Fraction] = {value: Fraction(value) for value in totals if isinstance(value, int | float)}
        return lambda one, other: (exact[one] - exact[other]) ** 2
    middle: dict[Hashable, Fraction] = {}
    below = 0
    for value in sorted(exact_value for exact_value in totals if isinstance(exact_value, int | float)):
        middle[value] = below + Fraction(totals[value], 2)
        below += totals[value]
    return lambda one, other: (middle[one] - middle[other]) ** 2


def _ranks(values: Sequence[float]) -> list[float]:
    """Ranks from 1; equal values share the mean of theirs."""
    counts = Counter(values)
    rank: dict[float, float] = {}
    below = 0
    for value in sorted(counts):
        rank[value] = below + (counts[value] + 1) / 2
        below += counts[value]
    return [rank[value] for value in values]


def _correlation(first: Sequence[float], second: Sequence[float], constant: str) -> Coefficient:
    n = len(first)
    if n < 2:
        return Coefficient(None, n, "fewer than two items")
    if len(set(first)) == 1 or len(set(second)) == 1:
        return Coefficient(None, n, constant)
    try:
        value = statistics.correlation(first, second)
    except (statistics.StatisticsError, OverflowError):
        value = math.nan
    if not math.isfinite(value):
        return Coefficient(None, n, "the numbers are too large or too close to correlate")
    return Coefficient(max(-1.0, min(1.0, value)), n)
