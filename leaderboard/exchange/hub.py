"""The Hugging Face hub: ``.eval_results/*.yaml`` of a model's repository, and the ``model-index`` of its card.

Source: huggingface_hub's parsers, `parse_eval_result_entries` and `model_index_to_eval_results`, which read the files
back in the tests.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from telbench.errors import InputError

from ...harness.cli.tables import number
from .contract import UNKNOWN, Exported, Format, portable, writing_file

_TASK = "text-generation"


def write_eval_results(run: Exported, out: Path) -> list[Path]:
    """``MODEL/.eval_results/DATA.yaml``: an entry a metric; a file of another split has a name of its own.

    Raises:
        InputError: without the data set's id on the hub, or when a file cannot be written.
    """
    if not run.told.data_id:
        raise InputError("hf: an entry names a data set of the hub: pass --data-id ORGANISATION/NAME")
    entries = []
    for name, entry in run.metrics.items():
        dataset = {"id": run.told.data_id, "task_id": f"{run.header['data']['split']}_{name}"}
        found: dict[str, Any] = {"dataset": dataset, "value": entry["value"], "date": run.header["created"]}
        if run.told.url:
            source = {"url": run.told.url, "name": "telbench"}
            found["source"] = source | ({"org": run.told.organization} if run.told.organization else {})
        entries.append(found | {"notes": _notes(run, entry)})
    file = out / portable(run.model_id.replace("/", "__")) / ".eval_results" / f"{run.task}.yaml"
    return [_yaml(file, entries)]


def write_model_index(run: Exported, out: Path) -> list[Path]:
    """``MODEL/DATA.md``: the front matter of a model card with its ``model-index``, to be merged into the card.

    Raises:
        InputError: when a file cannot be written.
    """
    data = run.header["data"]
    metrics = []
    for name, entry in run.metrics.items():
        told = {"type": name, "name": name, "value": entry["value"], "verified": False}
        if entry["ci_low"] is not None:
            told["args"] = {"ci_low": entry["ci_low"], "ci_high": entry["ci_high"], "ci_method": entry["ci_method"]}
        metrics.append({**told, "args": {**told.get("args", {}), "n": entry["n"], "signature": entry["signature"]}})
    result: dict[str, Any] = {
        "task": {"type": _TASK, "name": "Question answering"},
        "dataset": {
            "type": run.told.data_id or data["name"],
            "name": f"{data['name']} {data['split']}",
            "split": data["split"],
            "args": {"items_sha256": data["items_sha256"], "n": data["n"]},
        },
        "metrics": metrics,
    }
    if run.told.url:
        result["source"] = {"name": "telbench", "url": run.told.url}
    document = {"model-index": [{"name": run.name, "results": [result]}]}
    file = out / portable(run.model_id.replace("/", "__")) / f"{run.task}.md"
    return [_yaml(file, document, front_matter=True)]


def _notes(run: Exported, entry: Mapping[str, Any]) -> str:
    """What the format has no field for: the interval, how many items, and what identifies the number."""
    high, told = entry["range"][1], []
    if entry["ci_low"] is not None:
        spread = entry["ci_high"] - entry["ci_low"]
        low, upper = (number(entry[end], high, spread) for end in ("ci_low", "ci_high"))
        told.append(f"95 % interval {low} to {upper}")
    told.append(f"n = {entry['n']}" + (f", {entry['n_missing']} missing" if entry["n_missing"] else ""))
    if not entry["higher_is_better"]:
        told.append("lower is better")
    version = run.header["telbench"]["version"] or UNKNOWN
    return "; ".join([*told, f"{entry['signature']}, telbench {version}"])


def _yaml(file: Path, document: Any, *, front_matter: bool = False) -> Path:
    import yaml

    class Exact(yaml.SafeDumper):
        """Writes floats with a point, so that every reader of YAML takes ``1e-05`` for a number."""

    def exactly(dumper: yaml.SafeDumper, value: float) -> yaml.ScalarNode:
        text = repr(value)
        if "e" in text and "." not in text:
            text = text.replace("e", ".0e")
        return dumper.represent_scalar("tag:yaml.org,2002:float", text)

    Exact.add_representer(float, exactly)
    text = yaml.dump(document, Dumper=Exact, sort_keys=False, allow_unicode=True, width=120)
    with writing_file(file) as stream:
        stream.write((f"---\n{text}---\n" if front_matter else text).encode())
    return file


HUB = Format(
    name="hf",
    summary="Hugging Face .eval_results: an entry a metric, for the model's repository",
    lost="intervals, numbers of items and signatures (they are words in the notes), items, settings",
    write=write_eval_results,
)
MODEL_INDEX = Format(
    name="model-index",
    summary="the model-index of a Hugging Face model card",
    lost="items, settings of the run, reasons of missing scores",
    write=write_model_index,
)
