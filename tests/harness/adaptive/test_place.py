"""What all items would show, estimated from some of them; and when a place is settled."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest

from telbench.errors import InputError
from telbench.harness.adaptive.candidate import Candidate, Finished
from telbench.harness.adaptive.order import asking_order, looks
from telbench.harness.adaptive.place import FEW_DOCUMENTS, FEW_ITEMS, Documents, critical, whole_spread
from telbench.leaderboard.statistics import clusters, paired
from telbench.leaderboard.statistics.clusters import clustered
from telbench.leaderboard.statistics.paired import paired_difference

SIZES = np.r_[40, 25, 20, 15, [10] * 10, [3] * 30, [1] * 30]
NUMBERS = np.repeat(np.arange(len(SIZES)), SIZES)


def alike_in_documents(seed: int, shift: float = 0.0, total: np.ndarray = NUMBERS) -> np.ndarray:
    """Differences of -1, 0 and 1 that documents have in common."""
    draw = np.random.default_rng(seed)
    own = draw.normal(0, 1, total.max() + 1)[total] + draw.normal(0, 1.2, len(total)) + shift
    return np.sign(own) * (np.abs(own) > 1)


def test_so_few_documents_or_items_claim_nothing_in_a_comparison_either() -> None:
    assert (FEW_DOCUMENTS, FEW_ITEMS) == (clusters.FEW_CLUSTERS, paired.FEW_ITEMS)


def test_of_all_items_it_is_the_clustered_standard_error() -> None:
    differences = alike_in_documents(0)
    spread = whole_spread(differences, np.arange(len(NUMBERS)), Documents(NUMBERS))
    assert spread.low == spread.high == pytest.approx(clustered(differences, NUMBERS).standard_error)


def test_without_documents_it_is_the_plain_one() -> None:
    differences, alone = alike_in_documents(1), np.arange(len(NUMBERS))
    spread = whole_spread(differences, alone, Documents(alone))
    assert spread.low == spread.high == pytest.approx(differences.std(ddof=1) / math.sqrt(len(alone)))


def test_from_a_part_it_is_right_on_average_and_knows_the_documents() -> None:
    draw, differences = np.random.default_rng(2), alike_in_documents(3)
    truth = clustered(differences, NUMBERS).standard_error
    plain = differences.std() / math.sqrt(len(NUMBERS))
    assert truth is not None
    assert truth > 1.5 * plain
    variances, held = [], 0
    for _ in range(600):
        places = draw.choice(len(NUMBERS), 120, replace=False)
        spread = whole_spread(differences[places], places, Documents(NUMBERS))
        variances.append((spread.low**2 + spread.high**2) / 2)
        held += spread.low <= truth <= spread.high
    # The mean of the sample stands for that of all, which takes a little off.
    assert np.mean(variances) == pytest.approx(truth**2, rel=0.12)
    assert held / 600 > 0.55


def test_the_critical_difference_is_that_of_the_interval_of_a_comparison() -> None:
    differences = alike_in_documents(4)
    found = paired_difference(differences, list(map(str, NUMBERS)))
    assert found.ci_low is not None
    assert found.ci_high is not None
    documents = Documents(NUMBERS)
    shown = critical(whole_spread(differences, np.arange(len(NUMBERS)), documents), documents.effective, 0.025)
    half = (found.ci_high - found.ci_low) / 2
    assert shown.low <= 1.08 * half
    assert shown.high >= 0.92 * half
    assert shown.low < shown.high


def asked(base: np.ndarray, other: np.ndarray, seed: int, margin: float | None = None, alpha: float = 0.05):
    """(verdict or None, how many items it took)."""
    order = np.random.default_rng(seed).permutation(len(base))
    candidate = Candidate([Finished("base", "", base[order])], Documents(NUMBERS[order]), margin, alpha)
    done = 0
    for upto in looks(len(base)):
        given = other[order[done:upto]]
        candidate.add(given, given)
        done = upto
        if candidate.settled:
            break
    return candidate.beside()[0].verdict, done


def scores_of(differences: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Scores of a baseline and a candidate with these differences."""
    base = np.where(differences > 0, 0.0, np.where(differences < 0, 1.0, np.random.default_rng(seed).integers(0, 2)))
    return base, base + differences


