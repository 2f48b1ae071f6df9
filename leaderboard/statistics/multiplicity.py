"""Many tests at once: corrections for a named family of them.

A p-value of None belongs to no test: it is passed through and does not count towards the size of the family.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

Method = Literal["holm", "bh"]


@dataclass(frozen=True)
class Family:
    """Raw and adjusted p-values of the tests that were corrected together, in the order given."""

    name: str
    method: Method
    size: int
    raw: tuple[float | None, ...]
    adjusted: tuple[float | None, ...]


def family(name: str, raw: Sequence[float | None], method: Method = "holm") -> Family:
    """Correct a family of tests.

    Holm: max over j <= i of (m - j + 1) p_(j), controls the chance of any false claim (Holm 1979). Benjamini and
    Hochberg: min over j >= i of m p_(j) / j, controls the expected share of false claims among those made (1995).
    """
    present = [index for index, p in enumerate(raw) if p is not None]
    values = [float(raw[index] or 0.0) for index in present]
    corrected = _CORRECTIONS[method](values)
    adjusted: list[float | None] = [None] * len(raw)
    for index, p in zip(present, corrected, strict=True):
        adjusted[index] = p
    return Family(name, method, len(present), tuple(raw), tuple(adjusted))


def holm(values: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values.

    >>> [round(p, 6) for p in holm([0.019172, 0.608408, 0.015720])]
    [0.04716, 0.608408, 0.04716]
    """
    order = sorted(range(len(values)), key=values.__getitem__)
    adjusted, highest = [0.0] * len(values), 0.0
    for position, index in enumerate(order):
        highest = max(highest, min(1.0, (len(values) - position) * values[index]))
        adjusted[index] = highest
    return adjusted


def holm_levels(values: Sequence[float], alpha: float = 0.05) -> list[float]:
    """The error rate at which Holm's method decides on each test: an interval at 1 less it agrees with the decision.

    alpha / (m - j + 1) for the j-th smallest of m p-values, up to the first that is above it; that rate for the rest.

    >>> holm_levels([0.04, 0.001, 0.03])
    [0.025, 0.016666666666666666, 0.025]
    """
    order = sorted(range(len(values)), key=values.__getitem__)
    levels, stopped = [alpha] * len(values), None
    for position, index in enumerate(order):
        levels[index] = stopped or alpha / (len(values) - position)
        if values[index] > levels[index]:
            stopped = levels[index]
    return levels


def benjamini_hochberg(values: Sequence[float]) -> list[float]:
    """Benjamini and Hochberg's adjusted p-values.

    >>> [round(p, 6) for p in benjamini_hochberg([0.01, 0.04, 0.03, 0.5])]
    [0.04, 0.053333, 0.053333, 0.5]
    """
    order = sorted(range(len(values)), key=values.__getitem__, reverse=True)
    adjusted, lowest = [0.0] * len(values), 1.0
    for position, index in enumerate(order):
        lowest = min(lowest, len(values) * values[index] / (len(values) - position))
        adjusted[index] = lowest
    return adjusted


_CORRECTIONS: dict[Method, Callable[[Sequence[float]], list[float]]] = {"holm": holm, "bh": benjamini_hochberg}
