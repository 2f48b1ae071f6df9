"""Labels from sheets that people filled in, how far the people agree, and the file that ``--labels`` takes."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from telbench.errors import InputError

from ...judges.calibration.agreement import Coefficient, krippendorff_alpha, mean_of
from ..storage import writing
from .sheet import KEY_ENDING


@dataclass(frozen=True)
class AnswerLabel:
    """What people said of one run's answer to an item, on the scale of ``metric``.

    ``label`` is the mean of ``labels``, one of each person; ``weight`` is one over the chance that the item was drawn.
    """

    run: str
    item_id: str
    metric: str
    answer_sha256: str
    label: float
    labels: tuple[float, ...]
    weight: float = 1.0


@dataclass(frozen=True)
class Filled:
    """All labels, and how far people agree: alpha (interval scale) and their mean distance on rows of two or more.

    ``rows`` is how many rows the sheet has, ``labelled`` how many have a label.
    """

    labels: tuple[AnswerLabel, ...]
    metric: str
    people: int
    rows: int
    labelled: int
    alpha: Coefficient
    distance: Coefficient


def read_sheets(sheets: Sequence[Path], key: Path | None = None) -> Filled:
    """The labels of one or several people's copies of one sheet.

    Args:
        sheets: a file of each person; commas, semicolons or tabs between the cells.
        key: what `write_sheet` put beside the sheet; by default that of the first sheet, or the only one in its folder.

    Raises:
        InputError: naming file and line for a row that the key lacks, or a score that is none or off the scale.
    """
    told = _read_key(key or _key_of(sheets[0]))
    low, high = map(float, told["range"])
    given = [_scores(sheet, told["rows"], low, high) for sheet in sheets]
    found: list[AnswerLabel] = []
    apart: list[float] = []
    for name, row in told["rows"].items():
        labels = tuple(each[name] for each in given if name in each)
        if not labels:
            continue
        apart += [max(labels) - min(labels)] * (len(labels) > 1)
        for run in row["runs"]:
            mean = math.fsum(labels) / len(labels)
            weight = 1 / row["chance"]
            answer = row["answer_sha256"]
            found.append(AnswerLabel(run, row["item_id"], told["metric"], answer, mean, labels, weight))
    alpha = krippendorff_alpha([[each.get(name) for name in told["rows"]] for each in given], "interval")
    labelled = len({name for each in given for name in each})
    distance = mean_of(apart, "no row has two labels")
    return Filled(tuple(found), told["metric"], len(sheets), len(told["rows"]), labelled, alpha, distance)


def write_labels(labels: Sequence[AnswerLabel], path: Path) -> None:
    """JSON Lines, one label a line.

    Raises:
        InputError: when there is nothing to write, or the file cannot be written.
    """
    if not labels:
        raise InputError("no row has a score: fill in the column score, and save the sheet as CSV")
    with writing(path):
        path.write_text("".join(json.dumps(asdict(each)) + "\n" for each in labels), encoding="utf-8")


def read_labels(path: Path) -> tuple[AnswerLabel, ...]:
    """The labels of a file that `write_labels` wrote, or of one like it; ``labels`` and ``weight`` may be absent.

    Raises:
        InputError: naming the line for whatever does not hold.
    """
    found: list[AnswerLabel] = []
    seen: set[tuple[str, str, str]] = set()
    for where, line in _lines(path):
        try:
            record = json.loads(line)
            label = float(record["label"])
            weight = float(record.get("weight", 1.0))
            labels = tuple(map(float, record.get("labels", [label])))
            run, item, metric, answer = (str(record[name]) for name in ("run", "item_id", "metric", "answer_sha256"))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            raise InputError(
                f"{where}: no label: it takes run, item_id, metric, answer_sha256 and label, as telbench judge labels "
                "writes them"
            ) from None
        if not all(map(math.isfinite, (label, weight, *labels))) or weight <= 0:
            raise InputError(f"{where}: label and weight must be finite numbers, the weight above 0")
        if (run, item, metric) in seen:
            raise InputError(f"{where}: item {item} has a label of {metric} for this run already")
        seen.add((run, item, metric))
        found.append(AnswerLabel(run, item, metric, answer, label, labels, weight))
    if not found:
        raise InputError(f"{path} holds no label")
    return tuple(found)


def _lines(path: Path) -> Iterator[tuple[str, str]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"the labels {path} cannot be read: {error}; give a JSONL file") from None
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield f"{path}, line {number}", line


def _key_of(sheet: Path) -> Path:
    own = sheet.with_suffix(KEY_ENDING)
    others = sorted(sheet.parent.glob(f"*{KEY_ENDING}"))
    if own.is_file() or len(others) != 1:
        return own
    return others[0]


def _read_key(path: Path) -> dict[str, Any]:
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        rows = told["rows"]
        low, high = map(float, told["range"])
        whole = bool(rows) and low < high and isinstance(told["metric"], str)
        for row in rows.values():
            whole = whole and 0 < row["chance"] <= 1 and bool(row["runs"]) and bool(row["item_id"])
    except OSError as error:
        raise InputError(f"no key {path} ({error.strerror}): name it with --key") from None
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise InputError(f"{path} is no key of a sheet: take the one that telbench judge sheet wrote") from None
    if not whole:
        raise InputError(f"{path} is damaged: take the one that telbench judge sheet wrote")
    return told


def _scores(path: Path, rows: Mapping[str, Any], low: float, high: float) -> dict[str, float]:
    """The score of each row that has one."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(f"the sheet {path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise InputError(f"{path} is not UTF-8 text: save it as 'CSV UTF-8'") from None
    head = text.split("\n", 1)[0]
    mark = max(",;\t", key=head.count)
    reader = csv.DictReader(io.StringIO(text), delimiter=mark)
    if not {"row", "score"} <= set(reader.fieldnames or ()):
        raise InputError(f"{path} has no columns 'row' and 'score': keep the sheet's first line")
    found: dict[str, float] = {}
    try:
        for record in reader:
            where, name = f"{path}, line {reader.line_num}", (record["row"] or "").strip()
            said = (record["score"] or "").strip()
            if not said:
                continue
            if name not in rows:
                raise InputError(f"{where}: the key has no row '{name}': is it that of this sheet?")
            if name in found:
                raise InputError(f"{where}: row {name} stands twice")
            try:
                # Some spreadsheets write a comma for the decimal point.
                value = float(said.replace(",", "."))
            except ValueError:
                raise InputError(f"{where}: '{said[:40]}' is no score from {low:g} to {high:g}") from None
            if not low <= value <= high:
                raise InputError(f"{where}: {said} is no score from {low:g} to {high:g}")
            found[name] = value
    except csv.Error as error:
        raise InputError(f"{path}, line {reader.line_num} is no CSV: {error}") from None
    return found
