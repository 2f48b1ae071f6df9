"""One number over several data sets: a weighted mean of their scores or differences, with its error."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from telbench.errors import InputError

from ..statistics.clusters import clustered

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

EQUAL, BY_ITEMS = "equal", "items"


@dataclass(frozen=True)
class Part:
    """What one data set gives to a mean over several: its own mean with the standard error of it.

    ``degrees`` are the source documents less one. ``weight`` is the set's share: those of all sets sum to 1.
    """

    weight: float
    mean: float
    error: float
    degrees: float


@dataclass(frozen=True)
class Overall:
    """A weighted mean over data sets, its standard error, interval at ``level``, and the p-value of its being 0."""

    mean: float
    standard_error: float
    degrees: float
    ci_low: float
    ci_high: float
    p: float
    level: float = 0.95

    def to_dict(self) -> dict[str, Any]:
        """As a JSON record; degrees of freedom without bound are None."""
        return {**asdict(self), "degrees": self.degrees if math.isfinite(self.degrees) else None}


def part_of(values: NDArray[np.float64], clusters: Sequence[str], weight: float, *, differences: bool = True) -> Part:
    """The part of a data set: the mean of its values, and the cluster-robust error of it.

    Where each item stands for itself and all values are whole, items are added before the error is taken: a few that
    happen to agree do not have an error of 0. ``differences`` of -1, 0 or 1 get one item on either side (Bonett and
    Price 2012), scores of 0 or 1 get two (Agresti and Coull 1998). One cluster has no error: the spread of all its
    items stands for it.
    """
    import numpy as np

    data = clustered(values, clusters)
    error = data.standard_error
    whole = data.groups == data.n and bool(np.isin(values, (-1.0, 0.0, 1.0)).all())
    if whole and not differences:
        right = (values.sum() + 2) / (data.n + 4)
        error = math.sqrt(right * (1 - right) / (data.n + 4))
    elif whole:
        up, down = ((values > 0).sum() + 1) / (data.n + 2), ((values < 0).sum() + 1) / (data.n + 2)
        error = math.sqrt(max(0.0, float(up + down - (up - down) ** 2)) / (data.n + 2))
    if error is None:
        error = float(np.abs(values).max() if differences else max(values.max(), 1 - values.min()))
    return Part(weight, data.mean, error, max(1.0, data.groups - 1.0))


def overall(parts: Sequence[Part], level: float = 0.95, within: tuple[float, float] = (-math.inf, math.inf)) -> Overall:
    """The weighted mean of independent parts: sum w m, with the error sqrt(sum (w e)^2).

    Student's t with the degrees of freedom (sum v)^2 / sum (v^2 / degrees), v = (w e)^2. The interval ends where the
    scale does: ``within`` are the least and the greatest mean that there can be. Sources: Satterthwaite 1946; Welch
    1947.

    >>> two = overall([Part(0.5, 0.1, 0.03, 100), Part(0.5, -0.06, 0.04, 100)])
    >>> round(two.mean, 3), round(two.standard_error, 3), round(two.p, 2)
    (0.02, 0.025, 0.42)
    """
    from scipy import special

    mean = math.fsum(part.weight * part.mean for part in parts)
    variances = [(part.weight * part.error) ** 2 for part in parts]
    total = math.fsum(variances)
    if total == 0:
        return Overall(mean, 0.0, math.inf, mean, mean, 1.0 if mean == 0 else 0.0, level)
    degrees = total**2 / math.fsum(each**2 / part.degrees for each, part in zip(variances, parts, strict=True))
    error = math.sqrt(total)
    half = float(special.stdtrit(degrees, (1 + level) / 2)) * error
    low, high = max(mean - half, within[0]), min(mean + half, within[1])
    return Overall(mean, error, degrees, low, high, float(2 * special.stdtr(degrees, -abs(mean) / error)), level)


def weights_of(asked: str, items: Mapping[str, int]) -> dict[str, float]:
    """The share of each data set: ``equal``, by its ``items``, or ``NAME=W,...`` for all of them.

    Raises:
        InputError: for a set that is not compared, one that is left out, or weights that are no shares.

    >>> weights_of("items", {"a": 300, "b": 100}), weights_of("a=1,b=3", {"a": 5, "b": 5})
    ({'a': 0.75, 'b': 0.25}, {'a': 0.25, 'b': 0.75})
    """
    if asked == EQUAL:
        raw = dict.fromkeys(items, 1.0)
    elif asked == BY_ITEMS:
        raw = {name: float(count) for name, count in items.items()}
    else:
        raw = dict(map(_weight, asked.split(",")))
        known = ", ".join(items)
        if unknown := next((name for name in raw if name not in items), None):
            raise InputError(f"--weights {asked}: there is no data set '{unknown}': compared are {known}")
        if absent := next((name for name in items if name not in raw), None):
            raise InputError(f"--weights {asked}: no weight for '{absent}': name all of {known} (0 leaves one out)")
    total = math.fsum(raw.values())
    if not total > 0:
        raise InputError(f"--weights {asked}: the weights sum to 0: give one data set a weight")
    return {name: raw[name] / total for name in items}


def _weight(told: str) -> tuple[str, float]:
    name, equals, number = told.rpartition("=")
    try:
        weight = float(number)
    except ValueError:
        weight = -1.0
    if not (equals and name.strip() and math.isfinite(weight) and weight >= 0):
        raise InputError(f"--weights {told}: write {EQUAL}, {BY_ITEMS} or NAME=W,NAME=W with weights from 0")
    return name.strip(), weight
