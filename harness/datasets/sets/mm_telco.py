"""MM-TelcoBench, open questions: long answers with three references, multi-hop answers with a rubric, definitions."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path

from ..contract import Collector, DatasetSpec, LoadedItems
from ..items import Item
from ..rows import csv_rows, published
from ..splits import by_hash
from ..wording import clean, distinct, whole

FOLDER = "mm-telcobench"
LICENCE = "CC BY 4.0"
ORIGIN = "gagan-iitb/MM-TelcoBench"
LONG_FILE = "LONG_TelcoBench.csv"
MULTIHOP_FILE = "Long_multi_BENCH_data.csv"
ENTITIES_FILE = "clean_1000_entities.csv"
# Three rows hold the generating model's talk about its own output in place of a question.
_RESIDUE = re.compile(r"\b(your modifications|candidate answers)\b", re.IGNORECASE)
_UNSEEN = re.compile(r"\bDocuments? \d")


def load_long(files: Mapping[str, Path], options: Mapping[str, str]) -> LoadedItems:
    """Questions on a clause, each with three wordings of the answer."""
    path = files[LONG_FILE]
    collector = Collector()
    for line, row in csv_rows(path):
        key, question, *rest = published(
            row,
            path,
            f"at line {line}",
            *("", "Question", "Candidate Answer 1", "Candidate Answer 2", "Candidate Answer 3"),
            *("Source", "Section", "Working Group"),
        )
        first, second, third, source, section, group = rest
        if not clean(question):
            collector.drop("empty question")
        elif _RESIDUE.search(question):
            collector.drop("generation residue in place of a question")
        else:
            collector.items.append(
                Item(
                    id=clean(key),
                    question=clean(question),
                    references=distinct([first, second, third]),
                    source_document=clean(f"{source} {section}") or None,
                    category=clean(group) or None,
                    meta={"specification": clean(source)},
                )
            )
    return collector.loaded()


def load_multihop(files: Mapping[str, Path], options: Mapping[str, str]) -> LoadedItems:
    """Long answers with, in ``meta["rubric"]``, what an answer has to contain."""
    path = files[MULTIHOP_FILE]
    collector = Collector()
    for number, (line, row) in enumerate(csv_rows(path)):
        question, answer, proof = published(row, path, f"at line {line}", "Question", "Answer", "Proof")
        if options.get("unseen") == "drop" and _UNSEEN.search(answer):
            collector.drop("answer cites a document of an unseen prompt")
            continue
        # Half of the answers are longer than 450 tokens: asked for a sentence or two, no model could give them.
        meta = {"rubric": clean(proof), "in_full": True}
        collector.items.append(Item(f"mm-multihop-long-{number}", clean(question), distinct([answer]), meta=meta))
    return collector.loaded()


def load_entities(files: Mapping[str, Path], options: Mapping[str, str]) -> LoadedItems:
    """What is NAME? with a passage that uses the term; the reference is the description."""
    path = files[ENTITIES_FILE]
    collector = Collector()
    columns = ("name", "full_form", "entity_type", "Comments(V/U/I)", "context", "description", "Section_title")
    for number, (line, row) in enumerate(csv_rows(path)):
        name, full, kind, comment, context, description, section, document = published(
            row, path, f"at line {line}", *columns, "doc_number"
        )
        rating = clean(comment).upper()
        if options.get("rating") == "V" and rating not in {"V", "VV"}:
            collector.drop("not rated V or VV")
            continue
        collector.items.append(
            Item(
                id=f"mm-entities-{number}",
                question=definition_question(clean(name), clean(full)),
                references=distinct([description]),
                context=whole(context) or None,
                source_document=passage_name(clean(document), clean(section), whole(context)),
                category=clean(kind).lower() or None,
                meta={"rating": rating},
            )
        )
    return collector.loaded()


def passage_name(document: str, section: str, context: str) -> str:
    """The clause, or where the file names none (459 terms in three documents) the document and its passage's hash."""
    digest = hashlib.sha256(context.encode()).hexdigest()[:8]
    return f"{document} {section}" if section else f"{document} (passage {digest})"


def definition_question(name: str, full_form: str) -> str:
    """The question that an entity's description answers.

    >>> definition_question("PSA", "PDU Session Anchor")
    'In 3GPP networks, what is PSA (PDU Session Anchor)?'
    """
    spelled_out = f" ({full_form})" if full_form and full_form.casefold() != name.casefold() else ""
    return f"In 3GPP networks, what is {name}{spelled_out}?"


MM_LONG = DatasetSpec(
    name="mm-long",
    summary="MM-TelcoBench LONG: open questions on 3GPP clauses, three references each",
    task="open QA",
    folder=FOLDER,
    files=(LONG_FILE,),
    licence=LICENCE,
    origin=ORIGIN,
    load=load_long,
    split_rule=by_hash(),
)
MM_MULTIHOP_LONG = DatasetSpec(
    name="mm-multihop-long",
    summary="MM-TelcoBench LONG V2: long multi-hop answers with a rubric",
    task="long QA",
    folder=FOLDER,
    files=(MULTIHOP_FILE,),
    licence=LICENCE,
    origin=ORIGIN,
    load=load_multihop,
    split_rule=by_hash("item"),
    options={"unseen": ("keep", "drop")},
)
MM_ENTITIES = DatasetSpec(
    name="mm-entities",
    summary="MM-TelcoBench entities: definitions of 3GPP terms, with a passage",
    task="definition",
    folder=FOLDER,
    files=(ENTITIES_FILE,),
    licence=LICENCE,
    origin=ORIGIN,
    load=load_entities,
    split_rule=by_hash(),
    options={"rating": ("all", "V")},
)
