"""Runs that differ in their training seed alone, averaged into recipes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from statsmodels.stats.weightstats import DescrStatsW

from telbench.errors import InputError
from telbench.harness.cli import main as cli
from telbench.leaderboard.compare.pairwise import compare_runs
from telbench.leaderboard.compare.seeds import average_seeds, seed_effects
from telbench.leaderboard.runs.loaded import LoadedRun
from telbench.leaderboard.statistics.paired import paired_difference
from telbench.metrics.contract import Sample, missing

from ...made_runs import compared_runs, made_run, metric, report_lines

N = 120
DRAW = np.random.default_rng(5)
HARD = DRAW.uniform(0.2, 0.8, N)
ALONE = [np.clip(HARD + DRAW.normal(0, 0.1, N), 0, 1) for _ in range(3)]
TAUGHT = [np.clip(HARD + 0.05 + DRAW.normal(0, 0.1, N), 0, 1) for _ in range(3)]


def run(name: str, values: Any, seed: int, **factors: Any) -> LoadedRun:
    return made_run(name, {"token_f1": list(values)}, factors={**factors, "seed": seed})


def six() -> list[LoadedRun]:
    alone = [run(f"alone-seed{seed}", values, seed, algorithm="sft") for seed, values in enumerate(ALONE)]
    return alone + [run(f"dskd-seed{seed}", values, seed, algorithm="dskd") for seed, values in enumerate(TAUGHT)]


def test_items_are_averaged_over_the_seeds_of_a_recipe_and_then_paired():
    recipes = average_seeds(six())
    assert [recipe.run.name for recipe in recipes] == ["alone (3 seeds)", "dskd (3 seeds)"]
    assert [list(recipe.seeds) for recipe in recipes] == [["0", "1", "2"]] * 2
    (found,) = compare_runs([recipe.run for recipe in recipes], [metric("token_f1")])
    means = np.mean(TAUGHT, 0), np.mean(ALONE, 0)
    expected = paired_difference(means[0] - means[1], [f"d{i}" for i in range(N)])
    assert found.values == pytest.approx([means[0].mean(), means[1].mean()], abs=1e-12)
    assert found.delta == pytest.approx(expected.delta, abs=1e-9)
    assert found.p == pytest.approx(expected.p_mean, rel=1e-6)


def test_seeds_speak_for_the_recipe_by_a_t_test_of_one_sample():
    recipes = average_seeds(six())
    (effect,) = seed_effects(recipes, ["alone", "dskd"], [metric("token_f1")])
    differences = [one.mean() - other.mean() for one, other in zip(TAUGHT, ALONE, strict=True)]
    assert list(effect.by_seed.values()) == pytest.approx(differences, abs=1e-12)
    assert effect.effect.p == pytest.approx(DescrStatsW(differences).ttest_mean()[1], rel=1e-9)
    found = compared_runs([recipe.run for recipe in recipes], ["token_f1"])
    lines = report_lines(replace(found, recipes=recipes, seeds=[effect]), wide=True)
    assert any("dskd" in line and "0: +0.0" in line for line in lines)


def test_the_same_runs_twice_over_are_no_different_from_themselves():
    twins = [
        run(f"{name}-seed{seed}", values, seed, algorithm=name)
        for name in ("sft", "copy")
        for seed, values in enumerate(ALONE)
    ]
    recipes = average_seeds(twins)
    (found,) = compare_runs([recipe.run for recipe in recipes], [metric("token_f1")])
    assert found.verdict == "identical"
    (effect,) = seed_effects(recipes, ["sft", "copy"], [metric("token_f1")])
    assert (effect.effect.effect, effect.effect.p) == (0.0, 1.0)


def test_an_item_without_a_score_with_one_seed_has_none_and_says_which_seed():
    holey = run("dskd-seed1", [None, *TAUGHT[1][1:]], 1, algorithm="dskd")
    recipes = average_seeds([*six()[:4], holey])
    score = recipes[1].run.scores["token_f1"]["i0"]
    assert (score.value, score.reason) == (None, "seed 1: not applicable")
    (found,) = compare_runs([recipe.run for recipe in recipes], [metric("token_f1")])
    assert found.n == N - 1
    assert sum(found.unpaired.values()) == 1
    assert recipes[1].run.header["metrics"]["token_f1"]["n_missing"] == 1


def test_corpus_scores_pool_the_answers_of_all_seeds():
    answers = {0: ["the AMF handles mobility", "port 8805"], 1: ["the SMF handles sessions", "the port is 8805"]}
    references = ["the AMF handles registration and mobility", "it is port 8805"]
    bleu = metric("bleu")

    def scored(seed: int, given: list[str]) -> LoadedRun:
        samples = [Sample(f"i{i}", text, (references[i % 2],), "?") for i, text in enumerate(given)]
        column = {sample.item_id: score for sample, score in zip(samples, bleu.score(samples), strict=True)}
        return replace(
            made_run(f"r{seed}", {"bleu": [0.0] * len(given)}, factors={"seed": seed}), scores={"bleu": column}
        )

    base = made_run("base", {"bleu": [0.0, 0.0]}, factors={"seed": 0, "algorithm": "sft"})
    base = replace(base, scores={"bleu": scored(0, ["no", "none"]).scores["bleu"]})
    pooled = average_seeds([base, *(scored(seed, given) for seed, given in answers.items())])[1].run
    (found,) = compare_runs([base, pooled], [bleu])
    import sacrebleu

    every = [text for given in answers.values() for text in given]
    expected = sacrebleu.corpus_bleu(every, [[*references, *references]]).score
    assert found.values[0] == pytest.approx(expected, abs=1e-9)


def with_entry(made: LoadedRun, judge: Any = None, **entry: Any) -> LoadedRun:
    """The run with more in its header's entry of the metric."""
    metrics = {"token_f1": {**made.header["metrics"]["token_f1"], **entry}}
    return replace(made, header={**made.header, "metrics": metrics, "judge": judge})


