"""The first page (the composite, and all metrics side by side) and a page for each metric."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ...compare.lengths import length_warning
from ...compare.readings import doubts
from ...runs.labelled import calibration_notes
from ...runs.loaded import LENGTH_FACTOR
from ..charts.forest import IntervalRow, interval_axis, interval_cell
from ..model.board import Board
from ..model.composite import OVERALL
from ..model.data_files import metric_path
from ..model.headline import headline
from ..model.standings import MetricTable
from ..page import Page
from ..terms import FAMILIES

# So many runs with answers of another length are named.
_NAMED = 3


def index_pages(board: Board) -> Iterator[Page]:
    """The board's first page, and ``metrics/NAME.html`` each."""
    singles = [table for table in board.tables if table.name != OVERALL]
    shared = {
        "paths": {table.name: metric_path(table) for table in singles},
        "singles": singles,
        "families": FAMILIES,
        "own": {table.metric.family for table in singles},
    }
    first = board.tables[0]
    values = {table.name: {row.run: row for row in table.rows} for table in singles}
    order = [row.run for row in first.rows]
    order += [place for place in range(len(board.runs)) if place not in order]
    yield Page(
        board.home,
        "index.html",
        board.options.title,
        {
            **shared,
            "table": first,
            "cells": interval_cells(first),
            "claims": headline(board),
            "shown": _columns(board, first),
            "doubts": [
                *_lengths(board, singles),
                *doubts({table.name: _entries(board, table) for table in singles}),
                *_uncalibrated(board, singles),
            ],
            "values": values,
            "order": order,
            "calibrated": _calibrated(singles),
        },
        menu=board.home,
    )
    for table in singles:
        yield Page(
            metric_path(table),
            "metric.html",
            table.name,
            {
                **shared,
                "table": table,
                "cells": interval_cells(table),
                "shown": _columns(board, table),
                "doubts": doubts({table.name: _entries(board, table)}),
                "summary": table.metric.description.partition("\n\n")[0],
            },
            menu=board.home,
        )


def _uncalibrated(board: Board, singles: Sequence[MetricTable]) -> list[str]:
    """Which judges behind the first run's values were never calibrated on this data."""
    judged = [table.name for table in singles if table.metric.family == "judged"]
    return calibration_notes([board.baseline.columns.titled], judged) if judged else []


def interval_cells(table: MetricTable) -> list[str]:
    """The interval of each row as a drawing, all on one axis, with the baseline's value marked."""
    rows = [IntervalRow("", row.entry["value"], row.entry["ci_low"], row.entry["ci_high"]) for row in table.rows]
    axis = interval_axis(rows)
    baseline = next((row.entry["value"] for row in table.rows if row.run == 0), None)
    return [interval_cell(axis, row, baseline=baseline) for row in rows]


def _columns(board: Board, table: MetricTable) -> set[str]:
    """The columns beside score and difference that any run has something in."""
    has = {
        "words": any(run.columns.words is not None for run in board.runs),
        "size": any(run.parameters is not None for run in board.runs),
        "speed": any(run.speed is not None for run in board.runs),
        "cost": any(run.cost is not None for run in board.runs),
        "missing": any(row.entry["n_missing"] for row in table.rows),
    }
    return {name for name, there in has.items() if there}


def _lengths(board: Board, tables: Sequence[MetricTable]) -> list[str]:
    """Runs whose answers are much longer or shorter than the baseline's: the most different ones, others counted."""
    base = board.baseline.columns
    far = [
        (max(run.columns.words / base.words, base.words / run.columns.words), run)
        for run in board.runs[1:]
        if base.words and run.columns.words
    ]
    far = sorted((each for each in far if each[0] > LENGTH_FACTOR), key=lambda each: -each[0])
    lines = []
    for _, run in far[:_NAMED]:
        names = [table.name for table in tables if {0, board.runs.index(run)} <= {row.run for row in table.rows}]
        first, other = base.loaded(names), run.columns.loaded(names)
        lines.append(length_warning(first, other, (board.baseline.name, run.name), names))
    if len(far) > _NAMED:
        lines.append(
            f"{len(far) - _NAMED} runs more have answers of another length than those of {board.baseline.name}"
        )
    return lines


def _entries(board: Board, table: MetricTable) -> list[tuple[str, Mapping[str, Any]]]:
    """The runs of a table by name, with what their headers say of the metric."""
    return [(board.runs[row.run].name, row.entry) for row in table.rows]


def _calibrated(tables: Sequence[MetricTable]) -> bool:
    """Has any metric a place between unrelated and right texts?"""
    return any(row.entry.get("calibration") for table in tables for row in table.rows)
