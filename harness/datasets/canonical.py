"""The canonical record: rows of a user's file to items, and items to JSON Lines."""

from __future__ import annotations

import hashlib
import json
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from telbench.errors import InputError

from ...metrics.parsed.forms import KEEP_LINES
from ..key_index import KeyIndex
from .answers import Answer, Answers, First, Named, answer_of, first_number
from .choices import Options, options_of, options_of_cells
from .columns import FIELDS, Columns, check_fields, columns_of, suggestion
from .contract import Collector, LoadedItems, chosen
from .items import Item, Items
from .rows import Bad, BadRowError, absent, kind_of, list_in, text_in, texts_in
from .shapes import Source, shaped, source_of
from .wording import clean, distinct, whole


def load_file(path: Path, mapping: Mapping[str, str], *, skip_bad: bool = False) -> LoadedItems:
    """Items of a file of records; ``mapping`` gives the file's name for a canonical field.

    Args:
        path: the file.
        mapping: for the fields that the file calls otherwise; ``+`` joins several columns.
        skip_bad: drop rows that cannot be read, counted by reason.

    Raises:
        InputError: one line with file and place for everything that cannot be read as meant.
    """
    source = source_of(path)
    check_fields(mapping)
    columns, first = _header(source, skip_bad)
    if not mapping.keys() & {"question", "references"}:
        renamed = shaped(source, path, columns, first)
        if renamed is not source:
            source = renamed
            columns, _ = _header(source, skip_bad)
    reading = _Reading(path, source, columns_of(columns, mapping, path), skip_bad)
    # Each row goes as its item comes, so that no text is held twice.
    for number, row in source.rows(reading.bad):
        try:
            reading.add(number, row)
        except BadRowError as error:
            reading.refuse(error)
    reading.settle()
    if not reading.items:
        reasons = ", ".join(f"{reason}: {count}" for reason, count in reading.collector.dropped.items())
        raise InputError(
            f"{path}: no item can be used ({reasons}): an item needs 'question' and either 'references' or 'choices' "
            f"and 'answer'; {reading.first_bad or suggestion('references', columns)}"
        )
    return reading.loaded()


def _header(source: Source, skip_bad: bool) -> tuple[list[str], Mapping[str, Any]]:
    """All names of fields, in order, and the first row."""
    names: dict[str, None] = {}
    first: Mapping[str, Any] = {}
    for _, row in source.rows((lambda _: None) if skip_bad else None):
        first = first or row
        names.update(dict.fromkeys(map(str, row)))
        if source.cells:
            # A table has its names in its header.
            break
    return list(names), first


