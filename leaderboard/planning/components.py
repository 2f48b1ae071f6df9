"""Where the variance of paired differences comes from: documents, items, single answers, seeds or judges.

The model of the difference of item i (of document c) in replicate s is d = mean + document_c + item_i + replicate_s +
rest_is, all of them random, with replicates (training seeds, or the judges of a panel) crossed with items. Items that
lack a replicate must have been left out. In such balanced data the components of restricted maximum likelihood come
apart: that of the rest is the mean square of what items and replicates leave, those of documents and items follow from
the items' means, and that of replicates from the replicates' means (Searle, Casella and McCulloch 1992, chapter 4).
The items' means are given to statsmodels' mixed model; documents may have any sizes.

A component that these data cannot show is absent, with the reason, and never 0: its upper bound tells how large it may
still be.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from ..statistics.clusters import Clustered, clustered
from ..statistics.paired import FEW_ITEMS

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# Intervals of components hold the true one in nine of ten samples from normal populations.
LEVEL = 0.9
# A share of documents below which the mixed model has run into its bound of 0.
_BOUND = 1e-3
# Scores are known to no more.
_SAME = 1e-9
MIXED = "mixed model, restricted maximum likelihood"
ANOVA = "analysis of variance"


@dataclass(frozen=True)
class Component:
    """A variance in squares of the metric's unit (or a share of one) with 90 % bounds.

    ``value`` is None, with the ``reason``, where it is not known; its bounds may be known all the same.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    reason: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """As a JSON record."""
        return asdict(self)


@dataclass(frozen=True)
class Components:
    """Variance of differences by where it comes from; ``method`` says how documents and items were told apart.

    ``item`` includes the rest where there is one replicate only, which ``item_holds_rest`` says. ``share`` is that of
    documents in the variance of an item's mean difference (the correlation within documents), with 90 % bounds.
    """

    document: Component
    item: Component
    rest: Component
    replicate: Component
    share: Component
    method: str
    item_holds_rest: bool

    def to_dict(self) -> dict[str, Any]:
        """As a JSON record."""
        return asdict(self)


def components_of(
    values: NDArray[np.float64], clusters: NDArray[np.int64], replicate: str = "seed", few: str = ""
) -> Components:
    """Components of differences, shape (items, replicates), of items in these clusters.

    ``replicate`` is what the columns are called, ``few`` the reason to give where there is but one.
    """
    import numpy as np

    count, columns = values.shape
    data = clustered(values.mean(axis=1), clusters)
    split = _split(data)
    if columns == 1:
        unknown = Component(None, reason=few or f"one {replicate} only")
        return Components(split.document, split.item, unknown, unknown, split.share, split.method, True)
    if float(np.ptp(values, axis=1).max()) <= _SAME:
        same = Component(None, reason=f"identical with every {replicate}")
        return Components(split.document, split.item, same, same, split.share, split.method, False)
    rest = _rest(values)
    low, high = (rest * bound for bound in variance_bounds((count - 1) * (columns - 1)))
    item = split.item
    if item.value is not None:
        own = item.value - rest / columns
        item = Component(own) if own > 0 else Component(None, reason="not larger than what single answers vary by")
    seeds = _replicates(values, rest, replicate)
    return Components(split.document, item, Component(rest, low, high), seeds, split.share, split.method, False)


def variance_bounds(freedom: float, level: float = LEVEL) -> tuple[float, float]:
    """What to multiply an estimated variance by for its interval, by the chi-squared distribution."""
    from scipy.stats import chi2

    return freedom / float(chi2.ppf((1 + level) / 2, freedom)), freedom / float(chi2.ppf((1 - level) / 2, freedom))


def _rest(values: NDArray[np.float64]) -> float:
    """The mean square of what items and replicates leave."""
    left = values - values.mean(axis=1, keepdims=True) - values.mean(axis=0, keepdims=True) + values.mean()
    return float((left**2).sum()) / ((values.shape[0] - 1) * (values.shape[1] - 1))


def _replicates(values: NDArray[np.float64], rest: float, replicate: str) -> Component:
    """The variance of the replicates' own effect: that of their means, less what single answers add to it."""
    count, columns = values.shape
    means = float(values.mean(axis=0).var(ddof=1))
    noise = rest / count
    low, high = (max(0.0, means * bound - noise) for bound in variance_bounds(columns - 1))
    if means <= noise:
        return Component(None, None, high, f"{columns} {replicate}s differ no more than single answers make them")
    return Component(means - noise, low, high)


