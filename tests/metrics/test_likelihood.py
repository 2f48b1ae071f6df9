"""Likelihood of references: values worked out by hand, the best reference, and corpus scores from sums."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from telbench.metrics.check import check_metric
from telbench.metrics.contract import Sample
from telbench.metrics.intervals import aggregate, statistics_matrix
from telbench.metrics.likelihood import reference_bits_per_byte, reference_likelihood, reference_perplexity

# A coin a token: three tokens, six bytes; and a surer but longer one: five tokens, nine bytes.
COIN = Sample("coin", "", ("on/off", "one-eight"), reference_scores=((-3 * math.log(2), 3), (-4 * math.log(2), 5)))
DICE = Sample("dice", "", ("µs",), reference_scores=((-2 * math.log(6), 2),))


def test_the_best_reference_counts_a_token_in_nats():
    scores = reference_likelihood.score([COIN, DICE])
    assert [score.value for score in scores] == pytest.approx([-0.8 * math.log(2), -math.log(6)])


def test_perplexity_of_fair_dice_is_their_number_of_faces_and_that_of_a_corpus_is_over_all_tokens():
    scores = reference_perplexity.score([COIN, DICE])
    assert [score.value for score in scores] == pytest.approx([2**0.8, 6])
    (corpus,) = aggregate(reference_perplexity, statistics_matrix(reference_perplexity, scores).sum(0, keepdims=True))
    assert corpus == pytest.approx((2**4 * 6**2) ** (1 / 7))


def test_bits_a_byte_take_the_reference_that_costs_fewest_and_count_utf_8():
    scores = reference_bits_per_byte.score([COIN, DICE])
    assert [score.value for score in scores] == pytest.approx([4 / 9, 2 * math.log2(6) / 3])
    (corpus,) = aggregate(
        reference_bits_per_byte, statistics_matrix(reference_bits_per_byte, scores).sum(0, keepdims=True)
    )
    assert corpus == pytest.approx((4 + 2 * math.log2(6)) / 12)


def test_bits_a_byte_do_not_depend_on_how_the_text_is_cut_into_tokens():
    finer = replace(DICE, reference_scores=((-2 * math.log(6), 4),))
    assert reference_bits_per_byte.score([finer])[0].value == reference_bits_per_byte.score([DICE])[0].value
    assert reference_likelihood.score([finer])[0].value != reference_likelihood.score([DICE])[0].value


def test_a_reference_without_a_finite_likelihood_is_passed_over_and_only_such_ones_are_missing():
    some = replace(COIN, reference_scores=((math.nan, 3), (-2.0, 5)))
    none = replace(COIN, reference_scores=((math.nan, 3), (-math.inf, 5)))
    for metric in (reference_likelihood, reference_perplexity, reference_bits_per_byte):
        scores = metric.score([some, none])
        assert scores[0].value is not None
        assert (scores[1].value, scores[1].reason) == (None, "no finite likelihood of a reference")


def test_an_engine_without_likelihoods_and_a_window_too_short_are_told_apart():
    reasons = [
        reference_likelihood.score([sample])[0].reason
        for sample in (
            replace(COIN, reference_scores=None),
            replace(COIN, reference_scores=None, no_reference_scores="prompt and reference do not fit the window"),
            replace(COIN, references=(), reference_scores=None),
        )
    ]
    assert reasons == [
        "no likelihoods of references from this engine",
        "prompt and reference do not fit the window",
        "no reference",
    ]


def test_a_perplexity_beyond_the_largest_number_is_missing_not_infinite():
    score = reference_perplexity.score([replace(DICE, reference_scores=((-5000.0, 2),))])[0]
    assert (score.value, score.reason) == (None, "not a finite number")


@pytest.mark.parametrize("metric", [reference_likelihood, reference_perplexity, reference_bits_per_byte])
def test_the_contract_is_kept(metric):
    assert check_metric(metric) == []


def test_the_contract_holds_metrics_without_a_lower_bound_to_their_upper_one():
    wrong = replace(reference_likelihood, range=(None, -10.0))
    assert any("lies outside the range (None, -10.0)" in problem for problem in check_metric(wrong))
