"""The page of the gate's history: the file's numbers in its order, whatever the names in it are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from telbench.harness.cli.main import main
from telbench.leaderboard.site.model.board import Board
from telbench.leaderboard.site.pages import SECTIONS
from telbench.leaderboard.site.pages.history import DRAWN, history_pages
from telbench.leaderboard.site.render import render

from .boards import Markup, answers, board_of, write_run

HOSTILE = "</h2><script>alert(1)</script>\x1b\u202e"


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("checked")
    return [write_run(folder, name, answers(right)) for name, right in (("base", 20), ("same", 20), ("worse", 4))]


@pytest.fixture
def history(runs: list[Path], tmp_path: Path) -> Path:
    """Two checks: one of an equal run, one of a worse one."""
    file = tmp_path / "history.jsonl"
    for run in runs[1:]:
        words = ["check", "--baseline", str(runs[0]), "--candidate", str(run), "--margin", "token_f1=0.3"]
        main([*words, "--no-guardrails", "--history", str(file)])
    return file


def page_of(board: Board) -> Markup:
    (page,) = history_pages(board)
    menu = [(section.path, section.title) for section in SECTIONS if section.when(board)]
    assert ("history.html", "History") in menu
    return Markup(render(page, board, menu))


def test_the_page_tells_each_check_with_its_numbers_newest_first(runs: list[Path], history: Path) -> None:
    text = page_of(board_of(runs, history=history)).text
    lines = [json.loads(line)["data"]["items"] for line in history.read_text().splitlines()]
    delta = lines[1]["metrics"][0]["delta"]
    assert f"token_f1 {delta:+.3f}".replace("-", "−") in text
    assert text.index("worse ") < text.index("same ")
    assert lines[0]["date"][:10] in text
    assert "token_f1 of items, check by check" in text


def test_a_board_without_a_history_has_no_such_page(runs: list[Path]) -> None:
    board = board_of(runs)
    assert "history.html" not in [section.path for section in SECTIONS if section.when(board)]


def test_hostile_names_in_the_file_stay_text(runs: list[Path], history: Path) -> None:
    record = json.loads(history.read_text().splitlines()[0])
    told = record["data"].pop("items")
    told["candidate"] = told["baseline"] = {"name": HOSTILE, "run_id": HOSTILE}
    told["date"] = HOSTILE
    told["metrics"] = [
        {**told["metrics"][0], "metric": HOSTILE, "category": HOSTILE, "role": "category"},
        *told["metrics"],
    ]
    told["metrics"][0]["verdict"] = "FAIL"
    record["data"][HOSTILE] = told
    history.write_text(json.dumps(record) + "\n")
    page = page_of(board_of(runs, history=history))
    scripts = [attributes for name, attributes in page.elements if name == "script"]
    assert all(attributes.get("src") for attributes in scripts)
    assert "\x1b" not in page.text
    assert "\u202e" not in page.text


def test_more_checks_than_can_be_drawn_are_counted(runs: list[Path], history: Path) -> None:
    first = history.read_text().splitlines()[0]
    history.write_text(f"{first}\n" * (DRAWN + 3))
    page = page_of(board_of(runs, history=history))
    assert sum(name == "circle" for name, _ in page.elements) == DRAWN
    assert "Drawings show the last checks; 3 earlier ones are in the table alone." in page.text
    assert page.text.count("pass") >= DRAWN + 3


def test_another_history_makes_the_board_anew_and_a_damaged_one_stops_it(
    runs: list[Path], history: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["leaderboard", "build", *map(str, runs), "--out", str(tmp_path / "site"), "--history", str(history)]
    assert main(words) == 0
    first = (tmp_path / "site" / "history.html").read_bytes()
    assert main(words) == 0
    assert "nothing changed" in capsys.readouterr().out
    history.write_text(history.read_text() + history.read_text())
    assert main(words) == 0
    assert (tmp_path / "site" / "history.html").read_bytes() != first
    history.write_text("{}\n")
    assert main(words) == 2
    assert "history.jsonl, line 1 is no line of telbench check" in capsys.readouterr().err
