"""What judges said of an answer, read from the run folder when a page shows it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...harness.judgement_view import judgement_lines
from ...harness.runs import JUDGEMENTS


@dataclass(frozen=True)
class Verdict:
    """One judge's words on an answer, claim by claim, and the metrics that rest on them."""

    judge: str
    metrics: tuple[str, ...]
    lines: tuple[str, ...]


class Judgements:
    """The judges' records of a run, found by key; their file is read once for the keys, then record by record."""

    def __init__(self, run: Path) -> None:
        self._path = run / JUDGEMENTS
        self._offsets: dict[str, int] = {}
        if not self._path.is_file():
            return
        with self._path.open("rb") as stream:
            offset = 0
            for line in stream:
                if (record := _record(line)) is not None:
                    self._offsets[record["key"]] = offset
                offset += len(line)

    def verdicts(self, sample: Mapping[str, Any]) -> tuple[Verdict, ...]:
        """The verdicts that the sample's scores rest on, each once."""
        metrics: dict[str, list[str]] = {}
        for name, keys in sample.get("judgements", {}).items():
            for key in keys:
                metrics.setdefault(key, []).append(name)
        found = []
        if any(key in self._offsets for key in metrics):
            with self._path.open("rb") as stream:
                for key, names in metrics.items():
                    if key in self._offsets:
                        stream.seek(self._offsets[key])
                        record = json.loads(stream.readline())
                        judge = f"{record.get('judge')}, {record.get('rubric')}"
                        found.append(Verdict(judge, tuple(names), tuple(judgement_lines(record))))
        return tuple(found)


def _record(line: bytes) -> dict[str, Any] | None:
    try:
        record = json.loads(line)
    except ValueError:
        return None
    return record if isinstance(record, dict) and isinstance(record.get("key"), str) else None
