"""telecom-nano: the embedded set. Six question wordings a fact, so that train, dev and test ask the same facts anew."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from ...judges.errors import InputError
from ..items import Item
from .reading import decode, kind_of, parse_json
from .records import Collector, DatasetSpec, LoadedItems
from .splits import SplitRule
from .wording import clean, distinct, whole

TEXT_KEYS = ("id", "category", "pool", "specification", "term", "answer", "alternative", "context")
KEYS = (*TEXT_KEYS, "questions")
RECALL, READING = "recall", "reading"
# Which wording of a recall fact goes where: the four first are trained on, the others ask the same in new words.
SPLIT_OF_QUESTION = {0: "train", 1: "train", 2: "train", 3: "train", 4: "dev", 5: "test"}


@dataclass(frozen=True, slots=True)
class Fact:
    """One fact as written, with where it stands (``file``, line)."""

    where: str
    file: str
    id: str
    category: str
    pool: str
    specification: str
    term: str
    answer: str
    alternative: str
    context: str
    questions: tuple[str, ...]


def nano_folder() -> Traversable:
    """The folder of the embedded files."""
    return resources.files(__package__ or __name__).joinpath("nano")


def raw_lines(folder: Traversable | None = None) -> Iterator[tuple[str, str, Any]]:
    """(file name, place, value) of every line of every file, files by name.

    Raises:
        InputError: if a line is no JSON or a file no UTF-8.
    """
    for file in sorted((folder or nano_folder()).iterdir(), key=lambda file: file.name):
        if file.name.endswith(".jsonl"):
            for number, line in enumerate(decode(file.read_bytes(), file.name).split("\n"), start=1):
                if line.strip():
                    yield file.name, f"{file.name}, line {number}", parse_json(line, file.name, number)


def fact_of(file: str, where: str, value: Any) -> Fact:
    """A fact from its JSON object.

    Raises:
        InputError: if keys are missing or of another type.
    """
    if not isinstance(value, dict):
        raise InputError(f"{where}: an object is expected, this is a {kind_of(value)}")
    wrong = [key for key in TEXT_KEYS if not isinstance(value.get(key), str) or not value[key].strip()]
    if wrong:
        raise InputError(f"{where}: '{wrong[0]}' is missing or no text")
    questions = value.get("questions")
    if not isinstance(questions, list) or not all(isinstance(text, str) and text.strip() for text in questions):
        raise InputError(f"{where}: 'questions' is no list of texts")
    return Fact(where=where, file=file, questions=tuple(questions), **{key: value[key] for key in TEXT_KEYS})


def items_of(fact: Fact) -> Iterator[Item]:
    """The items of a fact: all wordings of a recall fact (closed book), the first of a reading fact (open book)."""
    first = Item(
        id="",
        question="",
        references=distinct([fact.answer, fact.alternative]),
        context=whole(fact.context),
        source_document=fact.id,
        category=fact.category,
    )
    meta = {"specification": fact.specification, "term": fact.term}
    wanted = SPLIT_OF_QUESTION if fact.pool == RECALL else {0: READING}
    for index, split in wanted.items():
        if index < len(fact.questions):
            yield replace(
                first,
                id=f"nano-{fact.id}-q{index + 1}",
                question=clean(fact.questions[index]),
                split=split,
                meta={**meta, "book": "open" if split == READING else "closed"},
            )


def load(files: Mapping[str, Path], options: Mapping[str, str]) -> LoadedItems:
    """The items of all embedded files."""
    return load_folder(nano_folder())


def load_folder(folder: Traversable) -> LoadedItems:
    """The items of the files of a folder.

    Raises:
        InputError: if a line is no fact.
    """
    collector = Collector()
    for file, where, value in raw_lines(folder):
        collector.items.extend(items_of(fact_of(file, where, value)))
    return collector.loaded()


TELECOM_NANO = DatasetSpec(
    name="telecom-nano",
    summary="embedded: facts on 3GPP, O-RAN, IETF and ITU systems, six wordings each",
    task="open QA",
    folder="",
    files=(),
    licence="Apache-2.0",
    origin="part of telbench",
    load=load,
    split_rule=SplitRule(
        "by wording: of a recall fact's six questions 1-4 are train, 5 dev, 6 test (closed book: the facts are "
        "trained, the wording is new); reading = first question of facts that are never trained (open book)",
        lambda item: item.split or READING,
        published=True,
        shares_documents=True,
    ),
)
