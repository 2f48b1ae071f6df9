"""Two processes train what one trains: the same losses, step by step, and one checkpoint."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from telbench.harness.datasets.items import DataSet

from ..made_models import save_facts, save_models

pytestmark = pytest.mark.slow

ENTRY = "from telbench.harness.cli.main import entry; entry()"


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory, facts: DataSet) -> Path:
    folder = save_models(tmp_path_factory.mktemp("models"), facts)
    save_facts(folder / "facts.jsonl", facts)
    return folder


def words(models: Path, out: Path, student: str, algorithm: str, *more: str) -> list[str]:
    teacher = [] if algorithm == "sft" else ["--teacher", str(models / "teacher"), "--algorithm", algorithm]
    name = "--model" if algorithm == "sft" else "--student"
    return [
        "kd",
        "sft" if algorithm == "sft" else "distill",
        *(name, str(models / student)),
        *teacher,
        *("--data", str(models / "facts.jsonl"), "--epochs", "2", "--batch-size", "5", "--learning-rate", "3e-3"),
        *("--max-length", "96", "--out", str(out)),
        *(("--max-new-tokens", "4") if algorithm in {"gkd", "seq_kd"} else ()),
        *more,
    ]


def launch(arguments: list[str], processes: int, program: Sequence[str] = ("-c", ENTRY), **more: str) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {
        **os.environ,
        **more,
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "ACCELERATE_USE_CPU": "true",
    }
    started = []
    for rank in range(processes):
        ranks = {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(processes)}
        # What torchrun and accelerate launch tell each process.
        both = environment | (ranks if processes > 1 else {})
        started.append(
            subprocess.Popen([sys.executable, *program, *arguments], env=both, stderr=subprocess.PIPE, text=True)
        )
    for process in started:
        _, told = process.communicate(timeout=300)
        assert process.returncode == 0, told


def losses(out: Path) -> list[float]:
    lines = [json.loads(line) for line in (out / "training.jsonl").read_text().splitlines()]
    return [line.get("loss", line.get("dev_loss")) for line in lines]


@pytest.mark.parametrize(("student", "algorithm"), [("other", "dskd_v2"), ("other", "dskd_cma"), ("student", "gkd")])
def test_two_processes_give_the_losses_of_one(models: Path, tmp_path: Path, student: str, algorithm: str) -> None:
    # Sixteen items in fives: the last step has one item, so that a process has none.
    launch(words(models, tmp_path / "one", student, algorithm), 1)
    launch(words(models, tmp_path / "two", student, algorithm), 2)
    assert losses(tmp_path / "two") == pytest.approx(losses(tmp_path / "one"), rel=1e-4)
    one, two = (load_file(tmp_path / name / "model.safetensors") for name in ("one", "two"))
    for name, weight in one.items():
        assert torch.allclose(weight, two[name], atol=2e-4), name
    assert json.loads((tmp_path / "two" / "telbench.json").read_text())["training"]["processes"] == 2


def test_two_processes_keep_the_step_that_answers_choose(models: Path, tmp_path: Path) -> None:
    more = ("--epochs", "12", "--learning-rate", "1e-2", "--evaluate-every", "16", "--select", "chrf")
    for name, processes in (("one", 1), ("two", 2)):
        launch(words(models, tmp_path / name, "student", "sft", *more, "--patience", "2"), processes)
    one, two = (json.loads((tmp_path / name / "telbench.json").read_text())["training"] for name in ("one", "two"))
    assert one["best"]["score"] > 0
    assert two["kept_step"] == one["kept_step"]
    assert two["best"]["score"] == pytest.approx(one["best"]["score"], abs=1.0)


def test_answers_choose_no_step_where_weights_are_spread(models: Path, tmp_path: Path) -> None:
    program = (str(Path(__file__).with_name("sharded.py")),)
    with pytest.raises(AssertionError, match="needs the whole student in each process"):
        launch(words(models, tmp_path / "made", "student", "sft", "--select", "chrf"), 2, program)


def test_weights_spread_over_processes_train_stop_and_go_on_like_whole_ones(models: Path, tmp_path: Path) -> None:
    program = (str(Path(__file__).with_name("sharded.py")),)
    more = ("--save-every", "2", "--micro-batch-size", "2")
    launch(words(models, tmp_path / "one", "other", "dskd_v2", *more), 1)
    spread = words(models, tmp_path / "spread", "other", "dskd_v2", *more)
    launch(spread, 2, program, STOP_AT="5")
    assert (tmp_path / "spread.training" / "step-00000004").is_dir()
    launch(spread, 2, program)
    assert losses(tmp_path / "spread") == pytest.approx(losses(tmp_path / "one"), rel=1e-4)
    one, two = (load_file(tmp_path / name / "model.safetensors") for name in ("one", "spread"))
    assert one.keys() == two.keys()
    for name, weight in one.items():
        assert torch.allclose(weight, two[name], atol=2e-4), name


def test_kill_9_and_the_same_command_end_with_the_same_bits(models: Path, tmp_path: Path) -> None:
    more = ("--save-every", "2", "--epochs", "6")
    launch(words(models, tmp_path / "whole", "student", "gkd", *more), 1)
    arguments = words(models, tmp_path / "cut", "student", "gkd", *more)
    work, kills = tmp_path / "cut.training", 0
    for wanted in (3, 12):
        process = subprocess.Popen([sys.executable, "-c", ENTRY, *arguments], stderr=subprocess.DEVNULL)
        while process.poll() is None:
            log = work / "training.jsonl"
            if log.exists() and log.read_text().count('"loss"') >= wanted:
                process.kill()
                kills += 1
                break
            time.sleep(0.01)
        process.wait()
    assert kills
    launch(arguments, 1)
    whole, cut = (tmp_path / name / "model.safetensors" for name in ("whole", "cut"))
    assert cut.read_bytes() == whole.read_bytes()
    assert losses(tmp_path / "cut") == losses(tmp_path / "whole")
    assert not work.exists()
