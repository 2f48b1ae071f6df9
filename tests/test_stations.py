"""How many files and functions a reader passes who follows two answers through ``telbench score``."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "stations.py"
MOST_FILES, MOST_FUNCTIONS = 24, 120


def test_a_scored_answer_passes_few_stations() -> None:
    run = subprocess.run([sys.executable, SCRIPT, "--metrics", "token_f1"], capture_output=True, text=True, check=True)
    found = re.match(r"telbench score of two items: (\d+) files, (\d+) functions", run.stdout)
    assert found is not None
    files, functions = map(int, found.groups())
    assert files <= MOST_FILES, run.stdout
    assert functions <= MOST_FUNCTIONS, run.stdout
