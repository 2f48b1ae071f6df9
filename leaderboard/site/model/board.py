"""The board: runs read once, sorted into those that may be ranked and those apart, and measured metric by metric."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from telbench.errors import InputError, TelbenchError
from telbench.registry import listed, load_as

from ....harness.cli.terminal import Reporter
from ....harness.datasets.contract import DatasetSpec
from ....harness.datasets.loading import GROUP, protects_texts
from ....metrics.contract import Metric, metrics_named
from ...compare.pairwise import ClusterBy
from ...compare.ranking import Posthoc
from ...compare.seeds import SEED, SeedEffect, varying, word
from ...compare.table import distinct_names
from ...publish.history import Check, read_history
from ...runs.foreign import Reported
from ...runs.loaded import metric_of
from ...runs.worth import read_worth, with_worth
from ..formats import shortened, slug
from ..parallel import Job, Result, all_of, each_of
from ..store import Store
from .columns import NOTHING, RIGHT, Elsewhere, RunColumns, sharing_items
from .composite import OVERALL
from .contexts import NO_CONTEXTS, Contexts
from .eligibility import Apart, first_rankable, measured_alike, rankable, run_folders
from .kept_columns import columns_of
from .kept_measures import measured
from .overall import overall_of, with_partly
from .standings import Measured, MetricTable, Standing, decided_together, metric_table

# Below so many scores a second process costs more than it saves.
_WORTH_A_PROCESS = 300_000
Shown = Literal["all", "ids", "none"]


@dataclass(frozen=True)
class Options:
    """What a board is built with, beside its runs.

    ``items``: pages have the texts of all items, their ids alone, or there are no such pages; None: as the data set's
    publisher lets. ``margins``: by metric, the largest drop to accept. ``weights`` and ``primary`` say how several data
    sets come to an overall mean, and by which metrics. ``url``: the address that the board will have.
    """

    title: str = "telbench leaderboard"
    baseline: Path | None = None
    allow_incomplete: bool = False
    by: ClusterBy = "source_document"
    pairs: Posthoc = "mean"
    history: Path | None = None
    worth: Path | None = None
    items: Shown | None = None
    margins: Mapping[str, float] = field(default_factory=dict)
    weights: str = "equal"
    primary: tuple[str, ...] = ()
    url: str | None = None


@dataclass(frozen=True)
class BoardRun:
    """A ranked run: its ``name`` and ``short`` name, the ``slug`` of its page, its factors as words, its columns.

    A recipe has the places of its ``seeds`` on the board of single runs.
    """

    name: str
    short: str
    slug: str
    factors: Mapping[str, str]
    columns: RunColumns
    seeds: Mapping[str, int] = field(default_factory=dict)

    @property
    def header(self) -> Mapping[str, Any]:
        """The run's header."""
        return self.columns.header

    @property
    def right(self) -> float | None:
        """Share of right answers among all items (see `taxonomy`); None where the answers are not at hand."""
        counts = self.columns.error_kinds
        if not self.columns.answers:
            return None
        # A recipe has the answers of all its seeds.
        return counts.get(RIGHT, 0) / len(self.columns.kinds) if self.columns.kinds else None

    @property
    def parameters(self) -> int | None:
        """Number of parameters, where it is known."""
        return self.header["model"].get("parameters")

    @property
    def speed(self) -> float | None:
        """Generated tokens a second, or what was told of answers from a file; None for those of a cache or journal."""
        if (told := self.header.get("told", {}).get("tokens_per_second")) is not None:
            return told
        generation, seconds = self.header["generation"], self.header["seconds"].get("generate", 0.0)
        whole = generation.get("generated") == self.header["data"]["n"]
        tokens = self.header["tokens"]["completion"]
        return tokens / seconds if whole and seconds > 0 and tokens else None

    @property
    def cost(self) -> float | None:
        """US dollars for 1,000 answers, where it was told."""
        whole = self.header.get("told", {}).get("cost")
        return None if whole is None else 1000 * whole / self.header["data"]["n"]


