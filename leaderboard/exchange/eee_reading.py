"""Every Eval Ever as runs: an aggregate file with the samples beside it, or a folder of them.

Scores are taken as they are. Runs of telbench's own get their signatures, families and statistics back, and are then
compared with the run folders that they came from.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from telbench.errors import InputError

from ...metrics.contract import ItemScore
from ...metrics.fingerprints import fingerprint
from ..runs.foreign import EEE, Log, Reading, category_of, cluster_of, json_lines, json_object, run_of, value_of
from ..runs.loaded import ItemText, LoadedRun

_SAMPLES = "_samples.jsonl"
OWN = "telbench"


def holds_eee(path: Path) -> bool:
    """Is it an aggregate file, its samples, or a folder that holds some?"""
    if path.is_dir():
        return any(_is_aggregate(file) for file in sorted(path.rglob("*.json"))[:1])
    return path.name.endswith(_SAMPLES) or (path.suffix == ".json" and _is_aggregate(path))


def read_eee(path: Path, reading: Reading) -> list[LoadedRun]:
    """A run for each aggregate file.

    Raises:
        InputError: when a file is none, has no samples beside it, or a score is no number.
    """
    if path.is_dir():
        files = [file for file in sorted(path.rglob("*.json")) if _is_aggregate(file)]
    elif path.name.endswith(_SAMPLES):
        files = [path.with_name(f"{path.name.removesuffix(_SAMPLES)}.json")]
    else:
        files = [path]
    return [_read(file, reading) for file in files]


def _is_aggregate(file: Path) -> bool:
    try:
        with file.open(encoding="utf-8") as stream:
            head = stream.read(1 << 20)
    except (OSError, UnicodeDecodeError):
        return False
    return '"evaluation_results"' in head and '"eval_library"' in head


def _read(file: Path, reading: Reading) -> LoadedRun:
    try:
        document = json_object(file.read_bytes(), str(file))
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}: the aggregate lies beside the samples") from error
    results = document.get("evaluation_results")
    if not isinstance(results, list):
        raise InputError(f"{file} is no file of Every Eval Ever: evaluation_results is missing")
    samples = file.with_name(f"{file.stem}{_SAMPLES}")
    if not samples.is_file():
        raise InputError(f"{file} has no {samples.name} beside it: values alone cannot be compared")
    library = _text(_of(document, "eval_library").get("name")) or "unknown"
    titles = _titles(results, file)
    names = sorted({_text(result.get("evaluation_name")) for result in results})
    log = Log(file, EEE, _text(_of(document, "model_info").get("name")) or file.stem, " ".join(names))
    log.scored_by = library
    _enter_rows(log, samples, titles, reading, several=len(names) > 1)
    for result in results:
        title = titles.get(_key(result))
        config = _of(result, "metric_config")
        if title is None or title not in log.scores:
            continue
        if isinstance(config.get("lower_is_better"), bool):
            log.logged[title] = not config["lower_is_better"]
        log.told[title] = _entry(config, own=library == OWN)
    if library == OWN:
        _restore_data(log, _of(results[0], "source_data"))
    config = _of(results[0], "generation_config")
    args, seed = _of(config, "generation_args"), _of(config, "additional_details").get("choice_seed")
    if library == OWN and isinstance(seed, str) and seed.isdigit():
        log.prompt["choice_seed"] = int(seed)
    log.generation |= {key: args[key] for key in ("temperature", "top_p", "top_k", "max_tokens") if key in args}
    return run_of(log, reading.settings)


def _titles(results: list[Any], file: Path) -> dict[str, str]:
    """The name of each result's metric, by what its rows are joined by."""
    if any(not isinstance(result, Mapping) for result in results) or not results:
        raise InputError(f"{file}: evaluation_results holds no results")
    several = len({_text(result.get("evaluation_name")) for result in results}) > 1
    titles: dict[str, str] = {}
    for result in results:
        config, evaluation = _of(result, "metric_config"), _text(result.get("evaluation_name"))
        metric = _text(config.get("metric_id")) or _text(config.get("metric_name")) or "score"
        title = f"{evaluation}/{metric}" if several else metric
        if title in titles.values():
            raise InputError(f"{file}: two results are called {title}: their metric_id must tell them apart")
        if _key(result) in titles:
            raise InputError(f"{file}: results of {evaluation} have no evaluation_result_id to tell their rows by")
        titles[_key(result)] = title
    return titles


def _key(row: Mapping[str, Any]) -> str:
    return _text(row.get("evaluation_result_id")) or _text(row.get("evaluation_name"))


def _enter_rows(log: Log, file: Path, titles: Mapping[str, str], reading: Reading, *, several: bool) -> None:
    for number, row in json_lines(file):
        where = f"{file}, line {number}"
        title, sample = titles.get(_key(row)), _text(row.get("sample_id"))
        evaluation, asked = _of(row, "evaluation"), _of(row, "input")
        if title is None or not sample or "score" not in evaluation:
            raise InputError(f"{where}: no row of these results (evaluation_result_id, sample_id or score is missing)")
        item = f"{_text(row.get('evaluation_name'))}:{sample}" if several else sample
        references = [str(each) for each in asked.get("reference") or ()]
        told = fingerprint([row.get("sample_hash") or [asked.get("raw"), references], asked.get("choices")])
        if log.hashes.setdefault(item, told) != told:
            raise InputError(f"{where}: sample '{sample}' has another input than in a line before")
        metadata = _of(row, "metadata")
        cluster = _text(metadata.get("cluster_id")) or item
        log.clusters[item] = cluster if reading.cluster is None else cluster_of(metadata, reading.cluster, where)
        log.categories[item] = category_of(metadata)
        column = log.scores.setdefault(title, {})
        if item in column:
            raise InputError(f"{where}: sample '{sample}' has two scores of {title}")
        column[item] = ItemScore(value_of(evaluation["score"], title, where), stats=_statistics(metadata, where))
        if reading.texts and item not in log.texts:
            answers = _of(row, "output").get("raw") or [""]
            log.texts[item] = ItemText(str(asked.get("raw") or ""), tuple(references), str(answers[0]))


def _statistics(metadata: Mapping[str, Any], where: str) -> tuple[float, ...] | None:
    """What a score of the corpus is summed up from, in rows of telbench's own."""
    if "statistics" not in metadata:
        return None
    try:
        return tuple(float(part) for part in json.loads(metadata["statistics"]))
    except (ValueError, TypeError) as error:
        raise InputError(f"{where}: metadata.statistics is no list of numbers") from error


def _entry(config: Mapping[str, Any], *, own: bool) -> dict[str, Any]:
    """What the header says of a metric: its range; signature, family and level where telbench itself measured."""
    bounds = [config.get("min_score"), config.get("max_score")]
    limits = [bound if isinstance(bound, int | float) and not isinstance(bound, bool) else None for bound in bounds]
    found: dict[str, Any] = {"range": limits} if limits != [None, None] else {}
    details = _of(config, "additional_details")
    if own:
        found |= {key: details[key] for key in ("signature", "family", "level") if isinstance(details.get(key), str)}
        found |= {"range": limits}
    return found


def _restore_data(log: Log, source: Mapping[str, Any]) -> None:
    """Name, split and identity of the items, where all of them are in the file."""
    details = _of(source, "additional_details")
    log.task, log.split = _text(source.get("dataset_name")) or log.task, _text(details.get("split"))
    if details.get("n") == str(len(log.hashes)):
        log.items_sha256 = _text(details.get("items_sha256"))


def _of(mapping: Any, name: str) -> Mapping[str, Any]:
    found = mapping.get(name) if isinstance(mapping, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
