"""telecom-nano: the embedded set. Six question wordings a fact, so that train, dev and test ask the same facts anew."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from itertools import combinations
from typing import Any

from telbench.errors import InputError

from ..contract import DatasetSpec, LoadedItems
from ..items import Item
from ..rows import decode, kind_of, parse_json
from ..splits import SplitRule
from ..wording import clean, covered_share, normalised, numbers, words

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


EMBEDDED = resources.files(__package__ or __name__).joinpath("nano")


def read_facts(folder: Traversable) -> Iterator[Fact]:
    """The facts of every file, a line each, files by name.

    Raises:
        InputError: at the first line that is no JSON, or no object with exactly the keys of a fact.
    """
    files = [file for file in folder.iterdir() if file.name.endswith(".jsonl")]
    for file in sorted(files, key=lambda file: file.name):
        for number, line in enumerate(decode(file.read_bytes(), file.name).split("\n"), start=1):
            if line.strip():
                yield _fact(parse_json(line, file.name, number), file.name, f"{file.name}, line {number}")


def _fact(value: Any, file: str, where: str) -> Fact:
    if not isinstance(value, dict):
        raise InputError(f"{where}: an object is expected, this is a {kind_of(value)}")
    wrong = [key for key in TEXT_KEYS if not isinstance(value.get(key), str) or not value[key].strip()]
    if wrong:
        raise InputError(f"{where}: '{wrong[0]}' is missing or no text")
    questions = value.get("questions")
    if not isinstance(questions, list) or not all(isinstance(text, str) and text.strip() for text in questions):
        raise InputError(f"{where}: 'questions' is no list of texts")
    if len(value) != len(KEYS):
        raise InputError(f"{where}: keys are {', '.join(sorted(value))}, expected {', '.join(sorted(KEYS))}")
    return Fact(where=where, file=file, questions=tuple(questions), **{key: value[key] for key in TEXT_KEYS})


def load_folder(folder: Traversable) -> LoadedItems:
    """All wordings of a recall fact (closed book) and the first of a reading fact (open book), for the whole folder.

    Texts are taken as they stand: `check_nano` refuses what is not clean, and ids that repeat.

    Raises:
        InputError: if a line is no fact.
    """
    items: list[Item] = []
    for fact in read_facts(folder):
        book = "closed" if fact.pool == RECALL else "open"
        meta = {"specification": fact.specification, "term": fact.term, "book": book}
        splits = SPLIT_OF_QUESTION if fact.pool == RECALL else {0: READING}
        items += (
            Item(
                id=f"nano-{fact.id}-q{index + 1}",
                question=fact.questions[index],
                references=(fact.answer, fact.alternative),
                context=fact.context,
                source_document=fact.id,
                category=fact.category,
                split=split,
                meta=meta,
            )
            for index, split in splits.items()
            if index < len(fact.questions)
        )
    return LoadedItems(tuple(items))


TELECOM_NANO = DatasetSpec(
    name="telecom-nano",
    summary="embedded: facts on 3GPP, O-RAN, IETF and ITU systems, six wordings each",
    task="open QA",
    folder="",
    files=(),
    licence="Apache-2.0",
    origin="part of telbench",
    load=lambda _files, _options: load_folder(EMBEDDED),
    split_rule=SplitRule(
        "by wording: of a recall fact's six questions 1-4 are train, 5 dev, 6 test (closed book: the facts are "
        "trained, the wording is new); reading = first question of facts that are never trained (open book)",
        lambda item: item.split or READING,
        published=True,
        shares_documents=True,
    ),
)


FEWEST_FACTS = 300
LARGEST_TO_SMALLEST = 1.3
FEWEST_QUESTIONS = 4
ANSWER_SUPPORT, ALTERNATIVE_SUPPORT = 0.8, 0.5
LARGEST_OVERLAP = 2 / 3
_BODY = re.compile(r"\b(3GPP|O-RAN|IETF|ITU-T|ITU-R|IEEE|ETSI)\b")


def check_nano(folder: Traversable = EMBEDDED) -> list[str]:
    """Problems of the embedded files (or of another folder of such files), a line each; empty when all is well."""
    problems: list[str] = []
    facts: list[Fact] = []
    try:
        for fact in read_facts(folder):
            facts.append(fact)
    except InputError as error:
        problems.append(str(error))
    problems += _counts(facts)
    for fact in facts:
        problems += (f"{fact.where} ({fact.id}): {text}" for text in _of_fact(fact))
    problems += _repetitions(facts)
    return problems


def _counts(facts: Sequence[Fact]) -> Iterator[str]:
    if len(facts) < FEWEST_FACTS:
        yield f"{len(facts)} facts in all, at least {FEWEST_FACTS} are wanted"
    sizes = Counter(fact.category for fact in facts)
    if sizes and max(sizes.values()) > LARGEST_TO_SMALLEST * min(sizes.values()):
        listed = ", ".join(f"{name} {count}" for name, count in sizes.most_common())
        yield f"categories are out of balance (largest over {LARGEST_TO_SMALLEST} x smallest): {listed}"


def _of_fact(fact: Fact) -> Iterator[str]:
    if fact.category != fact.file.removesuffix(".jsonl"):
        yield f"category '{fact.category}' in file {fact.file}"
    if not fact.id.startswith(f"{fact.category}-"):
        yield f"id does not start with '{fact.category}-'"
    if fact.pool not in (RECALL, READING):
        yield f"pool '{fact.pool}' is neither {RECALL} nor {READING}"
    if not _BODY.search(fact.specification):
        yield f"specification '{fact.specification}' names no body (3GPP, O-RAN, IETF, ITU-T, ITU-R, IEEE, ETSI)"
    wanted = len(SPLIT_OF_QUESTION) if fact.pool == RECALL else FEWEST_QUESTIONS
    if len(fact.questions) < wanted:
        yield f"{len(fact.questions)} questions, {wanted} are needed"
    if any(clean(text) != text for text in (fact.answer, fact.alternative, fact.context, *fact.questions)):
        yield "a text has outer or doubled white space, or a character that is none"
    if fact.answer.casefold() == fact.alternative.casefold():
        yield "the alternative is the answer"
    yield from _support(fact)
    for (i, first), (j, second) in combinations(enumerate(fact.questions, start=1), 2):
        share = overlap(first, second)
        if share > LARGEST_OVERLAP:
            yield f"questions {i} and {j} share {share:.0%} of their words"


def _support(fact: Fact) -> Iterator[str]:
    for name, text, least in (
        ("answer", fact.answer, ANSWER_SUPPORT),
        ("alternative", fact.alternative, ALTERNATIVE_SUPPORT),
    ):
        share = covered_share(text, fact.context)
        if share < least:
            yield f"only {share:.0%} of the content words of the {name} are in the context, at least {least:.0%} needed"
    absent = numbers(fact.answer) - numbers(fact.context)
    if absent:
        yield f"numbers of the answer not in the context: {', '.join(sorted(absent))}"


def overlap(first: str, second: str) -> float:
    """Share of the longer text's words that the other has too, repetitions counted."""
    one, two = Counter(words(first)), Counter(words(second))
    return (one & two).total() / max(one.total(), two.total(), 1)


def _repetitions(facts: Sequence[Fact]) -> Iterator[str]:
    for kind, keys in (
        ("id", ((fact.id, fact) for fact in facts)),
        ("term", ((normalised(fact.term), fact) for fact in facts)),
        ("question", ((normalised(text), fact) for fact in facts for text in fact.questions)),
    ):
        owners: defaultdict[str, list[str]] = defaultdict(list)
        for key, fact in keys:
            owners[key].append(fact.id if kind != "id" else fact.where)
        for key, found in owners.items():
            if len(found) > 1:
                yield f"{kind} '{key}' occurs {len(found)} times: {', '.join(found)}"
