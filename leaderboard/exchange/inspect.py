"""inspect's logs: a ``.eval`` archive, or one ``.json``; several answers to an item are its epochs.

Source: the log's record classes in inspect_ai 0.3.285, whose own reader opens the files in the tests. Its viewer lists
samples by their summaries, so these hold the answers too.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from ...metrics.fingerprints import text_sha256
from ..runs.anchor import shareable
from ..runs.foreign import Reading
from ..runs.inspect_logs import read_inspect
from ..runs.loaded import LoadedRun
from .contract import Exported, Format, portable, writing_file

VERSION = 2
# The earliest time that zip archives know: the same run gives the same bytes.
_EPOCH = (1980, 1, 1, 0, 0, 0)
_PROVIDERS = {"transformers": "hf", "vllm": "vllm", "openai": "openai"}
# Summaries hold the beginning of a text.
_SHORT = 1024


def write_archive(run: Exported, out: Path) -> list[Path]:
    """One ``.eval`` archive, a member a sample.

    Raises:
        InputError: when the run is damaged, or the file cannot be written.
    """
    file = out / f"{_stem(run)}.eval"
    summaries = []
    with writing_file(file) as stream, zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        header = _header(run)
        _member(archive, "_journal/start.json", {key: header[key] for key in ("version", "eval", "plan")})
        for sample in _samples(run):
            _member(archive, f"samples/{_member_name(sample['id'])}_epoch_{sample['epoch']}.json", sample)
            summaries.append(_summary(sample))
        _member(archive, "summaries.json", summaries)
        _member(archive, "header.json", header)
    return [file]


def write_document(run: Exported, out: Path) -> list[Path]:
    """The log as one ``.json``.

    Raises:
        InputError: when the run is damaged, or the file cannot be written.
    """
    file = out / f"{_stem(run)}.json"
    with writing_file(file) as stream:
        head = _text(_header(run)).decode("ascii").removesuffix("}")
        stream.write(f'{head}, "samples": ['.encode("ascii"))
        for number, sample in enumerate(_samples(run)):
            stream.write(b",\n" * bool(number) + _text(sample))
        stream.write(b"]}\n")
    return [file]


def _stem(run: Exported) -> str:
    """As inspect names its logs: time, task and an id."""
    created = datetime.fromisoformat(run.header["created"])
    return f"{created:%Y-%m-%dT%H-%M-%S}+00-00_{run.task}_{run.header['run_id'][:22]}"


def _member_name(item: str) -> str:
    """An id as the name of a member; one that no system takes gets its hash, so that two of them stay two."""
    name = portable(item)
    return name if name == item else f"{name}-{text_sha256(item)[:12]}"


def _member(archive: zipfile.ZipFile, name: str, document: Any) -> None:
    entry = zipfile.ZipInfo(name, _EPOCH)
    entry.compress_type = zipfile.ZIP_DEFLATED
    archive.writestr(entry, _text(document))


def _text(document: Any) -> bytes:
    return json.dumps(document, ensure_ascii=True, allow_nan=False).encode("ascii")


def _header(run: Exported) -> dict[str, Any]:
    header, data, generation = run.header, run.header["data"], run.header["generation"]
    provider, n = _PROVIDERS.get(generation["engine"]), data["n"]
    name = run.told.model_id or run.name
    model = f"{provider}/{name}" if provider else name
    created = header["created"]
    ended = datetime.fromisoformat(created) + timedelta(seconds=(header.get("seconds") or {}).get("total", 0))
    config = {key: generation.get(key) for key in ("max_tokens", "temperature", "top_p", "top_k", "seed")}
    epochs = generation.get("samples", 1)
    return {
        "version": VERSION,
        "status": "success",
        "eval": {
            "eval_id": header["run_id"][:22],
            "run_id": header["run_id"][:22],
            "created": created,
            "task": run.task,
            "task_id": header["run_id"][22:44],
            "task_version": 0,
            "task_attribs": {},
            "task_args": {},
            "dataset": {"name": data["name"], "location": run.told.data_id or None, "samples": n},
            "model": model,
            "model_args": {},
            "model_generate_config": {key: value for key, value in config.items() if value is not None},
            "config": {"epochs": epochs, "epochs_reducer": ["mean"]},
            "packages": header["packages"],
            "metadata": {
                "telbench": header["telbench"]["version"],
                "command": shareable(list(header["command"])),
                "items_sha256": data["items_sha256"],
                "weights_sha256": header["model"].get("weights_sha256"),
                "factors": header["factors"],
            },
            "scorers": [
                {"name": name, "metrics": [{"name": each} for each in _score(name, entry)["metrics"]]}
                for name, entry in run.metrics.items()
            ],
        },
        "plan": {"name": "plan", "steps": []},
        "results": {
            "total_samples": n * epochs,
            "completed_samples": n * epochs,
            "scores": [_score(name, entry) for name, entry in run.metrics.items()],
        },
        "stats": {"started_at": created, "completed_at": ended.isoformat(), "model_usage": _usage(model, header)},
    }


def _usage(model: str, header: Mapping[str, Any]) -> dict[str, Any]:
    """Tokens by model, where they were counted."""
    asked, said = (int((header.get("tokens") or {}).get(key, 0)) for key in ("prompt", "completion"))
    return {model: {"input_tokens": asked, "output_tokens": said, "total_tokens": asked + said}} if asked + said else {}


def _score(name: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    """The value of a metric, beside it the ends of its interval, which inspect has no words of its own for."""
    numbers = {"mean": entry["value"], "ci_low": entry["ci_low"], "ci_high": entry["ci_high"]}
    told = ("ci_low", "ci_high", "ci_method", "signature", "higher_is_better", "range", "level")
    return {
        "name": name,
        "scorer": name,
        "scored_samples": entry["n"],
        "unscored_samples": entry["n_missing"],
        "params": {},
        "metrics": {
            key: {"name": key, "value": value, "params": {}} for key, value in numbers.items() if value is not None
        },
        "metadata": {key: entry[key] for key in told},
    }


def _samples(run: Exported) -> Iterator[dict[str, Any]]:
    ranges, model = {name: entry["range"] for name, entry in run.metrics.items()}, run.told.model_id or run.name
    for sample in run.samples():
        answers = sample.get("predictions") or [sample["prediction"]]
        for epoch, answer in enumerate(answers):
            content: Any = answer
            if epoch == 0 and sample.get("reasoning") is not None:
                content = [{"type": "reasoning", "reasoning": sample["reasoning"]}, {"type": "text", "text": answer}]
            message = {"role": "assistant", "content": content, "source": "generate", "model": model}
            stop = {"stop": "stop", "length": "max_tokens"}.get(str(sample["finish_reason"]), "unknown")
            values = {name: _value(sample, name, epoch, limits) for name, limits in ranges.items()}
            found: dict[str, Any] = {
                "id": sample["item_id"],
                "epoch": epoch + 1,
                "input": sample["question"],
                "target": list(sample["references"]),
                "messages": [{"role": "user", "content": sample["question"], "source": "input"}, message],
                "output": {
                    "model": model,
                    "choices": [{"message": message, "stop_reason": stop}],
                    "completion": answer,
                },
                "scores": {
                    name: {"value": value, "answer": answer, **_told(sample, name)}
                    for name, value in values.items()
                    if value is not None
                },
                "metadata": {
                    "cluster_id": sample["cluster_id"],
                    "category": sample["category"],
                    "missing": sample.get("missing", {}),
                },
                "store": {},
                "events": [],
                "model_usage": {},
                "attachments": {},
            }
            if sample.get("choices"):
                found |= {"choices": sample["choices"], "target": [_letter(place) for place in sample["answer"]]}
            if sample.get("error"):
                found["error"] = {"message": sample["error"], "traceback": "", "traceback_ansi": ""}
            yield found


def _letter(place: int) -> str:
    return chr(ord("A") + place)


def _value(sample: Mapping[str, Any], name: str, epoch: int, limits: Sequence[float | None]) -> float | None:
    each = sample.get("sample_scores", {}).get(name)
    value = sample["scores"].get(name) if each is None else each[epoch]
    low, high = limits
    # A perfect BLEU is 100.00000000000004.
    return value if value is None or low is None or high is None else min(max(value, low), high)


def _told(sample: Mapping[str, Any], name: str) -> dict[str, Any]:
    """What a score of the corpus is summed up from, and the remark on the score that explains it."""
    stats, note = sample["stats"].get(name), sample.get("notes", {}).get(name)
    known = {key: value for key, value in (("statistics", stats), ("note", note)) if value is not None}
    return {"metadata": known} | ({} if note is None else {"explanation": str(note)})


def _summary(sample: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": sample["id"],
        "epoch": sample["epoch"],
        "input": sample["input"][:_SHORT],
        "target": sample["target"],
        "metadata": sample["metadata"],
        "scores": {
            name: {"value": score["value"], "answer": score["answer"][:_SHORT]}
            for name, score in sample["scores"].items()
        },
        "model_usage": {},
        "completed": True,
        "message_count": len(sample["messages"]),
        **({"choices": sample["choices"]} if "choices" in sample else {}),
    } | ({"error": sample["error"]["message"][:_SHORT]} if "error" in sample else {})


def _holds(path: Path) -> bool:
    if path.suffix == ".eval":
        return path.is_file()
    if path.suffix != ".json" or not path.is_file():
        return False
    try:
        with path.open(encoding="utf-8") as stream:
            head = stream.read(1 << 16)
    except (OSError, UnicodeDecodeError):
        return False
    return '"eval"' in head and '"status"' in head


def _read(path: Path, reading: Reading) -> list[LoadedRun]:
    return [read_inspect(path, reading)]


_LOST = "statistics of corpus scores other than as a score's metadata, contexts, judges' replies"
INSPECT = Format(
    name="inspect",
    summary="inspect's .eval archive, for its viewer and its tools",
    lost=_LOST,
    write=write_archive,
    holds=_holds,
    read=_read,
)
INSPECT_JSON = Format(name="inspect-json", summary="inspect's log as one JSON file", lost=_LOST, write=write_document)
