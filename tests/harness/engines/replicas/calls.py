"""What the stand-in engine has written down of a test, and the nodes that it ran on."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from ....ray_cluster import NODE


def calls(tmp_path: Path) -> list[list[str]]:
    """What the replicas were asked: key, process, node."""
    file = tmp_path / "calls"
    return [line.split() for line in file.read_text().splitlines()] if file.exists() else []


def nodes(cluster: Any) -> list[Any]:
    return [cluster.add_node(**NODE) for _ in range(2)]


def asked_twice(tmp_path: Path) -> int:
    return sum(
        count - 1
        for key, count in Counter(line[0] for line in calls(tmp_path)).items()
        if key not in ("opened", "closed")
    )
