"""Which runs may be ranked together, and for the others the reason why not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from telbench.errors import IncomparableError, InputError

from ....harness.runs.folder import HEADER, PARTIAL
from ...runs.loaded import ALIKE, ALIKE_IF_GENERATED, LoadedRun, other_items, require_alike
from .columns import RunColumns

# More items without a score than this share leave a run unranked in the metric.
MAX_MISSING = 0.01


@dataclass(frozen=True)
class Apart:
    """A run that is listed without a rank, and why."""

    name: str
    path: Path
    reason: str


def run_folders(paths: Sequence[Path]) -> tuple[list[Path], list[Apart]]:
    """The finished run folders among the paths, or right inside them, and the unfinished ones.

    Raises:
        InputError: for a path that is no run and holds none, or for the same folder twice.
    """
    finished: list[Path] = []
    apart: list[Apart] = []
    for path in paths:
        inside = (
            [path] if _is_run(path) or not path.is_dir() else sorted(each for each in path.iterdir() if _is_run(each))
        )
        if not inside or not inside[0].is_dir():
            raise InputError(f"{path} is no run folder and holds none: give folders that telbench eval or score made")
        for folder in inside:
            if (folder / HEADER).is_file():
                finished.append(folder)
            else:
                apart.append(Apart(folder.name, folder, "not finished: its command, run again, finishes it"))
    doubled = [path for path, count in Counter(path.resolve() for path in finished).items() if count > 1]
    if doubled:
        raise InputError(f"{doubled[0]} is named twice")
    return finished, apart


def _is_run(path: Path) -> bool:
    return (path / HEADER).is_file() or (path / PARTIAL).is_file()


def measured_alike(runs: Sequence[RunColumns], baseline: RunColumns | None) -> tuple[list[RunColumns], list[Apart]]:
    """Runs on the same items, asked alike, as the baseline was or, without one, as most of them were.

    Raises:
        InputError: for a run whose samples are not of the items that its header names.
    """
    first = baseline or _typical(runs)
    kept, apart = [first], []
    places = [next(place for place, run in enumerate(runs) if run is first)]
    for place, run in enumerate(runs):
        if run is first:
            continue
        try:
            require_alike([_header_only(each) for each in (*kept, run)])
        except IncomparableError as error:
            apart.append(Apart(run.name, run.path, "measured differently: " + str(error).rpartition(": ")[2]))
            continue
        if (run.items, run.clusters) != (first.items, first.clusters):
            one, other = first.loaded([]), run.loaded([])
            if other.clusters != one.clusters:
                raise other_items(one, other)
            # The same lines in another order: columns are compared place by place.
            run = run.in_order(first.items)  # noqa: PLW2901
        kept.append(run)
        places.append(place)
    return [run for _, run in sorted(zip(places, kept, strict=True), key=lambda pair: pair[0])], apart


def _typical(runs: Sequence[RunColumns]) -> RunColumns:
    """The first of the largest group of runs with the same items and settings."""
    keys = [
        tuple(str(run.header[section].get(key)) for (section, key), _ in (*ALIKE, *ALIKE_IF_GENERATED)) for run in runs
    ]
    most = Counter(keys).most_common(1)[0][0]
    return runs[keys.index(most)]


def _header_only(run: RunColumns) -> LoadedRun:
    return LoadedRun(run.path, run.header, {}, {})


def rankable(name: str, runs: Sequence[RunColumns], *, allow_incomplete: bool) -> tuple[list[RunColumns], list[Apart]]:
    """Runs with the metric as the first of them computed it, on as good as all items that most have a score on."""
    import numpy as np

    kept, apart = [], []
    signature = next((run.header["metrics"][name]["signature"] for run in runs if name in run.header["metrics"]), None)
    present = [run for run in runs if run.header["metrics"].get(name, {}).get("signature") == signature]
    scored = {run.path: np.isfinite(run.values[name]) for run in present}
    # An item that most runs have no score on is one that the metric does not apply to.
    expected = np.sum(list(scored.values()), axis=0) * 2 >= len(present) if present else np.zeros(0, bool)
    for run in runs:
        if run not in present:
            entry: Mapping[str, str] = run.header["metrics"].get(name, {})
            why = f"computed differently ({entry['signature']})" if entry else "not computed"
            apart.append(Apart(run.name, run.path, why))
            continue
        lacking = int((expected & ~scored[run.path]).sum())
        if not expected.any() or lacking == expected.sum() or run.header["metrics"][name]["value"] is None:
            reasons = ", ".join(run.missing(name)) or "no score"
            apart.append(Apart(run.name, run.path, f"no value: {reasons}"))
        elif lacking > MAX_MISSING * int(expected.sum()) and not allow_incomplete:
            reasons = Counter(
                run.reasons[name].get(int(place), "no score") for place in np.flatnonzero(expected & ~scored[run.path])
            )
            told = ", ".join(f"{count} {reason}" for reason, count in sorted(reasons.items()))
            apart.append(Apart(run.name, run.path, f"incomplete: {lacking} items without a score ({told})"))
        else:
            kept.append(run)
    return kept, apart


def first_rankable(runs: Sequence[RunColumns], *, allow_incomplete: bool) -> RunColumns:
    """The first of the runs that are ranked in most metrics, of those that at least half of the runs are ranked in."""
    places = [0] * len(runs)
    for name in dict.fromkeys(name for run in runs for name in run.header["metrics"]):
        signatures = [run.header["metrics"].get(name, {}).get("signature") for run in runs]
        (usual, _), *_ = Counter(each for each in signatures if each is not None).most_common()
        # The metric is as most runs computed it.
        order = sorted(range(len(runs)), key=lambda place: signatures[place] != usual)
        kept, _ = rankable(name, [runs[place] for place in order], allow_incomplete=allow_incomplete)
        if len(kept) * 2 >= len(runs):
            for place, run in enumerate(runs):
                places[place] += any(run is each for each in kept)
    return runs[places.index(max(places))]
