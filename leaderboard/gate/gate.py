"""Is the candidate worse than the baseline? A gate with three answers: no, yes, and not enough items to tell.

The margin says how large a drop is acceptable. A primary metric passes when its drop is shown to be smaller than the
margin (non-inferiority), fails when a drop is shown that may exceed it, and is inconclusive otherwise. A guardrail
never has to prove anything; it fails on a shown drop only. A gate that asks all metrics for proof fails unchanged
models, and one that compares two means fails them half of the time.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from telbench.errors import IncomparableError, InputError

from ...metrics.contract import Metric
from ..compare.pairwise import compare_corpora
from ..compare.readings import doubts
from ..runs.loaded import LoadedRun
from ..statistics import sign_flip
from ..statistics.clusters import clustered
from ..statistics.multiplicity import family
from ..statistics.paired import FEW_CLUSTERS, differences_of, paired_difference
from ..statistics.power import items_for_margin

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Role = Literal["primary", "guardrail"]
Verdict = Literal["PASS", "PASS_SMALL_DROP", "INCONCLUSIVE", "FAIL", "FAIL_HARD"]
OnInconclusive = Literal["warn", "fail"]
ALPHA = 0.05
# More items than this share without a score on one side make the comparison another one.
MAX_MISSING = 0.01
# An item that loses more than this share of the metric's range is a regression worth reading.
STEEP = 0.5
WORST_ITEMS = 20


@dataclass(frozen=True)
class GatePolicy:
    """What is asked for: a margin for each primary metric (on its own scale), guardrails, the error rate.

    ``max_missing`` is the largest share of items (0 to 1) that may lack a score on either side. Raises `InputError` for
    values that cannot be.
    """

    margins: Mapping[str, float]
    guardrails: tuple[str, ...] = ()
    alpha: float = ALPHA
    on_inconclusive: OnInconclusive = "warn"
    max_missing: float = MAX_MISSING

    def __post_init__(self) -> None:
        """Refuse what is no policy."""
        if not self.margins:
            raise InputError("no primary metric: --margin METRIC=X names one with the largest drop to accept")
        for name, margin in self.margins.items():
            if not 0 < margin < math.inf:
                raise InputError(f"--margin {name}={margin}: give a positive number, on the metric's own scale")
        if both := sorted(set(self.margins) & set(self.guardrails)):
            raise InputError(f"{both[0]} has a margin and is a guardrail: choose one")
        if not 0 < self.alpha < 0.5:
            raise InputError(f"alpha {self.alpha}: give an error rate between 0 and 0.5")


@dataclass(frozen=True)
class MetricGate:
    """One metric's verdict and what it rests on; differences are candidate minus baseline, positive is better.

    ``lower`` and ``upper`` are one-sided bounds of the mean difference at 1 - alpha; ``p_drop`` tests for a drop, and
    ``p_drop_adjusted`` is corrected by Holm over the metrics of the same role; ``p_margin`` tests for a drop smaller
    than the margin (None for corpus scores, where the bound decides). ``n_needed`` items would settle an inconclusive
    primary metric if the difference stays as it is; None where it lies beyond the margin. ``detectable`` is the
    smallest drop that these items find with 80 % power.
    """

    metric: str
    role: Role
    verdict: Verdict
    reason: str
    margin: float | None
    baseline: float
    candidate: float
    delta: float
    lower: float | None
    upper: float | None
    p_drop: float
    p_drop_adjusted: float
    p_margin: float | None
    n: int
    n_missing: int
    clusters: int
    effective_clusters: float
    detectable: float | None
    n_needed: int | None
    higher_is_better: bool
    steep_drops: int
    worst: tuple[Mapping[str, Any], ...]
    flags: tuple[str, ...]


@dataclass(frozen=True)
class Gate:
    """The verdict of all metrics: ``exit_code`` 0 pass, 1 regression, 3 inconclusive where that is to fail."""

    verdict: Literal["pass", "fail", "inconclusive"]
    exit_code: int
    policy: GatePolicy
    baseline: Mapping[str, Any]
    candidate: Mapping[str, Any]
    metrics: tuple[MetricGate, ...]
    warnings: tuple[str, ...] = field(default=())

    def to_dict(self) -> dict[str, Any]:
        """As a JSON record; the same inputs give the same bytes."""
        return {"schema_version": 1, **asdict(self)}


def judge_gate(candidate: LoadedRun, baseline: LoadedRun, metrics: Sequence[Metric], policy: GatePolicy) -> Gate:
    """Hold a candidate against a baseline; both were measured alike (`runs.loaded.require_alike`).

    Raises:
        InputError: for a metric that the runs do not share. IncomparableError: when too many items lack a score.
    """
    known = {metric.name: metric for metric in metrics}
    for name in (*policy.margins, *policy.guardrails):
        if name not in known:
            raise InputError(f"metric '{name}' is not in both runs: they share {', '.join(known)}")
    primary = _judged([known[name] for name in policy.margins], candidate, baseline, policy)
    guards = _judged([known[name] for name in policy.guardrails], candidate, baseline, policy)
    found = (*primary, *guards)
    failed = any(each.verdict in ("FAIL", "FAIL_HARD") for each in found)
    open_ones = any(each.verdict == "INCONCLUSIVE" for each in found)
    verdict = "fail" if failed else "inconclusive" if open_ones else "pass"
    code = 1 if failed else 3 if open_ones and policy.on_inconclusive == "fail" else 0
    return Gate(
        verdict, code, policy, _facts(baseline), _facts(candidate), found, _warnings(candidate, baseline, found)
    )


def _facts(run: LoadedRun) -> dict[str, Any]:
    header = run.header
    return {
        "name": run.name,
        "run_id": header.get("run_id"),
        "weights_sha256": header["model"].get("weights_sha256"),
        "items_sha256": header["data"]["items_sha256"],
        "counts": header.get("counts", {}),
    }


def _warnings(candidate: LoadedRun, baseline: LoadedRun, gates: Sequence[MetricGate]) -> tuple[str, ...]:
    told = [
        f"{each.metric}: mean and ranks of the differences point in opposite directions: many small changes one way, "
        "few large ones the other; read its worst items"
        for each in gates
        if "sign_conflict" in each.flags
    ]
    for each in gates:
        sides = [
            (name, run.header["metrics"][each.metric])
            for name, run in (("baseline", baseline), ("candidate", candidate))
        ]
        told += doubts(each.metric, sides)
    total = candidate.header["data"]["n"]
    for count, words in (("error", "items without an answer"), ("empty", "empty answers"), ("cut_off", "cut answers")):
        here, there = (run.header.get("counts", {}).get(count, 0) for run in (candidate, baseline))
        if here > there and here > 0.01 * total:
            told.append(f"the candidate has {here} {words}, the baseline {there}")
    return tuple(told)


@dataclass(frozen=True)
class _Evidence:
    """What is known of one metric before Holm's correction."""

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


