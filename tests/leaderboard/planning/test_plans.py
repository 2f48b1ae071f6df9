"""Needs and budgets against the gate's own numbers, other packages and exact variances."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy.stats import norm
from statsmodels.stats.power import TTestPower

from telbench.errors import InputError
from telbench.leaderboard.compare.seeds import Recipe, average_seeds
from telbench.leaderboard.gate.gate import GatePolicy, judge_gate
from telbench.leaderboard.planning.budget import Costs, best_size, budget_of
from telbench.leaderboard.planning.components import Component, Components
from telbench.leaderboard.planning.needs import Shown, needs_of, ratio_of_spreads, seeds_for
from telbench.leaderboard.planning.pilot import Arms, Assumptions, Pilot, assumed_pilot, freedom_of, pilot_of
from telbench.leaderboard.runs.loaded import LoadedRun
from telbench.leaderboard.statistics.clusters import Summed, summed_up

from ...made_runs import answered_run, made_run, metric

NOTHING = Assumptions()


def pair(n: int = 240, *, per_document: int = 4, noise: float = 0.2, seed: int = 0) -> list[LoadedRun]:
    draw = np.random.default_rng(seed)
    base = draw.uniform(0.3, 0.7, n)
    shared = np.repeat(draw.normal(0, 0.1, -(-n // per_document)), per_document)[:n]
    values = {"base": base, "run": np.clip(base + shared + draw.normal(0, noise, n), 0, 1)}
    return [made_run(name, {"token_f1": each.tolist()}, per_document=per_document) for name, each in values.items()]


def planned(runs: list[LoadedRun], recipes: list[Recipe] | None = None, assumed: Assumptions = NOTHING) -> Pilot:
    arms = Arms(runs, recipes or [Recipe(run, {}) for run in runs], [metric("token_f1")], [])
    return pilot_of(metric("token_f1"), arms, assumed, alpha=0.05, max_missing=0.01)


def known(
    sizes: list[int], document: float, item: float, *, rest: float | None = None, seed: float | None = None
) -> Pilot:
    """A pilot with these variances; those of an item's mean over one seed hold the rest."""
    within = item + (rest or 0.0)
    share = document / (document + within)
    error = math.sqrt(document * sum(m * m for m in sizes) + within * sum(sizes)) / sum(sizes)
    parts = Components(
        Component(document),
        Component(item),
        Component(rest),
        Component(seed),
        Component(share, share / 2, 0.9),
        "",
        False,
    )
    sample = summed_up(np.zeros(len(sizes)), np.array(sizes, np.float64))
    return Pilot("token_f1", "two runs", sample, error * math.sqrt(sum(sizes)), None, parts, 1)


@pytest.mark.parametrize("margin", [0.01, 0.05, 0.2])
@pytest.mark.parametrize("per_document", [1, 4, 10])
def test_a_plan_from_two_runs_names_the_numbers_of_the_check(margin, per_document):
    base, run = pair(per_document=per_document)
    (gate,) = judge_gate(run, base, [metric("token_f1")], GatePolicy({"token_f1": margin})).metrics
    needs = needs_of(planned([base, run]), margin, alpha=0.05, power=0.8)
    assert needs.check is not None
    assert needs.check.needed is not None
    assert (needs.check.needed.items, needs.check.needed.documents) == (gate.n_for_margin, gate.clusters_for_margin)
    assert needs.pilot.detectable == pytest.approx(gate.detectable, rel=1e-3)
    assert needs.check.low is not None
    assert needs.check.high is not None
    assert needs.check.low.items <= needs.check.needed.items <= needs.check.high.items


