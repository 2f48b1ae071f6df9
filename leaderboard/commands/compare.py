"""``telbench compare``: finished runs side by side, each against the first, and what separates them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast, get_args

from telbench.config import REQUIRED, group, setting
from telbench.errors import IncomparableError, InputError
from telbench.flags import add_flags, add_json, settings_of

from ...harness.cli.tables import fitted, plain, print_json
from ...harness.cli.terminal import visible
from ...metrics.contract import Metric
from ..compare.answer import Compared, answer_fields
from ..compare.explain import explained
from ..compare.lengths import LengthEffect, length_effects
from ..compare.markdown import COMMENT_LIMIT, markdown
from ..compare.pairwise import ClusterBy, compare_runs
from ..compare.ranking import Posthoc, Ranking, rank_runs, ranked_together
from ..compare.seeds import Recipe, average_seeds, seed_effects, study_of
from ..compare.table import distinct_names, report, sentences, warning_lines
from ..runs.directions import LogSettings
from ..runs.foreign import Reading
from ..runs.loaded import LoadedRun, as_of_one_judge, notes_of, require_alike, shared_metrics
from ..runs.sources import open_runs
from ..runs.worth import read_worth, with_worth
from ..statistics.corpus import RESAMPLES
from ..statistics.factorial import Study

if TYPE_CHECKING:
    from ...harness.labelling.corrected import CorrectedRun


@dataclass(frozen=True)
class CompareOptions:
    """``telbench compare``: which runs, in which metrics, by which tests."""

    runs: tuple[Path, ...] = setting(
        REQUIRED,
        "run folders, anchors, lm-eval samples, inspect logs or predictions; the first is the baseline",
        metavar="RUN",
        positional=True,
    )
    metrics: tuple[str, ...] = setting((), "only these metrics", many="comma", metavar="NAME,…")
    primary: tuple[str, ...] = setting(
        (), "metrics that decide: corrected by themselves, not with the others", many="comma", metavar="NAME,…"
    )
    strata: Literal["category"] | None = setting(None, "once more within each category", key="by")
    cluster: str = setting(
        "source_document",
        "what is drawn and flipped as a whole: source_document, category, item, or a field that samples of other "
        "harnesses have",
        metavar="NAME",
    )
    pairs: Posthoc = setting("mean", "test that separates three runs or more")
    average_seeds: bool = setting(
        False, "runs that differ in their training seed alone count as one, items averaged over the seeds"
    )
    study: bool = setting(False, "what the runs' factors do: main effects, interactions")
    factors: tuple[str, ...] = setting(
        (), "factors of the study (default: all that vary)", many="comma", metavar="NAME,…"
    )
    labels: Path | None = setting(
        None, "people's labels (telbench judge labels): judged metrics are corrected by them", metavar="FILE"
    )
    worth: Path | None = setting(
        None, "what metrics are worth on this data (telbench metrics worth --out): blind ones are told", metavar="FILE"
    )
    length_adjusted: bool = setting(
        False, "beside the raw differences those at equal length of the two answers, by regression"
    )
    same_judge: bool = setting(False, "assert that the runs were judged by one judge, whatever their signatures say")
    markdown: bool = setting(False, "as GitHub-flavoured Markdown, for a pull request")
    explain: bool = setting(False, "say in plain words what each column and verdict means")
    wide: bool = setting(False, "all columns, however long the lines")
    weights: str = setting(
        "equal",
        "runs of several data sets: how these weigh in the overall mean: equal, items, or NAME=W,...",
        metavar="W",
    )
    logs: LogSettings = group(LogSettings, "logs of other harnesses")

    @property
    def by(self) -> ClusterBy:
        """What is drawn as a whole; a field of samples names their source documents."""
        return cast(ClusterBy, self.cluster) if self.cluster in get_args(ClusterBy) else "source_document"


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.usage = "telbench compare RUN RUN... [OPTIONS]"
    parser.epilog = "Exit codes: 0 fine, 2 bad usage or input, 4 the runs cannot be compared."
    add_flags(parser, CompareOptions)
    add_json(parser, "as JSON")


def compared(options: CompareOptions, resamples: int = RESAMPLES) -> Compared:
    """Open the runs and compare each with the first; ``resamples`` as of `compare_runs`.

    Raises:
        InputError: for what is no run. IncomparableError: for runs that were not measured alike.
    """
    if len(options.runs) < 2:
        raise InputError("compare needs two or more run folders: telbench compare RUN RUN")
    runs = open_runs(options.runs, Reading(options.logs, None if options.by == options.cluster else options.cluster))
    require_alike(runs)
    if options.same_judge:
        runs = as_of_one_judge(runs)
    if options.worth is not None:
        worth = read_worth(options.worth)
        runs = [replace(run, header=with_worth(run.header, worth, options.worth)) for run in runs]
    shared = shared_metrics(runs, options.metrics or None, lenient=True)
    notes = notes_of(runs, shared)
    known = {metric.name: metric for metric in shared}
    for name in options.metrics:
        if name not in known:
            raise InputError("; ".join([f"--metrics {name}: the runs share {', '.join(known)}", *notes]))
    metrics = [known[name] for name in options.metrics or known]
    for name in options.primary:
        if all(metric.name != name for metric in metrics):
            raise InputError(f"--primary {name}: compared are {', '.join(metric.name for metric in metrics)}")
    if any(metric.family == "judged" for metric in metrics):
        from ..runs.labelled import calibration_notes

        corrected = () if options.labels is None else _labelled_metrics(options.labels)
        notes += calibration_notes(runs, [metric.name for metric in metrics], corrected)
    recipes = _recipes(options, runs) if options.average_seeds else []
    runs = [recipe.run for recipe in recipes] or runs
    names = distinct_names(runs)
    pairs = compare_runs(
        runs,
        metrics,
        by=options.by,
        strata=options.strata is not None,
        names=names,
        primary=options.primary,
        resamples=resamples,
    )
    return Compared(runs, names, metrics, recipes, pairs, notes, options.primary, options.cluster)


def run(args: argparse.Namespace) -> int:
    """Print the answer and the tables; exit code 4 when the runs were not measured alike."""
    options = settings_of(args, CompareOptions)
    if args.json and (options.markdown or options.explain):
        raise InputError(f"--json and --{'markdown' if options.markdown else 'explain'}: choose one")
    try:
        found = compared(options, RESAMPLES if args.json else 0)
    except IncomparableError:
        if (several := _several(options)) is None:
            raise
        return _print_sets(several, options, as_json=args.json)
    if options.weights != "equal":
        raise InputError(f"--weights {options.weights}: the runs are of one data set: drop it")
    runs, names, recipes = found.runs, found.names, found.recipes
    measured = {each.metric for each in found.pairs}
    metrics = [metric for metric in found.metrics if metric.name in measured]
    rankings: list[Ranking] = []
    if len(runs) > 2:
        rankings = [
            rank_runs(runs, metric, posthoc=options.pairs, by=options.by, names=names)
            for metric in metrics
            if _in_all(runs, metric)
        ]
        rankings = ranked_together(rankings, options.primary, found.pairs)
    studies: dict[str, Study] = {}
    if options.study:
        studies = {
            metric.name: study_of(runs, metric, by=options.by, factors=options.factors or None) for metric in metrics
        }
    seeds = seed_effects(recipes, names, found.metrics) if recipes else []
    lengths: list[LengthEffect] = []
    if options.length_adjusted:
        lengths = _adjusted(options, found, sorted(measured))
    found = replace(found, rankings=rankings, seeds=seeds, studies=studies, lengths=lengths)
    corrected = {} if options.labels is None else _corrected(options)
    if args.json:
        told = {name: [each.to_dict() for each in of_runs] for name, of_runs in corrected.items()}
        print_json(_document(found) | ({"corrected": told} if told else {}))
        return 0
    blocks = report(found) if options.wide or options.markdown else fitted(report(found))
    blocks += explained(found, blocks) if options.explain else []
    if not options.markdown:
        sys.stdout.writelines(line + "\n" for line in plain(blocks))
        if corrected:
            sys.stdout.writelines(f"{visible(line)}\n" for line in _corrected_lines(corrected))
        return 0
    text = markdown(blocks)
    if corrected:
        text += "\n".join(["", "```", *_corrected_lines(corrected), "```", ""])
    sys.stdout.write(visible(text, lines=True))
    if len(text) > COMMENT_LIMIT:
        sys.stderr.write(
            f"note: {len(text):,} characters, and a comment on GitHub holds {COMMENT_LIMIT:,}: name fewer --metrics\n"
        )
    return 0


def _several(options: CompareOptions) -> Mapping[str, Sequence[LoadedRun]] | None:
    """The runs by data set where they are of several; None where they are of one. Raises as `by_set`."""
    from ..compare.sets import by_set

    return by_set(
        open_runs(options.runs, Reading(options.logs, None if options.by == options.cluster else options.cluster))
    )


def _print_sets(sets: Mapping[str, Sequence[LoadedRun]], options: CompareOptions, *, as_json: bool) -> int:
    """Print runs of several data sets: one table for each, and what they come to. Raises `InputError`."""
    from ..compare.sets import compare_sets, sets_report

    for field in ("metrics", "strata", "average_seeds", "study", "labels", "worth", "length_adjusted", "explain"):
        if getattr(options, field):
            flag = {"strata": "by"}.get(field, field.replace("_", "-"))
            raise InputError(f"--{flag}: not over several data sets: compare the runs of one of them")
    found = compare_sets(sets, weights=options.weights, primary=options.primary, by=options.by)
    if as_json:
        print_json(found.to_dict())
        return 0
    blocks = sets_report(found)
    if options.markdown:
        sys.stdout.write(visible(markdown(blocks), lines=True))
    else:
        sys.stdout.writelines(line + "\n" for line in plain(blocks if options.wide else fitted(blocks)))
    return 0


def _corrected(options: CompareOptions) -> dict[str, list[CorrectedRun]]:
    """Each labelled metric's means and differences, corrected by people's labels."""
    from ...harness.labelling.corrected import corrected_metrics
    from ...harness.labelling.labels import read_labels

    return corrected_metrics(options.runs, read_labels(options.labels or Path()))


def _labelled_metrics(labels: Path) -> set[str]:
    from ...harness.labelling.labels import read_labels

    return {label.metric for label in read_labels(labels)}


def _corrected_lines(corrected: Mapping[str, Sequence[CorrectedRun]]) -> list[str]:
    from ...harness.labelling.corrected import corrected_lines

    return [
        line
        for name, of_runs in corrected.items()
        for line in ("", "judged scores, corrected by people's labels:", *corrected_lines(of_runs, name))
    ]


def _adjusted(options: CompareOptions, found: Compared, metrics: Sequence[str]) -> list[LengthEffect]:
    """The differences at equal length.

    Raises:
        InputError: when the answers of a run are not at hand.
    """
    for run, name in zip(found.runs, found.names, strict=True):
        if run.words is None:
            raise InputError(f"--length-adjusted: the answers of {name} are not at hand, so they have no length")
    return [
        each
        for run, name in zip(found.runs[1:], found.names[1:], strict=True)
        for each in length_effects(found.runs[0], run, metrics, name, options.by)
    ]


def _recipes(options: CompareOptions, runs: Sequence[LoadedRun]) -> list[Recipe]:
    """The runs with their seeds averaged."""
    if options.study:
        raise InputError("--study takes seeds apart itself: leave --average-seeds out")
    recipes = average_seeds(runs)
    if len(recipes) < 2:
        raise InputError("all runs are seeds of one recipe: name those of another to compare it with")
    return recipes


def _in_all(runs: Sequence[LoadedRun], metric: Metric) -> bool:
    """Has any item a score in all runs?"""
    columns = [run.scores[metric.name] for run in runs]
    return any(all(column[item].value is not None for column in columns) for item in runs[0].clusters)


def _document(found: Compared) -> dict[str, Any]:
    runs, names, pairs = found.runs, found.names, found.pairs
    document = {
        "schema_version": 1,
        "answer": answer_fields(found, sentences(found)),
        "baseline": str(runs[0].path),
        "cluster": found.cluster,
        "warnings": [*found.notes, *warning_lines(runs, names, pairs)],
        "runs": [
            {
                "path": str(run.path),
                "name": name,
                "run_id": run.header["run_id"],
                "factors": run.header.get("factors", {}),
                "metrics": {metric.name: run.header["metrics"][metric.name] for metric in found.metrics},
                "difference": {
                    each.metric: each.to_dict() for each in pairs if each.run == name and each.stratum is None
                }
                if index
                else None,
            }
            for index, (run, name) in enumerate(zip(runs, names, strict=True))
        ],
        "categories": [each.to_dict() for each in pairs if each.stratum is not None],
        "rankings": [ranking.to_dict() for ranking in found.rankings],
        "study": {name: study.to_dict() for name, study in found.studies.items()},
        "at_equal_length": [each.to_dict() for each in found.lengths],
        "over_seeds": [each.to_dict() for each in found.seeds],
    }
    for entry, recipe in zip(document["runs"], found.recipes, strict=False):
        entry["seeds"] = {seed: str(run.path) for seed, run in recipe.seeds.items()}
    return document