def test_the_header_of_a_recipe_has_means_of_its_runs_and_nothing_that_was_true_of_one_alone():
    alone = six()[:3]
    runs = [
        with_entry(each, calibration={"value": value}, notes={"a": seed}, judge_missing=seed, missing={"b": seed})
        for seed, (each, value) in enumerate(zip(alone, (0.2, 0.3, 0.7), strict=True))
    ]
    header = average_seeds(runs)[0].run.header
    entry = header["metrics"]["token_f1"]
    assert entry["calibration"] == {"value": pytest.approx(0.4)}
    assert (entry["n"], entry["n_missing"], entry["missing"]) == (N, 0, {})
    assert [entry[name] for name in ("value", "ci_low", "ci_high", "ci_method")] == [None] * 4
    assert not {"notes", "judge_missing"} & entry.keys()
    assert average_seeds(runs)[0].run.path == runs[0].path
    assert (header["factors"], header["judge"]) == ({"algorithm": "sft"}, None)
    assert header["run_id"] not in {each.header["run_id"] for each in alone}
    assert header["run_id"] == average_seeds(runs[::-1])[0].run.header["run_id"]
    # A calibration that one run lacks is none of the recipe's.
    without = average_seeds([*runs[:2], with_entry(alone[2], calibration=None)])[0].run.header["metrics"]["token_f1"]
    assert "calibration" not in without


def test_a_metric_that_one_seed_lacks_is_none_of_the_recipes_and_judges_over_their_cap_are_those_of_all_seeds():
    first, second, third = six()[:3]
    more = made_run("more", {"token_f1": [0.5] * N, "rougeL": [0.5] * N}, factors={"algorithm": "sft", "seed": 7})
    (recipe,) = average_seeds([first, second, more])
    assert list(recipe.run.header["metrics"]) == list(recipe.run.scores) == ["token_f1"]
    judges = [{"over_cap": ["b"], "name": "judge"}, None, {"over_cap": ["a", "b"], "name": "another"}]
    runs = [with_entry(each, judge) for each, judge in zip((first, second, third), judges, strict=True)]
    assert average_seeds(runs)[0].run.header["judge"] == {"over_cap": ["a", "b"], "name": "judge"}


def test_an_item_that_any_seed_failed_is_failed_and_says_which_seed_lacks_a_score():
    runs = six()[:3]
    column = dict(runs[1].scores["token_f1"])
    column["i4"] = missing("generation failed")
    runs[1] = replace(runs[1], scores={"token_f1": column}, failed=frozenset({"i4"}))
    recipe = average_seeds(runs)[0].run
    assert recipe.failed == {"i4"}
    assert (recipe.scores["token_f1"]["i4"].value, recipe.scores["token_f1"]["i4"].reason) == (
        None,
        "seed 1: generation failed",
    )


def test_a_seed_on_which_no_item_has_a_score_in_both_is_left_out():
    runs = six()
    empty = {"token_f1": {item: missing("not applicable") for item in runs[0].clusters}}
    runs[4] = replace(runs[4], scores=empty)
    (effect,) = seed_effects(average_seeds(runs), ["alone", "dskd"], [metric("token_f1")])
    assert list(effect.by_seed) == ["0", "2"]
    assert effect.effect.seeds == 2


def test_p_values_of_several_recipes_against_the_first_are_corrected_together():
    runs = six()
    runs += [run(f"uld-seed{seed}", values + 0.02, seed, algorithm="uld") for seed, values in enumerate(ALONE[::-1])]
    effects = seed_effects(average_seeds(runs), ["alone", "dskd", "uld"], [metric("token_f1")])
    raw = sorted((each.effect.p for each in effects), key=lambda p: p or 0.0)
    assert [each.recipe for each in effects] == ["dskd", "uld"]
    assert raw[0] is not None
    assert min(each.p_adjusted or 0.0 for each in effects) == pytest.approx(2 * raw[0])


