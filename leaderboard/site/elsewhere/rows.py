"""Paths of a board that are no run folders, read and made into rows."""

from __future__ import annotations

import hashlib
import math
from array import array
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from telbench.errors import InputError

from ....harness.runs.folder import HEADER, PARTIAL
from ....metrics.contract import ItemScore, Metric
from ....metrics.fingerprints import fingerprint
from ....metrics.intervals import bootstrap, statistics_matrix
from ...exchange.eee_reading import holds_eee, read_eee, reported_in
from ...runs.evalscope_logs import holds_reviews
from ...runs.foreign import AS_IT_IS, Reading, Reported
from ...runs.helm_logs import holds_helm
from ...runs.lm_eval_logs import holds_results
from ...runs.loaded import LoadedRun, metric_of
from ...runs.sources import open_run, require_used
from ..model.columns import ANSWERS, NOT_KNOWN, Elsewhere, RunColumns


def sorted_out(paths: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """The paths that are run folders, hold some or are nothing that is known; and those that are other files."""
    others = [path for path in paths if _is_other(path)]
    return [path for path in paths if path not in others], others


def rows_from(paths: Sequence[Path], reading: Reading = AS_IT_IS) -> Elsewhere:
    """The rows of logs, anchors and files of Every Eval Ever.

    Raises:
        InputError: for what cannot be read, or flags about logs where there is none.
    """
    loaded: list[LoadedRun] = []
    reported: list[Reported] = []
    for path in paths:
        told = reported_in(path) if (eee := holds_eee(path)) else []
        reported += told
        for run in [] if told else read_eee(path, reading) if eee else [open_run(path, reading)]:
            if run.undirected:
                # Without a direction there is no rank: asked for here, by name.
                from ...runs.directions import require_directions

                require_directions(run.undirected, list(run.scores))
            loaded.append(run)
    require_used(reading, loaded)
    orders: dict[frozenset[str], tuple[str, ...]] = {}
    columns = []
    for run in loaded:
        # Logs of the same items need not have them in the same order.
        items = orders.setdefault(frozenset(run.clusters), tuple(run.clusters))
        columns.append(as_columns(run, items))
    digest = fingerprint([_sha256(path) for path in paths])
    notes = tuple(dict.fromkeys(note for run in loaded for note in run.notes))
    return Elsewhere(tuple(columns), tuple(reported), digest if paths else "", notes)


def as_columns(run: LoadedRun, items: Sequence[str]) -> RunColumns:
    """A run without answers as columns, its items in this order; values get the interval that they lack."""
    import numpy as np

    header = _header(run, items)
    values, reasons = {}, {}
    stats: dict[str, Any] = {}
    for name, column in run.scores.items():
        scores = [column[item] for item in items]
        values[name] = np.array([math.nan if each.value is None else each.value for each in scores])
        reasons[name] = {place: each.reason or "no score" for place, each in enumerate(scores) if each.value is None}
        if header["metrics"][name]["level"] == "corpus":
            stats[name] = _statistics(scores)
    told = run.lengths
    return RunColumns(
        path=run.path,
        header=header,
        items=tuple(items),
        clusters=tuple(run.clusters[item] for item in items),
        categories=tuple(run.categories.get(item) for item in items),
        failed=run.failed,
        values=values,
        reasons=reasons,
        stats=stats,
        offsets=array("q"),
        kinds=bytes([ANSWERS.index(NOT_KNOWN)]) * len(items),
        digest=fingerprint([header["run_id"], str(run.path.name)]),
        lengths=array("l", [int(told.get(item, -1)) for item in items]),
        texts=False,
        answers=False,
    )


def _header(run: LoadedRun, items: Sequence[str]) -> dict[str, Any]:
    """The header with what pages ask of a run folder's; what nobody knows is None."""
    whole = {
        **{
            "status": "complete",
            "created": None,
            "command": [],
            "telbench": {"version": None, "commit": None},
            "packages": {},
            "machine": {},
        },
        **{"tokens": {"prompt": 0, "completion": 0}, "seconds": {}},
        **run.header,
        "prompt": {"book": None, **run.header["prompt"]},
    }
    entries = {name: dict(entry) for name, entry in run.header["metrics"].items() if name in run.scores}
    lacking = [name for name, entry in entries.items() if entry.get("ci_low") is None and entry["level"] == "item"]
    if lacking:
        metrics = [metric_of(name, [run]) for name in lacking]
        clusters = [run.clusters[item] for item in items]
        for metric, found in zip(metrics, _estimates(run, metrics, items, clusters), strict=True):
            entries[metric.name] |= found
    return {**whole, "metrics": entries}


def _estimates(
    run: LoadedRun, metrics: Sequence[Metric], items: Sequence[str], clusters: Sequence[str]
) -> list[Mapping[str, Any]]:
    matrices = [statistics_matrix(each, [run.scores[each.name][item] for item in items]) for each in metrics]
    return [
        {"value": each.value, "ci_low": each.ci_low, "ci_high": each.ci_high, "ci_method": each.ci_method}
        for each in bootstrap(metrics, matrices, clusters)
    ]


def _statistics(scores: Sequence[ItemScore]) -> Any:
    import numpy as np

    width = next((len(each.stats) for each in scores if each.stats is not None), 0)
    return np.array([[math.nan] * width if each.stats is None else each.stats for each in scores]).reshape(-1, width)


def _is_other(path: Path) -> bool:
    if (path / HEADER).is_file() or (path / PARTIAL).is_file():
        return False
    return path.is_file() or holds_helm(path) or holds_reviews(path) or holds_results(path)


def _sha256(path: Path) -> str:
    """Of a file, or of all files of a folder."""
    digest = hashlib.sha256()
    try:
        for file in [path] if path.is_file() else sorted(each for each in path.rglob("*") if each.is_file()):
            digest.update(hashlib.sha256(file.read_bytes()).digest())
    except OSError as error:
        raise InputError(f"cannot read {error.filename or path}: {error.strerror}") from error
    return digest.hexdigest()
