"""What two runs say of one metric, before a gate corrects and decides."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from telbench.errors import IncomparableError

from ...metrics.contract import Metric
from ..compare.scored import compare_corpora
from ..runs.loaded import LoadedRun
from ..statistics import sign_flip
from ..statistics.clusters import Summed, clustered
from ..statistics.paired import differences_of, paired_difference
from ..statistics.skew import failing_loss

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# Standard deviations that separate 80 % power from a toss-up.
_POWER = 0.8416


@dataclass(frozen=True)
class Evidence:
    """What is known of one metric before Holm's correction.

    ``loss`` is what a document loses that gets the worst answers (`skew.failing_loss`), on the metric's scale; None
    where its range has no worst end.
    """

    metric: Metric
    values: tuple[float, float]
    delta: float
    lower: float | None
    upper: float | None
    p_drop: float
    p_margin: float | None
    differences: NDArray[np.float64]
    items: tuple[str, ...]
    clusters: tuple[str, ...]
    n_missing: int
    spread: float | None
    detectable: float | None
    effective: float
    flags: tuple[str, ...]
    data: Summed
    loss: float | None

    def p_beyond(self, budget: float) -> float:
        """The test for a drop that is larger than ``budget``."""
        return sign_flip.greater(-(self.data.sums + self.data.sizes * budget))


def evidence_of(
    metric: Metric,
    candidate: LoadedRun,
    baseline: LoadedRun,
    *,
    margin: float | None,
    alpha: float,
    max_missing: float,
) -> Evidence:
    """The differences of the metric, their tests and bounds.

    Raises:
        IncomparableError: when too many items lack a score.
    """
    import numpy as np

    ours, theirs = (scored(run, metric) for run in (candidate, baseline))
    items, missing = _paired(metric.name, ours, theirs, candidate, baseline, max_missing)
    clusters = tuple(baseline.clusters[item] for item in items)
    values = [np.array([side[item] for item in items], np.float64) for side in (ours, theirs)]
    differences = differences_of(*values, higher_is_better=metric.higher_is_better)
    data = clustered(differences, clusters)
    if metric.level == "corpus":
        return _corpus_evidence(
            metric, candidate, baseline, items, clusters, missing, alpha, differences, data.effective_groups
        )
    worst = metric.range[0 if metric.higher_is_better else 1]
    # Bounds that invert the tests which decide, so that bounds and p-values never disagree.
    record = paired_difference(differences, clusters, level=1 - 2 * alpha, adjusted_wald=False)
    spread = None if data.standard_error is None else data.standard_error * math.sqrt(data.n)
    return Evidence(
        metric,
        (float(values[0].mean()), float(values[1].mean())),
        record.delta,
        record.ci_low,
        record.ci_high,
        sign_flip.greater(-data.sums),
        None if margin is None else sign_flip.greater(data.sums + data.sizes * margin),
        differences,
        items,
        clusters,
        missing,
        spread,
        # Two-sided at 2 alpha is one-sided at alpha, which is how a drop is tested.
        record.power.detectable,
        record.effective_clusters,
        record.flags,
        data,
        None if worst is None else failing_loss(clustered(np.abs(values[1] - worst), clusters)),
    )


def _paired(
    name: str,
    ours: Mapping[str, float | None],
    theirs: Mapping[str, float | None],
    candidate: LoadedRun,
    baseline: LoadedRun,
    max_missing: float,
) -> tuple[tuple[str, ...], int]:
    """Items with a score in both runs, and how many lack one that they should have."""
    items = tuple(item for item in baseline.clusters if ours.get(item) is not None and theirs.get(item) is not None)
    missing = sum(_lost(item, name, ours, theirs, candidate, baseline) for item in baseline.clusters)
    if not items or missing > max_missing * len(baseline.clusters):
        raise IncomparableError(
            f"{name}: {missing} of {len(baseline.clusters)} items lack a score in one of the runs, "
            f"{len(items)} have one in both; at most {max_missing:.0%} may: finish or mend the run, or raise "
            "--max-missing"
        )
    return items, missing


def _lost(
    item: str,
    name: str,
    ours: Mapping[str, float | None],
    theirs: Mapping[str, float | None],
    *runs: LoadedRun,
) -> bool:
    """Does an item lack a score that it should have? One to which the metric does not apply in either run does not."""
    here, there = ours.get(item), theirs.get(item)
    if (here is None) != (there is None):
        return True
    reasons = [run.scores[name][item].reason or "" for run in runs if item in run.scores[name]]
    return here is None and any(reason.startswith("judge:") for reason in reasons)


def _corpus_evidence(
    metric: Metric,
    candidate: LoadedRun,
    baseline: LoadedRun,
    items: tuple[str, ...],
    clusters: tuple[str, ...],
    missing: int,
    alpha: float,
    differences: NDArray[np.float64],
    effective: float,
) -> Evidence:
    """A corpus score: bounds and p-values from the sums that stand for it."""
    found, values, data = compare_corpora(candidate, baseline, metric, items, clusters, level=1 - 2 * alpha)
    worst = metric.range[0 if metric.higher_is_better else 1]
    half = None if found.ci_low is None or found.ci_high is None else (found.ci_high - found.ci_low) / 2
    # The interval is 2 z wide on either side of the estimate; what 80 % power takes is one deviation of 0.84 more.
    error = None if half is None else half / sign_flip.normal_quantile(1 - alpha)
    return Evidence(
        metric,
        values,
        found.delta,
        found.ci_low,
        found.ci_high,
        found.p_below,
        None,
        differences,
        items,
        clusters,
        missing,
        None if error is None else error * math.sqrt(len(items)),
        None if error is None else error * (sign_flip.normal_quantile(1 - alpha) + _POWER),
        effective,
        (),
        data,
        None if worst is None else abs(values[1] - worst),
    )


def scored(run: LoadedRun, metric: Metric) -> dict[str, float | None]:
    """Values by item; one that the model failed to answer has the metric's worst value, where there is one."""
    worst = metric.range[0] if metric.higher_is_better else metric.range[1]
    found: dict[str, float | None] = {}
    for item, score in run.scores[metric.name].items():
        failed = score.value is None and item in run.failed and metric.level == "item"
        found[item] = worst if failed else score.value
    return found
