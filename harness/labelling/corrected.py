"""Judged scores of runs, and their differences, corrected by people's labels of some answers."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from telbench.errors import IncomparableError, InputError

from ...metrics.fingerprints import text_sha256
from ...metrics.judged.prediction_powered import Corrected, corrected_mean
from ..cli.tables import columns
from ..runs.folder import read_run, read_samples
from .labels import AnswerLabel

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class CorrectedRun:
    """One run's mean, and its difference from the first run; the reason where one of them cannot be told."""

    run: Path
    name: str
    mean: Corrected | None
    difference: Corrected | None
    reason: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {**asdict(self), "run": str(self.run)}


@dataclass(frozen=True)
class _Labelled:
    """A run's judged scores by item, and its labels and their weights."""

    scores: dict[str, float]
    clusters: dict[str, str]
    labels: dict[str, float]
    weights: dict[str, float]


def corrected_runs(runs: Sequence[Path], labels: Sequence[AnswerLabel], metric: str) -> list[CorrectedRun]:
    """Each run's mean of ``metric``, and its difference from the first run's, corrected by the labels.

    A difference takes the items that both runs have a score of, and labels of those that both have one of.

    Raises:
        InputError: for a run without that judged metric, a label off its scale, or of another answer.
        IncomparableError: for runs on other items.
    """
    headers = [read_run(run) for run in runs]
    if any(header["data"]["items_sha256"] != headers[0]["data"]["items_sha256"] for header in headers):
        raise IncomparableError("the runs are runs on other items: their differences have no labels in common")
    given = [_labelled(run, header, labels, metric) for run, header in zip(runs, headers, strict=True)]
    found = []
    for place, (run, header, own) in enumerate(zip(runs, headers, given, strict=True)):
        mean, why = _told(list(own.scores), own)
        difference = None
        if place:
            shared = [item for item in own.scores if item in given[0].scores]
            difference, other = _told(shared, own, given[0])
            why = why or other
        found.append(CorrectedRun(run, header["model"]["name"], mean, difference, why))
    return found


def _told(items: Sequence[str], own: _Labelled, base: _Labelled | None = None) -> tuple[Corrected | None, str | None]:
    import numpy as np

    def column(of: str, absent: float) -> NDArray[np.float64]:
        ours = np.array([getattr(own, of).get(item, absent) for item in items])
        return ours if base is None else ours - np.array([getattr(base, of).get(item, absent) for item in items])

    try:
        return (
            corrected_mean(
                column("scores", math.nan),
                column("labels", math.nan),
                [own.clusters[item] for item in items],
                np.array([own.weights.get(item, 1.0) for item in items]),
            ),
            None,
        )
    except InputError as error:
        return None, str(error)


def _labelled(run: Path, header: dict[str, Any], labels: Sequence[AnswerLabel], metric: str) -> _Labelled:
    entry = header["metrics"].get(metric)
    if entry is None or "judge_missing" not in entry:
        raise InputError(f"{run} has no judged metric '{metric}': score it with --judge, or choose another --metric")
    scores: dict[str, float] = {}
    clusters: dict[str, str] = {}
    answers: dict[str, str] = {}
    for sample in read_samples(run):
        value = sample["scores"].get(metric)
        if value is not None:
            item = sample["item_id"]
            scores[item], clusters[item], answers[item] = value, sample["cluster_id"], sample["prediction"]
    own = labels_of_run(labels, metric, run, header, answers)
    # A label of an answer that no judge scored corrects nothing.
    kept = [each for each in own if each.item_id in scores]
    return _Labelled(
        scores,
        clusters,
        {each.item_id: each.label for each in kept},
        {each.item_id: each.weight for each in kept},
    )


def labels_of_run(
    labels: Sequence[AnswerLabel], metric: str, run: Path, header: Mapping[str, Any], answers: Mapping[str, str]
) -> list[AnswerLabel]:
    """The labels that were drawn for this run, or for one that gave the very answers it has (scored anew, say).

    Raises:
        InputError: for a label off the metric's scale, or of another answer than the run holds.
    """
    groups: dict[str, list[AnswerLabel]] = defaultdict(list)
    for label in labels:
        if label.metric == metric:
            groups[label.run].append(label)
    hashes = {item: text_sha256(answer) for item, answer in answers.items()}
    own = groups.get(header.get("run_id", ""))
    if own is None:
        alike = (each for each in groups.values() if all(hashes.get(one.item_id) == one.answer_sha256 for one in each))
        own = next(alike, [])
    low, high = header["metrics"][metric]["range"]
    for label in own:
        if not low <= label.label <= high:
            raise InputError(
                f"item {label.item_id}: the label {label.label:g} is off the scale of {metric}, {low} to {high}"
            )
        if hashes.get(label.item_id, label.answer_sha256) != label.answer_sha256:
            raise InputError(f"the label of item {label.item_id} is of another answer than {run} holds: label it anew")
    return own


def corrected_metrics(runs: Sequence[Path], labels: Sequence[AnswerLabel]) -> dict[str, list[CorrectedRun]]:
    """`corrected_runs` of each metric that has labels. Raises as that."""
    return {name: corrected_runs(runs, labels, name) for name in dict.fromkeys(label.metric for label in labels)}


def corrected_lines(found: Sequence[CorrectedRun], metric: str) -> list[str]:
    """The table of judged and corrected numbers, and a verdict on each difference in words."""
    rows = [(metric, "judge", "corrected", "95 %", "labels", "lambda")]
    for each in found:
        if each.mean is not None:
            rows.append((each.name, f"{each.mean.judged:.3f}", *_cells(each.mean, "")))
    for each in found[1:]:
        if each.difference is not None:
            told = f"{each.name} - {found[0].name}"
            rows.append((told, f"{each.difference.judged:+.3f}", *_cells(each.difference, "+")))
    lines = columns(rows, "<>><>>")
    lines += [f"{each.name}: {each.reason}" for each in found if each.reason]
    for each in found[1:]:
        if (apart := each.difference) is not None:
            side = "better than" if apart.ci_low > 0 else "worse than" if apart.ci_high < 0 else "not told apart from"
            lines.append(f"by people's labels {each.name} is {side} {found[0].name}")
    return lines


def _cells(of: Corrected, sign: str) -> tuple[str, str, str, str]:
    ends = f"[{of.ci_low:{sign}.3f}, {of.ci_high:{sign}.3f}]"
    return f"{of.value:{sign}.3f}", ends, f"{of.labels} of {of.items}", f"{of.power:.2f}"
