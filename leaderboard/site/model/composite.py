"""One score an item from several metrics: what the overall table ranks, never a mean of ranks.

`composite_parts` says which metrics count, `composite_metric` describes the result as a metric, `with_composite` adds
it to the runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ....metrics.contract import ItemScore, Metric, Sample
from ....metrics.intervals import bootstrap
from .columns import RunColumns

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

OVERALL = "overall"
# Nearness to the question: repeating it scores 1, and a short right answer little.
_NO_RIGHTNESS = frozenset({"answer_relevance", "question_relevance"})


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
            "Mean over metric families of the mean of their metrics, item by item, each metric placed between 0 "
            "(worst) and 1 (best) by the bounds of its range."
        ),
        score_batch=_not_from_samples,
        options={"of": "+".join(names)},
    )


def _not_from_samples(samples: Sequence[Sample]) -> Sequence[ItemScore]:
    raise TypeError("the composite is made of other metrics' scores")


def composite_parts(metrics: Sequence[Metric], ranked: Mapping[str, float]) -> tuple[list[Metric], list[str]]:
    """Metrics that the composite is made of, and the others with the reason.

    Without two bounds there is no place between worst and best; and a metric in which no more than half of the runs are
    ``ranked`` (share by name) would leave the others without an overall rank. How near an answer is to the question
    does not say whether it is right.
    """
    parts, left_out = [], []
    for metric in metrics:
        if metric.name in _NO_RIGHTNESS:
            left_out.append(f"{metric.name} (nearness to the question, not being right)")
        elif None in metric.range:
            left_out.append(f"{metric.name} (no two bounds)")
        elif ranked[metric.name] <= 0.5:
            left_out.append(f"{metric.name} (ranks half of the runs or fewer)")
        else:
            parts.append(metric)
    return parts, left_out


def with_composite(runs: Sequence[RunColumns], parts: Sequence[Metric]) -> list[RunColumns]:
    """The runs with one more metric, `OVERALL`.

    A metric counts on an item where all runs have it, so that every run is weighed alike; an item on which no metric
    counts has no composite in any run.
    """
    import numpy as np

    counted = {
        metric.name: np.logical_and.reduce([np.isfinite(run.values[metric.name]) for run in runs]) for metric in parts
    }
    metric = composite_metric([part.name for part in parts])
    made = []
    for run in runs:
        values = _composite(run, parts, counted)
        absent = np.flatnonzero(~np.isfinite(values)).tolist()
        made.append(
            replace(
                run,
                header={
                    **run.header,
                    "metrics": {**run.header["metrics"], OVERALL: _composite_entry(metric, run, values)},
                },
                values={**run.values, OVERALL: values},
                reasons={**run.reasons, OVERALL: dict.fromkeys(absent, "no metric that all runs have")},
            )
        )
    return made


def _composite(
    run: RunColumns, parts: Sequence[Metric], counted: Mapping[str, NDArray[np.bool_]]
) -> NDArray[np.float64]:
    import numpy as np

    families: dict[str, list[Metric]] = {}
    for metric in parts:
        families.setdefault(metric.family, []).append(metric)
    by_family = []
    for members in families.values():
        places = np.array(
            [np.where(counted[each.name], _place(each, run.values[each.name]), np.nan) for each in members]
        )
        by_family.append(_column_means(places))
    return _column_means(np.array(by_family))


def _place(metric: Metric, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Between 0 (worst) and 1 (best)."""
    low, high = metric.range
    share = (values - (low or 0.0)) / ((high or 0.0) - (low or 0.0))
    return share if metric.higher_is_better else 1.0 - share


def _column_means(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean of each column's finite values; NaN where there is none."""
    import numpy as np

    present = np.isfinite(rows)
    counts = present.sum(axis=0)
    sums = np.where(present, rows, 0.0).sum(axis=0)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def _composite_entry(metric: Metric, run: RunColumns, values: NDArray[np.float64]) -> dict[str, Any]:
    """The composite's value and interval, got as those of any metric of a run."""
    import numpy as np

    present = np.isfinite(values)
    matrix = np.column_stack([np.where(present, values, 0.0), present.astype(np.float64)])
    (estimate,) = bootstrap([metric], [matrix], run.clusters)
    absent = int((~present).sum())
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
