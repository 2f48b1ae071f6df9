"""Items and scores of another harness's log as a run; `lm_eval_logs`, `inspect_logs`, `helm_logs` and
`evalscope_logs` read the files.

Their scores are taken as they are: the metrics of such a run are named after their harness in the signature, so that
they are compared with one another and never with telbench's own of the same name.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from telbench.config import near_name
from telbench.errors import InputError

from ...metrics.contract import ItemScore, missing
from ...metrics.fingerprints import fingerprint
from .directions import AS_LOGGED, LogSettings, direction, share
from .loaded import EEE, EVALSCOPE, HELM, INSPECT, LM_EVAL, SCORES, ItemText, LoadedRun, own_metrics
from .validation import Bounds, bounds_of, complaint

__all__ = ["EEE", "EVALSCOPE", "HELM", "INSPECT", "LM_EVAL", "SCORES"]
_UNBOUNDED: Bounds = (-sys.float_info.max, sys.float_info.max)
_SHARE = bounds_of((0, 1))
Column = dict[str, ItemScore]


@dataclass(frozen=True)
class Reading:
    """How logs of other harnesses are read: directions that they leave open, and the field that names documents.

    ``texts``: questions, references and answers are kept too, which no comparison asks for.
    """

    settings: LogSettings = AS_LOGGED
    cluster: str | None = None
    texts: bool = False


AS_IT_IS = Reading()


@dataclass(frozen=True)
class Reported:
    """A number that someone reported of a model, without the scores behind it; None where the file is silent."""

    model: str
    evaluation: str
    data: str
    value: float
    low: float | None
    high: float | None
    n: int | None
    lower_is_better: bool | None
    source: str


@dataclass
class Log:
    """What was read of one log.

    ``hashes`` identify the items; ``prompts`` what the model was shown, where the log tells. ``logged`` is the
    direction that the log states, ``filters`` what else tells two metrics of a name apart. ``notes`` are what a reader
    of the numbers should know. ``scored_by`` is the tool that scored, where the log is of another one; ``told`` is what
    the log says of a metric as a header does, and ``items_sha256`` and ``split`` are those that it says.
    """

    path: Path
    harness: str
    model: str
    task: str
    hashes: dict[str, str] = field(default_factory=dict)
    prompts: dict[str, str] = field(default_factory=dict)
    clusters: dict[str, str] = field(default_factory=dict)
    categories: dict[str, str | None] = field(default_factory=dict)
    scores: dict[str, Column] = field(default_factory=dict)
    logged: dict[str, bool] = field(default_factory=dict)
    filters: dict[str, str] = field(default_factory=dict)
    generation: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    texts: dict[str, ItemText] = field(default_factory=dict)
    scored_by: str = ""
    told: dict[str, dict[str, Any]] = field(default_factory=dict)
    items_sha256: str = ""
    split: str = ""
    prompt: dict[str, Any] = field(default_factory=dict)


def value_of(value: Any, name: str, where: str) -> float:
    """A finite number of a log, within 0 to 1 where the name is that of a share of right answers.

    Raises:
        InputError: for what is none.
    """
    if isinstance(value, bool):
        return float(value)
    wrong = complaint(value, _SHARE if share(name) else _UNBOUNDED)
    if wrong is not None:
        raise InputError(f"{where}: {name} {wrong}: mend the log, or leave that sample out of it on both sides")
    return float(value)


def cluster_of(fields: Any, name: str, where: str) -> str:
    """The source document that a sample's fields name.

    Raises:
        InputError: when there is no such field, with the near name.
    """
    known = fields if isinstance(fields, Mapping) else {}
    value = known.get(name)
    if isinstance(value, bool) or not isinstance(value, str | int):
        hint = near_name(name, known) if known else "its samples have no fields"
        raise InputError(f"{where}: --cluster {name}: no text or whole number in that field: {hint}")
    return str(value)


def category_of(fields: Any) -> str | None:
    """The ``category`` among a sample's fields, if it is text."""
    value = fields.get("category") if isinstance(fields, Mapping) else None
    return value if isinstance(value, str) else None