@dataclass(frozen=True)
class Board:
    """All that pages show.

    ``runs`` are those that were measured alike, the baseline first; ``apart`` the others with the reason. ``tables``
    are one a metric, the composite (`OVERALL`) first where there is one; their rows name runs by place. ``left_out``
    are metrics that the composite does not take, with the reason. ``factors`` are those that vary, with their levels.
    ``contexts`` are those of the items, as far as they were at hand. ``history`` are the checks of a gate. ``worth`` is
    the record of what metrics are worth on the data, where it was given. ``reported`` are others' numbers. ``home`` is
    the page of the first table, and ``prefix`` the folder of the board's own pages and data. ``recipes`` is a board of
    recipes in place of their seeds. Such a board has in ``over_seeds`` what the seeds say, by metric and recipe.
    """

    options: Options
    runs: tuple[BoardRun, ...]
    apart: tuple[Apart, ...]
    tables: tuple[MetricTable, ...]
    left_out: tuple[str, ...]
    factors: Mapping[str, tuple[str, ...]]
    digest: str
    processes: int = 1
    contexts: Contexts = NO_CONTEXTS
    history: tuple[Check, ...] = ()
    worth: Mapping[str, Any] | None = None
    reported: tuple[Reported, ...] = ()
    home: str = "index.html"
    prefix: str = ""
    recipes: Board | None = None
    over_seeds: Mapping[tuple[str, str], SeedEffect] = field(default_factory=dict)
    store: Store = field(default_factory=Store)

    @property
    def baseline(self) -> BoardRun:
        """The run that the others are held against."""
        return self.runs[0]

    @property
    def shown(self) -> Shown:
        """What pages show of the items."""
        return shown_of(self.options, self.baseline.columns)

    @property
    def source(self) -> DatasetSpec | None:
        """The published data set that the items are of, where telbench knows it."""
        return source_of(self.baseline.header["data"]["name"])

    @property
    def items(self) -> tuple[str, ...]:
        """The ids of the items, in the order of the data."""
        return self.baseline.columns.items

    @property
    def told_factors(self) -> tuple[str, ...]:
        """Factors that tell runs apart, the seed among them where there is more than one."""
        seeds = {run.factors.get(SEED) for run in self.runs}
        return (*self.factors, *((SEED,) if len(seeds) > 1 else ()))

    def table(self, name: str) -> MetricTable:
        """The table of a metric."""
        return next(table for table in self.tables if table.name == name)

    def each_of(self, work: Callable[[Job], Result], jobs: Sequence[Job]) -> Iterator[Result]:
        """The results of work that reads the board, in order, in as many processes as it was made with."""
        return each_of(work, jobs, self.processes)

    def standing(self, table: MetricTable, run: BoardRun) -> Standing | None:
        """The run's row in a table; None where it is not ranked."""
        return next((row for row in table.rows if self.runs[row.run] is run), None)


