"""What makes an order of runs doubtful, told beside the numbers: a blind metric, other readings, cut-off answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from typing import Any

from ...harness.cli.tables import READINGS, number
from ...metrics.anchors import BLIND
from .pairwise import some

# A table of many runs names so many pairs; the rest are counted.
_NAMED = 3
# So small a share of cut-off answers is below what chance does to a difference.
_FEW = 0.01
Entry = Mapping[str, Any]
Pair = tuple[tuple[str, Entry], tuple[str, Entry]]


def doubts(metrics: Mapping[str, Sequence[tuple[str, Entry]]]) -> list[str]:
    """Lines on metrics that cannot see facts, and on pairs of runs (name, header entry) that could be the other way.

    What a metric sees was measured with the run (``calibration``) or for the data (``worth``, see `telbench metrics
    worth`); where it was not, nothing is said.
    ``readings`` of an entry are the values under other readings of its answers; a run without one has its own value.
    ``unfinished`` bounds what answers that were cut off could change.
    Where several metrics are doubtful for the same reason it is told once.
    """
    known = {name: [run for run in runs if run[1].get("value") is not None] for name, runs in metrics.items()}
    blind = {name: share for name, runs in known.items() if (share := _sight(runs)) is not None}
    open_ = {name: pairs for name, runs in known.items() if (pairs := _open_pairs(runs))}
    lines = _blind_lines(blind) if blind else []
    lines += [line for name, runs in known.items() for line in _turned_lines(name, runs)]
    return lines + (_open_lines(open_) if open_ else [])


def _blind_lines(shares: Mapping[str, float]) -> list[str]:
    low, high = (f"{100 * end(shares.values()):.0f}" for end in (min, max))
    cases = low if low == high else f"{low} to {high}"
    are, it, put = ("is", "it", "puts") if len(shares) == 1 else ("are", "they", "put")
    return [
        f"{some(list(shares))} {are} blind to facts on these items: {it} {put} a right text above one with one wrong "
        f"fact in {cases} of 100 cases, so {it} cannot say which run is right"
    ]


def _open_lines(pairs: Mapping[str, Sequence[Pair]]) -> list[str]:
    told = "answers that did not end could turn the order"
    if len(pairs) == 1:
        ((metric, found),) = pairs.items()
        shown = [f"{_pair(one, other)}, {' and '.join(_unfinished(one, other))}" for one, other in found[:_NAMED]]
        return [f"{metric}: {told}: {_listed(shown, len(found), 'pairs')}"]
    counts: dict[str, int] = {}
    for name, entry in (run for found in pairs.values() for pair in found for run in pair):
        if entry.get("unfinished"):
            counts[name] = max(counts.get(name, 0), entry["unfinished"]["items"])
    shown = [f"{count} of {name}" for name, count in list(counts.items())[:_NAMED]]
    return [f"{told} on {some(list(pairs))}: {_listed(shown, len(counts), 'runs')}"]


def _sight(runs: Sequence[tuple[str, Entry]]) -> float | None:
    """How often a metric puts a right text above a wrong one, where that makes it blind."""
    measured = [(entry.get("worth") or entry.get("calibration") or {}).get("near_miss_auc") for _, entry in runs]
    least = min((area for area in measured if area is not None), default=BLIND)
    return least if least < BLIND else None


def _turned_lines(metric: str, runs: Sequence[tuple[str, Entry]]) -> list[str]:
    lines = []
    for reading in dict.fromkeys(name for _, entry in runs for name in entry.get("readings", ())):
        pairs = [(one, other) for one, other in combinations(runs, 2) if _turned(one[1], other[1], reading)]
        if pairs:
            words = f"by {READINGS.get(reading, reading)}"
            shown = [f"{_pair(one, other)}, {words} {_pair(one, other, reading)}" for one, other in pairs[:_NAMED]]
            lines.append(f"{metric}: the order depends on how answers are read: {_listed(shown, len(pairs), 'pairs')}")
    return lines


def _open_pairs(runs: Sequence[tuple[str, Entry]]) -> list[Pair]:
    # Of many runs there are many pairs, and mostly no answer that did not end.
    doubtful = combinations(runs, 2) if any(entry.get("unfinished") for _, entry in runs) else ()
    return [(one, other) for one, other in doubtful if _open(one[1], other[1])]


def _turned(one: Entry, other: Entry, reading: str) -> bool:
    """Does the reading put the two in the opposite order?"""
    usual = one["value"] - other["value"]
    read = _value(one, reading) - _value(other, reading)
    return usual * read < 0


def _value(entry: Entry, reading: str | None) -> float:
    return entry.get("readings", {}).get(reading, entry["value"])


def _open(one: Entry, other: Entry) -> bool:
    """Do the bounds of what cut-off answers could be overlap, where the values do not?"""
    shares = [entry["unfinished"]["items"] / entry["n"] for entry in (one, other) if entry.get("unfinished")]
    if one["value"] == other["value"] or max(shares, default=0) <= _FEW:
        return False
    lower, upper = sorted((one, other), key=lambda entry: entry["value"])
    highest = (lower.get("unfinished") or {"high": lower["value"]})["high"]
    lowest = (upper.get("unfinished") or {"low": upper["value"]})["low"]
    return highest > lowest


def _pair(one: tuple[str, Entry], other: tuple[str, Entry], reading: str | None = None) -> str:
    values = [f"{name} {number(_value(entry, reading), entry['range'][1])}" for name, entry in (one, other)]
    return " / ".join(values)


def _unfinished(*runs: tuple[str, Entry]) -> Iterator[str]:
    for name, entry in runs:
        if entry.get("unfinished"):
            yield f"{entry['unfinished']['items']} of {name}"


def _listed(shown: Sequence[str], count: int, what: str) -> str:
    return "; ".join(shown) + (f"; and {count - len(shown)} {what} more" if count > len(shown) else "")
