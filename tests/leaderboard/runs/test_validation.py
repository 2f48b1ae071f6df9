"""Damaged scores are refused by file and line, wherever they are read from."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from telbench.errors import InputError
from telbench.harness.cli.main import main
from telbench.leaderboard.runs.anchor import write_anchor
from telbench.leaderboard.runs.loaded import load_run, require_alike, shared_metrics
from telbench.leaderboard.runs.sources import open_run
from telbench.leaderboard.runs.validation import bounds_of, complaint
from telbench.leaderboard.site.model.columns import read_columns
from telbench.leaderboard.site.model.eligibility import measured_alike

from .test_loaded import GOOD, POOR, score, write_data

Damage = Callable[[list[Any]], None]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of six items in token_f1, bleu and ter."""
    folder = tmp_path_factory.mktemp("validation")
    return score(folder, "whole", list(GOOD), write_data(folder))


def damaged(run: Path, folder: Path, damage: Damage) -> Path:
    """A copy of the run whose samples were changed."""
    copy = folder / "damaged"
    shutil.copytree(run, copy)
    rows = [json.loads(line) for line in (copy / "samples.jsonl").read_text().splitlines()]
    damage(rows)
    (copy / "samples.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return copy


def scored(value: Any, name: str = "token_f1") -> Damage:
    return lambda rows: rows[2]["scores"].update({name: value})


def with_statistics(row: Any) -> Damage:
    return lambda rows: rows[2]["stats"].update({"bleu": row})


DAMAGES: list[tuple[Damage, str]] = [
    (scored(float("nan")), "line 3: token_f1 of item 'i2' is no finite number"),
    (scored(float("-inf")), "line 3: token_f1 of item 'i2' is no finite number"),
    (scored(10**400), "line 3: token_f1 of item 'i2' is no finite number"),
    (scored(500), "line 3: token_f1 of item 'i2' is 500, outside its range of 0 to 1"),
    (scored(-0.01), "line 3: token_f1 of item 'i2' is -0.01, outside its range of 0 to 1"),
    (scored(100.1, "bleu"), "line 3: bleu of item 'i2' is 100.1, outside its range of 0 to 100"),
    (scored(-1, "ter"), "line 3: ter of item 'i2' is -1, outside its range of 0 to no bound"),
    (scored("0.5"), "line 3: token_f1 of item 'i2' is '0.5' and no number"),
    (scored(True), "line 3: token_f1 of item 'i2' is true and no number"),
    (scored([0.5]), "line 3: token_f1 of item 'i2' is a list and no number"),
    (lambda rows: rows.append(rows[0]), "line 7: item 'i0' occurs twice, first on line 1"),
    (lambda rows: rows.append({**rows[0], "item_id": "i9"}), "line 7: more samples than the 6 that the header says"),
    (lambda rows: rows.pop(), "line 5: the file ends, 5 samples where the header says 6"),
    (lambda rows: rows.insert(2, [1]), "line 3: an object is expected, this is a list"),
    (lambda rows: rows.insert(2, 7), "line 3: an object is expected, this is 7"),
    (lambda rows: rows[2].pop("cluster_id"), "line 3: 'cluster_id' is missing, it must be text"),
    (lambda rows: rows[2].update(item_id=2), "line 3: 'item_id' is 2, it must be text"),
    (lambda rows: rows[2].update(category=1), "line 3: 'category' is 1, it must be text or null"),
    (lambda rows: rows[2].update(scores=[]), "line 3: 'scores' is a list, it must be an object"),
    (lambda rows: rows[2].update(missing=[]), "line 3: 'missing' is a list, it must be an object"),
    (lambda rows: rows[2]["stats"].pop("bleu"), "line 3: the statistics of bleu are missing for item 'i2'"),
    (with_statistics([1.0] * 9), "line 3: bleu of item 'i2' has 9 statistics, the lines before have 10"),
    (with_statistics([1.0] * 9 + ["1"]), "line 3: a statistic of bleu of item 'i2' is '1' and no number"),
    (with_statistics([1.0] * 9 + [float("nan")]), "line 3: a statistic of bleu of item 'i2' is no finite number"),
]


@pytest.mark.parametrize(("damage", "told"), DAMAGES, ids=[told for _, told in DAMAGES])
def test_damaged_samples_are_refused_by_run_folders_and_by_the_board(
    whole: Path, tmp_path: Path, damage: Damage, told: str
) -> None:
    run = damaged(whole, tmp_path, damage)
    for read in (load_run, read_columns):
        with pytest.raises(InputError) as caught:
            read(run)
        assert str(caught.value) == f"{run / 'samples.jsonl'}, {told}: copy the run again"


ANCHOR_DAMAGES: list[tuple[Damage, str]] = [
    (
        lambda items: items[2]["scores"].__setitem__(0, float("nan")),
        "line 4: token_f1 of item 'i2' is no finite number",
    ),
    (lambda items: items[2]["scores"].__setitem__(0, 500), "line 4: token_f1 of item 'i2' is 500, outside its range"),
    (lambda items: items[2]["scores"].__setitem__(0, True), "line 4: token_f1 of item 'i2' is true and no number"),
    (lambda items: items.append(items[0]), "line 8: item 'i0' occurs twice, first on line 2"),
    (lambda items: items.pop(), "line 6: the file ends, 5 samples where the header says 6"),
    (lambda items: items[2].pop("stats"), "line 4: the statistics of bleu are missing for item 'i2'"),
    (lambda items: items[2]["scores"].pop(), "line 4: 'scores' is a list, it must be an object"),
    (lambda items: items.insert(2, "x"), "line 4: an object is expected, this is 'x'"),
]


@pytest.mark.parametrize(("damage", "told"), ANCHOR_DAMAGES, ids=[told for _, told in ANCHOR_DAMAGES])
def test_damaged_anchors_are_refused(whole: Path, tmp_path: Path, damage: Damage, told: str) -> None:
    anchor = tmp_path / "anchor.json"
    write_anchor(load_run(whole), anchor)
    document = json.loads(anchor.read_text())
    damage(document["items"])
    anchor.write_text(json.dumps(document))
    with pytest.raises(InputError) as caught:
        open_run(anchor)
    assert str(caught.value).startswith(f"{anchor}, {told}")
    assert str(caught.value).endswith(": pin it again")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"metrics": []}, "'metrics' is a list, it must be an object"),
        ({"data": {"n": "6", "items_sha256": "x"}}, "data.n is '6', not a whole number"),
        ({"model": {}}, "model.name is missing, not text"),
        (
            {"metrics": {"bleu": {"signature": "b", "family": "ngram", "level": "item"}}},
            "metrics.bleu.higher_is_better",
        ),
    ],
)
def test_a_header_without_what_comparisons_read_is_refused(
    whole: Path, tmp_path: Path, change: dict[str, Any], told: str
) -> None:
    run = damaged(whole, tmp_path, lambda _: None)
    header = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps({**header, **change}))
    for read in (load_run, read_columns):
        with pytest.raises(InputError, match=r"run\.json: ") as caught:
            read(run)
        assert told in str(caught.value)


