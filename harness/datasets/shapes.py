"""Shapes of rows that are not ours: wrapped lists, SQuAD, chats. Each becomes rows with our names."""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from telbench.errors import InputError

from .rows import (
    Bad,
    BadRowError,
    Row,
    csv_rows,
    element_rows,
    ending,
    jsonl_rows,
    kind_of,
    object_in,
    opened,
    parquet_rows,
    parse_json,
    read_text,
    refuse,
)

WRAPPERS = ("questions", "data", "items", "examples", "rows", "records")
_OBJECTS = re.compile(r"\s*\[\s*\{")
_ASKS, _ANSWERS = {"human", "user"}, {"gpt", "assistant", "model", "bot"}


@dataclass(frozen=True)
class Source:
    """The rows of a file, which can be gone through again; ``place`` is what their numbers count.

    ``cells`` says that a list can only be written as text in it. ``said`` is what was recognised.
    """

    rows: Callable[[Bad], Iterator[Row]]
    place: str
    cells: bool = False
    said: tuple[str, ...] = ()


def _table(path: Path) -> Source:
    return Source(lambda bad: csv_rows(path, skip_blank_start=True, bad=bad), "line", cells=True)


def _parquet(path: Path) -> Source:
    rows = list(parquet_rows(path))
    return Source(lambda _: iter(rows), "row")


def _lines(path: Path) -> Source:
    return Source(lambda bad: jsonl_rows(path, bad), "line")


def _json_lines(path: Path) -> Source:
    """JSON Lines, or a whole JSON list under that name."""
    first = next((line for line in _head(path).split("\n") if line.strip()), "")
    return _document(path) if _OBJECTS.match(first) or first.strip() == "[" else _lines(path)


def _head(path: Path) -> str:
    try:
        with opened(path) as stream:
            return stream.read(4096).decode("utf-8-sig", "replace")
    except (OSError, ValueError, EOFError, zlib.error):
        # Reading it whole finds the same fault and words it.
        return read_text(path)


def _document(path: Path) -> Source:
    """A JSON document, or JSON Lines under that name."""
    text = read_text(path)
    if text.lstrip().startswith("{"):
        try:
            _, end = json.JSONDecoder().raw_decode(text.lstrip())
        except (ValueError, RecursionError):
            end = 0
        if end and text.lstrip()[end:].strip():
            return _lines(path)
    return _of_document(parse_json(text, str(path)), path)


_TEXT: dict[str, Callable[[Path], Source]] = {
    ".jsonl": _json_lines,
    ".csv": _table,
    ".json": _document,
    ".ndjson": _json_lines,
    ".tsv": _table,
}
READERS = {**_TEXT, ".parquet": _parquet, **{f"{kind}.gz": reader for kind, reader in _TEXT.items()}}


def source_of(path: Path) -> Source:
    """The rows of a file, by its ending.

    Raises:
        InputError: if the ending is unknown, or the file is no such file.
    """
    kind = ending(path)
    if kind not in READERS:
        if path.is_dir():
            raise InputError(f"{path}: the ending '{kind}' is unknown, and this is a folder: name a file in it")
        known = ", ".join(name for name in READERS if not name.endswith(".gz"))
        raise InputError(f"{path}: the ending '{kind}' is unknown: use {known} (all but .parquet also as .gz)")
    return READERS[kind](path)


def _of_document(value: Any, path: Path) -> Source:
    """A list of objects; or an object around one, in SQuAD's form, or of items by id."""
    said: tuple[str, ...] = ()
    if isinstance(value, dict):
        lists = [key for key in WRAPPERS if isinstance(value.get(key), list) and value[key]]
        if len(lists) > 1:
            raise InputError(f"{path}: {' and '.join(map(repr, lists))} are both lists: leave the one that holds items")
        if lists:
            value = value[lists[0]]
            said = (f"items taken from the list '{lists[0]}'",)
        elif value and all(isinstance(each, dict) and "question" in each for each in value.values()):
            value = [{"id": key, **each} for key, each in value.items()]
            said = ("items taken from an object, their keys as ids",)
    if not isinstance(value, list):
        raise InputError(f"{path}: a list of items is expected, this is a JSON {kind_of(value)}{_hint(value)}")
    if value and all(isinstance(each, dict) and isinstance(each.get("paragraphs"), list) for each in value):
        rows = partial(_squad_document, value, path)
        return Source(rows, "question", said=("SQuAD: title taken as source_document",))
    return Source(partial(element_rows, value, path), "element", said=said)


def _hint(value: Any) -> str:
    if not isinstance(value, dict):
        return ""
    if "question" in map(str.casefold, value) and all(isinstance(each, dict | list) for each in value.values()):
        return ": if pandas wrote it, write it with orient='records'"
    return f": it may lie in one of {', '.join(WRAPPERS)}"