def test_a_plan_for_a_corpus_score_names_the_numbers_of_the_check():
    draw = np.random.default_rng(1)
    words = np.array(["a", "b", "c", "d", "e", "f", "g"])
    texts = [" ".join(draw.choice(words, 9)) for _ in range(60)]
    answers = {name: [" ".join(draw.permutation(text.split())) for text in texts] for name in ("base", "run")}
    runs = [answered_run(name, "chrf", each, texts, per_document=2)[0] for name, each in answers.items()]
    (gate,) = judge_gate(runs[1], runs[0], [metric("chrf")], GatePolicy({"chrf": 2})).metrics
    arms = Arms(runs, [Recipe(run, {}) for run in runs], [metric("chrf")], [])
    pilot = pilot_of(metric("chrf"), arms, NOTHING, alpha=0.05, max_missing=0.01)
    needs = needs_of(pilot, 2, alpha=0.05, power=0.8)
    assert needs.check is not None
    assert needs.check.needed is not None
    assert needs.check.needed.items == gate.n_for_margin
    assert pilot.components.item.reason == "chrf is a score of the whole, items have no part of their own in it"


def test_a_comparison_is_two_sided_and_takes_more_than_a_check():
    needs = needs_of(planned(pair()), 0.02, alpha=0.05, power=0.8)
    assert needs.check is not None
    assert needs.comparison is not None
    assert needs.check.needed is not None
    assert needs.comparison.needed is not None
    ratio = ((norm.ppf(0.975) + norm.ppf(0.8)) / (norm.ppf(0.95) + norm.ppf(0.8))) ** 2
    assert needs.comparison.needed.items / needs.check.needed.items == pytest.approx(ratio, rel=0.01)


def test_a_plan_never_has_fewer_documents_than_carry_a_claim():
    needs = needs_of(known([5] * 40, 0.001, 0.01), 0.5, alpha=0.05, power=0.8)
    assert needs.check is not None
    assert needs.check.needed is not None
    assert (needs.check.needed.items, needs.check.needed.documents) == (30, 6)


def test_a_pilot_of_too_little_plans_nothing_and_says_what_it_takes():
    needs = needs_of(known([50] * 4, 0.001, 0.01), 0.02, alpha=0.05, power=0.8, design=(200, 50))
    reason = "the pilot says as much as 4.0 equal documents, it takes 6"
    assert needs.check is not None
    assert (needs.check.needed, needs.check.reason) == (None, reason)
    assert needs.design == Shown(200, 50, None, None, reason=reason)
    base = made_run("base", {"token_f1": [0.5] * 100})
    run = made_run("run", {"token_f1": [0.6] * 5 + [0.5] * 95})
    few = needs_of(planned([base, run]), 0.02, alpha=0.05, power=0.8)
    assert few.check is not None
    assert few.check.reason == "too few items differ: 5 of 100, it takes 6"
    assert [option.error for option in budget_of(planned([base, run]), Costs())] == [None, None, None]


def test_a_design_is_judged_by_the_variances_of_documents_and_items():
    pilot = known([1] * 30 + [2] * 15, 0.01, 0.05)
    needs = needs_of(pilot, 0.02, alpha=0.05, power=0.9, design=(700, 100))
    error = math.sqrt(0.01 * 7**2 * 100 + 0.05 * 700) / 700
    assert needs.design is not None
    assert needs.design.standard_error == pytest.approx(error)
    deviates = norm.ppf(0.95) + norm.ppf(0.9)
    assert needs.design.detectable == pytest.approx(deviates * error)
    assert needs.check_in_design is not None
    assert needs.check_in_design.needed is not None
    wanted = math.ceil(deviates**2 * (0.01 * 7 + 0.05) / 0.02**2)
    assert needs.check_in_design.needed.items == pytest.approx(wanted, abs=1)
    assert needs.check_in_design.needed.documents == math.ceil(needs.check_in_design.needed.items / 7)


def test_the_ratio_of_spreads_is_that_of_simulated_means():
    draw = np.random.default_rng(0)
    variances = []
    for size in (2, 10):
        groups = 60 // size
        documents, items = draw.normal(size=(4000, groups, 1)), draw.normal(size=(4000, groups, size))
        variances.append((math.sqrt(0.3) * documents + math.sqrt(0.7) * items).mean(axis=(1, 2)).var())
    assert variances[1] / variances[0] == pytest.approx(ratio_of_spreads(0.3, 10, 2), rel=0.1)