def test_a_header_with_a_nan_is_refused(whole: Path, tmp_path: Path) -> None:
    run = damaged(whole, tmp_path, lambda _: None)
    header = json.loads((run / "run.json").read_text())
    header["metrics"]["bleu"]["value"] = float("nan")
    (run / "run.json").write_text(json.dumps(header))
    with pytest.raises(InputError, match=r"run\.json: metrics\.bleu\.value is no finite number"):
        load_run(run)


CROSSED: list[tuple[Damage, str]] = [
    (lambda rows: rows[3].update(cluster_id="doc9"), "line 4: item 'i3' is of source document 'doc9', in "),
    (lambda rows: rows[3].update(item_id="renamed"), "has no item 'renamed', though both name the same items"),
]


@pytest.mark.parametrize(("damage", "told"), CROSSED, ids=["cluster", "id"])
def test_runs_whose_samples_are_not_of_the_same_items_are_refused(
    whole: Path, tmp_path: Path, damage: Damage, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run = damaged(whole, tmp_path, damage)
    assert main(["compare", str(whole), str(run)]) == 2
    error = capsys.readouterr().err
    assert f"{run / 'samples.jsonl'}, line 4: " in error
    assert told in error
    with pytest.raises(InputError, match="line 4: "):
        measured_alike([read_columns(whole), read_columns(run)], None)
    anchor = tmp_path / "anchor.json"
    write_anchor(load_run(run), anchor)
    with pytest.raises(InputError, match=r"anchor\.json, line 5: "):
        require_alike([load_run(whole), open_run(anchor)])


def test_statistics_of_another_length_throughout_are_refused(whole: Path, tmp_path: Path) -> None:
    def shorten(rows: list[Any]) -> None:
        for row in rows:
            row["stats"]["bleu"].pop()

    run = load_run(damaged(whole, tmp_path, shorten))
    with pytest.raises(InputError, match="bleu has 9 statistics an item where this telbench makes 10"):
        shared_metrics([load_run(whole), run])


def test_check_and_compare_end_with_2_and_one_line(
    whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = damaged(whole, tmp_path, scored(float("nan")))
    for words in (
        ["compare", str(whole), str(run)],
        ["check", "--baseline", str(whole), "--candidate", str(run), "--margin", "token_f1=0.1"],
        ["baseline", "pin", str(run), "--out", str(tmp_path / "a.json")],
        ["leaderboard", "build", str(whole), str(run), "--out", str(tmp_path / "site")],
    ):
        assert main(words) == 2
        error = capsys.readouterr().err.strip().splitlines()[-1]
        assert f"{run / 'samples.jsonl'}, line 3: token_f1 of item 'i2' is no finite number" in error


def test_rounding_beyond_the_bounds_is_let_through() -> None:
    assert complaint(100.00000000000004, bounds_of([0, 100])) is None
    assert complaint(-1e-12, bounds_of([0, 1])) is None
    assert complaint(100.001, bounds_of([0, 100])) == "is 100.001, outside its range of 0 to 100"


def test_a_value_on_the_bound_and_one_of_an_open_range_are_let_through() -> None:
    assert complaint(0, (0.0, 1.0)) is complaint(1, (0.0, 1.0)) is None
    assert complaint(-1e9, bounds_of([None, 0])) is None
    assert complaint(1e9, bounds_of([0, None])) is None
    assert bounds_of([-1, 1]) == pytest.approx((-1.000002, 1.000002), abs=1e-12)


def test_what_is_shown_of_a_damaged_value_is_cut() -> None:
    assert complaint("x" * 38, (0.0, 1.0)) == f"is '{'x' * 38}' and no number"
    assert complaint("x" * 39, (0.0, 1.0)) == f"is '{'x' * 39}… and no number"


@pytest.mark.parametrize("limits", [None, [0], [0, "1"], 3, [0, float("nan")]])
def test_a_header_with_no_range_is_refused(whole: Path, tmp_path: Path, limits: Any) -> None:
    run = damaged(whole, tmp_path, lambda _: None)
    header = json.loads((run / "run.json").read_text())
    header["metrics"]["bleu"]["range"] = limits
    (run / "run.json").write_text(json.dumps(header))
    with pytest.raises(InputError, match=r"run\.json: metrics\.bleu\.range is .*which it cannot be"):
        load_run(run)


def test_an_undamaged_run_and_its_anchor_say_the_same(whole: Path, tmp_path: Path) -> None:
    write_anchor(load_run(whole), tmp_path / "anchor.json")
    run, anchor = load_run(whole), open_run(tmp_path / "anchor.json")
    assert anchor.clusters == run.clusters
    for name, column in run.scores.items():
        for item, one in column.items():
            other = anchor.scores[name][item]
            assert other.value == pytest.approx(one.value, abs=1e-9)
            assert (other.reason, other.stats) == (one.reason, one.stats)
    assert load_run(whole / "run.json").scores == run.scores
    require_alike([run, anchor])


def test_two_runs_that_are_whole_pass(whole: Path, tmp_path: Path) -> None:
    other = score(tmp_path, "poor", list(POOR), write_data(tmp_path))
    require_alike([load_run(whole), load_run(other)])
    assert len(shared_metrics([load_run(whole), load_run(other)])) == 3
