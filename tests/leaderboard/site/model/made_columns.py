"""Runs as the board holds them, with given scores and without a file."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from telbench.leaderboard.site.model.columns import RunColumns

from ....made_runs import made_run


def made_columns(
    name: str,
    scores: Mapping[str, Sequence[float | None]],
    *,
    reasons: Mapping[str, Mapping[int, str]] | None = None,
    header: Mapping[tuple[str, str], Any] | None = None,
    **more: Any,
) -> RunColumns:
    """A run with these item scores by metric (None: none, for "not applicable" or the reason at its place).

    ``header`` says what else its header says, by section and key; ``more`` is for `made_run`.
    """
    run = made_run(name, scores, **more)
    whole = {section: dict(value) if isinstance(value, dict) else value for section, value in run.header.items()}
    for (section, key), value in (header or {}).items():
        whole[section][key] = value
    items = tuple(run.clusters)
    lacking = {
        title: {place: "not applicable" for place, value in enumerate(column) if value is None}
        for title, column in scores.items()
    }
    told = reasons or {}
    return RunColumns(
        path=Path(name),
        header=whole,
        items=items,
        clusters=tuple(run.clusters.values()),
        categories=tuple(run.categories[item] for item in items),
        failed=run.failed,
        values={title: np.array([np.nan if x is None else x for x in column]) for title, column in scores.items()},
        reasons={title: {**places, **told.get(title, {})} for title, places in lacking.items()},
        stats={},
        offsets=array("q"),
        kinds=bytes(len(items)),
        digest=name,
    )
