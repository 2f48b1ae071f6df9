"""Any two runs: what is told of them is what ranks and rows rest on."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from telbench.harness.cli.main import main
from telbench.leaderboard.compare.pairwise import compare_runs
from telbench.leaderboard.compare.ranking import rank_runs
from telbench.leaderboard.runs.loaded import load_run
from telbench.leaderboard.site.views import pairs
from telbench.leaderboard.site.views.pairs import run_pairs, turned
from telbench.leaderboard.statistics.all_pairs import exact_ends, near_ends
from telbench.leaderboard.statistics.sign_flip import two_sided

from ..boards import answers, board_of, write_items, write_run
from ..contradictions import contradictions

COUNT = 60


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Six runs of 60 items in 30 documents; two are the same, one has an answer less."""
    folder = tmp_path_factory.mktemp("pairs")
    write_items(folder, COUNT)
    right = {"production": 20, "near": 28, "good": 46, "twin": 46, "none": 0}
    made = [write_run(folder, name, answers(count, COUNT)) for name, count in right.items()]
    return [*made, write_run(folder, "best", answers(60, COUNT))]


@pytest.fixture(scope="module")
def site(runs: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("built") / "site"
    assert main(["leaderboard", "build", *map(str, runs), "--baseline", str(runs[0]), "--out", str(out)]) == 0
    return out


def test_every_pair_is_told_once_in_every_metric(runs: list[Path]) -> None:
    board = board_of(runs, baseline=runs[0])
    for table, found in zip(board.tables, run_pairs(board), strict=True):
        count = len(table.rows)
        assert len({(pair.first, pair.second) for pair in found}) == len(found) == count * (count - 1) // 2


def test_differences_are_those_of_the_runs_and_verdicts_those_of_letters(runs: list[Path]) -> None:
    board = board_of(runs, baseline=runs[0])
    loaded = {run.name: load_run(run.columns.path) for run in board.runs}
    for table, found in zip(board.tables, run_pairs(board), strict=True):
        letters = {row.run: set(row.letters) for row in table.rows}
        for pair in found:
            one, other = board.runs[pair.first], board.runs[pair.second]
            assert bool(letters[pair.first] & letters[pair.second]) != pair.verdict.startswith(("better", "worse"))
            if table.name == "overall":
                continue
            (alone,) = compare_runs([loaded[one.name], loaded[other.name]], [table.metric])
            assert pair.delta == pytest.approx(alone.delta, abs=1e-6)
            if pair.interval is not None and alone.ci_verdict is not None:
                # The pair alone has the narrower interval: it is corrected for nothing but its own test.
                assert pair.interval[0] <= alone.ci_verdict[0] + 1e-4
                assert pair.interval[1] >= alone.ci_verdict[1] - 1e-4


def test_a_pair_with_the_baseline_is_the_rows_own_comparison(runs: list[Path]) -> None:
    board = board_of(runs, baseline=runs[0])
    for table, found in zip(board.tables, run_pairs(board), strict=True):
        told = {pair.second: pair for pair in found if pair.first == 0}
        for row in table.rows:
            if row.comparison is not None:
                pair = told[row.run]
                assert (pair.delta, pair.interval) == (row.comparison.delta, row.comparison.ci_verdict)
                assert (pair.p, pair.verdict) == (row.comparison.p_verdict, row.comparison.verdict)


def test_the_same_answers_are_identical_and_a_pair_can_be_turned(runs: list[Path]) -> None:
    board = board_of(runs, baseline=runs[0])
    places = {run.name: place for place, run in enumerate(board.runs)}
    wanted = tuple(sorted((places["good"], places["twin"])))
    for found in run_pairs(board):
        by_places = {(pair.first, pair.second): pair for pair in found}
        assert by_places[wanted].verdict == "identical"
        for pair in found:
            back = turned(turned(pair))
            assert back == pair
            assert turned(pair).delta == -pair.delta


def test_ranks_by_wilcoxon_have_no_interval_of_the_mean(runs: list[Path]) -> None:
    board = board_of(runs, baseline=runs[0], pairs="wilcoxon")
    table = board.tables[1]
    ranking = rank_runs(
        [load_run(run.columns.path) for run in board.runs], table.metric, posthoc="wilcoxon", intervals=False
    )
    assert table.ranking is not None
    assert ranking.means == table.ranking.means
    others = [pair for pair in run_pairs(board)[1] if pair.first]
    assert others
    assert all(pair.interval is None for pair in others)
    assert any(pair.verdict.startswith(("better", "worse")) for pair in others)


def sums(kind: str, groups: int) -> np.ndarray:
    draw = np.random.default_rng(groups)
    made = {
        "normal": draw.normal(0.25, 1, (80, groups)),
        "heavy": draw.standard_t(4, (80, groups)) + 0.2,
        "thirds": draw.integers(-2, 4, (80, groups)) / 3,
    }
    return np.round(made[kind], 9)


@pytest.mark.parametrize("kind", ["normal", "heavy", "thirds"])
@pytest.mark.parametrize("groups", [40, 150])
def test_intervals_leave_0_out_exactly_where_the_test_rejects(kind: str, groups: int) -> None:
    data, sizes = sums(kind, groups), np.full(groups, 2.0)
    p = two_sided(data)
    rates = np.resize([0.05, 0.01, 0.002], len(data))
    for ends in (exact_ends(data, sizes, rates), near_ends(data, sizes, rates, p)):
        out = (ends[0] > 0) | (ends[1] < 0)
        assert (out == (p <= rates)).all()
        assert out.any()
        assert not out.all()


@pytest.mark.parametrize("kind", ["normal", "thirds"])
def test_the_approximation_is_within_a_fiftieth_of_the_interval(kind: str) -> None:
    data, sizes = sums(kind, 60), np.ones(60)
    rates = np.full(len(data), 0.001)
    exact, near = exact_ends(data, sizes, rates), near_ends(data, sizes, rates, two_sided(data))
    assert np.abs(near - exact).max() < 0.02 * (exact[1] - exact[0]).min()


def test_too_few_documents_have_no_interval_either_way() -> None:
    data, sizes = sums("normal", 5), np.ones(5)
    rates = np.full(len(data), 0.05)
    assert np.isnan(exact_ends(data, sizes, rates)).all()
    assert np.isnan(near_ends(data, sizes, rates, two_sided(data))).all()


def test_a_board_of_many_pairs_says_that_its_intervals_are_approximations(
    runs: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    board = board_of(runs, baseline=runs[0])
    exact = run_pairs(board)
    monkeypatch.setattr(pairs, "EXACT_PAIRS", 0)
    near = run_pairs(board)
    told = [pair.near for found in near for pair in found if pair.first and pair.interval is not None]
    assert told
    assert all(told)
    assert not any(pair.near for found in exact for pair in found)
    assert [pair.verdict for found in near for pair in found] == [pair.verdict for found in exact for pair in found]


def test_pages_and_files_of_pairs_say_the_same(site: Path) -> None:
    assert contradictions(site) == []


def _second_line(text: str, change: Callable[[list[str]], list[str]]) -> str:
    rows = list(csv.reader(text.splitlines()))
    place = next(place for place, row in enumerate(rows) if row[0] == "token_f1" and row[7] == "better")
    rows[place] = change(rows[place])
    return "\n".join(",".join(row) for row in rows)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda row: [*row[:7], "worse", ""], "with the difference"),
        (lambda row: [*row[:4], "-0.1", *row[5:]], "with the interval"),
        (lambda row: [*row[:7], "no difference shown", ""], "letters"),
        (lambda row: [*row[:3], str(float(row[3]) / 2), *row[4:]], "other numbers on its page"),
        (lambda row: ["bleu", *row[1:]], "is on no page"),
    ],
)
def test_the_check_of_pairs_finds_what_is_planted(
    site: Path, tmp_path: Path, change: Callable[[list[str]], list[str]], told: str
) -> None:
    for file in [*site.rglob("*.html"), *(site / "data").rglob("*")]:
        if file.is_file():
            (tmp_path / file.relative_to(site)).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / file.relative_to(site)).write_bytes(file.read_bytes())
    file = tmp_path / "data" / "pairs.csv"
    file.write_text(_second_line(file.read_text("utf-8-sig"), change), "utf-8-sig")
    found = contradictions(tmp_path)
    assert any(told in line for line in found), found


def test_two_runs_have_one_pair_and_no_page_for_choosing(runs: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "site"
    assert main(["leaderboard", "build", *map(str, runs[:2]), "--out", str(out)]) == 0
    assert not (out / "pair.html").exists()
    assert not (out / "data" / "pairs").exists()
    assert "data-pick" not in (out / "index.html").read_text("utf-8")


def test_without_texts_no_answer_is_in_the_files_of_pairs(runs: list[Path], tmp_path: Path) -> None:
    from ..pairs_told import unpacked

    out = tmp_path / "site"
    assert main(["leaderboard", "build", *map(str, runs), "--items", "none", "--out", str(out)]) == 0
    board = unpacked(out / "data" / "pairs" / "board.js")
    assert board["items"] == []
    assert not (out / "data" / "answers").exists()
    for run in board["runs"]:
        assert set(unpacked(out / "data" / "pairs" / f"{run['slug']}.js")["values"]) == {None}
    assert main(["leaderboard", "build", *map(str, runs), "--items", "ids", "--out", str(out)]) == 0
    told = b"".join(str(unpacked(path)).encode() for path in (out / "data").rglob("*.js"))
    assert b"handles case" not in told