def _squad_document(articles: Sequence[Mapping[str, Any]], path: Path, bad: Bad) -> Iterator[Row]:
    """(number of the question from 1, row) of SQuAD's articles, paragraphs and questions."""
    number = 0
    for place, article in enumerate(articles, start=1):
        for paragraph in article["paragraphs"]:
            entries = paragraph.get("qas") if isinstance(paragraph, dict) else None
            if not isinstance(entries, list):
                told = "a paragraph without a list 'qas'"
                refuse(BadRowError(f"{path}, element {place} of 'data'", told), bad)
                continue
            for entry in entries:
                number += 1
                if not isinstance(entry, dict):
                    refuse(BadRowError(f"{path}, question {number}", "no object in 'qas'"), bad)
                    continue
                row = {"context": paragraph.get("context"), "title": article.get("title"), **entry}
                try:
                    shaped = _squad_row(row, f"{path}, question {number}")
                except BadRowError as error:
                    refuse(error, bad)
                else:
                    yield number, shaped


def _squad_row(row: Mapping[str, Any], where: str) -> Mapping[str, Any]:
    """A row whose ``answers`` are SQuAD's: texts with their places, none where there is no answer."""
    answers = row.get("answers")
    if isinstance(answers, str):
        answers = object_in(answers)
    if isinstance(answers, Mapping):
        texts = answers.get("text")
    elif isinstance(answers, list | tuple):
        texts = [each.get("text") if isinstance(each, Mapping) else each for each in answers]
    else:
        texts = [] if answers is None or answers == "" else None
    if isinstance(texts, str):
        texts = [texts]
    if not isinstance(texts, list | tuple):
        raise BadRowError(where, "'answers' is not SQuAD's", "'answers' must hold a list of texts, as SQuAD has it")
    rest = {name: value for name, value in row.items() if name not in {"answers", "title", "is_impossible"}}
    meta = _meta(row)
    stated = row.get("is_impossible")
    if stated if isinstance(stated, bool) else not texts:
        meta = {**meta, "unanswerable": True, "answer_entries": len(texts)}
    title = row.get("source_document") or row.get("title")
    return {**rest, "references": list(texts), "source_document": title, **({"meta": meta} if meta else {})}


def _chat_row(column: str, row: Mapping[str, Any], where: str) -> Mapping[str, Any]:
    """A row that holds one question and its answer as turns; a system message goes to ``meta.system``."""
    turns = row.get(column)
    if isinstance(turns, str):
        turns = object_in(turns)
    if not isinstance(turns, list | tuple) or not all(isinstance(turn, Mapping) for turn in turns):
        raise BadRowError(where, f"'{column}' is no list of turns", f"'{column}' must be a list of turns (objects)")
    told = [(str(turn.get("from", turn.get("role"))).lower(), _content(turn, where)) for turn in turns]
    system = [text for role, text in told if role == "system"]
    rest = [(role, text) for role, text in told if role != "system"]
    roles = [role for role, _ in rest]
    if len(rest) != 2 or roles[0] not in _ASKS or roles[1] not in _ANSWERS:
        shown = ", ".join(roles[:6]) or "none"
        raise BadRowError(
            where,
            f"'{column}' is not one question and one answer",
            f"'{column}' must hold one question and one answer, its turns are {shown}: cut longer talks into rows",
        )
    kept = {name: value for name, value in row.items() if name != column}
    if system:
        kept["meta"] = {**_meta(row), "system": "\n".join(system)}
    return {**kept, "question": rest[0][1], "references": [rest[1][1]]}


def _meta(row: Mapping[str, Any]) -> dict[str, Any]:
    meta = row.get("meta")
    return dict(meta) if isinstance(meta, Mapping) else {}


def _content(turn: Mapping[str, Any], where: str) -> str:
    """The text of a turn, also where it stands as a list of parts."""
    content = turn.get("value", turn.get("content"))
    if isinstance(content, list) and all(isinstance(part, Mapping) and "text" in part for part in content):
        content = "\n".join(str(part["text"]) for part in content)
    if not isinstance(content, str):
        raise BadRowError(where, "a turn without text", f"a turn holds no text but a {kind_of(content)}")
    return content


def shaped(source: Source, path: Path, columns: Sequence[str], first: Mapping[str, Any]) -> Source:
    """The source with rows that have our names, where its rows are SQuAD's or chats; else the source itself."""
    lower = {column.casefold() for column in columns}
    if "question" in lower:
        answers = object_in(first["answers"]) if isinstance(first.get("answers"), str) else first.get("answers")
        plain = lower & {"answer", "references", "choices"}
        like = (
            answers if isinstance(answers, Mapping) else answers[0] if isinstance(answers, list) and answers else None
        )
        if plain or not isinstance(like, Mapping) or "text" not in like:
            return source
        told = "SQuAD: references taken from answers, title taken as source_document"
        return Source(partial(_each, source, path, _squad_row), source.place, source.cells, (*source.said, told))
    for column in ("messages", "conversations"):
        if column in columns:
            told = f"question and answer taken from the turns of '{column}', a system message to meta.system"
            rows = partial(_each, source, path, partial(_chat_row, column))
            return Source(rows, source.place, source.cells, (*source.said, told))
    return source


def _each(
    source: Source, path: Path, shape: Callable[[Mapping[str, Any], str], Mapping[str, Any]], bad: Bad
) -> Iterator[Row]:
    """Each row in its new shape."""
    for number, row in source.rows(bad):
        try:
            yield number, shape(row, f"{path}, {source.place} {number}")
        except BadRowError as error:
            refuse(error, bad)
