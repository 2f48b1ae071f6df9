"""What two runs say of the items of one category: a mean over all items may hide what became of a few of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from telbench.config import near_name
from telbench.errors import IncomparableError, InputError

from ...metrics.contract import Metric
from ..runs.loaded import LoadedRun
from ..statistics.paired import FEW_CLUSTERS
from .evidence import Evidence, evidence_of

# In place of a name: all categories of the baseline's items.
EVERY = "all"


def category_evidence(
    names: Sequence[str], metrics: Sequence[Metric], candidate: LoadedRun, baseline: LoadedRun, alpha: float
) -> tuple[list[tuple[str, Evidence]], list[str]]:
    """The metrics within each category, and what to tell of those that are left out.

    Of categories that were named by `EVERY`, those with too few documents to tell anything are left out. One that was
    named by itself stays, so that nobody believes it to be held.

    Raises:
        InputError: for a category that has no score in both runs.
    """
    found, notes = [], []
    for category in _known(baseline) if EVERY in names else dict.fromkeys(names):
        for metric in metrics:
            evidence = _within(category, metric, candidate, baseline, alpha)
            if category in names and evidence is None:
                raise InputError(f"--categories {category}: no item of it has {metric.name} in both runs")
            if evidence is not None and (category in names or evidence.effective >= FEW_CLUSTERS):
                found.append((category, evidence))
                continue
            told = "no item has it in both runs"
            if evidence is not None:
                told = f"{evidence.effective:.1f} effective source documents, it takes {FEW_CLUSTERS:.0f}"
            notes.append(f"{metric.name} in {category} is not held: {told}")
    return found, notes


def require_categories(names: Sequence[str], baseline: LoadedRun) -> None:
    """Refuse a category that no item of the baseline is of.

    Raises:
        InputError: with the near name.
    """
    known = _known(baseline)
    for name in names:
        if not known:
            raise InputError(
                f"--categories {name}: no item of {baseline.path} has a category: make both runs with --map "
                "category=FIELD"
            )
        if name not in (*known, EVERY):
            raise InputError(
                f"--categories {name}: no item of {baseline.path} is of this category: {near_name(name, known)}"
            )


def _known(baseline: LoadedRun) -> list[str]:
    return sorted({category for category in baseline.categories.values() if category is not None})


def _within(category: str, metric: Metric, candidate: LoadedRun, baseline: LoadedRun, alpha: float) -> Evidence | None:
    items = {item: cluster for item, cluster in baseline.clusters.items() if baseline.categories.get(item) == category}
    try:
        # How many items may lack a score is decided over all of them.
        return evidence_of(
            metric, candidate, replace(baseline, clusters=items), margin=None, alpha=alpha, max_missing=1.0
        )
    except IncomparableError:
        return None
