"""Settings of a command whose finished runs are shown in loggers, and the call that shows them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from telbench.config import Bounded, setting
from telbench.errors import InputError

from ..cli.main import main
from .contract import logger_named

# Where loggers write.
SHOWN = Path("shown")
# So many items a table of samples has.
SAMPLES = 1000


@dataclass(frozen=True)
class ShownSettings(Bounded):
    """Where a finished run is shown beside its folder; no part of what it is."""

    log: tuple[str, ...] = setting(
        (),
        "show what is finished in wandb, mlflow or tensorboard too: intervals, samples, report; repeatable",
        many="repeat",
        metavar="NAME",
    )
    log_dir: Path = setting(SHOWN, "where loggers write", metavar="DIR")
    log_project: str = setting("telbench", "W&B's project, MLflow's experiment", metavar="NAME")
    log_samples: int = setting(SAMPLES, "most items in the table of samples; 0: no table", metavar="N", low=0)
    log_items: Literal["all", "ids"] | None = setting(
        None, "texts of questions and answers, or ids alone (default: all, ids where the publisher protects its texts)"
    )

    def require(self) -> None:
        """Refuse a logger that is not there, or named twice, before time is spent.

        Raises:
            InputError: naming it, and how it is installed.
        """
        if len(set(self.log)) < len(self.log):
            raise InputError(f"log: {', '.join(self.log)}: name each logger once")
        for name in self.log:
            logger_named(name).require()

    def show(self, paths: Sequence[Path], name: str = "") -> int:
        """Show finished runs, one perhaps by a name of its own; the exit code: 0, or that of the line that is told."""
        if not self.log or not paths:
            return 0
        words = ["log", *map(str, paths), "--log-dir", str(self.log_dir), "--log-project", self.log_project]
        words += [word for name in self.log for word in ("--to", name)]
        words += ["--log-samples", str(self.log_samples)]
        # By its name: the command lies in a room above this one.
        words += [] if self.log_items is None else ["--log-items", self.log_items]
        return main([*words, *(["--name", name] if name else [])])
