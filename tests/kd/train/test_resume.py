"""A training that was cut short ends with the weights of one that was not."""

from __future__ import annotations

import errno
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from telbench.errors import InputError, TelbenchError
from telbench.kd.train import dev_loss
from telbench.kd.train import state as training_state
from telbench.kd.train.distiller import Distiller
from telbench.kd.train.trainer import Trainer

from .trainings import Train, losses, records, weights


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"method": {"algorithm": "dskd_v2"}, "student": "other"},
        {"method": {"algorithm": "gkd", "max_new_tokens": 3}},
        {"lora": {"rank": 2, "dropout": 0.2}},
    ],
    ids=["sft", "projectors", "own answers", "dropout"],
)
@pytest.mark.parametrize("cut_at", [0, 3, 6])
def test_a_training_cut_short_at_any_step_ends_with_the_same_bits(
    train: Train, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], cut_at: int
) -> None:
    whole = train("whole", keeping={"save_every": 2, "keep": "last"}, **changes)
    step = Trainer._step

    def cut(self: Trainer, planned: Any, *rest: Any) -> None:
        if planned.number == cut_at:
            raise SystemExit
        step(self, planned, *rest)

    with monkeypatch.context() as patched:
        patched.setattr(Trainer, "_step", cut)
        with pytest.raises(SystemExit):
            train("cut", keeping={"save_every": 2, "keep": "last"}, **changes)
    resumed = train("cut", keeping={"save_every": 2, "keep": "last"}, **changes)
    assert weights(resumed) == weights(whole)
    assert losses(resumed) == losses(whole)


def test_control_c_ends_after_a_saved_step_and_the_same_command_goes_on(
    train: Train, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    whole = train("whole")
    step = Trainer._step

    def interrupted(self: Trainer, planned: Any, *rest: Any) -> None:
        if planned.number == 2:
            os.kill(os.getpid(), signal.SIGINT)
        step(self, planned, *rest)

    with monkeypatch.context() as patched:
        patched.setattr(Trainer, "_step", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train("cut")
    assert "the same command goes on from" in capfd.readouterr().err
    assert weights(train("cut")) == weights(whole)
    assert "going on after step 3 of 8" in capfd.readouterr().err


def test_a_full_disk_is_one_line_and_the_state_before_goes_on(
    train: Train, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    whole = train("whole")

    written: list[Path] = []

    def second_time_full(tensors: Any, file: Path) -> None:
        written.append(file)
        if sum(each.name == training_state.OPTIMIZER for each in written) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        save_file(tensors, file)

    with monkeypatch.context() as patched:
        patched.setattr("safetensors.torch.save_file", second_time_full)
        with pytest.raises(InputError, match=r"the disk is full.*the state saved before is kept"):
            train("cut")
    assert [folder.name for folder in (tmp_path / "cut.training").glob("s*-*")] == ["step-00000004"]
    assert weights(train("cut")) == weights(whole)


def test_a_kill_while_looking_at_the_dev_split_loses_neither_the_epoch_nor_the_batches_looked_at(
    train: Train, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    changes = {"optimiser": {"epochs": 2, "micro_batch_size": 1}}
    whole = train("whole", **changes)
    monkeypatch.setattr(dev_loss, "EVERY_SECONDS", 0.0)
    plain, looked, steps = Distiller.forward, [0], [0]

    def counted(self: Distiller, micro: Any, over: Any = None, asked: Any = "loss") -> Any:
        looked[0] += asked == "cross_entropy"
        steps[0] += asked == "loss"
        return plain(self, micro, over, asked)

    def killed(self: Distiller, *asked: Any) -> Any:
        if looked[0] == 2:
            raise SystemExit
        return counted(self, *asked)

    with monkeypatch.context() as patched:
        patched.setattr(Distiller, "forward", killed)
        with pytest.raises(SystemExit):
            train("cut", **changes)
    assert steps == [16]
    looked, steps = [0], [0]
    monkeypatch.setattr(Distiller, "forward", counted)
    resumed = train("cut", **changes)
    assert "going on after step 4 of 8" in capfd.readouterr().err
    dev = sum("dev_loss" in record for record in records(whole))
    items = whole.origin.data["dev"]["n"]
    assert (steps, looked) == ([16], [dev * items - 2])
    assert weights(resumed) == weights(whole)
    kept = [{name: value for name, value in record.items() if name != "seconds"} for record in records(resumed)]
    assert kept == [{name: value for name, value in record.items() if name != "seconds"} for record in records(whole)]
    assert resumed.origin.training["last_loss"] == whole.origin.training["last_loss"]


def test_memory_that_runs_out_is_one_line_and_a_smaller_part_goes_on_from_the_state(
    train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, plain = train("whole"), Distiller.forward

    def runs_out(self: Distiller, micro: Any, *asked: Any) -> Any:
        if len(micro.examples) > 2 and self.full:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return plain(self, micro, *asked)

    step = Trainer._step

    def later(self: Trainer, planned: Any, *rest: Any) -> None:
        self._distiller.full = planned.number == 5
        step(self, planned, *rest)

    monkeypatch.setattr(Distiller, "forward", runs_out)
    monkeypatch.setattr(Distiller, "full", False, raising=False)
    monkeypatch.setattr(Trainer, "_step", later)
    wanted = r"^out of memory at step 6 with 4 items at once: lower it by --micro-batch-size 2 .*, or "
    with pytest.raises(TelbenchError, match=wanted + r"--gradient-checkpointing.*the state of step 5 is kept"):
        train("cut", keeping={"save_every": 1})
    # What the machine has room for may change on the way; the steps are the same to rounding.
    changed = {"micro_batch_size": 2, "gradient_checkpointing": True, "threads": 2}
    resumed = train("cut", optimiser=changed, keeping={"save_every": 1})
    assert losses(resumed) == pytest.approx(losses(whole), rel=1e-4)
    assert not train("cut").made_now
    with pytest.raises(InputError, match="made by other settings"):
        train("cut", optimiser={"batch_size": 8})


def test_a_refused_training_leaves_no_folder_and_one_that_failed_later_keeps_its_state(
    train: Train, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="has no split"):
        train("refused", data={"dev_split": "nope"})
    with pytest.raises(TelbenchError, match="stopped at step"):
        train("diverged", optimiser={"learning_rate": 1e30})
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(TelbenchError, match="stopped at step"):
        train("later", optimiser={"learning_rate": 1e30}, keeping={"save_every": 1})
    assert [each.name for each in tmp_path.iterdir()] == ["later.training"]


def test_a_process_that_joins_a_training_has_random_numbers_of_its_own(tmp_path: Path) -> None:
    folder = tmp_path / "step-00000003"
    folder.mkdir()
    training_state.save_rng(folder, 0)
    drawn = []
    for rank in (1, 2, 1, 0):
        training_state.load_rng(folder, rank)
        drawn.append(float(torch.rand(())))
    assert drawn[0] == drawn[2] != drawn[1]
    assert drawn[3] not in drawn[:3]
