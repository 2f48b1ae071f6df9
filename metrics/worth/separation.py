"""How well values of right answers lie above those of wrong ones: an AUC with its interval over source documents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from ..anchors import FEW_VALUES
from ..intervals import cluster_numbers, resample_counts

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

RESAMPLES = 500
SEED = 0


@dataclass(frozen=True)
class Value:
    """A value with the cluster of its item; higher is better."""

    value: float
    cluster: str


@dataclass(frozen=True)
class Area:
    """P(a right value > a wrong one) + ½ P(equal), with a 95 % interval; None of it where there are too few values.

    ``n_right`` and ``n_wrong`` are the values that there are. There is no interval with fewer than two clusters.
    """

    auc: float | None
    ci_low: float | None
    ci_high: float | None
    n_right: int
    n_wrong: int

    def to_dict(self) -> dict[str, Any]:
        """As a JSON record."""
        return asdict(self)


def area(right: Sequence[Value], wrong: Sequence[Value], least: int = FEW_VALUES) -> Area:
    """The AUC over all pairs, and the percentile bootstrap that draws whole clusters, right and wrong values together.

    With fewer than ``least`` values on a side there is no AUC.
    """
    import numpy as np

    counts = len(right), len(wrong)
    if min(counts) < max(least, 1):
        return Area(None, None, None, *counts)
    groups, membership = cluster_numbers([each.cluster for each in (*right, *wrong)])
    high, low = (np.array([each.value for each in side]) for side in (right, wrong))
    above, of_right, of_wrong = _by_cluster(
        high, low, np.eye(groups)[membership[: len(high)]], np.eye(groups)[membership[len(high) :]]
    )
    point = float(above.sum() / (len(high) * len(low)))
    if groups < 2:
        return Area(point, None, None, *counts)
    drawn = resample_counts(groups, RESAMPLES, SEED, 0)
    sums = np.einsum("bi,bi->b", drawn @ above, drawn)
    pairs = (drawn @ of_right) * (drawn @ of_wrong)
    found = sums[pairs > 0] / pairs[pairs > 0]
    if len(found) < RESAMPLES / 2:
        return Area(point, None, None, *counts)
    ends = np.quantile(found, [0.025, 0.975]).tolist()
    return Area(point, ends[0], ends[1], *counts)


def _by_cluster(
    high: NDArray[np.float64], low: NDArray[np.float64], of_high: NDArray[np.float64], of_low: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Pairs won by cluster and cluster, shape (C, C), and the number of values of each, shape (C,)."""
    import numpy as np

    won = (high[:, None] > low[None, :]) + 0.5 * (high[:, None] == low[None, :])
    return of_high.T @ won @ of_low, np.asarray(of_high.sum(axis=0)), np.asarray(of_low.sum(axis=0))
