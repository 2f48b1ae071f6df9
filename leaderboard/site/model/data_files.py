"""The board's tables as CSV and JSON, for those who go on with the numbers."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from ....harness.cli.terminal import visible
from ...compare.pairwise import Comparison
from .board import Board, slug
from .composite import OVERALL
from .standings import MetricTable, Standing

SCHEMA_VERSION = 1
COLUMNS = (
    "rank_low",
    "rank_high",
    "run",
    "run_id",
    "value",
    "ci_low",
    "ci_high",
    "calibrated",
    "delta",
    "delta_ci_low",
    "delta_ci_high",
    "p_adjusted",
    "p_verdict",
    "verdict",
    "group",
    "parameters",
    "tokens_per_second",
    "dollars_per_1000",
    "n",
    "n_missing",
)


def data_path(table: MetricTable, prefix: str = "") -> str:
    """Where the table's files are, without their endings."""
    return f"data/{prefix}tables/{slug(table.name, table.signature)}"


def metric_path(table: MetricTable, prefix: str = "") -> str:
    """Where the metric's page is."""
    return f"{prefix}metrics/{slug(table.name, table.signature)}.html"


def table_path(board: Board, table: MetricTable) -> str:
    """Where the table's page is: the composite has none but the board's first."""
    return board.home if table.name == OVERALL else metric_path(table, board.prefix)


def data_files(board: Board) -> Iterator[tuple[str, bytes]]:
    """Path and content of each file: a table a metric, twice, and ``data/board.json`` about all of them."""
    for table, files in zip(board.tables, board.each_of(partial(_table_files, board), board.tables), strict=True):
        for ending, content in files:
            yield f"{data_path(table, board.prefix)}.{ending}", content
    yield f"data/{board.prefix}board.json", _json(_overview(board))
    if board.recipes is not None:
        yield from data_files(board.recipes)


def _table_files(board: Board, table: MetricTable) -> list[tuple[str, bytes]]:
    rows = [_table_row(board, row) for row in table.rows]
    return [("csv", _csv(rows)), ("json", _json(_table_document(board, table, rows)))]


def _table_row(board: Board, row: Standing) -> dict[str, Any]:
    run, entry, each = board.runs[row.run], row.entry, row.comparison
    interval = each.ci_verdict if each is not None else None
    return {
        "rank_low": row.ranks[0],
        "rank_high": row.ranks[1],
        "run": run.name,
        "run_id": run.header["run_id"],
        "value": entry["value"],
        "ci_low": entry["ci_low"],
        "ci_high": entry["ci_high"],
        "calibrated": (entry.get("calibration") or {}).get("value"),
        "delta": None if each is None else each.delta,
        "delta_ci_low": None if interval is None else interval[0],
        "delta_ci_high": None if interval is None else interval[1],
        "p_adjusted": None if each is None else each.p_adjusted,
        "p_verdict": None if each is None else each.p_verdict,
        "verdict": "baseline" if row.run == 0 else None if each is None else each.verdict,
        "group": row.letters,
        "parameters": run.parameters,
        "tokens_per_second": run.speed,
        "dollars_per_1000": run.cost,
        "n": entry["n"],
        "n_missing": entry["n_missing"],
        **{f"factor.{name}": level for name, level in run.factors.items()},
    }


def _table_document(board: Board, table: MetricTable, rows: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "schema_version": SCHEMA_VERSION,
        "metric": table.name,
        "signature": table.signature,
        "higher_is_better": table.metric.higher_is_better,
        "baseline": board.baseline.name,
        "n": table.n,
        "clusters": table.clusters,
        "effective_clusters": table.effective_clusters,
        "detectable": table.detectable,
        "rows": rows,
        "apart": [{"run": each.name, "reason": each.reason} for each in table.apart],
        "differences": {
            board.runs[row.run].name: _comparison(row.comparison) for row in table.rows if row.comparison is not None
        },
        "ranking": table.ranking,
    }


def _overview(board: Board) -> dict[str, Any]:
    header = board.baseline.header
    return {
        "schema_version": SCHEMA_VERSION,
        "title": board.options.title,
        "digest": board.digest,
        "data": {key: header["data"].get(key) for key in ("name", "split", "n", "items_sha256")},
        "baseline": board.baseline.name,
        "runs": [
            {
                "name": run.name,
                "run_id": run.header["run_id"],
                "factors": dict(run.factors),
                "page": f"{board.prefix}runs/{run.slug}.html",
                "error_kinds": dict(run.columns.error_kinds),
            }
            for run in board.runs
        ],
        "apart": [{"run": each.name, "reason": each.reason} for each in board.apart],
        "home": board.home,
        "tables": {table.name: f"{data_path(table, board.prefix)}.json" for table in board.tables},
        "pages": {table.name: table_path(board, table) for table in board.tables},
    }


def _comparison(each: Comparison) -> dict[str, Any]:
    """What `Comparison.to_dict` says, its records as they are."""
    return {**vars(each), "delta": each.delta, "ci": each.interval}


def _json(document: Mapping[str, Any]) -> bytes:
    """The members of a document on lines of their own, and of each list or object in it the members; records too.

    Json's own indentation is not used: it takes many times as long.
    """
    encoder = json.JSONEncoder(allow_nan=False, default=vars)
    members = [f"{encoder.encode(name)}: {_lines(encoder, value)}" for name, value in document.items()]
    return ("{\n " + ",\n ".join(members) + "\n}\n").encode("ascii")


def _lines(encoder: json.JSONEncoder, value: Any) -> str:
    if isinstance(value, dict) and value:
        parts = [f"{encoder.encode(str(key))}: {encoder.encode(each)}" for key, each in value.items()]
        return "{\n  " + ",\n  ".join(parts) + "\n }"
    if isinstance(value, list) and value:
        return "[\n  " + ",\n  ".join(map(encoder.encode, value)) + "\n ]"
    return encoder.encode(value)


def _csv(rows: list[dict[str, Any]]) -> bytes:
    """With a byte order mark, without which Excel takes it for another encoding."""
    stream = io.StringIO()
    names = list(dict.fromkeys([*COLUMNS, *(name for row in rows for name in row)]))
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([csv_cell(name) for name in names])
    for row in rows:
        writer.writerow([csv_cell(row.get(name)) for name in names])
    return stream.getvalue().encode("utf-8-sig")


def csv_cell(value: Any) -> Any:
    """Text that a spreadsheet would take for a formula is marked as text."""
    if not isinstance(value, str):
        return value
    shown = visible(value, encoding="utf-8")
    return f"'{shown}" if shown.startswith(("=", "+", "-", "@", "\t")) else shown
