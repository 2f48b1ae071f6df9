"""A study's effects: planted ones are found, what depends on what is told, seeds speak for recipes."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

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
    assert one.recipe.reason == "no statement about the recipe: 1 seed, 3 are needed"
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
    from scipy import stats

    effects = [0.02, 0.05, 0.03, 0.01]
    expected: Any = stats.ttest_1samp(effects, 0)
    assert matched_seeds(effects).p == pytest.approx(expected.pvalue)
    assert matched_seeds(effects[:2]).p is None
