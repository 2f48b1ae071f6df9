"""Claim: ``telbench --help`` costs no more CPU than ``sacrebleu --help`` and imports nothing heavy.

Both are run in turn, many times, in fresh processes; the CPU time of the children (user + system) is compared.
Usage: python benchmarks/cli_start.py [--rounds 20]
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
from pathlib import Path

HEAVY = ("numpy", "torch", "transformers", "vllm", "sacrebleu", "rich")
BIN = Path(sys.executable).parent


def cpu_seconds(command: list[str]) -> float:
    """User and system seconds of one run."""
    before = os.times()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    after = os.times()
    return after.children_user - before.children_user + after.children_system - before.children_system


def imported() -> set[str]:
    """Top-level names of the heavy modules that ``telbench --help`` loads."""
    code = (
        "import sys; from telbench.harness.cli.main import main; main(['--help']); print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return set(done.stderr.split()) & set(HEAVY)


def main() -> int:
    """Print medians, ratio and verdict; exit 1 when the claim does not hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    rounds = parser.parse_args().rounds
    ours, theirs = [], []
    for _ in range(rounds):
        ours.append(cpu_seconds([str(BIN / "telbench"), "--help"]))
        theirs.append(cpu_seconds([str(BIN / "sacrebleu"), "--help"]))
    mine, peer = statistics.median(ours), statistics.median(theirs)
    print(f"telbench --help   {mine:.3f} CPU s (median of {rounds})")
    print(f"sacrebleu --help  {peer:.3f} CPU s")
    print(f"ratio             {mine / peer:.2f}")
    loaded = imported()
    print(f"heavy imports     {', '.join(sorted(loaded)) or 'none'}")
    return int(mine > peer or bool(loaded))


if __name__ == "__main__":
    sys.exit(main())
