"""Logs as run folders: scores stay as they were logged, and get intervals; texts come along where the log has them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from telbench.config import near_name
from telbench.errors import InputError

from ...harness.runs.evaluate import versions
from ...harness.runs.folder import SAMPLES_DRAFT, SCHEMA_VERSION, Run, RunFolder
from ...harness.storage import writing
from ...metrics.contract import Metric
from ...metrics.fingerprints import fingerprint
from ...metrics.intervals import bootstrap, statistics_matrix
from ..runs.directions import require_directions
from ..runs.evalscope_logs import holds_reviews, read_evalscope
from ..runs.foreign import Reading
from ..runs.helm_logs import holds_helm, read_helm
from ..runs.loaded import LoadedRun, metric_of
from .contract import Format, formats, portable

_UNTOLD = "temperature", "top_p", "max_tokens", "seed"
SETTINGS = "# made by telbench import: the answers came from another tool\n"


def runs_of(path: Path, reading: Reading, name: str = "") -> list[LoadedRun]:
    """The runs in a log, read as the format of that name, or as the one that it is of.

    Raises:
        InputError: when it is of none, or a score in it is no number.
    """
    if not path.exists():
        raise InputError(f"{path} is not there")
    if holds_helm(path) and name in ("", "helm"):
        return [read_helm(path, reading)]
    if holds_reviews(path) and name in ("", "evalscope"):
        return [read_evalscope(path, reading)]
    known = {each.name: each for each in formats().values() if each.read is not None}
    if name:
        return _read(known[name], path, reading)
    for each in known.values():
        if each.holds is not None and each.holds(path):
            return _read(each, path, reading)
    raise InputError(
        f"{path} is of no format that is imported ({', '.join(readable())}): name it with --from; answers without "
        "scores are for telbench score"
    )


def readable() -> list[str]:
    """Names of all formats that become runs."""
    return sorted({"helm", "evalscope", *(name for name, each in formats().items() if each.read is not None)})


def _read(form: Format, path: Path, reading: Reading) -> list[LoadedRun]:
    assert form.read is not None  # noqa: S101 - those that are not read are not among them
    return list(form.read(path, reading))


def chosen(run: LoadedRun, names: Sequence[str]) -> LoadedRun:
    """The run with these metrics alone, or all of its own; every one of them has a direction.

    Raises:
        InputError: for a metric that the log has not, or one of which nobody knows which way is better.
    """
    known = run.header["metrics"]
    for name in names:
        if name not in known:
            raise InputError(f"--metrics {name}: {run.path} has no such metric: {near_name(name, known)}")
    kept = list(names) or list(known)
    require_directions(run.undirected, kept)
    header = {**run.header, "metrics": {name: known[name] for name in kept}}
    return replace(run, header=header, scores={name: run.scores[name] for name in kept})


def write_run(run: LoadedRun, out: Path, command: Sequence[str], *, fresh: bool = False) -> Run:
    """The run as a folder that compare, check and the board take; found where it is there already.

    Raises:
        InputError: when the folder holds something else, or cannot be written.
    """
    told = {"log": run.header["run_id"], "items": run.header["data"]["items_sha256"], "clusters": _clustered(run)}
    depends = {**told, "metrics": {name: entry["signature"] for name, entry in run.header["metrics"].items()}}
    folder = RunFolder(out)
    try:
        found = folder.claim(fingerprint(depends), depends, fresh=fresh)
        if found is not None:
            return Run(out, found, reused=True)
        header = _header(run, depends, command)
        folder.begin({**header, "status": "partial"}, SETTINGS)
        with writing(out / SAMPLES_DRAFT) as file, file.open("w", encoding="utf-8") as stream:
            for line in _lines(run):
                stream.write(json.dumps(line, ensure_ascii=True, allow_nan=False) + "\n")
            stream.flush()
            os.fsync(stream.fileno())
        folder.finish(header)
        return Run(out, header)
    finally:
        folder.release()


def folder_name(run: LoadedRun) -> str:
    """Model, data and harness, as a folder is called."""
    data = run.header["data"]
    return portable(f"{run.name}-{data['name']}-{run.header['generation']['engine']}")


def _clustered(run: LoadedRun) -> str:
    return fingerprint(sorted(run.clusters.items()))


def _header(run: LoadedRun, depends: dict[str, Any], command: Sequence[str]) -> dict[str, Any]:
    given, items = run.header, list(run.clusters)
    metrics = {name: metric_of(name, [run]) for name in given["metrics"]}
    names = ("weights_sha256", "config_sha256", "tokenizer_sha256", "chat_template_sha256", "parameters")
    answers = [run.texts[item].prediction for item in items if item in run.texts]
    return {
        "schema_version": SCHEMA_VERSION,
        "run_id": fingerprint(depends),
        "status": "complete",
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": list(command),
        **{**versions(), "packages": {}},
        "machine": {},
        "model": {"name": run.name, "path": None, "base": None, **dict.fromkeys(names), "quantization": None},
        "factors": given["factors"],
        "data": {
            **given["data"],
            "prompts_sha256": given["prompt"].get("prompts_sha256"),
            "dropped": {},
            "repaired": {},
        },
        "prompt": {"book": None, "choice_seed": None, "chat": None, "version": None, **given["prompt"]},
        "depends_on": depends,
        "generation": {
            "version": "",
            "dtype": "",
            **dict.fromkeys(_UNTOLD),
            "stop": [],
            **dict.fromkeys(("resumed", "cached", "generated"), 0),
            **given["generation"],
        },
        "judge": None,
        "metrics": _entries(run, metrics, items),
        "counts": {
            "ok": len(items) - len(run.failed),
            "error": len(run.failed),
            "truncated": 0,
            "empty": sum(answer == "" for answer in answers),
        },
        "tokens": {"prompt": 0, "completion": 0},
        "seconds": {"load": 0, "generate": 0, "score": 0},
        "imported": {"from": run.path.name, "harness": given["generation"]["engine"], "notes": list(run.notes)},
    }


def _entries(run: LoadedRun, metrics: dict[str, Metric], items: Sequence[str]) -> dict[str, Any]:
    """The header's entries, with means and intervals over the clusters."""
    columns = {name: [run.scores[name][item] for item in items] for name in metrics}
    matrices = [statistics_matrix(metrics[name], column) for name, column in columns.items()]
    estimates = bootstrap(list(metrics.values()), matrices, [run.clusters[item] for item in items])
    found = {}
    for (name, column), each in zip(columns.items(), estimates, strict=True):
        reasons = [score.reason or "no score" for score in column if score.value is None]
        found[name] = {
            **run.header["metrics"][name],
            "value": each.value,
            "ci_low": each.ci_low,
            "ci_high": each.ci_high,
            "ci_method": each.ci_method,
            "n": each.n,
            "n_missing": each.n_missing,
            "missing": {reason: reasons.count(reason) for reason in sorted(set(reasons))},
        }
    return found


def _lines(run: LoadedRun) -> Iterator[dict[str, Any]]:
    for item, cluster in run.clusters.items():
        text = run.texts.get(item)
        scores = {name: column[item] for name, column in run.scores.items()}
        failed = item in run.failed
        line: dict[str, Any] = {
            "item_id": item,
            "cluster_id": cluster,
            "category": run.categories.get(item),
            "question": text.question if text else "",
            "context_sha256": None,
            "references": list(text.references) if text else [],
            "prediction": (text.prediction or "") if text else "",
            "finish_reason": None,
            "status": "error" if failed else "ok",
            "truncated": False,
            "scores": {name: score.value for name, score in scores.items()},
            "stats": {name: list(score.stats) for name, score in scores.items() if score.stats},
        }
        if absent := {name: score.reason or "no score" for name, score in scores.items() if score.value is None}:
            line["missing"] = absent
        yield line | ({"error": "failed in the log"} if failed else {})
