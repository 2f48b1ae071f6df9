"""Runs with the scores of their items, and whether they may be compared."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from telbench.errors import IncomparableError, InputError, TelbenchError

from ...harness.runs.folder import ALIKE, ALIKE_IF_GENERATED, HEADER, SAMPLES, read_run, read_samples
from ...metrics.contract import ItemScore, Metric, metrics_named
from .directions import require_directions
from .validation import Lines, require_header

# What two logs of other harnesses must have in common beside, where both of them tell it.
ALIKE_IN_LOGS = ((("prompt", "prompts_sha256"), "prompts"),)
COPY_AGAIN = "copy the run again"
# Whose scores a run may hold that telbench did not score itself: the engine in its header.
LM_EVAL, INSPECT, HELM, EVALSCOPE, EEE, SCORES = "lm-eval", "inspect", "helm", "evalscope", "eee", "scores"
HARNESSES = (LM_EVAL, INSPECT, HELM, EVALSCOPE, EEE, SCORES)
_WHOLE = "copy the damaged run again"


# Answers that are on average so many times as long as others are another kind of answer.
LENGTH_FACTOR = 1.5


class OtherJudgeError(IncomparableError):
    """Runs that were judged by different judges, and otherwise alike (exit code 4)."""


@dataclass(frozen=True)
class ItemText:
    """What was asked, what is right, and what was answered; None where a log does not hold the answer."""

    question: str = ""
    references: tuple[str, ...] = ()
    prediction: str | None = None


def own_metrics(header: Mapping[str, Any]) -> tuple[str, ...]:
    """Names of the metrics of a run that another harness scored, by its header; none for a run of telbench's own."""
    return tuple(header["metrics"]) if header["generation"]["engine"] in HARNESSES else ()


@dataclass(frozen=True)
class LoadedRun:
    """A finished run's header with the scores of its items.

    ``failed`` are items that the model did not answer. ``own_metrics`` name those of a run that another harness scored,
    ``undirected`` those of them of which nobody said which way is better, with the file that they come from. ``notes``
    are told beside every result. ``first_line`` is the line of the first item, in files that have one a line.
    ``lengths`` are the words of each answer, with their mean ``words``; none where the answers are not at hand.
    ``texts`` are there where a reader was asked for them.
    """

    path: Path
    header: dict[str, Any]
    clusters: dict[str, str]
    scores: dict[str, dict[str, ItemScore]]
    failed: frozenset[str] = frozenset()
    categories: Mapping[str, str | None] = field(default_factory=dict)
    own_metrics: Collection[str] = ()
    undirected: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    first_line: int | None = None
    lengths: Mapping[str, float] = field(default_factory=dict)
    words: float | None = None
    texts: Mapping[str, ItemText] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The model's name."""
        return str(self.header["model"]["name"])

    @property
    def made_elsewhere(self) -> bool:
        """Were the answers read from a file, so that prompts and decoding are not known?"""
        return self.header["generation"]["engine"] == "replay" or bool(self.own_metrics)


def load_run(path: Path) -> LoadedRun:
    """Header and per-item scores of a run folder, or of the folder that a header lies in.

    Raises:
        InputError: when it is no finished run, or a line of its samples is not what its header says.
    """
    header = read_run(path)
    folder = path.parent if path.name == HEADER and path.is_file() else path
    require_header(header, folder / HEADER, COPY_AGAIN)
    lines = Lines(folder / SAMPLES, header, COPY_AGAIN)
    run = gather(folder, header, enumerate(read_samples(folder), 1), lines)
    return replace(run, own_metrics=own_metrics(header))


def gather(path: Path, header: dict[str, Any], samples: Iterable[tuple[int, Any]], lines: Lines) -> LoadedRun:
    """A run of numbered samples, each of them checked first.

    Raises:
        InputError: naming the line that is no sample.
    """
    clusters: dict[str, str] = {}
    scores: dict[str, dict[str, ItemScore]] = {name: {} for name in header["metrics"]}
    failed = set()
    categories: dict[str, str | None] = {}
    lengths: dict[str, float] = {}
    first = None
    for number, sample in samples:
        lines.check(number, sample)
        item, values, stats = sample["item_id"], sample["scores"], sample["stats"]
        reasons = sample.get("missing", {})
        first = number if first is None else first
        categories[item] = sample["category"]
        if sample["status"] == "error":
            failed.add(item)
        elif "words" in sample or "prediction" in sample:
            # Anchors keep the number of words, and no answer.
            lengths[item] = sample["words"] if "words" in sample else len((sample["prediction"] or "").split())
        clusters[item] = sample["cluster_id"]
        for name, column in scores.items():
            row = stats.get(name)
            column[item] = ItemScore(values.get(name), reasons.get(name), None if row is None else tuple(row))
    lines.finish()
    words = sum(lengths.values()) / len(lengths) if lengths else None
    return LoadedRun(
        path, header, clusters, scores, frozenset(failed), categories, first_line=first, lengths=lengths, words=words
    )


