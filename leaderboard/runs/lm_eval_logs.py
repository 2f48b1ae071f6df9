"""Samples of lm-evaluation-harness: one file, or all tasks of a results folder with their groups.

A samples file holds a number an item only for metrics that are means over items. Of BLEU, TER, F1 over classes and
perplexities it holds what they are computed from, pairs of texts or log-likelihoods: those metrics are left out, and
named. The results file beside it says which way is better, and what each mean has to be.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from telbench.errors import InputError

from ...metrics.contract import ItemScore, missing
from ...metrics.fingerprints import fingerprint
from .foreign import (
    AS_IT_IS,
    LM_EVAL,
    Column,
    Log,
    Reading,
    category_of,
    cluster_of,
    json_lines,
    json_object,
    run_of,
    value_of,
)
from .loaded import ItemText, LoadedRun

SAMPLES, RESULTS = "samples_", "results_"
# lm-eval writes its means with all digits; sums in another order differ in the last ones.
_CLOSE = 1e-6
# lm-eval's scalar "perplexity" of an item is its log-likelihood; a perplexity is never below 1.
_LEAST_PERPLEXITY = 1.0


@dataclass
class _Task:
    """One samples file: columns by metric, metrics whose items have no number, and those that are no mean of them."""

    name: str
    log: Log
    results: Mapping[str, Any]
    by_filter: dict[tuple[str, str], Column] = field(default_factory=dict)
    without_numbers: list[str] = field(default_factory=list)
    not_means: list[str] = field(default_factory=list)


def holds_results(path: Path) -> bool:
    """Is it a results folder of lm-eval, or a results file in one?"""
    if path.is_dir():
        return any(path.glob(f"{SAMPLES}*.jsonl"))
    return path.name.startswith(RESULTS) and path.suffix == ".json"


def read_lm_eval(path: Path, reading: Reading = AS_IT_IS) -> LoadedRun:
    """A ``samples_TASK_DATE.jsonl``, a ``results_DATE.json``, or the folder with both, as a run.

    Several tasks have their items beside one another, as ``TASK:ITEM``, and metrics ``TASK/METRIC``; groups have
    metrics ``GROUP/METRIC`` over the items of their tasks.

    Raises:
        InputError: naming the line that is no sample of lm-eval, or when no metric has numbers by item.
    """
    files, results = _files(path)
    tasks = [_read_task(file, results, reading) for file in files]
    if len(tasks) == 1:
        log = tasks[0].log
    else:
        log = Log(path, LM_EVAL, _model(files[0]), " ".join(sorted(task.name for task in tasks)))
        for task in tasks:
            _join(log, task)
        _add_groups(log, tasks, results)
    log.notes[:0] = _left_out(path, tasks, log)
    return run_of(log, reading.settings)


def _left_out(path: Path, tasks: Sequence[_Task], log: Log) -> list[str]:
    """Which metrics are left out, why, and which are left."""
    told = []
    for kind, why in (
        ("without_numbers", "the log has no statistics of these metrics item by item"),
        ("not_means", "the mean over items is not the number in the results file"),
    ):
        before = {task.name: f"{task.name}/" if len(tasks) > 1 else "" for task in tasks}
        names = sorted({before[task.name] + name for task in tasks for name in getattr(task, kind)})
        if names:
            told.append(f"{path}: {', '.join(names)}: {why}")
    if told and not log.scores:
        raise InputError(f"{'; '.join(told)}, and no other metric: score the answers with telbench score")
    return [f"{each}; left are {', '.join(sorted(log.scores))}" for each in told]


def _files(path: Path) -> tuple[list[Path], Mapping[str, Any]]:
    """The samples files of one evaluation, and its results; empty where they are not beside them."""
    if path.suffix == ".jsonl":
        date = _date(path)
        return [path], _results(path.with_name(f"{RESULTS}{date}.json"))
    folder = path if path.is_dir() else path.parent
    every = sorted(folder.glob(f"{SAMPLES}*.jsonl"))
    dates = sorted({_date(file) for file in every})
    if not path.is_dir():
        dates = [path.stem.removeprefix(RESULTS)]
    elif len(dates) > 1:
        raise InputError(f"{path} holds {len(dates)} evaluations: name one, {RESULTS}{dates[-1]}.json is the last")
    files = [file for file in every if _date(file) == dates[0]]
    if not files:
        raise InputError(f"{path}: no {SAMPLES}TASK_{dates[0]}.jsonl beside it: run lm-eval with --log_samples")
    return files, _results(folder / f"{RESULTS}{dates[0]}.json")


def _date(file: Path) -> str:
    return file.stem.rpartition("_")[2]


def _model(file: Path) -> str:
    return file.parent.name if file.parent.name not in ("", ".") else file.stem


def _results(file: Path) -> Mapping[str, Any]:
    if not file.is_file():
        return {}
    try:
        return json_object(file.read_bytes(), str(file))
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}") from error


def _read_task(path: Path, results: Mapping[str, Any], reading: Reading) -> _Task:
    name = path.stem.removeprefix(SAMPLES).rpartition("_")[0]
    task = _Task(name, Log(path, LM_EVAL, _model(path), name), results)
    seen: set[tuple[str, str]] = set()
    for number, row in json_lines(path):
        where = f"{path}, line {number}"
        item = row.get("doc_id")
        if isinstance(item, bool) or not isinstance(item, str | int) or not isinstance(row.get("metrics", []), list):
            raise InputError(f"{where}: no sample of lm-eval (doc_id and metrics are missing)")
        pair = str(item), str(row.get("filter", "none"))
        if pair in seen:
            raise InputError(f"{where}: document {item} occurs twice with the same filter")
        seen.add(pair)
        _enter(task, row, *pair, where, reading)
    _set_aside(task)
    filters = {told for _, told in seen}
    for (metric, told), column in task.by_filter.items():
        title = metric if len(filters) == 1 else f"{metric}@{told}"
        task.log.scores[title] = column
        if told != "none":
            task.log.filters[title] = told
        logged = _of(_of(results, "higher_is_better"), name).get(metric)
        if isinstance(logged, bool):
            task.log.logged[title] = logged
    return task


def _enter(task: _Task, row: Mapping[str, Any], item: str, told: str, where: str, reading: Reading) -> None:
    """Enter a row as an item, and its numbers."""
    log, document = task.log, row.get("doc")
    digest = str(row.get("doc_hash") or fingerprint(document))
    if log.hashes.setdefault(item, digest) != digest:
        raise InputError(f"{where}: document {item} has not the hash that it has with the filter before")
    if row.get("prompt_hash"):
        log.prompts[item] = str(row["prompt_hash"])
    log.clusters[item] = item if reading.cluster is None else cluster_of(document, reading.cluster, where)
    log.categories[item] = category_of(document)
    if reading.texts and item not in log.texts:
        log.texts[item] = _text_of(row)
    for name in row.get("metrics", []):
        value = row.get(name)
        if isinstance(value, list | dict):
            task.without_numbers += [name] if name not in task.without_numbers else []
            continue
        score = missing("no number in the log") if value is None else ItemScore(value_of(value, name, where))
        task.by_filter.setdefault((name, told), {})[item] = score


def _text_of(row: Mapping[str, Any]) -> ItemText:
    """The prompt, the target and the first answer; of a choice, what was scored."""
    asked = _of(_of(row, "arguments"), "gen_args_0").get("arg_0")
    answers = row.get("filtered_resps")
    while isinstance(answers, list) and answers:
        answers = answers[0]
    told = (str(row.get("target")),) if row.get("target") is not None else ()
    return ItemText(asked if isinstance(asked, str) else "", told, answers if isinstance(answers, str) else None)


def _set_aside(task: _Task) -> None:
    """Leave out metrics that are not the mean of their items' numbers, whatever these may be."""
    totals = _of(_of(task.results, "results"), task.name)
    for (name, told), column in list(task.by_filter.items()):
        values = [score.value for score in column.values() if score.value is not None]
        if not values:
            continue
        mean, whole = math.fsum(values) / len(values), totals.get(f"{name},{told}")
        number = float(whole) if isinstance(whole, int | float) else math.nan
        perplexity = name.rpartition("/")[2] == "perplexity" and min(values) < _LEAST_PERPLEXITY
        if perplexity or _differ(mean, number):
            del task.by_filter[name, told]
            title = name if told == "none" else f"{name}@{told}"
            (task.without_numbers if perplexity else task.not_means).append(title)


