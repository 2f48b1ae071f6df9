"""Claim: with as many items as `telbench plan` says, a check succeeds about as often as it promises.

Makes paired differences in clauses of the sizes that TeleQuAD's test split has: normal (0.3), or right and wrong (a
tenth of items either way), correlated within clauses. First the plan knows the truth: with the items and documents that
it names, how often does a check pass an unchanged model, show a drop of the margin, and a comparison a difference? Then
it knows a pilot only: which number of items does it name, how often does its 90 % interval hold the number that the
truth takes, and what is the power with the number it names? Prints a table each. Exits with 1 where the plan that
knows the truth has a power below 0.76 or above 0.87, or an interval holds the truth in less than 82 %.

    python benchmarks/plan_error.py [--repeats 2000]
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable

import numpy as np
from gate_error import clauses
from numpy.typing import NDArray

from telbench.leaderboard.planning.components import variance_bounds
from telbench.leaderboard.planning.pilot import freedom_of
from telbench.leaderboard.statistics import sign_flip
from telbench.leaderboard.statistics.clusters import summed_up
from telbench.leaderboard.statistics.power import needed_for_difference, needed_for_margin

ALPHA, POWER, BATCH = 0.05, 0.8, 50
Draw = Callable[[NDArray[np.int64], int], NDArray[np.float64]]


def normal(icc: float, draw: np.random.Generator) -> Draw:
    """Sums of normal differences by document, for documents of these sizes, so many rows."""

    def sums(sizes: NDArray[np.int64], rows: int) -> NDArray[np.float64]:
        shared = math.sqrt(icc) * sizes * draw.normal(size=(rows, len(sizes)))
        return 0.3 * (shared + np.sqrt((1 - icc) * sizes) * draw.normal(size=(rows, len(sizes))))

    return sums


def right_or_wrong(icc: float, draw: np.random.Generator) -> Draw:
    """The same of differences of 1, 0 and -1: those beyond the tenths of a normal variable."""

    def sums(sizes: NDArray[np.int64], rows: int) -> NDArray[np.float64]:
        membership = np.repeat(np.arange(len(sizes)), sizes)
        hidden = math.sqrt(icc) * draw.normal(size=(rows, len(sizes)))[:, membership]
        hidden += math.sqrt(1 - icc) * draw.normal(size=(rows, len(membership)))
        limit = sign_flip.normal_quantile(0.9)
        values = (hidden > limit).astype(np.float64) - (hidden < -limit)
        return np.add.reduceat(values, np.concatenate([[0], np.cumsum(sizes)[:-1]]), axis=1)

    return sums


def true_spread(made: Draw, draw: np.random.Generator) -> float:
    """Standard error times root of the number of items, in many documents."""
    sizes = draw.choice(clauses(1), 20_000)
    (sums,) = made(sizes, 1)
    error = summed_up(sums, sizes.astype(np.float64)).standard_error
    assert error is not None
    return error * math.sqrt(float(sizes.sum()))


def powers(
    made: Draw, documents: tuple[int, int], margin: float, repeats: int, draw: np.random.Generator
) -> list[float]:
    """Shares: unchanged passes, a drop of the margin is shown (in a check's documents); a comparison shows it."""
    hits = np.zeros(3)
    for _ in range(repeats // BATCH):
        for place, count in enumerate((documents[0], documents[1])):
            sizes = draw.choice(clauses(1), count)
            sums, moved = made(sizes, BATCH), made(sizes, BATCH) - sizes * margin
            if place:
                hits[2] += (sign_flip.two_sided(moved) <= ALPHA).sum()
                continue
            raised = sums + sizes * margin
            hits[0] += (sign_flip.tail(raised, raised.sum(axis=1)) <= ALPHA).sum()
            hits[1] += (sign_flip.tail(-moved, -moved.sum(axis=1)) <= ALPHA).sum()
    return [float(hit) for hit in hits / (repeats // BATCH * BATCH)]


def pilots(
    made: Draw, spread: float, documents: int, margin: float, repeats: int, draw: np.random.Generator
) -> tuple[list[float], float, float]:
    """(tenths of the numbers of items that pilots name, share of intervals that hold the truth, mean power)."""
    wanted = sign_flip.normal_quantile(1 - ALPHA) + sign_flip.normal_quantile(POWER)
    truth = (wanted * spread / margin) ** 2
    named, held = [], 0
    for _ in range(repeats):
        sizes = draw.choice(clauses(1), documents)
        (sums,) = made(sizes, 1)
        pilot = summed_up(sums, sizes.astype(np.float64))
        error, freedom = pilot.standard_error, freedom_of(pilot)
        assert error is not None
        assert freedom is not None
        found = needed_for_margin(error * math.sqrt(pilot.n), margin, pilot, ALPHA, POWER)
        if found is None:
            continue
        low, high = variance_bounds(freedom)
        held += found.items * low <= truth <= found.items * high
        named.append(found.items)
    reached = [sign_flip_power(items / truth, wanted) for items in named]
    tenths = [float(each) for each in np.quantile(named, [0.1, 0.5, 0.9])]
    return tenths, held / len(named), float(np.mean(reached))


def sign_flip_power(ratio: float, wanted: float) -> float:
    """The power with ``ratio`` times as many items as the truth takes."""
    from statistics import NormalDist

    return NormalDist().cdf(math.sqrt(ratio) * wanted - sign_flip.normal_quantile(1 - ALPHA))


def main() -> int:
    """Simulate and print; 0 when plans keep what they promise."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repeats", type=int, default=2000)
    repeats = parser.parse_args().repeats
    draw = np.random.default_rng(15)
    kinds: dict[str, Draw] = {
        "normal, correlation 0.05": normal(0.05, draw),
        "normal, correlation 0.2": normal(0.2, draw),
        "right or wrong, correlation 0.05": right_or_wrong(0.05, draw),
    }
    spreads = {name: true_spread(made, draw) for name, made in kinds.items()}
    like = summed_up(np.zeros(98), clauses(1).astype(np.float64))
    fine = True
    print("| differences | margin | a check needs | unchanged passes | the drop is shown | a comparison shows it |")
    print("|---|---|---|---|---|---|")
    for name, made in kinds.items():
        for margin in (0.02, 0.05, 0.1):
            check = needed_for_margin(spreads[name], margin, like, ALPHA, POWER)
            compare = needed_for_difference(spreads[name], margin, like, ALPHA, POWER)
            assert check is not None
            assert compare is not None
            few = repeats // 4 if check.items > 2000 else repeats
            found = powers(made, (check.documents, compare.documents), margin, few, draw)
            cells = " | ".join(f"{100 * share:.1f}" for share in found)
            print(f"| {name} | {margin:g} | {check.items:,} in {check.documents:,} | {cells} |", flush=True)
            fine = fine and all(0.76 <= share <= 0.87 for share in found)
    print("\n| differences | the truth takes | pilot | tenth, median, nine tenths of plans | interval holds | power |")
    print("|---|---|---|---|---|---|")
    for name, made in kinds.items():
        truth = needed_for_margin(spreads[name], 0.02, like, ALPHA, POWER)
        assert truth is not None
        for documents in (14, 33, 98):
            tenths, held, power = pilots(made, spreads[name], documents, 0.02, repeats, draw)
            plans = ", ".join(f"{each:,.0f}" for each in tenths)
            cells = f"{documents} clauses | {plans} | {100 * held:.0f} | {100 * power:.0f}"
            print(f"| {name} | {truth.items:,} | {cells} |", flush=True)
            fine = fine and held >= 0.82
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
