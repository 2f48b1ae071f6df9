"""What a similarity means: where a value lies between those of unrelated and of equivalent texts of the same data.

Cosines of two encoders cannot be compared: one gives unrelated telecom sentences 0.2, another 0.8. The data themselves
tell what is low and what is high: a reference against another item's reference (*null*), and two references of one
item (*match*). A value's position between the means of the two is comparable, and how far the two distributions
overlap says whether the encoder can tell right from unrelated on these data at all. Whether it can tell right from
*wrong* a third distribution says: a reference against itself with one fact made wrong (*near miss*).
"""

from __future__ import annotations

import json
import math
import os
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from enum import Enum
from typing import TYPE_CHECKING, Any

from ...judges.calibration.agreement import rank_auc
from ..anchors import FEW_VALUES, SEED, Anchors, Distribution
from ..contract import Sample
from ..fingerprints import cache_folder, fingerprint
from ..near_misses import RESTATED, near_miss, restated
from ..near_misses import VERSION as RULES

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..intervals import Estimate

MOST_PAIRS = 2000
# Raise it when the same data give other pairs or other numbers.
VERSION = 2
# Pairs scored at a time: their token embeddings are in memory together.
CHUNK = 250
# Draws of a partner before an item is left without: most items may be of one document.
_TRIES = 20
_GRID = 1024
IDENTICAL = "identical text"
Pair = tuple[str, str]


class Kind(Enum):
    """What is compared: references with one another, or a question with a reference."""

    REFERENCES = "references"
    QUESTION = "question"


@dataclass(frozen=True)
class CalibratedValue:
    """A metric's value and interval as positions between its anchors: 0 is unrelated, 1 is ``upper``."""

    value: float | None
    ci_low: float | None
    ci_high: float | None
    anchors: Anchors

    def to_dict(self) -> dict[str, Any]:
        """As a JSON record: the positions, then the anchors' fields."""
        return {"value": self.value, "ci_low": self.ci_low, "ci_high": self.ci_high, **self.anchors.to_dict()}


def calibrated(estimate: Estimate, anchors: Anchors) -> CalibratedValue:
    """Value and interval endpoints, mapped alike; the uncertainty of the anchors' means is not part of it."""
    value, low, high = (anchors.position(each) for each in (estimate.value, estimate.ci_low, estimate.ci_high))
    return CalibratedValue(value, low, high, anchors)


def calibrated_by(
    similarities: Callable[[Sequence[Pair]], Sequence[float]], kind: Kind, identity: Sequence[Any]
) -> Callable[[Sequence[Sample]], Anchors]:
    """The function from a data set to anchors of a metric, remembered in the cache folder.

    ``similarities`` scores pairs (pairs without a value are left out); ``identity`` is a JSON value with all that the
    similarities depend on.
    """

    def calibrate(samples: Sequence[Sample]) -> Anchors:
        items = [[sample.item_id, sample.question, sample.references, sample.cluster_id] for sample in samples]
        key = fingerprint([VERSION, RULES, SEED, MOST_PAIRS, kind.value, list(identity), fingerprint(items)])
        if (known := _known_anchors(key)) is not None:
            return known
        anchors = find_anchors(similarities, samples, kind)
        _remember_anchors(key, anchors)
        return anchors

    return calibrate


def find_anchors(
    similarities: Callable[[Sequence[Pair]], Sequence[float]], samples: Sequence[Sample], kind: Kind, seed: int = SEED
) -> Anchors:
    """Score null, match and near-miss pairs of a data set and describe the distributions."""
    match_pairs, near_pairs = match_pairs_of(samples, kind, seed), near_miss_pairs_of(samples, kind, seed)
    null, match, near = (
        _similarities(similarities, pairs) for pairs in (null_pairs_of(samples, kind, seed), match_pairs, near_pairs)
    )
    described = _distribution(match)
    both = len(null) > 1 and len(match) > 1
    right, right_from = match, _match_name(kind)
    if len(match) < FEW_VALUES and kind is Kind.REFERENCES:
        right, right_from = _similarities(similarities, restated_pairs_of(samples, seed)), RESTATED
    told = len(right) >= FEW_VALUES and len(near) >= FEW_VALUES
    return Anchors(
        null=_distribution(null),
        null_missing=None if len(null) > 1 else "fewer than two pairs of different items",
        match=described,
        match_missing=None if described else _no_match(kind),
        upper=described.mean if described else 1.0,
        upper_from=_match_name(kind) if described else IDENTICAL,
        overlap=overlapping_coefficient(null, match) if both else None,
        auc=rank_auc(match, null) if both else None,
        seed=seed,
        near_miss=_distribution(near),
        near_miss_missing=None if told else f"fewer than {FEW_VALUES} right texts or near misses",
        near_miss_auc=rank_auc(right, near) if told else None,
        right_from=right_from if told else None,
    )


