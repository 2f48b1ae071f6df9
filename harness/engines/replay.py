"""Answers from a file: JSONL, JSON, CSV, parquet with an id and an answer, or plain text with a line an item."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ...judges.errors import InputError, missing_extra
from ..identity import file_sha256
from .base import Completion, Continuation, EngineInfo, Request, Sampling
from .spec import EngineSettings, EngineSpec

ID_FIELDS = ("id", "item_id", "question_id", "doc_id")
ANSWER_FIELDS = ("prediction", "completion", "response", "output", "answer", "text")
Rows = Iterator[tuple[int, dict[str, Any]]]


class ReplayEngine:
    """Looks each item's answer up by its id; plain text is matched by position."""

    def __init__(self, answers: dict[str, str | None] | list[str], info: EngineInfo) -> None:
        self._answers = answers
        self.info = info

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[Completion]:
        """Yield the answers in order; an item without one is an error of that item."""
        if isinstance(self._answers, list):
            if len(self._answers) != len(requests):
                raise InputError(
                    f"the file has {len(self._answers)} lines for {len(requests)} items: "
                    "give one line an item, or JSONL with ids"
                )
            for request, text in zip(requests, self._answers, strict=True):
                yield Completion(request.key, text)
            return
        known = {request.item_id for request in requests}
        if known and not known & self._answers.keys():
            theirs = next(iter(self._answers), "none")
            raise InputError(
                f"no answer's id is an item's id (first answer: {theirs!r}, first item: {requests[0].item_id!r})"
            )
        for request in requests:
            text = self._answers.get(request.item_id)
            if text is None:
                reason = "the file's answer is null" if request.item_id in self._answers else "the file has no answer"
                yield Completion(request.key, "", "error", error=reason)
            else:
                yield Completion(request.key, text)

    @property
    def unused(self) -> set[str]:
        """Ids of the answers; the caller subtracts the items it asked."""
        return set() if isinstance(self._answers, list) else set(self._answers)

    def log_likelihoods(self, continuations: Sequence[Continuation]) -> Iterator[tuple[str, float]]:
        """A file knows no likelihoods."""
        raise NotImplementedError

    def close(self) -> None:
        """Nothing to free."""


def read_answers(path: Path) -> dict[str, str | None] | list[str]:
    """Answers by item id, or by position for ``.txt``.

    Raises:
        InputError: for a file that is absent, empty, garbled, without the two fields, or with an id twice.
    """
    if not path.is_file():
        raise InputError(f"no predictions file at {path}: check the path")
    if path.suffix == ".txt":
        return _text(path).splitlines()
    answers: dict[str, str | None] = {}
    fields: tuple[str, str] | None = None
    for number, row in _rows(path):
        fields = fields or _fields(path, number, row)
        if fields[0] not in row or fields[1] not in row:
            raise InputError(f"{path}, record {number}: field '{fields[0]}' or '{fields[1]}' is missing")
        item_id, answer = str(row[fields[0]]), row[fields[1]]
        if item_id in answers:
            raise InputError(f"{path}, record {number}: id {item_id!r} occurs twice: keep one answer an item")
        if not isinstance(answer, str | None):
            raise InputError(f"{path}, record {number}: the answer is {type(answer).__name__}, not text")
        answers[item_id] = answer
    if not answers:
        raise InputError(f"{path} holds no answers: expected records with 'id' and 'prediction'")
    return answers


def _fields(path: Path, number: int, row: dict[str, Any]) -> tuple[str, str]:
    found_id = next((name for name in ID_FIELDS if name in row), None)
    found_answer = next((name for name in ANSWER_FIELDS if name in row), None)
    if found_id is None or found_answer is None:
        lacking = "an id (id)" if found_id is None else "an answer (prediction)"
        raise InputError(f"{path}, record {number}: no field with {lacking}; found: {', '.join(map(str, row))[:200]}")
    return found_id, found_answer


def _rows(path: Path) -> Rows:
    if path.suffix == ".csv":
        csv.field_size_limit(1 << 30)
        yield from enumerate(csv.DictReader(_text(path).replace("\0", "\\0").splitlines(keepends=True)), 1)
    elif path.suffix == ".parquet":
        try:
            from pyarrow import parquet
        except ImportError as error:
            raise missing_extra("pyarrow", "parquet", f"reading {path.name}") from error
        try:
            table = parquet.read_table(path)
        except (OSError, ValueError) as error:
            raise InputError(f"{path} is not a parquet file: {error}") from error
        yield from enumerate(table.to_pylist(), 1)
    elif path.suffix == ".json":
        try:
            records = json.loads(_text(path))
        except json.JSONDecodeError as error:
            raise InputError(f"{path} is not JSON: {error.msg} in line {error.lineno}") from error
        if isinstance(records, dict):
            records = [{"id": key, "prediction": value} for key, value in records.items()]
        for number, record in enumerate(records if isinstance(records, list) else [records], 1):
            yield number, _record(path, number, record)
    else:
        for number, line in enumerate(_text(path).split("\n"), 1):
            if not line.strip():
                continue
            try:
                yield number, _record(path, number, json.loads(line))
            except json.JSONDecodeError as error:
                raise InputError(f"{path}, line {number} is not JSON: {error.msg}") from error


def _record(path: Path, number: int, record: Any) -> dict[str, Any]:
    if not isinstance(record, dict):
        raise InputError(f"{path}, record {number}: expected an object with 'id' and 'prediction'")
    return record


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text: {error.reason} at byte {error.start}: save it as UTF-8") from error
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error


def describe(settings: EngineSettings) -> EngineInfo:
    """The file's content is the identity."""
    if settings.answers is None:
        raise InputError("--engine replay needs --answers FILE (or use: telbench score FILE --data …)")
    if not settings.answers.is_file():
        raise InputError(f"no predictions file at {settings.answers}: check the path")
    return EngineInfo("replay", "1", "", {"answers_sha256": file_sha256(settings.answers)})


def open_engine(settings: EngineSettings) -> ReplayEngine:
    """Read the whole file, so that its faults are told before anything is scored."""
    info = describe(settings)
    assert settings.answers is not None  # noqa: S101 - describe has refused None
    return ReplayEngine(read_answers(settings.answers), info)


ENGINE = EngineSpec("replay", local=False, cacheable=False, describe=describe, open=open_engine, answers_by_item=True)
