"""What metrics are worth on the data: a table of the method page, and a warning above tables of blind metrics."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from telbench.harness.cli.main import main
from telbench.leaderboard.site.model.board import Board
from telbench.leaderboard.site.pages.index import index_pages
from telbench.leaderboard.site.pages.method import method_pages
from telbench.leaderboard.site.render import render

from .boards import Markup, answers, board_of, write_run

TOLD = "token_f1 is blind to facts on these items: it puts a right text above one with one wrong fact in 50 of 100"


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("measured")
    return [write_run(folder, name, answers(right)) for name, right in (("base", 20), ("worse", 4))]


@pytest.fixture(scope="module")
def worth(runs: list[Path]) -> Path:
    data = runs[0].parents[1] / "items.jsonl"
    # With one reference an item, right texts are those by rule: it is the name that is spelt out.
    text = data.read_text().replace("handles case", "selects, in case").replace("What does the", "What is the")
    data = data.with_name("two.jsonl")
    data.write_text(text)
    file = data.with_name("worth.json")
    assert main(["metrics", "worth", "--data", str(data), "--split", "all", "--out", str(file)]) == 0
    record = json.loads(file.read_text())
    record["data"]["name"] = "items"
    for metric, measured in record["metrics"].items():
        measured["near_miss_auc"] = 0.5 if metric == "token_f1" else 0.9
    file.write_text(json.dumps(record))
    return file


def text_of(board: Board, page_name: str) -> str:
    pages = {page.path: page for page in (*index_pages(board), *method_pages(board))}
    return Markup(render(pages[page_name], board, [])).text


def test_the_method_page_has_the_table_and_the_first_page_the_warning(runs: list[Path], worth: Path) -> None:
    board = board_of(runs, worth=worth)
    method = text_of(board, "method.html")
    assert "What the metrics can see" in method
    assert "fact_agreement" in method
    assert "Metrics of one voice" in method
    assert TOLD in text_of(board, "index.html")


def test_a_board_without_it_says_nothing_of_it(runs: list[Path]) -> None:
    board = board_of(runs)
    assert "What the metrics can see" not in text_of(board, "method.html")
    assert "blind to facts on these items" not in text_of(board, "index.html")


def test_other_numbers_make_another_board(runs: list[Path], worth: Path) -> None:
    assert board_of(runs, worth=worth).digest != board_of(runs).digest


def test_compare_warns_above_its_table(runs: list[Path], worth: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = [str(run) for run in runs]
    assert main(["compare", *names, "--worth", str(worth)]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert f"WARNING: {TOLD}" in said
    assert main(["compare", *names, "--worth", str(worth), "--json"]) == 0
    assert any(TOLD in line for line in json.loads(capsys.readouterr().out)["warnings"])
    assert main(["compare", *names]) == 0
    assert "blind to facts" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda record: record["data"].update(name="other"), "measured on other, and the runs are of items"),
        (lambda record: record.update(kind="run"), "this is no record of the worth of metrics"),
        (lambda record: record["metrics"]["bleu"].update(near_miss_auc=3), "the record is damaged"),
        (lambda record: record.update(metrics=[]), "the record is damaged"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_in_a_line(
    runs: list[Path], worth: Path, tmp_path: Path, change, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    record = json.loads(worth.read_text())
    change(record)
    (tmp_path / "bad.json").write_text(json.dumps(record))
    assert main(["compare", *map(str, runs), "--worth", str(tmp_path / "bad.json")]) == 2
    error = capsys.readouterr().err
    assert told in error
    assert len(error.strip().splitlines()) == 1


def test_another_form_of_a_metric_is_not_held_for_the_same(runs: list[Path], worth: Path, tmp_path: Path) -> None:
    record = json.loads(worth.read_text())
    record["metrics"]["token_f1"]["signature"] = "token_f1|norm:other|v9"
    (tmp_path / "other.json").write_text(json.dumps(record))
    assert TOLD not in text_of(board_of(runs, worth=tmp_path / "other.json"), "index.html")
