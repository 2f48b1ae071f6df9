"""Runs of several data sets: a board for each of them, and what all of them come to by stated weights.

The overall mean and its tests are those of ``telbench compare`` (`compare_sets`). What is said of a run on one data set
is the verdict of that set's own board.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from telbench.errors import InputError

from ....harness.cli.terminal import Reporter
from ....harness.runs.folder import read_run
from ...compare.overall import weights_of
from ...compare.sets import SetsCompared, compare_sets, headline_metric, names_of
from ..formats import shortened
from ..model.board import Board, BoardRun, Options, make_board, slug
from ..model.columns import NOTHING, Elsewhere
from ..model.contexts import NO_CONTEXTS, Contexts
from ..model.eligibility import Apart, run_folders
from ..model.standings import MetricTable, Standing
from ..store import Store
from .recipes import with_recipes


@dataclass(frozen=True)
class DataSet:
    """One data set: its ``name``, the ``folder`` of its pages inside the site, its board, and the table that counts."""

    name: str
    folder: str
    board: Board
    table: MetricTable


@dataclass(frozen=True)
class Cell:
    """A model on one data set: its run and its row there, and its mean on the items that all compared models have."""

    run: BoardRun
    row: Standing
    value: float


@dataclass(frozen=True)
class Model:
    """A row of the first page: its cells by data set, and its place in the overall comparison.

    ``place`` is None for a model that is not compared over all data sets, for the ``reason``.
    """

    name: str
    short: str
    cells: tuple[Cell | None, ...]
    place: int | None
    reason: str = ""


@dataclass(frozen=True)
class SetsBoard:
    """Boards of several data sets. ``compared`` is None where no model has a run on all of them.

    ``models`` are the rows: the baseline, then the best first, then those that lack a data set. ``apart`` are runs that
    are not finished, or of no data set here.
    """

    options: Options
    sets: tuple[DataSet, ...]
    compared: SetsCompared | None
    models: tuple[Model, ...]
    weights: Mapping[str, float]
    apart: tuple[Apart, ...]
    digest: str

    @property
    def runs(self) -> int:
        """How many runs are ranked on any of the boards."""
        return sum(len(each.board.runs) for each in self.sets)


def folders_by_set(folders: Sequence[Path]) -> dict[str, list[Path]] | None:
    """The finished runs by data set, named; None where they make one board.

    They make several where two data sets or more have two runs or more, or where one model has a run on each of them.
    """
    groups: dict[str, list[tuple[Path, dict[str, Any]]]] = {}
    for folder in folders:
        header = read_run(folder)
        groups.setdefault(_items(header), []).append((folder, header))
    counts = [len(group) for group in groups.values()]
    models = {str(_part(header, "model").get("name")) for group in groups.values() for _, header in group}
    if sum(count > 1 for count in counts) < 2 and not (len(counts) > 1 and max(counts) == 1 == len(models)):
        return None
    found: dict[str, list[Path]] = {}
    for group in groups.values():
        data = _part(group[0][1], "data")
        name = next(each for each in names_of(data) if each not in found)
        found[name] = [folder for folder, _ in group]
    return found


def _items(header: Mapping[str, Any]) -> str:
    return str(_part(header, "data").get("items_sha256"))


def _part(header: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A part of a header that nobody has checked yet."""
    part = header.get(name)
    return part if isinstance(part, dict) else {}


def make_sets(
    paths: Sequence[Path],
    options: Options,
    reporter: Reporter,
    processes: int = 2,
    contexts: Contexts = NO_CONTEXTS,
    elsewhere: Elsewhere = NOTHING,
    store: Store | None = None,
) -> SetsBoard | None:
    """A board for each data set of the runs, and what they come to; None where the runs are of one.

    Runs from ``elsewhere`` are rows of the board whose items they have; numbers without items are on none.

    Raises:
        InputError: as `make_board`, for weights that do not fit, and for options that are of one data set.
    """
    finished, unfinished = run_folders(paths)
    grouped = folders_by_set(finished)
    if grouped is None:
        return None
    for name, given in (("history", options.history), ("worth", options.worth)):
        if given is not None:
            raise InputError(f"--{name} is of one data set, and the runs are of {len(grouped)}: leave it out")
    chosen = _on_all(grouped) if options.baseline is None else _model(options.baseline)
    sets, placed = [], []
    for name, folders in grouped.items():
        reporter.note(f"data set {name}")
        baseline = _baseline(folders, options, chosen)
        inner = replace(options, title=f"{options.title}: {name}", baseline=baseline, margins={})
        rows = tuple(run for run in elsewhere.runs if _items(run.header) == _items(read_run(folders[0])))
        placed += rows
        others = replace(elsewhere, runs=rows, reported=())
        made = make_board(folders, inner, reporter, processes, contexts, others, store)
        board = with_recipes(made, reporter)
        metric = headline_metric(name, [run.columns.titled for run in board.runs], options.primary)
        known = {table.name: table for table in board.tables}
        margins = {key: value for key, value in options.margins.items() if key in known}
        board = replace(board, options=replace(board.options, margins=margins))
        sets.append(DataSet(name, f"sets/{slug(name, name)}", board, known[metric.name]))
    for key in options.margins:
        if not any(table.name == key for each in sets for table in each.board.tables):
            raise InputError(f"--margin {key}: no data set has that metric")
    strangers = [run for run in elsewhere.runs if all(run is not each for each in placed)]
    apart = [Apart(run.name, run.path, "its items are those of no data set here") for run in strangers]
    if elsewhere.reported:
        reporter.note(f"{len(elsewhere.reported)} published numbers are left out: a board of one data set shows them")
    return _together(sets, options, chosen, [*unfinished, *apart])


