"""What an anchor loses when another run takes its place: every drop of a mean, however small.

A gate lets drops below its margin pass. Where each release is pinned in its turn such drops add up, and no comparison
with the last one shows it. So a person accepts each of them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ..runs.loaded import LoadedRun, require_alike

# Anchors keep scores to nine decimals: smaller differences are rounding.
_ROUNDING = 1e-8


@dataclass(frozen=True)
class Drop:
    """A metric in which the new run is worse; ``new`` is None where it has no score at all."""

    metric: str
    old: float
    new: float | None

    def __str__(self) -> str:
        """As it is told in a line."""
        return f"{self.metric} ({self.old:.4g} -> {'absent' if self.new is None else f'{self.new:.4g}'})"

    def to_dict(self) -> dict[str, Any]:
        """As a JSON record."""
        return asdict(self)


def drops(old: LoadedRun, new: LoadedRun) -> list[Drop]:
    """Metrics of the old run in which the new one is worse, or which it lacks.

    Raises:
        IncomparableError: for runs that were not measured alike.
    """
    require_alike([old, new])
    found = []
    for name, entry in old.header["metrics"].items():
        before, after = _values(old, new, name)
        if before is None:
            continue
        change = -math.inf if after is None else after - before
        worse = change if after is None or entry["higher_is_better"] else -change
        if worse < -_ROUNDING:
            found.append(Drop(name, before, after))
    return found


def _values(old: LoadedRun, new: LoadedRun, name: str) -> tuple[float | None, float | None]:
    """The metric's value in both runs: over the items that have one in both, or of the whole for corpus scores.

    An item that the new run failed to answer counts as the worst answer, as it does in the gate.
    """
    ours, theirs = new.header["metrics"].get(name), old.header["metrics"][name]
    if ours is None or ours["signature"] != theirs["signature"] or theirs["level"] == "corpus":
        return theirs["value"], None if ours is None or ours["signature"] != theirs["signature"] else ours["value"]
    worst = theirs["range"][0 if theirs["higher_is_better"] else 1]
    before, after = [], []
    for item, score in old.scores[name].items():
        value = new.scores[name][item].value
        if value is None and item in new.failed:
            value = worst
        if score.value is not None and value is not None:
            before.append(score.value)
            after.append(value)
    return (_mean(before), _mean(after)) if after else (theirs["value"], None)


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)
