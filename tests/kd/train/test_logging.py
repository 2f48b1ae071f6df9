"""The numbers of a training in TensorBoard, W&B and MLflow, read back with these packages; nothing uses the network."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from telbench.config import merged, read_settings
from telbench.errors import InputError, TelbenchError
from telbench.harness.cli.terminal import Reporter
from telbench.harness.loggers.contract import LoggerSpec
from telbench.kd.settings import TrainingSettings
from telbench.kd.train.candidate import Candidate, train_candidate
from telbench.kd.train.trainer import Trainer

from ...logger_files import only_this_machine, wandb_records

__all__ = ["only_this_machine"]

Train = Callable[..., Candidate]
Series = dict[int, float]


@pytest.fixture
def train(models: Path, tmp_path: Path) -> Train:
    def run(out: str = "made", **changes: Any) -> Candidate:
        given: dict[str, Any] = {
            "student": str(models / "student"),
            "data": {"data": str(models / "facts.jsonl"), "max_length": 96},
            "optimiser": {"epochs": 2, "batch_size": 4},
        }
        return train_candidate(read_settings(TrainingSettings, merged(given, changes), "t"), tmp_path / out, Reporter())

    return run


def logged(made: Candidate, key: str) -> Series:
    lines = [json.loads(line) for line in (made.path / "training.jsonl").read_text().splitlines()]
    return {line["step"]: line[key] for line in lines if key in line}


def in_tensorboard(folder: Path, name: str, key: str, project: str) -> Series:
    accumulator = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator", reason="the extra tensorboard is not installed"
    )
    events = accumulator.EventAccumulator(str(folder / "tensorboard" / name))
    events.Reload()
    return {event.step: event.value for event in events.Scalars(key)}


def in_wandb(folder: Path, name: str, key: str, project: str) -> Series:
    found: Series = {}
    runs = wandb_records(folder)
    assert len(runs) == 2
    for record in (record for records in runs for record in records):
        if record.HasField("run"):
            assert (record.run.display_name, record.run.project) == (name, project)
        values = {(each.key or each.nested_key[0]): json.loads(each.value_json) for each in record.history.item}
        if key in values:
            found[int(values["_step"])] = values[key]
    return found


def in_mlflow(folder: Path, name: str, key: str, project: str) -> Series:
    mlflow = pytest.importorskip("mlflow")
    client = mlflow.MlflowClient(tracking_uri=(folder / "mlflow").as_uri())
    (run,) = client.search_runs([client.get_experiment_by_name(project).experiment_id])
    assert (run.info.run_name, run.info.status) == (name, "FINISHED")
    assert run.data.params["optimiser.batch_size"] == "4"
    points = client.get_metric_history(run.info.run_id, key)
    assert len({point.step for point in points}) == len(points)
    return {point.step: point.value for point in points}


def kept_files(folder: Path, name: str) -> list[str]:
    """Files beside the numbers; W&B names what it waits to send by other names."""
    if name == "wandb":
        artefacts = [
            record.artifact for records in wandb_records(folder) for record in records if record.HasField("artifact")
        ]
        return [entry.path for artefact in artefacts for entry in artefact.manifest.contents]
    return [each.name for each in (folder / name).rglob("*.png")]


READERS = {"tensorboard": in_tensorboard, "wandb": in_wandb, "mlflow": in_mlflow}


@pytest.mark.slow
@pytest.mark.parametrize("name", READERS)
def test_a_logger_has_every_step_also_of_a_training_that_was_killed(
    train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    pytest.importorskip(name, reason=f"{name} is not installed: the extra {name} brings it")
    keeping = {"log": [name], "save_every": 3, "log_project": "facts"}
    step = Trainer._step

    def cut(self: Trainer, planned: Any, *rest: Any) -> None:
        # Two steps after the last save, which are made again.
        if planned.number == 5:
            raise SystemExit
        step(self, planned, *rest)

    with monkeypatch.context() as patched:
        patched.setattr(Trainer, "_step", cut)
        with pytest.raises(SystemExit):
            train(keeping=keeping)
    made = train(keeping=keeping)
    for key in ("loss", "dev_loss", "learning_rate"):
        wanted = logged(made, key)
        assert READERS[name](made.path, "made", f"training/{key}", "facts") == pytest.approx(wanted), key
    assert sorted(logged(made, "loss")) == list(range(1, 9))
    # The plot of a finished training is an artefact, once.
    assert kept_files(made.path, name) == ["loss.png"]
    assert not (tmp_path / "made.training").exists()


@pytest.mark.slow
def test_two_trainings_share_a_folder_of_loggers(train: Train, tmp_path: Path) -> None:
    mlflow = pytest.importorskip("mlflow", reason="mlflow is not installed: the extra mlflow brings it")
    keeping = {"log": ["mlflow"], "log_dir": str(tmp_path / "shown"), "log_project": "both"}
    for name, seed in (("one", 0), ("two", 1)):
        made = train(name, keeping=keeping, optimiser={"seed": seed})
        assert not (made.path / "mlflow").exists()
    client = mlflow.MlflowClient(tracking_uri=(tmp_path / "shown" / "mlflow").as_uri())
    experiment = client.get_experiment_by_name("both").experiment_id
    assert {run.info.run_name for run in client.search_runs([experiment])} == {"one", "two"}


def test_a_logger_that_is_not_installed_is_named_with_its_extra(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("wandb", "mlflow"):
        monkeypatch.setitem(sys.modules, name, None)
        with pytest.raises(InputError, match=rf"--log {name} needs the package '{name}'.*{name}"):
            train(name, keeping={"log": [name]})


def test_a_logger_that_fails_is_one_line_and_the_training_goes_on_without_it(
    train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken:
        def scalars(self, step: int, values: Mapping[str, float]) -> None:
            if step > 5:
                raise ValueError("the server\nis gone")

        def close(self, *, finished: bool) -> None:
            assert not finished

    spec = LoggerSpec("mlflow", "json", lambda run: Broken())
    monkeypatch.setattr("telbench.harness.loggers.contract.logger_named", lambda name: spec)
    # It has no method ``files`` either.
    with pytest.raises(TelbenchError, match=r"--log mlflow failed \(ValueError: the server is gone\)"):
        train(keeping={"log": ["mlflow"], "save_every": 1})
    assert train().made_now


def test_without_a_logger_nothing_is_written_for_one(train: Train) -> None:
    made = train(optimiser={"epochs": 1})
    assert not {"tensorboard", "wandb", "mlflow"} & {path.name for path in made.path.iterdir()}