def lengths_differ(one: LoadedRun, other: LoadedRun) -> bool:
    """Are one's answers on average more than `LENGTH_FACTOR` times as long as the other's?"""
    return bool(one.words and other.words and not 1 / LENGTH_FACTOR <= other.words / one.words <= LENGTH_FACTOR)


def require_alike(runs: Sequence[LoadedRun]) -> None:
    """Refuse runs that were not measured alike.

    Raises:
        IncomparableError: naming the runs and what differs.
    """
    first = next((run for run in runs if not run.made_elsewhere), runs[0])
    for other in runs:
        known = not (first.made_elsewhere or other.made_elsewhere)
        logs = bool(first.own_metrics and other.own_metrics)
        for (section, key), label in ALIKE + (ALIKE_IF_GENERATED if known else ()) + (ALIKE_IN_LOGS if logs else ()):
            ours, theirs = first.header[section].get(key), other.header[section].get(key)
            untold = section == "prompt" and logs and None in (ours, theirs)
            if ours != theirs and not untold:
                what = f"other {label} ({_short(ours)} and {_short(theirs)})"
                raise IncomparableError(f"{first.path} and {other.path} cannot be compared: {what}")
    for other in runs:
        if other.clusters != first.clusters:
            raise other_items(first, other)


def other_items(first: LoadedRun, other: LoadedRun) -> InputError:
    """What is said of files of runs on the same items that have other ids or source documents, with file and line."""
    for place, (item, cluster) in enumerate(other.clusters.items()):
        theirs = first.clusters.get(item)
        if theirs == cluster:
            continue
        where = f"{other.path}, item '{item}'"
        if other.first_line is not None:
            file = other.path / SAMPLES if other.path.is_dir() else other.path
            where = f"{file}, line {other.first_line + place}"
        if theirs is None:
            return InputError(f"{where}: {first.path} has no item '{item}', though both name the same items: {_WHOLE}")
        return InputError(
            f"{where}: item '{item}' is of source document '{cluster}', in {first.path} of '{theirs}': {_WHOLE}"
        )
    item = next(item for item in first.clusters if item not in other.clusters)
    return InputError(f"{other.path} has no item '{item}', which {first.path} has: {_WHOLE}")


def shared_metrics(
    runs: Sequence[LoadedRun], wanted: Collection[str] | None = None, *, lenient: bool = False
) -> list[Metric]:
    """Metrics that all runs have with the same signature; ``wanted`` are those that will be used (default: all).

    Those that are not wanted are told by the runs alone, and nothing of them is held against anything. ``lenient``
    leaves out those that cannot be used, unless they are wanted by name; `notes_of` says why. Those of different judges
    are never left out in silence: runs are judged to be compared.

    Raises:
        IncomparableError: when a metric was computed in different ways, or none is shared. InputError: when nobody said
            which way a metric of another harness is better, or one that sums up is not installed.
    """
    names = [name for name in runs[0].header["metrics"] if all(name in run.header["metrics"] for run in runs)]
    if not names:
        raise IncomparableError("the runs share no metric: score them with the same --metrics")
    used = names if wanted is None else [name for name in names if name in wanted]
    for run in runs:
        if run.undirected:
            require_directions(run.undirected, used)
    metrics: list[Metric] = []
    for name in names:
        try:
            metrics.append(metric_of(name, runs, used=name in used))
        except TelbenchError as error:
            if not lenient or wanted is not None or isinstance(error, OtherJudgeError):
                raise
    if not metrics:
        # Whatever speaks against the first of them.
        metric_of(names[0], runs)
    return metrics


