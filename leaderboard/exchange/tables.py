"""Runs as tables, CSV and parquet: a row an item with its scores, and beside it a row a metric.

The same columns are read back, from any file of ids and scores: columns of numbers are metrics.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from telbench.errors import InputError, missing_extra

from ...harness.cli.terminal import visible
from ...harness.datasets.rows import csv_rows, jsonl_rows, parquet_rows
from ...harness.engines.replay import ANSWER_FIELDS, ID_FIELDS
from ...metrics.contract import ItemScore, missing
from ...metrics.fingerprints import fingerprint
from ..runs.foreign import SCORES, Log, Reading, run_of, value_of
from ..runs.loaded import ItemText, LoadedRun
from .contract import Exported, Format, portable, writing_file

_TEXTS = ("item_id", "cluster_id", "category", "question", "references", "prediction", "status")
_ENTRY = (
    "value",
    "ci_low",
    "ci_high",
    "ci_method",
    "n",
    "n_missing",
    "higher_is_better",
    "level",
    "family",
    "signature",
)
# What a spreadsheet takes for a formula; the mark before it says that it is text.
_FORMULA = ("=", "+", "-", "@", "\t", "'")
_READERS: Mapping[str, Callable[[Path], Iterator[tuple[int, Mapping[str, Any]]]]] = {
    ".csv": csv_rows,
    ".tsv": csv_rows,
    ".jsonl": jsonl_rows,
    ".parquet": parquet_rows,
}
_IDS, _ANSWERS = ID_FIELDS, ANSWER_FIELDS
_ASKED = ("question", "prompt", "input")
_RIGHT = ("references", "reference", "target")
# Lines of logs of lm-eval, EvalScope and Every Eval Ever have these, and are no tables.
_OTHERS = {"resps", "metrics", "sample_score", "evaluation"}
_FACTS = ("cluster_id", "source_document", "category", "status")


def write_csv(run: Exported, out: Path) -> list[Path]:
    """``samples.csv`` and ``metrics.csv`` in a folder of the run's name.

    Raises:
        InputError: when the run is damaged, or a file cannot be written.
    """
    files = []
    for name, rows, columns in _tables(run):
        file = _folder(run, out) / f"{name}.csv"
        with writing_file(file) as stream:
            text = io.TextIOWrapper(stream, encoding="utf-8", newline="", write_through=True)
            writer = csv.writer(text, lineterminator="\n")
            writer.writerow(map(_cell, columns))
            for row in rows:
                writer.writerow([_cell(row.get(column)) for column in columns])
            text.detach()
        files.append(file)
    return files


def write_parquet(run: Exported, out: Path) -> list[Path]:
    """``samples.parquet`` and ``metrics.parquet``; scores are float64, and null where there is none.

    Raises:
        InputError: without pyarrow, when the run is damaged, or a file cannot be written.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise missing_extra("pyarrow", "parquet", "writing parquet") from error
    files = []
    for name, rows, columns in _tables(run):
        found = list(rows)
        kinds = {"n": pa.int64(), "n_missing": pa.int64(), "higher_is_better": pa.bool_(), "references": pa.string()}
        numbers = {*run.header["metrics"], *map(_column, run.header["metrics"]), "value", "ci_low", "ci_high"}
        fields = [
            pa.field(column, kinds.get(column) or (pa.float64() if column in numbers else pa.string()))
            for column in columns
        ]
        table = pa.table({field.name: pa.array([row.get(field.name) for row in found], field.type) for field in fields})
        file = _folder(run, out) / f"{name}.parquet"
        with writing_file(file) as stream:
            pq.write_table(table, stream)
        files.append(file)
    return files


def _folder(run: Exported, out: Path) -> Path:
    return out / f"{portable(run.name)}-{run.task}-{run.header['run_id'][:8]}"


def _tables(run: Exported) -> Iterator[tuple[str, Iterator[dict[str, Any]], list[str]]]:
    names = list(run.header["metrics"])

    def samples() -> Iterator[dict[str, Any]]:
        for sample in run.samples():
            scores = {_column(name): sample["scores"].get(name) for name in names}
            texts = {key: sample.get(key) for key in _TEXTS} | {"references": json.dumps(sample["references"])}
            yield texts | scores

    yield "samples", samples(), [*_TEXTS, *map(_column, names)]
    entries = ({"metric": name, **entry} for name, entry in run.header["metrics"].items())
    yield "metrics", entries, ["metric", *_ENTRY]


def _column(name: str) -> str:
    """A metric that is called as a text is keeps a name of its own."""
    return f"score {name}" if name in _TEXTS else name


def _cell(value: Any) -> Any:
    """Numbers with all their digits; texts so that no spreadsheet runs them, and that no terminal obeys them."""
    if isinstance(value, float):
        return repr(value)
    if not isinstance(value, str):
        return "" if value is None else value
    shown = visible(value, lines=True, encoding="utf-8")
    return f"'{shown}" if shown.startswith(_FORMULA) else shown


