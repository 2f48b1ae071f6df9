"""The files of the list of items: what a browser unpacks is what the runs say, and words lead to their items."""

from __future__ import annotations

import base64
import gzip
import json
import re
from pathlib import Path
from typing import Any

import pytest

from telbench.harness.runs.folder import read_samples
from telbench.leaderboard.site.answers.words import bucket, words_of
from telbench.leaderboard.site.model import items as items_module
from telbench.leaderboard.site.model.board import Board
from telbench.leaderboard.site.page import File
from telbench.leaderboard.site.pages.item import item_count, item_pages

from ..boards import answers, board_of, write_run


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Board:
    folder = tmp_path_factory.mktemp("found")
    given = answers(20)
    given[3] = "Ünïcode 基站 at 3.5 GHz <b>"
    runs = [write_run(folder, name, texts) for name, texts in (("base", answers(20)), ("new", given))]
    return board_of(runs)


def unpacked(file: File) -> tuple[str, dict[str, Any]]:
    match = re.fullmatch(rb'telbenchItems\("([\w-]+)","([A-Za-z0-9+/=]+)"\);\n', file.content)
    assert match is not None
    return match[1].decode(), json.loads(gzip.decompress(base64.b64decode(match[2])))


def files_of(board: Board) -> dict[str, dict[str, Any]]:
    files = [page for page in item_pages(board) if isinstance(page, File) and page.path.startswith("data/items/")]
    found = dict(unpacked(file) for file in files)
    assert all(file.path == f"data/items/{name}.js" for file, name in zip(files, found, strict=True))
    return found


def places(files: dict[str, dict[str, Any]], word: str, where: str) -> list[int]:
    held = files[f"words-{bucket(word, files['list']['bucket'])}"]
    found, at = [], -1
    for step in held[where][held["words"].index(word)] if word in held["words"] else []:
        at += step
        found.append(at)
    return found


def test_every_word_leads_to_just_the_items_that_have_it(board: Board) -> None:
    files = files_of(board)
    samples = [list(read_samples(run.columns.path)) for run in board.runs]
    asked = [words_of("\n".join((one["item_id"], one["question"], *one["references"]))) for one in samples[0]]
    answered = [set().union(*(words_of(each["prediction"]) for each in given)) for given in zip(*samples, strict=True)]
    for where, expected in (("asked", asked), ("answered", answered)):
        for word in set().union(*expected):
            assert places(files, word, where) == [at for at, words in enumerate(expected) if word in words], word
    assert places(files, "ünïcode", "answered") == places(files, "站", "answered") == [3]
    assert places(files, "ünïcode", "asked") == []


def test_the_list_has_each_item_and_each_systems_answers_in_the_order_of_the_data(board: Board) -> None:
    files = files_of(board)
    known = files["list"]
    assert ["i-" + key for key in known["key"]] == [items_module.item_key(item) for item in board.items]
    assert known["question"][0] == next(iter(board.baseline.columns.samples([0])))["question"]
    for place, run in enumerate(board.runs):
        held = files[known["runs"][place]["file"]]
        kinds = [known["kinds"][ord(letter) - ord("a")] for letter in held["kinds"]]
        assert kinds == [run.columns.kind(at) for at in range(len(board.items))]
        values = run.columns.values[board.tables[0].name]
        for shown, value in zip(held["scores"], values, strict=True):
            assert float(shown.replace("−", "-")) == pytest.approx(value, abs=0.006)
    assert known["right"] == [
        sum(run.columns.kind(at) == "right" for run in board.runs) for at in range(len(board.items))
    ]


def test_a_large_board_spreads_its_words_over_more_files(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    small = files_of(board)
    monkeypatch.setattr(items_module, "WHOLE_UP_TO", 10)
    large = files_of(board)
    assert (small["list"]["bucket"], large["list"]["bucket"]) == (1, 2)
    assert (small["list"]["group"], large["list"]["group"]) == (1, items_module.GROUP)
    assert "words-r" in small
    assert {"words-ro", "words-pa"} <= set(large)
    assert places(large, "routes", "answered") == places(small, "routes", "answered") != []


def test_without_texts_nothing_but_ids_can_be_searched(board: Board, tmp_path: Path) -> None:
    files = files_of(board_of([run.columns.path for run in board.runs], items="ids"))
    words = {word for name, held in files.items() if name.startswith("words-") for word in held["words"]}
    assert words == {"item", *(f"i{place}" for place in range(len(board.items)))}
    assert all(not each for name, held in files.items() if name.startswith("words-") for each in held["answered"])
    assert all(question.startswith("Item i") for question in files["list"]["question"])


def test_pages_are_counted_without_the_files(board: Board) -> None:
    assert item_count(board) == sum(not isinstance(page, File) for page in item_pages(board))
