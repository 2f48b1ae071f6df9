"""What people's labels make of judged scores: runs whose scores stand for what people would say; what was never held
against a label.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import replace

from telbench.errors import InputError

from ...harness.judging.calibrated import uncalibrated, uncalibrated_lines
from ...harness.labelling.corrected import labels_of_run
from ...harness.labelling.labels import AnswerLabel
from ...harness.runs.folder import SAMPLES, read_samples
from ...metrics.judged.prediction_powered import corrected_values
from .loaded import LoadedRun


def as_labelled(run: LoadedRun, labels: Sequence[AnswerLabel]) -> LoadedRun:
    """The run with each labelled metric's scores replaced by values that labels have corrected.

    See `metrics.judged.prediction_powered.corrected_values`: their mean is the corrected one, and tests of their
    differences have its uncertainty. An anchor holds no answers: labels are held to it by its run's id alone.

    Raises:
        InputError: for a labelled metric that the run has not, or a run with too few labels of it.
    """
    import numpy as np

    scores, notes = dict(run.scores), list(run.notes)
    answers: dict[str, str] = {}
    if (run.path / SAMPLES).is_file():
        answers = {sample["item_id"]: sample["prediction"] for sample in read_samples(run.path)}
    for name in dict.fromkeys(label.metric for label in labels):
        if "judge_missing" not in run.header["metrics"].get(name, {}):
            raise InputError(f"--labels: {run.path} has no judged metric '{name}'")
        own = {label.item_id: label for label in labels_of_run(labels, name, run.path, run.header, answers)}
        items = [item for item, score in scores[name].items() if score.value is not None]
        judged = np.array([scores[name][item].value for item in items], np.float64)
        said = np.array([own[item].label if item in own else math.nan for item in items])
        weights = np.array([own[item].weight if item in own else 1.0 for item in items])
        try:
            values = corrected_values(judged, said, [run.clusters[item] for item in items], weights)
        except InputError as error:
            raise InputError(f"--labels: {run.path}, {name}: {error}") from None
        scores[name] = scores[name] | {
            item: replace(scores[name][item], value=value) for item, value in zip(items, values.tolist(), strict=True)
        }
        notes.append(
            f"{run.name}: {name} is corrected by {int((~np.isnan(said)).sum())} labels: {values.mean():.3f}, by the "
            f"judge alone {judged.mean():.3f}"
        )
    return replace(run, scores=scores, notes=tuple(notes))


def calibration_notes(
    runs: Sequence[LoadedRun], metrics: Collection[str], corrected: Collection[str] = ()
) -> list[str]:
    """Which judges behind these metrics of the runs were never calibrated on their data, a line a judge.

    The questions are those of the first run that has its answers at hand; where none has, nothing is told. Metrics that
    labels have ``corrected`` need no calibration.
    """
    folder = next((run.path for run in runs if (run.path / SAMPLES).is_file()), None)
    judged = {name: entry for name, entry in runs[0].header["metrics"].items() if name in metrics}
    if folder is None or not any("judge_missing" in entry for entry in judged.values()):
        return []
    questions = (str(sample.get("question", "")) for sample in read_samples(folder))
    return uncalibrated_lines(uncalibrated(judged, questions, corrected))
