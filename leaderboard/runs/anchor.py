"""The anchor: a finished run cut down to what a comparison needs, small enough to be committed beside the code.

Continuous integration then needs no run folder of the release, and every candidate is held against the same release, so
that many small drops cannot add up unseen.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from telbench.errors import InputError

from ...harness.storage import disk_message
from ...metrics.contract import ItemScore
from .loaded import LoadedRun

KIND, VERSION = "telbench anchor", 1
# Scores are kept to so many decimals: far below any margin, far above rounding noise.
DECIMALS = 9
# Parts of the header that say what was measured, and how.
_KEPT = ("schema_version", "run_id", "telbench", "model", "factors", "data", "prompt", "generation", "judge", "counts")


def anchor_document(run: LoadedRun) -> dict[str, Any]:
    """The anchor of a run: the header's facts, and a row an item with scores in the order of ``columns``.

    Holds no question, reference or answer, so that it can be shared where the data cannot.
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
        items.append(row)
    kept = {name: header[name] for name in _KEPT if name in header}
    metrics = {name: {key: entry[key] for key in entry if key != "notes"} for name, entry in header["metrics"].items()}
    return {"kind": KIND, "version": VERSION, "header": {**kept, "metrics": metrics}, "columns": names, "items": items}


def write_anchor(run: LoadedRun, path: Path, *, force: bool = False) -> int:
    """Write the anchor, an item a line so that changes can be reviewed; the same run gives the same bytes.

    Returns its size in bytes. Raises `InputError` when another anchor is there and not ``force``, or it cannot be
    written.
    """
    document = anchor_document(run)
    head = json.dumps({**document, "items": None}, ensure_ascii=True, allow_nan=False, sort_keys=True)
    rows = ",\n".join(json.dumps(row, ensure_ascii=True, allow_nan=False, sort_keys=True) for row in document["items"])
    text = head.replace('"items": null', f'"items": [\n{rows}\n]') + "\n"
    try:
        if path.exists() and not force and path.read_text(encoding="utf-8") != text:
            raise InputError(f"{path} holds another anchor: pass --force to replace it, and have the change reviewed")
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch = path.with_name(f"{path.name}.tmp")
        scratch.write_text(text, encoding="utf-8")
        scratch.replace(path)
    except OSError as error:
        raise InputError(disk_message(error, path)) from error
    return len(text)


def read_anchor(path: Path) -> LoadedRun | None:
    """The run in an anchor file; None where the file is JSON of another kind.

    Raises:
        InputError: when it is an anchor of a later telbench, or a damaged one.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path} cannot be read as JSON: {error}") from error
    if not isinstance(document, dict) or document.get("kind") != KIND:
        return None
    if document.get("version") != VERSION:
        raise InputError(f"{path} is an anchor of version {document.get('version')}, this telbench reads {VERSION}")
    try:
        header = document["header"]
        names = document["columns"]
        clusters = {row["id"]: row["cluster"] for row in document["items"]}
        categories = {row["id"]: row["category"] for row in document["items"]}
        scores: dict[str, dict[str, ItemScore]] = {name: {} for name in names}
        for row in document["items"]:
            for name, value in zip(names, row["scores"], strict=True):
                stats = row.get("stats", {}).get(name)
                reason = row.get("missing", {}).get(name)
                scores[name][row["id"]] = ItemScore(value, reason, None if stats is None else tuple(stats))
        failed = frozenset(row["id"] for row in document["items"] if row.get("failed"))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{path} is a damaged anchor ({type(error).__name__}: {error}): pin it again") from error
    return LoadedRun(path, header, clusters, scores, failed, categories)
