"""Every Eval Ever 0.3: an aggregate file a run, and a line for each score of each item beside it.

Laid out as the datastore asks for: ``data/DATA/ORGANISATION/MODEL/UUID.json`` and ``UUID_samples.jsonl``. The UUID is
made of the run's id, so that a run that is exported again replaces its files. Source: the two JSON schemas of
evaleval/every_eval_ever, version 0.3.0, and what its validator asks for beside them.
"""

from __future__ import annotations

import hashlib
import json
import shlex
import time
import uuid
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from ..runs.anchor import shareable
from .contract import UNKNOWN, Exported, Format, portable, writing_file
from .eee_reading import holds_eee, read_eee

VERSION = "0.3.0"
_LEVEL = 0.95
# The names that the schema gives to splits.
_SPLITS = {"train": "train", "dev": "val", "test": "test"}
_OWN_ENGINES = ("vllm", "transformers")


def write_eee(run: Exported, out: Path) -> list[Path]:
    """Both files of a run.

    Raises:
        InputError: when the run is damaged, or a file cannot be written.
    """
    organisation, _, model = run.model_id.partition("/")
    identity = uuid.UUID(bytes=bytes.fromhex(run.header["run_id"])[:16], version=4)
    parts = (portable(run.header["data"]["name"]), portable(organisation), portable(model))
    folder = out.joinpath("data", *parts)
    relative = f"data/{'/'.join(parts)}/{identity}_samples.jsonl"
    written = str(int(time.time()))
    evaluation = f"{parts[0]}/{run.model_id}/{written}"
    digest, rows = hashlib.sha256(), 0
    samples = folder / f"{identity}_samples.jsonl"
    with writing_file(samples) as stream:
        for row in _rows(run, evaluation):
            line = (json.dumps(row, ensure_ascii=True, allow_nan=False) + "\n").encode("ascii")
            digest.update(line)
            stream.write(line)
            rows += 1
    document = _aggregate(run, evaluation, written)
    if rows:
        document["detailed_evaluation_results"] = {
            "format": "jsonl",
            "file_path": relative,
            "hash_algorithm": "sha256",
            "checksum": digest.hexdigest(),
            "total_rows": rows,
        }
    else:
        samples.unlink()
    aggregate = folder / f"{identity}.json"
    with writing_file(aggregate) as stream:
        stream.write((json.dumps(document, indent=1, ensure_ascii=True, allow_nan=False) + "\n").encode("ascii"))
    return [aggregate, samples] if rows else [aggregate]


def result_id(run: Exported, metric: str) -> str:
    """What joins a metric's value and its rows."""
    data = run.header["data"]
    return f"{data['name']}:{data['split']}:{metric}"


def _aggregate(run: Exported, evaluation: str, written: str) -> dict[str, Any]:
    header, told = run.header, run.told
    source = {
        "source_name": "telbench",
        "source_type": "evaluation_run",
        "source_organization_name": told.organization or UNKNOWN,
        "evaluator_relationship": told.relation,
        "additional_details": _texts({"run_id": header["run_id"], "url": told.url or None}),
    }
    return {
        "schema_version": VERSION,
        "evaluation_id": evaluation,
        "evaluation_timestamp": str(int(datetime.fromisoformat(header["created"]).timestamp())),
        "retrieved_timestamp": written,
        "source_metadata": source,
        "eval_library": {"name": "telbench", "version": header["telbench"]["version"] or UNKNOWN},
        "model_info": _model(run),
        "evaluation_results": [_result(run, name, entry) for name, entry in run.metrics.items()],
    }