def test_only_seeds_that_both_recipes_have_are_matched_and_too_few_say_nothing():
    recipes = average_seeds([*six()[:3], *six()[4:]])
    (effect,) = seed_effects(recipes, ["alone", "dskd"], [metric("token_f1")])
    assert list(effect.by_seed) == ["1", "2"]
    assert (effect.effect.p, effect.p_adjusted) == (None, None)
    assert "2 seeds in common, 3 are needed" in str(effect.effect.reason)


def test_runs_without_a_seed_stay_as_they_are_and_sizes_are_kept_apart():
    alone = six()[:3]
    plain = made_run("plain", {"token_f1": list(HARD)})
    large = run("large", HARD, 3, algorithm="sft")
    large = replace(large, header={**large.header, "model": {**large.header["model"], "parameters": 10**9}})
    recipes = average_seeds([plain, *alone, large])
    assert [recipe.run.name for recipe in recipes] == ["plain", "alone (3 seeds)", "large"]
    assert [each.by_seed for each in seed_effects(recipes, ["plain", "alone", "large"], [metric("token_f1")])] == [
        {},
        {},
    ]


def test_what_cannot_be_averaged_is_refused():
    with pytest.raises(InputError, match="the same factors and seed 0"):
        average_seeds([*six(), run("again", HARD, 0, algorithm="sft")])
    with pytest.raises(InputError, match="no two runs differ in their seed alone"):
        average_seeds([six()[0], six()[3]])


def write(folder: Path, name: str, header: dict[str, Any], values: Any) -> Path:
    """A run folder as `compare` reads it."""
    place = folder / name
    place.mkdir()
    (place / "run.json").write_text(json.dumps({**header, "status": "complete"}))
    rows = [
        {
            "item_id": f"i{i}",
            "cluster_id": f"d{i}",
            "category": None,
            "status": "ok",
            "scores": {"token_f1": value},
            "stats": {},
        }
        for i, value in enumerate(values)
    ]
    (place / "samples.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return place


def test_the_command_prints_recipes_and_seeds_and_refuses_a_study_of_averages(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    paths = [
        str(write(tmp_path, run.name, run.header, values)) for run, values in zip(six(), [*ALONE, *TAUGHT], strict=True)
    ]
    assert cli.main(["compare", *paths, "--average-seeds"]) == 0
    told = capsys.readouterr().out
    assert "alone (3 seeds)" in told
    assert "the recipes as such" in told
    assert cli.main(["compare", *paths, "--average-seeds", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [run["name"] for run in document["runs"]] == ["alone (3 seeds)", "dskd (3 seeds)"]
    assert document["runs"][1]["seeds"] == {str(seed): paths[3 + seed] for seed in range(3)}
    assert document["over_seeds"][0]["seeds"] == 3
    for wrong in (["--study"], []):
        given = paths if wrong else paths[:3]
        assert cli.main(["compare", *given, "--average-seeds", *wrong]) == InputError.exit_code
        assert capsys.readouterr().err.count("\n") == 1


def recipe_runs(recipe: str, shifts: list[float]) -> list[LoadedRun]:
    values = np.random.default_rng(2).uniform(0.3, 0.6, N)
    return [
        made_run(
            f"{recipe}{seed}", {"token_f1": (values + shift).tolist()}, factors={"algorithm": recipe, "seed": seed}
        )
        for seed, shift in enumerate(shifts)
    ]


def test_equal_effects_of_all_seeds_are_told_as_such():
    recipes = average_seeds([*recipe_runs("sft", [0.0, 0.01, 0.02]), *recipe_runs("kd", [0.1, 0.11, 0.12])])
    (found,) = seed_effects(recipes, ["sft", "kd"], [metric("token_f1")])
    assert (found.p_adjusted, found.effect.ci_low) == (0.25, None)
    lines = report_lines(replace(compared_runs([each.run for each in recipes], ["token_f1"]), seeds=[found]), wide=True)
    (line,) = (line for line in lines if "identical in all seeds" in line)
    assert "+0.100 (identical in all seeds)" in line
    assert "0.250" in line


def test_intervals_of_recipes_agree_with_their_corrected_p_values():
    runs = recipe_runs("sft", [0.0] * 4)
    # By itself the first has p = 0.03.
    given = ([0.010, 0.012, 0.020, 0.030], [0.0, 0.001, -0.001, 0.0005], [0.030, 0.031, 0.029, 0.030])
    for place, shifts in enumerate(given):
        runs += recipe_runs(f"kd{place}", shifts)
    recipes = average_seeds(runs)
    found = seed_effects(recipes, [each.run.name for each in recipes], [metric("token_f1")])
    assert [round(each.effect.p or 0.0, 2) for each in found] == [0.03, 0.79, 0.0]
    assert [each.p_adjusted is not None and each.p_adjusted <= 0.05 for each in found] == [False, False, True]
    for each in found:
        assert each.p_adjusted is not None
        assert each.effect.ci_low is not None
        assert each.effect.ci_high is not None
        assert (each.effect.ci_low <= 0 <= each.effect.ci_high) == (each.p_adjusted > 0.05)