@pytest.mark.parametrize(("deviation", "effect"), [(0.01, 0.02), (0.02, 0.02), (0.05, 0.02)])
def test_seeds_have_the_power_of_a_t_test(deviation, effect):
    pilot = known([5] * 40, 0.001, 0.01, seed=deviation**2)
    found = seeds_for(pilot, effect, 0.05, 0.8).seeds
    assert found is not None
    power = TTestPower().power
    assert power(effect / deviation, found, 0.05) >= 0.8
    assert found == 3 or power(effect / deviation, found - 1, 0.05) < 0.8
    # What single answers add to a seed's mean over 200 items counts too.
    noisy = seeds_for(known([5] * 40, 0.001, 0.01, seed=deviation**2, rest=0.5), effect, 0.05, 0.8).seeds
    assert noisy is not None
    assert noisy > found
    assert power(effect / math.sqrt(deviation**2 + 0.5 / 200), noisy, 0.05) >= 0.8


def test_seeds_that_are_not_known_are_absent_and_an_assumption_stands_in():
    runs = pair()
    needs = needs_of(planned(runs), 0.02, alpha=0.05, power=0.8)
    assert needs.seeds is not None
    assert (needs.seeds.seeds, needs.seeds.reason) == (None, "one training seed a model")
    assumed = needs_of(planned(runs, assumed=Assumptions(seed_sd=0.01)), 0.02, alpha=0.05, power=0.8)
    assert assumed.seeds is not None
    assert assumed.seeds.seeds == seeds_for(known([5] * 40, 0.001, 0.01, seed=1e-4), 0.02, 0.05, 0.8).seeds


def test_runs_with_several_seeds_tell_what_seeds_and_single_answers_add():
    draw = np.random.default_rng(5)
    items = draw.uniform(0.3, 0.7, 400)
    effects = {"base": [0.0, 0.0, 0.0], "run": [0.06, -0.02, 0.02]}
    runs = [
        made_run(
            f"{name}-{seed}",
            {"token_f1": np.clip(items + effect + draw.normal(0, 0.05, 400), 0, 1).tolist()},
            factors={"algorithm": name, "seed": seed},
        )
        for name, own in effects.items()
        for seed, effect in enumerate(own)
    ]
    recipes = average_seeds(runs)
    pilot = planned([recipe.run for recipe in recipes], recipes)
    assert pilot.seeds == 3
    assert pilot.components.rest.value == pytest.approx(2 * 0.05**2, rel=0.15)
    assert pilot.components.replicate.value == pytest.approx(0.0016, rel=0.2)
    assert pilot.delta == pytest.approx(0.02, abs=0.01)
    # One seed in common tells nothing of seeds, and the plan is that of the averages.
    fewer = [*average_seeds(runs[:3]), Recipe(runs[3], {"0": runs[3]})]
    alone = planned([recipe.run for recipe in fewer], fewer)
    assert (alone.seeds, alone.components.replicate.reason) == (1, "the models have no two seeds in common")
    assert alone.components.item_holds_rest
    assert alone.spread == planned([recipe.run for recipe in fewer]).spread


def test_one_run_with_a_correlation_plans_as_two_runs_that_have_it():
    draw = np.random.default_rng(7)
    shared, noises = draw.normal(size=20_000), draw.normal(size=(2, 20_000))
    sides = [0.5 + 0.05 * (math.sqrt(0.6) * shared + math.sqrt(0.4) * noise) for noise in noises]
    runs = [made_run(name, {"token_f1": side.tolist()}) for name, side in zip(("a", "b"), sides, strict=True)]
    one = planned(runs[:1], assumed=Assumptions(correlation=0.6)).spread
    assert one == pytest.approx(planned(runs).spread, rel=0.03)
    assert planned(runs[:1], assumed=Assumptions(sd=0.1)).spread == pytest.approx(0.1, rel=0.01)
    with pytest.raises(InputError, match="--correlation"):
        planned(runs[:1])


