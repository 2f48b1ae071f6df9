"""The script that measures on a GPU runs on a processor at tiny sizes: others' losses are ours, and no part fails."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[3] / "benchmarks" / "kd_gpu.py"


def findings(parts: str) -> list[dict[str, Any]]:
    words = [sys.executable, SCRIPT.name, "--tiny", "--parts", parts, "--limit", "600"]
    run = subprocess.run(words, capture_output=True, text=True, check=True, cwd=SCRIPT.parent)
    return [json.loads(line) for line in run.stdout.splitlines() if line.startswith("{")]


@pytest.mark.slow
def test_peers_stand_beside_telbench_or_are_skipped_with_a_line() -> None:
    told = findings("head,trl,rollouts")
    assert [each for each in told if "failed" in each] == []
    assert told[-1]["what"] == "end"
    for each in told:
        if each["what"] == "head" and "bf16" in each["way"] + "Liger":
            assert each["errors"]["loss"] < 1e-3
            assert max(each["errors"].values()) < 5e-3
    skipped = {each["what"] for each in told if "skipped" in each}
    if "step beside TRL" not in skipped:
        beside = [each for each in told if each["what"] == "telbench against TRL"]
        assert [each["losses_apart"] < 2e-3 for each in beside] == [True, True]
    if "rollouts" not in skipped:
        ways = {each["way"]: each for each in told if each["what"] == "rollouts"}
        assert ways["vllm, float32"]["alike"] == 1
        assert ways["vllm, bfloat16"]["begin_alike"] > 0.5
