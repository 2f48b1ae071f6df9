"""Corpus scores of two runs: swaps and draws of whole documents."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from telbench.leaderboard.statistics import corpus, sign_flip
from telbench.leaderboard.statistics.clusters import clustered
from telbench.leaderboard.statistics.corpus import (
    bootstrap_differences,
    corpus_difference,
    corpus_differences,
    difference_sums,
)
from telbench.metrics.contract import Sample, metrics_named
from telbench.metrics.intervals import aggregate, statistics_matrix


def mean(rows: np.ndarray) -> np.ndarray:
    """The mean of summed (value, count) rows."""
    return rows[:, 0] / rows[:, 1]


def rows(values: np.ndarray) -> np.ndarray:
    return np.column_stack([values, np.ones(len(values))])


def test_swapping_items_of_a_mean_is_the_sign_flip_test():
    draw = np.random.default_rng(0)
    one, other = draw.normal(0.4, 1, 60), draw.normal(0, 1, 60)
    found, data = corpus_difference(rows(one), rows(other), mean, resamples=40_000)
    assert found.delta == pytest.approx(float(one.mean() - other.mean()))
    assert found.p == pytest.approx(float(sign_flip.two_sided(one - other)), rel=1e-4)
    assert found.p_swaps == pytest.approx(found.p, abs=0.01)
    assert (found.ci_low, found.ci_high) == pytest.approx(sign_flip.interval(clustered(one - other, None)), rel=1e-4)
    assert found.bootstrap_low is not None
    assert found.bootstrap_high is not None
    assert found.bootstrap_low < found.delta < found.bootstrap_high
    assert data.sums == pytest.approx(one - other, abs=1e-5)


def test_without_resamples_the_test_is_the_same_and_nothing_is_drawn(monkeypatch):
    one, other = rows(np.arange(9.0)), rows(np.array([3.0, 1.0] * 4 + [0.0]))
    whole, data = corpus_difference(one, other, mean, resamples=99)
    monkeypatch.setattr(corpus, "_draw", None)
    monkeypatch.setattr(corpus, "_swaps", None)
    found, same = corpus_difference(one, other, mean, resamples=0)
    assert found == replace(whole, resamples=0, p_swaps=None, bootstrap_low=None, bootstrap_high=None)
    assert data.sums.tolist() == same.sums.tolist()


def test_p_is_that_of_all_swaps():
    draw = np.random.default_rng(1)
    one, other = draw.integers(1, 9, (8, 2)).astype(float), draw.integers(1, 9, (8, 2)).astype(float)
    observed = abs(mean(one.sum(0, keepdims=True)) - mean(other.sum(0, keepdims=True)))[0]
    reached = []
    for pattern in itertools.product((0, 1), repeat=8):
        keep = np.array(pattern)[:, None]
        first, second = np.where(keep, one, other).sum(0), np.where(keep, other, one).sum(0)
        reached.append(abs(first[0] / first[1] - second[0] / second[1]) >= observed - 1e-12)
    found, _ = corpus_difference(one, other, mean, resamples=40_000)
    assert found.p_swaps == pytest.approx(np.mean(reached), abs=0.01)


def test_identical_runs_have_p_one_and_no_difference():
    same = rows(np.arange(8.0))
    found, _ = corpus_difference(same, same, mean, resamples=500)
    assert (found.delta, found.p, found.ci_low, found.ci_high) == (0.0, 1.0, 0.0, 0.0)
    assert (found.p_swaps, found.bootstrap_low, found.bootstrap_high) == (1.0, 0.0, 0.0)


def test_a_p_value_counts_the_observed_order_as_one_of_the_draws():
    # No swap of forty documents reaches such a difference: one of 100, and never 0 (Noreen 1989).
    low, high = rows(np.arange(40.0)), rows(np.arange(40.0) + 9)
    found, _ = corpus_difference(low, high, mean, resamples=99)
    assert (found.p_swaps, found.resamples) == (0.01, 99)
    # All differences are alike: of 2^40 signs, one makes so low a sum.
    assert (found.p, found.p_below, found.p_above) == pytest.approx((2.0**-39, 2.0**-40, 1.0), rel=1e-6)
    found, _ = corpus_difference(high, low, mean, resamples=99)
    assert (found.p_swaps, found.p_above) == pytest.approx((0.01, 2.0**-40), rel=1e-6)
    # What is as large as the difference counts, on both sides.
    found, _ = corpus_difference(low, low, mean, resamples=99)
    assert (found.p_swaps, found.p_below, found.p_above) == (1.0, 1.0, 1.0)


@pytest.mark.parametrize("documents", [2, 30])
def test_by_default_ten_thousand_draws_give_the_middle_95_percent(documents):
    draw = np.random.default_rng(6)
    one, other = rows(draw.normal(1, 1, documents)), rows(draw.normal(0, 1, documents))
    found, _ = corpus_difference(one, other, mean)
    drawn = bootstrap_differences(one, other, mean)
    assert (found.resamples, len(drawn)) == (10_000, 10_000)
    assert (found.bootstrap_low, found.bootstrap_high) == pytest.approx(tuple(np.quantile(drawn, [0.025, 0.975])))
    wider, _ = corpus_difference(one, other, mean, level=0.99)
    assert (wider.bootstrap_low, wider.bootstrap_high) == pytest.approx(tuple(np.quantile(drawn, [0.005, 0.995])))


def test_one_document_gives_no_interval():
    found, _ = corpus_difference(rows(np.ones(1)), rows(np.zeros(1)), mean, resamples=100)
    assert (found.ci_low, found.bootstrap_low, found.p, found.p_swaps) == (None, None, 1.0, 1.0)


def test_bleu_agrees_with_sacrebleus_own_randomisation():
    sacrebleu = pytest.importorskip("sacrebleu")
    significance = pytest.importorskip("sacrebleu.significance")
    vocabulary = "the AMF handles registration mobility and paging of a UE in the core network by NAS"
    words = vocabulary.split()
    draw = np.random.default_rng(4)
    references = [" ".join(draw.choice(words, 12)) for _ in range(60)]

    def noisy(text: str, share: float) -> str:
        return " ".join(word if draw.random() > share else str(draw.choice(words)) for word in text.split())

    better, worse = ([noisy(text, share) for text in references] for share in (0.25, 0.32))
    (bleu,) = metrics_named(["bleu"])
    assert bleu.aggregate is not None
    summed = [
        statistics_matrix(bleu, bleu.score([Sample(str(i), text, (ref,)) for i, (text, ref) in enumerate(pairs)]))
        for pairs in (list(zip(side, references, strict=True)) for side in (better, worse))
    ]
    found, _ = corpus_difference(summed[0], summed[1], lambda rows: aggregate(bleu, rows), resamples=20_000)
    metric = sacrebleu.BLEU(references=[references])
    result = significance.PairedTest(
        [("worse", worse), ("better", better)], {"BLEU": metric}, references=None, test_type="ar", n_samples=5000
    )()[1]["BLEU"]
    assert found.delta == pytest.approx(result[1].score - result[0].score, abs=1e-6)
    assert found.p_swaps == pytest.approx(result[1].p_value, abs=0.02)


def test_draws_are_the_same_whether_they_are_kept_or_made_again(monkeypatch):
    draw = np.random.default_rng(2)
    one, other = rows(draw.normal(size=300)), rows(draw.normal(size=300))
    kept = corpus.bootstrap_differences(one, other, mean, resamples=999, seed=3)
    monkeypatch.setattr(corpus, "_KEPT", 0)
    again = corpus.bootstrap_differences(one, other, mean, resamples=999, seed=3)
    assert kept.tolist() == again.tolist()
    # Drawn with replacement: the spread of a mean difference is its standard error.
    error = float((one - other)[:, 0].std()) / np.sqrt(300)
    assert float(kept.std()) == pytest.approx(error, rel=0.1)


# BLEU of WMT17 English-German, newstest2017, baseline LIUM-NMT 4900: sacrebleu's score and p by its approximate
# randomisation (10,000, seed 12345) where they are known, and Multeval's p (10,000) as sacrebleu's test/
# test_significance.py gives it.
WMT17 = {
    "FBK": (None, None, 0.0218),
    "KIT": (21.148, 0.043196, 0.0410),
    "LMU-reranked": (None, None, 0.09029),
    "LMU-single": (21.492, 0.579242, 0.58494),
    "online-B": (21.591, 0.935806, 0.94111),
    "RWTH": (None, None, 0.0207),
    "SYSTRAN": (None, None, 0.59914),
    "xmu": (None, None, 0.71073),
}


# p by bootstrap in sacrebleu (paired-bs) and in the Moses script that it follows.
WMT17_BOOTSTRAP = {"KIT": (0.024488, 0.02233), "LMU-single": (0.209895, 0.20783), "online-B": (0.387806, 0.38100)}


def wmt17(system: str) -> tuple[Any, list[Any]]:
    """BLEU of summed statistics, and the statistics a sentence of the system and of LIUM, from the committed counts."""
    (bleu,) = metrics_named(["bleu"])
    assert bleu.aggregate is not None
    with np.load(Path(__file__).parent / "wmt17_en_de_bleu_counts.npz", allow_pickle=False) as file:
        reference = file["reference"].astype(float)
        sides = []
        for name in (system, "LIUM"):
            words, *matched = file[name].astype(float).T
            totals = [np.maximum(words - shorter, 0) for shorter in range(4)]
            sides.append(np.column_stack([words, reference, *matched, *totals]))
    return bleu.aggregate, sides


@pytest.mark.slow
@pytest.mark.parametrize("system", WMT17_BOOTSTRAP)
def test_published_bootstrap_p_values_follow_from_our_resamples(system):
    """Their p is the share of resampled differences, without sign, that exceed their own mean by the observed one.

    It is no test of this project's: for a difference much larger than its error it is a one-sided p.
    """
    aggregate, sides = wmt17(system)
    here, there = (float(aggregate(side.sum(axis=0, keepdims=True))[0]) for side in sides)
    drawn = np.abs(bootstrap_differences(sides[0], sides[1], aggregate, resamples=4000))
    found = (float(np.sum(drawn - drawn.mean() > abs(here - there))) + 1) / 4001
    for published in WMT17_BOOTSTRAP[system]:
        assert abs(found - published) < 4 * math.sqrt(published * (1 - published) * (1 / 4000 + 1 / 10_000))


@pytest.mark.slow
@pytest.mark.parametrize("system", WMT17)
def test_published_p_values_of_wmt17_english_german(system):
    """Clark, Dyer, Lavie and Smith 2011 (Multeval) and sacrebleu, as published with sacrebleu's tests.

    The file holds counts only: words of each sentence and matched 1- to 4-grams of each system, from the systems'
    outputs in sacrebleu's repository (test/wmt17_en_de_systems.pkl.bz2, Apache-2.0), tokenised at spaces.
    """
    aggregate, sides = wmt17(system)
    score, peer, multeval = WMT17[system]
    counted = [np.column_stack([side, np.ones(len(side))]) for side in sides]
    found, _ = corpus_difference(counted[0], counted[1], lambda rows: aggregate(rows[:, :-1]), resamples=4000)
    assert found.p_swaps is not None
    totals = [float(aggregate(side.sum(axis=0, keepdims=True))[0]) for side in sides]
    assert totals[1] == pytest.approx(21.610, abs=5e-4)
    assert score is None or totals[0] == pytest.approx(score, abs=5e-4)
    assert found.delta == pytest.approx(totals[0] - totals[1])
    for published in (peer, multeval):
        if published is not None:
            # Both are drawn: four standard errors of the two together.
            error = math.sqrt(published * (1 - published) * (1 / 4000 + 1 / 10_000))
            assert abs(found.p_swaps - published) < 4 * error


def test_documents_are_drawn_with_replacement_each_as_often_as_the_next():
    # Two documents: both of the first in a quarter of the draws, both of the second in a quarter, one each in half.
    drawn = bootstrap_differences(rows(np.array([1.0, 3.0])), rows(np.zeros(2)), mean, resamples=4000)
    shares = {value: float((drawn == value).mean()) for value in (1.0, 2.0, 3.0)}
    assert set(drawn.tolist()) == {1.0, 2.0, 3.0}
    assert shares == pytest.approx({1.0: 0.25, 2.0: 0.5, 3.0: 0.25}, abs=0.03)


def test_a_score_that_is_not_a_number_in_some_draws_gives_no_interval():
    # Where the second document is drawn twice there is nothing to divide by.
    one, other = np.array([[1.0, 1.0], [0.0, 0.0]]), np.array([[0.5, 1.0], [0.0, 0.0]])
    with np.errstate(invalid="ignore"):
        found, _ = corpus_difference(one, other, mean, resamples=200)
    assert (found.delta, found.bootstrap_low, found.bootstrap_high) == (0.5, None, None)


def test_the_parts_of_a_difference_of_means_are_the_plain_sums():
    draw = np.random.default_rng(7)
    sizes = draw.integers(1, 9, 40).astype(float)
    one, other = (np.column_stack([draw.normal(3, 1, 40) * sizes, sizes]) for _ in range(2))
    assert difference_sums(one, other, mean) == pytest.approx(one[:, 0] - other[:, 0], rel=1e-6, abs=1e-8)


def test_the_parts_of_edits_over_words_are_multiples_of_one_edit():
    # Two systems, the same references: a swap moves edits alone.
    draw = np.random.default_rng(8)
    words, sizes = draw.integers(20, 90, 33).astype(float), draw.integers(1, 4, 33).astype(float)
    one, other = (np.column_stack([draw.integers(0, 9, 33), words, sizes]).astype(float) for _ in range(2))
    found = difference_sums(one, other, lambda rows: 100 * rows[:, 0] / rows[:, 1])
    edit = 100 * sizes.sum() / words.sum()
    assert found == pytest.approx((one[:, 0] - other[:, 0]) * edit, rel=1e-6, abs=1e-9)


def test_the_parts_of_any_score_add_up_to_its_difference_and_turn_with_the_runs():
    draw = np.random.default_rng(9)
    # A statistic that is 0 throughout; a ratio; one that grows with the number of documents.
    one, other = (
        np.column_stack([draw.uniform(1, 3, 40), draw.uniform(1, 2, 40), np.zeros(40), np.ones(40)]) for _ in range(2)
    )
    for score in (lambda r: r[:, 0] / r[:, 1], lambda r: r[:, 0], lambda r: np.exp(r[:, 0] / r[:, 3])):
        parts = difference_sums(one, other, score)
        totals = score(np.stack([one.sum(axis=0), other.sum(axis=0)]))
        assert parts.sum() / 40 == pytest.approx(totals[0] - totals[1])
        assert difference_sums(other, one, score) == pytest.approx(-parts, rel=1e-5, abs=1e-8)


def test_a_part_is_what_a_swap_of_its_document_changes_to_second_order():
    draw = np.random.default_rng(10)
    one, other = (np.column_stack([draw.uniform(1, 3, 200), draw.uniform(1, 2, 200), np.ones(200)]) for _ in range(2))

    def score(rows):
        return rows[:, 0] / rows[:, 1]

    def difference(first, second):
        return float(np.subtract(*score(np.stack([first.sum(axis=0), second.sum(axis=0)]))))

    parts = difference_sums(one, other, score) / 200
    signs = draw.choice([True, False], (30, 200, 1))
    for sign in signs:
        swapped = difference(np.where(sign, one, other), np.where(sign, other, one))
        assert swapped == pytest.approx(float(np.where(sign[:, 0], parts, -parts).sum()), abs=2e-4)


@pytest.mark.parametrize("system", WMT17)
def test_flipping_the_sums_of_bleu_has_the_published_p_values_of_swaps(system):
    aggregate, sides = wmt17(system)
    counted = [np.column_stack([side, np.ones(len(side))]) for side in sides]
    found = sign_flip.two_sided(difference_sums(counted[0], counted[1], lambda rows: aggregate(rows[:, :-1])))
    for published in WMT17[system][1:]:
        if published is not None:
            # Four standard errors of 10,000 swaps, and a hundredth for the slope in place of the curve.
            assert abs(found - published) < 4 * math.sqrt(published * (1 - published) / 10_000) + 0.01


def test_runs_compared_together_are_those_compared_alone():
    draw = np.random.default_rng(3)
    clusters, other = 40, draw.integers(0, 30, (40, 5)).astype(float)
    other[:, -1] = 3.0
    runs = [np.column_stack([draw.integers(0, 30, (clusters, 4)).astype(float), other[:, -1]]) for _ in range(4)]

    def ratio(totals: np.ndarray) -> np.ndarray:
        return np.sqrt(totals[:, 0] / totals[:, 1]) * totals[:, 2] / (totals[:, 3] + totals[:, 4])

    together = corpus_differences(runs, other, ratio, resamples=300)
    alone = [corpus_difference(run, other, ratio, resamples=300) for run in runs]
    assert [found for found, _ in together] == [found for found, _ in alone]
    assert all((one.sums == two.sums).all() for (_, one), (_, two) in zip(together, alone, strict=True))
    assert len({found.bootstrap_low for found, _ in together}) == 4
