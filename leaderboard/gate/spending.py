"""Error rates that hold over all looks at one baseline, however many: alpha spending.

A gate that decides each look at 5 % errs in 5 % of looks; over twenty looks one error is more likely than none. Here
look k decides at a level of its own, and the levels of all looks together are at most alpha. Two promises are kept
apart, each with its alpha:

1. The chance that any look at an unchanged candidate is red is at most alpha.
2. The chance that any look at a candidate with a drop of the margin passes is at most alpha.

Look k has the share half / ((half + k - 1) (half + k)) of alpha: the shares of the first K looks add up to
K / (K + half), those of endlessly many to 1. Where a look rejects its hypothesis (it shows a drop; it shows that there
is no drop of the margin), its level was not lost, and goes on to the next look. This is the online fallback procedure:
family-wise error under any dependence. Sources: Foster and Stine 2008 (alpha spending); Tian and Ramdas 2021 (Online
control of the familywise error rate), alpha-spending and theorem on online fallback; Wiens 2003 (fallback).

Betting would gain more if looks were independent of one another given the past. They are not: all candidates are held
against the same answers of one baseline on the same items. A union bound needs no independence.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

# Looks by which half of alpha is spent.
HALF = 10


@dataclass(frozen=True)
class Levels:
    """At which levels a look decides, and what the looks before it have ``lost``: of red, and of passing."""

    red: float
    passing: float
    red_lost: float = 0.0
    passing_lost: float = 0.0


@dataclass(frozen=True)
class Look:
    """A look at a baseline: its number from 1 on, its levels and the alpha that they are parts of.

    ``again``: the same scores were looked at before.
    """

    number: int
    levels: Levels
    alpha: float
    again: bool


def share(look: int, half: int) -> float:
    """The share of alpha that is laid out for a look, from 1 on.

    >>> sum(share(look, 10) for look in range(1, 11)), round(sum(share(look, 10) for look in range(1, 10_000)), 3)
    (0.5, 0.999)
    """
    return half / ((half + look - 1) * (half + look))


def next_levels(decided: Iterable[tuple[bool, bool]], alpha: float, half: int) -> Levels:
    """The levels of the look that comes after those ``decided``: of each, whether it showed a drop, and none beyond.

    >>> levels = next_levels([(False, True)], 0.06, 1)
    >>> round(levels.red, 4), round(levels.passing, 4), levels.red_lost, levels.passing_lost
    (0.01, 0.04, 0.03, 0.0)
    """
    sides: tuple[list[bool], list[bool]] = ([], [])
    looks = 0
    for decision in decided:
        looks += 1
        for side, rejected in zip(sides, decision, strict=True):
            side.append(rejected)
    (red, red_lost), (passing, passing_lost) = (_level(side, looks + 1, alpha, half) for side in sides)
    return Levels(red, passing, red_lost, passing_lost)


def _level(rejected: Iterable[bool], look: int, alpha: float, half: int) -> tuple[float, float]:
    """(level of the look, what was lost before it)."""
    kept, lost = 0.0, []
    for number, hit in enumerate(rejected, 1):
        level = kept + alpha * share(number, half)
        kept = level if hit else 0.0
        if not hit:
            lost.append(level)
    return kept + alpha * share(look, half), math.fsum(lost)
