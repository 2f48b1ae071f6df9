"""``telbench compare`` over several data sets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from telbench.harness.cli.main import main

from ..runs.logs import inspect_log, write_json
from ..scored_runs import scored_run

SHARES = {"one": (0.6, 0.8), "two": (0.6, 0.5), "three": (0.5, 0.9)}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """Two models on three data sets, by model."""
    folder = tmp_path_factory.mktemp("sets")
    made: dict[str, list[str]] = {"old": [], "new": []}
    for place, (data, shares) in enumerate(SHARES.items()):
        for model, right in zip(made, shares, strict=True):
            made[model].append(str(scored_run(folder, model, data, 60 + 20 * place, right, "exact_match,token_f1")))
    return made


def compared(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    capsys.readouterr()
    assert main(["compare", *words, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_each_data_set_has_its_row_and_the_mean_states_its_weights(
    runs: dict[str, list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    found = compared(capsys, *runs["old"], *runs["new"])
    assert [(each["name"], each["n"], each["metric"]) for each in found["data"]] == [
        ("one", 60, "token_f1"), ("two", 80, "token_f1"), ("three", 100, "token_f1")
    ]  # fmt: skip
    assert [each["weight"] for each in found["data"]] == pytest.approx([1 / 3] * 3)
    (pair,) = found["overall"]["pairs"]
    assert (pair["run"], pair["other"]) == ("new", "old")
    differences = [each["means"][1] - each["means"][0] for each in found["data"]]
    assert pair["mean"] == pytest.approx(sum(differences) / 3)
    assert pair["ci_low"] < pair["mean"] < pair["ci_high"]
    assert [each["against_first"][0]["delta"] for each in found["data"]] == pytest.approx(differences)
    assert main(["compare", *runs["old"], *runs["new"]]) == 0
    told = capsys.readouterr().out
    assert told.startswith("Over 3 data sets, weighed equally, new is better than old: +0.")
    assert "Standings" not in told
    rows = [line.split() for line in told.splitlines()]
    for each, shares in zip(found["data"], SHARES.values(), strict=True):
        old, new = shares
        one = each["against_first"][0]
        assert [each["name"], f"{new - old:+.3f}", f"[{one['ci_low']:.3f},", f"{one['ci_high']:.3f}]"] in [
            row[:4] for row in rows
        ]
    overall = [row for row in rows if row[:1] == ["OVERALL"]]
    assert overall[0] == ["OVERALL", "240", "1", f"{1.7 / 3:.3f}", f"{2.2 / 3:.3f}"]
    assert " ".join(overall[1][1:4]) in " ".join(told.partition("\n\n")[0].split())
    assert overall[1][1:4] == [f"{pair['mean']:+.3f}", f"[{pair['ci_low']:.3f},", f"{pair['ci_high']:.3f}]"]


def test_weights_change_the_mean(runs: dict[str, list[str]], capsys: pytest.CaptureFixture[str]) -> None:
    both = (*runs["old"], *runs["new"])
    by_items = compared(capsys, *both, "--weights", "items")
    assert [each["weight"] for each in by_items["data"]] == pytest.approx([60 / 240, 80 / 240, 100 / 240])
    alone = compared(capsys, *both, "--weights", "one=0,two=1,three=0", "--primary", "exact_match")
    assert alone["data"][1]["metric"] == "exact_match"
    assert alone["overall"]["pairs"][0]["mean"] == pytest.approx(alone["data"][1]["against_first"][0]["delta"])
    assert alone["overall"]["pairs"][0]["mean"] < 0
    assert main(["compare", *both, "--weights", "one=1"]) == 2
    assert "no weight for 'two'" in capsys.readouterr().err
    assert main(["compare", *both, "--weights", "two=1,one=0,three=0"]) == 0
    assert "weighed as told (two=1,one=0,three=0)" in capsys.readouterr().out


def test_a_model_that_lacks_a_data_set_is_named(
    runs: dict[str, list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    third = scored_run(tmp_path, "third", "one", 60, 0.7, "exact_match,token_f1")
    both = (*runs["old"], *runs["new"])
    assert main(["compare", *both, str(third)]) == 4
    assert "third has no run on two: over several data sets each model has one on each" in capsys.readouterr().err
    alone = scored_run(tmp_path, "old", "four", 120, 0.7, "exact_match,token_f1")
    assert main(["compare", *both, str(alone)]) == 4
    assert "new has no run on four" in capsys.readouterr().err
    assert main(["compare", *both, runs["new"][0]]) == 4
    assert "new has 2 runs on one" in capsys.readouterr().err


def test_runs_on_other_items_are_refused_as_ever(
    runs: dict[str, list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", runs["old"][0], runs["new"][1]]) == 4
    assert "cannot be compared: other items" in capsys.readouterr().err
    assert main(["compare", runs["old"][0], runs["new"][0], runs["new"][1]]) == 4


def test_weights_of_one_data_set_are_refused(runs: dict[str, list[str]], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", runs["old"][0], runs["new"][0], "--weights", "items"]) == 2
    assert "--weights items: the runs are of one data set" in capsys.readouterr().err


@pytest.mark.parametrize("flag", [["--by", "category"], ["--study"], ["--explain"], ["--metrics", "token_f1"]])
def test_what_is_not_over_several_data_sets_is_refused(
    flag: list[str], runs: dict[str, list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", *runs["old"], *runs["new"], *flag]) == 2
    assert f"{flag[0]}: not over several data sets" in capsys.readouterr().err


def test_three_models_have_ranks_that_say_who_is_tied(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shares = {"best": (0.9, 0.8), "also": (0.9, 0.8), "weak": (0.2, 0.1)}
    words = [
        str(scored_run(tmp_path, model, data, 80 + 20 * place, right[place], "exact_match"))
        for model, right in shares.items()
        for place, data in enumerate(("one", "two"))
    ]
    capsys.readouterr()
    found = compared(capsys, *words)
    assert found["overall"]["ranks"] == [[1, 2], [1, 2], [3, 3]]
    assert main(["compare", *words]) == 0
    told = capsys.readouterr().out
    means = found["overall"]["means"]
    standings = [line.split() for line in told.splitlines() if line[:1].isdigit()]
    assert standings == [
        [rank, name, "0.850" if name != "weak" else "0.150", f"[{mean['ci_low']:.3f},", f"{mean['ci_high']:.3f}]"]
        for rank, name, mean in zip(("1-2", "1-2", "3"), ("best", "also", "weak"), means, strict=True)
    ]
    assert told.startswith("Over 2 data sets, weighed equally, best, also are tied for the lead.")
    assert main(["compare", *words, "--markdown"]) == 0
    assert "| OVERALL |" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("second", "told"), [((0.1, 0.2), "new is worse than old: -0."), ((0.7, 0.8), "new and old are tied: ")]
)
def test_two_models_are_told_in_a_sentence(
    second: tuple[float, float], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [
        str(scored_run(tmp_path, model, data, 80 + 20 * place, right[place], "exact_match"))
        for model, right in (("old", (0.8, 0.7)), ("new", second))
        for place, data in enumerate(("one", "two"))
    ]
    assert main(["compare", *words]) == 0
    assert f"Over 2 data sets, weighed equally, {told}" in " ".join(capsys.readouterr().out.split())


def test_an_interval_ends_where_the_scale_does(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [
        str(scored_run(tmp_path, model, data, count, right, "exact_match"))
        for model, right in (("none", 0.0), ("all", 1.0))
        for data, count in (("one", 14), ("two", 16))
    ]
    found = compared(capsys, *words)["overall"]
    none, every = found["means"]
    assert (none["ci_low"], every["ci_high"], found["pairs"][0]["ci_high"]) == (0.0, 1.0, 1.0)
    # Documents that agree altogether leave no error, so a level is all that stands.
    back = compared(capsys, *words[2:], *words[:2])["overall"]["pairs"][0]
    assert (back["mean"], back["ci_low"], back["p_adjusted"]) == (-1.0, -1.0, 0.0)
    # A score of 0 or 1 is no difference: its items are added on its own scale.
    single = [
        str(scored_run(tmp_path / "single", model, data, count, right, "exact_match"))
        for model, right in (("low", 0.2), ("high", 0.7))
        for data, count in (("one", 10), ("two", 20))
    ]
    low = compared(capsys, *single, "--cluster", "item")["overall"]["means"][0]
    # Agresti and Coull: (2 + 2) / (10 + 4) and (4 + 2) / (20 + 4), of equal weight.
    assert low["standard_error"] == pytest.approx((4 / 14 * 10 / 14 / 14 + 6 / 24 * 18 / 24 / 24) ** 0.5 / 2)


def test_sets_of_one_name_are_told_by_their_split(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = []
    for model, right in (("old", 0.3), ("new", 0.6)):
        for split, count in (("test", 20), ("dev", 30), ("dev", 40)):
            run = scored_run(tmp_path / f"{split}{count}", model, "mine", count, right, "exact_match")
            header = json.loads((run / "run.json").read_text())
            header["data"] |= {"name": "mine", "split": split}
            (run / "run.json").write_text(json.dumps(header))
            words.append(str(run))
    names = [each["name"] for each in compared(capsys, *words)["data"]]
    assert names == ["mine", "mine (dev)", "mine (dev, 40 items)"]


def test_too_few_documents_claim_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [
        str(scored_run(tmp_path, model, data, count, right, "exact_match"))
        for model, right in (("low", 0.1), ("high", 1.0))
        # Two items are of one document: two and three of them.
        for data, count in (("one", 4), ("two", 6))
    ]
    capsys.readouterr()
    assert compared(capsys, *words)["overall"]["pairs"][0]["p_adjusted"] == 1.0
    assert main(["compare", *words]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "there are too few source documents to tell high and low apart" in told
    assert "WARNING: too few source documents or items on one, two" in told


def test_logs_of_the_boards_own_harness_are_compared_over_its_tasks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = []
    # The board's tasks have a scorer of their own each.
    for task, scorer, count in (("telelogs", "telelogs_scorer", 40), ("three_gpp", "pattern", 30)):
        for model, right in (("hf/one", 3), ("hf/other", 6)):
            log = inspect_log({scorer: [["C" if place % 10 < right else "I"] for place in range(count)]})
            log["eval"] |= {"task": task, "model": model}
            words.append(str(write_json(tmp_path / f"{task}-{model[3:]}.json", log)))
    found = compared(capsys, *words, "--higher-is-better", "telelogs_scorer", "--higher-is-better", "pattern")
    assert [(each["name"], each["metric"], each["n"]) for each in found["data"]] == [
        ("telelogs", "telelogs_scorer", 40), ("three_gpp", "pattern", 30)
    ]  # fmt: skip
    assert found["overall"]["pairs"][0]["mean"] == pytest.approx(0.3)
