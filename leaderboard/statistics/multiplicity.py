"""Many tests at once: corrections for a named family of them.

A p-value of None belongs to no test: it is passed through and does not count towards the size of the family.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from telbench.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Method = Literal["holm", "bh", "by", "none"]


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
    Hochberg: min over j >= i of m p_(j) / j, controls the expected share of false claims among those made (1995);
    ``by`` the same under any dependence, times 1 + 1/2 + ... + 1/m (Benjamini and Yekutieli 2001).
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


def benjamini_hochberg(values: Sequence[float], factor: float = 1.0) -> list[float]:
    """Benjamini and Hochberg's adjusted p-values; ``factor`` 1 + 1/2 + ... + 1/m makes them Benjamini and Yekutieli's.

    >>> [round(p, 6) for p in benjamini_hochberg([0.01, 0.04, 0.03, 0.5])]
    [0.04, 0.053333, 0.053333, 0.5]
    """
    order = sorted(range(len(values)), key=values.__getitem__, reverse=True)
    adjusted, lowest = [0.0] * len(values), 1.0
    for position, index in enumerate(order):
        lowest = min(lowest, factor * len(values) * values[index] / (len(values) - position))
        adjusted[index] = lowest
    return adjusted


def _benjamini_yekutieli(values: Sequence[float]) -> list[float]:
    return benjamini_hochberg(values, sum(1 / rank for rank in range(1, len(values) + 1)))


_CORRECTIONS: dict[Method, Callable[[Sequence[float]], list[float]]] = {
    "holm": holm,
    "bh": benjamini_hochberg,
    "by": _benjamini_yekutieli,
    "none": list,
}


def require_resolution(resamples: int, tests: int, alpha: float) -> None:
    """Refuse resampled p-values that can never pass Holm's first threshold, alpha / tests.

    Raises:
        InputError: telling how many resamples it takes.
    """
    if 1 / (resamples + 1) > alpha / tests:
        needed = int(tests / alpha)
        raise InputError(
            f"{resamples} resamples cannot give a p-value below {1 / (resamples + 1):.1e}, and {tests} tests at "
            f"{alpha} need {alpha / tests:.1e}: take at least {needed} resamples, better {10 * needed}"
        )


def max_t(sums: NDArray[np.float64], *, resamples: int = 100_000, alpha: float = 0.05, seed: int = 0) -> list[float]:
    """Single-step max-T adjusted p-values of two-sided sign-flip tests, shape (clusters, tests) to one a test.

    The signs of a cluster are flipped for all tests together, so that their correlation counts: less strict than Holm
    where tests are alike. Sums are studentised by sqrt(sum of squares), which flipping leaves as it is. Source:
    Westfall and Young 1993.

    Raises:
        InputError: when so few resamples could never be significant.
    """
    import numpy as np

    require_resolution(resamples, 1, alpha)
    scale = np.sqrt((sums**2).sum(axis=0))
    studentised = sums / np.where(scale > 0, scale, 1.0)
    observed = np.abs(studentised.sum(axis=0))
    generator = np.random.default_rng(seed)
    exceeded = np.zeros(len(observed))
    block = max(1, (1 << 22) // max(1, len(sums)))
    for start in range(0, resamples, block):
        size = min(block, resamples - start)
        signs = generator.integers(0, 2, (size, len(sums)), dtype=np.int8).astype(np.float64) * 2 - 1
        highest = np.abs(signs @ studentised).max(axis=1, initial=0.0)
        exceeded += (highest[:, None] >= observed[None, :] - 1e-12).sum(axis=0)
    return [float(count) for count in (exceeded + 1) / (resamples + 1)]
