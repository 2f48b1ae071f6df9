r"""GSMA's Open Telco sets as their boards use them (``GSMA/ot-full``, ``GSMA/ot-lite``): one table a set, split test.

The columns are those that the evaluations read (gsma-labs/evals at 708f1c5, ``src/evals``, and its upload script at
1738862) and that the data pages show. The sets ask for access, so none of their records was at hand here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from ....metrics.parsed.labels import read_labels
from ....metrics.parsed.numbers import only_number
from ....metrics.parsed.trees import NoTreeError, parsed
from ..contract import Collector, DatasetSpec, LoadedItems, Task, chosen
from ..items import Item
from ..rows import Row, absent, list_in, published, text_of
from ..shapes import source_of
from ..splits import everything_in
from ..wording import clean, distinct, whole

FOLDER = "ot-full"
# As `push_to_hub` names the file of a configuration, and as people save one.
TABLE = "test-00000-of-00001.parquet"
ENDINGS = (".parquet", ".jsonl", ".json", ".csv")
WORKING_GROUPS = (
    *("CT1", "CT3", "CT4", "CT6", "RAN1", "RAN2", "RAN3", "RAN4", "RAN5", "RAN_AH1"),
    *("SA1", "SA2", "SA3", "SA4", "SA5", "SA6"),
)
CAUSES = tuple(f"C{number}" for number in range(1, 9))
_CAUSE = re.compile(r"(?<!\S)([A-Z]\d{1,2}):\s")
_LISTED = re.compile(r"\{\s*('[^'{}]{1,40}'(?:\s*,\s*'[^'{}]{1,40}')+)\s*\}")
_GROUP = re.compile(r"[A-Z]+")

# An item of a row, or the reason why there is none.
Reading = Callable[[Mapping[str, Any], Path, str], "Item | str"]


def _load(name: str, read: Reading, files: Mapping[str, Path], options: Mapping[str, str]) -> LoadedItems:
    """The rows of the set's one file; ids are the set's name and the row, drops are counted."""
    collector = Collector()
    (path,) = files.values()
    source = source_of(path)
    for number, row in _counted(source.rows(None)):
        item = read(row, path, f"{name}-{number}")
        if isinstance(item, str):
            collector.drop(item)
        else:
            collector.items.append(item)
    return collector.loaded()


def _counted(rows: Iterable[Row]) -> Iterable[tuple[int, Mapping[str, Any]]]:
    """The rows by their place from 1: it is the same in whatever kind of file they lie."""
    return ((number, row) for number, (_, row) in enumerate(rows, start=1))


def _choices(category: str, document: str, row: Mapping[str, Any], path: Path, item_id: str) -> Item | str:
    """Multiple choice: ``choices`` in a list, ``answer`` counts them from 0."""
    question, options, answer = published(row, path, item_id, "question", "choices", "answer")
    question = clean(text_of(question))
    listed = _list(options)
    choices = tuple(clean(text_of(option)) for option in listed)
    if not question:
        return "empty question"
    if len(choices) < 2 or not all(choices):
        return "fewer than two options" if len(choices) < 2 else "empty option"
    # Tables with an empty cell hold whole numbers as 2.0.
    number = text_of(answer).strip().removesuffix(".0")
    if not number.isdecimal() or int(number) >= len(choices):
        return "answer names no option"
    right = (int(number),)
    return Item(
        id=item_id,
        question=question,
        references=chosen(choices, right),
        choices=choices,
        answer=right,
        source_document=_text(row, document),
        category=_text(row, category),
        meta=_kept(row, "explanation", "document_id"),
    )


def _list(value: Any) -> Sequence[Any]:
    value = list_in(value) if isinstance(value, str) else value
    return value if isinstance(value, list | tuple) else ()


def _text(row: Mapping[str, Any], name: str) -> str | None:
    """A column that a set may have, as text; of one that holds true or false its name, with "not" before it."""
    if not name or absent(row.get(name)):
        return None
    text = clean(text_of(row[name]))
    return {"true": name, "false": f"not {name}"}.get(text.casefold(), text) or None


def _kept(row: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name in names if (value := _text(row, name)) is not None}


def _number(row: Mapping[str, Any], path: Path, item_id: str) -> Item | str:
    """TeleMath: a problem whose answer is one number, in the unit that the problem asks for."""
    question, answer = published(row, path, item_id, "question", "answer")
    question, answer = whole(text_of(question)), clean(text_of(answer))
    if not question:
        return "empty question"
    if only_number(answer) is None:
        return "answer is no number"
    meta = {"form": "number", "metrics": ["gsma_telemath"], "worked": True}
    tags = [clean(text_of(tag)) for tag in _list(row.get("tags"))]
    return Item(
        id=item_id,
        question=question,
        references=distinct([answer]),
        category=_text(row, "category"),
        meta=meta | _kept(row, "difficulty") | ({"tags": tags} if tags else {}),
    )


def _cause(row: Mapping[str, Any], path: Path, item_id: str) -> Item | str:
    """TeleLogs: drive-test data and the causes that there may be; the answer is one of them."""
    question, answer = published(row, path, item_id, "question", "answer")
    question = whole(text_of(question))
    causes = tuple(dict.fromkeys(_CAUSE.findall(question))) or CAUSES
    meta = {"metrics": ["gsma_telelogs"], "worked": True}
    return _labelled(Item(item_id, question), text_of(answer), causes, "answer names none of the causes", meta)


def _group(row: Mapping[str, Any], path: Path, item_id: str) -> Item | str:
    """3GPP-TSG: a text, and the working groups that it may be of; its file is the source document."""
    question, answer = published(row, path, item_id, "question", "answer")
    question = whole(text_of(question))
    listed = _LISTED.search(question)
    groups = tuple(re.findall(r"'([^']+)'", listed[1])) if listed else WORKING_GROUPS
    item = Item(item_id, question, source_document=_text(row, "file_name"))
    meta = {"metrics": ["gsma_3gpp_tsg"]}
    return _labelled(item, text_of(answer), groups, "answer names none of the working groups", meta)


def _labelled(item: Item, answer: str, labels: Sequence[str], drop: str, meta: Mapping[str, Any]) -> Item | str:
    """The item with its label; the question says itself how to answer."""
    if not item.question:
        return "empty question"
    named = read_labels(answer, labels).named
    if len(named) != 1:
        return drop
    (label,) = named
    group = _GROUP.match(label)
    told = {"form": "label", "labels": list(labels), "instructed": True, **meta}
    category = label if len(labels) <= len(CAUSES) else group and group[0]
    return replace(item, references=(label,), category=category, meta=told)


def _configuration(row: Mapping[str, Any], path: Path, item_id: str) -> Item | str:
    """TeleYAML: a request, and the configuration that answers it; its context is what the request is asked with."""
    question, answer = published(row, path, item_id, "Question", "Answer")
    question, answer = whole(text_of(question)), whole(text_of(answer))
    if not question:
        return "empty question"
    try:
        parsed(answer)
    except NoTreeError as error:
        return f"answer is {error}" if str(error).startswith("no") else "answer is beyond the bounds of a configuration"
    return Item(
        id=item_id,
        question=question,
        references=(answer,),
        context=whole(text_of(row.get("Context"))) or None,
        category=_text(row, "Category"),
        meta={"form": "yaml"} | _kept(row, "Main Category"),
    )


def _spec(
    name: str, config: str, task: Task, summary: str, read: Reading, licence: str, folder: str = FOLDER
) -> DatasetSpec:
    table = f"{config}/{TABLE}"
    return DatasetSpec(
        name=name,
        summary=summary,
        task=task,
        folder=folder,
        files=(table,),
        licence=licence,
        origin=f"GSMA/{FOLDER} on Hugging Face, configuration {config}"
        if folder == FOLDER
        else "otellm on Hugging Face",
        load=partial(_load, name, read),
        split_rule=everything_in("test", "a benchmark, not to be trained on"),
        also={table: tuple(f"{config}{ending}" for ending in ENDINGS)},
    )


_ASK = "as its page says (access on request)"
OT_TELEQNA = _spec(
    "ot-teleqna",
    "teleqna",
    "multiple choice",
    "TeleQnA as GSMA's board asks it",
    partial(_choices, "subject", ""),
    "MIT",
)
OT_TELETABLES = _spec(
    "ot-teletables",
    "teletables",
    "multiple choice",
    "TeleTables: tables of 3GPP specifications",
    partial(_choices, "difficult", "table_id"),
    "MIT",
)
OT_ORANBENCH = _spec(
    "ot-oranbench",
    "oranbench",
    "multiple choice",
    "1,500 of ORAN-Bench-13K, easy to hard",
    partial(_choices, "difficulty", ""),
    "MIT",
)
OT_SRSRANBENCH = _spec(
    "ot-srsranbench",
    "srsranbench",
    "multiple choice",
    "srsRANBench as GSMA's board asks it",
    partial(_choices, "", ""),
    "MIT",
)
OT_SIXG_BENCH = _spec(
    "ot-sixg-bench",
    "sixg_bench",
    "multiple choice",
    "6G-Bench: decisions in 6G networks",
    partial(_choices, "task_id", ""),
    "CC BY 4.0",
)
OT_TELEMATH = _spec(
    "ot-telemath", "telemath", "number", "TeleMath: problems with a number for an answer", _number, "MIT"
)
OT_TELELOGS = _spec("ot-telelogs", "telelogs", "label", "TeleLogs: root causes of drive-test data", _cause, _ASK)
OT_3GPP_TSG = _spec("ot-3gpp-tsg", "3gpp_tsg", "label", "3GPP-TSG: which working group a text is of", _group, _ASK)
OT_TELEYAML = _spec(
    "ot-teleyaml", "teleyaml", "YAML", "TeleYAML: configurations of a 5G core", _configuration, _ASK, "teleyaml"
)
