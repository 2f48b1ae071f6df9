"""What metrics were found to be worth on the runs' data (`telbench metrics worth --out FILE`), beside their scores."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from telbench.errors import InputError

from ...metrics.worth.measure import KIND

_MEND = "make it with telbench metrics worth --data … --out FILE"


def read_worth(path: Path) -> dict[str, Any]:
    """The record of a file.

    Raises:
        InputError: for what is no such file.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"--worth {path}: {error.strerror}: {_MEND}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"--worth {path}: this is no JSON: {_MEND}") from error
    if not isinstance(found, dict) or found.get("kind") != KIND or found.get("schema_version") != 1:
        raise InputError(f"--worth {path}: this is no record of the worth of metrics: {_MEND}")
    try:
        areas = [each["near_miss_auc"] for each in found["metrics"].values()]
        sound = all(area is None or (math.isfinite(area) and 0 <= area <= 1) for area in areas)
        sound = sound and all(isinstance(each["signature"], str) for each in found["metrics"].values())
        sound = sound and all(isinstance(name, str) for voice in found["voices"] for name in voice)
        sound = sound and isinstance(found["data"]["name"], str) and isinstance(found["items"], int)
    except (AttributeError, KeyError, TypeError, ValueError):
        sound = False
    if not sound:
        raise InputError(f"--worth {path}: the record is damaged: {_MEND}")
    return found


def with_worth(header: Mapping[str, Any], worth: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """The header with what each of its metrics is worth, where that was measured in the same form.

    Raises:
        InputError: where it was measured on other data.
    """
    ours, theirs = header["data"]["name"], worth["data"]["name"]
    if ours != theirs:
        raise InputError(f"--worth {path}: measured on {theirs}, and the runs are of {ours}: measure it on {ours}")
    metrics = {}
    for name, entry in header["metrics"].items():
        known = worth["metrics"].get(name)
        metrics[name] = entry
        if known is not None and known["signature"] == entry.get("signature"):
            metrics[name] = {**entry, "worth": {"near_miss_auc": known["near_miss_auc"]}}
    return {**header, "metrics": metrics}
