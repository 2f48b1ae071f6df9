"""Runs with given scores: what a comparison reads of a run folder, without making one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from telbench.harness.cli.tables import fitted, plain
from telbench.leaderboard.compare.answer import Compared
from telbench.leaderboard.compare.pairwise import compare_runs
from telbench.leaderboard.compare.ranking import Posthoc, rank_runs, ranked_together
from telbench.leaderboard.compare.table import report
from telbench.leaderboard.runs.loaded import LoadedRun
from telbench.metrics.contract import ItemScore, Metric, Sample, metrics_named, missing


def metric(name: str) -> Metric:
    (found,) = metrics_named([name])
    return found


def made_run(
    name: str,
    scores: Mapping[str, Sequence[float | None]],
    *,
    per_document: int = 1,
    factors: Mapping[str, Any] | None = None,
    failed: Sequence[int] = (),
    reason: str = "not applicable",
) -> LoadedRun:
    """A run of items ``i0``, ``i1`` ... with these values by metric; so many consecutive items share a document."""
    count = len(next(iter(scores.values())))
    columns = {
        title: {f"i{i}": missing(reason) if value is None else ItemScore(value) for i, value in enumerate(values)}
        for title, values in scores.items()
    }
    entries = {}
    for title, values in scores.items():
        known = [value for value in values if value is not None]
        one = metric(title)
        entries[title] = {
            "value": sum(known) / len(known) if known else None,
            "ci_low": None,
            "ci_high": None,
            "ci_method": None,
            "n": len(known),
            "n_missing": count - len(known),
            "missing": {},
            "signature": one.signature,
            "family": one.family,
            "higher_is_better": one.higher_is_better,
            "range": list(one.range),
            "level": one.level,
        }
    header = {
        "schema_version": 1,
        "run_id": name * 4,
        "model": {"name": name, "weights_sha256": name},
        "factors": dict(factors or {}),
        "data": {"name": "made", "split": "test", "n": count, "items_sha256": "same"},
        "prompt": {"book": "closed", "version": 1, "choice_seed": 0},
        "generation": {"engine": "vllm", "temperature": 0, "max_tokens": 64},
        "counts": {},
        "judge": None,
        "metrics": entries,
    }
    clusters = {f"i{i}": f"d{i // per_document}" for i in range(count)}
    categories = {f"i{i}": "even" if i % 2 == 0 else "odd" for i in range(count)}
    return LoadedRun(Path(name), header, clusters, columns, frozenset(f"i{i}" for i in failed), categories)


def answered_run(
    name: str, title: str, answers: Sequence[str], references: Sequence[str], **more: Any
) -> tuple[LoadedRun, Metric]:
    """A run of these answers with their scores and statistics in one metric, and the metric."""
    one = metric(title)
    samples = [
        Sample(f"i{i}", *pair) for i, pair in enumerate(zip(answers, ((text,) for text in references), strict=True))
    ]
    scores = one.score(samples)
    made = made_run(name, {title: [score.value for score in scores]}, **more)
    return replace(
        made, scores={title: {sample.item_id: score for sample, score in zip(samples, scores, strict=True)}}
    ), one


def compared_runs(
    runs: Sequence[LoadedRun],
    titles: Sequence[str],
    *,
    primary: Sequence[str] = (),
    strata: bool = False,
    posthoc: Posthoc = "mean",
) -> Compared:
    """What ``telbench compare`` finds of these runs in these metrics, names as the runs have them."""
    metrics = [metric(title) for title in titles]
    pairs = compare_runs(runs, metrics, primary=primary, strata=strata)
    rankings = []
    if len(runs) > 2:
        rankings = ranked_together([rank_runs(runs, each, posthoc=posthoc) for each in metrics], primary)
    return Compared(runs, [run.name for run in runs], metrics, [], pairs, primary=primary, rankings=rankings)


def report_lines(found: Compared, *, wide: bool = False) -> list[str]:
    """The lines that the command prints."""
    blocks = report(found)
    return plain(blocks if wide else fitted(blocks))
