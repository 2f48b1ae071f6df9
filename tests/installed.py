"""Packages as pip leaves them on a path, for tests of plugins."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def install(site: Path, name: str, groups: Mapping[str, Mapping[str, str]]) -> None:
    """A distribution that registers these entry points (group to name to target) in a folder of installed packages."""
    # As pip names it: what stands before the first hyphen is taken for the name, and each name counts once.
    info = site / f"{name.replace('-', '_')}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    lines: list[str] = []
    for group, points in groups.items():
        lines += [f"[{group}]", *(f"{point} = {value}" for point, value in points.items())]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
