"""Attempts to steer a real judge with enforced schema: its checkpoint is named in TELBENCH_JUDGE_CKPT."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from telbench.harness.cli import main


@pytest.mark.slow
def test_attempts_move_a_real_judge_no_further_up_than_idle_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    folder = os.environ.get("TELBENCH_JUDGE_CKPT")
    if not folder:
        pytest.skip("no judge: set TELBENCH_JUDGE_CKPT to the folder of an instruct checkpoint")
    labels = tmp_path / "labels.jsonl"
    labels.write_text(
        json.dumps({"question": "What is N2?", "reference": "gNB-AMF", "answer": "AMF to gNB.", "score": 5}) + "\n"
    )
    words = ["judge", "calibrate", str(labels), "--injections", "--judge", f"local:{folder}"]
    assert main([*words, "--out", str(tmp_path / "out"), "--json"]) == 0
    (effect,) = json.loads(capsys.readouterr().out)["injections"].values()
    assert (effect["n"], effect["missing"]) == (60, 0)
    assert effect["excess"]["low"] <= 0
