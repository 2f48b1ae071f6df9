"""The anchor: a finished run cut down to what a comparison needs, small enough to be committed beside the code.

Continuous integration then needs no run folder of the release, and every candidate is held against the same release, so
that many small drops cannot add up unseen.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from telbench.errors import InputError

from ...harness.storage import disk_message, replace_text
from .loaded import LoadedRun, gather, own_metrics
from .validation import Lines, require_header

KIND, VERSION = "telbench anchor", 1
LEDGER = "ledger"
# Scores are kept to so many decimals: far below any margin, far above rounding noise.
DECIMALS = 9
_MEND = "pin it again"
# Parts of the header that say what was measured, and how.
_KEPT = ("schema_version", "run_id", "telbench", "model", "factors", "data", "prompt", "generation", "judge", "counts")


def anchor_document(run: LoadedRun) -> dict[str, Any]:
    """The anchor of a run: the header's facts, and a row an item with scores in the order of ``columns``.

    Holds no question, reference or answer, so that it can be shared where the data cannot, and no path of the machine.
    """
    header = run.header
    names = list(header["metrics"])
    items = []
    for item, cluster in run.clusters.items():
        scores = [run.scores[name][item] for name in names]
        row: dict[str, Any] = {
            "id": item,
            "cluster": cluster,
            "category": run.categories.get(item),
            "scores": [None if score.value is None else round(score.value, DECIMALS) for score in scores],
        }
        if stats := {name: list(score.stats) for name, score in zip(names, scores, strict=True) if score.stats}:
            row["stats"] = stats
        if missing := {name: score.reason for name, score in zip(names, scores, strict=True) if score.value is None}:
            row["missing"] = missing
        if item in run.failed:
            row["failed"] = True
        if item in run.lengths:
            row["words"] = run.lengths[item]
        items.append(row)
    kept = {name: shareable(header[name]) for name in _KEPT if name in header}
    told = ("name", "parameters")
    kept["model"] = {key: kept["model"][key] for key in kept["model"] if key in told or key.endswith("_sha256")}
    metrics = {name: {key: entry[key] for key in entry if key != "notes"} for name, entry in header["metrics"].items()}
    return {"kind": KIND, "version": VERSION, "header": {**kept, "metrics": metrics}, "columns": names, "items": items}


def write_anchor(run: LoadedRun, path: Path, *, force: bool = False) -> int:
    """Write the anchor, an item a line so that changes can be reviewed; the same run gives the same bytes.

    Returns its size in bytes. Raises `InputError` when another anchor is there and not ``force``, or it cannot be
    written.
    """
    text = _text(anchor_document(run))
    try:
        if path.exists() and _without_ledger(path) == text:
            # The same release: looks at it stay counted.
            return len(path.read_text(encoding="utf-8"))
        if path.exists() and not force:
            raise InputError(f"{path} holds another anchor: pass --force to replace it, and have the change reviewed")
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(disk_message(error, path)) from error
    replace_text(path, text)
    return len(text)


def read_ledger(path: Path) -> Any:
    """What an anchor keeps of looks at it (`gate.ledger`), or None.

    Raises:
        InputError: when the file cannot be read or is no anchor.
    """
    document = _json(path)
    if not isinstance(document, dict) or document.get("kind") != KIND:
        raise InputError(f"{path} is no anchor: make one with telbench baseline pin")
    return document.get(LEDGER)


def write_ledger(path: Path, ledger: Mapping[str, Any]) -> None:
    """Put the ledger into an anchor, a look a line; all else in the file stays as it is, and a kill leaves it whole.

    Raises:
        InputError: when it cannot be written; then nothing has changed.
    """
    replace_text(path, _text({**_json(path), LEDGER: ledger}))


def _without_ledger(path: Path) -> str:
    """The text of an anchor that nobody looked at yet; of another file its own."""
    text = path.read_text(encoding="utf-8", errors="replace")
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return text
    if not isinstance(document, dict) or LEDGER not in document:
        return text
    return _text({key: value for key, value in document.items() if key != LEDGER})


def _text(document: Mapping[str, Any]) -> str:
    """The document with its items and looks a line each."""
    parts = []
    for key, value in sorted(document.items()):
        told = _dumped(value)
        if key == "items":
            told = _lines(value)
        elif key == LEDGER:
            head = _dumped({name: part for name, part in value.items() if name != "looks"})
            told = f'{head[:-1]}, "looks": {_lines(value["looks"])}}}'
        parts.append(f"{_dumped(key)}: {told}")
    return f"{{{', '.join(parts)}}}\n"


def _lines(rows: Sequence[Any]) -> str:
    return "[\n" + ",\n".join(map(_dumped, rows)) + "\n]"


def _dumped(value: Any) -> str:
    return json.dumps(value, ensure_ascii=True, allow_nan=False, sort_keys=True)


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path} cannot be read as JSON: {error}") from error


def read_anchor(path: Path) -> LoadedRun | None:
    """The run in an anchor file; None where the file is JSON of another kind.

    Raises:
        InputError: when it is an anchor of a later telbench, or a damaged one.
    """
    document = _json(path)
    if not isinstance(document, dict) or document.get("kind") != KIND:
        return None
    if document.get("version") != VERSION:
        raise InputError(f"{path} is an anchor of version {document.get('version')}, this telbench reads {VERSION}")
    header, names, rows = document.get("header"), document.get("columns"), document.get("items")
    if not isinstance(header, dict) or not isinstance(names, list) or not isinstance(rows, list):
        raise InputError(f"{path}: header, columns or items of the anchor are missing: {_MEND}")
    require_header(header, path, _MEND)
    if sorted(map(str, names)) != sorted(header["metrics"]):
        raise InputError(f"{path}: columns and the header's metrics are not the same: {_MEND}")
    lines = Lines(path, header, _MEND)
    # The head is a line of its own, see `write_anchor`.
    numbered = ((number, _sample(row, names)) for number, row in enumerate(rows, 2))
    run = gather(path, header, numbered, lines)
    return replace(run, own_metrics=own_metrics(header))


def _sample(row: Any, names: Sequence[str]) -> Any:
    """A row in the shape of a run's sample; what has not the shape of a row stays as it is, to be refused."""
    if not isinstance(row, dict):
        return row
    values: Any = row.get("scores")
    if isinstance(values, list) and len(values) == len(names):
        values = dict(zip(names, values, strict=True))
    counted = {"words": row["words"]} if isinstance(row.get("words"), int | float) else {}
    return {
        **counted,
        "item_id": row.get("id"),
        "cluster_id": row.get("cluster"),
        "category": row.get("category"),
        "status": "error" if row.get("failed") else "ok",
        "scores": values,
        "stats": row.get("stats", {}),
        "missing": row.get("missing", {}),
    }


def shareable(value: Any) -> Any:
    """A header's fact without places on the machine that made it: of a path its last name, of a mapping no ``path``.

    >>> shareable({"name": "/home/me/models/tiny", "path": "/home/me/models/tiny", "judge": "local:/opt/judge"})
    {'name': 'tiny', 'judge': 'local:judge'}
    """
    if isinstance(value, dict):
        return {key: shareable(part) for key, part in value.items() if key != "path"}
    if isinstance(value, list):
        return [shareable(part) for part in value]
    if not isinstance(value, str):
        return value
    before, colon, rest = value.rpartition(":")
    if rest.startswith("//") or not rest.startswith(("/", "~/")):
        return value
    return f"{before}{colon}{Path(rest).name}"
