"""Runs with the scores of their items, and whether they may be compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from telbench.errors import IncomparableError, InputError

from ...harness.runs.folder import read_run, read_samples
from ...metrics.contract import ItemScore, Metric, metrics_named

# What must be equal for a difference to mean the models: header path and what it is called.
ALIKE = (
    (("data", "items_sha256"), "items"),
    (("prompt", "choice_seed"), "option order"),
)
# Known only where telbench itself generated: answers from a file were made with prompts and settings of their own.
ALIKE_IF_GENERATED = (
    (("prompt", "book"), "open or closed book"),
    (("prompt", "version"), "prompt version"),
    (("prompt", "system"), "system message"),
    (("prompt", "instruction"), "instruction"),
    (("prompt", "template"), "template"),
    (("prompt", "raw"), "raw questions"),
    (("prompt", "few_shot"), "number of examples"),
    (("prompt", "few_shot_from"), "examples"),
    (("generation", "temperature"), "temperature"),
    (("generation", "max_tokens"), "longest answer"),
    (("generation", "samples"), "number of answers an item"),
    (("generation", "top_k"), "top-k"),
    (("generation", "min_p"), "min-p"),
    (("generation", "repetition_penalty"), "repetition penalty"),
)


@dataclass(frozen=True)
class LoadedRun:
    """A finished run's header with the scores of its items.

    ``failed`` are items that the model did not answer. ``own_metrics`` are those of a run that another harness scored.
    """

    path: Path
    header: dict[str, Any]
    clusters: dict[str, str]
    scores: dict[str, dict[str, ItemScore]]
    failed: frozenset[str] = frozenset()
    categories: Mapping[str, str | None] = field(default_factory=dict)
    own_metrics: Mapping[str, Metric] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The model's name."""
        return str(self.header["model"]["name"])

    @property
    def made_elsewhere(self) -> bool:
        """Were the answers read from a file, so that prompts and decoding are not known?"""
        return self.header["generation"]["engine"] == "replay" or bool(self.own_metrics)


def load_run(path: Path) -> LoadedRun:
    """Header and per-item scores of a run folder.

    Raises:
        InputError: when it is no finished run, or its samples do not match its header.
    """
    header = read_run(path)
    clusters: dict[str, str] = {}
    scores: dict[str, dict[str, ItemScore]] = {name: {} for name in header["metrics"]}
    failed = set()
    categories: dict[str, str | None] = {}
    for sample in read_samples(path):
        categories[sample["item_id"]] = sample["category"]
        if sample["status"] == "error":
            failed.add(sample["item_id"])
        clusters[sample["item_id"]] = sample["cluster_id"]
        for name, column in scores.items():
            stats = sample["stats"].get(name)
            column[sample["item_id"]] = ItemScore(
                sample["scores"].get(name),
                sample.get("missing", {}).get(name),
                None if stats is None else tuple(stats),
            )
    if len(clusters) != header["data"]["n"]:
        raise InputError(f"{path}: {len(clusters)} samples where the header says {header['data']['n']}: copy it again")
    return LoadedRun(path, header, clusters, scores, frozenset(failed), categories)


def require_alike(runs: Sequence[LoadedRun]) -> None:
    """Refuse runs that were not measured alike.

    Raises:
        IncomparableError: naming the runs and what differs.
    """
    first = next((run for run in runs if not run.made_elsewhere), runs[0])
    for other in runs:
        known = not (first.made_elsewhere or other.made_elsewhere)
        for (section, key), label in ALIKE + (ALIKE_IF_GENERATED if known else ()):
            ours, theirs = first.header[section].get(key), other.header[section].get(key)
            if ours != theirs:
                what = f"other {label} ({_short(ours)} and {_short(theirs)})"
                raise IncomparableError(f"{first.path} and {other.path} cannot be compared: {what}")


def shared_metrics(runs: Sequence[LoadedRun]) -> list[Metric]:
    """Metrics that all runs have with the same signature.

    Raises:
        IncomparableError: when a metric was computed in different ways, or none is shared.
    """
    names = [name for name in runs[0].header["metrics"] if all(name in run.header["metrics"] for run in runs)]
    for name in names:
        signatures = {run.header["metrics"][name]["signature"] for run in runs}
        if len(signatures) > 1:
            raise IncomparableError(f"metric {name} was computed in different ways ({', '.join(sorted(signatures))})")
    if not names:
        raise IncomparableError("the runs share no metric: score them with the same --metrics")
    own = runs[0].own_metrics
    return [own[name] for name in names] if own else metrics_named(names)


def _short(value: Any) -> str:
    text = str(value)
    return text[:12] + "…" if len(text) > 40 else text