def test_more_items_of_the_same_documents_would_show_nothing_and_that_is_settled() -> None:
    # A difference that single items would show, and so few documents do not: plainly it is 5 errors, by documents 1.5.
    differences = alike_in_documents(11, 0.45)
    data, plain = clustered(differences, NUMBERS), differences.std() / math.sqrt(len(NUMBERS))
    assert data.standard_error is not None
    base, other = scores_of(differences, 0)
    full = paired_difference(differences, list(map(str, NUMBERS)))
    said = [asked(base, other, seed)[0] for seed in range(10)]
    expected = "no difference" if full.p_mean > 0.05 else "better"
    assert all(each in (None, expected) for each in said)
    assert data.standard_error > 1.5 * plain


def test_with_a_margin_a_drop_within_it_passes_and_one_beyond_it_fails() -> None:
    draw = np.random.default_rng(12)
    base = (draw.random(len(NUMBERS)) < 0.6).astype(float)
    drop = np.where(draw.random(len(NUMBERS)) < 0.3, 0.0, base)
    assert asked(base, base.copy(), 0, margin=0.2)[0] == "not worse"
    assert asked(base, drop, 0, margin=0.01)[0] in ("worse", None)
    verdict, n = asked(base, np.zeros(len(base)), 0, margin=0.05)
    assert verdict == "worse"
    assert n < len(base)


def test_what_so_few_documents_could_not_exclude_does_not_pass_by_the_mean_alone() -> None:
    differences = alike_in_documents(21)
    differences -= differences.mean()
    base, other = np.full(len(NUMBERS), 0.5), 0.5 + differences / 4
    data = clustered(other - base, NUMBERS)
    assert data.standard_error is not None
    margin = 0.8 * data.standard_error
    said = {asked(base, other, seed, margin=margin)[0] for seed in range(8)}
    # The mean of all items is 0, well above -margin; the bound of all items is not.
    assert said <= {"inconclusive", None}
    assert "inconclusive" in said


def test_a_higher_alpha_settles_no_later() -> None:
    draw = np.random.default_rng(13)
    base, other = (draw.random((2, len(NUMBERS))) < [[0.4], [0.75]]).astype(float)
    takes = [asked(base, other, 0, alpha=alpha)[1] for alpha in (0.3, 0.05, 0.001)]
    assert takes == sorted(takes)


def test_items_that_a_finished_run_has_no_score_of_count_nowhere() -> None:
    draw = np.random.default_rng(14)
    base, other = (draw.random((2, len(NUMBERS))) < [[0.4], [0.6]]).astype(float)
    holes, wild = base.copy(), other.copy()
    holes[::5] = np.nan
    wild[::5] = 0.0
    intervals = []
    for scores in (other, wild):
        candidate = Candidate([Finished("base", "", holes)], Documents(NUMBERS), None, 0.05)
        for first in range(0, 93, 31):
            candidate.add(scores[first : first + 31], scores[first : first + 31])
        intervals.append(candidate.interval())
    assert intervals[0] == intervals[1]


def test_few_effective_documents_are_refused() -> None:
    numbers = np.repeat(np.arange(9), [200, *[2] * 8])
    with pytest.raises(InputError, match=r"9 source documents tell as much as 1.2 of equal size, it takes 6"):
        Candidate([Finished("base", "", np.zeros(len(numbers)))], Documents(numbers), None, 0.05)


def test_the_order_depends_on_seed_and_ids_and_on_nothing_else() -> None:
    ids = [f"q{place}" for place in range(500)]
    order = asking_order(ids, 0)
    assert sorted(order) == list(range(500))
    assert [ids[::-1][place] for place in asking_order(ids[::-1], 0)] == [ids[place] for place in order]
    assert asking_order(ids, 1) != order
    # No run of the data's own order is left: Spearman's correlation of place and turn is near 0.
    assert abs(np.corrcoef(order, np.arange(500))[0, 1]) < 0.15


def test_looks_are_few_and_never_late() -> None:
    every = list(looks(12_000))
    assert every[-1] == 12_000
    assert len(every) < 60
    assert all(later - earlier <= max(32, earlier / 8) for earlier, later in pairwise(every))
    assert list(looks(5)) == [5]
