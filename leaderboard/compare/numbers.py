"""Scores that are at hand as numbers, item paired with item; and what a caller of Python gets of any comparison."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from telbench.errors import InputError

from ...harness.cli.tables import Grid, columns, number, p_value
from ..statistics.clusters import clustered, summed_up
from ..statistics.paired import differences_of, paired_difference
from .pairwise import Comparison, decided

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_HEADS = ("metric", "run", "value", "first", "difference", "95 % interval", "p", "verdict", "n")
_UNPAIRED = "without a value"


class Comparisons(tuple[Comparison, ...]):
    """What a comparison found, a `Comparison` a metric and run; as text and in a notebook it is a table."""

    __slots__ = ()

    def of(self, metric: str, run: str | None = None) -> Comparison:
        """The one of that metric, and of that run where there are several.

        Raises:
            InputError: when there is none, or more than one.
        """
        found = [each for each in self if each.metric == metric and run in (None, each.run)]
        if len(found) != 1:
            known = ", ".join(dict.fromkeys(each.metric for each in self))
            names = ", ".join(dict.fromkeys(each.run for each in self))
            told = f"{len(found)} comparisons of {metric}{'' if run is None else f' and {run}'}"
            raise InputError(f"{told}: there are {known} of {names}")
        return found[0]

    def table(self) -> str:
        """A line a comparison; differences are positive where the run is better than the first.

        Items that lack a value on either side are counted behind it, where there are any.
        """
        grid = self._grid()
        return "".join(f"{line}\n" for line in columns([grid.heads, *grid.rows], grid.sides))

    def __repr__(self) -> str:
        return self.table()

    def _repr_html_(self) -> str:
        from ...harness.cli.html import html

        return html([self._grid()])

    def _grid(self) -> Grid:
        rows, lacking = list[tuple[str, ...]](), any(each.unpaired for each in self)
        for each in self:
            spread = None if each.interval is None else each.interval[1] - each.interval[0]
            high = 1 if max(map(abs, each.values)) <= 1 else None
            ends = "" if each.interval is None else " – ".join(number(end, high, spread) for end in each.interval)
            figures = (number(value, high, spread) for value in (*each.values, each.delta))
            p = p_value(each.p_verdict)
            counts = (f"{each.n:,}", *([f"{sum(each.unpaired.values()):,}"] if lacking else []))
            rows.append((each.metric, each.run, *figures, ends, p, each.told, *counts))
        return Grid((*_HEADS, *([_UNPAIRED] if lacking else [])), tuple(rows), "<<>>>>><>" + ">" * lacking)


def compare_numbers(
    baseline: Sequence[float | None],
    scores: Sequence[float | None],
    clusters: Sequence[Any] | None = None,
    *,
    higher_is_better: bool = True,
) -> Comparison:
    """Two columns of scores of the same items, in the same order, by the test that runs are compared with.

    Args:
        baseline: a score an item; None or NaN where there is none.
        scores: those that are held against it.
        clusters: the source document of each item, where items are not independent.
        higher_is_better: is more better?

    Raises:
        InputError: for columns of other lengths, for what is no number, or when no item has both.
    """
    import numpy as np

    theirs, ours = _column(baseline, "first"), _column(scores, "second")
    if len(theirs) != len(ours):
        raise InputError(f"compare: {len(theirs)} and {len(ours)} numbers: give both scores of each item, in one order")
    if clusters is not None and len(clusters) != len(ours):
        raise InputError(f"compare: {len(clusters)} clusters of {len(ours)} items: name the cluster of each item")
    known = ~(np.isnan(theirs) | np.isnan(ours))
    if not known.any():
        raise InputError("compare: no item has a number on both sides: there is nothing to compare")
    groups = None if clusters is None else [str(each) for each, used in zip(clusters, known, strict=True) if used]
    differences = differences_of(ours[known], theirs[known], higher_is_better=higher_is_better)
    record, data = paired_difference(differences, groups, adjusted_wald=False), clustered(differences, groups)
    lacking = int((~known).sum())
    found = Comparison(
        metric="score",
        run="second",
        stratum=None,
        values=(float(ours[known].mean()), float(theirs[known].mean())),
        n=int(known.sum()),
        unpaired={"no number": lacking} if lacking else {},
        items=record,
        corpus=None,
        p=record.p_mean,
        p_adjusted=1.0,
        q=1.0,
        verdict="",
    )
    return decided([found], [summed_up(data.sums, data.sizes)])[0]


def are_numbers(values: object) -> bool:
    """Is it a sequence or an array of numbers, rather than a run or a path?

    >>> are_numbers([0.5, None]), are_numbers("runs/a"), are_numbers(["runs/a"]), are_numbers([])
    (True, False, False, True)
    """
    if isinstance(values, str | bytes) or not hasattr(values, "__len__") or not hasattr(values, "__iter__"):
        return False
    return all(value is None or hasattr(value, "__float__") for value in values)  # type: ignore[union-attr]


def _column(values: Sequence[float | None], which: str) -> NDArray[np.float64]:
    import numpy as np

    column = np.array([math.nan if value is None else float(value) for value in values], np.float64)
    if np.isinf(column).any():
        raise InputError(
            f"compare: the {which} column holds infinity at {int(np.isinf(column).argmax())}: leave it out"
        )
    return column
