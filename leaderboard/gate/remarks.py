"""What a gate tells of its two runs beside the verdicts: which they are, and what makes a verdict doubtful."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..compare.lengths import length_warning
from ..compare.readings import doubts
from ..runs.loaded import LoadedRun, lengths_differ


def facts(run: LoadedRun) -> dict[str, Any]:
    """Name, hashes and counts of a run, as a JSON record."""
    header = run.header
    return {
        "name": run.name,
        "run_id": header.get("run_id"),
        "weights_sha256": header["model"].get("weights_sha256"),
        "items_sha256": header["data"]["items_sha256"],
        "counts": header.get("counts", {}),
    }


def remarks(candidate: LoadedRun, baseline: LoadedRun, flags: Mapping[str, Sequence[str]]) -> list[str]:
    """Lines of warning; ``flags`` are those of the differences, by metric."""
    told = [
        f"{metric}: mean and ranks of the differences point in opposite directions: many small changes one way, "
        "few large ones the other; read its worst items"
        for metric, found in flags.items()
        if "sign_conflict" in found
    ]
    both = (("baseline", baseline), ("candidate", candidate))
    told += doubts({metric: [(name, run.header["metrics"][metric]) for name, run in both] for metric in flags})
    if lengths_differ(baseline, candidate):
        told.append(length_warning(baseline, candidate, ("the baseline", "the candidate"), list(flags)))
    total = candidate.header["data"]["n"]
    for count, words in (("error", "items without an answer"), ("empty", "empty answers"), ("cut_off", "cut answers")):
        here, there = (run.header.get("counts", {}).get(count, 0) for run in (candidate, baseline))
        if here > there and here > 0.01 * total:
            told.append(f"the candidate has {here} {words}, the baseline {there}")
    return told


def as_html(
    verdict: str,
    candidate: Mapping[str, Any],
    baseline: Mapping[str, Any],
    warnings: Sequence[str],
    metrics: Sequence[Mapping[str, Any]],
) -> str:
    """A gate as a notebook shows it; ``metrics`` are the fields of each `gate.MetricGate`, and its title."""
    from ...harness.cli.html import html
    from ...harness.cli.tables import Block, Grid, Words

    rows = tuple(
        (
            each["title"],
            each["role"],
            *(f"{each[side]:.4g}" for side in ("baseline", "candidate")),
            f"{each['verdict']}: {each['reason']}",
        )
        for each in metrics
    )
    answer = Words(f"{verdict}: {candidate['name']} against {baseline['name']}", "answer")
    notes: list[Block] = [Words(warning, "warning") for warning in warnings]
    return html([answer, *notes, Grid(("metric", "role", "baseline", "candidate", "verdict"), rows, "<<>><")])
