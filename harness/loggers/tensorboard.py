"""TensorBoard's event files in ``FOLDER/tensorboard/NAME``: ``tensorboard --logdir`` shows them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from .contract import LoggedRun, LoggerSpec, Result, Table, flat

# Its text page is no table: longer ones make the browser crawl.
_MOST_ROWS = 200
_LONGEST = 300


class _Events:
    def __init__(self, run: LoggedRun) -> None:
        from torch.utils.tensorboard import SummaryWriter

        # What an interrupted training had written after its last save is taken out of sight.
        self._folder, self._settings = run.folder / "tensorboard" / run.name, flat(run.settings)
        self._writer: Any = SummaryWriter(str(self._folder), purge_step=run.after + 1)
        if not run.after:
            self._writer.add_text("settings", f"```\n{json.dumps(self._settings, indent=1)}\n```", 0)

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Write and flush."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def result(self, result: Result) -> None:
        """Scalars, a row of the page HPARAMS, tables as text; it has no page for files: they lie beside the events."""
        plain = (bool, int, float, str)
        told = {name: one if isinstance(one, plain) else str(one) for name, one in self._settings.items()}
        # The name of the folder below this one that it would make: none.
        self._writer.add_hparams({**told, **result.tags}, dict(result.values), run_name=".", global_step=1)
        for table in result.tables:
            self._writer.add_text(table.name, _markdown(table), 1)
        self._writer.flush()
        self.files(result.files)

    def files(self, paths: Sequence[Path]) -> None:
        """Copies beside the events."""
        for path in paths:
            if path.is_dir():
                shutil.copytree(path, self._folder / path.name, dirs_exist_ok=True)
            else:
                shutil.copy2(path, self._folder / path.name)

    def close(self, *, finished: bool) -> None:
        """Close the file."""
        self._writer.close()


def _markdown(table: Table) -> str:
    """A table as Markdown, with what an answer holds of markup shown and not done."""
    rows = [table.columns, *table.rows[:_MOST_ROWS]]
    heads, *lines = (f"| {' | '.join(map(_cell, row))} |" for row in rows)
    more = len(table.rows) - _MOST_ROWS
    told = [f"\n{more:,} more rows are not shown here."] if more > 0 else []
    return "\n".join([heads, "|---" * len(table.columns) + "|", *lines, *told])


def _cell(value: Any) -> str:
    text = "" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)
    text = text if len(text) <= _LONGEST else f"{text[:_LONGEST]} …"
    marked = "".join(f"\\{each}" if each in "\\|`*_[]#!~" else each for each in escape(text, quote=False))
    return " ".join(marked.split())


TENSORBOARD = LoggerSpec("tensorboard", "tensorboard", _Events)
