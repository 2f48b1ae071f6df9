"""Runs as columns, from the store where they were read before: a run's file is taken apart once."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from ....harness.cli.terminal import Reporter
from ....harness.runs.folder import HEADER, SAMPLES, read_run
from ....metrics.fingerprints import file_sha256, fingerprint
from ...runs.loaded import COPY_AGAIN
from ...runs.validation import require_header
from ..parallel import all_of
from ..store import Kept, Part, Store
from .columns import RunColumns, read_columns
from .contexts import Contexts

_RUN, _ITEMS = "columns", "items"
# Ids of items, their clusters and categories: most runs of a board have the same, which are held once.
Lists = tuple[tuple[str, ...], tuple[str, ...], tuple[str | None, ...]]


def columns_of(
    folders: Sequence[Path], contexts: Contexts, store: Store, processes: int, reporter: Reporter
) -> list[RunColumns]:
    """`read_columns` of each folder, by the content of its files.

    Raises:
        InputError: as `read_columns`.
    """
    lists: dict[str, Lists] = {}
    found = {folder: _known(folder, contexts, store, lists) for folder in folders}
    missing = [folder for folder, run in found.items() if run is None]
    read = all_of(partial(_read, contexts, store), missing, processes, reporter, "reading runs") if missing else []
    found |= zip(missing, read, strict=True)
    return [run for folder in folders if (run := found[folder]) is not None]


def _known(folder: Path, contexts: Contexts, store: Store, lists: dict[str, Lists]) -> RunColumns | None:
    header, samples = folder / HEADER, folder / SAMPLES
    # What cannot be read is told by whoever reads it.
    if not store.lasting or not (header.is_file() and samples.is_file()):
        return None
    kept = store.get(_RUN, file_sha256(header), file_sha256(samples), contexts.digest)
    if kept is None:
        return None
    items = kept.told["items"]
    if items not in lists:
        if (known := store.get(_ITEMS, items)) is None:
            return None
        names, clusters, categories = known.told
        lists[items] = tuple(names), tuple(clusters), tuple(categories)
    read = read_run(folder)
    require_header(read, header, COPY_AGAIN)
    return _columns(folder, read, kept, lists[items])


def _read(contexts: Contexts, store: Store, folder: Path) -> RunColumns:
    run = read_columns(folder, contexts)
    if store.lasting:
        lists = [run.items, run.clusters, run.categories]
        items = fingerprint(lists)
        if store.get(_ITEMS, items) is None:
            store.put(Part(lists), _ITEMS, items)
        store.put(_part(run, items), _RUN, run.header_sha256, run.samples_sha256, contexts.digest)
    return run


def _part(run: RunColumns, items: str) -> Part:
    import numpy as np

    names = list(run.values)
    told = {
        "items": items,
        "metrics": names,
        "statistics": list(run.stats),
        "failed": sorted(run.failed),
        "reasons": run.reasons,
        "digest": run.digest,
        "header_sha256": run.header_sha256,
        "samples_sha256": run.samples_sha256,
    }
    count = len(run.items)
    arrays = {
        "values": np.array([run.values[name] for name in names], np.float64).reshape(len(names), count),
        "offsets": np.array(run.offsets, np.int64),
        "kinds": np.frombuffer(run.kinds, np.uint8),
        "lengths": np.array(run.lengths, np.int64),
        **{f"statistics {place}": rows for place, rows in enumerate(run.stats.values())},
    }
    return Part(told, arrays)


def _columns(folder: Path, header: dict[str, Any], kept: Kept, lists: Lists) -> RunColumns:
    told, arrays = kept.told, kept.arrays
    return RunColumns(
        path=folder,
        header=header,
        items=lists[0],
        clusters=lists[1],
        categories=lists[2],
        failed=frozenset(told["failed"]),
        values=dict(zip(told["metrics"], arrays["values"], strict=True)),
        reasons={
            name: {int(place): reason for place, reason in reasons.items()} for name, reasons in told["reasons"].items()
        },
        stats={name: arrays[f"statistics {place}"] for place, name in enumerate(told["statistics"])},
        offsets=array("q", arrays["offsets"].tobytes()),
        kinds=arrays["kinds"].tobytes(),
        digest=told["digest"],
        lengths=array("l", arrays["lengths"].tolist()),
        header_sha256=told["header_sha256"],
        samples_sha256=told["samples_sha256"],
    )
