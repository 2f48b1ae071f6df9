"""Answers from a file: JSONL, JSON, CSV, TSV, parquet with an id and an answer, or plain text with a line an item.

Memory holds where each answer is, some 35 bytes; the answers are in a file without a name once they are many.
"""

from __future__ import annotations

import marshal
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple, overload

from telbench.errors import InputError

from ..datasets.rows import (
    csv_rows,
    decode,
    ending,
    jsonl_rows,
    kind_of,
    parquet_rows,
    parse_json,
    read_bytes,
    read_text,
)
from ..datasets.wording import clean, whole
from ..identity import file_sha256
from ..key_index import KeyIndex
from ..spool import Spool
from .contract import Answers, Completion, Continuation, EngineInfo, EngineSettings, EngineSpec, Request, Sampling

ID_FIELDS = ("id", "item_id", "question_id", "doc_id")
ANSWER_FIELDS = ("prediction", "completion", "response", "output", "answer", "text")
TRACE_FIELDS = ("reasoning", "reasoning_content")
TEXT = ".txt"
Rows = Iterator[tuple[int, Mapping[str, Any]]]


class _Given(NamedTuple):
    """What a file has for an item: its answer (None for null), what came before it, and the order of its options."""

    item_id: str
    text: str | None
    trace: str | None = None
    shown: tuple[int, ...] | None = None


class _File:
    """All answers of a file, each read when it is asked for."""

    def __init__(self) -> None:
        self._records = Spool()
        self._places = KeyIndex(lambda place: self[place].item_id)
        self.traces = self.shown = 0

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, place: int) -> _Given:
        return _Given(*marshal.loads(self._records[place]))  # noqa: S302 - this process wrote it, to a file of its own

    def __iter__(self) -> Iterator[_Given]:
        return (_Given(*marshal.loads(record)) for record in self._records)  # noqa: S302

    def add(self, given: _Given) -> None:
        self._places.put(given.item_id, self._records.append(marshal.dumps(tuple(given))))
        self.traces += given.trace is not None
        self.shown += given.shown is not None

    def find(self, item_id: str) -> int | None:
        return self._places.find(item_id)


class _Told(Mapping[str, Any]):
    """One thing that the file tells of its items, by their ids; ``count`` says of how many."""

    def __init__(self, file: _File, what: str, count: int) -> None:
        self._file, self._what, self._count = file, _Given._fields.index(what), count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, item_id: str) -> Any:
        place = self._file.find(item_id) if self._count else None
        if place is None:
            raise KeyError(item_id)
        told = self._file[place][self._what]
        if told is None and self._count < len(self._file):
            raise KeyError(item_id)
        return told

    def __iter__(self) -> Iterator[str]:
        every = self._count == len(self._file)
        return (each.item_id for each in self._file if every or each[self._what] is not None)


class _Strangers(Sequence[str]):
    """The ids of answers to no item, by their places."""

    def __init__(self, file: _File, places: array[int]) -> None:
        self._file, self._places = file, places

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, place: int) -> str: ...
    @overload
    def __getitem__(self, place: slice) -> tuple[str, ...]: ...
    def __getitem__(self, place: int | slice) -> str | tuple[str, ...]:
        if isinstance(place, slice):
            return tuple(self._file[each].item_id for each in self._places[place])
        return self._file[self._places[place]].item_id


@dataclass
class ReplayEngine:
    """Looks each item's answer up by its id."""

    answers: Answers
    info: EngineInfo

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[Completion]:
        """Yield the answers in order; an item without one is an error of that item."""
        texts, traces = self.answers.texts, self.answers.traces
        for request in requests:
            text = texts.get(request.item_id)
            if text is None:
                reason = "the file's answer is null" if request.item_id in texts else "the file has no answer"
                yield Completion(request.key, "", "error", error=reason)
            else:
                yield Completion(request.key, text, reasoning=traces.get(request.item_id))

    def log_likelihoods(self, continuations: Sequence[Continuation]) -> Iterator[tuple[str, float]]:
        """A file knows no likelihoods."""
        raise NotImplementedError

    def close(self) -> None:
        """Nothing to free."""


