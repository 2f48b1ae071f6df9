"""A study's runs in TensorBoard, W&B or MLflow, beside its trainings, which show themselves."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...harness.cli.terminal import Reporter
from ...harness.loggers.settings import ShownSettings
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
        """A finished run, as ``telbench log`` shows it. One that fails is told and stops nothing: the run is there."""
        if artefact.kind != "run":
            return
        asked = ShownSettings(log=tuple(self.names), log_dir=self.folder, log_project=self.project)
        # A line a run is the study's own to say.
        with contextlib.redirect_stderr(io.StringIO()) as said:
            code = asked.show([path], artefact.label)
        if code:
            why = (said.getvalue().strip().splitlines() or [f"exit code {code}"])[-1]
            reporter.note(f"{artefact.label} is not shown: {why.removeprefix('telbench log: ')}")