def metric_of(name: str, runs: Sequence[LoadedRun], *, used: bool = True) -> Metric:
    """A metric as the runs' headers tell it, with the widest of their ranges; one of the corpus is loaded to sum up.

    Raises:
        IncomparableError: when it was computed in different ways, or by another version than the one that would sum up.
        InputError: when that one is not installed.
    """
    entries = [run.header["metrics"][name] for run in runs]
    signatures = sorted({entry["signature"] for entry in entries})
    if used and len(signatures) > 1:
        told = f"metric {name} was computed in different ways ({', '.join(signatures)})"
        judges = {_judge_in(signature) for signature in signatures}
        if len(set(map(_without_judge, signatures))) == 1 and "judge:none" not in judges:
            raise OtherJudgeError(
                f"{told}: the judges are not known to be one; judge all runs by one, name other --metrics, or assert "
                "that it is one (--same-judge)"
            )
        raise IncomparableError(told)
    if used and any(entry["level"] == "corpus" for entry in entries):
        (metric,) = metrics_named([name])
        scored, installed = signatures[0].rpartition("|v")[2], {form.version for form in metric.variants.values()}
        if scored not in map(str, {metric.version, *installed}):
            raise IncomparableError(
                f"metric {name} was scored by its version {scored}, installed is version {metric.version}, which would "
                "sum up otherwise: score the runs again"
            )
        _require_statistics(metric, runs)
        return metric
    higher = [entry["higher_is_better"] is not False for entry in entries]
    if used and not all(higher) and any(higher):
        other = runs[higher.index(not higher[0])]
        mend = f"pass --higher-is-better {name} or --lower-is-better {name}" if runs[0].own_metrics else _WHOLE
        raise IncomparableError(f"{name}: {runs[0].path} and {other.path} do not say alike which way is better: {mend}")
    lows, highs = zip(*(entry["range"] for entry in entries), strict=True)
    return Metric(
        name=name,
        family=entries[0]["family"],
        range=(None if None in lows else min(lows), None if None in highs else max(highs)),
        higher_is_better=higher[0],
        needs=frozenset(),
        level="item",
        description="",
        score_batch=_no_scoring,
    )


def as_of_one_judge(runs: Sequence[LoadedRun]) -> list[LoadedRun]:
    """The runs with the judge of the first in all signatures that differ from its own by the judge alone.

    That is for a user to assert: one judge that is served at two places, say. Each run so changed has a note.
    """
    known = {name: entry["signature"] for name, entry in runs[0].header["metrics"].items()}
    found = [runs[0]]
    for run in runs[1:]:
        metrics, taken = dict(run.header["metrics"]), set[tuple[str, str]]()
        for name, entry in metrics.items():
            own, first = entry["signature"], known.get(name, "")
            if own != first and _without_judge(own) == _without_judge(first):
                metrics[name] = {**entry, "signature": first}
                taken.add((_judge_in(own), _judge_in(first)))
        notes = tuple(f"{run.path}: its {own} is taken for {first} (--same-judge)" for own, first in sorted(taken))
        found.append(replace(run, header={**run.header, "metrics": metrics}, notes=(*run.notes, *notes)))
    return found


def _without_judge(signature: str) -> str:
    return "|".join(part for part in signature.split("|") if not part.startswith("judge:"))


def _judge_in(signature: str) -> str:
    return next((part for part in signature.split("|") if part.startswith("judge:")), "judge:none")


def _no_scoring(*_: object) -> list[ItemScore]:
    raise InputError("scores of finished runs are read, not computed")


def _require_statistics(metric: Metric, runs: Sequence[LoadedRun]) -> None:
    """Refuse statistics that are not as many as the metric makes, or as another run has: their sums would mean
    something else.
    """
    expected, place = metric.statistics, "this telbench makes"
    for run in runs:
        rows = (score.stats for score in run.scores.get(metric.name, {}).values())
        found = next((len(row) for row in rows if row is not None), expected)
        if expected is None and found is not None:
            expected, place = found, f"{run.path} has"
        if found != expected:
            raise InputError(
                f"{run.path}: {metric.name} has {found} statistics an item where {place} {expected}: "
                "score the run again"
            )


def notes_of(runs: Sequence[LoadedRun], metrics: Collection[Metric] | None = None) -> list[str]:
    """What readers of these runs should know beside the numbers, each once.

    ``metrics`` are those that `shared_metrics` found: of others that all runs have it is told why they are left out.
    """
    notes = list(dict.fromkeys(note for run in runs for note in run.notes))
    names = set() if metrics is None else {metric.name for metric in metrics}
    for name in runs[0].header["metrics"] if metrics is not None else ():
        if name not in names and all(name in run.header["metrics"] for run in runs):
            try:
                metric_of(name, runs)
            except TelbenchError as error:
                notes.append(f"{name} is left out: {error}")
    return notes


def _short(value: Any) -> str:
    text = str(value)
    return text[:12] + "…" if len(text) > 40 else text
