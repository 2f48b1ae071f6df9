"""lm-evaluation-harness's own files: ``results_DATE.json`` and ``samples_TASK_DATE.jsonl`` in a folder a model.

Source: the result schema and the table maker of lm-eval 0.4.13.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from ...metrics.fingerprints import fingerprint, text_sha256
from ..runs.anchor import shareable
from ..runs.foreign import Reading
from ..runs.lm_eval_logs import holds_results, read_lm_eval
from ..runs.loaded import LoadedRun
from .contract import Exported, Format, portable, writing_file

# A 95 % interval of a normal estimate is so many standard errors wide.
_WIDTH = 2 * 1.959963984540054
_FILTER = "none"


def write_lm_eval(run: Exported, out: Path) -> list[Path]:
    """Both files of a run, in a folder of the model's name.

    Raises:
        InputError: when the run is damaged, or a file cannot be written.
    """
    created = datetime.fromisoformat(run.header["created"])
    # Names of one second tell two runs apart by the microseconds that lm-eval writes; telbench keeps none.
    date = f"{created:%Y-%m-%dT%H-%M-%S}.{int(run.header['run_id'][:8], 16) % 1_000_000:06d}"
    folder = out / portable(run.model_id.replace("/", "__"))
    samples, results = folder / f"samples_{run.task}_{date}.jsonl", folder / f"results_{date}.json"
    with writing_file(samples) as stream:
        for row in _rows(run):
            stream.write((json.dumps(row, ensure_ascii=True, allow_nan=False) + "\n").encode("ascii"))
    with writing_file(results) as stream:
        stream.write((json.dumps(_results(run), indent=1, ensure_ascii=True, allow_nan=False) + "\n").encode("ascii"))
    return [results, samples]


def _results(run: Exported) -> dict[str, Any]:
    header, task, values = run.header, run.task, dict[str, Any]()
    for name, entry in run.metrics.items():
        values[f"{name},{_FILTER}"] = entry["value"]
        known = entry["ci_low"] is not None
        values[f"{name}_stderr,{_FILTER}"] = (entry["ci_high"] - entry["ci_low"]) / _WIDTH if known else "N/A"
    n, prompt, generation = header["data"]["n"], header["prompt"], header["generation"]
    config = {
        "task": task,
        "dataset_path": run.told.data_id or header["data"]["name"],
        "test_split": header["data"]["split"],
        "output_type": "generate_until",
        "num_fewshot": prompt.get("few_shot", 0),
        "repeats": generation.get("samples", 1),
        "metric_list": [
            {"metric": name, "higher_is_better": entry["higher_is_better"]} for name, entry in run.metrics.items()
        ],
        "metadata": {
            "version": 1,
            "items_sha256": header["data"]["items_sha256"],
            "signatures": {name: entry["signature"] for name, entry in run.metrics.items()},
            "intervals": {name: [entry["ci_low"], entry["ci_high"]] for name, entry in run.metrics.items()},
        },
    }
    return {
        "results": {task: {"alias": task, "sample_len": n, **values}},
        "groups": {},
        "group_subtasks": {task: []},
        "configs": {task: config},
        "versions": {task: 1},
        "n-shot": {task: prompt.get("few_shot", 0)},
        "higher_is_better": {task: {name: entry["higher_is_better"] for name, entry in run.metrics.items()}},
        "n-samples": {task: {"original": n, "effective": n}},
        "config": {
            "model": "telbench",
            "model_args": run.model_id,
            "model_sha": header["model"].get("weights_sha256"),
            "model_num_parameters": header["model"].get("parameters"),
            "limit": None,
            "random_seed": generation.get("seed"),
            "gen_kwargs": {key: generation.get(key) for key in ("temperature", "top_p", "max_tokens")},
            "command": shareable(list(header["command"])),
        },
        "git_hash": header["telbench"].get("commit"),
        "date": datetime.fromisoformat(header["created"]).timestamp(),
        "lm_eval_version": None,
        "telbench_version": header["telbench"]["version"],
        "transformers_version": header["packages"].get("transformers"),
        "model_source": "telbench",
        "model_name": run.model_id,
        "model_name_sanitized": portable(run.model_id.replace("/", "__")),
        "chat_template_sha": header["model"].get("chat_template_sha256"),
        "system_instruction": prompt.get("system"),
        "task_hashes": {task: header["data"]["items_sha256"]},
        "total_evaluation_time_seconds": str(header["seconds"].get("total", "")),
    }


def _rows(run: Exported) -> Iterator[dict[str, Any]]:
    """A row an item; a corpus metric's row holds the item's own value, of which the result is no mean."""
    names = [name for name, entry in run.metrics.items() if entry["level"] == "item"]
    corpus = [name for name in run.metrics if name not in names]
    for sample in run.samples():
        target = sample["references"][0] if sample["references"] else ""
        document = {
            "question": sample["question"],
            "references": sample["references"],
            "category": sample["category"],
            "cluster_id": sample["cluster_id"],
            **({"choices": sample["choices"], "answer": sample["answer"]} if sample.get("choices") else {}),
        }
        answers = sample.get("predictions") or [sample["prediction"]]
        known = {name: sample["scores"][name] for name in names if sample["scores"].get(name) is not None}
        # Corpus scores are listed with what they are summed from, as lm-eval lists pairs of texts.
        summed = {name: sample["stats"][name] for name in corpus if name in sample["stats"]}
        yield {
            "doc_id": sample["item_id"],
            "doc": document,
            "target": target,
            "arguments": {"gen_args_0": {"arg_0": sample["question"], "arg_1": {}}},
            "resps": [answers],
            "filtered_resps": answers[:1],
            "filter": _FILTER,
            "metrics": [*known, *summed],
            "doc_hash": fingerprint([sample["item_id"], document]),
            "prompt_hash": text_sha256(sample["question"]),
            "target_hash": text_sha256(target),
            **known,
            **summed,
        }


def _holds(path: Path) -> bool:
    if path.suffix == ".jsonl" and path.is_file():
        try:
            with path.open(encoding="utf-8") as stream:
                return '"filtered_resps"' in stream.readline(1 << 22)
        except (OSError, UnicodeDecodeError):
            return False
    return holds_results(path)


def _read(path: Path, reading: Reading) -> list[LoadedRun]:
    return [read_lm_eval(path, reading)]


LM_EVAL = Format(
    name="lm-eval",
    summary="lm-evaluation-harness: its results file, and the samples beside it",
    lost="intervals other than a standard error (they stand in the config's metadata), reasons of missing scores, "
    "reasoning traces, judges' replies",
    write=write_lm_eval,
    holds=_holds,
    read=_read,
)