def test_the_spread_of_many_normal_documents_is_known_to_as_many_degrees_of_freedom():
    draw = np.random.default_rng(9)
    found = freedom_of(summed_up(draw.normal(size=4000), np.ones(4000)))
    assert found == pytest.approx(3999, rel=0.1)
    # Differences that are 0 but for a few say far less (kurtosis 1 / p).
    rare = np.array([1.0, -1.0] * 20 + [0.0] * 3960)
    assert freedom_of(summed_up(rare, np.ones(4000))) == pytest.approx(2 * 4000 / (1 / 0.01 - 1), rel=0.01)
    assert freedom_of(summed_up(np.ones(1), np.ones(1))) is None


def test_nine_of_ten_pilots_name_an_interval_that_holds_what_the_truth_takes():
    draw, sizes = np.random.default_rng(4), np.array([1, 2, 3, 4, 5, 8] * 10)
    truth = 0.3**2 * (1 + (float((sizes**2).sum() / sizes.sum()) - 1) * 0.05)
    held = 0
    for _ in range(400):
        sums = 0.3 * (math.sqrt(0.05) * sizes * draw.normal(size=60) + np.sqrt(0.95 * sizes) * draw.normal(size=60))
        pilot = planned_from(summed_up(sums, sizes.astype(np.float64)))
        needs = needs_of(pilot, 0.02, alpha=0.05, power=0.8)
        assert needs.check is not None
        assert needs.check.low is not None
        assert needs.check.high is not None
        held += (
            needs.check.low.items <= truth * (norm.ppf(0.95) + norm.ppf(0.8)) ** 2 / 0.02**2 <= needs.check.high.items
        )
    assert held / 400 == pytest.approx(0.9, abs=0.06)


def planned_from(sample: Summed) -> Pilot:
    unknown = Component(None, reason="made")
    parts = Components(unknown, unknown, unknown, unknown, unknown, "none", True)
    error = sample.standard_error
    assert error is not None
    return Pilot("token_f1", "two runs", sample, error * math.sqrt(sample.n), freedom_of(sample), parts, 1)


@pytest.mark.parametrize("sizes", [[6] * 20, [1, 2, 3, 10, 4] * 6])
def test_the_same_money_buys_the_errors_of_exact_variances(sizes):
    document, item, rest, seed = 0.01, 0.02, 0.03, 0.0004
    pilot = known(sizes, document, item, rest=rest, seed=seed)
    count, squares = sum(sizes), sum(m * m for m in sizes)

    def variance(documents: int, items: int, seeds: int) -> float:
        # Of the mean over these documents taken so many times, with so many times the items, over seeds.
        many = documents * items * count
        return (document * squares * documents * items**2 + (item + rest / seeds) * many) / many**2

    options = {option.buys: option for option in budget_of(pilot, Costs())}
    for buys, terms in {"now": (1, 1, 1), "documents": (2, 1, 1), "items": (1, 2, 1), "seeds": (1, 1, 2)}.items():
        found, (documents, items, seeds) = options[buys], terms
        assert (found.documents, found.items, found.seeds) == (documents * len(sizes), documents * items * count, seeds)
        assert found.error == pytest.approx(math.sqrt(variance(*terms)))
        assert found.recipe_error == pytest.approx(math.sqrt(variance(*terms) + seed / seeds))
        assert found.cost == (0 if buys == "now" else 2 * count)
    low, high = options["items"].low, options["items"].high
    assert low is not None
    assert high is not None
    assert low < (options["items"].error or 0) < high


def test_costs_decide_how_much_of_each_the_budget_buys():
    pilot = known([5] * 20, 0.01, 0.02, rest=0.01, seed=0.0004)
    costs = Costs(cost_answer=0.5, cost_item=2, cost_document=35, cost_seed=30, spend=150)
    bought = {option.buys: option for option in budget_of(pilot, costs)}
    # An item: 2 + 2 answers of 0.5. A document: 35 + 5 items of 3. A seed: 2 trainings of 30, 200 answers of 0.5.
    assert (bought["items"].items, bought["items"].cost) == (150, 150)
    assert (bought["documents"].documents, bought["documents"].items, bought["documents"].cost) == (23, 115, 150)
    assert bought["seeds"].reason == "one seed more costs 160"
    assert bought["seeds"].error is None


