"""Agreement coefficients against published examples, scikit-learn, scipy and their own laws."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from telbench.judges.calibration.agreement import cohen_kappa, krippendorff_alpha, length_bias, percent_agreement

# The worked example of Krippendorff 2011: four observers, twelve units, missing data.
OBSERVERS = (
    (1, 2, 3, 3, 2, 1, 4, 1, 2, None, None, None),
    (1, 2, 3, 3, 2, 2, 4, 1, 2, 5, None, 3),
    (None, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, None),
    (1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, None),
)
PAIRS = st.lists(st.tuples(st.integers(1, 5), st.integers(1, 5)), min_size=1, max_size=30)
SCALE = (1, 2, 3, 4, 5)


@pytest.mark.parametrize(("level", "alpha"), [("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849)])
def test_alpha_of_the_published_four_observers(level, alpha):
    found = krippendorff_alpha(OBSERVERS, level)
    assert found.value is not None
    assert round(found.value, 3) == alpha
    assert found.n == 11


def test_kappa_of_cohens_two_psychiatrists():
    """Cohen 1960, table 1: proportions of 200 cases over three diagnoses; kappa 0.492."""
    table = ((88, 14, 18), (10, 40, 10), (2, 6, 12))
    pairs = [(i, j) for i, row in enumerate(table) for j, count in enumerate(row) for _ in range(count)]
    found = cohen_kappa([i for i, _ in pairs], [j for _, j in pairs])
    assert found.value == pytest.approx(0.492, abs=5e-4)
    assert percent_agreement([i for i, _ in pairs], [j for _, j in pairs]).value == pytest.approx(0.70)


@pytest.mark.parametrize("weights", ["none", "linear", "quadratic"])
@pytest.mark.parametrize("seed", range(5))
def test_kappa_equals_scikit_learn(weights, seed):
    metrics = pytest.importorskip("sklearn.metrics")
    source = random.Random(seed)
    first = [source.randint(1, 5) for _ in range(60)]
    second = [max(1, min(5, value + source.choice((-1, 0, 0, 2)))) for value in first]
    oracle = metrics.cohen_kappa_score(first, second, weights=None if weights == "none" else weights, labels=SCALE)
    assert cohen_kappa(first, second, weights, SCALE).value == pytest.approx(oracle, abs=1e-12)


@pytest.mark.parametrize("weights", ["none", "linear", "quadratic"])
@given(PAIRS)
@settings(max_examples=50, deadline=None)
def test_kappa_does_not_change_when_raters_swap(weights, pairs):
    first, second = zip(*pairs, strict=True)
    assert cohen_kappa(first, second, weights, SCALE) == cohen_kappa(second, first, weights, SCALE)


@given(PAIRS, st.permutations("vwxyz"))
@settings(max_examples=50, deadline=None)
def test_unweighted_coefficients_do_not_change_when_labels_are_renamed(pairs, names):
    first, second = zip(*pairs, strict=True)
    renamed = [[names[value - 1] for value in row] for row in (first, second)]
    assert cohen_kappa(renamed[0], renamed[1]) == cohen_kappa(first, second)
    assert krippendorff_alpha(renamed) == krippendorff_alpha((first, second))


@given(PAIRS, st.sampled_from(["nominal", "ordinal", "interval"]))
@settings(max_examples=50, deadline=None)
def test_alpha_does_not_change_when_raters_swap_or_the_scale_moves(pairs, level):
    first, second = zip(*pairs, strict=True)
    alpha = krippendorff_alpha((first, second), level)
    assert krippendorff_alpha((second, first), level) == alpha
    assert krippendorff_alpha([[3 * value + 7 for value in row] for row in (first, second)], level) == alpha


@given(st.lists(st.integers(1, 5), min_size=1, max_size=20))
@settings(max_examples=50, deadline=None)
def test_perfect_agreement_is_one_and_a_constant_is_undefined(values):
    expected = None if len(set(values)) == 1 else 1.0
    found = [cohen_kappa(values, values, weights, SCALE) for weights in ("none", "linear", "quadratic")]
    found += [krippendorff_alpha([values, values, values], level) for level in ("nominal", "ordinal", "interval")]
    assert {coefficient.value for coefficient in found} == {expected}
    assert all((coefficient.reason is None) == (coefficient.value is not None) for coefficient in found)


@given(PAIRS)
@settings(max_examples=50, deadline=None)
def test_no_coefficient_is_ever_nan_or_above_one(pairs):
    first, second = zip(*pairs, strict=True)
    bias = length_bias([float(v) for v in first], [float(v) for v in second], [float(v) for v in first])
    found = [cohen_kappa(first, second), krippendorff_alpha((first, second), "interval"), bias.pearson, bias.spearman]
    assert all(c.value is None or (math.isfinite(c.value) and c.value <= 1.0) for c in found)


def test_items_without_both_labels_are_left_out():
    assert cohen_kappa([1, 2, None, 1], [1, 2, 2, None]).n == 2
    assert percent_agreement([None], [1]).value is None
    assert cohen_kappa([None], [1]).reason == "no item has both labels"


def test_alpha_of_units_rated_once_is_undefined():
    assert krippendorff_alpha([[1, None], [None, 2]]).reason == "no unit has two ratings"


def test_weights_without_a_scale_are_refused():
    with pytest.raises(ValueError, match="scale"):
        cohen_kappa([1, 2], [1, 3], "linear")


def test_a_label_outside_the_scale_is_refused():
    with pytest.raises(ValueError, match="7 is not on the scale"):
        cohen_kappa([1, 7], [1, 3], "linear", SCALE)


def test_rows_of_unequal_length_are_refused():
    with pytest.raises(ValueError, match="differ in length"):
        krippendorff_alpha([[1, 2], [1]])
    with pytest.raises(ValueError):
        cohen_kappa([1], [1, 2])


@pytest.mark.parametrize("bad", [math.nan, math.inf, "a", True])
def test_ordered_alpha_takes_finite_numbers_only(bad):
    with pytest.raises(ValueError, match="not a finite number"):
        krippendorff_alpha([[1, bad], [1, 2]], "interval")


def test_length_bias_equals_scipy_with_ties():
    stats = pytest.importorskip("scipy.stats")
    judge = [5.0, 4.0, 4.0, 2.0, 5.0, None, 3.0]
    human = [3.0, 4.0, 3.0, 2.0, 2.0, 1.0, 4.0]
    lengths = [80.0, 20.0, 60.0, 20.0, 120.0, 10.0, 5.0]
    kept = [(j - h, n) for j, h, n in zip(judge, human, lengths, strict=True) if j is not None]
    errors, sizes = zip(*kept, strict=True)
    bias = length_bias(judge, human, lengths)
    assert (bias.n, bias.n_missing) == (6, 1)
    assert bias.pearson.value == pytest.approx(stats.pearsonr(errors, sizes).statistic, abs=1e-12)
    assert bias.spearman.value == pytest.approx(stats.spearmanr(errors, sizes).statistic, abs=1e-12)
    assert bias.mean_error == pytest.approx(sum(errors) / 6)


def test_length_bias_without_any_spread_is_undefined():
    bias = length_bias([3.0, 3.0], [3.0, 3.0], [1.0, 2.0])
    assert bias.pearson.value is None
    assert bias.pearson.reason == "the errors or the lengths are all the same"
    assert length_bias([None], [1.0], [1.0]).mean_error is None
