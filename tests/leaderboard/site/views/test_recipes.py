"""A board of recipes: seeds averaged and judged as ``telbench compare --average-seeds`` does."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path

import numpy as np
import pytest

from telbench.harness.cli.main import main
from telbench.harness.cli.terminal import Reporter
from telbench.leaderboard.compare.seeds import average_seeds
from telbench.leaderboard.runs.loaded import load_run
from telbench.leaderboard.site.model.board import Board
from telbench.leaderboard.site.views.recipes import recipe_columns, with_recipes

from ..boards import Markup, answers, board_of, write_items, write_run
from ..contradictions import contradictions

COUNT = 60
RECIPES = {"sft": 0.3, "kd": 0.35, "dskd": 0.75}


def with_factors(run: Path, factors: dict[str, object], parameters: int = 500) -> Path:
    header = json.loads((run / "run.json").read_text())
    header["factors"], header["model"]["parameters"] = factors, parameters
    (run / "run.json").write_text(json.dumps(header))
    return run


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three recipes with three seeds each, and a teacher."""
    folder, draw, made = tmp_path_factory.mktemp("recipes"), random.Random(5), []
    write_items(folder, COUNT)
    for name, share in RECIPES.items():
        for seed in range(3):
            given = [right if draw.random() < share else "It routes packets." for right in answers(COUNT, COUNT)]
            # An answer that is missing with one seed is missing in the recipe.
            given[7] = None if (name, seed) == ("kd", 1) else given[7]
            made.append(with_factors(write_run(folder, f"{name}-seed{seed}", given), {"algorithm": name, "seed": seed}))
    return [*made, with_factors(write_run(folder, "teacher", answers(55, COUNT)), {"role": "teacher"})]


@pytest.fixture(scope="module")
def board(runs: list[Path]) -> Board:
    return with_recipes(board_of(runs, baseline=runs[0], allow_incomplete=True), Reporter())