def make_board(
    paths: Sequence[Path],
    options: Options,
    reporter: Reporter,
    processes: int = 2,
    contexts: Contexts = NO_CONTEXTS,
    elsewhere: Elsewhere = NOTHING,
    store: Store | None = None,
) -> Board:
    """Read the runs and measure them, those from ``elsewhere`` among them; what ``store`` has is not made again.

    Raises:
        InputError: for what is no run folder, or when no run can be ranked in any metric.
    """
    history = () if options.history is None else tuple(read_history(options.history))
    worth = None if options.worth is None else read_worth(options.worth)
    folders, apart = run_folders(paths)
    if not folders and not elsewhere.runs:
        told = "none of the runs is finished" if apart else "no run"
        raise InputError(f"{told}: there is nothing to rank")
    large = sum(_scores_of(folder) for folder in folders) > _WORTH_A_PROCESS
    workers = processes if large else 1
    store = store or Store()
    runs = sharing_items(columns_of(folders, contexts, store, workers, reporter))
    runs = [*runs, *elsewhere.runs]
    _refuse_copies(runs)
    kept, different = measured_alike(runs, _run_at(options.baseline, runs))
    if worth is not None and options.worth is not None:
        kept = [replace(run, header=with_worth(run.header, worth, options.worth)) for run in kept]
    baseline = _run_at(options.baseline, kept)
    if baseline is None:
        baseline = first_rankable(kept, allow_incomplete=options.allow_incomplete)
    kept.sort(key=lambda run: (run is not baseline, run.name, run.digest))
    if shown_of(options, baseline) != "all":
        kept = [replace(run, texts=False) for run in kept]
    metrics, without_table = _metrics_of(kept)
    ranked = {metric.name: rankable(metric.name, kept, allow_incomplete=options.allow_incomplete) for metric in metrics}
    overall = overall_of(kept, metrics, ranked)
    if overall.metric is not None:
        by_digest = {run.digest: run for run in overall.runs}
        kept = [by_digest.get(run.digest, run) for run in kept]
        ranked[OVERALL] = list(overall.runs), list(overall.apart)
        metrics = [overall.metric, *metrics]
        ranked = {
            name: ([by_digest.get(run.digest, run) for run in rows], rest) for name, (rows, rest) in ranked.items()
        }
    metrics = [metric for metric in metrics if ranked[metric.name][0]]
    if not metrics:
        told = "; ".join(["no metric has a score in any run: there is nothing to rank", *without_table])
        raise InputError(told)
    names, digests = distinct_names([run.titled for run in kept]), [run.digest for run in kept]
    by_metric = [(metric, ranked[metric.name][0]) for metric in metrics]
    jobs = [
        _Comparing(metric, members, places, [names[place] for place in places], options, store)
        for metric, members in [*by_metric, *((half.metric, half.pair) for half in overall.halves)]
        for places in [[digests.index(run.digest) for run in members]]
    ]
    measured_alone = all_of(_compared, jobs, workers, reporter, "comparing")
    # The composite says the same as the metrics once more: it is a family by itself.
    found = decided_together(measured_alone, [OVERALL])
    tables = [
        metric_table(
            job.metric, job.runs, job.places, job.names, one, ranked[job.metric.name][1], baseline=job.places[0] == 0
        )
        for job, one in zip(jobs, found[: len(metrics)], strict=False)
    ]
    for name in options.margins:
        if name not in {table.name for table in tables}:
            raise InputError(f"--margin {name}: the board has {', '.join(table.name for table in tables)}")
    if overall.halves:
        others = [
            (half, job.places[1], one)
            for half, job, one in zip(overall.halves, jobs[len(metrics) :], found[len(metrics) :], strict=True)
        ]
        tables[0] = with_partly(tables[0], others)
    factors = [_factors(run) for run in kept]
    return Board(
        options=options,
        runs=tuple(
            BoardRun(name, short, slug(name, f"{name}\0{run.path.resolve().name}"), levels, run)
            for name, short, run, levels in zip(names, shortened(names), kept, factors, strict=True)
        ),
        apart=tuple(apart + different),
        tables=tuple(tables),
        left_out=(*overall.left_out, *without_table),
        factors=varying(factors),
        digest=_digest(runs, apart, kept[0], options, contexts, history, worth, elsewhere.digest),
        processes=workers,
        contexts=contexts,
        history=history,
        worth=worth,
        reported=elsewhere.reported,
        store=store,
    )


def _refuse_copies(runs: Sequence[RunColumns]) -> None:
    first: dict[str, Path] = {}
    for run in runs:
        if run.digest in first:
            raise InputError(f"{run.path} is a copy of {first[run.digest]}: name one of them")
        first[run.digest] = run.path


