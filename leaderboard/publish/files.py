"""What ``telbench check`` leaves behind: files, and what a step of GitHub Actions tells the next one."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from telbench.config import setting
from telbench.errors import InputError

from ...harness.cli.terminal import visible
from ...harness.storage import disk_message
from ..gate.gate import Gate, GateVerdict
from ..gate.report import junit_xml
from ..runs.loaded import LoadedRun
from .badge import badge_json, comment_body
from .history import append_line, history_line


@dataclass(frozen=True)
class OutputFiles:
    """Files that a check writes."""

    out: Path | None = setting(None, "write gate.json there", metavar="FILE")
    junit: Path | None = setting(None, "write JUnit XML there", metavar="FILE")
    summary: Path | None = setting(None, "write a Markdown summary there", metavar="FILE")
    comment: Path | None = setting(None, "write the body of a comment on a pull request there", metavar="FILE")
    badge: Path | None = setting(None, "write a badge there, as shields.io reads it", metavar="FILE")
    history: Path | None = setting(
        None, "add a line to this file, which telbench leaderboard build --history draws", metavar="FILE"
    )


@dataclass(frozen=True)
class Outcome:
    """What was decided: the gates and candidates by data set, as JSON, and as Markdown."""

    verdict: GateVerdict
    exit_code: int
    gates: Mapping[str, Gate]
    candidates: Mapping[str, LoadedRun]
    document: Mapping[str, Any]
    summary: str


def write_files(files: OutputFiles, found: Outcome) -> None:
    """Write what was asked for.

    Raises:
        InputError: for a file that cannot be written.
    """
    document = json.dumps(found.document, indent=1, sort_keys=True, ensure_ascii=True, allow_nan=False) + "\n"
    texts = (
        (files.out, document),
        (files.junit, junit_xml(*found.gates.values())),
        (files.summary, found.summary),
        (files.comment, comment_body(found.summary)),
        (files.badge, badge_json(found.verdict) + "\n"),
    )
    for path, text in texts:
        if path is not None:
            _write(path, text)
    if files.history is not None:
        append_line(files.history, history_line(found.verdict, found.gates, found.candidates))


def tell_github(files: OutputFiles, found: Outcome, commands: Iterable[str]) -> None:
    """Annotations, the step's summary and its outputs, inside GitHub Actions only.

    Outputs are ``verdict``, ``exit-code``, and the path of each file that was written, by the name of its flag.
    """
    if os.environ.get("GITHUB_ACTIONS") != "true":
        return
    sys.stderr.writelines(f"{line}\n" for line in commands)
    paths = {each.name: getattr(files, each.name) for each in fields(files)}
    told = {"verdict": found.verdict, "exit-code": found.exit_code, **{k: v for k, v in paths.items() if v is not None}}
    _append("GITHUB_OUTPUT", "".join(f"{name}={visible(str(value))}\n" for name, value in told.items()), "outputs")
    _append("GITHUB_STEP_SUMMARY", found.summary, "step summary")


def _append(variable: str, text: str, what: str) -> None:
    """Add text to the file that an environment variable names, where it does."""
    if not (place := os.environ.get(variable)):
        return
    try:
        with open(place, "a", encoding="utf-8", errors="backslashreplace") as stream:
            stream.write(text)
    except OSError as error:
        sys.stderr.write(f"telbench check: no {what}: {visible(str(error))}\n")


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise InputError(disk_message(error, path)) from error
