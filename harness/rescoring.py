"""Scores that a finished run already holds: scoring it again with more metrics asks no encoder twice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..judges.errors import InputError
from ..metrics.base import ItemScore, Metric
from .identity import text_sha256
from .runs import HEADER, read_run, read_samples


@dataclass(frozen=True)
class KeptScores:
    """Scores by metric and item, each good for one answer; ``answers`` holds the answers' hashes."""

    answers: dict[str, str] = field(default_factory=dict)
    scores: dict[str, dict[str, ItemScore]] = field(default_factory=dict)

    def get(self, metric: str, item_id: str, prediction: str) -> ItemScore | None:
        """The score, unless it is unknown or was given to another answer."""
        score = self.scores.get(metric, {}).get(item_id)
        return score if score is not None and self.answers[item_id] == text_sha256(prediction) else None


def kept_scores(folder: Path, metrics: Sequence[Metric]) -> KeptScores:
    """What the finished run in ``folder``, of the same run id, holds for metrics of the same signature.

    Only metrics that need an encoder are kept: the others are quick, or have a store of their own.
    """
    kept = KeptScores()
    if not (folder / HEADER).is_file():
        return kept
    try:
        found = read_run(folder)["metrics"]
        names = [
            metric.name
            for metric in metrics
            if "encoder" in metric.needs
            and not metric.judged
            and metric.level == "item"
            and found.get(metric.name, {}).get("signature") == metric.signature
        ]
        kept.scores.update({name: {} for name in names})
        for sample in read_samples(folder) if names else ():
            if sample["status"] != "ok":
                continue
            kept.answers[sample["item_id"]] = text_sha256(sample["prediction"])
            for name in names:
                value = sample["scores"][name]
                # What is missing costs nothing to find missing again, perhaps for another reason.
                if value is not None:
                    kept.scores[name][sample["item_id"]] = ItemScore(value, sample.get("notes", {}).get(name))
    except (InputError, KeyError, TypeError, AttributeError):
        # A run that was tampered with costs time, never the new scores.
        return KeptScores()
    return kept
