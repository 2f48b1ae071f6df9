"""Weights & Biases, offline: files in ``FOLDER/wandb`` that ``wandb sync`` sends when a person calls it.

``WANDB_MODE=online`` in the environment is the user's word that the network may be used.
"""

from __future__ import annotations

import contextlib
import importlib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from .contract import LoggedRun, LoggerSpec, Result, flat, own_environment

# Where its package stages files.
_DATA = "WANDB_DATA_DIR"


class _Run:
    def __init__(self, run: LoggedRun) -> None:
        own_environment(WANDB_ERROR_REPORTING="false", WANDB_SILENT="true")
        # By name: type checkers need not have it.
        wandb: Any = importlib.import_module("wandb")
        run.folder.mkdir(parents=True, exist_ok=True)
        self._wandb, self._files = wandb, (run.folder / "wandb").absolute()
        self._run: Any = wandb.init(
            project=run.project,
            name=run.name,
            id=run.key[:16],
            # Whole: its own process stays where it was started, whatever folder this one goes to.
            dir=str(run.folder.absolute()),
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

    def result(self, result: Result) -> None:
        """Numbers as history and summary, words as config, tables as tables, pages as panels, files as an artefact."""
        with _files_in(self._files):
            self._show(result)
        self.files(result.files)

    def files(self, paths: Sequence[Path]) -> None:
        """One artefact of all of them."""
        if not paths:
            return
        with _files_in(self._files):
            artefact = self._wandb.Artifact(f"{self._run.id}-files", "telbench")
            for path in paths:
                if path.is_dir():
                    artefact.add_dir(str(path), name=path.name)
                else:
                    artefact.add_file(str(path), name=path.name)
            self._run.log_artifact(artefact)

    def _show(self, result: Result) -> None:
        wandb = self._wandb
        self._run.config.update(dict(result.tags), allow_val_change=True)
        shown: dict[str, Any] = dict(result.values)
        for table in result.tables:
            rows = [list(row) for row in table.rows]
            shown[table.name] = wandb.Table(columns=list(table.columns), data=rows, allow_mixed_types=True)
        for path in result.files:
            if path.suffix == ".html":
                shown[path.stem] = wandb.Html(path.read_text(encoding="utf-8"), inject=False)
        self._run.log(shown, step=1)

    def close(self, *, finished: bool) -> None:
        """Write what is left."""
        self._run.finish(exit_code=0 if finished else 1)


@contextlib.contextmanager
def _files_in(folder: Path) -> Iterator[None]:
    """Files of artefacts wait beside the run until they are sent, not in the home folder, where nobody said so."""
    told = os.environ.get(_DATA)
    os.environ[_DATA] = told or str(folder)
    try:
        yield
    finally:
        if told is None:
            del os.environ[_DATA]


WANDB = LoggerSpec("wandb", "wandb", _Run)