def _model(run: Exported) -> dict[str, Any]:
    model, generation = run.header["model"], run.header["generation"]
    known = ("weights_sha256", "tokenizer_sha256", "chat_template_sha256", "parameters", "quantization")
    # A server may be anybody's; what made answers that came in a file is not known.
    deployed = "self_deployed" if generation["engine"] in _OWN_ENGINES else UNKNOWN
    details = _texts({name: model.get(name) for name in known} | run.header["factors"])
    found: dict[str, Any] = {
        "name": run.name,
        "id": run.model_id,
        "developer": run.model_id.partition("/")[0],
        "additional_details": {**details, "deployment_type": deployed, "model_availability": run.told.weights},
    }
    if deployed != UNKNOWN:
        found["inference_engine"] = {"name": generation["engine"], "version": generation["version"]}
    return found


def _result(run: Exported, name: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    data, (low, high) = run.header["data"], entry["range"]
    identity = ("split", "split_rule", "n", "items_sha256", "prompts_sha256", "dropped")
    source: dict[str, Any] = {
        "dataset_name": data["name"],
        "source_type": "hf_dataset" if run.told.data_id else "other",
        "additional_details": _texts({key: data.get(key) for key in identity}),
    }
    if run.told.data_id:
        source |= {"hf_repo": run.told.data_id, "samples_number": data["n"]}
        source |= {"hf_split": _SPLITS[data["split"]]} if data["split"] in _SPLITS else {}
    score = entry["value"]
    if low is not None and high is not None:
        # A perfect BLEU is 100.00000000000004.
        score = min(max(score, low), high)
    metric: dict[str, Any] = {
        "evaluation_description": f"{name} on {data['name']} {data['split']}",
        "metric_id": name,
        "metric_name": name,
        "metric_kind": entry["family"],
        "metric_parameters": _options(entry["signature"]),
        "lower_is_better": not entry["higher_is_better"],
        "additional_details": {"signature": entry["signature"], "family": entry["family"], "level": entry["level"]},
    }
    if low is not None and high is not None:
        metric |= {"score_type": "continuous", "min_score": low, "max_score": high}
    else:
        # Continuous scores must have both bounds: TER and perplexities have no largest value.
        metric |= {key: bound for key, bound in (("min_score", low), ("max_score", high)) if bound is not None}
    if "judge_missing" in entry and run.header.get("judge"):
        metric["llm_scoring"] = _judges(run.header["judge"])
    missing = {"n": entry["n"], "n_missing": entry["n_missing"], "missing": entry["missing"] or None}
    details: dict[str, Any] = {"score": score, "details": _texts(missing)}
    if entry["ci_low"] is not None:
        interval = {"lower": entry["ci_low"], "upper": entry["ci_high"], "confidence_level": _LEVEL}
        method = {"method": entry["ci_method"]} if entry["ci_method"] else {}
        details["uncertainty"] = {"confidence_interval": interval | method, "num_samples": entry["n"]}
    return {
        "evaluation_result_id": result_id(run, name),
        "evaluation_name": data["name"],
        "source_data": source,
        "metric_config": metric,
        "score_details": details,
        "generation_config": _generation(run),
    }


def _generation(run: Exported) -> dict[str, Any]:
    generation, prompt = run.header["generation"], run.header["prompt"]
    details = {
        **{key: generation.get(key) for key in ("dtype", "seed", "stop", "min_p", "repetition_penalty", "samples")},
        **{key: prompt.get(key) for key in ("book", "version", "choice_seed", "system", "instruction", "few_shot")},
    }
    found: dict[str, Any] = {"additional_details": _texts(details)}
    if generation["engine"] in (*_OWN_ENGINES, "openai"):
        known = ("temperature", "top_p", "top_k", "max_tokens")
        found["generation_args"] = {key: generation[key] for key in known if generation.get(key) is not None}
        found["generation_args"]["execution_command"] = shlex.join(shareable(list(run.header["command"])))
        if isinstance(prompt.get("template"), str):
            found["generation_args"]["prompt_template"] = prompt["template"]
    return found


def _judges(judge: Mapping[str, Any]) -> dict[str, Any]:
    """The judges by name; their rubrics by name and hash, as run folders hold no more."""
    rubrics = ", ".join(f"{name} (sha256 {digest})" for name, digest in judge["rubrics"].items())
    unknown = {"deployment_type": UNKNOWN, "model_availability": UNKNOWN}
    models = [
        {
            "name": shareable(each["name"]),
            "id": f"{UNKNOWN}/{portable(str(shareable(each['name'])))}",
            "additional_details": {**unknown, "fingerprint": each["fingerprint"]},
        }
        for each in judge["judges"]
    ]
    return {"judges": [{"model_info": model} for model in models], "input_prompt": f"telbench rubrics: {rubrics}"}


def _rows(run: Exported, evaluation: str) -> Iterator[dict[str, Any]]:
    """A row for each score of each item; what has no score has no row, as the format has no word for that."""
    metrics = run.metrics
    best = {name: entry["range"][1 if entry["higher_is_better"] else 0] for name, entry in metrics.items()}
    for sample in run.samples():
        item = _item(run, sample, evaluation)
        for name in metrics:
            value = sample["scores"].get(name)
            if value is None:
                continue
            own = dict(item["metadata"])
            if name in sample["stats"]:
                own["statistics"] = json.dumps(sample["stats"][name])
            yield {
                **item,
                "evaluation_result_id": result_id(run, name),
                # The best value that the metric has; where it has none, no answer is called correct.
                "evaluation": {"score": value, "is_correct": best[name] is not None and value == best[name]},
                "metadata": own,
            }


def _item(run: Exported, sample: Mapping[str, Any], evaluation: str) -> dict[str, Any]:
    """What all rows of an item have in common."""
    answers = sample.get("predictions") or [sample["prediction"]]
    references = list(sample["references"])
    if not references and sample.get("choices"):
        references = [sample["choices"][place] for place in sample["answer"]]
    output: dict[str, Any] = {"raw": answers}
    if sample.get("reasoning") is not None:
        output["reasoning_trace"] = [sample["reasoning"]]
    asked = {"raw": sample["question"], "reference": references, "choices": sample.get("choices")}
    digest = hashlib.sha256((sample["question"] + "".join(references)).encode("utf-8", "surrogatepass"))
    return {
        "schema_version": VERSION,
        "evaluation_id": evaluation,
        "model_id": run.model_id,
        "evaluation_name": run.header["data"]["name"],
        "sample_id": sample["item_id"],
        "sample_hash": None if run.withheld else digest.hexdigest(),
        "interaction_type": "single_turn",
        "input": {key: value for key, value in asked.items() if value is not None},
        "output": output,
        "answer_attribution": [
            {
                "turn_idx": 0,
                "source": "output.raw",
                "extracted_value": sample["prediction"],
                "extraction_method": "custom",
                "is_terminal": True,
            }
        ],
        "error": sample.get("error"),
        "metadata": _texts({"cluster_id": sample["cluster_id"], "category": sample["category"]}),
    }


def _options(signature: str) -> dict[str, str]:
    """The options of a metric's signature, ``bleu|smooth:exp|tok:13a|v1``."""
    parts = (part.partition(":") for part in signature.split("|")[1:])
    return {name if colon else "version": value if colon else name for name, colon, value in parts}


def _texts(values: Mapping[str, Any]) -> dict[str, str]:
    """Details must be texts: others are written as JSON, what is unknown is left out."""
    return {
        str(key): value if isinstance(value, str) else json.dumps(value, sort_keys=True, allow_nan=False)
        for key, value in values.items()
        if value is not None
    }


EEE = Format(
    name="eee",
    summary="Every Eval Ever 0.3: values with intervals, and a line for each score of each item",
    lost="items without a score and the reasons, remarks on scores, contexts, judges' replies, comparisons",
    wants={"model_id": "the datastore takes no record of an unknown developer"},
    write=write_eee,
    holds=holds_eee,
    read=read_eee,
)
