"""``telbench eval --entries FILE``: the runs of a suite that one process makes, each told of by itself.

The file has a JSON mapping a line: ``label``, ``out`` (the run folder), ``failure`` (a file that says why there is no
run; it is gone where there is one) and ``settings``, called as in ``--config``. One that fails stops no other.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from telbench.config import read_settings
from telbench.errors import InputError, TelbenchError

from ..cli.terminal import Reporter
from ..runs.evaluate import InterruptedRunError
from ..runs.judge import told_outcome
from ..runs.settings import EvalSettings
from ..storage import replace_text
from .together import evaluate_all


@dataclass(frozen=True)
class EntryFile:
    """Where one entry's run goes, where its failure is told, and what it asks."""

    label: str
    out: Path
    failure: Path
    settings: Mapping[str, Any]

    def to_json(self) -> str:
        """Its line."""
        record = {"label": self.label, "out": str(self.out), "failure": str(self.failure)}
        return json.dumps({**record, "settings": dict(self.settings)})


def make_entries(entries: Sequence[EntryFile], command: Sequence[str]) -> int:
    """Make all runs; the exit code is that of the worst failure."""
    reporter, codes = Reporter(), [0]
    asked: list[EvalSettings] = []
    sound: list[EntryFile] = []
    for each in entries:
        each.failure.unlink(missing_ok=True)
        try:
            asked.append(read_settings(EvalSettings, each.settings, each.label))
            sound.append(each)
        except InputError as error:
            codes.append(_told(each, error, reporter))

    def failed(place: int, error: TelbenchError) -> None:
        codes.append(_told(sound[place], error, reporter))

    try:
        with reporter.quiet():
            folders = [each.out for each in sound]
            for run in evaluate_all(asked, reporter, command, folders=folders, failed=failed):
                reporter.note(f"{'already finished' if run.reused else 'written'}: {run.path}")
                codes.append(told_outcome(run.header, run.path, reporter))
    except InterruptedRunError:
        reporter.note("interrupted; finished answers are kept")
        return 130
    return max(codes)


def read_entries(file: Path) -> list[EntryFile]:
    """The entries of a file. Raises `InputError` naming the line that is none."""
    found: list[EntryFile] = []
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read {file}: {error}") from error
    for number, line in enumerate(lines, 1):
        try:
            record = json.loads(line)
            places = Path(record["out"]), Path(record["failure"])
            found.append(EntryFile(str(record["label"]), *places, dict(record["settings"])))
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"{file}, line {number} is no entry: telbench suite writes such files") from error
    return found


def _told(each: EntryFile, error: TelbenchError, reporter: Reporter) -> int:
    reporter.note(f"FAILED {each.label}: {error}")
    replace_text(each.failure, json.dumps({"code": error.exit_code, "reason": str(error)}))
    return error.exit_code
