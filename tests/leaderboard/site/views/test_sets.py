"""Runs of several data sets on one site: a board each, and the overall mean that ``telbench compare`` gives."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path

import pytest

from telbench.harness.cli.main import main
from telbench.harness.cli.terminal import Reporter
from telbench.leaderboard.site.model.board import Options
from telbench.leaderboard.site.views.sets import SetsBoard, folders_by_set, make_sets

from ..boards import Markup, answers, write_items
from ..contradictions import contradictions

SETS = {"oran": 80, "teleqna": 60, "math": 50}
MODELS = {"base": 0.3, "near": 0.35, "good": 0.8}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three models on three data sets, and one more that lacks a set."""
    draw, made = random.Random(3), []
    for name, count in SETS.items():
        folder = tmp_path_factory.mktemp("sets") / name
        folder.mkdir()
        write_items(folder, count).rename(folder / f"{name}.jsonl")
        for model, share in (MODELS | ({} if name == "math" else {"partial": 0.5})).items():
            given = [right if draw.random() < share else "It routes packets." for right in answers(count, count)]
            made.append(_written(folder, name, model, given))
    return made


def _written(folder: Path, name: str, model: str, given: list[str | None]) -> Path:
    (folder / "items.jsonl").unlink(missing_ok=True)
    (folder / "items.jsonl").symlink_to(folder / f"{name}.jsonl")
    file = folder / f"{model}.jsonl"
    file.write_text("".join(json.dumps({"id": f"i{i}", "prediction": text}) + "\n" for i, text in enumerate(given)))
    out = folder / "runs" / f"{name}-{model}"
    command = ["score", str(file), "--data", str(folder / f"{name}.jsonl"), "--metrics", "exact_match,token_f1"]
    assert main([*command, "--out", str(out), "--name", model]) == 0
    return out


@pytest.fixture(scope="module")
def site(runs: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("built") / "site"
    assert main(["leaderboard", "build", *map(str, runs), "--title", "Suite", "--out", str(out)]) == 0
    return out


def made(runs: list[Path], **options: object) -> SetsBoard:
    found = make_sets(runs, Options(**options), Reporter(), processes=1)  # type: ignore[arg-type]
    assert found is not None
    return found


def test_the_overall_is_that_of_compare(runs: list[Path], capsys: pytest.CaptureFixture[str]) -> None:
    found = made(runs, weights="oran=2,teleqna=1,math=1").compared
    assert found is not None
    whole = [str(path) for path in runs if not path.name.endswith("partial")]
    whole.sort(key=lambda path: found.names.index(path.rpartition("-")[2]))
    capsys.readouterr()
    assert main(["compare", *whole, "--weights", "oran=2,teleqna=1,math=1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(json.dumps(found.to_dict()))


def test_each_data_set_has_its_whole_board_inside(site: Path) -> None:
    boards = sorted(path.name.rpartition("-")[0] for path in (site / "sets").iterdir())
    assert boards == sorted(SETS)
    for path in (site / "sets").iterdir():
        assert {"index.html", "items.html", "compare.html", "method.html", "assets", "data"} <= {
            each.name for each in path.iterdir()
        }
        page = (path / "index.html").read_text("utf-8")
        assert re.search(r'<a href="\.\./\.\./index\.html">All data sets</a>', page)
        assert page.count('aria-current="page"') >= 2
        assert "partial" in page or path.name.startswith("math")


def test_a_model_that_lacks_a_set_is_told_and_not_averaged(site: Path) -> None:
    page = Markup((site / "index.html").read_text("utf-8")).text
    assert "partial not compared over all: no ranked run on math" in page
    document = json.loads((site / "data" / "sets.json").read_text())
    assert document["not_compared"] == {"partial": "no ranked run on math"}
    assert sorted(document["compared"]["runs"]) == sorted(MODELS)
    assert document["compared"]["runs"][0] == "base"


def test_pages_and_data_of_all_sets_say_the_same(site: Path) -> None:
    assert contradictions(site) == []


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ((r'data-value="2">1<', 'data-value="2">3<'), "in the data"),
        (("better, p", "worse, p"), "with the difference"),
        ((r"▲</span>\s*</td>", "▼</span></td>"), "on its board"),
        ((r"(score\"[^>]*>)0\.\d+", r"\g<1>0.111"), "its scores come to"),
    ],
)
def test_the_check_of_sets_finds_what_is_planted(
    site: Path, tmp_path: Path, change: tuple[str, str], told: str
) -> None:
    for file in site.rglob("*"):
        if file.is_file() and (file.suffix in (".html", ".json", ".csv") or "pairs" in file.parts):
            (tmp_path / file.relative_to(site)).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / file.relative_to(site)).write_bytes(file.read_bytes())
    page = (site / "index.html").read_text("utf-8")
    assert re.search(change[0], page)
    (tmp_path / "index.html").write_text(re.sub(change[0], change[1], page), "utf-8")
    found = contradictions(tmp_path)
    assert any(told in line for line in found), found