@pytest.fixture(scope="module")
def site(runs: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("built") / "site"
    command = ["leaderboard", "build", *map(str, runs), "--baseline", str(runs[0]), "--allow-incomplete"]
    assert main([*command, "--title", "Study", "--out", str(out)]) == 0
    return out


def test_scores_are_averaged_as_compare_averages_them(runs: list[Path]) -> None:
    single = board_of(runs, baseline=runs[0], allow_incomplete=True)
    by_name = {run.name: run.columns for run in single.runs}
    for recipe in average_seeds([load_run(path) for path in runs[:-1]]):
        seeds = {seed: by_name[run.name] for seed, run in recipe.seeds.items()}
        found = recipe_columns(seeds)
        assert found.header["model"]["name"] == recipe.run.name
        for name, column in recipe.run.scores.items():
            expected = [np.nan if score.value is None else score.value for score in column.values()]
            assert np.array_equal(found.values[name], expected, equal_nan=True)
            told = {place: score.reason for place, score in enumerate(column.values()) if score.value is None}
            assert found.reasons[name] == told
            if name in found.stats:
                rows = [score.stats for score in column.values() if score.stats is not None]
                there = np.isfinite(found.values[name])
                assert np.allclose(found.stats[name][there], rows)


def test_verdicts_are_those_of_compare_average_seeds(
    board: Board, runs: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    recipes = board.recipes
    assert recipes is not None
    # In the board's own order: corrections do not depend on it, but the names of pairs do.
    paths = [str(board.runs[place].columns.path) for run in recipes.runs for place in run.seeds.values()]
    capsys.readouterr()
    assert main(["compare", *paths, "--average-seeds", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    told = {run["name"]: run["difference"] for run in document["runs"]}
    over = {(each["metric"], each["recipe"]): each for each in document["over_seeds"]}
    checked = 0
    for table in recipes.tables:
        for row in table.rows:
            if table.name == "overall" or row.comparison is None:
                continue
            known = told[recipes.runs[row.run].name][table.name]
            assert row.comparison.verdict == known["verdict"]
            assert row.comparison.delta == pytest.approx(known["delta"])
            assert row.comparison.p_verdict == pytest.approx(known["p_verdict"])
            assert list(row.comparison.ci_verdict or ()) == pytest.approx(known["ci_verdict"] or [])
            seeds = recipes.over_seeds[table.name, recipes.runs[row.run].name]
            assert seeds.effect.p == pytest.approx(over[table.name, recipes.runs[row.run].name]["p"])
            assert seeds.p_adjusted == pytest.approx(over[table.name, recipes.runs[row.run].name]["p_adjusted"])
            checked += 1
    assert checked == 3 * 3


def test_a_recipes_score_is_the_mean_of_its_seeds_and_has_an_interval(board: Board) -> None:
    recipes = board.recipes
    assert recipes is not None
    table = recipes.table("token_f1")
    for row in table.rows:
        run = recipes.runs[row.run]
        if run.name.startswith("kd"):
            continue
        values = [board.standing(board.table("token_f1"), board.runs[place]) for place in run.seeds.values()]
        expected = np.mean([each.entry["value"] for each in values if each is not None])
        assert row.entry["value"] == pytest.approx(expected)
        assert row.entry["ci_low"] < row.entry["value"] < row.entry["ci_high"]


def test_the_site_of_a_study_opens_on_recipes(site: Path) -> None:
    page = Markup((site / "index.html").read_text("utf-8"))
    assert "teacher is better than sft (3 seeds) on the overall score" in page.text
    assert "dskd (3 seeds) is better, too" in page.text
    assert "Built by telbench from 10 runs" in page.text
    menu = re.findall(r'<li><a href="([^"]+)"', (site / "index.html").read_text("utf-8").partition("</nav>")[0])
    assert menu[:2] == ["index.html", "trainings.html"]
    seeds = re.findall(r'<a href="runs/dskd-seed\d-[0-9a-f]+\.html">seed \d</a> <b>0\.\d+</b>', _source(site))
    assert len(seeds) == 3
    assert 'href="../index.html"' in (site / "runs.html").read_text("utf-8") or "index.html" in _source(site)
    assert Markup((site / "trainings.html").read_text("utf-8")).text.count("dskd-seed1") >= 2


def _source(site: Path) -> str:
    return (site / "index.html").read_text("utf-8")


def test_pages_of_recipes_and_data_say_the_same(site: Path) -> None:
    assert contradictions(site) == []


@pytest.mark.parametrize(
    ("page", "change", "told"),
    [
        ("recipes/runs/dskd-*.html", ("better, p", "worse, p"), "in the data 'better'"),
        ("recipes/runs/dskd-*.html", (r'<td class="n">0\.\d+</td>', '<td class="n">0.001</td>'), "no single run has"),
        ("recipes/runs/kd-*.html", (r"<td>\d(–\d)? <", "<td>9 <"), "rank 9"),
        ("index.html", (r'data-value="a">a</td>', 'data-value="z">z</td>'), "in the data"),
        ("trainings.html", ("better, p", "worse, p"), "another sign"),
    ],
)
def test_the_check_of_recipes_finds_what_is_planted(
    site: Path, tmp_path: Path, page: str, change: tuple[str, str], told: str
) -> None:
    for file in site.rglob("*"):
        if file.is_file():
            (tmp_path / file.relative_to(site)).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / file.relative_to(site)).write_bytes(file.read_bytes())
    (changed,) = tmp_path.glob(page)
    source = changed.read_text("utf-8")
    assert re.search(change[0], source)
    changed.write_text(re.sub(change[0], change[1], source), "utf-8")
    found = contradictions(tmp_path)
    assert any(told in line for line in found), found


def test_few_seeds_among_many_runs_have_pages_of_their_own_behind_the_board(runs: list[Path], tmp_path: Path) -> None:
    few = [runs[0], runs[1], runs[3], runs[6], runs[9]]
    out = tmp_path / "site"
    assert main(["leaderboard", "build", *map(str, few), "--out", str(out)]) == 0
    assert 'id="metrics"' in (out / "index.html").read_text("utf-8")
    assert "sft (2 seeds)" in (out / "recipes.html").read_text("utf-8")
    # Two seeds say nothing of a recipe: there is no column for it, and a line says why.
    assert "that takes three seeds or more" in (out / "recipes.html").read_text("utf-8")
    assert contradictions(out) == []


@pytest.mark.parametrize("chosen", [[0, 3, 6], [0, 1, 2]])
def test_no_recipe_of_several_seeds_or_only_one_recipe_make_no_such_board(runs: list[Path], chosen: list[int]) -> None:
    board = board_of([runs[place] for place in chosen])
    assert with_recipes(board, Reporter()) is board


def test_the_same_seed_twice_is_told_and_no_recipe(
    runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_items(tmp_path, COUNT)
    twin = with_factors(write_run(tmp_path, "twin", answers(20, COUNT)), {"algorithm": "sft", "seed": 0})
    mine = with_factors(write_run(tmp_path, "one", answers(22, COUNT)), {"algorithm": "sft", "seed": 0})
    other = with_factors(write_run(tmp_path, "two", answers(30, COUNT)), {"algorithm": "kd", "seed": 0})
    board = board_of([twin, mine, other])
    assert with_recipes(board, Reporter()) is board
    assert "have the same factors and seed 0" in capsys.readouterr().err
