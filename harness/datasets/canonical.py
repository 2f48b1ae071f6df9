"""The canonical record: rows of a user's file to items, and items to JSON Lines."""

from __future__ import annotations

import difflib
import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from telbench.errors import InputError

from .contract import Collector, LoadedItems, chosen
from .items import Item
from .rows import csv_rows, json_list_rows, jsonl_rows, kind_of, parquet_rows
from .wording import clean, distinct, whole

FIELDS = (
    "id",
    "question",
    "context",
    "references",
    "choices",
    "answer",
    "source_document",
    "category",
    "split",
    "meta",
)
READERS = {".jsonl": jsonl_rows, ".csv": csv_rows, ".parquet": parquet_rows, ".json": json_list_rows}
PLACES = {".jsonl": "line", ".csv": "line", ".parquet": "row", ".json": "element"}
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def load_file(path: Path, mapping: Mapping[str, str]) -> LoadedItems:
    """Items of a file of canonical records; ``mapping`` gives the file's name for a canonical field.

    Raises:
        InputError: one line with file and place for everything that cannot be read as meant.
    """
    suffix = path.suffix.lower()
    if suffix not in READERS:
        raise InputError(f"{path}: the ending '{suffix}' is unknown: use {', '.join(READERS)}")
    names = _names(mapping)
    columns: dict[str, None] = {}
    collector = Collector()
    first_place: dict[str, int] = {}
    # Each row goes as its item comes, so that no text is held twice.
    for number, row in READERS[suffix](path):
        columns.update(dict.fromkeys(map(str, row)))
        where = f"{path}, {PLACES[suffix]} {number}"
        fields = {field: row.get(name) for field, name in names.items()}
        item = _item(fields, where, collector)
        if item is None:
            continue
        if not item.id:
            item = replace(item, id=content_id(item))
        elif item.id in first_place:
            raise InputError(
                f"{where}: id '{item.id}' is that of {PLACES[suffix]} {first_place[item.id]} too: ids must be unique"
            )
        else:
            first_place[item.id] = number
        collector.items.append(item)
    _require_columns(mapping, list(columns), path)
    if not collector.items:
        reasons = ", ".join(f"{reason}: {count}" for reason, count in collector.dropped.items())
        raise InputError(
            f"{path}: no item can be used ({reasons}): an item needs 'question' and either 'references' or 'choices' "
            f"and 'answer'; {_suggestion('references', list(columns))}"
        )
    return _with_file_splits(collector.loaded(), path)


def _names(mapping: Mapping[str, str]) -> dict[str, str]:
    """The file's name for every canonical field."""
    for field, column in mapping.items():
        if field not in FIELDS:
            near = difflib.get_close_matches(field, FIELDS, n=1, cutoff=0.5)
            hint = f"did you mean '{near[0]}'?" if near else f"the fields are {', '.join(FIELDS)}"
            raise InputError(f"--map {field}={column}: '{field}' is no field of an item: {hint}")
    return {field: mapping.get(field, field) for field in FIELDS}


def _require_columns(mapping: Mapping[str, str], columns: Sequence[str], path: Path) -> None:
    """Refuse a file without records, without a mapped column, or without questions."""
    if not columns:
        raise InputError(f"{path}: the file has no records")
    for field, column in mapping.items():
        if column not in columns:
            near = difflib.get_close_matches(column, columns, n=1, cutoff=0.5)
            hint = f"did you mean '{near[0]}'?" if near else f"there are {_listed(columns)}"
            raise InputError(f"--map {field}={column}: {path} has no column '{column}': {hint}")
    if mapping.get("question", "question") not in columns:
        raise InputError(f"{path}: no field 'question': {_suggestion('question', columns)}")


def _suggestion(field: str, columns: Sequence[str]) -> str:
    lower = {column.casefold(): column for column in columns}
    near = difflib.get_close_matches(field, lower, n=1, cutoff=0.6)
    example = lower[near[0]] if near else "COLUMN"
    return f"the columns are {_listed(columns)}; rename with --map {field}={example}"


def _listed(columns: Sequence[str]) -> str:
    shown = ", ".join(f"'{column[:40]}'" for column in columns[:12])
    return f"{shown} and {len(columns) - 12} more" if len(columns) > 12 else shown


def _item(fields: Mapping[str, Any], where: str, collector: Collector) -> Item | None:
    """The item of a row, without an id where the row has none; None when it is dropped (counted)."""
    if any("\0" in value for value in fields.values() if isinstance(value, str)):
        collector.repaired["NUL characters removed"] += 1
    question = clean(_text(fields["question"], "question", where) or "")
    if not question:
        collector.drop("empty question")
        return None
    choices = tuple(clean(choice) for choice in _texts(fields["choices"], "choices", where))
    if choices and (len(choices) < 2 or not all(choices)):
        raise InputError(f"{where}: 'choices' needs at least two texts, none of them empty")
    references = distinct(_texts(fields["references"], "references", where))
    answer: tuple[int, ...] = ()
    if choices:
        answer = answer_indices(fields["answer"], len(choices), where)
        references = references or chosen(choices, answer)
    elif not references and not _absent(fields["answer"]):
        # Open benchmarks such as ot-full call the one reference "answer".
        references = distinct(_texts(fields["answer"], "answer", where))
    meta = _meta(fields["meta"], where)
    if not references and not meta.get("unanswerable"):
        collector.drop("choices without an answer" if choices else "no reference")
        return None
    return Item(
        id=clean(_text(fields["id"], "id", where) or ""),
        question=question,
        references=references,
        context=whole(_text(fields["context"], "context", where) or "") or None,
        choices=choices,
        answer=answer,
        source_document=_label(fields, "source_document", where),
        category=_label(fields, "category", where),
        split=_label(fields, "split", where),
        meta=meta,
    )


