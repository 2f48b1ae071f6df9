"""The history of a gate: a file with one JSON line a check, which only grows, and which a board draws.

A line has the date of the candidate's run and not of the clock, so that the same runs give the same line.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from telbench.errors import InputError

from ...harness.storage import disk_message
from ..gate.gate import Gate
from ..runs.loaded import LoadedRun

VERSION = 1
_MEND = "take the line out, or the file from an earlier commit"
_VERDICTS = ("pass", "fail", "inconclusive")


@dataclass(frozen=True)
class Reading:
    """What a check said of one metric; differences are candidate minus baseline, positive is better.

    ``allowed`` is the margin of a primary metric, the budget of others.
    """

    metric: str
    category: str | None
    role: str
    verdict: str
    delta: float
    lower: float | None
    upper: float | None
    allowed: float | None


@dataclass(frozen=True)
class Check:
    """One check of one data set; ``date`` is when the candidate's run began, None where the run does not say."""

    data: str
    date: str | None
    verdict: str
    baseline: str
    baseline_id: str
    candidate: str
    candidate_id: str
    readings: tuple[Reading, ...]


def history_line(verdict: str, gates: Mapping[str, Gate], candidates: Mapping[str, LoadedRun]) -> str:
    """The line of a check, over one data set or several (by name)."""
    data = {}
    for name, gate in gates.items():
        created = candidates[name].header.get("created")
        data[name] = {
            "date": created if isinstance(created, str) else None,
            "verdict": gate.verdict,
            "baseline": {key: gate.baseline[key] for key in ("name", "run_id")},
            "candidate": {key: gate.candidate[key] for key in ("name", "run_id")},
            "metrics": [
                asdict(
                    Reading(
                        each.metric,
                        each.category,
                        each.role,
                        each.verdict,
                        each.delta,
                        each.lower,
                        each.upper,
                        each.margin if each.budget is None else each.budget,
                    )
                )
                for each in gate.metrics
            ],
        }
    record = {"schema_version": VERSION, "verdict": verdict, "data": data}
    return json.dumps(record, ensure_ascii=True, allow_nan=False, sort_keys=True)


def append_line(path: Path, line: str) -> None:
    """Add a line to the file, which is made where there is none; what stands in it stays.

    Raises:
        InputError: when it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab+") as stream:
            # A write that was cut off leaves a line without an end, which must not swallow this one.
            if stream.tell():
                stream.seek(-1, 2)
                line = line if stream.read(1) == b"\n" else f"\n{line}"
            stream.write(f"{line}\n".encode("ascii"))
    except OSError as error:
        raise InputError(disk_message(error, path)) from error


def read_history(path: Path) -> list[Check]:
    """The checks of a file in its order, one for each data set of a line.

    Raises:
        InputError: naming file and line of what is no check.
    """
    found: list[Check] = []
    try:
        with path.open(encoding="utf-8") as stream:
            for number, text in enumerate(stream, 1):
                if text.strip():
                    found += _checks(text, f"{path}, line {number}")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read: {error}") from error
    return found


def _checks(text: str, where: str) -> Iterator[Check]:
    try:
        record = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where} is not JSON: {_MEND}") from error
    try:
        if record["schema_version"] != VERSION:
            raise InputError(
                f"{where} is of version {record['schema_version']!r:.20}, this telbench reads {VERSION}: {_MEND}"
            )
        for name, told in record["data"].items():
            base, ours = ((str(told[side]["name"]), str(told[side]["run_id"])) for side in ("baseline", "candidate"))
            date = told["date"]
            if told["verdict"] not in _VERDICTS or not isinstance(date, str | None):
                raise ValueError
            yield Check(name, date, told["verdict"], *base, *ours, tuple(map(_reading, told["metrics"])))
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise InputError(f"{where} is no line of telbench check --history: {_MEND}") from error


def _reading(told: Mapping[str, Any]) -> Reading:
    found = Reading(**told)
    words = (found.metric, found.role, found.verdict, found.category or "")
    numbers = (found.delta, *(each for each in (found.lower, found.upper, found.allowed) if each is not None))
    if not all(isinstance(word, str) for word in words):
        raise ValueError
    if not all(type(each) in (int, float) and math.isfinite(each) for each in numbers):
        raise ValueError
    return found
