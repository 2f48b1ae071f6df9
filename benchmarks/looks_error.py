"""Claim: `telbench check --sequential` errs in at most 5 % of baselines, however often candidates are looked at.

Makes streams of 20 candidates that are held against one baseline, on the questions of TeleQuAD's test split (693 in 98
clauses). A candidate's differences of one item are normal (0.3), correlated by 0.05 within clauses; half of their
variance is the baseline's own, so all looks of a stream share it, or none is. Counts streams of unchanged candidates
with any red look, and streams of candidates that truly drop by the margin with any look that passes: as each check
decides by itself, and with the levels of the ledger. The third number is the cost: the share of looks at unchanged
candidates that pass, here with a margin that a check by itself passes in 95 %. Prints a row each. Exits with 1 where
the ledger's rates are above 5 % plus 3.5 standard errors.

    python benchmarks/looks_error.py [--repeats 2000]
"""

from __future__ import annotations

import argparse
import math
import sys

import numpy as np
from gate_error import clauses
from numpy.typing import NDArray

from telbench.leaderboard.gate.spending import HALF, next_levels
from telbench.leaderboard.statistics import sign_flip

ALPHA, LOOKS = 0.05, 20


def sums_of(sizes: NDArray[np.int64], rows: int, draw: np.random.Generator) -> NDArray[np.float64]:
    """Normal differences summed by clause."""
    shared = math.sqrt(0.05) * sizes * draw.normal(size=(rows, len(sizes)))
    return 0.3 * (shared + np.sqrt(0.95 * sizes) * draw.normal(size=(rows, len(sizes))))


def p_values(
    shift: float, common: float, margin: float, repeats: int, draw: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """P of a drop and of a drop smaller than the margin, shape (streams, looks), as the gate tests them."""
    sizes = clauses(1)
    baseline = sums_of(sizes, repeats, draw)
    drops, margins = [], []
    for _ in range(LOOKS):
        own = sums_of(sizes, repeats, draw)
        sums = math.sqrt(common) * baseline + math.sqrt(1 - common) * own + sizes * shift
        drops.append(sign_flip.tail(-sums, -sums.sum(axis=1)))
        raised = sums + sizes * margin
        margins.append(sign_flip.tail(raised, raised.sum(axis=1)))
    return np.stack(drops, axis=1), np.stack(margins, axis=1)


def decided(drop: float, margin: float, red: float, passing: float) -> tuple[bool, bool]:
    """(red, passed), by the gate's rule: what is shown to be smaller than the margin is not red."""
    passed = margin < passing
    return drop <= red and margin >= red and not passed, passed


def stream(drops: NDArray[np.float64], margins: NDArray[np.float64]) -> tuple[list[bool], list[bool]]:
    """Which looks of a stream are red, and which pass, with the ledger's levels."""
    rejected: list[tuple[bool, bool]] = []
    reds, passes = [], []
    for drop, margin in zip(drops.tolist(), margins.tolist(), strict=True):
        levels = next_levels(rejected, ALPHA, HALF)
        red, passed = decided(drop, margin, levels.red, levels.passing)
        rejected.append((drop <= levels.red and margin >= levels.red, passed))
        reds.append(red)
        passes.append(passed)
    return reds, passes


def main() -> int:
    """Simulate and print; 0 when the ledger keeps both promises."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repeats", type=int, default=2000)
    repeats = parser.parse_args().repeats
    draw = np.random.default_rng(20)
    sizes = clauses(1)
    limit = ALPHA + 3.5 * math.sqrt(ALPHA * (1 - ALPHA) / repeats)
    effect = 1 + (float((sizes**2).sum() / sizes.sum()) - 1) * 0.05
    # The margin that an unchanged candidate passes in 95 % of checks.
    margin = 2 * sign_flip.normal_quantile(0.95) * 0.3 * math.sqrt(effect / float(sizes.sum()))
    print(
        f"margin {margin:.3f}; shares of streams of {LOOKS} looks and, last, of looks, in percent\n"
        "| the baseline's share of the variance | gate | any red, unchanged | any pass, drop of the margin "
        "| unchanged passes: look 1 | look 5 | look 20 |\n|---|---|---|---|---|---|---|"
    )
    fine = True
    for common in (0.0, 0.5):
        unchanged = p_values(0.0, common, margin, repeats, draw)
        dropped = p_values(-margin, common, margin, repeats, draw)
        rows_of = zip(*unchanged, strict=True)
        single = np.array([[decided(*each, ALPHA, ALPHA) for each in zip(*row, strict=True)] for row in rows_of])
        lucky = (dropped[1] < ALPHA).any(axis=1).mean()
        rows = {"each check by itself": (single[..., 0].any(axis=1).mean(), lucky, single[..., 1].mean(axis=0))}
        looks = [stream(*row) for row in zip(*unchanged, strict=True)]
        worse = [stream(*row) for row in zip(*dropped, strict=True)]
        rates = np.mean([any(reds) for reds, _ in looks]), np.mean([any(passes) for _, passes in worse])
        rows["--sequential"] = (*rates, np.mean([passes for _, passes in looks], axis=0))
        for name, (red, passed, share) in rows.items():
            cells = " | ".join(f"{100 * each:.1f}" for each in (red, passed, share[0], share[4], share[19]))
            print(f"| {100 * common:.0f} % | {name} | {cells} |", flush=True)
        fine = fine and max(rates) <= limit
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