def read_answers(
    path: Path, item_ids: Sequence[str], *, fields: Mapping[str, str] = MappingProxyType({}), missing_cap: float = 1.0
) -> Answers:
    """Answers by item id; those of a ``.txt`` go to the items in their order.

    Args:
        path: the file.
        item_ids: ids of the items, in the order of the data.
        fields: the file's own names of ``id`` and ``prediction``, where they are not the usual ones.
        missing_cap: the largest share of items that may be without an answer.

    Raises:
        InputError: for a file that is absent, empty, garbled, without the two fields, or with an id twice, for too few
            answers, or for a text of more or fewer lines than items.
    """
    # Below a .gz, what is packed in it.
    format_ = (path.with_suffix("") if path.suffix.lower() == ".gz" else path).suffix.lower()
    if format_ != TEXT:
        file = _by_id(path, format_, fields)
        strangers = _require_match(file, item_ids, path, missing_cap)
    else:
        file, strangers = _by_line(path, item_ids), ()
    texts, traces, shown = (
        _Told(file, what, number)
        for what, number in (("text", len(file)), ("trace", file.traces), ("shown", file.shown))
    )
    return Answers(texts, traces, shown, strangers)


def _by_line(path: Path, item_ids: Sequence[str]) -> _File:
    lines = decode(read_bytes(path), str(path)).split("\n")
    if not lines[-1].strip():
        lines.pop()
    if len(lines) != len(item_ids):
        raise InputError(
            f"{path}: lines: {len(lines)}, items of the data: {len(item_ids)}: give one line an item, in the order of "
            "the data, or JSONL with 'id' and 'prediction'"
        )
    file = _File()
    for item_id, line in zip(item_ids, lines, strict=True):
        file.add(_Given(item_id, line.replace("\0", "").strip()))
    return file


def _by_id(path: Path, format_: str, fields: Mapping[str, str]) -> _File:
    file = _File()
    names: tuple[str, str] | None = None
    for number, row in _rows(path, format_):
        where = f"{path}, {PLACES.get(format_, 'line')} {number}"
        names = names or _fields(row, where, fields)
        for name in names:
            if name not in row:
                raise InputError(f"{where}: field '{name}' is missing, which the first record has")
        item_id, answer = _id(row[names[0]], names[0], where), row[names[1]]
        if file.find(item_id) is not None:
            raise InputError(f"{where}: id '{item_id}' occurs twice: keep one answer an item")
        if not isinstance(answer, str | None):
            raise InputError(f"{where}: '{names[1]}' must be text or null, this is a {kind_of(answer)}")
        traces = [row[name] for name in TRACE_FIELDS if isinstance(row.get(name), str) and row[name]]
        shown = _shown(row["shown_choices"], where) if row.get("shown_choices") else None
        file.add(_Given(item_id, answer and whole(answer), traces[-1] if traces else None, shown))
    if not len(file):
        raise InputError(f"{path} holds no answers: expected records with 'id' and 'prediction'")
    return file


def _require_match(file: _File, item_ids: Sequence[str], path: Path, missing_cap: float) -> Sequence[str]:
    """See that the answers are those of the items; the ids of answers to none."""
    met = bytearray(len(file))
    lacking, first = 0, ""
    for item_id in item_ids:
        place = file.find(item_id)
        if place is not None:
            met[place] = 1
        if place is None or file[place].text is None:
            lacking, first = lacking + 1, first if lacking else item_id
    if not any(met):
        raise InputError(
            f"{path}: no answer's id is the id of an item (first answer '{file[0].item_id}', first item "
            f"'{item_ids[0]}'): are these the answers to this data set and split?"
        )
    if lacking == len(item_ids):
        raise InputError(f"{path}: every answer to an item of the data is null: there is nothing to score")
    if lacking > missing_cap * len(item_ids):
        raise InputError(
            f"{path}: {lacking} of {len(item_ids)} items have no answer (the first: '{first}'), more than "
            f"{missing_cap:.0%}: complete the file, ask for the split that it answers, or allow it with --missing-cap 1"
        )
    return _Strangers(file, array("I", (place for place, known in enumerate(met) if not known)))


