"""A judged score corrected by people's labels of some of its items: prediction-powered inference.

A judge scores every item, people label a few. The labelled items tell how far the judge is off on average, and all
items tell what it says: with judge's scores f, labels Y, and weights w of the labelled items L among N,

    theta = lambda mean_N(f) + mean_L(Y - lambda f)

is free of the judge's bias whatever lambda is. The lambda with the least variance is taken, so the interval is never
much wider than that of the labels alone, and narrower the better the judge is.
Source: Angelopoulos et al., Prediction-Powered Inference, 2023; PPI++, 2023 (arXiv 2311.01453). The sums of source
documents are the unit here, and labelled items may have been drawn with unlike chances (Hajek's weights).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from telbench.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# Fewer labels, or labels of fewer documents, tell a judge's error too badly for an interval.
FEWEST = 10
LEVEL = 0.95
# Of the largest score: numbers that differ by less are one number, computed in two ways.
ALIKE = 1e-12


@dataclass(frozen=True)
class Corrected:
    """What is left of a judged mean when labels have corrected it.

    ``judged`` is the judge's own mean over all ``items``, ``labelled`` the labels' over theirs. ``power`` is lambda: 0
    where the judge tells nothing. ``error`` is the cluster-robust standard error of ``value``.
    """

    judged: float
    value: float
    ci_low: float
    ci_high: float
    error: float
    power: float
    labelled: float
    items: int
    labels: int


def corrected_mean(
    scores: NDArray[np.float64],
    labels: NDArray[np.float64],
    clusters: Sequence[str],
    weights: NDArray[np.float64] | None = None,
    level: float = LEVEL,
) -> Corrected:
    """The mean label of all items, from the judge's scores of all and the labels of some.

    For the difference of two runs, ``scores`` and ``labels`` are differences item by item. The variance is that of sums
    over clusters, and the interval Student's with one degree of freedom less than there are clusters with labels.

    Args:
        scores: the judge's, shape (N,).
        labels: people's on the same scale, shape (N,); NaN where there is none.
        clusters: the source document of each item.
        weights: one over the chance that an item was chosen for labelling, shape (N,); by default all alike.
        level: of the interval.

    Raises:
        InputError: for fewer than `FEWEST` labels, or labels of fewer documents.
    """
    import numpy as np
    from scipy import stats

    known = ~np.isnan(labels)
    names, membership = np.unique(np.asarray(clusters, dtype=object), return_inverse=True)
    count, documents = int(known.sum()), len(np.unique(membership[known]))
    if min(count, documents) < FEWEST:
        told = f"{count} labels" if count < FEWEST else f"labels of {documents} documents"
        raise InputError(f"{told} are too few to correct a judge by: {FEWEST} are needed")
    share = _shares(known, weights)
    said = np.where(known, labels, 0.0)
    mean, of_labels, of_labelled = float(scores.mean()), float(share @ said), float(share @ scores)
    # Of each cluster: what its labels add to the mean, and what its scores take back from it for each lambda.
    own = np.bincount(membership, share * (said - of_labels), len(names))
    back = np.bincount(membership, (scores - mean) / len(scores) - share * (scores - of_labelled), len(names))
    spread = float(back @ back)
    # Scores that are all alike leave rounding behind, which must not be taken for what a judge tells.
    tells = float(np.ptp(scores)) > ALIKE * float(np.abs(scores).max())
    power = min(1.0, max(0.0, -float(own @ back) / spread)) if tells and spread > 0 else 0.0
    value = of_labels + power * (mean - of_labelled)
    parts = own + power * back
    error = float(np.sqrt(documents / (documents - 1) * (parts @ parts)))
    half = float(stats.t.ppf((1 + level) / 2, documents - 1)) * error
    return Corrected(mean, value, value - half, value + half, error, power, of_labels, len(scores), count)


def corrected_values(
    scores: NDArray[np.float64],
    labels: NDArray[np.float64],
    clusters: Sequence[str],
    weights: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """A value (N,) of each item, such that their mean is that of `corrected_mean`, and their spread its uncertainty.

    v_i = lambda f_i + c, and N w_i (Y_i - lambda f_i - c) more where there is a label, with c the labels' mean of Y -
    lambda f. Tests of paired differences take these in place of judged scores, which makes them tests of what people
    would say. Single values may lie off the scale. Arguments and errors as there.
    """
    import numpy as np

    power, known = corrected_mean(scores, labels, clusters, weights).power, ~np.isnan(labels)
    share = _shares(known, weights)
    rest = np.where(known, labels - power * scores, 0.0)
    centre = float(share @ rest)
    return power * scores + centre + np.where(known, len(scores) * share * (rest - centre), 0.0)


def _shares(known: NDArray[np.bool_], weights: NDArray[np.float64] | None) -> NDArray[np.float64]:
    """What each labelled item counts for in a mean of labels; 0 without a label."""
    import numpy as np

    share = np.where(known, 1.0 if weights is None else weights, 0.0)
    return share / share.sum()
