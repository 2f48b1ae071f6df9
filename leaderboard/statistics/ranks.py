"""k runs on the same items by their ranks: Friedman's test, average ranks, and what separates whom.

Blocks are items (or source documents), columns are runs. Metrics are never blocks: they are correlated, and a test that
takes them for independent finds differences where there are none.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from telbench.errors import InputError

from .multiplicity import holm
from .signed_rank import SMALLEST

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Friedman:
    """Friedman's test of equal runs on n blocks.

    ``mean_ranks``: 1 is best. ``chi_square`` is corrected for ties, ``chi_square_uncorrected`` is not; ``f`` is Iman
    and Davenport's statistic of the corrected one. ``kendall_w`` (0 to 1) is the effect size: with many blocks p is
    always tiny, and W says how much the ranks agree. A p-value too small for a number is written as 1e-300; where all
    blocks agree F is infinite, and ``p_f`` is the exact chance of that.
    """

    n: int
    mean_ranks: tuple[float, ...]
    chi_square: float
    chi_square_uncorrected: float
    p: float
    f: float | None
    p_f: float
    kendall_w: float

    def to_dict(self) -> dict[str, Any]:
        """As a JSON record."""
        return asdict(self)


def block_ranks(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mid-ranks within each block, shape (n, k); the highest score has rank 1. Negate where lower is better."""
    import numpy as np

    n, k = scores.shape
    order = np.argsort(-scores, axis=1, kind="stable")
    ordered = np.take_along_axis(-scores, order, axis=1)
    starts = np.ones((n, k), bool)
    starts[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    group = np.cumsum(starts, axis=1) - 1 + np.arange(n)[:, None] * k
    positions = np.broadcast_to(np.arange(1, k + 1, dtype=np.float64), (n, k))
    sums = np.bincount(group.ravel(), weights=positions.ravel(), minlength=n * k)
    counts = np.bincount(group.ravel(), minlength=n * k)
    middle = (sums / np.maximum(counts, 1))[group]
    ranks = np.empty((n, k))
    np.put_along_axis(ranks, order, middle, axis=1)
    return ranks


def friedman(scores: NDArray[np.float64]) -> Friedman:
    """Friedman's test on complete blocks, shape (n, k), higher is better; round before, so that ties are ties.

    chi^2 = 12 n / (k (k + 1)) (sum R^2 - k (k + 1)^2 / 4), divided by 1 - sum (t^3 - t) / (n k (k^2 - 1)) for ties; F =
    (n - 1) chi^2 / (n (k - 1) - chi^2) with k - 1 and (k - 1) (n - 1) degrees of freedom; W = chi^2 / (n (k - 1)).
    Sources: Friedman 1937; Iman and Davenport 1980; Kendall and Smith 1939.

    Raises:
        InputError: for fewer than three runs (compare two as a pair) or no block.
    """
    # Tails from `special`: all of `scipy.stats` takes most of a second to import.
    from scipy import special

    n, k = scores.shape
    if k < 3 or not n:
        raise InputError(f"Friedman's test needs three or more runs on at least one item, not {k} on {n}")
    ranks = block_ranks(scores)
    mean = ranks.mean(axis=0)
    plain = 12 * n / (k * (k + 1)) * (float((mean**2).sum()) - k * (k + 1) ** 2 / 4)
    # The sum of squared mid-ranks falls short of that of plain ranks by sum (t^3 - t) / 12.
    ties = 12 * (n * k * (k + 1) * (2 * k + 1) / 6 - float((ranks**2).sum()))
    correction = 1 - ties / (n * k * (k * k - 1))
    if correction <= 1e-12:
        return Friedman(n, tuple(mean.tolist()), 0.0, 0.0, 1.0, 0.0, 1.0, 0.0)
    chi_square = max(0.0, plain / correction)
    room = n * (k - 1) - chi_square
    f = None if room <= 1e-9 * n * (k - 1) else (n - 1) * chi_square / room
    p_f = _agreement(ranks) if f is None else max(SMALLEST, float(special.fdtrc(k - 1, (k - 1) * (n - 1), f)))
    return Friedman(
        n,
        tuple(mean.tolist()),
        chi_square,
        max(0.0, plain),
        max(SMALLEST, float(special.chdtrc(k - 1, chi_square))),
        f,
        p_f,
        min(1.0, chi_square / (n * (k - 1))),
    )


def _agreement(ranks: NDArray[np.float64]) -> float:
    """The chance that all blocks order the runs as the first does, where F is infinite; 1 for one block alone."""
    import numpy as np

    n, k = ranks.shape
    _, ties = np.unique(ranks[0], return_counts=True)
    orders = math.lgamma(k + 1) - sum(math.lgamma(count + 1) for count in ties.tolist())
    return max(SMALLEST, math.exp(-(n - 1) * orders))


def critical_difference(k: int, n: int, alpha: float = 0.05) -> float:
    """Nemenyi's critical difference of average ranks: q / sqrt(2) * sqrt(k (k + 1) / (6 n)).

    q is the upper quantile of the studentised range of k for infinite degrees of freedom. Two runs differ
    significantly where their average ranks are at least that far apart. It depends on k, and so on which other runs
    are on the board. Sources: Nemenyi 1963; Demsar 2006.
    """
    return _range_quantile(k, alpha) / math.sqrt(2) * math.sqrt(k * (k + 1) / (6 * n))


@lru_cache(maxsize=64)
def _range_quantile(k: int, alpha: float) -> float:
    """Where P(Q <= q) = k times the integral of phi(z) (Phi(z) - Phi(z - q))^(k - 1) is 1 - alpha.

    The trapezoid rule has all digits: the integrand is smooth and vanishes at both ends.
    """
    import numpy as np
    from scipy import special

    z = np.linspace(-9.0, 20.0, 2901)
    weights = k * (z[1] - z[0]) * np.exp(-z * z / 2) / math.sqrt(2 * math.pi)
    low, high = 0.0, 40.0
    for _ in range(60):
        middle = (low + high) / 2
        below = float((weights * (special.ndtr(z) - special.ndtr(z - middle)) ** (k - 1)).sum())
        low, high = (middle, high) if below < 1 - alpha else (low, middle)
    return (low + high) / 2


def nemenyi(result: Friedman) -> list[list[float]]:
    """Two-sided p-values of all pairs, shape (k, k), corrected for all pairs by the studentised range."""
    from scipy import stats

    k = len(result.mean_ranks)
    unit = math.sqrt(k * (k + 1) / (6 * result.n))
    distances = [[abs(one - other) / unit * math.sqrt(2) for other in result.mean_ranks] for one in result.mean_ranks]
    return [[float(stats.studentized_range.sf(d, k, math.inf)) if d else 1.0 for d in row] for row in distances]


def conover(scores: NDArray[np.float64]) -> list[list[float]]:
    """Conover's test of all pairs after Friedman, Holm-adjusted, shape (k, k).

    t = |R_i - R_j| / sqrt(2 (n A - sum R^2) / ((n - 1) (k - 1))) on rank sums R with A the sum of squared ranks, on (n
    - 1) (k - 1) degrees of freedom. Source: Conover 1999, section 5.8.
    """
    from scipy import stats

    ranks = block_ranks(scores)
    n, k = ranks.shape
    sums = ranks.sum(axis=0)
    freedom = (n - 1) * (k - 1)
    spread = 2 * (n * float((ranks**2).sum()) - float((sums**2).sum())) / freedom if freedom else 0.0
    pairs = [(i, j) for i in range(k) for j in range(i + 1, k)]
    raw = []
    for i, j in pairs:
        distance = abs(float(sums[i] - sums[j]))
        # Without spread the ranks are the same in every block: any difference is certain.
        score = distance / math.sqrt(spread) if spread > 1e-9 else math.inf if distance else 0.0
        raw.append(float(2 * stats.t.sf(score, freedom)))
    return symmetric(k, dict(zip(pairs, holm(raw), strict=True)))


def symmetric(k: int, values: dict[tuple[int, int], float]) -> list[list[float]]:
    """A symmetric matrix of pairs (i < j), 1 on the diagonal."""
    return [[1.0 if i == j else values[min(i, j), max(i, j)] for j in range(k)] for i in range(k)]


def rank_ranges(better: Sequence[Sequence[bool]]) -> list[tuple[int, int]]:
    """The ranks that each run may have: 1 + those significantly better, k - those significantly worse.

    ``better[i][j]``: run i is significantly better than run j, after correction for all pairs; the ranges then hold
    together at that level. Source of the idea: Mogstad, Romano, Shaikh and Wilhelm 2024.
    """
    k = len(better)
    return [(1 + sum(better[j][i] for j in range(k)), k - sum(better[i][j] for j in range(k))) for i in range(k)]


def letter_groups(order: Sequence[int], differs: Sequence[Sequence[bool]]) -> list[str]:
    """Letters by run: two runs share one exactly where they are not significantly different.

    ``order`` lists the runs from best to worst, so that the best has an "a". Insert and absorb: Piepho 2004.
    """
    k = len(order)
    columns: list[set[int]] = [set(order)]
    for i in range(k):
        for j in range(i + 1, k):
            one, other = order[i], order[j]
            if not differs[one][other] or not any(one in column and other in column for column in columns):
                continue
            split: list[set[int]] = []
            for column in columns:
                split += [column - {one}, column - {other}] if one in column and other in column else [column]
            columns = [
                column
                for index, column in enumerate(split)
                if not any(column < rest or (column == rest and place < index) for place, rest in enumerate(split))
            ]
    position = {run: index for index, run in enumerate(order)}
    columns.sort(key=lambda column: sorted(position[run] for run in column))
    letters = [""] * k
    for index, column in enumerate(columns):
        for run in column:
            letters[run] += _letter(index)
    return letters


def _letter(index: int) -> str:
    return "abcdefghijklmnopqrstuvwxyz"[index % 26] + ("" if index < 26 else str(index // 26))


def cliques(
    order: Sequence[int], differs: Sequence[Sequence[bool]]
) -> tuple[list[tuple[int, ...]], list[tuple[int, int]]]:
    """The bars of a critical-difference diagram, and the pairs without a difference that no bar shows.

    A bar joins a longest run of neighbours (in ``order``) without any significant pair among them. Pairwise tests may
    find no difference between two runs with a significant one in between: those pairs are listed, not drawn.
    """
    k = len(order)
    bars: list[tuple[int, int]] = []
    for start in range(k):
        end = start
        while end + 1 < k and not any(differs[order[i]][order[end + 1]] for i in range(start, end + 1)):
            end += 1
        if end > start and not any(first <= start and end <= last for first, last in bars):
            bars.append((start, end))
    shown = {(i, j) for first, last in bars for i in range(first, last + 1) for j in range(i + 1, last + 1)}
    hidden = [
        (order[i], order[j])
        for i in range(k)
        for j in range(i + 1, k)
        if not differs[order[i]][order[j]] and (i, j) not in shown
    ]
    return [tuple(order[first : last + 1]) for first, last in bars], hidden