def run_of(log: Log, settings: LogSettings) -> LoadedRun:
    """The log as a run.

    Raises:
        InputError: when it holds no scored item.
    """
    if not log.hashes or not log.scores:
        raise InputError(f"{log.path} holds no scored items")
    absent = missing("not in the log")
    scores = {name: {item: column.get(item, absent) for item in log.hashes} for name, column in log.scores.items()}
    ways = {name: direction(name, log.logged.get(name), settings) for name in scores}
    entries = {
        name: _entry(
            log.scored_by or log.harness,
            name,
            [score.value for score in column.values()],
            ways[name],
            log.filters.get(name),
        )
        | log.told.get(name, {})
        for name, column in scores.items()
    }
    header = _header(log, entries, scores)
    return LoadedRun(
        log.path,
        header,
        {item: log.clusters.get(item, item) for item in log.hashes},
        scores,
        categories={item: log.categories.get(item) for item in log.hashes},
        own_metrics=own_metrics(header),
        undirected={name: str(log.path) for name, way in ways.items() if way is None},
        notes=tuple(log.notes),
        texts=log.texts,
    )


def _header(log: Log, entries: Mapping[str, Any], scores: Mapping[str, Column]) -> dict[str, Any]:
    items_sha256 = log.items_sha256 or fingerprint(sorted(log.hashes.items()))
    values = {name: [score.value for score in column.values()] for name, column in scores.items()}
    return {
        "schema_version": 1,
        "run_id": fingerprint([log.harness, items_sha256, values]),
        "model": {"name": log.model},
        "factors": {},
        "data": {
            "name": log.task,
            "split": log.split or log.harness,
            "n": len(log.hashes),
            "items_sha256": items_sha256,
        },
        "prompt": {"prompts_sha256": fingerprint(sorted(log.prompts.items())) if log.prompts else None, **log.prompt},
        "generation": {"engine": log.harness, **log.generation},
        "counts": {},
        "judge": None,
        "metrics": dict(entries),
    }


def _entry(
    harness: str, name: str, column: Sequence[float | None], higher: bool | None, told: str | None
) -> dict[str, Any]:
    values = [value for value in column if value is not None]
    options = {"harness": harness, **({} if told is None else {"filter": told})}
    bounded = bool(values) and all(0 <= value <= 1 for value in values)
    return {
        "value": math.fsum(values) / len(values) if values else None,
        "ci_low": None,
        "ci_high": None,
        "ci_method": None,
        "n": len(values),
        "n_missing": len(column) - len(values),
        "missing": {},
        "signature": "|".join([name, *(f"{key}:{options[key]}" for key in sorted(options)), "v1"]),
        "family": "ngram",
        "higher_is_better": higher,
        "range": [0, 1] if bounded else [None, None],
        "level": "item",
    }


def mean_score(values: Sequence[float]) -> ItemScore:
    """The score of an item that was asked several times; absent where it has none."""
    return ItemScore(math.fsum(values) / len(values)) if values else missing("unscored in the log")


def numbered(path: Path, what: str, entries: Iterable[Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The objects of a log's list, each with its place in words.

    Raises:
        InputError: naming the place of what is no object.
    """
    for number, entry in enumerate(entries, 1):
        if not isinstance(entry, dict):
            raise InputError(f"{path}, {what} {number}: an object is expected: copy the log again")
        yield f"{path}, {what} {number}", entry


def json_object(text: str | bytes, where: str) -> dict[str, Any]:
    """A JSON object of a log.

    Raises:
        InputError: when it is none.
    """
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where} is not JSON: copy the log again") from error
    if not isinstance(value, dict):
        raise InputError(f"{where}: an object is expected: copy the log again")
    return value


def json_lines(path: Path) -> Iterable[tuple[int, dict[str, Any]]]:
    """The objects of a JSONL file, with the numbers of their lines.

    Raises:
        InputError: naming the line that is none.
    """
    try:
        with path.open(encoding="utf-8") as stream:
            for number, line in enumerate(stream, 1):
                if line.strip():
                    yield number, json_object(line, f"{path}, line {number}")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read: {error}") from error
