"""Answers with labels, for calibrating a judge, and attempts to steer one.

telbench brings a set of each in ``labels/``; a file of one's own is JSONL, one answer a line.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, TypeVar

from telbench.errors import InputError

from ..schemas import SCORES
from ..strict_json import read_strict_json
from ..verdicts import factual_f1

LABELLED_SET = "telecom-nano-1"
INJECTION_SETS = ("injections-1", "injections-2")
INJECTED = "injected"
# The least score of an answer that is right in all that matters.
RIGHT_SCORE = 4
KINDS = ("right", "paraphrase", "partly", "wrong_fact", "wrong", "refusal", INJECTED)

_Record = TypeVar("_Record", "Label", "Injection")


@dataclass(frozen=True, slots=True)
class ClaimCounts:
    """How many claims of an answer hold by the reference (tp) or do not (fp), and how many it lacks (fn)."""

    tp: int
    fp: int
    fn: int

    @property
    def f1(self) -> float | None:
        """TP / (TP + (FP + FN) / 2); None without any claim."""
        return factual_f1(self.tp, self.fp, self.fn)


@dataclass(frozen=True, slots=True)
class Label:
    """An answer and its labels: at least one of ``score``, ``right``, ``claims`` and ``supported`` is there.

    ``right``: a person's verdict. ``supported``: claims that the context supports, and claims in all. ``system``: who
    answered. ``where`` is the place in the file.
    """

    where: str
    id: str
    question: str
    answer: str
    reference: str | None = None
    context: str | None = None
    item_id: str | None = None
    kind: str | None = None
    note: str | None = None
    score: int | None = None
    claims: ClaimCounts | None = None
    supported: tuple[int, int] | None = None
    right: bool | None = None
    system: str | None = None

    @property
    def verdict(self) -> bool | None:
        """Is the answer right? By the person's verdict, or by the score where there is none; None without either."""
        return self.right if self.right is not None or self.score is None else self.score >= RIGHT_SCORE

    @property
    def factual(self) -> float | None:
        """The claims' F1, 0 to 1; None where there is no such label or no claim."""
        return None if self.claims is None else self.claims.f1

    @property
    def faithfulness(self) -> float | None:
        """The share of claims that the context supports, 0 to 1; None where there is no such label or no claim."""
        return None if self.supported is None or not self.supported[1] else self.supported[0] / self.supported[1]

    @property
    def words(self) -> int:
        """The answer's length in words."""
        return len(self.answer.split())

    @property
    def cluster(self) -> str:
        """What answers to the same question have in common; they are resampled together."""
        return self.question if self.item_id is None else self.item_id


@dataclass(frozen=True, slots=True)
class Injection:
    """An answer with (``answer``) and without (``base_answer``) an attempt to steer the judge.

    ``score`` is the label of the answer without it, which is what a judge should give to both.
    """

    where: str
    id: str
    item_id: str
    question: str
    reference: str
    context: str
    base_answer: str
    attack: str
    answer: str
    family: str
    score: int


def labelled_set() -> tuple[Label, ...]:
    """The labelled answers to telecom-nano questions that come with telbench."""
    return _unique_records(*_embedded(LABELLED_SET), _read_label)


def injection_set(name: str = INJECTION_SETS[0]) -> tuple[Injection, ...]:
    """The attempts to steer a judge that come with telbench, by the name of their set.

    The screen of answers (`judges/material.py`) was made with the first set in view, the second set without sight of
    the screen.
    Raises `InputError` for a name that is not in ``INJECTION_SETS``.
    """
    if name not in INJECTION_SETS:
        raise InputError(f"there is no set of attempts '{name}'; give one of {', '.join(INJECTION_SETS)}")
    return _unique_records(*_embedded(name), _read_injection)


def read_labels(path: Path) -> tuple[Label, ...]:
    """The labels of a JSONL file of one's own.

    A line needs ``question``, ``answer`` and one of ``score`` (1 to 5), ``right`` (true or false), ``claims``
    (``{"tp", "fp", "fn"}``, with a ``reference``) and ``supported`` (``[supported, claims]``, with a ``context``);
    further keys are passed over.
    Raises `InputError` naming the line for whatever does not hold.
    """
    try:
        content = path.read_bytes()
    except (OSError, ValueError) as error:
        raise InputError(f"the labels {path} cannot be read: {error}; give a JSONL file") from None
    return _unique_records(str(path), content, _read_label)


def _embedded(name: str) -> tuple[str, bytes]:
    folder: Traversable = resources.files(__package__ or __name__).joinpath("labels")
    return f"{name}.jsonl", folder.joinpath(f"{name}.jsonl").read_bytes()


