"""Files of Every Eval Ever (evaleval/every_eval_ever, schemas 0.2.1 and 0.3.0): what is reported, and item by item.

An aggregate file has the numbers of one model. Where the file of instances that it names lies beside it, its scores
make a run; otherwise there is a number to show, and nothing to test it with.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from telbench.errors import InputError

from ....metrics.fingerprints import fingerprint
from ...exchange import eee_reading as exchange
from ...exchange.eee_reading import OWN
from ...runs.foreign import (
    AS_IT_IS,
    EEE,
    Log,
    Reading,
    Reported,
    category_of,
    cluster_of,
    json_lines,
    json_object,
    mean_score,
    run_of,
    value_of,
)
from ...runs.loaded import LoadedRun

_INSTANCES = "_samples.jsonl"
_MEND = "copy the file again"


def holds_eee(path: Path) -> bool:
    """Is it an aggregate file, or one of instances?"""
    if not path.is_file() or path.suffix not in (".json", ".jsonl"):
        return False
    try:
        with path.open(encoding="utf-8") as stream:
            text = stream.readline(1 << 20) if path.suffix == ".jsonl" else stream.read(1 << 26)
        record = json_object(text, str(path))
    except (OSError, UnicodeDecodeError, InputError):
        return False
    parts = {"evaluation_id", "evaluation"} if path.suffix == ".jsonl" else {"evaluation_id", "evaluation_results"}
    return parts <= set(record)


def read_eee(path: Path, reading: Reading = AS_IT_IS) -> LoadedRun | list[Reported]:
    """A run where there are scores item by item, else what is reported.

    Raises:
        InputError: naming the place of what is not as the schema has it.
    """
    if path.suffix == ".jsonl":
        return _run(path, path, {}, reading)
    record = json_object(path.read_bytes(), str(path))
    instances = _instances(path, record)
    if instances is None:
        return _reported(path, record)
    library = record.get("eval_library")
    if isinstance(library, Mapping) and library.get("name") == OWN:
        # What telbench exported is the run that it was: metrics by their names and signatures.
        (run,) = exchange.read_eee(path, reading)
        return run
    return _run(path, instances, record, reading)


def _instances(path: Path, record: Mapping[str, Any]) -> Path | None:
    """The file of instances beside an aggregate file: by the name it tells, or by its own."""
    told = record.get("detailed_evaluation_results")
    name = told.get("file_path") if isinstance(told, Mapping) else None
    names = [Path(name).name] if isinstance(name, str) and name else []
    places = [path.with_name(each) for each in (*names, f"{path.stem}{_INSTANCES}")]
    return next((place for place in places if place.is_file()), None)


def _run(path: Path, instances: Path, record: Mapping[str, Any], reading: Reading) -> LoadedRun:
    rows = [(f"{instances}, line {number}", row) for number, row in json_lines(instances)]
    names = list(dict.fromkeys(_word(row, "evaluation_name", where) for where, row in rows))
    # Evaluations of other questions have items of their own; several metrics of the same questions share them.
    asked = {
        name: frozenset(_hash(row, where) for where, row in rows if row["evaluation_name"] == name) for name in names
    }
    several = len(set(asked.values())) > 1
    log = Log(path, EEE, _model(record, rows), " ".join(sorted(names)))
    log.logged.update(_directions(record))
    gathered: dict[str, dict[str, list[float]]] = {name: {} for name in names}
    for where, row in rows:
        name = row["evaluation_name"]
        item = _word(row, "sample_id", where)
        item = f"{name}:{item}" if several else item
        digest = _hash(row, where)
        if log.hashes.setdefault(item, digest) != digest:
            raise InputError(f"{where}: sample {row['sample_id']} is another question than before: {_MEND}")
        fields = row.get("metadata")
        log.clusters[item] = item if reading.cluster is None else cluster_of(fields, reading.cluster, where)
        log.categories[item] = name if several else category_of(fields)
        score = row.get("evaluation")
        values = gathered[name].setdefault(item, [])
        # An answer that failed has no score: its 0 says nothing.
        if isinstance(score, Mapping) and score.get("score") is not None and not row.get("error"):
            values.append(value_of(score["score"], name, where))
    log.scores.update(
        {name: {item: mean_score(values) for item, values in found.items()} for name, found in gathered.items()}
    )
    return run_of(log, reading.settings)


def _reported(path: Path, record: Mapping[str, Any]) -> list[Reported]:
    results = record["evaluation_results"]
    if not isinstance(results, list) or not results:
        raise InputError(f"{path}: evaluation_results is empty: {_MEND}")
    source = record.get("source_metadata")
    source = source if isinstance(source, Mapping) else {}
    by = source.get("source_organization_name") or source.get("source_name") or "not told"
    return [
        _result(f"{path}, evaluation_results {number}", each, _model(record, ()), str(by))
        for number, each in enumerate(results, 1)
    ]


def _result(where: str, result: Any, model: str, by: str) -> Reported:
    if not isinstance(result, Mapping):
        raise InputError(f"{where}: an object is expected: {_MEND}")
    details, config, data = (
        each if isinstance(each := result.get(key), Mapping) else {}
        for key in ("score_details", "metric_config", "source_data")
    )
    uncertainty = details.get("uncertainty")
    spread = uncertainty if isinstance(uncertainty, Mapping) else details
    interval = spread.get("confidence_interval")
    low, high = (
        (_number(interval.get(end)) for end in ("lower", "upper")) if isinstance(interval, Mapping) else (None,) * 2
    )
    value = _number(details.get("score"))
    if value is None:
        raise InputError(f"{where}: score_details has no score: {_MEND}")
    lower = config.get("lower_is_better")
    count = spread.get("num_samples", data.get("samples_number"))
    return Reported(
        model=model,
        evaluation=_text(result.get("evaluation_name")),
        data=_text(data.get("dataset_name") or data.get("hf_repo")),
        value=value,
        low=low,
        high=high,
        n=count if isinstance(count, int) and not isinstance(count, bool) else None,
        lower_is_better=lower if isinstance(lower, bool) else None,
        source=by,
    )


def _directions(record: Mapping[str, Any]) -> dict[str, bool]:
    """Whether more is better, by the name of the evaluation, where the aggregate file says so."""
    found = {}
    results = record.get("evaluation_results")
    for each in results if isinstance(results, list) else ():
        config = each.get("metric_config") if isinstance(each, Mapping) else None
        lower = config.get("lower_is_better") if isinstance(config, Mapping) else None
        if isinstance(lower, bool):
            found[str(each.get("evaluation_name"))] = not lower
    return found


def _model(record: Mapping[str, Any], rows: Iterable[tuple[str, Mapping[str, Any]]]) -> str:
    told = record.get("model_info")
    names = [told.get("name"), told.get("id")] if isinstance(told, Mapping) else []
    names += [row.get("model_id") for _, row in rows][:1]
    return next((name for name in names if isinstance(name, str) and name), "no name")


def _hash(row: Mapping[str, Any], where: str) -> str:
    """What tells one question from another: the hash in the file, or one of question and reference."""
    told, asked = row.get("sample_hash"), row.get("input")
    if isinstance(told, str) and told:
        return told
    if not isinstance(asked, Mapping):
        raise InputError(f"{where}: neither sample_hash nor input: {_MEND}")
    return fingerprint([asked.get("raw"), asked.get("reference")])


def _word(row: Mapping[str, Any], name: str, where: str) -> str:
    value = row.get(name)
    if not isinstance(value, str) or not value:
        raise InputError(f"{where}: no instance of Every Eval Ever ({name} is missing): {_MEND}")
    return value


def _number(value: Any) -> float | None:
    return float(value) if type(value) in (int, float) and math.isfinite(value) else None


def _text(value: Any) -> str:
    return value if isinstance(value, str) and value else "not told"
