"""A study's effects: planted ones are found, what depends on what is told, seeds speak for recipes."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from scipy import stats

from telbench.errors import InputError
from telbench.leaderboard.statistics.factorial import ScoredCell, analyse
from telbench.leaderboard.statistics.recipes import matched_seeds

LEVELS = {
    "teacher_sft": ("false", "true"),
    "student_sft": ("false", "true"),
    "vocabulary": ("same", "different"),
    "algorithm": ("kd", "dskd"),
}


def planted(seeds: int = 1, n: int = 1500, noise: float = 0.1) -> list[ScoredCell]:
    """Sixteen cells: student tuning +.03, teacher tuning +.04 and +.06 more with the same vocabulary."""
    draw = np.random.default_rng(0)
    base = draw.normal(0.5, 0.3, n)
    cells = []
    for seed in range(seeds):
        for combination in itertools.product(*LEVELS.values()):
            cell = dict(zip(LEVELS, combination, strict=True))
            effect = 0.03 * (cell["student_sft"] == "true")
            if cell["teacher_sft"] == "true":
                effect += 0.10 if cell["vocabulary"] == "same" else 0.04
            cells.append(ScoredCell(cell, str(seed), base + effect + draw.normal(0, noise, n)))
    return cells


def test_planted_effects_and_their_interaction_are_found():
    study = analyse(planted(), None)
    main = {effect.factors[0]: effect for effect in study.main}
    assert main["teacher_sft"].items.delta == pytest.approx(0.07, abs=0.005)
    assert main["student_sft"].items.delta == pytest.approx(0.03, abs=0.005)
    assert main["algorithm"].p_adjusted > 0.05
    significant = [effect for effect in study.interactions if effect.p_adjusted <= 0.05]
    assert [effect.factors for effect in significant] == [("teacher_sft", "vocabulary")]
    # Half of the difference of the simple effects: (.04 - .10) / 2.
    assert significant[0].items.delta == pytest.approx(-0.03, abs=0.005)
    assert len(study.main) + len(study.interactions) == 4 + 6


def test_simple_effects_are_given_where_an_interaction_is_significant():
    simple = {effect.contrast: effect.items.delta for effect in analyse(planted(), None).simple}
    assert simple["teacher_sft: true - false where vocabulary = same"] == pytest.approx(0.10, abs=0.006)
    assert simple["teacher_sft: true - false where vocabulary = different"] == pytest.approx(0.04, abs=0.006)


def test_a_contrast_has_the_error_of_cluster_robust_regression():
    formula = pytest.importorskip("statsmodels.api")
    cells = planted(n=300)
    study = analyse(cells, None)
    teacher = next(effect for effect in study.main if effect.factors == ("teacher_sft",))
    codes = np.array(
        [[1 if cell.levels[name] == levels[1] else -1 for name, levels in LEVELS.items()] for cell in cells]
    )
    design = np.column_stack([np.ones(16), codes])
    outcome = np.concatenate([cell.scores for cell in cells])
    items = np.tile(np.arange(300), 16)
    fit = formula.OLS(outcome, np.repeat(design, 300, axis=0)).fit(
        cov_type="cluster", cov_kwds={"groups": items, "use_correction": False}
    )
    assert teacher.items.delta == pytest.approx(2 * fit.params[1])
    assert teacher.items.standard_error == pytest.approx(2 * float(fit.bse[1]) * np.sqrt(300 / 299), rel=1e-6)


def test_every_factor_is_tested_within_every_combination_of_the_others():
    study = analyse(planted(n=200), None)
    assert len(study.within) == 4 * 8
    teacher = [effect for effect in study.within if effect.factors[0] == "teacher_sft"]
    assert len({effect.family for effect in teacher}) == 1
    assert all(effect.p_adjusted >= effect.items.p_mean for effect in teacher)
    assert all(effect.p_wilcoxon_adjusted >= effect.items.p_wilcoxon for effect in teacher)


def test_cells_without_a_partner_do_not_count():
    cells = [
        cell
        for cell in planted(n=100)
        if not (cell.levels["vocabulary"] == "different" and cell.levels["algorithm"] == "kd")
    ]
    study = analyse(cells, None)
    main = {effect.factors[0]: effect.cells for effect in study.main}
    assert main == {"teacher_sft": 12, "student_sft": 12, "vocabulary": 8, "algorithm": 8}
    assert study.omitted == (
        "vocabulary (different - same) x algorithm (dskd - kd): no cells that differ in this alone",
    )


def test_one_seed_says_nothing_of_the_recipe_and_several_do():
    one = analyse(planted(n=200), None).main[0]
    assert one.recipe.p is None
    assert one.recipe.reason == "no statement about the recipe: 1 seed in common, 3 are needed"
    many = analyse(planted(seeds=4, n=200), None).main[0]
    assert many.recipe.seeds == 4
    assert many.recipe.ci_low is not None
    assert many.recipe.ci_high is not None
    assert many.recipe.ci_low < 0.07 < many.recipe.ci_high
    assert many.recipe.effect == pytest.approx(many.items.delta)


def test_items_without_a_score_are_left_out_of_a_contrast():
    cells = planted(n=100)
    cells[3].scores[:10] = np.nan
    assert {effect.items.n for effect in analyse(cells, None).main} == {90}


def test_lower_is_better_turns_the_effects():
    up, down = (analyse(planted(n=100), None, higher_is_better=flag).main[0].items.delta for flag in (True, False))
    assert up == pytest.approx(-down)


@pytest.mark.parametrize(
    ("levels", "message"),
    [
        ([{"a": "1"}, {"a": "1"}], "no factor varies"),
        ([{"a": "1"}, {"a": "2"}, {"a": "2"}], "two runs have the same factors and seed"),
        ([{"a": "1"}, {"b": "2"}], "a run has no factor"),
    ],
)  # fmt: skip
def test_what_is_no_study_is_refused(levels, message):
    with pytest.raises(InputError, match=message):
        analyse([ScoredCell(each, "0", np.zeros(3)) for each in levels], None)


def test_an_unknown_factor_is_refused():
    with pytest.raises(InputError, match="no run has the factor 'size'"):
        analyse(planted(n=20), None, factors=["size"])


def test_matched_seeds_are_compared_by_a_paired_t_test():
    effects = [0.02, 0.05, 0.03, 0.01]
    expected: Any = stats.ttest_1samp(effects, 0)
    assert matched_seeds(effects).p == pytest.approx(expected.pvalue)
    assert matched_seeds(effects[:2]).p is None


def two_by_two(interaction: float, seeds: int = 1, n: int = 400) -> list[ScoredCell]:
    """Cells of two factors whose effects depend on one another by so much."""
    draw = np.random.default_rng(3)
    base = draw.normal(0.5, 0.2, n)
    return [
        ScoredCell({"a": a, "b": b}, str(seed), base + interaction * (a == b == "1") + draw.normal(0, 0.1, n))
        for seed in range(seeds)
        for a, b in itertools.product("01", "01")
    ]


def test_simple_effects_follow_an_interaction_at_the_level_that_was_asked_for():
    # An interaction whose corrected p lies between 0.01 and 0.05.
    cells = two_by_two(0.034)
    for level, count in ((0.95, 4), (0.99, 0)):
        study = analyse(cells, None, level=level)
        assert 0.01 < study.interactions[0].p_adjusted <= 0.05
        assert len(study.simple) == count
    study = analyse(two_by_two(0.03), None)
    assert 0.05 < study.interactions[0].p_adjusted < 0.1
    assert study.simple == ()


@pytest.mark.parametrize(("level", "sign"), [(0.95, 1), (0.8, -1)])
def test_a_main_effect_is_the_mean_of_its_differences_over_items_and_over_seeds(level, sign):
    cells = two_by_two(0.1, seeds=4)
    documents = [f"d{item // 4}" for item in range(400)]
    effect = analyse(cells, documents, level=level, higher_is_better=sign > 0).main[0]
    by_seed = []
    for seed in range(4):
        side = {
            a: np.mean([c.scores for c in cells if c.seed == str(seed) and c.levels["a"] == a], axis=0) for a in "01"
        }
        by_seed.append(sign * (side["1"] - side["0"]))
    expected: Any = stats.ttest_1samp([float(each.mean()) for each in by_seed], 0)
    interval = expected.confidence_interval(level)
    assert (effect.recipe.effect, effect.recipe.p) == pytest.approx((np.mean(by_seed), expected.pvalue))
    assert (effect.recipe.ci_low, effect.recipe.ci_high) == pytest.approx((interval.low, interval.high))
    # The mean of 100 documents is nearly normal: its interval is close to that of t.
    alone: Any = stats.ttest_1samp(np.mean(by_seed, axis=0).reshape(100, 4).mean(axis=1), 0)
    interval = alone.confidence_interval(level)
    assert (effect.items.ci_low, effect.items.ci_high) == pytest.approx((interval.low, interval.high), abs=5e-4)
    assert (effect.items.level, effect.items.clusters, effect.cells) == (level, 100, 4)


def test_both_tests_of_a_family_are_corrected_each_by_itself():
    effects = analyse(planted(n=60), None)
    family = [*effects.main, *effects.interactions]
    for raw, adjusted in (("p_mean", "p_adjusted"), ("p_wilcoxon", "p_wilcoxon_adjusted")):
        values = sorted((getattr(each.items, raw), getattr(each, adjusted)) for each in family)
        highest = 0.0
        for place, (p, found) in enumerate(values):
            highest = max(highest, min(1.0, (10 - place) * p))
            assert found == pytest.approx(highest)


def test_only_seeds_that_all_cells_have_speak_for_a_recipe():
    cells = [cell for cell in two_by_two(0.1, seeds=4) if cell.seed != "3" or cell.levels["a"] == "0"]
    assert [effect.recipe.seeds for effect in analyse(cells, None).main] == [3, 3]


def test_levels_stand_in_an_order_that_a_reader_expects():
    levels = {"teacher": ["true", "false"], "method": ["dskd", "kd"], "start": ["sft", "base"], "size": ["b", "a"]}
    given = [{name: pair[place] for name, pair in levels.items()} for place in (0, 1)]
    cells = [ScoredCell(each, "0", np.arange(8, dtype=np.float64) + place) for place, each in enumerate(given)]
    cells += [ScoredCell({**given[0], "size": "a"}, "0", np.arange(8, dtype=np.float64))]
    assert analyse(cells, None).factors == {
        "teacher": ("false", "true"),
        "method": ("kd", "dskd"),
        "start": ("base", "sft"),
        "size": ("a", "b"),
    }


@pytest.mark.parametrize(
    ("effects", "effect", "p"), [([], None, None), ([0.2], 0.2, None), ([0.1, 0.3], 0.2, None), ([0.5] * 3, 0.5, 0.25)]
)
def test_three_seeds_are_the_fewest_that_speak(effects, effect, p):
    found = matched_seeds(effects)
    assert (found.effect, found.p, found.seeds) == (effect and pytest.approx(effect), p, len(effects))
    assert matched_seeds([0.0] * 3).p == 1.0
    expected: Any = stats.ttest_1samp([0.1, 0.3, 0.2], 0)
    assert matched_seeds([0.1, 0.3, 0.2]).p == pytest.approx(expected.pvalue)


@pytest.mark.parametrize("effects", [[0.1] * 3, [0.1, 0.1 + 1e-16, 0.1 - 1e-13], [-0.02] * 5])
def test_effects_that_are_the_same_with_all_seeds_have_the_p_value_of_their_sign(effects):
    found = matched_seeds(effects)
    assert found.p == stats.binomtest(len(effects), len(effects)).pvalue
    assert (found.ci_low, found.ci_high, found.reason) == (None, None, "identical in all seeds")
    assert found.effect == pytest.approx(effects[0])
    # A spread that scores can have is a spread.
    spread = matched_seeds([*effects[:-1], effects[0] + 1e-6])
    assert (spread.reason, spread.method) == (None, "t over matched seeds")
    assert spread.ci_low is not None


def test_a_contrast_says_which_levels_it_compares_and_where():
    study = analyse(planted(n=200), None)
    main = {effect.factors[0]: effect.contrast for effect in study.main}
    assert main == {
        "teacher_sft": "teacher_sft: true - false",
        "student_sft": "student_sft: true - false",
        # Same before different, whichever is better.
        "vocabulary": "vocabulary: different - same",
        "algorithm": "algorithm: dskd - kd",
    }
    told = {effect.factors: effect.contrast for effect in study.interactions}
    assert told["teacher_sft", "vocabulary"] == "teacher_sft (true - false) x vocabulary (different - same)"
    assert "algorithm: dskd - kd where teacher_sft = false, student_sft = true, vocabulary = same" in {
        effect.contrast for effect in study.within
    }


def test_an_interaction_without_cells_says_the_same_words():
    cells = [cell for cell in two_by_two(0.1) if cell.levels != {"a": "1", "b": "1"}]
    assert analyse(cells, None).omitted == ("a (1 - 0) x b (1 - 0): no cells that differ in this alone",)


def test_three_levels_are_compared_pair_by_pair():
    base = np.random.default_rng(1).normal(0.5, 0.1, 100)
    shifts = {("x", "0"): 0.0, ("y", "0"): 0.1, ("z", "0"): 0.3, ("x", "1"): 0.0, ("y", "1"): 0.2, ("z", "1"): 0.6}
    cells = [ScoredCell({"a": a, "b": b}, "0", base + shift) for (a, b), shift in shifts.items()]
    study = analyse(cells, None)
    assert {effect.contrast: round(effect.items.delta, 9) for effect in study.main} == {
        "a: y - x": 0.15,
        "a: z - x": 0.45,
        "a: z - y": 0.3,
        "b: 1 - 0": pytest.approx(0.4 / 3),
    }
    assert {effect.contrast: round(effect.items.delta, 9) for effect in study.interactions} == {
        "a (y - x) x b (1 - 0)": 0.05,
        "a (z - x) x b (1 - 0)": 0.15,
        "a (z - y) x b (1 - 0)": 0.1,
    }


def test_the_interval_of_a_contrast_agrees_with_its_corrected_p_value():
    study = analyse(planted(n=100), None)
    effects = (*study.main, *study.interactions, *study.simple, *study.within)
    # Some are significant by themselves and not in their family.
    assert sum(effect.items.p_mean <= 0.05 < effect.p_adjusted for effect in effects) == 6
    for effect in effects:
        assert effect.ci_adjusted is not None
        assert (effect.ci_adjusted[0] <= 0 <= effect.ci_adjusted[1]) == (effect.p_adjusted > 0.05)
        assert effect.items.ci_low is not None
        assert effect.ci_adjusted[0] <= effect.items.ci_low
    # Of right or wrong, too, the interval is that of the test.
    draw = np.random.default_rng(2)
    right = (draw.random((2, 60)) < [[0.3], [0.5]]).astype(float)
    cells = [ScoredCell({"method": name}, "0", row) for name, row in zip("ab", right, strict=True)]
    (effect,) = analyse(cells, None).main
    assert (effect.items.ci_low, effect.items.ci_high) == effect.ci_adjusted
