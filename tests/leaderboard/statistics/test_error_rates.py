"""How often the tests err, and how often intervals hold the truth, in clusters of TeleQuAD's real sizes.

``pytest -m slow -s`` on this file prints the table of docs/statistics.md.
"""

from __future__ import annotations

import math
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from telbench.leaderboard.gate.gate import GatePolicy, judge_gate
from telbench.leaderboard.statistics import sign_flip
from telbench.leaderboard.statistics.signed_rank import signed_ranks

from ...made_runs import made_run, metric
from .telequad_sizes import CLAUSES, SPECIFICATIONS, TEST_CLAUSES

SIZES = {"533 clauses": CLAUSES, "98 clauses, test split": TEST_CLAUSES, "98 specifications": SPECIFICATIONS}
REPEATS, BLOCK = 2000, 100


def normal(correlation: float):
    """Differences with this correlation within clusters."""

    def draw(generator: np.random.Generator, clusters: np.ndarray) -> np.ndarray:
        shared = generator.normal(size=(BLOCK, clusters[-1] + 1))[:, clusters]
        own = generator.normal(size=(BLOCK, len(clusters)))
        return 0.3 * (math.sqrt(correlation) * shared + math.sqrt(1 - correlation) * own)

    return draw


def right_or_wrong(generator: np.random.Generator, clusters: np.ndarray) -> np.ndarray:
    """A fifth of the answers differ, in some clusters more often in favour of the one run, in some of the other."""
    leaning = generator.uniform(-0.5, 0.5, (BLOCK, clusters[-1] + 1))[:, clusters]
    chance = generator.random((BLOCK, len(clusters)))
    return (chance < 0.1 * (1 + leaning)).astype(float) - (chance > 1 - 0.1 * (1 - leaning))


def skewed(generator: np.random.Generator, clusters: np.ndarray) -> np.ndarray:
    """No change on average: small gains, and large losses in a tenth of the items and of the clusters."""
    lost = generator.random((BLOCK, len(clusters))) < 0.1
    fallen = (generator.random((BLOCK, clusters[-1] + 1)) < 0.1)[:, clusters]
    return np.where(lost, -0.45, 0.05) + np.where(fallen, -0.18, 0.02)


DRAWS = {
    "normal, correlation 0": normal(0),
    "normal, correlation 0.05": normal(0.05),
    "normal, correlation 0.2": normal(0.2),
    "right or wrong": right_or_wrong,
    "skewed": skewed,
}


def within(count: int, repeats: int, rate: float) -> bool:
    """Is a count one that this rate gives, up to 3.5 standard errors?"""
    return abs(count - repeats * rate) <= 3.5 * math.sqrt(repeats * rate * (1 - rate))


def simulated(sizes: np.ndarray, draw: Any, seed: int) -> dict[str, int]:
    """Of `REPEATS` comparisons without a true difference: rejections at 5 %, and intervals and bounds without 0."""
    clusters = np.repeat(np.arange(len(sizes)), sizes)
    generator = np.random.default_rng(seed)
    counts: dict[str, int] = {}
    weights = sizes.astype(float)
    for _ in range(REPEATS // BLOCK):
        items = draw(generator, clusters)
        sums = np.array([np.bincount(clusters, weights=row) for row in items], np.float64)
        ends = [sign_flip.bounds(sums, weights, 0.025, lower=lower) for lower in (True, False)]
        errors = items.std(axis=1, ddof=1) / math.sqrt(len(clusters))
        found = {
            "sign-flip": sign_flip.two_sided(sums) <= 0.05,
            "Wilcoxon": signed_ranks(sums / weights) <= 0.05,
            "z of items": np.abs(items.mean(axis=1)) > 1.96 * errors,
            "interval": (ends[0] > 0) | (ends[1] < 0),
            "lower bound": sign_flip.bounds(sums, weights, 0.05, lower=True) > 0,
            "upper bound": sign_flip.bounds(sums, weights, 0.05, lower=False) < 0,
        }
        for name, hits in found.items():
            counts[name] = counts.get(name, 0) + int(hits.sum())
    return counts


@pytest.mark.slow
@pytest.mark.parametrize("kind", DRAWS)
@pytest.mark.parametrize("where", SIZES)
def test_tests_err_as_often_as_they_say_and_intervals_hold_the_truth(where, kind):
    counts = simulated(SIZES[where], DRAWS[kind], seed=len(where) + len(kind))
    shares = " | ".join(f"{100 * count / REPEATS:.1f}" for count in counts.values())
    sys.stdout.write(f"| {where} | {kind} | {shares} |\n")
    # The interval holds 0 exactly where the test does not reject it, of right or wrong too.
    assert counts["interval"] == counts["sign-flip"]
    if kind == "skewed":
        # Not symmetric: what the tests assume does not hold. Many clusters make up for it in the mean, not in ranks.
        assert counts["sign-flip"] <= 0.08 * REPEATS or where == "98 specifications"
        assert counts["Wilcoxon"] > 0.2 * REPEATS
        return
    assert within(counts["sign-flip"], REPEATS, 0.05)
    assert within(counts["Wilcoxon"], REPEATS, 0.05)
    assert within(counts["lower bound"], REPEATS, 0.05)
    assert within(counts["upper bound"], REPEATS, 0.05)
    if kind.endswith(("0.05", "0.2")):
        # Why clusters: items taken for independent.
        assert counts["z of items"] > 0.08 * REPEATS


@pytest.mark.slow
@pytest.mark.parametrize(
    ("drop", "wrong"), [(0.0, ("FAIL", "FAIL_HARD")), (0.05, ("PASS", "PASS_SMALL_DROP"))], ids=["no change", "margin"]
)
def test_the_gate_fails_an_unchanged_model_and_passes_a_drop_of_the_margin_in_five_percent(drop, wrong):
    repeats = 300
    generator = np.random.default_rng(11)
    clusters = np.repeat(np.arange(len(TEST_CLAUSES)), TEST_CLAUSES)
    names = {f"i{index}": f"clause {cluster}" for index, cluster in enumerate(clusters)}
    count = len(clusters)
    base = replace(made_run("base", {"token_f1": [0.5] * count}), clusters=names)
    policy = GatePolicy({"token_f1": 0.05})
    errors = 0
    for _ in range(repeats):
        changes = normal(0.05)(generator, clusters)[0] - drop
        run = replace(made_run("run", {"token_f1": (0.5 + changes).tolist()}), clusters=names)
        errors += judge_gate(run, base, [metric("token_f1")], policy).metrics[0].verdict in wrong
    sys.stdout.write(f"gate, {count} questions, true drop {drop}: wrong in {100 * errors / repeats:.1f} %\n")
    assert errors <= 0.05 * repeats + 3.5 * math.sqrt(repeats * 0.05 * 0.95)
    assert errors > 0
