"""A study's runs in TensorBoard, W&B or MLflow, beside its trainings, which show themselves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from telbench.errors import TelbenchError

from ...harness.cli.terminal import Reporter
from ...harness.loggers.contract import LoggedRun, Logs
from ...harness.runs.folder import read_run
from .graph import Artefact

# Below the study's folder.
SHOWN = "shown"


@dataclass(frozen=True)
class Shown:
    """Loggers by name, where they write, and the study's name; no names: nothing is shown."""

    names: Sequence[str]
    folder: Path
    project: str

    def in_trainings(self) -> dict[str, Any]:
        """What a training's settings say of it; it is no part of what the training makes."""
        if not self.names:
            return {}
        return {"log": list(self.names), "log_dir": str(self.folder), "log_project": self.project}

    def show(self, artefact: Artefact, path: Path, reporter: Reporter) -> None:
        """The metrics of a finished run. A logger that fails is told and stops nothing: the run is in its folder."""
        if not self.names or artefact.kind != "run":
            return
        try:
            header = read_run(path)
            told: Mapping[str, Any] = {**header.get("factors", {}), "model": header["model"]["name"]}
            logs = Logs(self.names, LoggedRun(artefact.label, self.folder, artefact.sha256, self.project, told))
            values = {name: entry["value"] for name, entry in header["metrics"].items() if entry["value"] is not None}
            logs.record({"step": 1, **values}, "run/")
            logs.close(finished=True)
        except (TelbenchError, OSError, KeyError) as error:
            reporter.note(f"{artefact.label} is not shown: {error}")
