"""One score an item from several metrics: what the overall table ranks, never a mean of ranks.

`composite_parts` says which metrics count, `composite_metric` describes the result as a metric, `with_composite` adds
it to the runs.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ....metrics.contract import ItemScore, Metric, Sample
from ....metrics.intervals import Estimate, bootstrap
from .columns import RunColumns

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

OVERALL = "overall"
# Metrics with two bounds that do not say how right an answer is.
_NO_RIGHTNESS = {
    "answer_relevance": "nearness to the question, not being right",
    "question_relevance": "nearness to the question, not being right",
    "context_precision": "what was found for the question, not the answer",
    "fact_contradiction": "best for an answer that says nothing",
    "nli_contradiction": "best for an answer that says nothing",
    "fact_omission": "best for an answer that contradicts everything",
    "refusal_accuracy": "whether it refuses, not whether it is right",
    "over_refusal": "whether it refuses, not whether it is right",
}
# What is worth nothing where that is not the worst value: an answer that contradicts a fact is worth no less than none.
_NOTHING = {"fact_agreement": 0.0}


def composite_metric(names: Sequence[str]) -> Metric:
    """The composite of these metrics as a metric; its scores are computed from theirs, never from samples."""
    return Metric(
        name=OVERALL,
        family="ngram",
        range=(0.0, 1.0),
        higher_is_better=True,
        needs=frozenset(),
        level="item",
        description=(
            "Mean over metric families of the mean of their metrics, item by item. Each metric is placed between 0 (an "
            "answer that is worth nothing) and 1 (a right one): embedding metrics by their calibration, others by the "
            "bounds of their range."
        ),
        score_batch=_not_from_samples,
        options={"of": "+".join(names), "placed": "2"},
    )


def _not_from_samples(samples: Sequence[Sample]) -> Sequence[ItemScore]:
    raise TypeError("the composite is made of other metrics' scores")


def composite_parts(
    metrics: Sequence[Metric], ranked: Mapping[str, float], baseline: RunColumns, in_baseline: Collection[str]
) -> tuple[list[Metric], list[str]]:
    """Metrics that the composite is made of, and the others with the reason.

    Every run is held against the ``baseline``: what it lacks (all but ``in_baseline``) does not count. Without two
    bounds, or an embedding metric's calibration, there is no place between nothing and right; and a metric in which no
    more than half of the runs are ``ranked`` (share by name) would leave the others without an overall rank.
    """
    parts, left_out = [], []
    for metric in metrics:
        reason = _NO_RIGHTNESS.get(metric.name)
        if reason is None and None in metric.range:
            reason = "no two bounds"
        elif reason is None and ranked[metric.name] <= 0.5:
            reason = "ranks half of the runs or fewer"
        elif reason is None and metric.name not in in_baseline:
            reason = f"{baseline.name}, the baseline, lacks it"
        elif reason is None and _bounds(metric, baseline) is None:
            reason = "not calibrated on these data"
        if reason is None:
            parts.append(metric)
        else:
            left_out.append(f"{metric.name} ({reason})")
    return parts, left_out


def with_composite(runs: Sequence[RunColumns], parts: Sequence[Metric]) -> list[RunColumns]:
    """The runs with one more metric, `OVERALL`; the first is the baseline.

    A metric counts on an item where all runs have it, so that every run is weighed alike; an item on which no metric
    counts has no composite in any run.
    """
    import numpy as np

    counted = {
        metric.name: np.logical_and.reduce([np.isfinite(run.values[metric.name]) for run in runs]) for metric in parts
    }
    metric = composite_metric([part.name for part in parts])
    # One scale for all: a calibration is of the data and the encoder, not of a run.
    bounds = {part.name: _bounds(part, runs[0]) or (0.0, 1.0) for part in parts}
    columns = [_composite(run, parts, counted, bounds) for run in runs]
    present = [np.isfinite(values) for values in columns]
    matrices = [
        np.column_stack([np.where(there, values, 0.0), there.astype(np.float64)])
        for there, values in zip(present, columns, strict=True)
    ]
    # All runs have the same documents: one set of draws does for all.
    estimates = bootstrap([metric] * len(runs), matrices, runs[0].clusters)
    made = []
    for run, values, there, estimate in zip(runs, columns, present, estimates, strict=True):
        absent = np.flatnonzero(~there).tolist()
        entry = _composite_entry(metric, estimate, len(absent))
        made.append(
            replace(
                run,
                header={**run.header, "metrics": {**run.header["metrics"], OVERALL: entry}},
                values={**run.values, OVERALL: values},
                reasons={**run.reasons, OVERALL: dict.fromkeys(absent, "no metric that all runs have")},
            )
        )
    return made


def _composite(
    run: RunColumns,
    parts: Sequence[Metric],
    counted: Mapping[str, NDArray[np.bool_]],
    bounds: Mapping[str, tuple[float, float]],
) -> NDArray[np.float64]:
    import numpy as np

    families: dict[str, list[Metric]] = {}
    for metric in parts:
        families.setdefault(metric.family, []).append(metric)
    by_family = []
    for members in families.values():
        places = np.array(
            [
                np.where(counted[each.name], _place(each, run.values[each.name], *bounds[each.name]), np.nan)
                for each in members
            ]
        )
        by_family.append(_column_means(places))
    return _column_means(np.array(by_family))


def _bounds(metric: Metric, run: RunColumns) -> tuple[float, float] | None:
    """The values that count as nothing and as right, lower one first; None where nothing tells them."""
    low, high = metric.range
    if metric.family == "embedding":
        calibration = run.header["metrics"][metric.name].get("calibration") or {}
        nothing = (calibration.get("null") or {}).get("mean")
        if nothing is None or calibration["upper"] - nothing <= 1e-9:
            return None
        return float(nothing), float(calibration["upper"])
    return _NOTHING.get(metric.name, low or 0.0), high or 0.0


def _place(metric: Metric, values: NDArray[np.float64], low: float, high: float) -> NDArray[np.float64]:
    """Between 0 (worth nothing) and 1 (right); what lies beyond counts as these."""
    import numpy as np

    share = np.clip((values - low) / (high - low), 0.0, 1.0)
    return share if metric.higher_is_better else 1.0 - share


def _column_means(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean of each column's finite values; NaN where there is none."""
    import numpy as np

    present = np.isfinite(rows)
    counts = present.sum(axis=0)
    sums = np.where(present, rows, 0.0).sum(axis=0)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def _composite_entry(metric: Metric, estimate: Estimate, absent: int) -> dict[str, Any]:
    """The composite's value and interval, as a run's header has those of any metric."""
    return {
        "value": estimate.value,
        "ci_low": estimate.ci_low,
        "ci_high": estimate.ci_high,
        "ci_method": estimate.ci_method,
        "n": estimate.n,
        "n_missing": absent,
        "missing": {"no metric that all runs have": absent} if absent else {},
        "signature": metric.signature,
        "family": metric.family,
        "higher_is_better": True,
        "range": [0.0, 1.0],
        "level": "item",
    }
