"""Two runs, one metric, item paired with item: everything that is said about the difference, in one record.

`paired_difference` makes that record. Two parts of it are for metrics that are right or wrong alone: McNemar's exact
test (`mcnemar`), and the interval of a difference of paired proportions (`paired_difference_interval`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from . import sign_flip
from .clusters import FEW_CLUSTERS, Clustered, Summed, clustered, documents
from .power import ALPHA, POWER
from .sign_flip import normal_quantile
from .signed_rank import SMALLEST, hodges_lehmann, signed_rank
from .skew import Carrier, named_carriers

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# Scores are rounded to so many decimals after subtracting: rounding errors must not break ties.
TIE_DECIMALS = 9
# Fewer differences other than 0 cannot carry a claim.
FEW_ITEMS = 6
MANY_TIES = 0.5


@dataclass(frozen=True)
class McNemar:
    """``gained`` items only the run has right, ``lost`` only the other; exact and mid-p two-sided p-values."""

    gained: int
    lost: int
    p_exact: float
    p_mid: float


@dataclass(frozen=True)
class Power:
    """For a test at ``alpha`` with ``power``, from the spread of the differences at hand.

    ``detectable``: the smallest true mean difference that a two-sided test would find so often. ``margin``: the
    smallest non-inferiority margin that a one-sided test would confirm so often for an unchanged model.
    """

    alpha: float
    power: float
    n: int
    design_effect: float
    detectable: float | None
    margin: float | None

    def to_dict(self) -> dict[str, Any]:
        """As a JSON record."""
        return asdict(self)


@dataclass(frozen=True)
class PairedDifference:
    """Run minus other in one metric, the sign turned so that a positive difference is better.

    ``delta`` is the mean difference over items, with its interval (``ci_low``, ``ci_high``) and p-value (``p_mean``)
    from the cluster sign-flip test. ``p_wilcoxon`` is the signed-rank test, of cluster means where items are clustered;
    for binary metrics without clusters it is McNemar's exact test. ``hodges_lehmann``, ``rank_biserial`` (-1 to 1) and
    ``superiority`` are effect sizes; the last is the share of items on which the run is better, ties counting half.
    ``flags`` are warnings: ``identical``, ``sign_conflict`` (mean and ranks point in opposite directions, at least one
    of them significantly), ``few_items``, ``few_clusters``, ``many_ties``, ``dominated``: few source documents carry
    the spread, and ``carriers`` are the largest of them (`skew`).
    """

    n: int
    n_nonzero: int
    wins: int
    ties: int
    losses: int
    delta: float
    standard_error: float | None
    ci_low: float | None
    ci_high: float | None
    p_mean: float
    p_wilcoxon: float
    wilcoxon: str
    hodges_lehmann: float
    rank_biserial: float | None
    superiority: float
    clusters: int
    effective_clusters: float
    intracluster_correlation: float | None
    design_effect: float | None
    power: Power
    mcnemar: McNemar | None
    level: float
    flags: tuple[str, ...]
    carriers: tuple[Carrier, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """As a JSON record."""
        return asdict(self)


def differences_of(
    run: NDArray[np.float64], other: NDArray[np.float64], *, higher_is_better: bool = True
) -> NDArray[np.float64]:
    """Run minus other, positive where the run is better, rounded to `TIE_DECIMALS`."""
    import numpy as np

    # Adding 0.0 takes the sign off a rounded zero.
    return np.round((run - other) if higher_is_better else (other - run), TIE_DECIMALS) + 0.0


def paired_difference(
    differences: NDArray[np.float64],
    clusters: Sequence[str] | None = None,
    *,
    level: float = 0.95,
    adjusted_wald: bool = True,
) -> PairedDifference:
    """All of `PairedDifference` from differences that `differences_of` gives, with the cluster of each item.

    Without ``adjusted_wald`` binary metrics without clusters, too, have the interval that inverts the sign-flip test.
    """
    known = None if clusters is None else documents(clusters)
    data = clustered(differences, known)
    return paired_differences([data], [None if known is None else known.names], level, adjusted_wald=adjusted_wald)[0]


def paired_differences(
    data: Sequence[Clustered],
    names: Sequence[Sequence[str] | None],
    level: float = 0.95,
    *,
    adjusted_wald: bool = False,
    estimates: bool = True,
) -> list[PairedDifference]:
    """`paired_difference` of many at once, with the ``names`` of the clusters of each, in order.

    The records are those of one after the other, to the last bit. Without ``estimates``, which take most of
    the time, ``hodges_lehmann`` is NaN and there is no interval.
    """
    import numpy as np

    p = [float(sign_flip.two_sided(each.sums)) for each in data]
    inverted = sign_flip.intervals(data, [level] * len(data), p) if estimates else [None] * len(data)
    found = []
    for each, own, chance, ends in zip(data, names, p, inverted, strict=True):
        values = each.differences
        wins, losses = int((values > 0).sum()), int((values < 0).sum())
        binary = bool(np.isin(values, (-1.0, 0.0, 1.0)).all())
        wald = adjusted_wald and binary and each.groups == each.n
        interval = paired_difference_interval(wins, losses, each.n, level) if wald else ends
        found.append(_record(each, own, wins, losses, chance, interval, level, binary=binary, estimates=estimates))
    return found


def _record(
    data: Clustered,
    names: Sequence[str] | None,
    wins: int,
    losses: int,
    p_mean: float,
    interval: tuple[float, float] | None,
    level: float,
    *,
    binary: bool,
    estimates: bool,
) -> PairedDifference:
    import numpy as np

    values, separate = data.differences, data.groups == data.n
    exact = mcnemar(wins, losses) if binary else None
    ranked = signed_rank(values if separate else np.round(data.sums / data.sizes, TIE_DECIMALS))
    by_item = ranked if separate else signed_rank(values)
    p_wilcoxon = exact.p_exact if exact is not None and separate else ranked.p
    few = wins + losses >= FEW_ITEMS and data.effective_groups >= FEW_CLUSTERS and data.dominated
    named = [str(place) for place in range(data.n)] if few and names is None else names or ()
    return PairedDifference(
        n=data.n,
        n_nonzero=wins + losses,
        wins=wins,
        ties=data.n - wins - losses,
        losses=losses,
        delta=data.mean,
        standard_error=data.standard_error,
        ci_low=None if interval is None else interval[0],
        ci_high=None if interval is None else interval[1],
        p_mean=p_mean,
        p_wilcoxon=p_wilcoxon,
        wilcoxon="mcnemar exact" if exact is not None and separate else f"signed rank, wilcox, {ranked.method}",
        hodges_lehmann=hodges_lehmann(values) if estimates else math.nan,
        rank_biserial=by_item.rank_biserial,
        superiority=(wins + (data.n - wins - losses) / 2) / data.n,
        clusters=data.groups,
        effective_clusters=data.effective_groups,
        intracluster_correlation=data.intracluster_correlation,
        design_effect=data.design_effect,
        power=power_of(data, 1 - level),
        mcnemar=exact,
        level=level,
        flags=(*_flags(data, wins, losses, by_item.rank_biserial, p_mean, p_wilcoxon, 1 - level), *["dominated"] * few),
        carriers=tuple(named_carriers(data, named)) if few else (),
    )


def mcnemar(gained: int, lost: int) -> McNemar:
    """The exact test of equal error rates: a sign test of the items on which the two differ.

    Two-sided p = 2 P(X <= min), X binomial with probability 1/2; mid-p takes half of the probability of the observed
    count off. Sources: McNemar 1947; Fagerland, Lydersen and Laake 2013 (mid-p).
    """
    total = gained + lost
    if not total:
        return McNemar(gained, lost, 1.0, 1.0)
    if gained == lost:
        return McNemar(gained, lost, 1.0, 1.0)
    from scipy.special import betaincc

    # A beta function takes the same time for any number of pairs; summed whole numbers took 11 s for 12,000.
    fewer = min(gained, lost)
    below = float(betaincc(fewer, total - fewer + 1, 0.5)) if fewer else 0.0
    up_to = float(betaincc(fewer + 1, total - fewer, 0.5))
    exact, mid = min(1.0, 2 * up_to), up_to + below
    return McNemar(gained, lost, max(SMALLEST, exact), max(SMALLEST, mid))


def paired_difference_interval(gained: int, lost: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """Interval of the difference of two paired proportions, from -1 to 1.

    Bonett and Price's adjusted Wald: with p = (gained + 1) / (n + 2) and q = (lost + 1) / (n + 2), p - q plus and minus
    z sqrt((p + q - (p - q)^2) / (n + 2)). Source: Bonett and Price 2012.
    """
    z = normal_quantile((1 + level) / 2)
    p, q = (gained + 1) / (n + 2), (lost + 1) / (n + 2)
    half = z * math.sqrt(max(0.0, p + q - (p - q) ** 2) / (n + 2))
    return max(-1.0, p - q - half), min(1.0, p - q + half)


def power_of(data: Clustered, alpha: float = ALPHA, power: float = POWER) -> Power:
    """What these items could show: (z_{1-alpha/2} + z_{power}) times the cluster-robust standard error.

    Source: Miller 2024 (Adding Error Bars to Evals), section 5, with the clusters' design effect.
    """
    error = data.standard_error
    one_sided = normal_quantile(1 - alpha) + normal_quantile(power)
    return Power(
        alpha,
        power,
        data.n,
        data.design_effect or 1.0,
        detectable(data, alpha, power),
        None if error is None else one_sided * error,
    )


def detectable(data: Summed, alpha: float = ALPHA, power: float = POWER) -> float | None:
    """The smallest true mean difference that a two-sided test at ``alpha`` finds so often; None with one cluster."""
    error = data.standard_error
    return None if error is None else (normal_quantile(1 - alpha / 2) + normal_quantile(power)) * error


def _flags(
    data: Clustered, wins: int, losses: int, rank_biserial: float | None, p_mean: float, p_ranks: float, alpha: float
) -> tuple[str, ...]:
    flags = []
    if wins + losses == 0:
        return ("identical",)
    opposite = rank_biserial is not None and rank_biserial * data.mean < 0
    if opposite and (p_mean <= alpha or p_ranks <= alpha):
        flags.append("sign_conflict")
    if wins + losses < FEW_ITEMS:
        flags.append("few_items")
    if data.effective_groups < FEW_CLUSTERS:
        flags.append("few_clusters")
    if data.n - wins - losses > MANY_TIES * data.n:
        flags.append("many_ties")
    return tuple(flags)
