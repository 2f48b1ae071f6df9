"""People's verdicts of EVOUNA as labels for `telbench judge calibrate`.

EVOUNA (repository wangcunxiang/QA-Eval, Apache-2.0; Wang et al., Evaluating Open-QA Evaluation, 2023) has questions of
Natural Questions and TriviaQA, the answers of five systems, and a person's verdict on each: right or wrong.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from telbench.errors import InputError

from ...judges.chat import writable
from ...judges.material import alternatives
from ..storage import writing

SYSTEMS = ("fid", "gpt35", "chatgpt", "gpt4", "newbing")
# What the files have where nobody gave a verdict or a system no answer.
_NOTHING = (None, "nan")


@dataclass(frozen=True)
class EvounaQuestion:
    """A question, and by system its answer and the person's verdict; a system without a verdict is in ``unjudged``.

    ``improper``: people found that the question or its reference cannot be used.
    """

    id: str
    question: str
    references: tuple[str, ...]
    answers: Mapping[str, str]
    right: Mapping[str, bool]
    unjudged: tuple[str, ...]
    improper: bool


@dataclass(frozen=True)
class Converted:
    """``rows`` for a file of labels, how many answers were left out by reason, and how many were not drawn."""

    rows: tuple[Mapping[str, Any], ...]
    left_out: Mapping[str, int]
    not_drawn: int


def read_evouna(path: Path) -> tuple[EvounaQuestion, ...]:
    """The questions of one of EVOUNA's files (NQ.json, TQ.json), in their order.

    Raises:
        InputError: naming file and question for whatever is not as its authors describe it.
    """
    try:
        records = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError):
        raise InputError(f"{path} is not JSON: take NQ.json or TQ.json of EVOUNA as they are") from None
    if not isinstance(records, list) or not records:
        raise InputError(f"{path} is no list of questions: take NQ.json or TQ.json of EVOUNA as they are")
    return tuple(_question(path, number, record) for number, record in enumerate(records, 1))


def evouna_labels(paths: Sequence[Path], count: int | None = None, seed: int = 0) -> Converted:
    """A label for each answer with a verdict to a question that people found proper.

    Args:
        paths: EVOUNA's files, each of another name.
        count: draw questions, each with all its answers, until there are as many answers or a few more.
        seed: draws the questions.

    Raises:
        InputError: for files that are not EVOUNA's, two of one name, and where nothing is left.
    """
    names = Counter(path.stem for path in paths)
    if twice := [name for name, times in names.items() if times > 1]:
        raise InputError(f"two files are called {twice[0]}: their questions would have the same ids; rename one")
    left_out: Counter[str] = Counter()
    usable = list[list[Mapping[str, Any]]]()
    for question in (each for path in paths for each in read_evouna(path)):
        if question.improper:
            left_out["question found improper"] += len(SYSTEMS)
            continue
        if not question.references or not question.question.strip():
            left_out["no question or reference"] += len(SYSTEMS)
            continue
        left_out["no verdict"] += len(question.unjudged)
        usable.append(list(_rows(question)))
    total = sum(map(len, usable))
    if not total:
        raise InputError(f"{', '.join(map(str, paths))}: no answer has a verdict")
    if count is not None:
        random.Random(seed).shuffle(usable)
        drawn, usable = iter(usable), list[list[Mapping[str, Any]]]()
        while sum(map(len, usable)) < min(count, total):
            usable.append(next(drawn))
    rows = tuple(row for question in usable for row in question)
    return Converted(rows, {reason: n for reason, n in left_out.items() if n}, total - len(rows))


def write_rows(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """JSON Lines, one label a line.

    Raises:
        InputError: when the file cannot be written.
    """
    with writing(path):
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def _rows(question: EvounaQuestion) -> Iterator[Mapping[str, Any]]:
    for system, right in question.right.items():
        yield {
            "id": f"{question.id}-{system}",
            "item_id": question.id,
            "system": system,
            "question": question.question,
            "reference": alternatives(question.references),
            "answer": question.answers[system],
            "right": right,
        }


def _question(path: Path, number: int, record: object) -> EvounaQuestion:
    where = f"{path}, question {number}"
    if not isinstance(record, dict):
        raise InputError(f"{where}: no object: take NQ.json or TQ.json of EVOUNA as they are")
    texts = dict[str, str]()
    for name in ("question", "golden_answer"):
        text = record.get(name, False)
        texts[name] = "" if text is None else text
        if not isinstance(texts[name], str):
            raise InputError(f"{where}: '{name}' is missing or no text")
    if not isinstance(record.get("improper"), bool):
        raise InputError(f"{where}: 'improper' is not true or false")
    answers: dict[str, str] = {}
    right: dict[str, bool] = {}
    unjudged: list[str] = []
    for system in SYSTEMS:
        answer, verdict = record.get(f"answer_{system}"), record.get(f"judge_{system}")
        if f"judge_{system}" not in record or not (verdict in _NOTHING or isinstance(verdict, bool)):
            raise InputError(f"{where}: 'judge_{system}' is not true, false or null")
        if not (answer is None or isinstance(answer, str)):
            raise InputError(f"{where}: 'answer_{system}' is no text")
        answers[system] = writable(answer or "")
        if isinstance(verdict, bool):
            right[system] = verdict
        else:
            unjudged.append(system)
    # The authors part alternatives by a stroke.
    references = tuple(part.strip() for part in writable(texts["golden_answer"]).split("/") if part.strip())
    return EvounaQuestion(
        f"{path.stem}-{number}",
        writable(texts["question"]),
        references,
        answers,
        right,
        tuple(unjudged),
        record["improper"],
    )
