"""A heat map: a number a cell, how it differs from the baseline underneath, shaded in five steps within each column."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .drawing import fixed, group, number, plain, rectangle, text

STEPS = 5
_WIDTH, _HEIGHT, _HEAD, _CHARACTER, _LONGEST = 84, 38, 30, 7.0, 28


@dataclass(frozen=True)
class HeatCell:
    """A mean over ``n`` items, and the baseline's; None where there is none."""

    value: float | None
    n: int
    baseline: float | None = None


@dataclass(frozen=True)
class Column:
    """A metric with a cell for each row, which end of it is the better one, and the values that shades go from and to.

    Without ``ends`` these are the column's own.
    """

    label: str
    cells: tuple[HeatCell, ...]
    higher_is_better: bool = True
    ends: tuple[float, float] | None = None


def heat_map(title: str, rows: Sequence[str], columns: Sequence[Column]) -> str:
    """Rows (categories) by columns (metrics); a stronger shade is better within a column, the numbers say how much."""
    names = [plain(row, _LONGEST) for row in rows]
    left = 12 + _CHARACTER * max((len(name) for name in names), default=0)
    parts = [text("0", _HEAD + _HEIGHT * place + 23, name) for place, name in enumerate(names)]
    for place, column in enumerate(columns):
        x = left + _WIDTH * place
        arrow = "" if column.higher_is_better else " ↓"
        middle = f"{x + _WIDTH / 2 - 0.5:g}"
        parts.append(text(middle, _HEAD - 10, plain(column.label, 12) + arrow, "tick", anchor="middle"))
        for row, (cell, step) in enumerate(zip(column.cells, _shades(column), strict=True)):
            y = _HEAD + _HEIGHT * row
            name = f"heat-{step}" if step is not None else "heat-none"
            shown = text(middle, y + 17, number(cell.value), name + "-text", anchor="middle")
            count = text(middle, y + 31, _under(cell), f"count {name}-text", anchor="middle")
            box = rectangle(x, y, _WIDTH - 1, _HEIGHT - 1, name)
            parts.append(group(_described(column, rows[row], cell), [box, shown, count], name=rows[row]))
    width, height = left + _WIDTH * len(columns), _HEAD + _HEIGHT * len(rows)
    return fixed(title, _summary(rows, columns), width, height, parts)


def _shades(column: Column) -> list[int | None]:
    """A step of 0 to STEPS - 1 for each cell, from the worst to the best value of the column, or of its ends."""
    known = [cell.value for cell in column.cells if cell.value is not None]
    if not known:
        return [None] * len(column.cells)
    low, high = column.ends or (min(known), max(known))
    steps: list[int | None] = []
    for cell in column.cells:
        if cell.value is None:
            steps.append(None)
            continue
        share = (cell.value - low) / (high - low) if high > low else 0.5
        share = share if column.higher_is_better else 1 - share
        steps.append(min(STEPS - 1, int(share * STEPS)))
    return steps


def _under(cell: HeatCell) -> str:
    """The difference to the baseline, or how many items there are."""
    if cell.value is None or cell.baseline is None:
        return f"n {cell.n}"
    return f"{'+' if cell.value >= cell.baseline else ''}{number(cell.value - cell.baseline)}"


def _described(column: Column, row: str, cell: HeatCell) -> str:
    base = "" if cell.baseline is None else f", baseline {number(cell.baseline)}"
    return f"{plain(row, 80)}, {plain(column.label)}: {number(cell.value)} over {cell.n} items{base}"


def _summary(rows: Sequence[str], columns: Sequence[Column]) -> str:
    """Best and worst row of each column."""
    told = []
    for column in columns:
        known = [
            (cell.value, plain(row)) for cell, row in zip(column.cells, rows, strict=True) if cell.value is not None
        ]
        if known:
            ends = min(known), max(known)
            worst, best = ends if column.higher_is_better else ends[::-1]
            told.append(f"{plain(column.label)}: best {best[1]} {number(best[0])}, worst {worst[1]} {number(worst[0])}")
    return "; ".join(told)
