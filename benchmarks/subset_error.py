"""Claim: items that `telbench data subset` chooses tell a new model's score better than as many random ones.

Reads the files of MMLU-Pro as `adaptive_error.py` does. For each size every model is left out once: a part is chosen by
the others, and the left-out model's score on it is held against that on all questions; beside it random parts of the
same size, 20 a model. Categories are not told, documents are the sources. Prints a row each. Exits with 1 where chance
is as good.

    python benchmarks/subset_error.py FOLDER [--sizes 100 300 1000 3000]
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from adaptive_error import read_mmlu_pro

from telbench.harness.subset.error import compared_with_chance


def main() -> int:
    """Measure and print; 0 where the chosen parts are nearer."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sizes", type=int, nargs="+", default=[100, 300, 1000, 3000])
    options = parser.parse_args()
    scores, sources = read_mmlu_pro(options.folder)
    print("| items | part | mean error | largest | rank correlation | same verdict | opposite |\n" + "|---" * 7 + "|")
    fine = True
    for n in options.sizes:
        found = compared_with_chance(scores, sources, [None] * len(sources), n, np.random.default_rng(n))
        for name, each in zip(("chosen", "random"), found, strict=True):
            rank = 0.0 if each.rank_correlation is None else each.rank_correlation
            print(
                f"| {n:,} | {name} | {100 * each.mean:.2f} | {100 * each.largest:.2f} | {rank:.3f} "
                f"| {100 * each.agreement:.1f} | {100 * each.opposite:.2f} |",
                flush=True,
            )
        fine = fine and found[0].mean < found[1].mean
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
