"""All items of a board in files that a page from file:// can read: what the list shows, each system's answers, words.

A file is a script that hands over compressed JSON, in characters that mean nothing: a page from a file:// address may
load a script beside it, and nothing else. ``data/items/list.js`` has the rows, ``data/items/SLUG.js`` what a system's
answers are and what they score, ``data/items/words-XX.js`` in which items the words with this beginning stand.
"""

from __future__ import annotations

import base64
import gzip
import json
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from ..formats import scores, text
from ..model.board import Board, BoardRun
from ..model.columns import ANSWERS
from ..model.items import GROUP, BoardItem, grouped, item_key
from ..page import File
from .words import bucket, words_of

FOLDER = "data/items"
# Characters of a question in the list.
QUESTION = 160


@dataclass(frozen=True)
class ItemWords:
    """The words of an item's question and references, and of all answers to it; each as one line, in order."""

    asked: str
    answered: str


@dataclass
class WordIndex:
    """In which items each word stands, in what is asked and in the answers."""

    asked: dict[str, array[int]] = field(default_factory=dict)
    answered: dict[str, array[int]] = field(default_factory=dict)

    def add(self, place: int, words: ItemWords) -> None:
        """Enter an item; items come in order."""
        for line, places in ((words.asked, self.asked), (words.answered, self.answered)):
            for word in line.split():
                known = places.get(word)
                if known is None:
                    known = places[word] = array("l")
                known.append(place)

    def files(self, length: int) -> Iterator[File]:
        """The words by their first ``length`` letters: for each, the items as differences from one to the next."""
        buckets: dict[str, list[str]] = {}
        for word in sorted({*self.asked, *self.answered}):
            buckets.setdefault(bucket(word, length), []).append(word)
        for name, words in buckets.items():
            document = {
                "words": words,
                "asked": [_steps(self.asked.get(word, ())) for word in words],
                "answered": [_steps(self.answered.get(word, ())) for word in words],
            }
            yield shard_file(f"words-{name}", document)


def item_words(item: BoardItem, *, texts: bool) -> ItemWords:
    """What an item can be found by; without ``texts`` its id alone."""
    asked = words_of("\n".join((item.item_id, item.question, *item.references, *item.choices)))
    answered = words_of("\n".join(each.words for each in item.answers)) if texts else set()
    return ItemWords(" ".join(sorted(asked)), " ".join(sorted(answered)))


def list_file(board: Board, items: Sequence[Mapping[str, Any]]) -> File:
    """The rows of the list, column by column.

    ``items`` have question, category, right (how many systems), and mean, spread and baseline as they are shown.
    """
    categories = sorted({each["category"] for each in items if each["category"] is not None})
    places = {name: place for place, name in enumerate(categories)}
    document = {
        "group": GROUP if grouped(board) else 1,
        "bucket": bucket_length(board),
        "runs": [{"name": text(run.short, 80), "file": _run_file(run)} for run in board.runs],
        "kinds": list(ANSWERS),
        "categories": [text(name, 60) for name in categories],
        "key": [item_key(item)[2:] for item in board.items],
        "category": [places.get(each["category"], -1) for each in items],
        **{name: [each[name] for each in items] for name in ("question", "right", "mean", "spread", "baseline")},
    }
    return shard_file("list", document)


def run_files(board: Board) -> Iterator[File]:
    """What each system's answers are, a letter an item, and what they score in the first table."""
    table = board.tables[0]
    entry = table.rows[0].entry
    for run in board.runs:
        column = run.columns.values.get(table.name)
        shown = [] if column is None else scores(column.tolist(), entry)
        document = {
            "kinds": "".join(chr(ord("a") + kind) for kind in run.columns.kinds),
            "scores": [None if each == "N/A" else each for each in shown],
        }
        yield shard_file(_run_file(run), document)


def bucket_length(board: Board) -> int:
    """By how many letters words are spread over files: a large board's are too many for one."""
    return 2 if grouped(board) else 1


def shard_file(name: str, document: Mapping[str, Any]) -> File:
    """The script that hands a document over under its name."""
    packed = gzip.compress(json.dumps(document, separators=(",", ":")).encode("ascii"), 6, mtime=0)
    content = f'telbenchItems("{name}","'.encode() + base64.b64encode(packed) + b'");\n'
    return File(f"{FOLDER}/{name}.js", content)


def _run_file(run: BoardRun) -> str:
    return f"run-{run.slug}"


def _steps(places: Iterable[int]) -> list[int]:
    return [later - earlier for earlier, later in pairwise((-1, *places))]
