"""Reviews of EvalScope 1.0 and later: one file, all of a model, or an output folder with its reports.

A line of ``reviews/MODEL/DATASET_SUBSET.jsonl`` has the numbers of one answer. The report of a data set says which way
is better, and what each mean has to be.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from telbench.errors import InputError

from ...metrics.fingerprints import fingerprint
from .foreign import (
    AS_IT_IS,
    EVALSCOPE,
    Log,
    Reading,
    category_of,
    cluster_of,
    json_lines,
    json_object,
    mean_score,
    run_of,
    value_of,
)
from .loaded import ItemText, LoadedRun

REVIEWS, REPORTS = "reviews", "reports"
_SCORE = "sample_score"
# Reports round means to four digits.
_ROUNDING = 6e-5
_DIRECTIONS = {"higher_is_better": True, "lower_is_better": False}


def holds_reviews(path: Path) -> bool:
    """Is it an output folder of EvalScope, its folder of reviews, or one file of them?"""
    if path.is_dir():
        return (path / REVIEWS).is_dir() or REVIEWS in (path.name, path.parent.name)
    if path.suffix != ".jsonl" or not path.is_file():
        return False
    try:
        with path.open(encoding="utf-8") as stream:
            return f'"{_SCORE}"' in stream.readline(1 << 22)
    except (OSError, UnicodeDecodeError):
        return False


def read_evalscope(path: Path, reading: Reading = AS_IT_IS) -> LoadedRun:
    """The reviews of one model as a run; repeated answers to an item are averaged.

    Several files have their items beside one another, as ``FILE:ITEM``, with the file as category; several data sets
    have metrics ``DATASET/METRIC``.

    Raises:
        InputError: naming the line that is no review, or the models where there are several.
    """
    files = _files(path)
    folder = files[0].parent
    reports = _reports(folder.parent.parent / REPORTS / folder.name)
    datasets = {file: _dataset(file.stem, reports) for file in files}
    several = len(set(datasets.values())) > 1
    log = Log(path, EVALSCOPE, folder.name, " ".join(sorted(set(datasets.values()))))
    for name in sorted(set(datasets.values())):
        own = [file for file in files if datasets[file] == name]
        gathered: dict[str, dict[str, list[float]]] = {}
        for file in own:
            _enter(log, file, f"{file.stem}:" if len(files) > 1 else "", gathered, reading)
        for metric, column in gathered.items():
            title = f"{name}/{metric}" if several else metric
            told = _told(reports.get(name, {}), metric)
            values = [value for given in column.values() for value in given]
            whole = told.get("score")
            if isinstance(whole, int | float) and abs(math.fsum(values) / len(values) - whole) > _ROUNDING:
                log.notes.append(f"{path}: {title} is left out: the report's number is no mean over the answers")
                continue
            log.scores[title] = {item: mean_score(given) for item, given in column.items()}
            way = told.get("semantics", {}).get("direction") if isinstance(told.get("semantics"), dict) else None
            log.logged.update({title: _DIRECTIONS[way]} if way in _DIRECTIONS else {})
    return run_of(log, reading.settings)


def _files(path: Path) -> list[Path]:
    """The files of reviews of one model."""
    if path.is_file():
        return [path]
    folder = path / REVIEWS if (path / REVIEWS).is_dir() else path
    models = [folder] if folder.parent.name == REVIEWS else sorted(each for each in folder.iterdir() if each.is_dir())
    if len(models) > 1:
        raise InputError(f"{path} holds reviews of {len(models)} models: name one folder, such as {models[0]}")
    files = sorted(models[0].glob("*.jsonl")) if models else []
    if not files:
        raise InputError(f"{path} holds no reviews of EvalScope: name an output folder whose run has ended")
    return files


def _reports(folder: Path) -> dict[str, Mapping[str, Any]]:
    """The reports of a model by data set; none where they are not beside the reviews."""
    return {file.stem: json_object(file.read_bytes(), str(file)) for file in sorted(folder.glob("*.json"))}


def _dataset(stem: str, reports: Mapping[str, Any]) -> str:
    """The data set of a file ``DATASET_SUBSET``: the longest name that has a report, or the whole stem."""
    return max((name for name in reports if stem.startswith(f"{name}_")), key=len, default=stem)


def _told(report: Mapping[str, Any], metric: str) -> Mapping[str, Any]:
    """What the report says of the mean of a metric; empty where it goes by another name there."""
    metrics = report.get("metrics")
    for entry in metrics if isinstance(metrics, list) else ():
        identity = entry.get("identity") if isinstance(entry, dict) else None
        mean = {"name": metric, "aggregation": "mean", "dimensions": {}}
        if isinstance(entry, dict) and (entry.get("name") == f"mean_{metric}" or identity == mean):
            return entry
    return {}


def _enter(log: Log, file: Path, before: str, gathered: dict[str, dict[str, list[float]]], reading: Reading) -> None:
    """Enter the answers of a file, and their numbers under their metrics."""
    seen: set[int] = set()
    for number, row in json_lines(file):
        where = f"{file}, line {number}"
        sample, index = row.get(_SCORE), row.get("index")
        score = sample.get("score") if isinstance(sample, dict) else None
        if not isinstance(sample, dict) or not isinstance(score, dict) or not isinstance(index, int):
            raise InputError(f"{where}: no review of EvalScope 1.0 or later (index or {_SCORE} are missing)")
        if index in seen:
            raise InputError(f"{where}: sample {index} occurs twice")
        seen.add(index)
        # Repeated samples of an item are one group.
        group = sample.get("group_id")
        item = f"{before}{index if group is None else group}"
        fields = sample.get("sample_metadata")
        told = {"hash": fingerprint(_as_list(row.get("target"))), "prompt": fingerprint(_shown(row))}
        if log.hashes.setdefault(item, told["hash"]) != told["hash"]:
            raise InputError(f"{where}: sample {index} has another target than the samples of its group before")
        log.prompts.setdefault(item, told["prompt"])
        log.clusters[item] = item if reading.cluster is None else cluster_of(fields, reading.cluster, where)
        log.categories[item] = file.stem if before else category_of(fields)
        if reading.texts and item not in log.texts:
            shown = "\n\n".join(part[1] if isinstance(part, list) else str(part) for part in map(_plain, _shown(row)))
            targets = _as_list(row.get("target"))
            answer = score.get("prediction")
            log.texts[item] = ItemText(
                shown,
                tuple(map(str, targets)) if isinstance(targets, list) else (),
                answer if isinstance(answer, str) else None,
            )
        for metric, value in _values(score, where):
            gathered.setdefault(metric, {}).setdefault(item, []).append(value)


def _as_list(target: Any) -> Any:
    """Version 1.14 writes a list of targets, those before it the one."""
    return [target] if isinstance(target, str) else target


def _shown(row: Mapping[str, Any]) -> Sequence[Any]:
    """What the model was shown before its first answer; messages have ids of chance beside their text."""
    messages = row.get("messages")
    if not isinstance(messages, list):
        return [row.get("input")]
    shown: list[Any] = []
    for message in messages:
        if not isinstance(message, dict) or message.get("role") == "assistant":
            break
        shown.append([message.get("role"), message.get("content")])
    return shown


def _plain(part: Any) -> Any:
    """A message's role and text; one of several parts has the text of these."""
    if not isinstance(part, list):
        return "" if part is None else part
    content = part[1]
    if isinstance(content, list):
        content = "".join(str(each.get("text", "")) for each in content if isinstance(each, dict))
    return [part[0], content if isinstance(content, str) else ""]


def _values(score: Mapping[str, Any], where: str) -> Iterator[tuple[str, float]]:
    """The numbers of an answer by metric, without those that EvalScope put in the place of a failed metric."""
    values, metadata = score.get("value"), score.get("metadata")
    failed = metadata.get("metric_errors") if isinstance(metadata, dict) else None
    names = tuple(str(name).lower() for name in failed) if isinstance(failed, dict) else ()
    for metric, value in values.items() if isinstance(values, dict) else ():
        if value is not None and not (names and metric.lower().startswith(names)):
            yield metric, value_of(value, metric, where)
