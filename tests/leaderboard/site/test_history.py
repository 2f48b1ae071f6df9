"""The history: runs of several dates, and the gate's file in its order, whatever the names in it are."""

from __future__ import annotations

import json
import shutil
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from telbench.harness.cli.main import main
from telbench.leaderboard.site.charts.drawing import interval_text, signed
from telbench.leaderboard.site.model.board import Board
from telbench.leaderboard.site.pages import SECTIONS
from telbench.leaderboard.site.pages.history import DRAWN, history_count, history_pages, several_dates
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
    menu = [section.entry(board) for section in SECTIONS if section.when(board)]
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


@pytest.fixture
def dated(runs: list[Path], tmp_path: Path) -> list[Path]:
    """The same runs as if made in three months; the worse one in between."""
    made = []
    for run, day in zip(runs, ("2026-01-05", "2026-03-05", "2026-02-05"), strict=True):
        made.append(Path(shutil.copytree(run, tmp_path / "dated" / run.name)))
        header = json.loads((made[-1] / "run.json").read_text())
        (made[-1] / "run.json").write_text(json.dumps({**header, "created": f"{day}T12:00:00+00:00"}))
    return made


def test_runs_of_several_dates_draw_each_metric_from_day_to_day(dated: list[Path], history: Path) -> None:
    board = board_of(dated, history=history, baseline=dated[0])
    pages = list(history_pages(board))
    assert len(pages) == history_count(board) == len(board.tables)
    assert len({page.title for page in pages}) == len(pages)
    for table, page in zip(board.tables, pages, strict=True):
        course = page.context["course"]
        assert course.table is table
        assert [each.day for each in course.rows] == ["2026-03-05", "2026-02-05", "2026-01-05"]
        drawing = ET.fromstring(course.drawn)
        told = ["".join(each.itertext()) for each in drawing.iter("{http://www.w3.org/2000/svg}title")][1:]
        for words, each in zip(told, reversed(course.rows), strict=True):
            assert words.startswith(f"{each.day} {each.run.name}: ")
            if each.row.comparison is not None:
                low, high = each.row.comparison.ci_verdict or (None, None)
                assert f"{signed(each.row.comparison.delta)} {interval_text(low, high)}" in words


def test_the_gates_verdict_stands_at_the_runs_it_was_asked_of(dated: list[Path], history: Path) -> None:
    board = board_of(dated, history=history, baseline=dated[0])
    (page,) = [page for page in history_pages(board) if page.context["course"].table.name == "token_f1"]
    # The anchor has the answers, and so the id, of the run that passed.
    assert [each.gate for each in page.context["course"].rows] == ["pass", "fail", "pass"]
    told = json.loads(history.read_text().splitlines()[1])["data"]["items"]
    assert told["candidate"]["run_id"] == page.context["course"].rows[1].run.header["run_id"]


def test_runs_of_one_day_or_of_none_have_no_course(dated: list[Path]) -> None:
    for run in dated:
        header = json.loads((run / "run.json").read_text())
        (run / "run.json").write_text(json.dumps({**header, "created": "yesterday"}))
    assert not several_dates(board_of(dated))


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
