"""What has to hold for telecom-nano: counts, keys, distinct questions, answers that their context supports."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from importlib.resources.abc import Traversable
from itertools import combinations

from ...judges.errors import InputError
from .nano import KEYS, READING, RECALL, SPLIT_OF_QUESTION, Fact, fact_of, raw_lines
from .wording import covered_share, normalised, numbers, words

FEWEST_FACTS = 300
LARGEST_TO_SMALLEST = 1.3
FEWEST_QUESTIONS = 4
ANSWER_SUPPORT, ALTERNATIVE_SUPPORT = 0.8, 0.5
LARGEST_OVERLAP = 2 / 3
_BODY = re.compile(r"\b(3GPP|O-RAN|IETF|ITU-T|ITU-R|IEEE|ETSI)\b")


def check_nano(folder: Traversable | None = None) -> list[str]:
    """Problems of the embedded files (or of a folder of such files), a line each; empty when all is well."""
    problems: list[str] = []
    facts: list[Fact] = []
    try:
        for file, where, value in raw_lines(folder):
            try:
                facts.append(fact_of(file, where, value))
            except InputError as error:
                problems.append(str(error))
                continue
            if set(value) != set(KEYS):
                problems.append(f"{where}: keys are {', '.join(sorted(value))}, expected {', '.join(sorted(KEYS))}")
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