@dataclass
class _Reading:
    """A file on its way to items."""

    path: Path
    source: Source
    columns: Columns
    skip_bad: bool
    collector: Collector = field(default_factory=Collector)
    items: Items = field(default_factory=Items)
    # The rows of the items, by their places, and the places of the ids that the file gives.
    rows: array[int] = field(default_factory=lambda: array("Q"))
    places: KeyIndex = field(init=False)
    answers: Answers = field(default_factory=Answers)
    first_bad: str | None = None
    warnings: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.places = _places(self.items)

    @property
    def bad(self) -> Bad:
        """What becomes of a row that cannot be read."""
        return self.refuse if self.skip_bad else None

    def refuse(self, row: BadRowError) -> None:
        """Count a row that is left out, or raise it."""
        if not self.skip_bad:
            raise row
        self.first_bad = self.first_bad or str(row)
        self.collector.drop(f"bad row: {row.reason}")

    def add(self, number: int, row: Mapping[str, Any]) -> None:
        """Collect the item of a row, or count why there is none."""
        where = f"{self.path}, {self.source.place} {number}"
        item, answer = self._item(_fields(row, self.columns), where)
        if item is None:
            return
        if item.id and (known := self.places.find(item.id)) is not None:
            first = f"{self.source.place} {self.rows[known]}"
            told = f"id '{item.id}' is that of {first} too: ids must be unique (rename the column if it holds none)"
            raise BadRowError(where, "repeated id", told)
        if answer is not None:
            self.answers.add(answer, len(self.items))
        self.items.append(item)
        self.rows.append(number)
        if item.id:
            self.places.put(item.id, len(self.items) - 1)

    def _item(self, fields: Mapping[str, Any], where: str) -> tuple[Item | None, Answer | None]:
        """The item of a row, without an id where it has none, and its answer; None when it is dropped (counted)."""
        if any("\0" in value for value in fields.values() if isinstance(value, str)):
            self.collector.repaired["NUL characters removed"] += 1
        question = clean(text_in(fields["question"], "question", where) or "")
        if not question:
            self.collector.drop("empty question")
            return None, None
        options = self._options(fields["choices"], where)
        meta = _meta(fields["meta"], where)
        lines = str(meta.get("form")) in KEEP_LINES
        references = distinct(texts_in(fields["references"], "references", where), lines=lines)
        answer = self._answer(fields["answer"], options, where) if options.texts else None
        right = () if answer is None else answer.indices
        if options.texts:
            references = references or chosen(options.texts, right or ())
        elif not references:
            # Open benchmarks such as ot-full call the one reference "answer".
            references = distinct(texts_in(fields["answer"], "answer", where), lines=lines)
        if not references and right is not None and not meta.get("unanswerable"):
            self.collector.drop("choices without an answer" if options.texts else "no reference")
            return None, None
        context, passages = self._context(fields["context"], fields["passages"], where)
        item = Item(
            id=clean(text_in(fields["id"], "id", where) or ""),
            question=question,
            references=references,
            context=context,
            choices=options.texts,
            answer=right or (),
            source_document=_label(fields, "source_document", where),
            category=_label(fields, "category", where),
            split=_label(fields, "split", where),
            meta=meta,
            passages=passages,
        )
        return item, answer

    def _options(self, value: Any, where: str) -> Options:
        """The options, with their labels off; those are counted."""
        if len(self.columns.of.get("choices", ())) > 1:
            options = options_of_cells(value, self.columns.labels, where)
        else:
            options = options_of(value, where)
        if options.texts != options.written:
            self.collector.repaired["labels taken off the options"] += 1
        return options

    def _answer(self, value: Any, options: Options, where: str) -> Answer:
        if self.columns.right_first:
            return Answer(where, (Named(label=0),), len(options.texts), within=False)
        try:
            return answer_of(value, options, where)
        except BadRowError as error:
            names = self.columns.of["choices"]
            if names == ("choices",):
                raise
            told = f"{str(error).removeprefix(f'{where}: ')} (options taken from {', '.join(names)}"
            told += f"; for open questions say --map references={self.columns.of['answer'][0]})"
            raise BadRowError(where, error.reason, told) from error

    def _context(self, value: Any, parts: Any, where: str) -> tuple[str | None, tuple[str, ...]]:
        """The text that prompts show, and the passages that it came as."""
        if self.source.cells:
            # In a table a list can only be text.
            value, parts = (list_in(each) if isinstance(each, str) else each for each in (value, parts))
        if not isinstance(parts, list | tuple | None) and not absent(parts):
            told = f"'passages' must be a list of texts, this is a {kind_of(parts)}"
            raise BadRowError(where, "'passages' is no list", told)
        listed = value if isinstance(value, list | tuple) else parts or ()
        passages = tuple(filter(None, (whole(text) for text in texts_in(list(listed), "context", where))))
        if isinstance(value, list | tuple) or absent(value):
            context = "\n\n".join(passages)
        else:
            context = whole(text_in(value, "context", where) or "")
        return context or None, passages if len(passages) > 1 else ()

    def settle(self) -> None:
        """Decide the answers in doubt; then give items without an id one that their content makes."""
        first = first_number(self.answers) if self.answers.doubts else First()
        settled: dict[int, tuple[int, ...]] = {}
        refused: set[int] = set()
        for place, doubt in self.answers.doubts:
            try:
                settled[place] = self.answers.settled(doubt, first.number)
            except BadRowError as error:
                self.refuse(error)
                refused.add(place)
                continue
            if first.repaired:
                self.collector.repaired[first.repaired] += 1
        if first.warning:
            self.warnings.append(f"{self.path}: {first.warning}")
        if settled or refused or len(self.places) < len(self.items):
            self.items = Items(self._settled(settled, refused))
            self.items, renamed = _unique(self.items)
            if renamed:
                self.collector.repaired["repeated id numbered"] = renamed

    def _settled(self, settled: Mapping[int, tuple[int, ...]], refused: set[int]) -> Iterator[Item]:
        for place, item in enumerate(self.items):
            if place in refused:
                continue
            answer, known = settled.get(place), item
            if answer is not None:
                known = replace(item, answer=answer, references=item.references or chosen(item.choices, answer))
            yield known if known.id else replace(known, id=content_id(known))

    def loaded(self) -> LoadedItems:
        """All items, each with a split, with what is to be said of them; a file that names no split is one test file.

        Raises:
            InputError: where some of them name a split and others do not.
        """
        items, nameless = self.items, self.items.splits[None]
        if nameless == len(items):
            items = items.all_of("test")
        elif nameless:
            first = next(item.id for item in items if item.split is None)
            raise InputError(
                f"{self.path}: item '{first}' has no 'split' while {len(items) - nameless} others have: give all of "
                "them one"
            )
        repaired = dict(self.collector.repaired)
        for told in (*self.source.said, *self.columns.said):
            repaired[told] = len(items)
        if self.first_bad:
            count = sum(count for reason, count in self.collector.dropped.items() if reason.startswith("bad row"))
            self.warnings.append(f"rows that --skip-bad left out: {count:,}, the first: {self.first_bad}")
        dropped, warnings = dict(self.collector.dropped), tuple(self.warnings)
        return LoadedItems(items.kept, dropped, repaired, warnings, self.columns.unread)


