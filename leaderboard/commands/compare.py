"""``telbench compare``: finished runs side by side, each against the first, and what separates them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from telbench.errors import InputError

from ...harness.cli.tables import print_json, shown
from ...metrics.contract import Metric
from ..compare.pairwise import compare_runs
from ..compare.ranking import Ranking, rank_runs
from ..compare.seeds import Recipe, average_seeds, seed_effects, study_of
from ..compare.table import distinct_names, ranking_lines, seed_lines, study_lines, table_lines, warning_lines
from ..runs.loaded import LoadedRun, require_alike, shared_metrics
from ..runs.sources import open_runs
from ..statistics.factorial import Study


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.usage = "telbench compare RUN RUN... [OPTIONS]"
    parser.epilog = "Exit codes: 0 fine, 2 bad usage or input, 4 the runs cannot be compared."
    parser.add_argument(
        "runs",
        nargs="+",
        type=Path,
        metavar="RUN",
        help="run folders, anchors, lm-eval samples, inspect logs or predictions; the first is the baseline",
    )
    parser.add_argument("--metrics", default="", metavar="NAME,…", help="only these metrics")
    parser.add_argument("--by", choices=("category",), help="once more within each category")
    parser.add_argument(
        "--cluster",
        choices=("source_document", "category", "item"),
        default="source_document",
        help="what is drawn and flipped as a whole (default: source_document)",
    )
    parser.add_argument(
        "--pairs",
        choices=("wilcoxon", "mean", "nemenyi", "conover"),
        default="wilcoxon",
        help="test that separates three runs or more (default: wilcoxon)",
    )
    parser.add_argument(
        "--average-seeds",
        action="store_true",
        help="runs that differ in their training seed alone count as one, items averaged over the seeds",
    )
    parser.add_argument("--study", action="store_true", help="what the runs' factors do: main effects, interactions")
    parser.add_argument("--factors", default="", metavar="NAME,…", help="factors of the study (default: all that vary)")
    parser.add_argument("--json", action="store_true", help="as JSON")


def run(args: argparse.Namespace) -> int:
    """Print the tables; exit code 4 when the runs were not measured alike."""
    if len(args.runs) < 2:
        raise InputError("compare needs two or more run folders: telbench compare RUN RUN")
    runs = open_runs(args.runs)
    require_alike(runs)
    metrics = _chosen(shared_metrics(runs), _words(args.metrics))
    recipes = _recipes(args, runs)
    runs = [recipe.run for recipe in recipes] or runs
    names = distinct_names(runs)
    compared = compare_runs(runs, metrics, by=args.cluster, strata=args.by is not None, names=names)
    measured = {each.metric for each in compared}
    rankings: list[Ranking] = []
    if len(runs) > 2:
        rankings = [
            rank_runs(runs, metric, posthoc=args.pairs, by=args.cluster, names=names)
            for metric in metrics
            if metric.name in measured and _in_all(runs, metric)
        ]
    studies: dict[str, Study] = {}
    if args.study:
        factors = _words(args.factors) or None
        studies = {
            metric.name: study_of(runs, metric, by=args.cluster, factors=factors)
            for metric in metrics
            if metric.name in measured
        }
    seeds = seed_effects(recipes, names, metrics) if recipes else []
    if args.json:
        document = _document(args, runs, names, metrics, compared, rankings, studies)
        for entry, recipe in zip(document["runs"], recipes, strict=False):
            entry["seeds"] = {seed: str(run.path) for seed, run in recipe.seeds.items()}
        print_json({**document, "over_seeds": [each.to_dict() for each in seeds]})
        return 0
    lines = [
        *warning_lines(runs, names, compared),
        *table_lines(runs, names, metrics, compared, args.cluster),
        *seed_lines(seeds),
        *ranking_lines(rankings),
        *study_lines(studies),
    ]
    sys.stdout.writelines(shown(line) + "\n" for line in lines)
    return 0


def _recipes(args: argparse.Namespace, runs: Sequence[LoadedRun]) -> list[Recipe]:
    """The runs with their seeds averaged, where that was asked for."""
    if not args.average_seeds:
        return []
    if args.study:
        raise InputError("--study takes seeds apart itself: leave --average-seeds out")
    recipes = average_seeds(runs)
    if len(recipes) < 2:
        raise InputError("all runs are seeds of one recipe: name those of another to compare it with")
    return recipes


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _chosen(metrics: list[Metric], wanted: list[str]) -> list[Metric]:
    known = {metric.name: metric for metric in metrics}
    for name in wanted:
        if name not in known:
            raise InputError(f"--metrics {name}: the runs share {', '.join(known)}")
    return [known[name] for name in wanted] or metrics


def _in_all(runs: Sequence[LoadedRun], metric: Metric) -> bool:
    """Has any item a score in all runs?"""
    columns = [run.scores[metric.name] for run in runs]
    return any(all(column[item].value is not None for column in columns) for item in runs[0].clusters)


def _document(
    args: argparse.Namespace,
    runs: Sequence[LoadedRun],
    names: Sequence[str],
    metrics: Sequence[Metric],
    compared: Sequence[Any],
    rankings: Sequence[Ranking],
    studies: dict[str, Study],
) -> dict[str, Any]:
    return {
        "schema_version": 1,
        "baseline": str(runs[0].path),
        "cluster": args.cluster,
        "warnings": warning_lines(runs, names, compared),
        "runs": [
            {
                "path": str(run.path),
                "name": name,
                "run_id": run.header["run_id"],
                "factors": run.header.get("factors", {}),
                "metrics": {metric.name: run.header["metrics"][metric.name] for metric in metrics},
                "difference": {
                    each.metric: each.to_dict() for each in compared if each.run == name and each.stratum is None
                }
                if index
                else None,
            }
            for index, (run, name) in enumerate(zip(runs, names, strict=True))
        ],
        "categories": [each.to_dict() for each in compared if each.stratum is not None],
        "rankings": [ranking.to_dict() for ranking in rankings],
        "study": {name: study.to_dict() for name, study in studies.items()},
    }
