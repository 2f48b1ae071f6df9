"""Claim: a gate of 8 or 14 metrics turns red for an unchanged model in at most 5 % of runs.

Makes pairs of runs on questions in clauses of TeleQuAD's test split (all 693 of them in 98 clauses, and 235 in 33), in
one primary metric with a margin and 7 or 13 guardrails. Differences of one item are normal (0.3), correlated by 0.5
between metrics and by 0.05 within a clause. Counts red gates (`telbench check` exits with 1) for an unchanged model,
with guardrails of the default budget and, beside, without one: any shown drop. A fifth as often it counts what becomes
of a model whose primary metric truly drops by just its margin, and of one that has a guardrail dropping by 0.1. Prints
a row each and exits with 1 where an unchanged model turns red in more than 5 % plus 3.5 standard errors.

``--sets`` does so for one gate over three data sets, as ``gate.yaml`` makes it: the two sets of clauses and 327 single
questions, each with three primary metrics, five guardrails and each primary metric in four categories. Beside the gate
with one correction over all stands what three checks, each by itself, come to.

``--margin`` prints, for three sizes (the clauses, a third of them, and four times as many), how many gates pass, fail
and are inconclusive where the primary metric alone is looked at, by its true drop: none, the margin, twice as much. It
exits with 1 where a drop of the margin passes in more than 5 % plus 3.5 standard errors.

    python benchmarks/gate_error.py [--repeats 250] [--sets | --margin]
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from telbench.leaderboard.checks.several import GateSet, judge_set
from telbench.leaderboard.gate.gate import Case, Gate, GatePolicy, judge_gate
from telbench.leaderboard.runs.loaded import LoadedRun
from telbench.leaderboard.statistics.multiplicity import holm
from telbench.metrics.contract import ItemScore, Metric, metrics_named

# TeleQuAD v4, clauses of the test split: (size, how many).
CLAUSES = [
    *((1, 5), (2, 10), (3, 11), (4, 16), (5, 6), (6, 8), (7, 6), (8, 9), (9, 5), (10, 2), (11, 4), (12, 5), (13, 1)),
    *((14, 2), (16, 1), (17, 2), (19, 1), (20, 2), (29, 1), (31, 1)),
]
RATE, MARGIN = 0.05, 0.02
PRIMARY, GUARDRAILS, CATEGORIES = 3, 5, ("a", "b", "c", "d")


def clauses(every: int) -> NDArray[np.int64]:
    """Sizes of every so many of the clauses."""
    return np.repeat([size for size, _ in CLAUSES], [count for _, count in CLAUSES])[::every]


def run_of(name: str, values: NDArray[np.float64], metrics: list[Metric], membership: NDArray[np.int64]) -> LoadedRun:
    """A run with these values, a row a metric; each cluster is of one category."""
    header = {
        "run_id": name,
        "model": {"name": name},
        "data": {"n": len(membership), "items_sha256": "made"},
        "metrics": {metric.name: {"value": None, "range": [0, 1]} for metric in metrics},
    }
    scores = {
        metric.name: {str(item): ItemScore(value) for item, value in enumerate(row)}
        for metric, row in zip(metrics, values.tolist(), strict=True)
    }
    clusters = {str(i): str(c) for i, c in enumerate(membership)}
    categories = {str(i): CATEGORIES[c % len(CATEGORIES)] for i, c in enumerate(membership)}
    return LoadedRun(Path(name), header, clusters, scores, categories=categories)


def pair_of(
    metrics: list[Metric], sizes: NDArray[np.int64], shifts: Mapping[int, float], draw: np.random.Generator
) -> tuple[LoadedRun, LoadedRun]:
    """A made candidate and its baseline; ``shifts`` are true differences by place of the metric."""
    membership = np.repeat(np.arange(len(sizes)), sizes)
    rows, items = len(metrics), len(membership)

    def errors() -> NDArray[np.float64]:
        shared = draw.normal(size=(1, items)), draw.normal(size=(1, len(sizes)))
        own = draw.normal(size=(rows, items)), draw.normal(size=(rows, len(sizes)))
        by_item, by_clause = (math.sqrt(0.5) * (one + other) for one, other in zip(shared, own, strict=True))
        return 0.3 * (math.sqrt(0.95) * by_item + math.sqrt(0.05) * by_clause[:, membership])

    values = np.full((rows, items), 0.5)
    changed = values + errors() + np.array([[shifts.get(place, 0.0)] for place in range(rows)])
    base, run = (run_of(name, made, metrics, membership) for name, made in (("base", values), ("run", changed)))
    return run, base


def gate_of(
    metrics: list[Metric], sizes: NDArray[np.int64], shifts: Mapping[int, float], draw: np.random.Generator
) -> Gate:
    """The gate of one made pair of runs."""
    run, base = pair_of(metrics, sizes, shifts, draw)
    names = [metric.name for metric in metrics]
    return judge_gate(run, base, metrics, GatePolicy({names[0]: MARGIN}, tuple(names[1:])))


def sets_of(
    metrics: list[Metric], shifts: Mapping[int, float], draw: np.random.Generator, *, budget: float = MARGIN
) -> tuple[GateSet, bool]:
    """A gate over three made data sets, and whether any of them is red where each is checked by itself.

    ``shifts`` are of the first data set; ``budget`` is the share that guardrails and categories may drop by.
    """
    names = [metric.name for metric in metrics]
    margins = dict.fromkeys(names[:PRIMARY], MARGIN)
    policy = GatePolicy(
        margins,
        tuple(names[PRIMARY:]),
        guardrail_budget=budget,
        categories=CATEGORIES,
        category_budgets=dict.fromkeys(margins, budget),
    )
    cases = {}
    for place, sizes in enumerate((clauses(1), clauses(3), np.ones(327, np.int64))):
        run, base = pair_of(metrics, sizes, {} if place else shifts, draw)
        cases[f"set{place}"] = Case(run, base, metrics, policy)
    found = judge_set(cases, "warn")
    return found, any(red_alone(gate) for gate in found.gates.values())


def red_alone(gate: Gate) -> bool:
    """Would the data set turn red by itself, its tests corrected without those of the others?"""
    primary, budgeted = (
        [each for each in gate.metrics if (each.margin is None) == without] for without in (False, True)
    )
    drops = zip(primary, holm([each.p_drop for each in primary]), strict=True)
    worse = any(p <= RATE and each.delta < 0 and (each.lower or 0) <= -MARGIN for each, p in drops)
    return worse or any(p <= RATE for p in holm([each.p_beyond or 0 for each in budgeted]))


def print_sets(metrics: list[Metric], repeats: int) -> bool:
    """Rows of unchanged models and of models that did change; True where unchanged ones are red seldom enough."""
    print("| model | guardrails and categories may drop by | red | red if each data set were checked by itself |")
    print("|---|---|---|---|")
    limit = RATE + 3.5 * math.sqrt(RATE * (1 - RATE) / repeats)
    fine = True
    for told, shifts, budget, count in (
        ("unchanged", {}, MARGIN, repeats),
        ("unchanged", {}, 0.0, repeats),
        ("one primary metric drops by 0.05 in 693 questions", {0: -0.05}, MARGIN, repeats // 5),
        ("a guardrail drops by 0.1 in 693 questions", {PRIMARY: -0.1}, MARGIN, repeats // 5),
    ):
        draw = np.random.default_rng([len(shifts), round(100 * budget), *shifts])
        found = [sets_of(metrics, shifts, draw, budget=budget) for _ in range(count)]
        red, alone = sum(gates.verdict == "fail" for gates, _ in found), sum(each for _, each in found)
        print(f"| {told} | {budget:g} | {100 * red / count:.1f} | {100 * alone / count:.1f} |", flush=True)
        fine = fine and (bool(shifts) or budget == 0 or red / count <= limit)
    return fine


def shares(metrics: list[Metric], sizes: NDArray[np.int64], repeats: int) -> list[float]:
    """Shares: unchanged and red (with budgets, without), drop of the margin red and inconclusive, guardrail red."""
    draw = np.random.default_rng([len(metrics), len(sizes)])
    gates = [gate_of(metrics, sizes, {}, draw) for _ in range(repeats)]
    shown = [
        gate.verdict == "fail" or any(each.p_drop_adjusted <= RATE for each in gate.metrics if each.budget is not None)
        for gate in gates
    ]
    margin, guardrail = (
        [gate_of(metrics, sizes, shifts, draw).verdict for _ in range(repeats // 5)]
        for shifts in ({0: -MARGIN}, {1: -0.1})
    )
    return [
        sum(gate.verdict == "fail" for gate in gates) / repeats,
        sum(shown) / repeats,
        margin.count("fail") / len(margin),
        margin.count("inconclusive") / len(margin),
        guardrail.count("fail") / len(guardrail),
    ]


def print_verdicts(metric: Metric, repeats: int) -> bool:
    """Shares of verdicts by size and true drop; True where drops of the margin pass seldom enough."""
    print("| questions | true drop | pass | inconclusive | fail |\n|---|---|---|---|---|")
    limit = RATE + 3.5 * math.sqrt(RATE * (1 - RATE) / repeats)
    fine = True
    for sizes in (clauses(3), clauses(1), np.tile(clauses(1), 4)):
        for drop in (0.0, MARGIN, 2 * MARGIN):
            draw = np.random.default_rng([len(sizes), round(100 * drop)])
            found = [gate_of([metric], sizes, {0: -drop}, draw).verdict for _ in range(repeats)]
            share = {verdict: found.count(verdict) / repeats for verdict in ("pass", "inconclusive", "fail")}
            cells = " | ".join(f"{100 * each:.1f}" for each in share.values())
            print(f"| {sizes.sum():,} in {len(sizes)} clauses | {drop:g} | {cells} |", flush=True)
            fine = fine and (drop < MARGIN or share["pass"] <= limit)
    return fine


def main() -> int:
    """Simulate and print; 0 when unchanged models are red as seldom as was claimed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repeats", type=int, default=250)
    parser.add_argument("--sets", action="store_true")
    parser.add_argument("--margin", action="store_true")
    arguments = parser.parse_args()
    (one,) = metrics_named(["token_f1"])
    if arguments.sets:
        metrics = [replace(one, name=f"m{place}") for place in range(PRIMARY + GUARDRAILS)]
        return 0 if print_sets(metrics, arguments.repeats) else 1
    if arguments.margin:
        return 0 if print_verdicts(one, arguments.repeats) else 1
    limit = RATE + 3.5 * math.sqrt(RATE * (1 - RATE) / arguments.repeats)
    fine = True
    print(
        "| questions | metrics | unchanged is red | … without budgets | drop of the margin: red | … inconclusive "
        "| a guardrail drops by 0.1: red |\n|---|---|---|---|---|---|---|"
    )
    for every in (3, 1):
        sizes = clauses(every)
        for count in (8, 14):
            metrics = [replace(one, name=f"m{place}") for place in range(count)]
            found = shares(metrics, sizes, arguments.repeats)
            cells = " | ".join(f"{100 * share:.1f}" for share in found)
            print(f"| {sizes.sum()} in {len(sizes)} clauses | {count} | {cells} |", flush=True)
            fine = fine and found[0] <= limit
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
