"""Answers from a file: JSONL, JSON, CSV, parquet with an id and an answer, or plain text with a line an item."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from telbench.errors import InputError

from ..datasets.rows import csv_rows, jsonl_rows, kind_of, parquet_rows, parse_json, read_text
from ..datasets.wording import clean, whole
from ..identity import file_sha256
from .contract import Completion, Continuation, EngineInfo, EngineSettings, EngineSpec, Request, Sampling

ID_FIELDS = ("id", "item_id", "question_id", "doc_id")
ANSWER_FIELDS = ("prediction", "completion", "response", "output", "answer", "text")
TEXT = ".txt"
Rows = Iterator[tuple[int, Mapping[str, Any]]]


@dataclass
class ReplayEngine:
    """Looks each item's answer up by its id."""

    answers: Mapping[str, str | None]
    info: EngineInfo

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[Completion]:
        """Yield the answers in order; an item without one is an error of that item."""
        for request in requests:
            text = self.answers.get(request.item_id)
            if text is None:
                reason = "the file's answer is null" if request.item_id in self.answers else "the file has no answer"
                yield Completion(request.key, "", "error", error=reason)
            else:
                yield Completion(request.key, text)

    def log_likelihoods(self, continuations: Sequence[Continuation]) -> Iterator[tuple[str, float]]:
        """A file knows no likelihoods."""
        raise NotImplementedError

    def close(self) -> None:
        """Nothing to free."""


def read_answers(path: Path, item_ids: Sequence[str]) -> dict[str, str | None]:
    """Answers by item id; those of a ``.txt`` go to the items in their order.

    Raises:
        InputError: for a file that is absent, empty, garbled, without the two fields, or with an id twice, without a
            single answer to one of the items, or for a text of more or fewer lines than items.
    """
    if path.suffix.lower() != TEXT:
        return _by_id(path, item_ids)
    lines = read_text(path).split("\n")
    if not lines[-1].strip():
        lines.pop()
    if len(lines) != len(item_ids):
        raise InputError(
            f"{path}: lines: {len(lines)}, items of the data: {len(item_ids)}: give one line an item, in the order of "
            "the data, or JSONL with 'id' and 'prediction'"
        )
    return dict(zip(item_ids, map(whole, lines), strict=True))


def _by_id(path: Path, item_ids: Sequence[str]) -> dict[str, str | None]:
    answers: dict[str, str | None] = {}
    fields: tuple[str, str] | None = None
    for number, row in _rows(path):
        where = f"{path}, {PLACES[path.suffix.lower()]} {number}"
        fields = fields or _fields(row, where)
        for field in fields:
            if field not in row:
                raise InputError(f"{where}: field '{field}' is missing, which the first record has")
        item_id, answer = _id(row[fields[0]], fields[0], where), row[fields[1]]
        if item_id in answers:
            raise InputError(f"{where}: id '{item_id}' occurs twice: keep one answer an item")
        if not isinstance(answer, str | None):
            raise InputError(f"{where}: '{fields[1]}' must be text or null, this is a {kind_of(answer)}")
        answers[item_id] = answer if answer is None else whole(answer)
    if not answers:
        raise InputError(f"{path} holds no answers: expected records with 'id' and 'prediction'")
    _require_match(answers, item_ids, path)
    return answers


def _require_match(answers: Mapping[str, str | None], item_ids: Sequence[str], path: Path) -> None:
    found = [item_id for item_id in item_ids if item_id in answers]
    if not found:
        first = next(iter(answers))
        raise InputError(
            f"{path}: no answer's id is the id of an item (first answer '{first}', first item '{item_ids[0]}'): are "
            "these the answers to this data set and split?"
        )
    if all(answers[item_id] is None for item_id in found):
        raise InputError(f"{path}: every answer to an item of the data is null: there is nothing to score")


def _fields(row: Mapping[str, Any], where: str) -> tuple[str, str]:
    """Names of the id and the answer, as the first record has them."""
    found_id = next((name for name in ID_FIELDS if name in row), None)
    found_answer = next((name for name in ANSWER_FIELDS if name in row), None)
    if found_id is None or found_answer is None:
        lacking, known = ("an id", ID_FIELDS) if found_id is None else ("an answer", ANSWER_FIELDS)
        there = ", ".join(map(str, row))[:200] or "none"
        raise InputError(f"{where}: no field with {lacking} ({', '.join(known)}): its fields are {there}")
    return found_id, found_answer


def _id(value: Any, field: str, where: str) -> str:
    """An id as data sets have it: cleaned text, or a whole number as text."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if not isinstance(value, str):
        raise InputError(f"{where}: '{field}' must be the id of an item, this is a {kind_of(value)}")
    if not clean(value):
        raise InputError(f"{where}: '{field}' is empty: every answer needs the id of its item")
    return clean(value)


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


READERS = {".jsonl": jsonl_rows, ".json": _json_rows, ".csv": csv_rows, ".parquet": parquet_rows}
PLACES = {".jsonl": "line", ".json": "element", ".csv": "line", ".parquet": "row"}


def _rows(path: Path) -> Rows:
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        known = ", ".join((*READERS, TEXT))
        raise InputError(f"{path}: the ending '{path.suffix}' is none of those of answers: {known}")
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
    return ReplayEngine(read_answers(settings.answers, settings.item_ids), info)


ENGINE = EngineSpec("replay", local=False, cacheable=False, describe=describe, open=open_engine, answers_by_item=True)
