"""Small logs in the shapes that lm-eval 0.4.13 and inspect 0.3.285 write."""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

DATE = "2026-01-01T00-00-00.123456"
ZSTD = 93


def inspect_log(values: Mapping[str, Sequence[Sequence[Any]]], **sample: Any) -> dict[str, Any]:
    """A finished log: by scorer, the values of each sample's epochs; ``sample`` holds more of every sample."""
    (count,) = {len(column) for column in values.values()}
    (epochs,) = {len(each) for column in values.values() for each in column}
    return {
        "version": 2,
        "status": "success",
        "eval": {"task": "teleqna", "model": "hf/student", "dataset": {"samples": count}, "config": {"epochs": epochs}},
        "plan": {"name": "plan", "steps": []},
        "results": {"total_samples": count * epochs, "completed_samples": count * epochs},
        "samples": [
            {
                "id": number,
                "epoch": epoch + 1,
                "input": f"q{number}",
                "target": "A",
                "metadata": {"document": f"d{number // 2}", "category": "odd" if number % 2 else "even"},
                "scores": {
                    name: {"value": column[number][epoch], "answer": "A", "history": []}
                    for name, column in values.items()
                },
                **sample,
            }
            for epoch in range(epochs)
            for number in range(count)
        ],
    }


def write_json(path: Path, log: Mapping[str, Any]) -> Path:
    path.write_text(json.dumps(log))
    return path


def write_eval(path: Path, log: Mapping[str, Any], *, zstd: bool) -> Path:
    """The log as an archive, a member for its head and each of its samples."""
    parts = {"header.json": {key: log[key] for key in log if key != "samples"}}
    parts |= {f"samples/{each['id']}_epoch_{each['epoch']}.json": each for each in log["samples"]}
    texts = {name: json.dumps(part).encode() for name, part in parts.items()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("_journal/start.json", b"{}")
        for name, text in texts.items():
            archive.writestr(name, frame(text) if zstd else text)
    if zstd:
        path.write_bytes(_called_zstd(path, texts))
    return path


def frame(text: bytes) -> bytes:
    """The text as a Zstandard frame of one raw block (RFC 8878): a content size of four bytes, then the block."""
    return b"\x28\xb5\x2f\xfd\xa0" + len(text).to_bytes(4, "little") + (1 | len(text) << 3).to_bytes(3, "little") + text


def _called_zstd(path: Path, texts: Mapping[str, bytes]) -> bytes:
    """The archive with the headers of these members changed to say what their frames hold."""
    data = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        entries = archive.infolist()
        central = archive.start_dir
    for entry in entries:
        text = texts.get(entry.filename)
        for start, method, check, size in ((entry.header_offset, 8, 14, 22), (central, 10, 16, 24)):
            if text is not None:
                data[start + method : start + method + 2] = ZSTD.to_bytes(2, "little")
                data[start + check : start + check + 4] = zlib.crc32(text).to_bytes(4, "little")
                data[start + size : start + size + 4] = len(text).to_bytes(4, "little")
        central += 46 + len(entry.filename)
    return bytes(data)


def lm_eval_row(document: int, scores: Mapping[str, Any], told: str = "none", **more: Any) -> dict[str, Any]:
    """A line as lm-eval writes it with --log_samples."""
    return {
        "doc_id": document,
        "doc": {"question": f"q{document}", "subject": f"s{document // 2}", "category": "core"},
        "target": "B",
        "arguments": {"gen_args_0": {"arg_0": f"q{document}\nAnswer:", "arg_1": " B"}},
        "resps": [[["-0.25", "False"]]],
        "filtered_resps": [["-0.25", "False"]],
        "filter": told,
        "metrics": list(scores),
        "doc_hash": f"doc{document}",
        "prompt_hash": f"prompt{document}",
        "target_hash": "target",
        **scores,
        **more,
    }


def write_samples(folder: Path, task: str, rows: Sequence[Mapping[str, Any]]) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / f"samples_{task}_{DATE}.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def write_results(folder: Path, **parts: Any) -> Path:
    """The results file beside the samples."""
    path = folder / f"results_{DATE}.json"
    path.write_text(json.dumps({"results": {}, "groups": {}, "group_subtasks": {}, "higher_is_better": {}, **parts}))
    return path
