"""One record of a paired difference, and the warnings that matter."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from telbench.leaderboard.statistics.clusters import clustered
from telbench.leaderboard.statistics.paired import differences_of, paired_difference, power_of
from telbench.leaderboard.statistics.power import Needed, items_for_difference, items_for_margin, needed_for_margin

VALUES = st.lists(st.floats(-1, 1).map(lambda value: round(value, 2)), min_size=8, max_size=40)


def test_many_small_gains_and_a_few_disasters_are_called_a_conflict():
    found = paired_difference(np.concatenate([np.full(900, 0.01), np.full(100, -0.35)]))
    assert found.delta == pytest.approx(-0.026)
    assert found.p_mean < 1e-9
    assert found.rank_biserial is not None
    assert found.rank_biserial > 0
    assert "sign_conflict" in found.flags


def test_a_run_is_identical_to_itself():
    found = paired_difference(np.zeros(30))
    assert (found.flags, found.p_mean, found.p_wilcoxon, found.delta) == (("identical",), 1.0, 1.0, 0.0)


@given(VALUES)
@settings(max_examples=60, deadline=None)
def test_swapping_the_runs_turns_every_effect_and_keeps_every_p_value(values):
    here, there = paired_difference(np.array(values)), paired_difference(-np.array(values))
    assert there.delta == pytest.approx(-here.delta, abs=1e-12)
    assert there.hodges_lehmann == pytest.approx(-here.hodges_lehmann, abs=1e-12)
    assert (there.wins, there.losses) == (here.losses, here.wins)
    assert there.superiority == pytest.approx(1 - here.superiority)
    assert (there.p_mean, there.p_wilcoxon) == pytest.approx((here.p_mean, here.p_wilcoxon), abs=1e-9)
    if here.rank_biserial is not None:
        assert there.rank_biserial == pytest.approx(-here.rank_biserial)


def test_copies_of_a_cluster_do_not_shrink_the_p_value_of_clusters():
    draw = np.random.default_rng(0)
    values = draw.normal(0.3, 1, 30)
    clusters = [f"d{i}" for i in range(30)]
    once = paired_difference(values, clusters)
    copied = paired_difference(np.repeat(values, 5), np.repeat(clusters, 5).tolist())
    assert copied.p_mean == pytest.approx(once.p_mean)
    assert copied.p_wilcoxon == pytest.approx(once.p_wilcoxon)
    assert paired_difference(np.repeat(values, 5)).p_mean < once.p_mean


def test_lower_is_better_turns_the_sign_and_rounding_keeps_ties():
    run, other = np.array([0.525, 0.775, 0.325, 0.55]), np.array([0.5, 0.825, 0.375, 0.5])
    assert differences_of(other, run).tolist() == [-0.025, 0.05, 0.05, -0.05]
    assert differences_of(other, run, higher_is_better=False).tolist() == [0.025, -0.05, -0.05, 0.05]


def test_binary_metrics_get_mcnemars_test():
    differences = np.concatenate([np.ones(20), -np.ones(8), np.zeros(72)])
    found = paired_difference(differences)
    assert found.mcnemar is not None
    assert (found.wilcoxon, found.p_wilcoxon) == ("mcnemar exact", found.mcnemar.p_exact)
    assert "many_ties" in found.flags
    clustered = paired_difference(differences, [f"d{i // 5}" for i in range(100)])
    assert clustered.wilcoxon.startswith("signed rank")


def test_few_items_and_few_clusters_are_told():
    assert "few_items" in paired_difference(np.array([0.5, 0.2, 0.0, 0.0])).flags
    assert [paired_difference(np.linspace(0.1, 0.9, count)).flags for count in (5, 6)] == [
        ("few_items", "few_clusters"),
        (),
    ]
    assert "few_clusters" in paired_difference(np.linspace(-1, 1, 40), [str(i % 3) for i in range(40)]).flags


def test_the_record_is_json():
    document = json.loads(json.dumps(paired_difference(np.linspace(-1, 2, 20)).to_dict(), allow_nan=False))
    assert document["power"]["n"] == 20


def test_millers_sample_size():
    # Miller 2024, section 5: omega^2 = 1/9, delta = 0.03.
    assert items_for_difference((1 / 9) ** 0.5, 0.03) == 969


@pytest.mark.parametrize(("n", "deviation", "percent"), [(100, 0.15, 4.20), (1000, 0.30, 2.66), (10_000, 0.50, 1.40)])
def test_the_smallest_difference_that_n_items_can_show(n, deviation, percent):
    values = np.tile([deviation, -deviation], n // 2) * np.sqrt((n - 1) / n)
    found = power_of(clustered(values, None))
    assert found.detectable == pytest.approx(percent / 100, abs=6e-5)


def test_a_margin_that_the_truth_exceeds_can_never_be_shown():
    assert items_for_margin(0.3, 0.02, true_difference=-0.02) is None
    assert items_for_margin(0.3, 0.02) == pytest.approx(1391, abs=1)


@pytest.mark.parametrize(("alpha", "power"), [(0.05, 0.8), (0.01, 0.9), (0.2, 0.5)])
def test_power_is_that_of_the_normal_distribution(alpha, power):
    draw = np.random.default_rng(6)
    data = clustered(np.repeat(draw.normal(0, 1, 40), 5) + draw.normal(0, 0.3, 200), [f"d{i // 5}" for i in range(200)])
    found = power_of(data, alpha, power)
    assert data.standard_error is not None
    assert found.detectable is not None
    assert found.margin is not None
    assert (found.alpha, found.power, found.n, found.design_effect) == (alpha, power, 200, data.design_effect)
    # The chance that z exceeds its bound when the truth is what is said to be detectable.
    shift = found.detectable / data.standard_error
    assert stats.norm.sf(stats.norm.ppf(1 - alpha / 2) - shift) == pytest.approx(power)
    shift = found.margin / data.standard_error
    assert stats.norm.sf(stats.norm.ppf(1 - alpha) - shift) == pytest.approx(power)


@pytest.mark.parametrize(("alpha", "power"), [(0.05, 0.8), (0.1, 0.9)])
def test_so_many_items_have_the_power_asked_for_and_one_fewer_has_not(alpha, power):
    def two_sided(n):
        return stats.norm.sf(stats.norm.ppf(1 - alpha / 2) - 0.03 * np.sqrt(n) / 0.4)

    def one_sided(n):
        return stats.norm.sf(stats.norm.ppf(1 - alpha) - (0.02 + 0.005) * np.sqrt(n) / 0.4)

    n = items_for_difference(0.4, 0.03, alpha, power)
    assert two_sided(n) >= power > two_sided(n - 1)
    n = items_for_margin(0.4, 0.02, 0.005, alpha, power)
    assert n is not None
    assert one_sided(n) >= power > one_sided(n - 1)


def test_one_document_has_no_power_to_tell_of():
    found = power_of(clustered(np.array([0.1, 0.2]), ["d", "d"]))
    assert (found.detectable, found.margin) == (None, None)


@pytest.mark.parametrize(
    ("sizes", "few"), [([4] * 6, False), ([4] * 5, True), ([40, *[1] * 30], True), ([6, *[4] * 6], False)]
)
def test_few_documents_are_those_that_say_as_much_as_fewer_than_six_equal_ones(sizes, few):
    differences = np.linspace(0.1, 0.2, sum(sizes))
    clusters = [f"d{place}" for place, size in enumerate(sizes) for _ in range(size)]
    found = paired_difference(differences, clusters)
    assert found.effective_clusters == pytest.approx(sum(sizes) ** 2 / sum(size**2 for size in sizes))
    assert ("few_clusters" in found.flags) == few


@pytest.mark.parametrize(("ties", "differing", "flags"), [(50, 50, ()), (51, 49, ("many_ties",)), (0, 6, ())])
def test_more_than_half_of_the_items_tied_are_many(ties, differing, flags):
    assert paired_difference(np.array([0.0] * ties + [0.3] * differing)).flags == flags


@pytest.mark.parametrize("disasters", [-0.0905, -0.3])
def test_mean_and_ranks_are_in_conflict_where_either_is_shown(disasters):
    # Ranks are shown to be better in both; the mean is shown to be worse in the second alone.
    differences = np.array([0.01] * 900 + [disasters] * 100)
    found = paired_difference(differences)
    assert found.delta < 0
    assert (found.p_mean <= 0.05, found.p_wilcoxon <= 0.05) == (disasters == -0.3, True)
    assert "sign_conflict" in found.flags
    assert "sign_conflict" not in paired_difference(np.array([0.01] * 4 + [-0.03, -0.04])).flags


def test_effect_sizes_are_of_items_and_tests_of_documents():
    draw = np.random.default_rng(9)
    differences = np.repeat(draw.normal(0.1, 0.3, 20), 5) + draw.normal(0, 0.2, 100)
    documents = [f"d{item // 5}" for item in range(100)]
    found = paired_difference(differences, documents, level=0.9)
    ranks = stats.rankdata(np.abs(differences))
    assert found.rank_biserial == pytest.approx((ranks * np.sign(differences)).sum() / ranks.sum())
    assert found.superiority == pytest.approx((differences > 0).mean())
    means = differences.reshape(20, 5).mean(axis=1)
    expected: Any = stats.wilcoxon(means, method="exact")
    assert found.p_wilcoxon == pytest.approx(expected.pvalue)
    assert found.power.alpha == pytest.approx(0.1)
    assert (found.clusters, found.level, found.wilcoxon) == (20, 0.9, "signed rank, wilcox, exact")


@pytest.mark.parametrize(("gained", "lost", "n", "level"), [(20, 8, 60, 0.95), (8, 20, 60, 0.9), (0, 30, 30, 0.999)])
def test_the_interval_of_right_or_wrong_is_bonett_and_prices(gained, lost, n, level):
    # Their formula on the table with half a count more in either cell of change, kept between -1 and 1.
    values = np.array([1.0] * gained + [-1.0] * lost + [0.0] * (n - gained - lost))
    more = np.array([*values, 1.0, -1.0])
    half = stats.norm.ppf((1 + level) / 2) * more.std() / np.sqrt(n + 2)
    found = paired_difference(values, level=level)
    assert found.ci_low == pytest.approx(max(-1.0, more.mean() - half))
    assert found.ci_high == pytest.approx(min(1.0, more.mean() + half))
    assert found.delta == pytest.approx((gained - lost) / n)
    inverted = paired_difference(values, level=level, adjusted_wald=False)
    assert (inverted.ci_low == found.ci_low) == (gained == 0)


def test_only_a_metric_that_is_right_or_wrong_throughout_has_mcnemars_test():
    assert paired_difference(np.array([1.0, -1.0, 0.0, 1.0])).mcnemar is not None
    found = paired_difference(np.array([1.0, -1.0, 0.5, 1.0]))
    assert (found.mcnemar, found.wilcoxon) == (None, "signed rank, wilcox, exact")


def test_wins_ties_and_losses_are_counted():
    found = paired_difference(np.array([0.5, 0.1, 0.0, -0.2, 0.3, 0.0, 0.0, 1.0]))
    assert (found.n, found.wins, found.ties, found.losses, found.n_nonzero) == (8, 4, 3, 1, 5)


def test_differences_that_are_all_equal_have_a_design_effect_of_one():
    found = paired_difference(np.full(8, 0.25), [f"d{item // 2}" for item in range(8)])
    assert (found.power.design_effect, found.design_effect, found.power.detectable) == (1.0, None, 0.0)


def test_ties_count_half_for_superiority() -> None:
    assert paired_difference(np.array([1.0, 0.0, -1.0, 2.0])).superiority == 0.625


def test_a_margin_takes_as_many_documents_as_rule_out_failures_that_are_not_seen() -> None:
    sample = clustered(np.tile([0.02, -0.02], 60), np.repeat(np.arange(40), 3))
    # 59 items would do for the spread; none of 149 documents may fail.
    assert items_for_margin(0.0618, 0.02) == 60
    assert needed_for_margin(0.0618, 0.02, sample, loss=1.0) == Needed(447, 149)
    without = needed_for_margin(0.0618, 0.02, sample)
    assert without is not None
    assert (without.items, without.documents) == (60, 20)
    # Where the spread takes more documents, those that may fail are among them.
    assert needed_for_margin(0.618, 0.02, sample, loss=1.0) == needed_for_margin(0.618, 0.02, sample)
