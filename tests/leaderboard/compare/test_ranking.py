"""Rank ranges and groups of three runs or more."""

from __future__ import annotations

import numpy as np
import pytest

from telbench.leaderboard.compare.ranking import rank_runs
from telbench.leaderboard.compare.table import ranking_lines

from ...made_runs import made_run, metric

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
    lines = ranking_lines([rank_runs(runs(), metric("token_f1"))])
    assert any(line.startswith("2-3") for line in lines)
    assert "Holm-corrected over all pairs" in lines[-1]
