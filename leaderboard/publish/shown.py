"""What loggers show of a finished run or of a board: numbers with intervals, what was measured, samples, files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from ...harness.loggers.contract import LoggedRun, Result, Table
from ...harness.runs.folder import read_samples
from ...metrics.fingerprints import fingerprint
from ..runs.anchor import shareable

# Longer texts are cut in tables: the run folder has them whole.
LONGEST = 10_000
# Parts of the header that say what was measured, and how.
_SETTINGS = ("model", "factors", "data", "prompt", "generation", "judge")
_METRIC = ("value", "ci_low", "ci_high", "n", "n_missing", "missing", "level", "ci_method", "signature")


def logged_run(header: Mapping[str, Any], name: str, folder: Path, project: str) -> LoggedRun:
    """The run as loggers open it: its settings, and a key that is another where it has other values."""
    metrics = header["metrics"]
    told = {part: shareable(header[part]) for part in _SETTINGS if isinstance(header.get(part), dict)}
    told["signature"] = {metric: entry.get("signature") for metric, entry in metrics.items()}
    key = fingerprint([header["run_id"], [[metric, entry["value"]] for metric, entry in metrics.items()]])
    return LoggedRun(name, folder, key, project, told)


def result_of(path: Path, header: Mapping[str, Any], *, samples: int, texts: bool, files: tuple[Path, ...]) -> Result:
    """What a run came to.

    Args:
        path: its folder.
        header: its ``run.json``.
        samples: most items in the table of samples; 0: no table.
        texts: may the table hold questions, references and answers?
        files: what is kept beside it.

    Raises:
        InputError: naming the line of the samples that is damaged.
    """
    metrics, version = header["metrics"], header.get("telbench") or {}
    values: dict[str, float] = {}
    for name, entry in metrics.items():
        told = {"": entry["value"], **{f"_{key}": entry.get(key) for key in ("ci_low", "ci_high", "n")}}
        if entry["value"] is not None:
            # N/A is no number: it stands in the table alone.
            values |= {f"run/{name}{end}": float(value) for end, value in told.items() if value is not None}
    tags = {
        "telbench.run_id": header["run_id"],
        "telbench.version": version.get("version"),
        "telbench.commit": version.get("commit"),
        "telbench.created": header.get("created"),
    }
    tables = [Table("metrics", ("metric", *_METRIC), tuple(_metric_rows(metrics)))]
    if samples:
        tables.append(_samples(path, list(metrics), samples, texts=texts))
    return Result(values, {name: str(value) for name, value in tags.items() if value}, tuple(tables), files)


def _metric_rows(metrics: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[Any, ...]]:
    for name, entry in metrics.items():
        reasons = ", ".join(f"{reason}: {count}" for reason, count in (entry.get("missing") or {}).items())
        told = {**entry, "missing": reasons}
        yield (name, *(told.get(key) for key in _METRIC))


def _samples(path: Path, metrics: list[str], most: int, *, texts: bool) -> Table:
    """The first items, with their scores; None where an item has none."""
    facts = ("item_id", "cluster_id", "category", "status")
    said = ("question", "reference", "prediction") if texts else ()
    rows = []
    for sample in islice(read_samples(path), most):
        answer = {**sample, "reference": _reference(sample)}
        scores = (None if (score := sample["scores"].get(name)) is None else float(score) for name in metrics)
        rows.append((*(answer.get(name) for name in facts), *(_cut(answer.get(name)) for name in said), *scores))
    return Table("samples", (*facts, *said, *(f"score {name}" for name in metrics)), tuple(rows))


def _reference(sample: Mapping[str, Any]) -> str:
    right = sample.get("references") or [sample["choices"][place] for place in sample.get("answer", ())]
    return str(right[0]) if right else ""


def _cut(text: Any) -> str:
    whole = "" if text is None else str(text)
    return whole if len(whole) <= LONGEST else f"{whole[:LONGEST]} …"


def logged_board(site: Path, built_of: str, folder: Path, project: str) -> LoggedRun:
    """A board as loggers open it; ``built_of`` is the hash of what it was built of: another board is another."""
    return LoggedRun(site.resolve().name, folder, fingerprint(["board", built_of]), project)
