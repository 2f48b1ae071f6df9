"""MM-TelcoBench, multiple choice: single clauses, two clauses (multi-hop), and 5G faults with several right options."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..contract import Collector, DatasetSpec, LoadedItems, chosen
from ..items import Item
from ..rows import csv_rows, list_in, published
from ..splits import everything_in
from ..wording import clean
from .mm_telco import FOLDER, LICENCE, ORIGIN

MCQ_FILE = "MCQ_TelcoBench.csv"
MULTIHOP_FILE = "MultiHop_MCQ_Telco_Bench_QA.csv"
FAULTS_FILE = "5G_Faults_Multi_Correct_MCQ.csv"
_OPTION = re.compile(r"Option (\d)")
_LETTER = re.compile(r"(?:Option )?\(?([A-D])\b")


def load_mcq(files: Mapping[str, Path], options: Mapping[str, str]) -> LoadedItems:
    """Four options, the answer as ``Option N``; a row whose columns have shifted has another answer and is dropped."""
    path = files[MCQ_FILE]
    collector = Collector()
    for line, row in csv_rows(path):
        key, source, section, group = published(row, path, f"at line {line}", "", "Source", "Section", "Working Group")
        question, texts, answer, explanation = _fields(row, path, line, [f"Option {n}" for n in range(1, 5)])
        found = _OPTION.fullmatch(answer.strip())
        if found is None or not 1 <= int(found[1]) <= len(texts):
            collector.drop("shifted columns: the answer names no option")
            continue
        item = _item(clean(key), question, texts, (int(found[1]) - 1,), {"explanation": explanation})
        document, category = clean(f"{source} {section}") or None, clean(group) or None
        collector.items.append(replace(item, source_document=document, category=category))
    return collector.loaded()


def load_multihop(files: Mapping[str, Path], options: Mapping[str, str]) -> LoadedItems:
    """Four options; the answer is free text that names a letter, or the record is dropped."""
    path = files[MULTIHOP_FILE]
    collector = Collector()
    for line, row in csv_rows(path):
        key = published(row, path, f"at line {line}", "")[0]
        question, texts, answer, explanation = _fields(row, path, line, [f"Option {letter}" for letter in "ABCD"])
        found = _LETTER.match(answer.replace("*", "").strip())
        if found is None:
            collector.drop("answer names no option")
            continue
        right = ("ABCD".index(found[1]),)
        collector.items.append(_item(clean(key), question, texts, right, {"explanation": explanation}))
    return collector.loaded()


def load_faults(files: Mapping[str, Path], options: Mapping[str, str]) -> LoadedItems:
    """Six options of which one to six are right; ``meta["multi_select"]`` tells that several may be."""
    path = files[FAULTS_FILE]
    collector = Collector()
    for number, (line, row) in enumerate(csv_rows(path, skip_blank_start=True)):
        question, texts, answer, explanation = _fields(row, path, line, [f"Option {n}" for n in range(1, 7)])
        right = listed_options(answer, len(texts))
        if not question:
            collector.drop("empty question")
        elif not right:
            collector.drop("answer names no option")
        else:
            meta = {"explanation": explanation, "multi_select": True}
            collector.items.append(_item(f"mm-faults-{number}", question, texts, right, meta))
    return collector.loaded()


def listed_options(answer: str, count: int) -> tuple[int, ...]:
    """Indices in an answer like ``['Option 4', 'Option 2']``, sorted; empty if it is none such.

    >>> listed_options("['Option 4', 'Option 2']", 6)
    (1, 3)
    """
    names = list_in(answer)
    if not isinstance(names, list):
        return ()
    found = [_OPTION.fullmatch(str(name).strip()) for name in names]
    indices = {int(match[1]) - 1 for match in found if match}
    return tuple(sorted(indices)) if all(found) and all(0 <= index < count for index in indices) else ()


def _fields(row: Any, path: Path, line: int, names: Sequence[str]) -> tuple[str, tuple[str, ...], str, str]:
    question, answer, explanation, *texts = published(
        row, path, f"at line {line}", "Question", "Answer", "Explanation", *names
    )
    return clean(question), tuple(map(clean, texts)), answer, clean(explanation)


def _item(key: str, question: str, choices: tuple[str, ...], right: tuple[int, ...], meta: dict[str, Any]) -> Item:
    return Item(key, question, chosen(choices, right), choices=choices, answer=right, meta=meta)


_BENCHMARK = everything_in("test", "a benchmark, not to be trained on")
MM_MCQ = DatasetSpec(
    name="mm-mcq",
    summary="MM-TelcoBench MCQ: single clauses of 3GPP specifications",
    task="multiple choice",
    folder=FOLDER,
    files=(MCQ_FILE,),
    licence=LICENCE,
    origin=ORIGIN,
    load=load_mcq,
    split_rule=_BENCHMARK,
)
MM_MULTIHOP_MCQ = DatasetSpec(
    name="mm-multihop-mcq",
    summary="MM-TelcoBench multi-hop MCQ: two passages needed",
    task="multiple choice",
    folder=FOLDER,
    files=(MULTIHOP_FILE,),
    licence=LICENCE,
    origin=ORIGIN,
    load=load_multihop,
    split_rule=_BENCHMARK,
)
MM_FAULTS = DatasetSpec(
    name="mm-faults",
    summary="MM-TelcoBench 5G faults: six options, one or more right",
    task="multi-select",
    folder=FOLDER,
    files=(FAULTS_FILE,),
    licence=LICENCE,
    origin=ORIGIN,
    load=load_faults,
    split_rule=_BENCHMARK,
)