def _label(fields: Mapping[str, Any], name: str, where: str) -> str | None:
    return clean(_text(fields[name], name, where) or "") or None


def _absent(value: Any) -> bool:
    return value is None or value == "" or (isinstance(value, float) and math.isnan(value))


def _text(value: Any, name: str, where: str) -> str | None:
    """A text, or a number as text; None where there is nothing."""
    if _absent(value):
        return None
    if isinstance(value, str):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InputError(f"{where}: '{name}' must be text, this is a {kind_of(value)}")
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _texts(value: Any, name: str, where: str) -> list[str]:
    """A list of texts, one text, or (as a CSV cell holds it) a JSON list of texts."""
    if isinstance(value, str):
        value = _list_in(value)
    if not isinstance(value, list | tuple):
        value = [value]
    return [text for text in (_text(single, name, where) for single in value) if text is not None]


def _list_in(text: str) -> Any:
    """The JSON list that a text holds, or the text itself: a plain answer may well start with a bracket."""
    if text.lstrip().startswith("["):
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            return text
        if isinstance(value, list) and all(isinstance(single, str | int | float) for single in value):
            return value
    return text


def answer_indices(value: Any, count: int, where: str) -> tuple[int, ...]:
    """0-based indices of the right choices, sorted, from an index, a letter, or several of either.

    Raises:
        InputError: if it is none of these, or names a choice that is not there.
    """
    if _absent(value):
        return ()
    if isinstance(value, str):
        value = _list_in(value)
    if isinstance(value, str) and "," in value:
        value = value.split(",")
    entries = value if isinstance(value, list | tuple) else [value]
    indices = sorted({_index(entry, where) for entry in entries})
    for index in indices:
        if not 0 <= index < count:
            raise InputError(f"{where}: answer {index} (counted from 0) is none of the {count} choices")
    return tuple(indices)


def _index(value: Any, where: str) -> int:
    if isinstance(value, str):
        text = value.strip()
        if len(text) == 1 and text.upper() in LETTERS:
            return LETTERS.index(text.upper())
        if text.isdecimal() and len(text) < 6:
            return int(text)
    elif isinstance(value, float) and value.is_integer():
        return int(value)
    elif isinstance(value, int) and not isinstance(value, bool):
        return value
    shown = str(value)[:40]
    raise InputError(f"{where}: answer '{shown}' is no 0-based number or letter of a choice, nor a list of these")


def _meta(value: Any, where: str) -> dict[str, Any]:
    if _absent(value):
        return {}
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{where}: 'meta' is no JSON object") from error
    if not isinstance(value, dict):
        raise InputError(f"{where}: 'meta' must be an object, this is a {kind_of(value)}")
    try:
        # Parquet may hold dates and decimals; a round trip leaves what JSON has.
        plain = json.loads(json.dumps(value, default=str, allow_nan=False))
    except (ValueError, TypeError, RecursionError) as error:
        raise InputError(f"{where}: 'meta' cannot be written as JSON: {error}") from error
    return plain


def content_id(item: Item) -> str:
    """An id for an item that has none: 16 hexadecimal digits of the SHA-256 of what it says."""
    parts = [item.question, item.context, item.references, item.choices, item.answer]
    text = json.dumps(parts, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _with_file_splits(loaded: LoadedItems, path: Path) -> LoadedItems:
    """All items with a split; a file that names none is one test file."""
    named = sum(item.split is not None for item in loaded.items)
    if named == len(loaded.items):
        return loaded
    if named:
        first = next(item.id for item in loaded.items if item.split is None)
        raise InputError(f"{path}: item '{first}' has no 'split' while {named} others have: give all of them one")
    return replace(loaded, items=tuple(replace(item, split="test") for item in loaded.items))


def record_of(item: Item) -> dict[str, Any]:
    """The canonical record of an item, fields in their documented order."""
    return {
        "id": item.id,
        "question": item.question,
        "context": item.context,
        "references": list(item.references),
        "choices": list(item.choices),
        "answer": list(item.answer) if item.answer else None,
        "source_document": item.source_document,
        "category": item.category,
        "split": item.split,
        "meta": dict(item.meta),
    }


def json_lines_of(items: Iterable[Item]) -> bytes:
    """Canonical records, a line each, UTF-8; lone surrogates stay JSON escapes."""
    lines = (json.dumps(record_of(item), ensure_ascii=False, allow_nan=False) + "\n" for item in items)
    return "".join(lines).encode("utf-8", "backslashreplace")
