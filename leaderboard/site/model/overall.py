"""Who is ranked by the composite, and how runs that lack a part of it stand to the baseline over what both have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ....metrics.contract import Metric
from .columns import RunColumns
from .composite import composite_metric, composite_parts, with_composite
from .eligibility import Apart
from .standings import Measured, MetricTable, Partly

# The runs that are ranked in a metric, and the others with the reason.
Ranked = Mapping[str, tuple[list[RunColumns], list[Apart]]]


@dataclass(frozen=True)
class Half:
    """The baseline and a run (``pair``, with their composite) over the parts ``shared``; ``lacking`` are the others."""

    shared: tuple[str, ...]
    lacking: tuple[str, ...]
    pair: tuple[RunColumns, RunColumns]

    @property
    def metric(self) -> Metric:
        """The composite of the shared parts."""
        return composite_metric(self.shared)


@dataclass(frozen=True)
class Overall:
    """The composite of a board: its ``metric``, the ``runs`` that have it, those ``apart``, and the ``halves``.

    ``metric`` is None where fewer than two metrics count. ``left_out`` are the metrics that do not, with the reason.
    """

    metric: Metric | None
    runs: tuple[RunColumns, ...]
    apart: tuple[Apart, ...]
    halves: tuple[Half, ...]
    left_out: tuple[str, ...]


def overall_of(kept: Sequence[RunColumns], metrics: Sequence[Metric], ranked: Ranked) -> Overall:
    """The composite of runs, the baseline first; ``ranked`` by metric."""
    baseline = kept[0]
    shares = {name: len(runs) / len(kept) for name, (runs, _) in ranked.items()}
    in_baseline = {name for name, (runs, _) in ranked.items() if _among(baseline, runs)}
    parts, left_out = composite_parts(metrics, shares, baseline, in_baseline)
    if len(parts) < 2:
        return Overall(None, (), (), (), tuple(left_out))
    whole, apart, halves = [], [], []
    for run in kept:
        shared = [part for part in parts if _among(run, ranked[part.name][0])]
        lacking = tuple(part.name for part in parts if part not in shared)
        if not lacking:
            whole.append(run)
        elif shared:
            pair = with_composite([baseline, run], shared)
            halves.append(Half(tuple(part.name for part in shared), lacking, (pair[0], pair[1])))
        else:
            apart.append(Apart(run.name, run.path, f"not ranked in {', '.join(lacking)}"))
    made = with_composite(whole, parts)
    metric = composite_metric([part.name for part in parts])
    return Overall(metric, tuple(made), tuple(apart), tuple(halves), tuple(left_out))


def _among(run: RunColumns, runs: Sequence[RunColumns]) -> bool:
    return any(run is each for each in runs)


def with_partly(table: MetricTable, found: Sequence[tuple[Half, int, Measured]]) -> MetricTable:
    """The table of the composite with runs that lack a part: their place on the board, and what was measured."""
    partly, apart = [], list(table.apart)
    for half, place, one in found:
        if one.comparisons:
            partly.append(Partly(place, half.shared, half.lacking, one.comparisons[0]))
        else:
            run = half.pair[1]
            apart.append(Apart(run.name, run.path, f"no item with what it shares with {half.pair[0].name}"))
    return replace(table, partly=tuple(partly), apart=tuple(apart))