def _baseline(folders: Sequence[Path], options: Options, model: str | None) -> Path | None:
    """The run of the baseline's model on these data, the very folder first."""
    wanted = None if options.baseline is None else options.baseline.resolve()
    same = [folder for folder in folders if folder.resolve() == wanted]
    return next(iter([*same, *(folder for folder in folders if _model(folder) == model)]), None)


def _model(folder: Path) -> str:
    return str(_part(read_run(folder), "model").get("name"))


def _on_all(grouped: Mapping[str, Sequence[Path]]) -> str | None:
    """The first model that has one run on each data set: all boards hold the others against the same one."""
    named = [[_model(folder) for folder in folders] for folders in grouped.values()]
    return next((name for name in named[0] if all(names.count(name) == 1 for names in named)), None)


def _together(sets: Sequence[DataSet], options: Options, chosen: str | None, unfinished: Sequence[Apart]) -> SetsBoard:
    names = list(dict.fromkeys(run.columns.name for each in sets for run in each.board.runs))
    ranked = [{name: _ranked(each, name) for name in names} for each in sets]
    reasons = {
        name: "; ".join(
            f"{len(rows[name]) or 'no'} ranked run{'s' * (len(rows[name]) > 1)} on {each.name}"
            for each, rows in zip(sets, ranked, strict=True)
            if len(rows[name]) != 1
        )
        for name in names
    }
    complete = [name for name in names if not reasons[name]]
    first = chosen or sets[0].board.baseline.columns.name
    complete.sort(key=lambda name: name != first)
    compared = None
    if complete:
        loaded = {
            each.name: [rows[name][0][0].columns.loaded([each.table.name]) for name in complete]
            for each, rows in zip(sets, ranked, strict=True)
        }
        metrics = {each.name: each.table.metric for each in sets}
        compared = compare_sets(loaded, weights=options.weights, by=options.by, metrics=metrics)
    order = complete
    if compared is not None:
        order = sorted(complete, key=lambda name: (name != first, -compared.means[complete.index(name)].mean, name))
    short = dict(zip(names, shortened(names), strict=True))
    models = [
        Model(
            name,
            short[name],
            tuple(_cell(compared, number, rows[name], None if reasons[name] else complete.index(name))
                  for number, rows in enumerate(ranked)),
            None if reasons[name] else complete.index(name),
            reasons[name],
        )
        for name in [*order, *(name for name in names if reasons[name])]
    ]  # fmt: skip
    weights = weights_of(options.weights, {each.name: each.table.n for each in sets})
    if compared is not None:
        weights = {each.name: each.weight for each in compared.sets}
    parts = [[each.name, each.board.digest] for each in sets], options.weights, list(options.primary), first
    digest = hashlib.sha256(json.dumps(parts).encode()).hexdigest()
    return SetsBoard(options, tuple(sets), compared, tuple(models), weights, tuple(unfinished), digest)


def _ranked(data: DataSet, name: str) -> list[tuple[BoardRun, Standing]]:
    """The runs of a model that are ranked on the data set by the metric that counts."""
    rows = [(data.board.runs[row.run], row) for row in data.table.rows]
    return [(run, row) for run, row in rows if run.columns.name == name]


def _cell(
    compared: SetsCompared | None, number: int, rows: Sequence[tuple[BoardRun, Standing]], place: int | None
) -> Cell | None:
    if not rows:
        return None
    run, row = rows[0]
    value = float(row.entry["value"]) if compared is None or place is None else compared.sets[number].means[place]
    return Cell(run, row, value)
