"""The significance matrix: every pair of systems, row against column, by symbol first and colour second."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from .drawing import fixed, group, plain, rectangle, text

Outcome = Literal["better", "worse", "open"]
SYMBOLS: dict[Outcome, str] = {"better": "▲", "worse": "▼", "open": "·"}
_CELL, _HEAD, _CHARACTER = 24, 24, 7.0


@dataclass(frozen=True)
class Pair:
    """What the row's system is to the column's, with the difference and the corrected p-value where they are known."""

    outcome: Outcome
    delta: float | None = None
    p: float | None = None


def significance_matrix(title: str, labels: Sequence[str], pairs: Sequence[Sequence[Pair | None]]) -> str:
    """Systems in the same order in rows and columns, numbered; ``pairs[i][j]`` is row i against column j."""
    names = [f"{place} {plain(label, 32)}" for place, label in enumerate(labels, 1)]
    left = 12 + _CHARACTER * max((len(name) for name in names), default=0)
    width, height = left + _CELL * len(names), _HEAD + _CELL * len(names)
    parts = []
    for place, name in enumerate(names):
        y = _HEAD + _CELL * place
        parts.append(text("0", y + 16, name))
        parts.append(text(_middle(left, place), _HEAD - 8, str(place + 1), "tick", anchor="middle"))
        for column, pair in enumerate(pairs[place]):
            x = left + _CELL * column
            if pair is None:
                parts.append(rectangle(x, y, _CELL - 1, _CELL - 1, "itself"))
                continue
            box = rectangle(x, y, _CELL - 1, _CELL - 1, f"cell-{pair.outcome}")
            symbol = text(_middle(left, column), y + 16, SYMBOLS[pair.outcome], pair.outcome, anchor="middle")
            told = _told(pair, labels[place], labels[column])
            parts.append(group(told, [box, symbol], name=labels[place]))
    return fixed(title, _described(labels, pairs), width, height, parts)


def _middle(left: float, column: int) -> str:
    return f"{left + _CELL * column + _CELL / 2 - 0.5:g}"


def _told(pair: Pair, row: str, column: str) -> str:
    found = {"better": "better than", "worse": "worse than", "open": "not separated from"}[pair.outcome]
    delta = "" if pair.delta is None else f", Δ {pair.delta:+.3f}"
    p = "" if pair.p is None else f", p {pair.p:.2g}"
    return f"{plain(row, 60)} {found} {plain(column, 60)}{delta}{p}"


def _described(labels: Sequence[str], pairs: Sequence[Sequence[Pair | None]]) -> str:
    told = []
    for label, row in zip(labels, pairs, strict=True):
        better = sum(pair is not None and pair.outcome == "better" for pair in row)
        worse = sum(pair is not None and pair.outcome == "worse" for pair in row)
        told.append(f"{plain(label)} is better than {better} and worse than {worse} of {len(labels) - 1}")
    return "; ".join(told)
