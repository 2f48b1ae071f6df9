"""The board's numbers are those of `telbench compare`, and runs that cannot be ranked say why."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from telbench.errors import InputError
from telbench.harness.cli.main import main
from telbench.harness.cli.terminal import Reporter
from telbench.harness.runs.folder import read_run
from telbench.leaderboard.runs.loaded import load_run
from telbench.leaderboard.site.model import board as board_module
from telbench.leaderboard.site.model.board import BoardRun, Options, make_board
from telbench.leaderboard.site.model.columns import read_columns

from ..boards import answers, board_of, write_items, write_run
from .made_columns import made_columns

RIGHT = {"good": 22, "fair": 20, "poor": 3, "middle": 12}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("board")
    return [write_run(folder, name, answers(right)) for name, right in RIGHT.items()]


def test_columns_hold_what_a_loaded_run_holds(runs: list[Path]) -> None:
    columns, loaded = read_columns(runs[0]), load_run(runs[0])
    names = list(loaded.scores)
    made = columns.loaded(names)
    assert (made.scores, made.clusters, made.categories, made.failed, made.header) == (
        loaded.scores,
        loaded.clusters,
        loaded.categories,
        loaded.failed,
        loaded.header,
    )


def test_differences_ranks_and_letters_are_those_of_compare(
    runs: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    board = board_of(runs, baseline=runs[1])
    capsys.readouterr()
    order = [run.columns.path for run in board.runs]
    assert main(["compare", *map(str, order), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    rankings = {each["metric"]: each for each in document["rankings"]}
    for table in board.tables[1:]:
        for row in table.rows:
            theirs = document["runs"][row.run]
            assert row.entry == theirs["metrics"][table.name]
            ranking = rankings[table.name]
            assert [list(row.ranks), row.letters] == [ranking["ranges"][row.run], ranking["letters"][row.run]]
            if row.run == 0:
                assert row.comparison is None
                continue
            # The board's q is over its own metrics, of which the composite is one more.
            assert row.comparison is not None
            mine = json.loads(json.dumps(row.comparison.to_dict()))
            assert {**mine, "q": None} == {**theirs["difference"][table.name], "q": None}


def test_the_composite_is_the_mean_over_families_and_items(runs: list[Path]) -> None:
    board = board_of(runs)
    table = board.tables[0]
    assert table.name == "overall"
    for row in table.rows:
        columns = board.runs[row.run].columns
        items = [
            np.mean([columns.values["exact_match"][i], columns.values["token_f1"][i], columns.values["bleu"][i] / 100])
            for i in range(len(board.items))
        ]
        assert row.entry["value"] == pytest.approx(float(np.mean(items)), abs=1e-12)


def test_the_composite_leaves_out_metrics_without_two_bounds_or_without_most_runs(
    runs: list[Path], tmp_path: Path
) -> None:
    write_items(tmp_path)
    more = [write_run(tmp_path, "more", answers(9), "exact_match,token_f1,bleu,ter,rouge1")]
    board = board_of([*runs[:2], *more])
    assert board.left_out == ("ter (no two bounds)", "rouge1 (ranks half of the runs or fewer)")
    assert len(board.tables[0].rows) == 3
    assert [each.reason for each in board.table("rouge1").apart] == ["not computed"] * 2


def test_two_runs_are_separated_by_their_one_comparison(runs: list[Path]) -> None:
    board = board_of([runs[2], runs[0]])
    table = board.table("token_f1")
    assert [(board.runs[row.run].name, row.ranks, row.letters) for row in table.rows] == [
        ("good", (1, 1), "a"),
        ("poor", (2, 2), "b"),
    ]
    assert board.baseline.name == "poor"


def test_runs_that_the_data_cannot_tell_apart_share_ranks(runs: list[Path]) -> None:
    board = board_of(runs[:2])
    assert [row.ranks for row in board.table("token_f1").rows] == [(1, 2), (1, 2)]


def test_a_run_with_unanswered_items_is_unranked_with_the_reason_unless_allowed(
    runs: list[Path], tmp_path: Path
) -> None:
    write_items(tmp_path)
    holed = write_run(tmp_path, "holed", [None, *answers(20)[1:]])
    board = board_of([*runs, holed])
    table = board.table("token_f1")
    assert [each.reason for each in table.apart] == ["incomplete: 1 items without a score (1 generation failed)"]
    assert "holed" not in {board.runs[row.run].name for row in table.rows}
    allowed = board_of([*runs, holed], allow_incomplete=True).table("token_f1")
    assert len(allowed.rows) == 5
    assert {row.entry["n_missing"] for row in allowed.rows} == {0, 1}


def test_a_run_on_other_items_is_apart_and_the_others_are_ranked(runs: list[Path], tmp_path: Path) -> None:
    write_items(tmp_path, 10)
    other = write_run(tmp_path, "other", answers(5, 10))
    board = board_of([other, *runs])
    assert [(each.name, each.reason.partition(" (")[0]) for each in board.apart] == [
        ("other", "measured differently: other items")
    ]
    assert len(board.runs) == 4


def test_an_unfinished_run_is_apart(runs: list[Path], tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    begun.mkdir()
    (begun / "run.partial.json").write_text("{}")
    board = board_of([*runs, begun])
    assert [each.reason for each in board.apart] == ["not finished: its command, run again, finishes it"]


def test_a_metric_that_one_run_computed_differently_leaves_it_unranked_there_only(
    runs: list[Path], tmp_path: Path
) -> None:
    write_items(tmp_path)
    odd = write_run(tmp_path, "odd", answers(8))
    header = read_run(odd)
    header["metrics"]["bleu"]["signature"] = "bleu|tok:none|v1"
    (odd / "run.json").write_text(json.dumps(header))
    board = board_of([*runs, odd])
    assert [each.reason for each in board.table("bleu").apart] == ["computed differently (bleu|tok:none|v1)"]
    overall = board.table("overall")
    assert overall.apart == ()
    (partly,) = overall.partly
    assert (board.runs[partly.run].name, partly.lacking) == ("odd", ("bleu",))
    assert partly.shared == ("exact_match", "token_f1")
    assert len(board.table("token_f1").rows) == 5


def test_a_metric_that_the_baseline_lacks_costs_nobody_the_comparison(tmp_path: Path) -> None:
    write_items(tmp_path)
    production = write_run(tmp_path, "production", answers(8))
    others = [write_run(tmp_path, f"c{i}", answers(9 + i), "exact_match,token_f1,bleu,rouge1") for i in range(3)]
    lacking = write_run(tmp_path, "lacking", answers(24), "exact_match,token_f1")
    board = board_of([*others, production, lacking], baseline=production)
    overall = board.tables[0]
    assert board.left_out == ("rouge1 (production, the baseline, lacks it)",)
    assert [board.runs[row.run].name for row in overall.rows] == ["c2", "c1", "c0", "production"]
    assert [row.comparison is not None for row in overall.rows] == [True, True, True, False]
    (partly,) = overall.partly
    assert (board.runs[partly.run].name, partly.lacking, partly.shared) == (
        "lacking", ("bleu",), ("exact_match", "token_f1"),
    )  # fmt: skip
    # Over exact match and F1 alone, as if nothing else had been measured.
    (alone,) = board_of([production, lacking], baseline=production).tables[0].rows[:1]
    assert alone.comparison is not None
    assert partly.comparison.delta == pytest.approx(alone.comparison.delta)
    # It is one of four in the family of the overall score.
    assert partly.comparison.p_verdict == pytest.approx(4 * alone.comparison.p)
    assert partly.comparison.verdict == "better"


def test_without_a_baseline_the_first_run_that_can_be_ranked_is_taken(tmp_path: Path) -> None:
    write_items(tmp_path)
    paths = [write_run(tmp_path, "a-holed", [None, *answers(20)[1:]])]
    paths += [write_run(tmp_path, f"b{i}", answers(8 + i)) for i in range(3)]
    board = board_of(paths)
    assert board.baseline.name == "b0"
    assert {row.comparison is None for row in board.tables[0].rows if row.run} == {False}


def test_several_processes_find_what_one_finds(runs: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    one = board_of(runs)
    monkeypatch.setattr(board_module, "_WORTH_A_PROCESS", 0)
    two = make_board(runs, Options(), Reporter(), processes=2)
    assert (one.processes, two.processes) == (1, 2)
    assert two.tables == one.tables
    assert [run.columns.kinds for run in two.runs] == [run.columns.kinds for run in one.runs]
    assert list(two.each_of(len, [[1], [1, 2]])) == [1, 2]


def test_a_metric_without_a_value_is_no_rank(runs: list[Path], tmp_path: Path) -> None:
    write_items(tmp_path)
    empty = write_run(tmp_path, "empty", answers(8))
    header = read_run(empty)
    header["metrics"]["bleu"].update(value=None, ci_low=None, ci_high=None, ci_method=None)
    (empty / "run.json").write_text(json.dumps(header))
    assert [each.reason for each in board_of([*runs, empty]).table("bleu").apart] == ["no value: no score"]


def test_one_run_alone_makes_a_board(runs: list[Path], tmp_path: Path) -> None:
    assert main(["leaderboard", "build", str(runs[0]), "--out", str(tmp_path / "site")]) == 0
    assert not (tmp_path / "site" / "ranks.html").exists()
    assert [row.ranks for row in board_of(runs[:1]).tables[0].rows] == [(1, 1)]


def test_a_folder_of_runs_is_taken_run_by_run(runs: list[Path]) -> None:
    assert {run.name for run in board_of([runs[0].parent]).runs} == set(RIGHT)


def test_the_order_in_which_runs_are_named_changes_nothing_but_the_default_baseline(runs: list[Path]) -> None:
    one, other = board_of(runs, baseline=runs[0]), board_of(runs[::-1], baseline=runs[0])
    assert one.tables == other.tables
    assert one.digest == other.digest


def test_bad_input_is_told(runs: list[Path], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no run folder and holds none"):
        board_of([*runs, tmp_path])
    with pytest.raises(InputError, match="named twice"):
        board_of([*runs, runs[0]])
    shutil.copytree(runs[0], tmp_path / "copy")
    with pytest.raises(InputError, match="is a copy of"):
        board_of([*runs, tmp_path / "copy"])
    with pytest.raises(InputError, match="none of the finished runs"):
        board_of(runs, baseline=tmp_path)


@pytest.mark.parametrize(
    ("generated", "seconds", "tokens", "speed"),
    [(120, 40.0, 2000, 50.0), (119, 40.0, 2000, None), (None, 40.0, 2000, None), (120, 0.0, 2000, None)],
)
def test_speed_is_told_of_runs_that_generated_every_answer(
    generated: int | None, seconds: float, tokens: int, speed: float | None
) -> None:
    header = {("generation", "generated"): generated, ("model", "parameters"): 7}
    columns = made_columns("run", {"token_f1": [0.5] * 120}, header=header)
    columns.header.update(seconds={"generate": seconds}, tokens={"completion": tokens})
    run = BoardRun("run", "run", "run", {}, columns)
    assert (run.speed, run.parameters) == (speed, 7)
