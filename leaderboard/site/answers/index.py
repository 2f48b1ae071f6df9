"""The files of items that a page from file:// can read: what the list shows, each system's answers, words.

A file is a script that hands over compressed JSON, in characters that mean nothing (`packed`). ``data/items/list.js``
has the rows, ``data/items/SLUG.js`` what a system's answers are and what they score, ``data/items/words-XX.js`` in
which items the words with this beginning stand. ``data/answers/gNNNN.js`` has all answers to fifty items.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ....metrics.fingerprints import fingerprint
from ..formats import text
from ..model.board import Board, BoardRun
from ..model.columns import ANSWERS
from ..model.items import GROUP, LONGEST_ANSWER, answers_path, grouped, groups_of, item_key
from ..page import File
from ..store import Kept, Part
from .by_run import KINDS, run_words
from .packed import compact, joined, packed, piece
from .words import Words, bucket, merged, words_in

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FOLDER = "data/items"
# Characters of a question in the list.
QUESTION = 160


def asked_part(board: Board) -> Kept:
    """What is asked, as the baseline's file has it, from the store where it is the same.

    There is a piece for each file of answers. Questions are as rows of the list have them. Words are those of both.
    """
    columns, store = board.baseline.columns, board.store
    groups = groups_of(len(board.items))
    lists = fingerprint([columns.items, columns.clusters, columns.categories])
    key = [columns.samples_sha256, lists, board.shown, [len(group) for group in groups]]
    found = store.get("asked", *key, hold=True)
    if found is not None:
        return found
    asked, texts, questions = [], [], []
    for sample in columns.samples():
        question, references = sample["question"], sample["references"]
        shown = [text(each, LONGEST_ANSWER) for each in references]
        asked.append((item_key(sample["item_id"]), [text(question, LONGEST_ANSWER), shown]))
        questions.append(text(question, QUESTION))
        texts.append("\n".join((sample["item_id"], question, *references, *sample.get("choices", ()))))
    words = words_in(texts)
    pieces = [
        piece(b'"asked":' + compact(dict(asked[group.start : group.stop])) + b',"answers":[0') for group in groups
    ]
    part = Part(
        {"questions": questions, "words": list(words.words)}, {"starts": words.starts, "places": words.places}, pieces
    )
    return store.kept(part, "asked", *key)


def answer_files(board: Board, asked: Kept, parts: Sequence[Kept]) -> Iterator[File]:
    """All answers, a file for fifty items: what is asked, each run's answers in order, and which of them are best.

    The document is that of `piece`s in order. ``answers`` begins with a 0, so that each run's begin with a comma.
    """
    runs = [{"name": text(run.name, 80), "page": f"../runs/{run.slug}.html"} for run in board.runs]
    order = _best_first(board)
    for number, group in enumerate(groups_of(len(board.items))):
        head = compact({"runs": runs, "order": order[group.start : group.stop].tolist()})[:-1] + b","
        held = [each.pieces[number] for each in (asked, *parts) if each.pieces is not None]
        content = b'telbenchAnswers("' + joined([piece(head), *held], b"]}") + b'");\n'
        yield File(answers_path(group.start), content)


def _best_first(board: Board) -> NDArray[np.intp]:
    """For each item the runs by their score in the first table, shape (items, runs), those without one last."""
    import numpy as np

    table = board.tables[0]
    sign = 1.0 if table.metric.higher_is_better else -1.0
    lacking = np.full(len(board.items), np.nan)
    values = np.array([sign * run.columns.values.get(table.name, lacking) for run in board.runs]).T
    return np.argsort(np.where(np.isnan(values), np.inf, -values), axis=1, kind="stable")


def word_files(board: Board, asked: Kept, parts: Sequence[Kept]) -> Iterator[File]:
    """The words by their first letters: for each, the items as differences from one to the next."""
    count = len(board.items)
    length = bucket_length(board)
    buckets: dict[str, list[tuple[str, list[int], list[int]]]] = {}
    questions = Words(asked.told["words"], asked.arrays["starts"], asked.arrays["places"])
    answered = merged([run_words(part) for part in parts], count)
    for word, here, there in _side_by_side(merged([questions], count), answered):
        buckets.setdefault(bucket(word, length), []).append((word, here, there))
    for name, rows in buckets.items():
        words, here, there = zip(*rows, strict=True)
        yield shard_file(f"words-{name}", {"words": words, "asked": here, "answered": there})


def _side_by_side(
    one: Iterator[tuple[str, NDArray[np.int32]]], other: Iterator[tuple[str, NDArray[np.int32]]]
) -> Iterator[tuple[str, list[int], list[int]]]:
    """Words in order with their steps in both."""
    first, second = next(one, None), next(other, None)
    while first is not None or second is not None:
        word = min(each[0] for each in (first, second) if each is not None)
        steps: list[list[int]] = [[], []]
        if first is not None and first[0] == word:
            steps[0], first = _steps(first[1]), next(one, None)
        if second is not None and second[0] == word:
            steps[1], second = _steps(second[1]), next(other, None)
        yield word, steps[0], steps[1]


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


def run_files(board: Board, parts: Sequence[Kept]) -> Iterator[File]:
    """What each system's answers are, a letter an item, and what they score in the first table."""
    for run, part in zip(board.runs, parts, strict=True):
        if part.pieces is not None:
            yield _file(_run_file(run), part.pieces[KINDS])


def bucket_length(board: Board) -> int:
    """By how many letters words are spread over files: a large board's are too many for one."""
    return 2 if grouped(board) else 1


def shard_file(name: str, document: Mapping[str, Any]) -> File:
    """The script that hands a document over under its name."""
    return _file(name, packed(document))


def _file(name: str, content: bytes) -> File:
    return File(f"{FOLDER}/{name}.js", f'telbenchItems("{name}","'.encode() + content + b'");\n')


def _run_file(run: BoardRun) -> str:
    return f"run-{run.slug}"


def _steps(places: NDArray[np.int32]) -> list[int]:
    steps = places.copy()
    steps[0] += 1
    steps[1:] -= places[:-1]
    return steps.tolist()
