"""What a similarity is held against: its distributions over unrelated, equivalent and nearly right texts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

SEED = 0
OVERLAP_METHOD = "gaussian kernel density, Silverman's bandwidth"
# Below it a metric that prefers right texts to near misses does so little more often than by chance.
BLIND = 0.6
# An AUC over fewer values of either kind says nothing of a metric.
FEW_VALUES = 10


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
    densities, ``auc`` the probability that a match is higher than a null, ties counting half. ``near_miss`` are
    references with one fact made wrong (`near_misses`), ``near_miss_auc`` the probability that a right text is higher
    than one of them; ``right_from`` says what those right texts are.
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
    near_miss: Distribution | None = None
    near_miss_missing: str | None = None
    near_miss_auc: float | None = None
    right_from: str | None = None

    def position(self, value: float | None) -> float | None:
        """(value − null mean) / (upper − null mean); None where that is not above 0, or there is no value."""
        if value is None or self.null is None or not self.upper - self.null.mean > 1e-9:
            return None
        return (value - self.null.mean) / (self.upper - self.null.mean)

    def to_dict(self) -> dict[str, Any]:
        """As a JSON record."""
        return asdict(self)


def blind_to_facts(calibration: Mapping[str, Any] | None) -> bool:
    """Does a calibration, as a header holds it, say that near misses score as high as right texts?"""
    area = (calibration or {}).get("near_miss_auc")
    return area is not None and area < BLIND
