"""Components of variance against the full crossed mixed model, balanced analysis of variance and a published ICC."""

from __future__ import annotations

import sys
import warnings

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from statsmodels.regression.mixed_linear_model import MixedLM
from statsmodels.tools.sm_exceptions import ConvergenceWarning

from telbench.leaderboard.planning.components import ANOVA, MIXED, components_of, share_bounds, variance_bounds
from telbench.leaderboard.statistics.clusters import clustered


def made(
    documents: float, items: float, seeds: float, rest: float, *, groups: int = 60, columns: int = 3, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Differences with these standard deviations by source, in documents of 1 to 8 items."""
    draw = np.random.default_rng(seed)
    membership = np.repeat(np.arange(groups), draw.integers(1, 9, groups))
    count = len(membership)
    values = documents * draw.normal(size=groups)[membership][:, None] + items * draw.normal(size=count)[:, None]
    return values + seeds * draw.normal(size=columns) + rest * draw.normal(size=(count, columns)), membership


def test_documents_items_and_answers_are_those_of_the_full_mixed_model():
    values, membership = made(0.1, 0.2, 0.05, 0.15)
    count, columns = values.shape
    frame = pd.DataFrame(
        {
            "y": values.ravel(),
            "document": np.repeat(membership, columns),
            "item": np.repeat(np.arange(count), columns),
            "seed": np.tile(np.arange(columns), count),
        }
    )
    full = smf.mixedlm(
        "y ~ C(seed)", frame, groups="document", re_formula="1", vc_formula={"item": "0 + C(item)"}
    ).fit()
    found = components_of(values, membership)
    assert found.method == MIXED
    assert found.document.value == pytest.approx(float(full.cov_re.iloc[0, 0]), rel=2e-3)
    assert found.item.value == pytest.approx(float(full.vcomp[0]), rel=2e-3)
    assert found.rest.value == pytest.approx(float(full.scale), rel=1e-4)
    # Seeds, by the difference of two mean squares over their items (textbook, two crossed factors).
    between = count * values.mean(axis=0).var(ddof=1)
    assert found.replicate.value == pytest.approx((between - float(full.scale)) / count, rel=1e-3)


def test_equal_documents_have_the_components_of_the_analysis_of_variance():
    draw = np.random.default_rng(3)
    values = (0.2 * draw.normal(size=(40, 1)) + 0.3 * draw.normal(size=(40, 5))).reshape(-1, 1)
    found = components_of(values, np.repeat(np.arange(40), 5))
    table = values.reshape(40, 5)
    between, within = 5 * table.mean(axis=1).var(ddof=1), table.var(axis=1, ddof=1).mean()
    assert found.item.value == pytest.approx(within, rel=1e-3)
    assert found.document.value == pytest.approx((between - within) / 5, rel=1e-2)
    assert found.item_holds_rest


def test_the_bounds_of_the_correlation_are_those_published_for_shrout_and_fleiss():
    # Table 2 of Shrout and Fleiss 1979; R's psych::ICC prints ICC1 = 0.17 [-0.13, 0.72] at 95 %.
    ratings = [9, 2, 5, 8, 6, 1, 3, 2, 8, 4, 6, 8, 7, 1, 2, 6, 10, 5, 6, 9, 6, 2, 4, 7]
    low, high = share_bounds(clustered(np.array(ratings, np.float64), [str(i // 4) for i in range(24)]), 0.95)
    assert low == 0
    assert high == pytest.approx(0.72, abs=0.005)


def test_what_cannot_be_seen_is_absent_with_its_reason_and_an_upper_bound_and_never_0():
    draw = np.random.default_rng(2)
    # Items of a document are less alike than others: the estimate would be negative.
    values = np.tile([-0.3, 0.3, -0.1, 0.1], 30)[:, None] + 0.01 * draw.normal(size=(120, 1))
    found = components_of(values, np.repeat(np.arange(30), 4))
    assert found.document.value is None
    assert found.share.value is None
    assert found.document.reason == "items of a document are no more alike than others"
    assert found.document.high is not None
    assert found.item.value == pytest.approx(float(values.var(ddof=1)), rel=0.05)
    same_seeds = components_of(np.repeat(made(0.1, 0.2, 0, 0.1)[0][:, :1], 3, axis=1), made(0.1, 0.2, 0, 0.1)[1])
    assert same_seeds.replicate.value is None
    assert same_seeds.replicate.reason == "identical with every seed"


@pytest.mark.parametrize(
    ("values", "clusters", "reason"),
    [
        (np.arange(20.0), np.arange(20), "no two items share a document"),
        (np.arange(20.0), np.zeros(20, np.int64), "all items are of one document"),
        (np.ones(20), np.arange(20) // 2, "all differences are the same"),
        (np.array([1.0, 1.0] + [0.0] * 18), np.arange(20) // 2, "too few items differ: 2 of 20, it takes 6"),
        (np.repeat(np.arange(10.0) + 1, 2), np.arange(20) // 2, "items of a document do not differ from one another"),
    ],
)
def test_documents_and_items_that_cannot_be_told_apart_are_absent(values, clusters, reason):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = components_of(values[:, None], clusters)
    assert (found.document.value, found.item.value) == (None, None)
    assert found.document.reason == found.item.reason == reason


def test_without_statsmodels_the_analysis_of_variance_stands_in_and_says_so(monkeypatch):
    values, membership = made(0.1, 0.2, 0, 0, columns=1)
    full = components_of(values, membership)
    monkeypatch.setitem(sys.modules, "statsmodels.regression.mixed_linear_model", None)
    found = components_of(values, membership)
    assert found.method.startswith(ANOVA)
    assert "pip install 'telbench[stats]'" in found.method
    assert found.share.value == pytest.approx(clustered(values[:, 0], membership).intracluster_correlation)
    assert found.share.value == pytest.approx(full.share.value, abs=0.05)


def test_a_mixed_model_that_does_not_converge_is_not_believed(monkeypatch):
    fit = MixedLM.fit

    def unsure(self, *args, **kwargs):
        warnings.warn("no", ConvergenceWarning, stacklevel=1)
        return fit(self, *args, **kwargs)

    monkeypatch.setattr(MixedLM, "fit", unsure)
    assert components_of(*made(0.1, 0.2, 0, 0, columns=1)).method == f"{ANOVA} (the mixed model did not converge)"

    def broken(self, *args, **kwargs):
        raise np.linalg.LinAlgError("singular")

    monkeypatch.setattr(MixedLM, "fit", broken)
    assert "failed: LinAlgError" in components_of(*made(0.1, 0.2, 0, 0, columns=1)).method


def test_few_seeds_that_differ_by_chance_only_have_no_component_but_a_bound():
    draw = np.random.default_rng(0)
    # No two items share a document: no mixed model is fitted.
    found = [components_of(draw.normal(size=(50, 2)), np.arange(50)).replicate for _ in range(40)]
    absent = [each for each in found if each.value is None]
    assert 10 < len(absent) < 40
    assert all(each.high is not None and "no more than single answers" in (each.reason or "") for each in absent)


def test_nine_of_ten_intervals_of_seeds_and_of_the_correlation_hold_the_truth():
    held = np.zeros(2)
    for seed in range(300):
        values, membership = made(0.1, 0.2, 0.1, 0.1, groups=25, columns=3, seed=seed)
        seeds = components_of(values, np.arange(len(values))).replicate
        held[0] += (seeds.low or 0.0) <= 0.01 <= (seeds.high or 0.0)
        low, high = share_bounds(clustered(values.mean(axis=1), membership))
        assert low is not None
        assert high is not None
        # What an item's mean over three seeds varies by beside its document: 0.2^2 + 0.1^2 / 3.
        held[1] += low <= 0.01 / (0.01 + 0.04 + 0.01 / 3) <= high
    # Four standard errors of a share of 0.9 among 300.
    assert (held / 300 > 0.9 - 0.07).all()
    assert (held / 300 < 0.9 + 0.07).all()


def test_an_interval_of_a_variance_is_that_of_the_chi_squared_tables():
    # 10 degrees of freedom: 3.940 and 18.307 cut off 5 % each (Fisher and Yates 1938, table IV).
    assert variance_bounds(10) == pytest.approx((10 / 18.307, 10 / 3.940), rel=1e-4)
