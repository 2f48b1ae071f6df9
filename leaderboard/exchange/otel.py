"""OpenTelemetry: an event ``gen_ai.evaluation.result`` for each score of each item, as OTLP JSON lines.

A line is a LogsData message with one log record, which is what an OpenTelemetry collector's file receiver reads.
Source: the semantic conventions of generative AI (in development there).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from .contract import Exported, Format, portable, writing_file

EVENT = "gen_ai.evaluation.result"
_BATCH = 500


def write_events(run: Exported, out: Path) -> list[Path]:
    """``MODEL-DATA.otlp.jsonl``: items without a score have an event with ``error.type``.

    Raises:
        InputError: when the run is damaged, or the file cannot be written.
    """
    at = str(int(datetime.fromisoformat(run.header["created"]).timestamp()) * 1_000_000_000)
    generation, file = run.header["generation"], out / f"{portable(run.name)}-{run.task}.otlp.jsonl"
    resource = {
        "service.name": "telbench",
        "service.version": run.header["telbench"]["version"] or "",
        "telbench.run_id": run.header["run_id"],
    }
    common = {
        "gen_ai.operation.name": "chat" if run.header["prompt"].get("chat") else "text_completion",
        "gen_ai.request.model": run.name,
        "gen_ai.provider.name": generation["engine"],
        "telbench.data": run.header["data"]["name"],
        "telbench.split": run.header["data"]["split"],
    }
    trace = run.header["run_id"][:32]
    batch: list[dict[str, Any]] = []
    with writing_file(file) as stream:

        def flush() -> None:
            scope = {"scope": {"name": "telbench"}, "logRecords": batch}
            line = {"resourceLogs": [{"resource": {"attributes": _attributes(resource)}, "scopeLogs": [scope]}]}
            stream.write((json.dumps(line, ensure_ascii=True, allow_nan=False) + "\n").encode("ascii"))
            batch.clear()

        for sample in run.samples():
            span = hashlib.sha256(f"{trace}{sample['item_id']}".encode()).hexdigest()[:16]
            for name, entry in run.header["metrics"].items():
                told = {**common, **_score(sample, name, entry)}
                batch.append(
                    {
                        "timeUnixNano": at,
                        "observedTimeUnixNano": at,
                        "severityNumber": 9,
                        "eventName": EVENT,
                        "traceId": trace,
                        "spanId": span,
                        "attributes": _attributes(told),
                    }
                )
            if len(batch) >= _BATCH:
                flush()
        if batch:
            flush()
    return [file]


def _score(sample: Mapping[str, Any], name: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    value, reason = sample["scores"].get(name), sample.get("missing", {}).get(name)
    found: dict[str, Any] = {
        "gen_ai.evaluation.name": name,
        "gen_ai.response.id": sample["item_id"],
        "telbench.item_id": sample["item_id"],
        "telbench.cluster_id": sample["cluster_id"],
        "telbench.signature": entry["signature"],
    }
    if value is None:
        return found | {"error.type": "no_score", "gen_ai.evaluation.explanation": reason or "no score"}
    note = sample.get("notes", {}).get(name)
    return (
        found
        | {"gen_ai.evaluation.score.value": float(value)}
        | ({"gen_ai.evaluation.explanation": note} if note else {})
    )


def _attributes(values: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {"key": key, "value": {"doubleValue" if isinstance(value, float) else "stringValue": value}}
        for key, value in values.items()
    ]


OTEL = Format(
    name="otel",
    summary="OpenTelemetry gen_ai.evaluation.result events, as OTLP JSON lines",
    lost="values of the whole run with their intervals, texts, statistics of corpus scores, settings",
    write=write_events,
)
