"""The tables as CSV and JSON hold the numbers of the board, each under its own name."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from telbench.leaderboard.site.model.board import Board
from telbench.leaderboard.site.model.data_files import data_files, data_path

from ..boards import answers, board_of, write_run


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Board:
    folder = tmp_path_factory.mktemp("tables")
    given = {"base": 12, "good": 22, "fair": 14, "poor": 2}
    runs: list[Path] = [write_run(folder, name, answers(right), "token_f1,ter,bleu") for name, right in given.items()]
    return board_of(runs, baseline=runs[0])


@pytest.mark.parametrize("title", ["overall", "token_f1", "ter", "bleu"])
def test_a_row_says_of_a_run_what_the_table_says(board: Board, title: str) -> None:
    table, files = board.table(title), dict(data_files(board))
    document = json.loads(files[f"{data_path(table)}.json"])
    rows = document["rows"]
    assert [row["run"] for row in rows] == [board.runs[each.run].name for each in table.rows]
    for row, each in zip(rows, table.rows, strict=True):
        entry, run = each.entry, board.runs[each.run]
        assert [row["rank_low"], row["rank_high"], row["group"]] == [*each.ranks, each.letters]
        assert [row["value"], row["ci_low"], row["ci_high"]] == [entry["value"], entry["ci_low"], entry["ci_high"]]
        assert (row["n"], row["n_missing"], row["run_id"]) == (entry["n"], 0, run.header["run_id"])
        if each.comparison is None:
            assert (row["verdict"], row["delta"], row["p_adjusted"]) == ("baseline", None, None)
            continue
        assert each.comparison.ci_verdict is not None
        assert (row["delta_ci_low"], row["delta_ci_high"]) == each.comparison.ci_verdict
        assert row["delta_ci_low"] < row["delta"] < row["delta_ci_high"]
        assert (row["delta"], row["verdict"]) == (each.comparison.delta, each.comparison.verdict)
        assert row["p_adjusted"] == each.comparison.p_adjusted
        assert document["differences"][row["run"]]["p"] == each.comparison.p
    # Three runs are held against the baseline.
    assert rows[0]["p_adjusted"] > document["differences"]["good"]["p"]
    best = [row["rank_low"] for row in rows]
    assert (best[0], rows[0]["run"]) == (1, "good")
    assert best == sorted(best)


@pytest.mark.parametrize("title", ["token_f1", "ter"])
def test_the_csv_holds_the_same_rows_as_the_json(board: Board, title: str) -> None:
    table, files = board.table(title), dict(data_files(board))
    rows = json.loads(files[f"{data_path(table)}.json"])["rows"]
    read = list(csv.DictReader(io.StringIO(files[f"{data_path(table)}.csv"].decode("utf-8-sig"))))
    assert read == [{name: "" if value is None else str(value) for name, value in row.items()} for row in rows]
