"""Per-item logs of other harnesses, read as runs: lm-eval's samples and inspect's logs.

Their scores are taken as they are: the metrics of such a run are named after their harness in the signature, so that
they are compared with one another and never with telbench's own of the same name.
"""

from __future__ import annotations

import json
import math
import zipfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from telbench.errors import InputError

from ...metrics.contract import ItemScore, Metric, missing
from ...metrics.fingerprints import fingerprint
from .loaded import LoadedRun

# Numbers that are better when lower, by the words in their names.
_LOWER = ("perplexity", "bits_per_byte", "byte_perplexity", "word_perplexity", "ter", "error", "loss", "nll", "brier")
# inspect's grades.
_GRADES = {"C": 1.0, "P": 0.5, "I": 0.0, "N": 0.0}
_LARGEST_MEMBER = 1 << 28


def read_lm_eval(path: Path) -> LoadedRun:
    """A ``samples_TASK_DATE.jsonl`` of lm-evaluation-harness.

    Raises:
        InputError: naming the line that is no sample of lm-eval.
    """
    scores: dict[str, dict[str, ItemScore]] = {}
    hashes: dict[str, str] = {}
    filters = set()
    rows = list(_lines(path))
    for number, row in rows:
        if "doc_id" not in row or not isinstance(row.get("metrics", []), list):
            raise InputError(f"{path}, line {number}: no sample of lm-eval (doc_id and metrics are missing)")
        filters.add(str(row.get("filter", "none")))
    for number, row in rows:
        item = str(row["doc_id"])
        hashes[item] = str(row.get("doc_hash") or fingerprint(row.get("doc")))
        for name in row.get("metrics", []):
            title = name if len(filters) == 1 else f"{name}@{row.get('filter')}"
            value = _number(row.get(name))
            column = scores.setdefault(title, {})
            if item in column:
                raise InputError(f"{path}, line {number}: document {item} occurs twice with the same filter")
            column[item] = missing("no number in the log") if value is None else ItemScore(value)
    task = path.stem.removeprefix("samples_").rsplit("_", 1)[0]
    name = path.parent.name if path.parent.name not in ("", ".") else path.stem
    return _run(path, "lm-eval", name, task, hashes, scores)


def read_inspect(path: Path) -> LoadedRun:
    """An inspect log, ``.json`` or ``.eval``; the epochs of a sample are averaged first.

    Raises:
        InputError: when it is no finished inspect log.
    """
    header, samples = _inspect_parts(path)
    evaluation = header.get("eval") if isinstance(header.get("eval"), dict) else None
    if evaluation is None:
        raise InputError(f"{path} is no inspect log: it has no 'eval'")
    gathered: dict[str, dict[str, list[float]]] = {}
    hashes: dict[str, str] = {}
    for sample in samples:
        item = str(sample.get("id"))
        hashes[item] = fingerprint([sample.get("input"), sample.get("target")])
        for scorer, score in (sample.get("scores") or {}).items():
            for name, value in _inspect_values(scorer, score):
                gathered.setdefault(name, {}).setdefault(item, [])
                if value is not None:
                    gathered[name][item].append(value)
    scores = {
        name: {
            item: ItemScore(math.fsum(values) / len(values)) if values else missing("unscored in the log")
            for item, values in ((item, column.get(item, [])) for item in hashes)
        }
        for name, column in gathered.items()
    }
    model, task = str(evaluation.get("model", path.stem)), str(evaluation.get("task", "inspect"))
    return _run(path, "inspect", model, task, hashes, scores)


def _inspect_parts(path: Path) -> tuple[dict[str, Any], Iterable[dict[str, Any]]]:
    try:
        if path.suffix == ".eval":
            with zipfile.ZipFile(path) as archive:
                names = [entry.filename for entry in archive.infolist() if entry.file_size <= _LARGEST_MEMBER]
                header = json.loads(archive.read("header.json"))
                parts = [json.loads(archive.read(name)) for name in sorted(names) if name.startswith("samples/")]
            return header, parts
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, KeyError, RecursionError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} cannot be read as an inspect log: {type(error).__name__}: {error}") from error
    if not isinstance(document, dict):
        raise InputError(f"{path} is no inspect log")
    return document, document.get("samples") or []


def _inspect_values(scorer: str, score: Any) -> Iterable[tuple[str, float | None]]:
    value = score.get("value") if isinstance(score, Mapping) else None
    if isinstance(value, Mapping):
        return [(f"{scorer}/{key}", _number(part)) for key, part in value.items()]
    return [(scorer, _number(value))]


def _number(value: Any) -> float | None:
    if isinstance(value, str):
        return _GRADES.get(value)
    if isinstance(value, bool):
        return float(value)
    if isinstance(value, list) and len(value) == 1:
        return _number(value[0])
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def _run(
    path: Path,
    harness: str,
    model: str,
    task: str,
    hashes: Mapping[str, str],
    scores: dict[str, dict[str, ItemScore]],
) -> LoadedRun:
    if not hashes or not scores:
        raise InputError(f"{path} holds no scored items")
    metrics = {}
    own = {}
    scores = {
        name: {item: column.get(item, missing("not in the log")) for item in hashes} for name, column in scores.items()
    }
    for name, column in scores.items():
        values = [score.value for score in column.values() if score.value is not None]
        metric = own[name] = _metric(harness, name, values)
        metrics[name] = {
            "value": math.fsum(values) / len(values) if values else None,
            "ci_low": None,
            "ci_high": None,
            "ci_method": None,
            "n": len(values),
            "n_missing": len(hashes) - len(values),
            "missing": {},
            "signature": metric.signature,
            "family": metric.family,
            "higher_is_better": metric.higher_is_better,
            "range": list(metric.range),
            "level": "item",
        }
    items_sha256 = fingerprint(sorted(hashes.items()))
    values_of = {name: [score.value for score in column.values()] for name, column in scores.items()}
    header = {
        "schema_version": 1,
        "run_id": fingerprint([harness, items_sha256, values_of]),
        "model": {"name": model},
        "factors": {},
        "data": {"name": task, "split": harness, "n": len(hashes), "items_sha256": items_sha256},
        "prompt": {},
        "generation": {"engine": harness},
        "counts": {},
        "judge": None,
        "metrics": metrics,
    }
    clusters = {item: item for item in hashes}
    return LoadedRun(path, header, clusters, scores, categories=dict.fromkeys(hashes), own_metrics=own)


def _metric(harness: str, name: str, values: list[float]) -> Metric:
    lower = any(word in name.lower().replace("-", "_").split("@")[0] for word in _LOWER)
    bounded = all(0 <= value <= 1 for value in values)
    refuse: Callable[..., Any] = _no_scoring
    return Metric(
        name=name,
        family="ngram",
        range=(0, 1 if bounded else None),
        higher_is_better=not lower,
        needs=frozenset(),
        level="item",
        description=f"as {harness} scored it",
        score_batch=refuse,
        options={"harness": harness},
    )


def _no_scoring(*_: object) -> list[ItemScore]:
    raise InputError("scores of another harness are read from its log, not computed")


def _lines(path: Path) -> Iterable[tuple[int, dict[str, Any]]]:
    try:
        with path.open(encoding="utf-8") as stream:
            for number, line in enumerate(stream, 1):
                if not line.strip():
                    continue
                try:
                    row = json.loads(line)
                except (ValueError, RecursionError) as error:
                    raise InputError(f"{path}, line {number} is not JSON: copy the log again") from error
                if not isinstance(row, dict):
                    raise InputError(f"{path}, line {number}: an object is expected")
                yield number, row
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read: {error}") from error