def holds_scores(path: Path) -> bool:
    """Is it a table with an id, and more than ids and answers?"""
    if not path.is_file() or path.suffix not in _READERS:
        return False
    try:
        row = next(iter(_READERS[path.suffix](path)), (0, {}))[1]
    except InputError:
        return False
    if row.keys() & _OTHERS:
        return False
    texts = {*_IDS, *_ANSWERS, *_ASKED, *_RIGHT, *_FACTS}
    scores = [name for name in row if name not in texts and _number(row[name]) is not None]
    return bool(scores) and any(name in row for name in _IDS)


def read_scores(path: Path, reading: Reading) -> list[LoadedRun]:
    """A table of ids, answers and scores as a run: each further column of numbers is a metric.

    An empty cell is an item without a score; a column with a text in it is no metric.

    Raises:
        InputError: without an id, for an id that occurs twice, or without a column of numbers.
    """
    rows = [(number, _unmarked(row, path)) for number, row in _READERS[path.suffix](path)]
    if not rows:
        raise InputError(f"{path} holds no rows")
    columns = list(dict.fromkeys(name for _, row in rows for name in row))
    identity = next((name for name in _IDS if name in columns), None)
    if identity is None:
        raise InputError(f"{path}: no column of ids: call it one of {', '.join(_IDS)}")
    log = Log(path, SCORES, path.stem if path.stem != "samples" else path.resolve().parent.name, path.stem)
    texts = {identity, *_ANSWERS, *_ASKED, *_RIGHT, *_FACTS, *([reading.cluster] if reading.cluster else [])}
    metrics = [name for name in columns if name not in texts and _numbers(rows, name)]
    if not metrics:
        raise InputError(f"{path}: no column of numbers beside {identity}: columns of numbers are scores")
    log.scores = {name.removeprefix("score "): {} for name in metrics}
    for number, row in rows:
        given = row.get(identity)
        _enter(log, row, "" if given is None else str(given), metrics, reading, f"{path}, row {number}")
    return [run_of(log, reading.settings)]


def _enter(log: Log, row: Mapping[str, Any], item: str, metrics: list[str], reading: Reading, where: str) -> None:
    if not item or item in log.hashes:
        raise InputError(f"{where}: {f'the id {item} occurs twice' if item else 'no id'}")
    asked, right = _first(row, _ASKED), _first(row, _RIGHT)
    references = _listed(right)
    log.hashes[item] = fingerprint([item, asked, references])
    cluster = row.get(reading.cluster) if reading.cluster else _first(row, _FACTS[:2])
    if reading.cluster and cluster in (None, ""):
        raise InputError(f"{where}: --cluster {reading.cluster}: no such column, or nothing in it")
    log.clusters[item] = item if cluster in (None, "") else str(cluster)
    category = row.get("category")
    log.categories[item] = None if category in (None, "") else str(category)
    if reading.texts:
        answer = _first(row, _ANSWERS)
        log.texts[item] = ItemText(str(asked or ""), references, None if answer is None else str(answer))
    for name in metrics:
        value = _number(row.get(name))
        title = name.removeprefix("score ")
        found = missing("no number in the file") if value is None else ItemScore(value_of(value, title, where))
        log.scores[title][item] = found


def _numbers(rows: list[tuple[int, dict[str, Any]]], name: str) -> bool:
    """Does the column hold numbers and nothing else?"""
    given = [row[name] for _, row in rows if row.get(name) not in (None, "")]
    return bool(given) and all(_number(value) is not None for value in given)


def _number(value: Any) -> float | None:
    if isinstance(value, bool):
        return float(value)
    if not isinstance(value, int | float | str):
        return None
    try:
        found = float(value)
    except ValueError:
        return {"true": 1.0, "false": 0.0}.get(str(value).lower())
    return None if isinstance(value, float) and math.isnan(found) else found


def _unmarked(row: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """The row without the marks that keep a spreadsheet from running a text."""
    if path.suffix not in (".csv", ".tsv"):
        return dict(row)
    return {
        name: value[1:] if isinstance(value, str) and value[:1] == "'" and value[1:].startswith(_FORMULA) else value
        for name, value in row.items()
    }


def _first(row: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    return next((row[name] for name in names if row.get(name) not in (None, "")), None)


def _listed(value: Any) -> tuple[str, ...]:
    """References: a list, a JSON list in a cell, or one text."""
    if isinstance(value, str) and value.startswith("["):
        try:
            value = json.loads(value)
        except ValueError:
            return (value,)
    if isinstance(value, list | tuple):
        return tuple(map(str, value))
    return () if value is None else (str(value),)


_LOST = (
    "settings of the run, statistics of corpus scores, why a score is missing, judges' replies, several answers an item"
)
CSV = Format(
    name="csv",
    summary="CSV: a row an item with its scores, and a row a metric",
    lost=f"{_LOST}; hidden characters are written as escapes",
    write=write_csv,
    holds=holds_scores,
    read=read_scores,
)
PARQUET = Format(
    name="parquet",
    summary="parquet: a row an item with its scores, and a row a metric",
    lost=_LOST,
    write=write_parquet,
)
