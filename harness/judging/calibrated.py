"""Which judges were held against labels, and on which questions: remembered, so that tables can tell of the others.

`telbench judge calibrate` keeps them in the cache folder, by judge and rubric.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from telbench.errors import InputError

from ...judges.calibration.calibrate import MEASURES, Calibration
from ...judges.calibration.labelled import Label
from ...metrics.fingerprints import fingerprint, text_sha256
from ...metrics.judged.prediction_powered import FEWEST
from ..storage import shared_store
from .calibrate import measures

# Metrics whose verdicts `telbench judge calibrate` holds against labels.
CALIBRATED_METRICS = frozenset(
    {
        "rubric_score",
        "factual_correctness",
        "factual_precision",
        "factual_recall",
        "answer_correctness",
        "faithfulness",
    }
)
# As signatures abbreviate a rubric's hash.
_DIGITS = 12


def remember_calibration(found: Calibration, labels: Sequence[Label], rubrics: Mapping[str, str]) -> None:
    """Keep on which questions each judge was held against labels; ``rubrics`` are their hashes by measure.

    Labels of several files add up. Where the cache folder cannot be written, nothing is kept.
    """
    parts = [(judge.judge, measure, getattr(judge, measure)) for judge in found.judges for measure in MEASURES]
    with contextlib.suppress(InputError), shared_store("judges", "calibrations") as store:
        for judge, measure, part in parts if store is not None else ():
            if part is None or not part.n or store is None:
                continue
            key = _key(judge, rubrics[measure][:_DIGITS])
            labelled = {_question(label.question) for label in labels if getattr(label, measure) is not None}
            known = (store.get(key) or {}).get("questions", ())
            record = {"judge": judge, "rubric": rubrics[measure], "questions": sorted(labelled.union(known))}
            store.put(key, record)


def uncalibrated(
    metrics: Mapping[str, Mapping[str, Any]], questions: Iterable[str], corrected: Collection[str] = ()
) -> dict[str, list[str]]:
    """By judge, the metrics of a run's header whose verdicts were never held against labels of its ``questions``.

    A calibration is one of this data if it has labels of `FEWEST` of the questions, or of all where those are fewer.
    Metrics that labels have ``corrected`` need none. Where the cache folder cannot be read, nothing is known and
    nothing is told.
    """
    asked = {name: _who_and_by_what(metrics[name]) for name in CALIBRATED_METRICS & metrics.keys() - set(corrected)}
    asked = {name: found for name, found in asked.items() if found[0]}
    if not asked:
        return {}
    own = {_question(question) for question in questions}
    told: dict[str, list[str]] = {}
    try:
        with shared_store("judges", "calibrations") as store:
            for name, (judges, rubric) in sorted(asked.items()) if store is not None else ():
                for judge in judges:
                    record = (store.get(_key(judge, rubric)) if store is not None else None) or {}
                    if len(own.intersection(record.get("questions", ()))) < min(FEWEST, len(own)):
                        told.setdefault(judge, []).append(name)
    except InputError:
        return {}
    return told


def uncalibrated_lines(told: Mapping[str, Sequence[str]]) -> list[str]:
    """What `uncalibrated` found, a line a judge."""
    return [
        f"the judge {judge} was never calibrated on this data ({', '.join(names)}): how far it agrees with people is"
        " not known here; run `telbench judge calibrate LABELS` with labelled answers to these questions"
        for judge, names in told.items()
    ]


def rubric_hashes(rubrics: Mapping[str, Path], *, joint: bool) -> dict[str, str]:
    """The hash of the prompt behind each measure, as metrics have it in their signatures."""
    return {measure.name: measure.sha256 for measure in measures(rubrics, joint=joint)}


def _who_and_by_what(entry: Mapping[str, Any]) -> tuple[tuple[str, ...], str]:
    """The judges and the rubric of a metric's signature; no judge where none was asked."""
    words = (part.partition(":") for part in str(entry.get("signature", "")).split("|"))
    parts = {name: rest for name, _, rest in words}
    judges = parts.get("judge", "none")
    return (() if judges == "none" else tuple(judges.split("+"))), parts.get("rubric", "")


def _key(judge: str, rubric: str) -> str:
    return fingerprint([judge, rubric])


def _question(text: str) -> str:
    return text_sha256(" ".join(text.split()))[:16]
