"""TeleQuAD (Ericsson): questions on 3GPP clauses and web pages, answered by a span; and questions on tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from telbench.errors import InputError

from ..contract import Collector, DatasetSpec, LoadedItems
from ..items import Item
from ..rows import parse_json, published, read_text, text_of
from ..splits import SplitRule, by_hash
from ..wording import clean, distinct, whole

EXTRACTIVE_FILE = "TeleQuAD-v4-full.json"
TABULAR_FILE = "TeleQuAD-v1-full-Tabular.json"
LICENCE = "CC BY-ND 4.0"
ORIGIN = "EricssonResearch/TeleQuAD"
# Whole specifications, so that no clause and no paragraph has questions on two sides: 693 and 441 answerable questions.
TEST_SPECIFICATIONS = frozenset({"38305", "25996", "45009"})
DEV_SPECIFICATIONS = frozenset({"23012", "23097", "52008"})


def family(source: str) -> str:
    """The specification number or the web host of a source.

    >>> family("3GPP-Specs#38305-f70#30"), family("https://www.3gpp.org/technologies")
    ('38305', '3gpp.org')
    """
    if source.startswith("3GPP-Specs#"):
        return source.removeprefix("3GPP-Specs#").partition("-")[0]
    return (urlsplit(source).hostname or source).removeprefix("www.")


def _split_of(item: Item) -> str:
    if item.category in TEST_SPECIFICATIONS:
        return "test"
    return "dev" if item.category in DEV_SPECIFICATIONS else "train"


def load_extractive(files: Mapping[str, Path], options: Mapping[str, str]) -> LoadedItems:
    """Questions with their clause as context and the marked spans as references.

    With ``unanswerable=keep`` the questions marked impossible stay, told by ``meta["unanswerable"]``, with the number
    of answer entries that they carry all the same (``meta["answer_entries"]``).
    """
    path = files[EXTRACTIVE_FILE]
    keep = options.get("unanswerable") == "keep"
    collector = Collector()
    for document in _documents(path):
        number = text_of(document.get("docid"))
        source, title, paragraphs = published(document, path, number, "source", "title", "paragraphs")
        for paragraph in paragraphs:
            context, entries = published(paragraph, path, number, "context", "qas")
            frame = Item("", "", (), whole(context), source_document=clause(source, title), category=family(source))
            for entry in entries:
                _add(collector, path, entry, frame, keep=keep)
    return collector.loaded()


def clause(source: str, title: str) -> str:
    """The cluster of a question: the clause where the title names it, as some sources already do, else the source.

    >>> clause("3GPP-Specs#23273-g50", "3GPP-Specs#23273-g50#30")
    '3GPP-Specs#23273-g50#30'
    """
    return title if title.startswith(f"{source}#") else source


def _add(collector: Collector, path: Path, entry: Any, frame: Item, *, keep: bool) -> None:
    """Collect one question; ``frame`` is the item with all but what the entry says."""
    key, question, answers = published(entry, path, f"in {frame.source_document}", "id", "question", "answers")
    unanswerable = bool(entry.get("is_impossible"))
    if unanswerable and not keep:
        collector.drop("is_impossible")
        return
    references = distinct(text_of(answer.get("text")) for answer in answers)
    if not unanswerable and not references:
        collector.drop("no reference")
        return
    collector.items.append(
        replace(
            frame,
            id=text_of(key),
            question=clean(question),
            references=references,
            meta={"unanswerable": True, "answer_entries": len(answers)} if unanswerable else {},
        )
    )


def _documents(path: Path) -> list[Any]:
    value = parse_json(read_text(path), str(path))
    data = value.get("data") if isinstance(value, dict) else None
    if not isinstance(data, list):
        raise InputError(f"{path}: no list 'data': is this the published TeleQuAD file?")
    return data


def load_tabular(files: Mapping[str, Path], options: Mapping[str, str]) -> LoadedItems:
    """Questions on a table, which stands as text with pipes in the context."""
    path = files[TABULAR_FILE]
    collector = Collector()
    for group in _documents(path):
        for entry in published(group, path, "in 'data'", "questions")[0]:
            key, question, answer, context, document, section, kind, table = published(
                entry,
                path,
                "in 'questions'",
                *("id", "question", "answer", "context", "doc_name", "section_number", "question_type", "table_name"),
            )
            collector.items.append(
                Item(
                    id=text_of(key),
                    question=clean(question),
                    references=distinct([text_of(answer)]),
                    context=whole(context),
                    source_document=clean(f"{document} {section}"),
                    category=clean(kind).lower(),
                    meta={"table": clean(text_of(table))},
                )
            )
    return collector.loaded()


TELEQUAD = DatasetSpec(
    name="telequad",
    summary="TeleQuAD extractive v4: spans of 3GPP clauses and telecom web pages",
    task="extractive QA",
    folder="telequad",
    files=(EXTRACTIVE_FILE,),
    licence=LICENCE,
    origin=ORIGIN,
    load=load_extractive,
    split_rule=SplitRule(
        "by specification: test = 38305, 25996, 45009; dev = 23012, 23097, 52008; train = the other sources",
        _split_of,
        published=True,
    ),
    options={"unanswerable": ("drop", "keep")},
)
TELEQUAD_TABULAR = DatasetSpec(
    name="telequad-tabular",
    summary="TeleQuAD tabular v1 (draft): questions on tables of 3GPP specifications",
    task="table QA",
    folder="telequad",
    files=(TABULAR_FILE,),
    licence=LICENCE,
    origin=ORIGIN,
    load=load_tabular,
    split_rule=by_hash(),
)