def _judged(
    metrics: Sequence[Metric], candidate: LoadedRun, baseline: LoadedRun, policy: GatePolicy
) -> list[MetricGate]:
    measured = [_evidence(metric, candidate, baseline, policy) for metric in metrics]
    adjusted = family("drops", [each.p_drop for each in measured]).adjusted
    return [_verdict(each, p or 0.0, policy) for each, p in zip(measured, adjusted, strict=True)]


def _evidence(metric: Metric, candidate: LoadedRun, baseline: LoadedRun, policy: GatePolicy) -> _Evidence:
    import numpy as np

    ours, theirs = (_scored(run, metric) for run in (candidate, baseline))
    items = tuple(item for item in baseline.clusters if ours.get(item) is not None and theirs.get(item) is not None)
    missing = sum(_lost(item, metric.name, ours, theirs, candidate, baseline) for item in baseline.clusters)
    if not items or missing > policy.max_missing * len(baseline.clusters):
        raise IncomparableError(
            f"{metric.name}: {missing} of {len(baseline.clusters)} items lack a score in one of the runs, "
            f"{len(items)} have one in both; at most {policy.max_missing:.0%} may: finish or mend the run, or raise "
            "--max-missing"
        )
    clusters = tuple(baseline.clusters[item] for item in items)
    values = [np.array([side[item] for item in items], np.float64) for side in (ours, theirs)]
    differences = differences_of(*values, higher_is_better=metric.higher_is_better)
    data = clustered(differences, clusters)
    if metric.level == "corpus":
        return _corpus_evidence(
            metric, candidate, baseline, items, clusters, missing, policy, differences, data.effective_groups
        )
    # Bounds that invert the tests which decide, so that bounds and p-values never disagree.
    record = paired_difference(differences, clusters, level=1 - 2 * policy.alpha, adjusted_wald=False)
    margin = policy.margins.get(metric.name)
    spread = None if data.standard_error is None else data.standard_error * math.sqrt(data.n)
    return _Evidence(
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
    )


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
    policy: GatePolicy,
    differences: NDArray[np.float64],
    effective: float,
) -> _Evidence:
    """A corpus score: bounds from the paired bootstrap over documents, p-values from swapping them."""
    found, values, _ = compare_corpora(candidate, baseline, metric, items, clusters, level=1 - 2 * policy.alpha)
    half = None if found.ci_low is None or found.ci_high is None else (found.ci_high - found.ci_low) / 2
    # The interval is 2 z wide on either side of the estimate; what 80 % power takes is one deviation of 0.84 more.
    error = None if half is None else half / sign_flip.normal_quantile(1 - policy.alpha)
    return _Evidence(
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
        None if error is None else error * (sign_flip.normal_quantile(1 - policy.alpha) + 0.8416),
        effective,
        (),
    )