def null_pairs_of(samples: Sequence[Sample], kind: Kind, seed: int = SEED, most: int = MOST_PAIRS) -> list[Pair]:
    """Pairs of one item's reference (or question) and another item's reference; from two source documents if there are.

    Items take turns in a seeded order until ``most`` pairs are found or a turn finds none. Items that share a
    reference are never paired, and no two of them twice.
    """
    usable = [(sample, _not_blank(sample.references)) for sample in samples]
    usable = [(sample, texts) for sample, texts in usable if texts and (kind is Kind.REFERENCES or _left(sample))]
    rng = random.Random(f"null pairs:{seed}")
    order = rng.sample(range(len(usable)), len(usable))
    documents = [sample.cluster_id or sample.item_id for sample, _ in usable]
    several = len(set(documents)) > 1
    folded = [{text.casefold() for text in texts} for _, texts in usable]
    taken: set[tuple[int, int]] = set()
    pairs: list[Pair] = []
    before = -1
    while len(order) > 1 and before < len(pairs) < most:
        before = len(pairs)
        for index in order:
            if len(pairs) == most:
                break
            for _ in range(_TRIES):
                other = rng.randrange(len(usable))
                both = (index, other) if kind is Kind.QUESTION else (min(index, other), max(index, other))
                related = other == index or (several and documents[other] == documents[index])
                if related or both in taken or folded[index] & folded[other]:
                    continue
                taken.add(both)
                sample, texts = usable[index]
                left = rng.choice(texts) if kind is Kind.REFERENCES else sample.question
                pairs.append((left, rng.choice(usable[other][1])))
                break
    return pairs


def match_pairs_of(samples: Sequence[Sample], kind: Kind, seed: int = SEED, most: int = MOST_PAIRS) -> list[Pair]:
    """Two references of one item, or its question and a reference, drawn with the seed; equal pairs once."""
    rng = random.Random(f"match pairs:{seed}")
    pairs: list[Pair] = []
    for sample in rng.sample(list(samples), len(samples)):
        texts = _not_blank(sample.references)
        if kind is Kind.QUESTION and texts and _left(sample):
            pairs.append((sample.question, rng.choice(texts)))
        elif kind is Kind.REFERENCES and len(texts) > 1:
            left, right = rng.sample(texts, 2)
            pairs.append((left, right))
    return list(dict.fromkeys(pairs))[:most]


def near_miss_pairs_of(samples: Sequence[Sample], kind: Kind, seed: int = SEED, most: int = MOST_PAIRS) -> list[Pair]:
    """A reference (or the question) with a reference of the item that has one fact made wrong; equal pairs once."""
    rng = random.Random(f"near misses:{seed}")
    pairs: list[Pair] = []
    for sample in rng.sample(list(samples), len(samples)):
        if len(pairs) >= most:
            break
        if kind is Kind.QUESTION and not _left(sample):
            continue
        for text in rng.sample(texts := _not_blank(sample.references), len(texts)):
            if found := near_miss(text, sample.question, texts, seed):
                pairs.append((sample.question if kind is Kind.QUESTION else text, found[1]))
                break
    return list(dict.fromkeys(pairs))


def restated_pairs_of(samples: Sequence[Sample], seed: int = SEED, most: int = MOST_PAIRS) -> list[Pair]:
    """A reference with the same in other words, where the rules have some."""
    rng = random.Random(f"restated:{seed}")
    texts = [text for sample in rng.sample(list(samples), len(samples)) for text in _not_blank(sample.references)[:1]]
    return list(dict.fromkeys((text, other) for text in texts if (other := restated(text)) is not None))[:most]