def test_all_boards_hold_the_others_against_one_model(runs: list[Path]) -> None:
    assert {each.board.baseline.name for each in made(runs).sets} == {"base"}
    good = next(path for path in runs if path.name == "math-good")
    assert {each.board.baseline.name for each in made(runs, baseline=good).sets} == {"good"}
    assert made(runs, baseline=good).models[0].name == "good"


def test_one_model_on_several_sets_is_a_site_too_and_a_stray_run_is_not(runs: list[Path], tmp_path: Path) -> None:
    alone = [path for path in runs if path.name.endswith("good")]
    found = made(alone)
    assert [model.name for model in found.models] == ["good"]
    assert found.compared is not None
    assert found.compared.pairs == {}
    out = tmp_path / "site"
    assert main(["leaderboard", "build", *map(str, alone), "--out", str(out)]) == 0
    assert "good has 0." in Markup((out / "index.html").read_text("utf-8")).text
    stray = [*(path for path in runs if path.name.startswith("oran")), alone[-1]]
    assert folders_by_set(stray) is None


def test_no_model_on_all_sets_leaves_the_boards(runs: list[Path], tmp_path: Path) -> None:
    chosen = [path for path in runs if path.name in ("oran-base", "oran-near", "math-near", "math-good")]
    chosen = [path for path in chosen if path.name != "math-near"]
    chosen += [path for path in runs if path.name in ("math-base", "teleqna-good", "teleqna-near")]
    assert made(chosen).compared is None
    out = tmp_path / "site"
    assert main(["leaderboard", "build", *map(str, chosen), "--out", str(out)]) == 0
    assert "No model has one ranked run on each" in Markup((out / "index.html").read_text("utf-8")).text
    assert contradictions(out) == []


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--weights", "oran=1"], "no weight for"),
        (["--weights", "oran=1,none=2"], "there is no data set 'none'"),
        (["--margin", "bleu=1"], "--margin bleu: no data set has that metric"),
        (["--history", "nothing.jsonl"], "--history is of one data set"),
    ],
)
def test_what_does_not_fit_is_one_line(
    runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], flags: list[str], told: str
) -> None:
    assert main(["leaderboard", "build", *map(str, runs), *flags, "--out", str(tmp_path / "site")]) == 2
    assert told in capsys.readouterr().err
    assert not (tmp_path / "site").exists()


def test_weights_of_one_data_set_are_refused(
    runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = [str(path) for path in runs if path.name.startswith("oran")]
    assert main(["leaderboard", "build", *one, "--weights", "items", "--out", str(tmp_path / "site")]) == 2
    assert "--weights: the runs are of one data set" in capsys.readouterr().err


def test_an_unchanged_build_does_nothing_and_other_weights_are_another_board(
    runs: list[Path], site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["leaderboard", "build", *map(str, runs), "--title", "Suite", "--out", str(site)]
    assert main(command) == 0
    assert "nothing changed" in capsys.readouterr().out
    assert main([*command, "--weights", "items"]) == 0
    assert "nothing changed" not in capsys.readouterr().out
    assert "weighed by their items" in (site / "index.html").read_text("utf-8")