def _scored(run: LoadedRun, metric: Metric) -> dict[str, float | None]:
    """Values by item; one that the model failed to answer has the metric's worst value, where there is one."""
    worst = metric.range[0] if metric.higher_is_better else metric.range[1]
    found: dict[str, float | None] = {}
    for item, score in run.scores[metric.name].items():
        failed = score.value is None and item in run.failed and metric.level == "item"
        found[item] = worst if failed else score.value
    return found


def _verdict(each: _Evidence, adjusted: float, policy: GatePolicy) -> MetricGate:
    margin = policy.margins.get(each.metric.name)
    role: Role = "guardrail" if margin is None else "primary"
    verdict, reason, needed = _decision(each, adjusted, margin, policy)
    low, high = each.metric.range
    width = 1.0 if low is None or high is None else high - low
    order = sorted(range(len(each.items)), key=lambda index: (float(each.differences[index]), each.items[index]))
    worst = tuple(
        {"item_id": each.items[index], "cluster_id": each.clusters[index], "difference": float(each.differences[index])}
        for index in order[:WORST_ITEMS]
        if each.differences[index] < 0
    )
    return MetricGate(
        metric=each.metric.name,
        role=role,
        verdict=verdict,
        reason=reason,
        margin=margin,
        baseline=each.values[1],
        candidate=each.values[0],
        delta=each.delta,
        lower=each.lower,
        upper=each.upper,
        p_drop=each.p_drop,
        p_drop_adjusted=adjusted,
        p_margin=each.p_margin,
        n=len(each.items),
        n_missing=each.n_missing,
        clusters=len(set(each.clusters)),
        effective_clusters=each.effective,
        detectable=each.detectable,
        n_needed=needed,
        higher_is_better=each.metric.higher_is_better,
        steep_drops=int((each.differences < -STEEP * width).sum()),
        worst=worst,
        flags=each.flags,
    )


def _decision(
    each: _Evidence, adjusted: float, margin: float | None, policy: GatePolicy
) -> tuple[Verdict, str, int | None]:
    dropped = adjusted <= policy.alpha and each.delta < 0
    if each.effective < FEW_CLUSTERS:
        few = f"{each.effective:.1f} effective source documents, {FEW_CLUSTERS:.0f} are needed to tell anything"
        return "INCONCLUSIVE", few, None
    if each.lower is None or each.upper is None:
        return "INCONCLUSIVE", "too few source documents for a bound", None
    if margin is None:
        if dropped:
            return "FAIL", f"a drop is shown (adjusted p = {adjusted:.2g})", None
        return "PASS", "no drop is shown", None
    if each.lower > -margin:
        if dropped:
            return "PASS_SMALL_DROP", f"a drop is shown, and it is smaller than the margin of {margin:g}", None
        return "PASS", f"any drop is smaller than the margin of {margin:g}", None
    if dropped:
        if each.upper < -margin:
            return "FAIL_HARD", f"the drop is larger than the margin of {margin:g}", None
        return "FAIL", f"a drop is shown (adjusted p = {adjusted:.2g}) that may exceed the margin of {margin:g}", None
    needed = None if each.spread is None else items_for_margin(each.spread, margin, each.delta, policy.alpha)
    if needed is None:
        return "INCONCLUSIVE", "neither a drop nor its absence is shown; the difference lies beyond the margin", None
    few = f"{len(each.items)} items cannot tell; about {needed} would, if the difference stays as it is"
    return "INCONCLUSIVE", few, needed