def test_the_best_size_of_a_document_is_that_of_the_least_error_for_the_money():
    pilot = known([5] * 20, 0.01, 0.09)
    costs = Costs(cost_document=30)
    money = 3000

    def error(size: int) -> float:
        documents = money / (30 + 2 * size)
        return (0.01 + 0.09 / size) / documents

    assert best_size(pilot, costs) == pytest.approx(min(range(1, 60), key=error), abs=0.7)
    assert best_size(pilot, Costs()) is None


def test_what_depends_on_an_unknown_share_is_absent_within_its_bounds():
    pilot = known([5] * 20, 0.0, 0.02)
    absent = Component(None, None, 0.3, "no more alike")
    parts = Components(absent, pilot.components.item, absent, absent, absent, "", True)
    pilot = Pilot("token_f1", "two runs", pilot.sample, pilot.spread, None, parts, 1)
    options = {option.buys: option for option in budget_of(pilot, Costs())}
    assert set(options) == {"now", "documents", "items"}
    found = options["items"]
    assert (found.error, found.reason) == (None, "no more alike")
    assert found.low == pytest.approx(options["documents"].error or 0)
    needs = needs_of(pilot, 0.02, alpha=0.05, power=0.8, design=(1000, 50))
    assert needs.design is not None
    assert needs.design.detectable is None
    assert (needs.design.low or 0) < (needs.design.high or 0)


def test_a_plan_from_assumptions_is_that_of_the_formula():
    assumed = Assumptions(sd=1 / 3, icc=0.0)
    needs = needs_of(assumed_pilot("token_f1", assumed, 1000, 1000), 0.03, alpha=0.05, power=0.8)
    assert needs.comparison is not None
    assert needs.comparison.needed is not None
    # Miller 2024, section 5.
    assert needs.comparison.needed.items == 969
    with pytest.raises(InputError, match="--icc"):
        assumed_pilot("token_f1", Assumptions(sd=0.3), 100, 50)
    with pytest.raises(InputError, match="--sd"):
        assumed_pilot("token_f1", NOTHING, 100, 50)
    uneven = assumed_pilot("token_f1", Assumptions(sd=0.3, icc=0.1), 103, 20).sample
    assert (uneven.n, sorted(set(uneven.sizes))) == (103, [5, 6])


def test_the_gate_passes_an_unchanged_model_about_as_often_as_planned():
    draw, sizes = np.random.default_rng(12), np.array([2, 4, 6])
    spread = 0.3 * math.sqrt(1 + (float((sizes**2).sum() / sizes.sum()) - 1) * 0.1)
    items = math.ceil(((norm.ppf(0.95) + norm.ppf(0.8)) * spread / 0.1) ** 2)
    all_sizes = list(itertools.islice(itertools.cycle(sizes.tolist()), math.ceil(items / 4)))
    membership = np.repeat(np.arange(len(all_sizes)), all_sizes)
    passed = 0
    for _ in range(150):
        errors = math.sqrt(0.1) * draw.normal(size=len(all_sizes))[membership]
        errors = 0.3 * (errors + math.sqrt(0.9) * draw.normal(size=len(membership)))
        base, run = (made_run(name, {"token_f1": [0.5] * len(membership)}) for name in ("base", "run"))
        clusters = {item: str(c) for item, c in zip(base.clusters, membership, strict=True)}
        scores = {"token_f1": {item: made(0.5 + error) for item, error in zip(clusters, errors, strict=True)}}
        base, run = (LoadedRun(r.path, r.header, clusters, s) for r, s in ((base, base.scores), (run, scores)))
        passed += judge_gate(run, base, [metric("token_f1")], GatePolicy({"token_f1": 0.1})).verdict == "pass"
    # Three and a half standard errors of a share of 0.8 among 150.
    assert passed / 150 == pytest.approx(0.8, abs=0.115)


def made(value: float):
    from telbench.metrics.contract import ItemScore

    return ItemScore(float(value))
