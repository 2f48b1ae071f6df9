"""What each run adds to the files of items: its answers, its words, its scores; from the store where it did not change.

A run's part depends on its own files, on the order of the items, and on how scores are written. It knows of no other
run, so that a changed run changes nothing but its own part.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence
from functools import partial
from typing import Any

from ....harness.cli.tables import digits_of
from ....harness.runs.folder import JUDGEMENTS
from ....metrics.fingerprints import file_sha256, fingerprint
from ..formats import scores, text
from ..model.board import Board, BoardRun
from ..model.items import LONGEST_ANSWER, Judgements, groups_of, judged_places, told_verdict
from ..model.standings import MetricTable
from ..store import Kept, Part, digest_of
from .packed import compact, packed, piece
from .words import Words, words_in

_KIND = "answers"
# After the pieces of the groups of items.
VALUES, KINDS = -2, -1


def run_parts(board: Board) -> list[Kept]:
    """The part of each run, in order: pieces by group of items, then its values and its kinds of answers.

    They are made in as many processes as the board.
    """
    judged = judged_places(board)
    keys = [run_key(board, place) for place in range(len(board.runs))]
    store = board.store
    found = [store.get(_KIND, *key, hold=True) for key in keys]
    missing = [place for place, each in enumerate(found) if each is None]
    for place, _ in zip(missing, board.each_of(partial(_made, board, judged, keys), missing), strict=True):
        found[place] = store.get(_KIND, *keys[place], hold=True)
    return [
        each if each is not None else store.kept(_part(board, board.runs[place], place in judged), _KIND, *keys[place])
        for place, each in enumerate(found)
    ]


def run_words(part: Kept) -> Words:
    """The words of a run's answers."""
    return Words(part.told["words"], part.arrays["starts"], part.arrays["places"])


def _made(board: Board, judged: frozenset[int], keys: Sequence[list[Any]], place: int) -> None:
    board.store.put(_part(board, board.runs[place], place in judged), _KIND, *keys[place])


def run_key(board: Board, place: int) -> list[Any]:
    """What the part of a run is made of."""
    judged, columns = place in judged_places(board), board.runs[place].columns
    values = [column for table in board.tables if (column := columns.values.get(table.name)) is not None]
    judgements = columns.path / JUDGEMENTS
    written = [[table.name, table.name in columns.values, _digits(table)] for table in board.tables]
    return [
        columns.samples_sha256,
        file_sha256(judgements) if judged else None,
        board.shown,
        columns.answers,
        fingerprint([columns.items, columns.clusters, columns.categories]),
        digest_of(*values, told=columns.kinds.hex()),
        written,
        [len(group) for group in groups_of(len(columns.items))],
    ]


def _digits(table: MetricTable) -> int:
    entry = table.rows[0].entry
    spread = None if entry.get("ci_low") is None else entry["ci_high"] - entry["ci_low"]
    return digits_of(entry["range"][1], spread)


def _part(board: Board, run: BoardRun, judged: bool) -> Part:
    import numpy as np

    columns = run.columns
    written = [_written(board, run, table) for table in board.tables]
    judgements = Judgements(columns.path) if judged else None
    answers: list[Any] = []
    texts: list[str] = []
    for place, (sample, shown) in enumerate(zip(columns.samples(), zip(*written, strict=True), strict=True)):
        told = f"no answer: {sample['error']}" if sample["status"] == "error" else sample["prediction"]
        words = text(told, LONGEST_ANSWER)
        verdicts = judgements.verdicts(sample) if judgements is not None else ()
        trace = text(sample["reasoning"], LONGEST_ANSWER) if sample.get("reasoning") else ""
        answers.append([words, columns.kind(place), shown, [told_verdict(each) for each in verdicts], trace])
        texts.append(words)
    groups = groups_of(len(answers))
    pieces = [piece(b"," + compact(answers[group.start : group.stop])) for group in groups]
    found = words_in(texts if board.shown == "all" else ())
    values = [columns.values.get(table.name) for table in board.tables]
    first = written[0] if board.tables[0].name in columns.values else []
    kinds = {
        "kinds": "".join(chr(ord("a") + kind) for kind in columns.kinds),
        "scores": [None if each == "N/A" else each for each in first],
    }
    pieces += [packed([None if each is None else _floats(each) for each in values]), packed(kinds)]
    return Part(
        {"words": list(found.words)},
        {"starts": np.asarray(found.starts), "places": np.asarray(found.places)},
        pieces,
    )


def _written(board: Board, run: BoardRun, table: MetricTable) -> list[str]:
    column = run.columns.values.get(table.name)
    values = [math.nan] * len(board.items) if column is None else column.tolist()
    return scores(values, table.rows[0].entry)


def _floats(column: Any) -> str:
    """Scores item by item as 32-bit floats, little-endian, in base64."""
    import numpy as np

    return base64.b64encode(column.astype(np.dtype("<f4")).tobytes()).decode("ascii")
