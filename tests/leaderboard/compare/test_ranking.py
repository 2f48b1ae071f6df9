"""Rank ranges and groups of three runs or more."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from scipy import stats

from telbench.errors import InputError
from telbench.leaderboard.compare.pairwise import compare_runs
from telbench.leaderboard.compare.ranking import rank_runs, ranked_together
from telbench.leaderboard.statistics.multiplicity import holm
from telbench.leaderboard.statistics.paired import differences_of, paired_difference
from telbench.metrics.contract import missing

from ...made_runs import answered_run, compared_runs, made_run, metric, report_lines

BASE = np.random.default_rng(1).uniform(0.2, 0.7, 200)
SHIFTS = {"best": 0.10, "next": 0.0, "last": 0.0}


def runs(per_document: int = 1):
    noise = np.random.default_rng(2)
    return [
        made_run(name, {"token_f1": (BASE + shift + noise.normal(0, 0.05, 200)).tolist()}, per_document=per_document)
        for name, shift in SHIFTS.items()
    ]


@pytest.mark.parametrize("posthoc", ["wilcoxon", "mean", "nemenyi", "conover"])
def test_runs_that_are_not_separated_share_ranks_and_letters(posthoc):
    found = rank_runs(runs(), metric("token_f1"), posthoc=posthoc)
    assert found.order[0] == 0
    assert (found.ranges[0], found.letters[0]) == ((1, 1), "a")
    assert found.ranges[1] == found.ranges[2] == (2, 3)
    assert found.letters[1] == found.letters[2] == "b"
    assert found.bars == (tuple(found.order[1:]),)
    assert (found.critical_difference is not None) == (posthoc == "nemenyi")


def test_an_added_run_does_not_change_the_verdict_on_a_pair_by_much():
    first = rank_runs(runs(), metric("token_f1")).p[0][1]
    more = [*runs(), made_run("other", {"token_f1": (BASE - 0.1).tolist()})]
    again = rank_runs(more, metric("token_f1")).p[0][1]
    # Only Holm's factor moves: at most six pairs for three.
    assert first <= again <= 6 * first + 1e-12


def test_documents_are_the_blocks():
    assert rank_runs(runs(10), metric("token_f1")).blocks == 20
    assert rank_runs(runs(10), metric("token_f1"), by="item").blocks == 200


def test_identical_runs_are_one_group():
    same = [made_run(name, {"token_f1": BASE.tolist()}) for name in ("a", "b", "c")]
    found = rank_runs(same, metric("token_f1"))
    assert found.letters == ("a", "a", "a")
    assert found.ranges == ((1, 3),) * 3
    assert found.friedman.p == 1.0


def test_the_table_prints_ranges_not_bare_ranks():
    lines = report_lines(compared_runs(runs(), ["token_f1"]))
    assert any(line.startswith("2-3") for line in lines)
    assert any("Holm-corrected over all pairs" in line for line in lines)


def test_a_ranking_takes_documents_for_its_tests_and_says_values_as_they_are():
    found = rank_runs([*runs(10), made_run("more", {"token_f1": (BASE + 0.02).tolist()}, per_document=10)],
                      metric("token_f1"), posthoc="nemenyi")  # fmt: skip
    # Demsar 2006, table 5(a): q = 2.569 for four; twenty documents.
    assert found.critical_difference == pytest.approx(2.569 * math.sqrt(4 * 5 / (6 * 20)), abs=1e-3)
    assert found.friedman.n == 20
    rates = [made_run(name, {"over_refusal": (BASE + shift).tolist()}) for name, shift in SHIFTS.items()]
    lower = rank_runs(rates, metric("over_refusal"))
    assert lower.means == pytest.approx([BASE.mean() + shift for shift in SHIFTS.values()])
    # Equal runs stand in the order in which they were named.
    assert lower.order == (1, 2, 0)


@pytest.mark.parametrize("alpha", [0.2, 0.01])
def test_intervals_of_pairs_have_the_level_that_was_asked_for(alpha):
    one, other, _ = given = runs()
    found = rank_runs(given, metric("token_f1"), alpha=alpha)
    columns = [[score.value for score in run.scores["token_f1"].values()] for run in (one, other)]
    alone = paired_difference(differences_of(*np.array(columns)), level=1 - alpha)
    pair = found.pairs[0]
    assert alone.standard_error is not None
    assert (pair.ci_low, pair.ci_high) == pytest.approx((alone.ci_low, alone.ci_high), abs=1e-4 * alone.standard_error)


def few_disasters():
    """A run that is a little better on nine items of ten and much worse on the tenth, and two plain ones."""
    spiky = BASE + np.where(np.arange(200) % 10 == 0, -0.4, 0.02)
    return [made_run(name, {"token_f1": values.tolist()}) for name, values in
            (("plain", BASE), ("spiky", spiky), ("low", BASE - 0.2))]  # fmt: skip


def test_a_ranking_does_not_say_the_opposite_of_the_pairs_above_it():
    draw = np.random.default_rng(4)
    base = draw.uniform(0.4, 0.6, 400)
    spiky = base + np.where(np.arange(400) % 10 == 0, -0.35, 0.01)
    given = [made_run(name, {"token_f1": values.tolist()}) for name, values in
             (("base", base), ("spiky", spiky), ("twin", base + draw.normal(0, 0.02, 400)))]  # fmt: skip
    pairs = compare_runs(given, [metric("token_f1")])
    assert [each.verdict for each in pairs] == ["worse, but most items say the opposite", "no difference shown"]
    found = rank_runs(given, metric("token_f1"))
    assert (found.posthoc, found.ranges, found.letters) == ("mean", ((1, 2), (3, 3), (1, 2)), ("a", "b", "a"))
    assert found.conflicts == ((0, 1), (2, 1))
    lines = report_lines(compared_runs(given, ["token_f1"]))
    assert "signed ranks say the opposite: base over spiky, twin over spiky" in lines
    assert " ".join(" ".join(lines[:2]).split()) == (
        f"token_f1: base leads with {base.mean():.4f}, tied with twin. Against base: 1 worse, 1 without a shown "
        "difference."
    )
    by_rank = rank_runs(given, metric("token_f1"), posthoc="wilcoxon")
    assert by_rank.ranges[1] == (1, 1)
    assert by_rank.conflicts == ((1, 0), (1, 2))
    lines = report_lines(compared_runs(given, ["token_f1"], posthoc="wilcoxon"))
    told = " ".join(" ".join(lines).split())
    assert "WARNING: by the mean it is the other way round: spiky over base, spiky over twin" in told
    assert "token_f1, ranked by wilcoxon: spiky leads" in told


@pytest.mark.parametrize("posthoc", ["wilcoxon", "mean", "nemenyi", "conover"])
@pytest.mark.parametrize(("documents", "letters"), [(5, ("a", "a", "a")), (8, ("a", "b", "c"))])
def test_too_few_documents_make_one_group(posthoc, documents, letters):
    given = [made_run(name, {"token_f1": np.repeat([0.5 - shift] * documents, 20).tolist()}, per_document=20)
             for name, shift in (("a", 0.0), ("b", 0.1), ("c", 0.2))]  # fmt: skip
    found = rank_runs(given, metric("token_f1"), posthoc=posthoc, alpha=0.2)
    if documents == 5:
        assert (found.letters, found.ranges) == (letters, ((1, 3),) * 3)
        assert {found.p[i][j] for i in range(3) for j in range(3)} == {1.0}
        lines = report_lines(compared_runs(given, ["token_f1"], posthoc=posthoc))
        told = "token_f1: 5.0 effective source documents, it takes 6: one group"
        assert any(line.startswith(told) for line in lines)
    else:
        assert (found.letters[0], found.untested) == ("a", ())
        assert found.letters[2] != "a"


def test_five_items_that_differ_separate_no_pair_and_six_do():
    few, enough = ([0.9] * count + [0.5] * (200 - count) for count in (5, 6))
    given = [made_run(name, {"token_f1": values}) for name, values in
             (("base", [0.5] * 200), ("few", few), ("six", enough))]  # fmt: skip
    found = rank_runs(given, metric("token_f1"), alpha=0.2)
    assert found.untested == ((0, 1), (1, 2))
    assert found.p[0][1] == 1.0
    assert found.p[0][2] == pytest.approx(2 / 2**6)


def test_metrics_that_are_ranked_together_are_one_family_and_primary_ones_another():
    draw = np.random.default_rng(6)
    titles = ("token_f1", "exact_match", "rougeL")
    given = [
        made_run(name, {title: (BASE + shift + draw.normal(0, 0.1, 200)).tolist() for title in titles})
        for name, shift in (("a", 0.0), ("b", 0.02), ("c", 0.01))
    ]
    alone = [rank_runs(given, metric(title)) for title in titles]
    assert [alone[0].p[0][1], alone[0].p[0][2], alone[0].p[1][2]] == holm([pair.p_mean for pair in alone[0].pairs])
    together = ranked_together(alone, ["rougeL"])
    shown = [each.p[pair.first][pair.second] for each in together[:2] for pair in each.pairs]
    assert shown == holm([pair.p_mean for each in alone[:2] for pair in each.pairs])
    assert together[2] == alone[2]
    verdicts = compare_runs(given, [metric(title) for title in titles], primary=["rougeL"])
    for each in verdicts:
        ranking = next(one for one in together if one.metric == each.metric)
        assert ranking.p[0][("a", "b", "c").index(each.run)] >= each.p_verdict


@pytest.mark.parametrize("title", ["chrf", "ter"])
def test_a_corpus_score_is_ranked_by_the_test_that_compares_two(title):
    references = [f"the {word} handles message {place} of the procedure" for place, word in enumerate("ABCDEFGH" * 5)]
    given = [
        answered_run(name, title, [text.replace("handles message", "drops a") if place % every == 0 else text
                                   for place, text in enumerate(references)], references, per_document=2)[0]
        for name, every in (("third", 3), ("half", 2), ("ninth", 9))
    ]  # fmt: skip
    found, pairs = rank_runs(given, metric(title)), compare_runs(given, [metric(title)])
    assert found.means == pytest.approx((pairs[0].values[1], pairs[0].values[0], pairs[1].values[0]))
    assert found.order == (2, 0, 1)
    for pair, alone in zip(found.pairs, pairs, strict=False):
        assert pair.p_mean == pytest.approx(alone.p, rel=1e-3)
        assert -pair.delta == pytest.approx(alone.delta)


def test_each_test_of_pairs_ranks_by_what_it_tests():
    by_mean, by_rank = (rank_runs(few_disasters(), metric("token_f1"), posthoc=each) for each in ("mean", "wilcoxon"))
    assert by_mean.ranges == ((1, 1), (2, 2), (3, 3))
    assert by_rank.ranges == ((2, 2), (1, 1), (3, 3))
    assert by_mean.order == by_rank.order == (0, 1, 2)


@pytest.mark.parametrize("posthoc", ["wilcoxon", "mean", "nemenyi", "conover"])
def test_the_p_values_are_those_of_the_test_that_was_named(posthoc):
    noise = np.random.default_rng(8)
    given = [(BASE + shift + noise.normal(0, 0.1, 200))[:60] for shift in (0.0, 0.02, 0.05)]
    found = rank_runs([made_run(str(i), {"token_f1": each.tolist()}) for i, each in enumerate(given)],
                      metric("token_f1"), posthoc=posthoc)  # fmt: skip
    pairs = [(0, 1), (0, 2), (1, 2)]
    ranks = stats.rankdata(-np.array(given), axis=0)
    sums = ranks.sum(axis=1)
    alone: list[Any]
    if posthoc == "nemenyi":
        unit = math.sqrt(3 * 4 * 60 / 6)
        alone = [
            stats.studentized_range.sf(abs(sums[i] - sums[j]) / unit * math.sqrt(2), 3, math.inf) for i, j in pairs
        ]
    elif posthoc == "conover":
        spread = math.sqrt(2 * (60 * (ranks**2).sum() - (sums**2).sum()) / (59 * 2))
        alone = [2 * stats.t.sf(abs(sums[i] - sums[j]) / spread, 59 * 2) for i, j in pairs]
    elif posthoc == "wilcoxon":
        alone = [stats.wilcoxon(given[i], given[j], method="exact") for i, j in pairs]
    else:
        # Of sixty normal differences the t test says nearly the same.
        alone = [stats.ttest_rel(given[i], given[j]) for i, j in pairs]
    values = [float(getattr(each, "pvalue", each)) for each in alone]
    expected = values if posthoc == "nemenyi" else holm(values)
    shown = [found.p[i][j] for i, j in pairs]
    assert shown == pytest.approx(expected, abs=0.01 if posthoc == "mean" else 1e-6)
    assert [found.p[j][i] for i, j in pairs] == shown


def test_a_p_value_that_is_alpha_separates():
    given = [made_run(name, {"token_f1": (BASE + shift).tolist()}) for name, shift in (("a", 0.0), ("b", 0.0))]
    noisy = made_run("c", {"token_f1": (BASE + np.random.default_rng(3).normal(0.01, 0.1, 200)).tolist()})
    p = rank_runs([*given, noisy], metric("token_f1")).p[0][2]
    assert 0.01 < p < 0.9
    assert rank_runs([*given, noisy], metric("token_f1"), alpha=p).ranges == ((2, 3), (2, 3), (1, 1))
    assert rank_runs([*given, noisy], metric("token_f1"), alpha=p * 0.999).ranges == ((1, 3),) * 3


def test_runs_are_ranked_on_the_items_that_all_of_them_have():
    one, other, third = given = runs()
    one.scores["token_f1"]["i0"] = other.scores["token_f1"]["i7"] = missing("not applicable")
    found = rank_runs(given, metric("token_f1"), names=["x", "y", "z"])
    kept = [f"i{place}" for place in range(200) if place not in (0, 7)]
    scores = [[run.scores["token_f1"][item].value or 0.0 for item in kept] for run in given]
    assert found.means == pytest.approx([sum(column) / 198 for column in scores])
    assert (found.blocks, found.names) == (198, ("x", "y", "z"))
    assert rank_runs(given, metric("token_f1")).names == ("best", "next", "last")
    third.scores["token_f1"].update(dict.fromkeys(kept, missing("not applicable")))
    with pytest.raises(InputError, match="token_f1: no item has a score in all runs"):
        rank_runs(given, metric("token_f1"))


def test_two_runs_are_no_ranking():
    with pytest.raises(InputError, match="three or more runs"):
        rank_runs(runs()[:2], metric("token_f1"))


@pytest.mark.parametrize("title", ["token_f1", "over_refusal"])
def test_ranks_of_blocks_run_the_way_the_metric_does(title):
    given = [made_run(name, {title: (BASE + shift).tolist()}) for name, shift in SHIFTS.items()]
    found = rank_runs(given, metric(title))
    # The two without a shift are tied in every block.
    assert found.friedman.mean_ranks == ((1.0, 2.5, 2.5) if title == "token_f1" else (3.0, 1.5, 1.5))
    assert found.ranges == (((1, 1), (2, 3), (2, 3)) if title == "token_f1" else ((3, 3), (1, 2), (1, 2)))
    assert found.letters == (("a", "b", "b") if title == "token_f1" else ("b", "a", "a"))
    delta = 0.1 if title == "token_f1" else -0.1
    assert [(pair.first, pair.second, round(pair.delta, 9)) for pair in found.pairs] == [
        (0, 1, delta), (0, 2, delta), (1, 2, 0.0),
    ]  # fmt: skip


def test_rounding_errors_in_the_means_of_documents_break_no_ties():
    # 0.1 + 0.2 is not 0.3: the means of these documents are equal all the same.
    scores = {"a": [0.1, 0.2, 0.3], "b": [0.2, 0.1, 0.3], "c": [0.3, 0.3, 0.0]}
    given = [made_run(name, {"token_f1": values * 10}, per_document=3) for name, values in scores.items()]
    found = rank_runs(given, metric("token_f1"))
    assert found.friedman.mean_ranks == (2.0, 2.0, 2.0)
    assert (found.friedman.p, found.letters) == (1.0, ("a", "a", "a"))


def test_of_two_runs_that_differ_and_stand_alike_neither_is_ahead():
    # Large gains on half of the items and small losses on the other: signed ranks differ, mean ranks do not.
    swing = BASE + np.where(np.arange(200) % 2 == 0, 0.2, -0.01)
    given = [made_run(name, {"token_f1": values.tolist()}) for name, values in
             (("plain", BASE), ("swing", swing), ("low", BASE - 0.3))]  # fmt: skip
    found = rank_runs(given, metric("token_f1"), posthoc="wilcoxon")
    assert found.friedman.mean_ranks == (1.5, 1.5, 3.0)
    assert found.p[0][1] < 0.001
    assert found.letters == ("b", "a", "c")
    assert found.ranges == ((1, 2), (1, 2), (3, 3))
    assert rank_runs(given, metric("token_f1"), posthoc="mean").ranges == ((2, 2), (1, 1), (3, 3))
