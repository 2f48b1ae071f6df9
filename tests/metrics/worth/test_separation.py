"""AUCs by their definition, and intervals that grow where the items are of few documents."""

from __future__ import annotations

import random

import pytest

from telbench.judges.calibration.agreement import rank_auc
from telbench.metrics.worth.separation import Value, area


def values(numbers: list[float], documents: int) -> list[Value]:
    return [Value(number, f"d{place % documents}") for place, number in enumerate(numbers)]


def test_the_auc_is_the_count_over_all_pairs() -> None:
    draw = random.Random(0)
    for _ in range(20):
        high, low = ([float(draw.randint(0, 5)) for _ in range(draw.randint(10, 40))] for _ in range(2))
        found = area(values(high, 7), values(low, 7))
        assert found.auc == pytest.approx(rank_auc(high, low), abs=1e-12)
        assert (found.n_right, found.n_wrong) == (len(high), len(low))
        assert found.ci_low is not None
        assert found.ci_high is not None
        assert found.ci_low <= (found.auc or 0) <= found.ci_high


def test_the_interval_covers_the_true_value_as_often_as_it_says() -> None:
    # Documents share an effect, so that items of one are alike; the true AUC of equal normals is 0.5.
    draw, covered, runs = random.Random(1), 0, 120
    for _ in range(runs):
        high, low = [], []
        for document in range(40):
            effect = draw.gauss(0, 1)
            high += [Value(effect + draw.gauss(0, 1), f"d{document}") for _ in range(3)]
            low += [Value(draw.gauss(0, 2**0.5), f"d{document}") for _ in range(3)]
        found = area(high, low)
        covered += (found.ci_low or 0) <= 0.5 <= (found.ci_high or 1)
    assert covered / runs > 0.88


def test_few_values_have_no_auc_and_one_document_no_interval() -> None:
    few = area(values([1.0] * 9, 3), values([0.0] * 30, 3))
    assert (few.auc, few.n_right, few.n_wrong) == (None, 9, 30)
    one = area(values([1.0] * 12, 1), values([0.0] * 12, 1))
    assert (one.auc, one.ci_low, one.ci_high) == (1.0, None, None)