def overlapping_coefficient(left: Sequence[float], right: Sequence[float]) -> float | None:
    """∫ min(f, g) of two densities, 0 for distributions apart, 1 for the same; None where one does not vary.

    f and g are Gaussian kernel density estimates with Silverman's bandwidth 0.9 min(sd, IQR/1.34) n^(-1/5) on a common
    grid (Schmid and Schmidt, *Nonparametric estimation of the coefficient of overlapping*, 2006).
    """
    import numpy as np

    samples = [np.asarray(values, np.float64) for values in (left, right)]
    widths = [_bandwidth(values) for values in samples]
    if not all(width > 0 for width in widths):
        return None
    margin = 4 * max(widths)
    low, high = (edge(float(edge(values)) for values in samples) for edge in (min, max))
    grid = np.linspace(low - margin, high + margin, _GRID)
    densities = [_density(values, width, grid) for values, width in zip(samples, widths, strict=True)]
    return min(1.0, float(np.minimum(*densities).sum() * (grid[1] - grid[0])))


def _bandwidth(values: NDArray[np.float64]) -> float:
    import numpy as np

    spread = float(values.std(ddof=1))
    quartiles = np.quantile(values, [0.25, 0.75])
    middle = float(quartiles[1] - quartiles[0]) / 1.34
    # More than half the values may be one and the same: then the spread of all is what there is.
    return 0.9 * (min(spread, middle) or spread) * len(values) ** -0.2


def _density(values: NDArray[np.float64], width: float, grid: NDArray[np.float64]) -> NDArray[np.float64]:
    import numpy as np

    scaled = (grid[:, None] - values[None, :]) / width
    return np.exp(-0.5 * scaled**2).sum(axis=1) / (len(values) * width * math.sqrt(2 * math.pi))


def _distribution(values: Sequence[float]) -> Distribution | None:
    import numpy as np

    if len(values) < 2:
        return None
    array = np.asarray(values, np.float64)
    low, middle, high = np.quantile(array, [0.05, 0.5, 0.95]).tolist()
    return Distribution(len(array), float(array.mean()), float(array.std(ddof=1)), low, middle, high)


def _similarities(similarities: Callable[[Sequence[Pair]], Sequence[float]], pairs: Sequence[Pair]) -> list[float]:
    # Sorted, pairs of the same reference come together and most of its lookups find it in memory.
    ordered = sorted(pairs)
    chunks = (ordered[start : start + CHUNK] for start in range(0, len(ordered), CHUNK))
    return [float(value) for chunk in chunks for value in similarities(chunk) if math.isfinite(value)]


def _not_blank(texts: Sequence[str]) -> list[str]:
    return [text for text in texts if text.strip()]


def _left(sample: Sample) -> bool:
    return bool(sample.question.strip())


def _match_name(kind: Kind) -> str:
    return "two references of one item" if kind is Kind.REFERENCES else "question and its own reference"


def _no_match(kind: Kind) -> str:
    return "fewer than two items have " + ("two references" if kind is Kind.REFERENCES else "question and reference")


def _known_anchors(key: str) -> Anchors | None:
    try:
        record: Any = json.loads((cache_folder() / "calibrations" / f"{key}.json").read_text("utf-8"))
        parts = {name: record[name] and Distribution(**record[name]) for name in ("null", "match", "near_miss")}
        return Anchors(**{**_only(record), **parts})
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def _only(record: Mapping[str, Any]) -> dict[str, Any]:
    return {field.name: record[field.name] for field in fields(Anchors)}


def _remember_anchors(key: str, anchors: Anchors) -> None:
    # A cache that cannot be written (full disk, read-only home) costs time, never the run.
    try:
        path = cache_folder() / "calibrations" / f"{key}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch = path.with_suffix(f".{os.getpid()}.tmp")
        scratch.write_text(json.dumps(anchors.to_dict(), allow_nan=False), "utf-8")
        scratch.replace(path)
    except OSError:
        pass
