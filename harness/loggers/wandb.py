"""Weights & Biases, offline: files in ``FOLDER/wandb`` that ``wandb sync`` sends when a person calls it.

``WANDB_MODE=online`` in the environment is the user's word that the network may be used.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping
from typing import Any

from .contract import LoggedRun, LoggerSpec, flat, own_environment


class _Run:
    def __init__(self, run: LoggedRun) -> None:
        own_environment(WANDB_ERROR_REPORTING="false", WANDB_SILENT="true")
        # By name: type checkers need not have it.
        wandb: Any = importlib.import_module("wandb")
        run.folder.mkdir(parents=True, exist_ok=True)
        self._run: Any = wandb.init(
            project=run.project,
            name=run.name,
            id=run.key[:16],
            dir=str(run.folder),
            mode="online" if os.environ.get("WANDB_MODE") == "online" else "offline",
            resume="allow",
            config=flat(run.settings),
            settings=wandb.Settings(
                silent=True,
                console="off",
                disable_git=True,
                disable_code=True,
                x_disable_stats=True,
                x_disable_machine_info=True,
                x_save_requirements=False,
            ),
        )

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """A step is written when the next one begins: looks at the dev split join the step that they are of."""
        self._run.log(dict(values), step=step)

    def close(self, *, finished: bool) -> None:
        """Write what is left."""
        self._run.finish(exit_code=0 if finished else 1)


WANDB = LoggerSpec("wandb", "wandb", _Run)
