"""What the stand-in engine has written down of a test."""

from __future__ import annotations

from collections import Counter
from pathlib import Path


def calls(tmp_path: Path) -> list[list[str]]:
    """What the replicas were asked: key, process, node."""
    file = tmp_path / "calls"
    return [line.split() for line in file.read_text().splitlines()] if file.exists() else []


def asked_twice(tmp_path: Path) -> int:
    return sum(
        count - 1
        for key, count in Counter(line[0] for line in calls(tmp_path)).items()
        if key not in ("opened", "closed")
    )
