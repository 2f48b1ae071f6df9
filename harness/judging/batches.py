"""Where judges' batches are written down: beside the verdicts, so that the same command finds them after a kill."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from ...judges.panel import JudgePanel
from ...judges.server.batch import Batches
from ..cli.terminal import Reporter
from ..storage import RecordStore


@contextlib.contextmanager
def batches_kept(panel: JudgePanel, path: Path, reporter: Reporter) -> Iterator[None]:
    """Keep the batches of the panel's judges in the file ``path`` meanwhile, and tell of them.

    Nothing is written where no judge is asked through a Batch API. Raises `InputError` where the file cannot be opened.
    """
    asking = [batches for judge in panel.judges if isinstance(batches := getattr(judge, "batches", None), Batches)]
    if not asking:
        yield
        return
    with RecordStore(path) as store:
        for batches in asking:
            batches.keep(store, reporter.note)
        yield
