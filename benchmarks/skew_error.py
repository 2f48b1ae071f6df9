"""Claim: where few documents carry a loss, a gate passes a drop of its margin in at most 10 % of runs.

Makes pairs of runs on questions in clauses of TeleQuAD: 33 and all 98 of the test split, and all 533. The baseline has
F1-like scores, or is right or wrong. Of the candidate the true drop is just the margin. It is carried by rare documents
that lose all they have, by some that lose half a point beside noise, by a tenth of items and documents, or evenly.
Other candidates are unchanged: their answers differ a little everywhere, or in few items. Prints for each how often the
gate passes by the bound of the sign-flip test alone, how often with failures that are not seen
(`leaderboard/gate/unseen.py`), and how often few documents are said to carry the difference. Shares are in percent. Of
a true drop passes are false, of an unchanged candidate they are wanted. Exits with 1 where a skewed drop passes in more
than 10 % of runs, plus 3.5 standard errors.

    python benchmarks/skew_error.py [--repeats 500] [--documents 98 533] [--margins 0.05]
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from gate_error import CLAUSES
from numpy.typing import NDArray

from telbench.leaderboard.gate.gate import ALPHA
from telbench.leaderboard.gate.unseen import overlooked
from telbench.leaderboard.statistics.clusters import summed_up
from telbench.leaderboard.statistics.sign_flip import greater
from telbench.leaderboard.statistics.skew import failing_loss

Scores = NDArray[np.float64]
# TeleQuAD v4, clauses of all splits: (size, how many).
ALL = [
    *((1, 50), (2, 66), (3, 50), (4, 58), (5, 45), (6, 45), (7, 29), (8, 32), (9, 21), (10, 21), (11, 12), (12, 17)),
    *((13, 11), (14, 9), (15, 5), (16, 5), (17, 7), (18, 6), (19, 5), (20, 3), (21, 3), (22, 4), (23, 2), (25, 2)),
    *((26, 1), (27, 3), (28, 1), (29, 2), (30, 2), (31, 2), (32, 2), (33, 1), (35, 1), (38, 2), (39, 1), (40, 1)),
    *((45, 1), (51, 1), (58, 1), (62, 1), (63, 1), (75, 1)),
]
MOST = 0.10


@dataclass(frozen=True)
class Questions:
    """Items in documents: the document of each item, and a generator to draw with."""

    membership: NDArray[np.intp]
    documents: int
    draw: np.random.Generator

    def failing(self, rate: float) -> NDArray[np.bool_]:
        """Items of documents that fail at this rate."""
        return (self.draw.random(self.documents) < rate)[self.membership]

    def noise(self, deviation: float) -> Scores:
        """Normal differences, correlated by 0.05 within documents."""
        shared = self.draw.normal(size=self.documents)[self.membership]
        own = self.draw.normal(size=len(self.membership))
        return deviation * (math.sqrt(0.05) * shared + math.sqrt(0.95) * own)


Change = Callable[[Questions, Scores, float], Scores]


def all_lost(given: Questions, base: Scores, margin: float) -> Scores:
    """Rare documents lose all they have, on average just the margin."""
    return np.where(given.failing(margin / 0.5), -base, 0.0)


def all_lost_rest_gains(given: Questions, base: Scores, margin: float) -> Scores:
    """The same, twice as many, and all others gain the margin."""
    rate = 2 * margin / (0.5 + margin)
    return np.where(given.failing(rate), -base, margin)


def half_a_point(given: Questions, _base: Scores, margin: float) -> Scores:
    """Rare documents lose half a point, beside noise."""
    return np.where(given.failing(margin / 0.5), -0.5, 0.0) + given.noise(0.1)


def a_tenth(given: Questions, _base: Scores, margin: float) -> Scores:
    """Large losses in a tenth of the items and of the documents, small gains in the others."""
    lost = given.draw.random(len(given.membership)) < 0.1
    return np.where(lost, -0.45, 0.05) + np.where(given.failing(0.1), -0.18, 0.02) - margin


def everywhere(deviation: float, share: float) -> Change:
    """Normal differences around a drop of this share of the margin."""
    return lambda given, _base, margin: given.noise(deviation) - share * margin


def few_items(rate: float) -> Change:
    """Some items change by up to 0.6 either way."""

    def change(given: Questions, base: Scores, _margin: float) -> Scores:
        return np.where(given.draw.random(len(base)) < rate, given.draw.uniform(-0.6, 0.6, len(base)), 0.0)

    return change


# What is drawn: F1-like baseline (else right or wrong, by documents), skewed, true drop, the change.
CASES: dict[str, tuple[bool, bool, bool, Change]] = {
    "drop: right documents all wrong": (False, True, True, all_lost),
    "drop: documents lose their F1": (True, True, True, all_lost),
    "drop: the same, the rest gains": (True, True, True, all_lost_rest_gains),
    "drop: documents lose 0.5, noise": (True, True, True, half_a_point),
    "drop: a tenth loses, the rest gains": (True, True, True, a_tenth),
    "drop: everywhere (0.3)": (True, False, True, everywhere(0.3, 1)),
    "unchanged: everywhere (0.3)": (True, False, False, everywhere(0.3, 0)),
    "unchanged: everywhere (0.1)": (True, False, False, everywhere(0.1, 0)),
    "unchanged: a tenth of items": (True, False, False, few_items(0.1)),
    "unchanged: 3 % of items": (True, False, False, few_items(0.03)),
}


def shares(sizes: NDArray[np.int64], margin: float, case: str, repeats: int) -> tuple[float, ...]:
    """Shares of gates: pass by the sign-flip test alone, pass, few documents carry the difference."""
    graded, _, _, change = CASES[case]
    draw = np.random.default_rng([len(sizes), round(1000 * margin), len(case)])
    membership = np.repeat(np.arange(len(sizes)), sizes)
    given = Questions(membership, len(sizes), draw)
    weights, names = sizes.astype(np.float64), [str(place) for place in range(len(sizes))]
    alone = passed = carried = 0
    for _ in range(repeats):
        if graded:
            base = draw.beta(2, 2, len(membership))
        else:
            base = (draw.random(len(sizes)) < 0.5)[membership].astype(np.float64)
        values = np.round(change(given, base, margin), 9)
        data, rest = (
            summed_up(np.bincount(membership, weights=row).astype(np.float64), weights) for row in (values, base)
        )
        # The bound of the gate lies above -margin exactly where this test rejects.
        if greater(data.sums + weights * margin) <= ALPHA:
            alone += 1
            passed += overlooked(data, names, failing_loss(rest), margin, ALPHA) is None
        carried += data.dominated
    return alone / repeats, passed / repeats, carried / repeats


def main() -> int:
    """Simulate and print; 0 when skewed drops pass as seldom as was claimed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repeats", type=int, default=500)
    parser.add_argument("--documents", type=int, nargs="+", choices=(33, 98, 533), default=(33, 98, 533))
    parser.add_argument("--margins", type=float, nargs="+", default=(0.02, 0.05))
    arguments = parser.parse_args()
    limit = MOST + 3.5 * math.sqrt(MOST * (1 - MOST) / arguments.repeats)
    fine = True
    test, every = (
        np.repeat([size for size, _ in counted], [count for _, count in counted]) for counted in (CLAUSES, ALL)
    )
    print("| documents | margin | candidate | sign-flip alone passes | the gate passes | few carry it |")
    print("|---|---|---|---|---|---|")
    for sizes in (each for each in (test[::3], test, every) if len(each) in arguments.documents):
        for margin in arguments.margins:
            for case, (_, skewed, _, _) in CASES.items():
                found = shares(sizes, margin, case, arguments.repeats)
                cells = " | ".join(f"{100 * share:.1f}" for share in found)
                print(f"| {len(sizes)} | {margin:g} | {case} | {cells} |", flush=True)
                fine = fine and not (skewed and found[1] > limit)
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