def _differ(mean: float, whole: float) -> bool:
    """Is the number of the results file there, and another than the mean?"""
    return math.isfinite(whole) and not math.isclose(mean, whole, rel_tol=_CLOSE, abs_tol=_CLOSE)


def _of(mapping: Any, name: str) -> Mapping[str, Any]:
    found = mapping.get(name) if isinstance(mapping, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def _join(log: Log, task: _Task) -> None:
    """Add a task's items and metrics to those of the others."""
    own, before = task.log, f"{task.name}:"
    log.hashes.update({before + item: digest for item, digest in own.hashes.items()})
    log.texts.update({before + item: text for item, text in own.texts.items()})
    log.prompts.update({before + item: digest for item, digest in own.prompts.items()})
    # Documents of two tasks are the same where a field names them, and by the number of a line they are not.
    alone = all(item == cluster for item, cluster in own.clusters.items())
    log.clusters.update({before + item: before + each if alone else each for item, each in own.clusters.items()})
    log.categories.update(dict.fromkeys((before + item for item in own.hashes), task.name))
    for name, column in own.scores.items():
        title = f"{task.name}/{name}"
        log.scores[title] = {before + item: score for item, score in column.items()}
        log.logged.update({title: own.logged[name]} if name in own.logged else {})
        log.filters.update({title: own.filters[name]} if name in own.filters else {})


def _add_groups(log: Log, tasks: Sequence[_Task], results: Mapping[str, Any]) -> None:
    """Metrics of the groups, where a group's number is the mean over the items of its tasks."""
    by_name = {task.name: task for task in tasks}
    for group, totals in _of(results, "groups").items():
        members = [by_name[name] for name in _leaves(group, _of(results, "group_subtasks")) if name in by_name]
        for key, whole in totals.items() if isinstance(totals, Mapping) and members else ():
            metric, _, told = key.partition(",")
            columns = [task.by_filter.get((metric, told)) for task in members]
            if metric.endswith("_stderr") or not isinstance(whole, int | float) or None in columns:
                continue
            joined = _pooled(members, [column for column in columns if column is not None])
            values = [score.value for score in joined.values() if score.value is not None]
            title = f"{group}/{metric}" if told == "none" else f"{group}/{metric}@{told}"
            if not values or _differ(math.fsum(values) / len(values), float(whole)):
                log.notes.append(f"{log.path}: {title} is left out: lm-eval's number is no mean over its items")
                continue
            log.scores[title] = joined
            logged = _of(_of(results, "higher_is_better"), group).get(metric)
            if isinstance(logged, bool):
                log.logged[title] = logged


def _pooled(tasks: Sequence[_Task], columns: Sequence[Column]) -> Column:
    pairs = zip(tasks, columns, strict=True)
    return {f"{task.name}:{item}": score for task, column in pairs for item, score in column.items()}


def _leaves(group: str, subtasks: Mapping[str, Any], above: tuple[str, ...] = ()) -> Iterable[str]:
    """The tasks of a group and of the groups in it."""
    for name in subtasks.get(group, ()):
        if name in subtasks and subtasks[name] and name not in above:
            yield from _leaves(name, subtasks, (*above, group))
        else:
            yield name
