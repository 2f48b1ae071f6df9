"""What a similarity is held against: its distributions over unrelated and over equivalent texts, as records."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

SEED = 0
OVERLAP_METHOD = "gaussian kernel density, Silverman's bandwidth"


@dataclass(frozen=True)
class Distribution:
    """Similarities of ``n`` pairs: mean, standard deviation (of the sample), percentiles."""

    n: int
    mean: float
    sd: float
    p5: float
    p50: float
    p95: float


@dataclass(frozen=True)
class Anchors:
    """The two distributions of one metric on one data set, or why there is none.

    ``upper`` is the value that counts as 1, the mean of ``match`` or, without it, what a metric gives to a text
    compared with itself, as ``upper_from`` says. ``overlap`` is the overlapping coefficient ∫ min(f, g) of the two
    densities, ``auc`` the probability that a match is higher than a null, ties counting half.
    """

    null: Distribution | None
    null_missing: str | None
    match: Distribution | None
    match_missing: str | None
    upper: float
    upper_from: str
    overlap: float | None
    auc: float | None
    overlap_method: str = OVERLAP_METHOD
    seed: int = SEED

    def position(self, value: float | None) -> float | None:
        """(value − null mean) / (upper − null mean); None where that is not above 0, or there is no value."""
        if value is None or self.null is None or not self.upper - self.null.mean > 1e-9:
            return None
        return (value - self.null.mean) / (self.upper - self.null.mean)

    def to_dict(self) -> dict[str, Any]:
        """As a JSON record."""
        return asdict(self)