@dataclass(frozen=True)
class _Comparing:
    metric: Metric
    runs: Sequence[RunColumns]
    places: Sequence[int]
    names: Sequence[str]
    options: Options
    store: Store


def _compared(job: _Comparing) -> Measured:
    options = job.options
    return measured(job.metric, job.runs, job.names, by=options.by, posthoc=options.pairs, store=job.store)


def _run_at(path: Path | None, runs: Sequence[RunColumns]) -> RunColumns | None:
    if path is None:
        return None
    found = next((run for run in runs if run.path.resolve() == path.resolve()), None)
    if found is None:
        raise InputError(f"--baseline {path} is none of the finished runs: name it among RUNS too")
    return found


def _metrics_of(runs: Sequence[RunColumns]) -> tuple[list[Metric], list[str]]:
    """Metrics of any run, in the order of the first run that has them; and those that have no table, with the reason.

    A metric is what the runs say of it; only one that has to sum up must be installed, in the version that scored.
    """
    found, without = [], []
    for name in dict.fromkeys(name for run in runs for name in run.header["metrics"]):
        having = [run.titled for run in runs if name in run.header["metrics"]]
        # Runs that were measured otherwise are set apart later, metric by metric.
        first = having[0].header["metrics"][name]["signature"]
        alike = [run for run in having if run.header["metrics"][name]["signature"] == first]
        try:
            told = metric_of(name, alike)
        except TelbenchError as error:
            without.append(f"{name} (no table: {error})")
            continue
        with contextlib.suppress(TelbenchError):
            told = replace(told, description=metrics_named([name])[0].description)
        found.append(told)
    return found, without


def _scores_of(folder: Path) -> int:
    """A rough count of the scores in a run, from the size of its samples: enough to decide on processes."""
    return (folder / "samples.jsonl").stat().st_size // 100 if (folder / "samples.jsonl").is_file() else 0


def _factors(run: RunColumns) -> dict[str, str]:
    return {str(name): word(value) for name, value in sorted(run.header.get("factors", {}).items())}


def _digest(
    runs: Iterable[RunColumns],
    apart: Iterable[Apart],
    baseline: RunColumns,
    options: Options,
    contexts: Contexts,
    history: Iterable[Check],
    worth: Mapping[str, Any] | None,
    elsewhere: str,
) -> str:
    """SHA-256 of the runs' contents, of the contexts, the history and the worth at hand, and of what was chosen."""
    parts: list[Any] = [sorted(run.digest for run in runs), [(each.name, each.reason) for each in apart]]
    parts += [options.title, baseline.digest, options.allow_incomplete, options.by, options.pairs]
    parts += [
        options.items,
        dict(options.margins),
        contexts.digest,
        *(repr(check) for check in history),
        *([] if worth is None else [worth]),
        elsewhere,
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


@lru_cache(maxsize=8)
def source_of(name: str) -> DatasetSpec | None:
    """The data set of that name, if one is registered."""
    return load_as(GROUP, name, DatasetSpec) if name in listed(GROUP) else None


def shown_of(options: Options, run: RunColumns) -> Shown:
    """What pages show of the items of a run: what was asked for, or what the publisher of the data lets."""
    return options.items or ("ids" if protects_texts(run.header["data"]["name"]) else "all")


def licence_lines(board: Board) -> list[str]:
    """What whoever publishes the pages should know of the texts in them."""
    source = board.source
    if source is None or not source.files or board.shown == "none":
        return []
    if board.shown == "ids":
        why = "" if board.options.items else ": its publisher keeps them from being crawled (--items all shows them)"
        return [f"pages have the ids of {source.name}'s questions without any text{why}"]
    told = "; its publisher keeps them from being crawled" if source.protected else ""
    return [
        f"pages hold the texts of {source.name} ({source.origin}, {source.licence}){told}: publish them only as that "
        "licence lets you (--items ids leaves them out)"
    ]