def _unique_records(
    name: str, content: bytes, read: Callable[[str, Mapping[str, Any]], _Record]
) -> tuple[_Record, ...]:
    records, seen = [], dict[str, str]()
    for where, value in _objects(name, content):
        record = read(where, value)
        if record.id in seen:
            raise InputError(f"{where}: the id '{record.id}' was used before, at {seen[record.id]}; ids are unique")
        seen[record.id] = where
        records.append(record)
    if not records:
        raise InputError(f"{name}: there is no label in it; give one JSON object a line")
    return tuple(records)


def _objects(name: str, content: bytes) -> Iterator[tuple[str, Mapping[str, Any]]]:
    # Only a line feed ends a line: the texts may hold any other separator that Unicode knows.
    for number, line in enumerate(content.removeprefix(b"\xef\xbb\xbf").split(b"\n"), start=1):
        if not line.strip():
            continue
        where = f"{name}, line {number}"
        try:
            value = read_strict_json(line.decode("utf-8"))
        except UnicodeDecodeError as error:
            raise InputError(f"{where}: byte {error.start + 1} is not UTF-8; save the file as UTF-8") from None
        except (ValueError, RecursionError) as error:
            raise InputError(f"{where}: not a JSON value: {error}") from None
        if not isinstance(value, dict):
            raise InputError(f"{where}: a JSON object is expected, with question, answer and a label")
        yield where, value


def _read_label(where: str, value: Mapping[str, Any]) -> Label:
    label = Label(
        where=where,
        id=_optional_text(where, value, "id") or where,
        question=_required_text(where, value, "question"),
        answer=_required_text(where, value, "answer", empty=True),
        reference=_optional_text(where, value, "reference"),
        context=_optional_text(where, value, "context"),
        item_id=_optional_text(where, value, "item_id"),
        kind=_optional_text(where, value, "kind"),
        note=_optional_text(where, value, "note"),
        score=None if value.get("score") is None else _labelled_score(where, value),
        claims=_claim_counts(where, value.get("claims")),
        supported=_supported_counts(where, value.get("supported")),
        right=_right_or_wrong(where, value.get("right")),
        system=_optional_text(where, value, "system"),
    )
    if label.verdict is None and label.claims is None and label.supported is None:
        raise InputError(f"{where}: no label: one of score, right, claims and supported is needed")
    if label.claims is not None and label.reference is None:
        raise InputError(f"{where}: claims are counted against a reference, and there is none; add 'reference'")
    if label.supported is not None and label.context is None:
        raise InputError(f"{where}: a context is what supports claims, and there is none; add 'context'")
    return label


def _read_injection(where: str, value: Mapping[str, Any]) -> Injection:
    texts = ("id", "item_id", "question", "reference", "context", "base_answer", "attack", "answer", "family")
    return Injection(
        where=where, score=_labelled_score(where, value), **{key: _required_text(where, value, key) for key in texts}
    )


def _required_text(where: str, value: Mapping[str, Any], key: str, empty: bool = False) -> str:
    text = value.get(key)
    if not isinstance(text, str) or not (empty or text.strip()):
        raise InputError(f"{where}: '{key}' is missing or no text")
    return text


def _optional_text(where: str, value: Mapping[str, Any], key: str) -> str | None:
    return None if value.get(key) is None else _required_text(where, value, key)


def _labelled_score(where: str, value: Mapping[str, Any]) -> int:
    score = value.get("score")
    if isinstance(score, bool) or not isinstance(score, int) or score not in SCORES:
        raise InputError(f"{where}: 'score' is an integer from {SCORES[0]} to {SCORES[-1]}, not {json.dumps(score)}")
    return score


def _right_or_wrong(where: str, value: object) -> bool | None:
    if value is not None and not isinstance(value, bool):
        raise InputError(f"{where}: 'right' is true or false, not {json.dumps(value)}")
    return value


def _claim_counts(where: str, value: object) -> ClaimCounts | None:
    if value is None:
        return None
    if not isinstance(value, dict) or set(value) != {"tp", "fp", "fn"} or not all(map(_is_count, value.values())):
        raise InputError(f'{where}: \'claims\' is an object of three counts, such as {{"tp": 2, "fp": 0, "fn": 1}}')
    return ClaimCounts(value["tp"], value["fp"], value["fn"])


def _supported_counts(where: str, value: object) -> tuple[int, int] | None:
    if value is None:
        return None
    if not isinstance(value, list) or len(value) != 2 or not all(map(_is_count, value)) or value[0] > value[1]:
        raise InputError(f"{where}: 'supported' is a list [supported claims, claims], such as [2, 3]")
    return value[0], value[1]


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
