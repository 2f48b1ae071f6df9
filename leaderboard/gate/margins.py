"""Margins held against the scales of their metrics: 0.02 is no fiftieth of BLEU, and 2 is more than all of token_f1."""

from __future__ import annotations

from collections.abc import Sequence

from telbench.errors import InputError

from ...metrics.contract import Metric
from ..runs.loaded import LoadedRun
from .gate import GatePolicy

# A smaller share of the scale than this was meant for another scale, where the scale is one of points.
_TINY = 1e-3
# From so many points on, a scale is one of points and not of shares.
_POINTS = 10


def margin_doubts(policy: GatePolicy, metrics: Sequence[Metric], baseline: LoadedRun) -> list[str]:
    """Warnings of margins that look as if they were meant for another scale.

    Raises:
        InputError: for a margin as wide as the metric's range, which nothing can fail.
    """
    told = []
    for metric in metrics:
        margin = policy.margins.get(metric.name)
        if margin is None:
            continue
        low, high = metric.range
        if low is not None and high is not None:
            scale, runs = high - low, f"runs from {low:g} to {high:g}"
            if margin >= scale:
                hint = f"; {margin:g} points of 100 are {margin / 100 * scale:g}" if margin < 100 else ""
                raise InputError(f"--margin {metric.name}={margin:g}: the metric {runs}, so nothing would fail{hint}")
        else:
            value = baseline.header["metrics"][metric.name]["value"]
            if not value:
                continue
            scale, runs = abs(value), f"is {value:.4g} in the baseline"
            if margin >= scale:
                told.append(f"--margin {metric.name}={margin:g}: the metric {runs}: is so large a drop acceptable?")
        if scale >= _POINTS and margin <= _TINY * scale:
            likely = margin * 100
            told.append(
                f"--margin {metric.name}={margin:g}: the metric {runs}: if a share of {margin:g} is meant, that is "
                f"{metric.name}={likely * scale / 100:.3g}"
            )
    return told