def _fields(row: Mapping[str, Any], where: str, given: Mapping[str, str]) -> tuple[str, str]:
    """Names of the id and the answer, as the first record has them."""
    names = []
    for field_, what, known in (("id", "an id", ID_FIELDS), ("prediction", "an answer", ANSWER_FIELDS)):
        # The data may call its ids otherwise than the answers do; an answer's field is named or usual.
        wanted = known if field_ not in given else (given[field_], *(known if field_ == "id" else ()))
        found = next((name for name in wanted if name in row), None)
        if found is None:
            there = ", ".join(map(str, row))[:200] or "none"
            raise InputError(
                f"{where}: no field with {what} ({', '.join(wanted)}): its fields are {there}; name it with --map "
                f"{field_}=FIELD"
            )
        names.append(found)
    return names[0], names[1]


def _id(value: Any, name: str, where: str) -> str:
    """An id as data sets have it: cleaned text, or a whole number as text."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        raise InputError(f"{where}: '{name}' must be the id of an item, this is a {kind_of(value)}")
    if not clean(value):
        raise InputError(f"{where}: '{name}' is empty: every answer needs the id of its item")
    return clean(value)


def _shown(value: Any, where: str) -> tuple[int, ...]:
    """The order of options: each index once."""
    if isinstance(value, str):
        value = parse_json(value, where)
    if not isinstance(value, list) or sorted(map(repr, value)) != sorted(map(repr, range(len(value)))):
        raise InputError(
            f"{where}: 'shown_choices' must list the options' numbers from 0, each once, in the order shown"
        )
    return tuple(value)


def _json_rows(path: Path) -> Rows:
    """Records of a JSON list, or of an object that gives each id its answer."""
    value = parse_json(read_text(path), str(path))
    if isinstance(value, dict):
        value = [{"id": key, "prediction": answer} for key, answer in value.items()]
    if not isinstance(value, list):
        raise InputError(f"{path}: a list of records with 'id' and 'prediction' is expected, not a {kind_of(value)}")
    for number, record in enumerate(value, start=1):
        if not isinstance(record, dict):
            raise InputError(f"{path}, element {number}: an object is expected, this is a {kind_of(record)}")
        yield number, record


READERS = {
    **dict.fromkeys((".jsonl", ".ndjson"), jsonl_rows),
    ".json": _json_rows,
    **dict.fromkeys((".csv", ".tsv"), csv_rows),
    ".parquet": parquet_rows,
}
# What a record's number counts, where that is not lines.
PLACES = {".json": "element", ".parquet": "row"}


def _rows(path: Path, format_: str) -> Rows:
    reader = READERS.get(format_)
    if reader is None:
        known = ", ".join((*READERS, TEXT))
        raise InputError(
            f"{path}: the ending '{ending(path)}' is none of those of answers: {known}, also packed (.jsonl.gz)"
        )
    return reader(path)


def describe(settings: EngineSettings) -> EngineInfo:
    """The file's content is the identity."""
    path = settings.answers
    if path is None:
        raise InputError("--engine replay needs --answers FILE (or use: telbench score FILE --data NAME)")
    try:
        if not path.is_file():
            raise InputError(
                f"{path}: " + ("a folder, not a file" if path.is_dir() else "no such file: check the path")
            )
        return EngineInfo("replay", "1", "", {"answers_sha256": file_sha256(path)})
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error


def open_engine(settings: EngineSettings) -> ReplayEngine:
    """Read the whole file, so that its faults are told before anything is scored."""
    info = describe(settings)
    assert settings.answers is not None  # noqa: S101 - describe has refused None
    answers = read_answers(
        settings.answers, settings.item_ids, fields=settings.answer_fields, missing_cap=settings.missing_cap
    )
    return ReplayEngine(answers, info)


ENGINE = EngineSpec("replay", local=False, cacheable=False, describe=describe, open=open_engine, answers_by_item=True)
