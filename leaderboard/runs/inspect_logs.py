"""Logs of inspect: ``.eval`` archives and ``.json`` files. The epochs of a sample are averaged first."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from telbench.errors import InputError

from ...metrics.fingerprints import fingerprint
from .archive import members
from .foreign import (
    AS_IT_IS,
    INSPECT,
    Log,
    Reading,
    category_of,
    cluster_of,
    json_object,
    mean_score,
    numbered,
    run_of,
    value_of,
)
from .loaded import ItemText, LoadedRun

# What inspect itself takes words for (`value_to_float`).
_GRADES = {"C": 1.0, "P": 0.5, "I": 0.0, "N": 0.0, "yes": 1.0, "true": 1.0, "no": 0.0, "false": 0.0}
_Gathered = dict[str, dict[str, list[float]]]


def read_inspect(path: Path, reading: Reading = AS_IT_IS) -> LoadedRun:
    """An inspect log as a run; a score of several parts is several metrics, ``scorer/part``.

    Raises:
        InputError: when it is no finished inspect log, or a score in it is no number.
    """
    header, samples = _parts(path)
    evaluation = header.get("eval")
    if not isinstance(evaluation, dict):
        raise InputError(f"{path} is no inspect log: it has no 'eval'")
    if header.get("status") != "success":
        raise InputError(
            f"{path}: its status is '{header.get('status')}', so that samples are missing: finish it with inspect "
            "eval-retry"
        )
    log = Log(path, INSPECT, str(evaluation.get("model", path.stem)), str(evaluation.get("task", "inspect")))
    gathered: _Gathered = {}
    epochs: dict[str, set[int]] = {}
    for where, sample in samples:
        item = _place(log, sample, where, epochs, reading)
        for name, value in _values(sample.get("scores") or {}, where):
            found = gathered.setdefault(name, {}).setdefault(item, [])
            if value is not None:
                found.append(value)
    for name, column in gathered.items():
        log.scores[name] = {item: mean_score(column.get(item, [])) for item in log.hashes}
    for name, told in _told(header.get("results")):
        if isinstance(told.get("higher_is_better"), bool) and name in log.scores:
            log.logged[name] = told["higher_is_better"]
        if told.get("level") == "corpus" and log.scores.pop(name, None) is not None:
            log.notes.append(f"{path}: {name} is left out: it is a score of all answers, and no mean of their own")
    log.generation["epochs"] = max(map(len, epochs.values()), default=0)
    return run_of(log, reading.settings)


def _told(results: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """What a log says of its scores beside their numbers: telbench's own logs do."""
    scores = results.get("scores") if isinstance(results, dict) else None
    for score in scores if isinstance(scores, list) else ():
        metadata = score.get("metadata") if isinstance(score, dict) else None
        if isinstance(metadata, dict):
            yield str(score.get("name")), metadata


def _place(log: Log, sample: Mapping[str, Any], where: str, epochs: dict[str, set[int]], reading: Reading) -> str:
    """Enter the sample as an item, and return its id."""
    given, epoch = sample.get("id"), sample.get("epoch", 1)
    if isinstance(given, bool) or not isinstance(given, str | int) or type(epoch) is not int:
        raise InputError(f"{where}: no sample of inspect (id and epoch are missing)")
    item, metadata = str(given), sample.get("metadata")
    seen = epochs.setdefault(item, set())
    if epoch in seen:
        raise InputError(f"{where}: epoch {epoch} of sample '{item}' occurs twice")
    seen.add(epoch)
    digest = fingerprint([_without_ids(sample.get("input")), sample.get("target")])
    if log.hashes.setdefault(item, digest) != digest:
        raise InputError(f"{where}: the epochs of sample '{item}' have not the same input and target")
    log.clusters[item] = item if reading.cluster is None else cluster_of(metadata, reading.cluster, where)
    log.categories[item] = category_of(metadata)
    if reading.texts and item not in log.texts:
        log.texts[item] = _text_of(sample)
    return item


def _text_of(sample: Mapping[str, Any]) -> ItemText:
    """The input (of messages, their texts), the targets, and what the model said last."""
    given, target, output = sample.get("input"), sample.get("target"), sample.get("output")
    if isinstance(given, list):
        given = "\n\n".join(_content(part) for part in given)
    targets = target if isinstance(target, list) else [] if target is None else [target]
    choices = output.get("choices") if isinstance(output, dict) else None
    message = choices[0].get("message") if isinstance(choices, list) and choices else None
    answer = _content(message) if isinstance(message, dict) else None
    return ItemText(given if isinstance(given, str) else "", tuple(map(str, targets)), answer)


def _content(message: Any) -> str:
    content = message.get("content") if isinstance(message, dict) else None
    if isinstance(content, list):
        return "".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return content if isinstance(content, str) else ""


def _without_ids(text: Any) -> Any:
    """The input without the ids of its messages, which are drawn anew in every run."""
    if not isinstance(text, list):
        return text
    return [{key: part[key] for key in part if key != "id"} if isinstance(part, dict) else part for part in text]


def _values(scores: Any, where: str) -> Iterator[tuple[str, float | None]]:
    """The scores of a sample by metric."""
    if not isinstance(scores, Mapping):
        raise InputError(f"{where}: its scores are no object: copy the log again")
    for scorer, score in scores.items():
        value = score.get("value") if isinstance(score, Mapping) else None
        if isinstance(value, list):
            value = value[0] if len(value) == 1 else dict(enumerate(value))
        if isinstance(value, Mapping):
            for key, part in value.items():
                yield f"{scorer}/{key}", _number(part, f"{scorer}/{key}", where)
        else:
            yield scorer, _number(value, scorer, where)


def _number(value: Any, name: str, where: str) -> float | None:
    # NaN is what inspect writes for a sample that its scorer left unscored.
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, str) and (grade := _GRADES.get(value, _GRADES.get(value.lower()))) is not None:
        return grade
    return value_of(value, name, where)


def _parts(path: Path) -> tuple[dict[str, Any], Iterable[tuple[str, dict[str, Any]]]]:
    """The log without its samples, and its samples with the place of each."""
    if path.suffix == ".eval":
        headers = [json_object(text, f"{path}, {name}") for name, text in members(path, "header.json")]
        if not headers:
            raise InputError(f"{path} cannot be read as an inspect log: it has no header.json, so it is not finished")
        return headers[0], (
            (f"{path}, {name}", json_object(text, f"{path}, {name}")) for name, text in members(path, "samples/")
        )
    try:
        document = json_object(path.read_bytes(), str(path))
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    samples = document.get("samples") or []
    if not isinstance(samples, list):
        raise InputError(f"{path} is no inspect log: its samples are no list")
    return document, (
        (f"{where} (id {sample.get('id')})", sample) for where, sample in numbered(path, "sample", samples)
    )