@dataclass(frozen=True)
class _Split:
    """Items' means taken apart: documents, items with what their replicates add, the share of documents."""

    document: Component
    item: Component
    share: Component
    method: str


def _split(data: Clustered) -> _Split:
    differ = int((data.differences != 0).sum())
    hindrances = {
        "all items are of one document": data.groups < 2,
        "no two items share a document": data.groups == data.n,
        "all differences are the same": not data.deviation,
        f"too few items differ: {differ} of {data.n}, it takes {FEW_ITEMS}": differ < FEW_ITEMS,
    }
    reason = next((reason for reason, holds in hindrances.items() if holds), None)
    if reason is not None:
        unknown = Component(None, reason=reason)
        return _Split(unknown, unknown, unknown, "none")
    low, high = share_bounds(data)
    found, why = _fitted(data)
    method = MIXED
    if found is None:
        found, method = _by_anova(data), f"{ANOVA} ({why})"
    document, item = found
    total = document + item
    share = document / total if total > 0 else 0.0
    limit = None if high is None else max(high, share)
    if share >= 1 - _BOUND:
        unknown = Component(None, reason="items of a document do not differ from one another")
        return _Split(unknown, unknown, unknown, method)
    if share <= _BOUND:
        alike = "items of a document are no more alike than others"
        upper = None if limit is None else limit * total
        return _Split(Component(None, None, upper, alike), Component(item), Component(None, None, limit, alike), method)
    least = None if low is None else min(low, share)
    lower, upper = (None if bound is None else bound * total for bound in (least, limit))
    return _Split(Component(document, lower, upper), Component(item), Component(share, least, limit), method)


def _by_anova(data: Clustered) -> tuple[float, float]:
    """(document, item) by the method of moments; the first is 0 where it would be negative."""
    between, within, typical = _mean_squares(data)
    return max(0.0, (between - within) / typical), within


def _fitted(data: Clustered) -> tuple[tuple[float, float] | None, str]:
    """(document, item) by the mixed model; or None, and why."""
    try:
        from statsmodels.regression.mixed_linear_model import MixedLM
        from statsmodels.tools.sm_exceptions import ConvergenceWarning
    except ImportError:
        return None, "statsmodels is not installed: pip install 'telbench[stats]'"
    import numpy as np

    deviation = data.deviation or 1.0
    scaled = (data.differences - data.mean) / deviation
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        try:
            fit = MixedLM(scaled, np.ones((data.n, 1)), groups=data.membership).fit(reml=True)
            document, item = float(fit.cov_re[0, 0]) * deviation**2, float(fit.scale) * deviation**2
        except (ValueError, ArithmeticError, np.linalg.LinAlgError) as error:
            return None, f"the mixed model failed: {type(error).__name__}"
    if not (math.isfinite(document) and math.isfinite(item) and item > 0):
        return None, "the mixed model gave no finite variance"
    # On its bound of 0 the optimiser complains of a slope that is right there.
    unsure = not fit.converged or any(issubclass(each.category, ConvergenceWarning) for each in told)
    if unsure and document > _BOUND * item:
        return None, "the mixed model did not converge"
    return (document, item), ""


def _mean_squares(data: Clustered) -> tuple[float, float, float]:
    """Between and within documents, and the typical size n0 = (N - sum m^2 / N) / (G - 1)."""
    count, groups = data.n, data.groups
    means = data.sums / data.sizes
    between = float((data.sizes * (means - data.mean) ** 2).sum()) / (groups - 1)
    within = float(((data.differences - means[data.membership]) ** 2).sum()) / (count - groups)
    return between, within, (count - float((data.sizes**2).sum()) / count) / (groups - 1)


def share_bounds(data: Clustered, level: float = LEVEL) -> tuple[float | None, float | None]:
    """Bounds of the correlation within documents, 0 at least, from the F distribution of the ratio of mean squares.

    (F / f - 1) / (n0 + F / f - 1) with the quantiles f and n0 = (N - sum m^2 / N) / (G - 1): exact for equal documents,
    close for others. Source: Searle 1971, chapter 9; Donner and Wells 1986.
    """
    from scipy.stats import f

    between, within, typical = _mean_squares(data)
    if within <= 0:
        return None, None
    ends = []
    for quantile in ((1 + level) / 2, (1 - level) / 2):
        ratio = between / within / float(f.ppf(quantile, data.groups - 1, data.n - data.groups))
        ends.append(max(0.0, (ratio - 1) / (typical + ratio - 1)))
    return ends[0], ends[1]
