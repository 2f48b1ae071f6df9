"""Runs on the same items: may they be compared, and how far apart are they, item paired with item."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..harness.runs import read_run, read_samples
from ..judges.errors import IncomparableError, InputError
from ..metrics.base import ItemScore, Metric
from ..metrics.intervals import LEVEL, RESAMPLES, aggregate, cluster_sums, replicates, statistics_matrix
from ..metrics.registry import metrics_named

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# What must be equal for a difference to mean the models: header path and what it is called.
ALIKE = (
    (("data", "items_sha256"), "items"),
    (("prompt", "choice_seed"), "option order"),
)
# Known only where telbench itself generated: answers from a file were made with prompts and settings of their own.
ALIKE_IF_GENERATED = (
    (("prompt", "book"), "open or closed book"),
    (("prompt", "version"), "prompt version"),
    (("generation", "temperature"), "temperature"),
    (("generation", "max_tokens"), "longest answer"),
)


@dataclass(frozen=True)
class LoadedRun:
    """A finished run's header with the scores of its items; ``failed`` are those that the model did not answer."""

    path: Path
    header: dict[str, Any]
    clusters: dict[str, str]
    scores: dict[str, dict[str, ItemScore]]
    failed: frozenset[str] = frozenset()
    categories: Mapping[str, str | None] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The model's name."""
        return str(self.header["model"]["name"])

    @property
    def made_elsewhere(self) -> bool:
        """Were the answers read from a file, so that prompts and decoding are not known?"""
        return self.header["generation"]["engine"] == "replay"


@dataclass(frozen=True)
class Difference:
    """One metric of a run minus the same metric of the first run, over items that both answered.

    ``n`` items in ``clusters`` source documents; ``n_unpaired`` items lack a score on either side. The interval is the
    percentile interval of the paired cluster bootstrap.
    """

    metric: str
    value: float | None
    ci_low: float | None
    ci_high: float | None
    n: int
    n_unpaired: int
    clusters: int
    method: str

    def to_dict(self) -> dict[str, Any]:
        """As a JSON record."""
        return asdict(self)


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
    return metrics_named(names)


def paired_differences(run: LoadedRun, base: LoadedRun, metrics: Sequence[Metric], seed: int = 0) -> list[Difference]:
    """Each metric of ``run`` minus that of ``base``, with a paired cluster bootstrap interval.

    Both runs are resampled with the same draws of source documents, so what is hard for both cancels out.
    """
    return [_difference(run, base, metric, seed) for metric in metrics]


def _difference(run: LoadedRun, base: LoadedRun, metric: Metric, seed: int) -> Difference:
    import numpy as np

    ours, theirs = run.scores[metric.name], base.scores[metric.name]
    paired = [item for item in base.clusters if ours[item].value is not None and theirs[item].value is not None]
    unpaired = len(base.clusters) - len(paired)
    if not paired:
        return Difference(metric.name, None, None, None, 0, unpaired, 0, "")
    matrices = [statistics_matrix(metric, [side[item] for item in paired]) for side in (ours, theirs)]
    value = float(_total(metric, matrices[0]) - _total(metric, matrices[1]))
    groups, summed = cluster_sums(matrices, [base.clusters[item] for item in paired])
    drawn = replicates([metric, metric], summed, RESAMPLES, seed)
    spread = drawn[0] - drawn[1]
    method = f"paired cluster bootstrap percentile|clusters:{groups}|resamples:{RESAMPLES}|seed:{seed}|level:{LEVEL}"
    if not len(spread) or not np.isfinite(spread).all():
        return Difference(metric.name, value, None, None, len(paired), unpaired, groups, method)
    low, high = np.quantile(spread, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Difference(metric.name, value, float(low), float(high), len(paired), unpaired, groups, method)


def _total(metric: Metric, matrix: NDArray[np.float64]) -> float:
    return float(aggregate(metric, matrix.sum(axis=0, keepdims=True))[0])


def _short(value: Any) -> str:
    text = str(value)
    return text[:12] + "…" if len(text) > 40 else text
