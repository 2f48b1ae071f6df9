"""What each judge of a panel says by itself: a run keeps their mean as the score, and their verdicts beside it."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import TYPE_CHECKING

from telbench.registry import load

from ...harness.runs.folder import HEADER, read_samples
from ...harness.runs.judgements import records_of
from ...metrics.contract import GROUP, Metric, MetricRecipe
from ..runs.loaded import LoadedRun

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def judge_columns(metric: Metric, run: LoadedRun, items: Sequence[str]) -> dict[str, NDArray[np.float64]] | str:
    """Scores of these items by judge, NaN where a judge has none; or why they cannot be told.

    An item that no judge was asked about, such as an empty answer, has its score with each of them.

    Raises:
        InputError: when the run's judgements cannot be read.
    """
    import numpy as np

    names = [str(each["name"]) for each in (run.header.get("judge") or {}).get("judges", ())]
    if metric.family != "judged" or not names:
        return "no judge"
    if len(names) < 2:
        return "one judge only"
    recipe = load(GROUP, metric.name)
    value_of = recipe.recorded if isinstance(recipe, MetricRecipe) else None
    if value_of is None:
        return f"{metric.name} rests on more than the judges' verdicts"
    if not (run.path / HEADER).is_file():
        return "the judges' verdicts are in run folders only"
    asked = {sample["item_id"]: sample.get("judgements", {}).get(metric.name, ()) for sample in read_samples(run.path)}
    records = records_of(run.path, {key for item in items for key in asked.get(item, ())})
    columns = {name: np.full(len(items), np.nan) for name in names}
    for place, item in enumerate(items):
        keys = asked.get(item, ())
        score = run.scores[metric.name][item].value
        said: dict[str, list[float]] = {name: [] for name in names}
        if not keys and score is not None:
            said = {name: [score] for name in names}
        for key in (key for key in keys if key in records):
            value = value_of(records[key])
            if value is not None:
                said.setdefault(str(records[key]["judge"]), []).append(value)
        for name, column in columns.items():
            if said[name]:
                # Of a judge that was asked several times its mean.
                column[place] = fmean(said[name])
    return columns
