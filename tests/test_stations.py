"""How many files and functions a reader passes who follows a score, a comparison or a training."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "stations.py"


@pytest.mark.parametrize(
    ("flow", "metrics", "most_files", "most_functions"),
    [
        # Where items and answers lie, and by what they are found, are three of the files.
        ("score", "token_f1", 28, 154),
        ("compare", "", 26, 116),
        # A model is trained before the one that is followed: it takes a quarter of a minute.
        pytest.param("train", "", 45, 249, marks=pytest.mark.slow),
    ],
)
def test_a_flow_passes_few_stations(flow: str, metrics: str, most_files: int, most_functions: int) -> None:
    run = subprocess.run(
        [sys.executable, SCRIPT, "--flow", flow, "--metrics", metrics], capture_output=True, text=True, check=True
    )
    found = re.match(r"telbench .*: (\d+) files, (\d+) functions\n", run.stdout)
    assert found is not None
    files, functions = map(int, found.groups())
    assert files <= most_files, run.stdout
    assert functions <= most_functions, run.stdout
