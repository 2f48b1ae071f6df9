"""``telbench eval --engine ray``: the run of the engine itself, and one that a killed driver leaves can be finished."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from telbench.harness.cli.main import main
from telbench.harness.engines.contract import EngineSpec
from telbench.harness.engines.replicas.pool import AHEAD
from telbench.harness.runs.folder import JOURNAL, SAMPLES, read_run, read_samples

from ....scripted_engine import write_items
from .calls import asked_twice, calls

pytestmark = pytest.mark.slow


def words(cluster: Any, model: Path, data: Path, out: Path, *more: str) -> list[str]:
    own = ["--replicas", "2", "--replica-options", f"address={cluster.address},chunk=20"]
    plain = ["--metrics", "token_f1", "--max-tokens", "8", "--no-cache"]
    return [
        "eval",
        "--engine",
        "ray",
        *own,
        "--model",
        str(model),
        "--data",
        str(data),
        "--out",
        str(out),
        *plain,
        *more,
    ]


@pytest.mark.parametrize("engine", ["transformers", "vllm"])
def test_a_run_on_replicas_is_the_run_of_their_engine(
    engine: str, tmp_path: Path, tiny_checkpoint: Path, two_nodes: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip(engine)
    data, out = write_items(tmp_path / "items.jsonl", 60), tmp_path / "ray"
    of_engine = ["--replica-engine", engine, "--deterministic"]
    assert main(words(two_nodes, tiny_checkpoint, data, out, *of_engine)) == 0
    alone = ["eval", "--engine", engine, "--deterministic", "--model", str(tiny_checkpoint)]
    alone += ["--data", str(data), "--metrics", "token_f1", "--max-tokens", "8", "--no-cache", "--out"]
    assert main([*alone, str(tmp_path / "alone")]) == 0
    there, here = read_run(out), read_run(tmp_path / "alone")
    assert there["run_id"] == here["run_id"]
    assert there["metrics"] == here["metrics"]
    assert (out / SAMPLES).read_bytes() == (tmp_path / "alone" / SAMPLES).read_bytes()
    assert there["generation"]["engine"] == engine
    assert there["generation"]["replicas"] == 2
    lines = [json.loads(line)["key"] for line in (out / JOURNAL).read_text().splitlines()]
    assert len(lines) == len(set(lines)) == 61
    # It is the same run: the engine alone finds it finished.
    capfd.readouterr()
    assert main([*alone, str(out)]) == 0
    assert "already finished" in capfd.readouterr().err


def test_a_run_whose_driver_is_killed_is_finished_and_asks_again_what_was_open(
    tmp_path: Path, tiny_checkpoint: Path, two_nodes: Any, stand_in: EngineSpec
) -> None:
    count = 1200
    data, out = write_items(tmp_path / "items.jsonl", count), tmp_path / "run"
    options = f"calls={tmp_path / 'calls'},seconds=0.01"
    command = words(two_nodes, tiny_checkpoint, data, out, "--replica-engine", "stand_in", "--engine-option", options)
    driver = subprocess.Popen([sys.executable, "-m", "telbench", *command], stderr=subprocess.DEVNULL)
    until = time.monotonic() + 240
    while not (out / JOURNAL).exists() or (out / JOURNAL).read_bytes().count(b"\n") < 100:
        assert driver.poll() is None
        assert time.monotonic() < until
        time.sleep(0.05)
    os.kill(driver.pid, signal.SIGKILL)
    driver.wait(timeout=30)
    kept = (out / JOURNAL).read_bytes().count(b"\n")
    assert kept < count
    assert main(command) == 0
    header = read_run(out)
    assert header["generation"]["replicas"] == 2
    assert header["counts"]["ok"] == count
    assert header["generation"]["resumed"] >= kept - 2
    found = [(sample["item_id"], sample["prediction"]) for sample in read_samples(out)]
    assert found == [(f"q{index}", f"answer to q{index}") for index in range(count)]
    keys = Counter(json.loads(line)["key"] for line in (out / JOURNAL).read_text().splitlines())
    assert {key: times for key, times in keys.items() if times > 1} in ({}, {"engine": 2})
    assert asked_twice(tmp_path) <= 2 * AHEAD * 20
    # The replicas of the killed driver are gone.
    opened = [line for line in calls(tmp_path) if line[0] == "opened"]
    assert len(opened) == 4
    assert not any(Path("/proc", line[1]).exists() for line in opened)


def test_what_does_not_go_together_is_refused_before_anything_starts(
    tmp_path: Path, tiny_checkpoint: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    data = write_items(tmp_path / "items.jsonl")
    plain = ["eval", "--data", str(data), "--out", str(tmp_path / "run")]
    local = ["--model", str(tiny_checkpoint)]
    for more, told in (
        (["--engine", "transformers", "--replicas", "2", *local], "--replicas belongs to --engine ray"),
        (["--engine", "ray", "--replica-engine", "replay", *local], "only a local engine has replicas"),
        (["--engine", "ray", "--replica-engine", "ray", *local], "only a local engine has replicas"),
        (["--engine", "ray", "--replica-engine", "transformer", *local], "did you mean transformers"),
        (["--engine", "ray", "--replica-engine", "transformers", "--replica-options", "gpus=1", *local], "num_gpus"),
    ):
        assert main([*plain, *more]) == 2, more
        assert told in capfd.readouterr().err
