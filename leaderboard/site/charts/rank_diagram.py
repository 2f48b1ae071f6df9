"""The critical-difference diagram: systems at their mean ranks, bars over those that cannot be separated.

Stems end at different depths, those in the middle first, each with its label beside it: there is room for long names
and for any number of systems, on a phone too. Labels have a halo, so that the stems behind do not cross them out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .drawing import LINE, Axis, dot, fluid, group, line, plain, shortened, text

_TOP, _BAR = 26, 9
# Characters that half the width holds beside the rank, by the class that a style sheet shows on screens of that width.
_LONGEST = {"wide": 40, "narrow": 24}


@dataclass(frozen=True)
class RankedSystem:
    """A system with its mean rank (1 is best)."""

    label: str
    rank: float


def rank_diagram(
    title: str,
    systems: Sequence[RankedSystem],
    bars: Sequence[Sequence[int]],
    exceptions: Sequence[tuple[int, int]] = (),
    *,
    critical_difference: float | None = None,
) -> str:
    """The diagram; ``bars`` and ``exceptions`` (pairs without a difference that no bar can show) hold positions.

    A ``critical_difference`` is drawn as a length of its own above the axis.
    """
    k = len(systems)
    axis = Axis(1.0, float(max(k, 2)), _ticks(max(k, 2)))
    head = _TOP + (24 if critical_difference is not None else 0)
    levels = _bar_levels([sorted(systems[place].rank for place in bar) for bar in bars])
    first = head + 10 + _BAR * (max(levels, default=-1) + 1) + 4
    parts = [line(axis.at(axis.low), head, axis.at(axis.high), head, "axis")]
    for tick in axis.ticks:
        parts.append(line(axis.at(tick), head - 4, axis.at(tick), head, "axis"))
        parts.append(text(axis.at(tick), head - 9, f"{tick:g}", "tick", anchor="middle"))
    if critical_difference is not None:
        parts += _length(axis, critical_difference)
    depths = {place: first + LINE * (depth + 1) for depth, place in enumerate(_inner_first(systems, axis))}
    parts += [
        line(axis.at(systems[place].rank), head, axis.at(systems[place].rank), y, "stem") for place, y in depths.items()
    ]
    parts += [_label(systems[place], axis, y) for place, y in depths.items()]
    for bar, level in zip(bars, levels, strict=True):
        ranks = sorted(systems[place].rank for place in bar)
        y = head + 10 + _BAR * level
        names = ", ".join(plain(systems[place].label) for place in bar)
        ends = max(0.0, axis.share(ranks[0]) - 0.008), min(1.0, axis.share(ranks[-1]) + 0.008)
        drawn = line(f"{100 * ends[0]:.2f}%", y, f"{100 * ends[1]:.2f}%", y, "clique")
        parts.append(group(f"not separated: {names}", [drawn]))
    return fluid(title, _described(systems, bars, exceptions), first + LINE * (k + 1), parts, "ranks")


def _label(system: RankedSystem, axis: Axis, y: float) -> str:
    place = axis.at(system.rank)
    left = axis.share(system.rank) < 0.5
    shift, anchor = (8, "start") if left else (-8, "end")
    drawn = [dot(place, y, "", 3)]
    for style, longest in _LONGEST.items():
        name, rank = shortened(system.label, longest), f"{system.rank:.2f}"
        label = f"{name} {rank}" if left else f"{rank} {name}"
        drawn.append(text(place, y + 4, label, f"halo {style}", anchor=anchor, shift=shift))
    return group(f"{plain(system.label, 80)}: mean rank {system.rank:.2f}", drawn, name=system.label)


def _inner_first(systems: Sequence[RankedSystem], axis: Axis) -> list[int]:
    """Positions from the middle of the axis outwards: an outer label passes below the stems on its side."""
    return sorted(range(len(systems)), key=lambda place: (abs(axis.share(systems[place].rank) - 0.5), place))


def _bar_levels(spans: Sequence[Sequence[float]]) -> list[int]:
    """The lowest level for each span at which it touches no earlier one."""
    levels: list[int] = []
    for place, span in enumerate(spans):
        taken = {
            levels[other]
            for other in range(place)
            if spans[other][0] <= span[-1] + 0.05 and span[0] <= spans[other][-1] + 0.05
        }
        levels.append(next(level for level in range(len(spans)) if level not in taken))
    return levels


def _ticks(k: int) -> tuple[float, ...]:
    step = next(size for size in (1, 2, 5, 10, 20, 50, 100, 1000) if k / size <= 12)
    return (1.0, *(float(rank) for rank in range(step, k + 1, step) if rank > 1))


def _length(axis: Axis, difference: float) -> list[str]:
    """A scale bar from rank 1, with end strokes."""
    end = min(1 + difference, axis.high)
    drawn = [line(axis.at(1), 12, axis.at(end), 12, "axis")]
    drawn += [line(axis.at(place), 8, axis.at(place), 16, "axis") for place in (1, end)]
    return [*drawn, text(axis.at(end), 16, f"CD {difference:.2f}", "tick", shift=8)]


def _described(
    systems: Sequence[RankedSystem], bars: Sequence[Sequence[int]], exceptions: Sequence[tuple[int, int]]
) -> str:
    ranks = "; ".join(f"{plain(system.label)} {system.rank:.2f}" for system in systems)
    groups = "; ".join(" and ".join(plain(systems[place].label) for place in bar) for bar in bars)
    pairs = "; ".join(f"{plain(systems[i].label)} and {plain(systems[j].label)}" for i, j in exceptions)
    told = [f"Mean ranks: {ranks}.", f"Not separated: {groups or 'none'}."]
    return " ".join(told + ([f"Not separated, and not drawn: {pairs}."] if pairs else []))