def _places(items: Sequence[Item]) -> KeyIndex:
    """Where the items' ids are to be put: the ids themselves are read from the items."""
    return KeyIndex(lambda place: items[place].id)


def _unique(items: Items) -> tuple[Items, int]:
    """What `unique_ids` makes of the items, of which memory holds none; those of one id are looked for first."""
    taken, again = _places(items), Counter[str]()
    for place, item in enumerate(items):
        if item.id in taken:
            again[item.id] += 1
        else:
            taken.put(item.id, place)
    if not again:
        return items, 0
    unique, renamed, given, seen = Items(), 0, set[str](), Counter[str]()
    for item in items:
        seen[item.id] += item.id in again
        if seen[item.id] < 2:
            unique.append(item)
            continue
        renamed += 1
        while (name := f"{item.id}#{seen[item.id]}") in taken or name in given:
            seen[item.id] += 1
        given.add(name)
        unique.append(replace(item, id=name))
    return unique, renamed


def _fields(row: Mapping[str, Any], columns: Columns) -> dict[str, Any]:
    """The row's value for each field; a list for one that is spread over columns."""
    found: dict[str, Any] = dict.fromkeys(FIELDS)
    for name, names in columns.of.items():
        if len(names) == 1:
            found[name] = row.get(names[0])
        else:
            cells = [row.get(each) for each in names]
            found[name] = cells if name == "choices" else list(_flat(cells))
    return found


def _flat(cells: Sequence[Any]) -> Iterator[Any]:
    for cell in cells:
        value = list_in(cell) if isinstance(cell, str) else cell
        yield from value if isinstance(value, list | tuple) else [value]


def _label(fields: Mapping[str, Any], name: str, where: str) -> str | None:
    return clean(text_in(fields[name], name, where) or "") or None


def _meta(value: Any, where: str) -> dict[str, Any]:
    if absent(value):
        return {}
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError) as error:
            raise BadRowError(where, "'meta' is no JSON object") from error
    if not isinstance(value, dict):
        raise BadRowError(where, "'meta' is no object", f"'meta' must be an object, this is a {kind_of(value)}")
    try:
        # Parquet may hold dates and decimals; a round trip leaves what JSON has.
        plain = json.loads(json.dumps(value, default=str, allow_nan=False))
    except (ValueError, TypeError, RecursionError) as error:
        reason = "'meta' cannot be written as JSON"
        raise BadRowError(where, reason, f"{reason}: {error}") from error
    labels = plain.get("labels", [])
    if not (isinstance(labels, list) and all(isinstance(label, str) and label for label in labels)):
        raise BadRowError(where, "'meta.labels' is no list of texts", "'meta.labels' must be a list of texts")
    return plain


def content_id(item: Item) -> str:
    """An id for an item that has none: 16 hexadecimal digits of the SHA-256 of what it says."""
    parts = [item.question, item.context, item.references, item.choices, item.answer]
    text = json.dumps(parts, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def record_of(item: Item) -> dict[str, Any]:
    """The canonical record of an item, fields in their documented order."""
    return {
        "id": item.id,
        "question": item.question,
        "context": item.context,
        **({"passages": list(item.passages)} if item.passages else {}),
        "references": list(item.references),
        "choices": list(item.choices),
        "answer": list(item.answer) if item.answer else None,
        "source_document": item.source_document,
        "category": item.category,
        "split": item.split,
        "meta": dict(item.meta),
    }


def json_lines_of(items: Iterable[Item]) -> bytes:
    """Canonical records, a line each, UTF-8; lone surrogates stay JSON escapes."""
    lines = (json.dumps(record_of(item), ensure_ascii=False, allow_nan=False) + "\n" for item in items)
    return "".join(lines).encode("utf-8", "backslashreplace")
