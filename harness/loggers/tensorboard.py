"""TensorBoard's event files in ``FOLDER/tensorboard/NAME``: ``tensorboard --logdir`` shows them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from .contract import LoggedRun, LoggerSpec, flat


class _Events:
    def __init__(self, run: LoggedRun) -> None:
        from torch.utils.tensorboard import SummaryWriter

        # What an interrupted training had written after its last save is taken out of sight.
        folder = run.folder / "tensorboard" / run.name
        self._writer: Any = SummaryWriter(str(folder), purge_step=run.after + 1)
        if not run.after:
            self._writer.add_text("settings", f"```\n{json.dumps(flat(run.settings), indent=1)}\n```", 0)

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Write and flush."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def close(self, *, finished: bool) -> None:
        """Close the file."""
        self._writer.close()


TENSORBOARD = LoggerSpec("tensorboard", "tensorboard", _Events)
