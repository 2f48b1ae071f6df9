"""ORAN-Bench-13K and srsRANBench: JSON Lines of [question, numbered options, number of the right one]."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from ..choices import unlabelled
from ..contract import Collector, DatasetSpec, LoadedItems, chosen
from ..items import Item
from ..rows import json_lines, text_of
from ..splits import everything_in
from ..wording import clean

DIFFICULTIES = {"fin_E.json": "easy", "fin_M.json": "medium", "fin_H.json": "hard"}
SRSRAN_FILE = "srsRANBench.json"


def add_records(collector: Collector, path: Path, prefix: str, category: str | None) -> None:
    """Read one file; ids are the prefix and the line number."""
    for line, record in json_lines(path):
        match record:
            case [question, list(options), answer]:
                item = Item(f"{prefix}-{line}", clean(text_of(question)), category=category)
                _add(collector, item, options, text_of(answer))
            case _:
                collector.drop("record is not [question, options, answer]")


def _add(collector: Collector, item: Item, options: list[object], answer: str) -> None:
    choices = unlabelled([clean(text_of(option)) for option in options])[1]
    number = int(answer) if answer.strip().isdecimal() else 0
    if not item.question:
        collector.drop("empty question")
    elif len(choices) < 2:
        collector.drop("fewer than two options")
    elif not 1 <= number <= len(choices):
        collector.drop("answer names no option")
    else:
        right = (number - 1,)
        collector.items.append(replace(item, references=chosen(choices, right), choices=choices, answer=right))


def load_oran(files: Mapping[str, Path], options: Mapping[str, str]) -> LoadedItems:
    """The easy, medium and hard file; the difficulty is the category."""
    collector = Collector()
    for name, difficulty in DIFFICULTIES.items():
        add_records(collector, files[name], f"oran-bench-{difficulty}", difficulty)
    return collector.loaded()


def load_srsran(files: Mapping[str, Path], options: Mapping[str, str]) -> LoadedItems:
    """Questions on the C++ code of srsRAN; option 1 is right in three of four, so choices must be shuffled."""
    collector = Collector()
    add_records(collector, files[SRSRAN_FILE], "srsranbench", None)
    return collector.loaded()


_BENCHMARK = everything_in("test", "a benchmark, not to be trained on")
ORAN_BENCH = DatasetSpec(
    name="oran-bench",
    summary="ORAN-Bench-13K: O-RAN specifications, easy to hard",
    task="multiple choice",
    folder="oran-bench-13k",
    files=tuple(DIFFICULTIES),
    licence="MIT",
    origin="prnshv/ORAN-Bench-13K",
    load=load_oran,
    split_rule=_BENCHMARK,
)
SRSRANBENCH = DatasetSpec(
    name="srsranbench",
    summary="srsRANBench: the code of the srsRAN project",
    task="multiple choice",
    folder="srsranbench",
    files=(SRSRAN_FILE,),
    licence="MIT",
    origin="prnshv/srsRANBench",
    load=load_srsran,
    split_rule=_BENCHMARK,
)
