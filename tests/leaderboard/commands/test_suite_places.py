"""A suite on several machines makes the runs of one machine, whatever dies meanwhile.

The machines of the Ray cluster are two nodes of 127.0.0.1. The jobs of SLURM are submitit's local processes.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from telbench.harness.cli.main import main
from telbench.harness.runs.folder import JOURNAL, SAMPLES, read_run
from telbench.harness.storage import RecordStore

from ...ray_cluster import NODE, running
from ...scripted_engine import write_items

pytestmark = pytest.mark.slow

COUNT = 6


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory, tiny_checkpoint: Path) -> Path:
    """Two models, which differ in their numbers, on two data sets."""
    from safetensors.numpy import load_file, save_file

    folder = tmp_path_factory.mktemp("suite")
    other = folder / "other"
    other.mkdir()
    for file in tiny_checkpoint.iterdir():
        (other / file.name).write_bytes(file.read_bytes())
    weights = load_file(other / "model.safetensors")
    save_file({name: -array for name, array in weights.items()}, other / "model.safetensors", {"format": "pt"})
    for name in ("one", "two"):
        write_items(folder / f"{name}.jsonl", COUNT)
    file = folder / "suite.yaml"
    file.write_text(
        json.dumps(
            {
                "models": {"tiny": str(tiny_checkpoint), "other": str(other)},
                "data": {name: str(folder / f"{name}.jsonl") for name in ("one", "two")},
                "settings": {"engine": "transformers", "max_tokens": 8, "metrics": ["token_f1"], "cache": False},
            }
        )
    )
    return file


@pytest.fixture(scope="module")
def expected(suite: Path) -> dict[str, bytes]:
    """The samples of each run, made on this machine."""
    out = suite.parent / "local"
    assert main(["suite", str(suite), "--out", str(out)]) == 0
    return samples(out)


def samples(out: Path) -> dict[str, bytes]:
    return {path.name: (path / SAMPLES).read_bytes() for path in sorted((out / "runs").iterdir())}


def shares(out: Path) -> dict[str, dict[str, Any]]:
    """What the journal says last of each share."""
    with RecordStore(out / "journal.jsonl") as journal:
        return {name: journal.get(name) or {} for name in journal.keys()}  # noqa: SIM118 - it has no iterator


def wait_for(found: Callable[[], Any], seconds: float = 180) -> Any:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if value := found():
            return value
        time.sleep(0.05)
    raise AssertionError("it did not come to that")


def test_entries_as_tasks_on_two_ray_nodes_of_which_one_is_lost(
    tmp_path: Path, suite: Path, expected: dict[str, bytes], capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "ray"
    with running({**NODE, "num_cpus": 0}, nodes=1) as cluster:
        second = cluster.add_node(**NODE)
        words = ["suite", str(suite), "--out", str(out), "--executor", "ray"]
        words += ["--executor-options", f"address={cluster.address}"]
        made = subprocess.Popen(
            [sys.executable, "-m", "telbench", *words], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
        )
        wait_for(lambda: list((out / "logs").glob("*.txt")) if out.exists() else None)
        time.sleep(1)
        cluster.remove_node(second, allow_graceful=False)
        _, told = made.communicate(timeout=600)
        assert made.returncode == 0, told
    assert samples(out) == expected
    assert len(shares(out)) == 2
    assert {record["status"] for record in shares(out).values()} == {"ended"}
    assert "Ray lost it" in told
    assert "try 2 of 3" in told


def test_entries_as_an_array_of_jobs(tmp_path: Path, suite: Path, expected: dict[str, bytes]) -> None:
    pytest.importorskip("submitit", reason="submitit is not installed: the extra slurm brings it")
    out = tmp_path / "slurm"
    words = ["suite", str(suite), "--out", str(out), "--executor", "slurm", "--executor-options", "cluster=local"]
    assert main([*words, "--jobs", "2"]) == 0
    assert samples(out) == expected
    assert {record["code"] for record in shares(out).values()} == {0}
    assert len(shares(out)) == 2


def test_jobs_of_a_suite_that_was_killed_are_waited_for(
    tmp_path: Path, suite: Path, expected: dict[str, bytes], capfd: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("submitit", reason="submitit is not installed: the extra slurm brings it")
    out = tmp_path / "slurm"
    words = ["suite", str(suite), "--out", str(out), "--executor", "slurm", "--executor-options", "cluster=local"]
    words += ["--jobs", "2"]
    first = subprocess.Popen([sys.executable, "-m", "telbench", *words], stderr=subprocess.DEVNULL)
    wait_for(lambda: out.exists() and (out / "journal.jsonl").exists() and len(shares(out)) == 2)
    os.kill(first.pid, signal.SIGKILL)
    first.wait(timeout=30)
    capfd.readouterr()
    assert main(words) == 0
    assert samples(out) == expected
    told = capfd.readouterr().err
    assert told.count("already under way") == 2
    # Nobody asked twice: each journal has the engine and each answer once.
    for path in (out / "runs").iterdir():
        assert read_run(path)["generation"]["generated"] == COUNT
        assert len((path / JOURNAL).read_text().splitlines()) == COUNT + 1


def test_what_does_not_fit_is_told_before_anything_is_made(
    tmp_path: Path, suite: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "none"
    for words, told in (
        (["--executor", "ray", "--executor-options", "address=127.0.0.1:1"], "no Ray cluster at 127.0.0.1:1"),
        (["--executor", "slurm", "--executor-options", "gpus=1"], "unknown key 'gpus'"),
        (["--executor", "slurm", "--devices", "cuda:0"], "--devices is for this machine's"),
        (["--executor", "local", "--executor-options", "num_gpus=1"], "local has none"),
    ):
        assert main(["suite", str(suite), "--out", str(out), *words]) == 2
        assert told in capfd.readouterr().err
