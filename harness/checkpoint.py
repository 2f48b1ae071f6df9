"""A checkpoint folder: is it one, can it be loaded safely, and what is it (before torch is imported)?"""

from __future__ import annotations

import json
import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..judges.errors import InputError

PICKLED = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "tekken.json", "spiece.model")
# What a hub download may bring: weights as safetensors only, text, no code and no pickle.
SAFE_PATTERNS = ["*.safetensors", "*.safetensors.index.json", "*.json", "*.txt", "*.model", "*.jinja", "*.md"]


@dataclass(frozen=True)
class Checkpoint:
    """A Hugging Face model folder that passed inspection."""

    path: Path
    name: str
    config: dict[str, Any]
    weight_files: tuple[Path, ...]
    trust_remote_code: bool = False

    @property
    def model_type(self) -> str:
        """Architecture family as ``config.json`` names it."""
        return str(self.config.get("model_type", ""))

    @property
    def context_length(self) -> int | None:
        """Longest sequence in tokens that the position encoding was made for, where the configuration says so."""
        for settings in (self.config, self.config.get("text_config") or {}):
            for key in ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length", "max_sequence_length"):
                if isinstance(settings.get(key), int):
                    return settings[key]
        return None

    @property
    def factors(self) -> dict[str, Any]:
        """How the checkpoint was made (teacher_sft, algorithm, seed …), where ``telbench.json`` beside it says so."""
        note = self.path / "telbench.json"
        if not note.is_file():
            return {}
        factors = read_json(note).get("factors", {})
        return factors if isinstance(factors, dict) else {}


def open_checkpoint(model: str, *, trust_remote_code: bool = False, online: bool = False) -> Checkpoint:
    """Inspect a local folder, or download a hub id first when ``online``.

    Raises:
        InputError: when it is no checkpoint, lacks a tokenizer, holds pickles only, is cut short, or needs custom code.
    """
    path = Path(model).expanduser()
    if not path.exists() and online and model.count("/") <= 1 and not model.startswith((".", "~", "/")):
        path = _download(model)
    if not path.exists():
        hint = "check the path" + ("" if online else "; a hub id needs --online (or HF_HUB_OFFLINE=0)")
        raise InputError(f"no checkpoint at {model}: {hint}")
    if not path.is_dir():
        raise InputError(f"{model} is a file: --model takes the folder that holds config.json and *.safetensors")
    if (path / "adapter_config.json").is_file() and not (path / "config.json").is_file():
        raise InputError(f"{model} is a LoRA adapter, not a whole checkpoint: merge it into its base model first")
    if not (path / "config.json").is_file():
        raise InputError(f"{model} is no checkpoint: config.json is missing")
    config = read_json(path / "config.json")
    if not isinstance(config, dict) or not config.get("model_type"):
        raise InputError(f"{path / 'config.json'} names no model_type: not a Hugging Face checkpoint")
    if _custom_code(path, config) and not trust_remote_code:
        raise InputError(
            f"{model} needs its own Python code (auto_map): read it, then pass --trust-remote-code to run it"
        )
    if not any((path / name).is_file() for name in TOKENIZER_FILES):
        raise InputError(f"{model} has no tokenizer ({', '.join(TOKENIZER_FILES[:3])} …): save it beside the weights")
    weights = _weight_files(path, model)
    for file in weights:
        check_safetensors(file)
    return Checkpoint(path, path.resolve().name, config, weights, trust_remote_code)


def read_json(path: Path) -> Any:
    """Parsed JSON of a small configuration file.

    Raises:
        InputError: naming file and position when it is not UTF-8 or not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text: {error.reason} at byte {error.start}") from error
    except json.JSONDecodeError as error:
        raise InputError(f"{path} is not JSON: {error.msg} in line {error.lineno}") from error
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error


def _custom_code(path: Path, config: dict[str, Any]) -> bool:
    tokenizer_config = path / "tokenizer_config.json"
    if "auto_map" in config:
        return True
    if not tokenizer_config.is_file():
        return False
    settings = read_json(tokenizer_config)
    return isinstance(settings, dict) and "auto_map" in settings


def _weight_files(path: Path, model: str) -> tuple[Path, ...]:
    index = path / "model.safetensors.index.json"
    if index.is_file():
        weight_map = read_json(index).get("weight_map", {})
        names = sorted(set(weight_map.values()))
        absent = [name for name in names if not (path / name).is_file()]
        if absent:
            raise InputError(f"{model} is incomplete: {len(absent)} of {len(names)} shards missing, first {absent[0]}")
        outside = [name for name in names if (path / name).resolve().parent != path.resolve() and ".." in name]
        if outside:
            raise InputError(f"{index} points outside the checkpoint folder: {outside[0]}")
        return tuple(path / name for name in names)
    files = tuple(sorted(path.glob("*.safetensors")))
    if files:
        return files
    pickled = sorted(file.name for pattern in PICKLED for file in path.glob(pattern))
    if pickled:
        raise InputError(
            f"{model} holds pickled weights only ({pickled[0]}), which can run code when loaded: "
            "convert them with save_pretrained(..., safe_serialization=True)"
        )
    raise InputError(f"{model} holds no weights: no *.safetensors file")


def check_safetensors(file: Path) -> int:
    """Check the header of a safetensors file against its size, without reading the tensors; returns the element count.

    Raises:
        InputError: when the file is cut short, padded or not safetensors (format: 8-byte little-endian header
            length, JSON header, then the tensors without gaps).
    """
    size = file.stat().st_size
    cure = "copy the checkpoint again"
    with file.open("rb") as stream:
        prefix = stream.read(8)
        length = struct.unpack("<Q", prefix)[0] if len(prefix) == 8 else size
        if length > min(size - 8, 100_000_000):
            raise InputError(f"{file} is not a whole safetensors file (its header is cut or garbled): {cure}")
        try:
            header = json.loads(stream.read(length))
            tensors = [entry for name, entry in header.items() if name != "__metadata__"]
            end = max((entry["data_offsets"][1] for entry in tensors), default=0)
            elements = sum(_product(entry["shape"]) for entry in tensors)
        except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
            raise InputError(f"{file} is not a safetensors file (its header is garbled): {cure}") from error
    if 8 + length + end != size:
        raise InputError(f"{file} has {size} bytes where its header promises {8 + length + end}: {cure}")
    return elements


def _product(shape: list[int]) -> int:
    product = 1
    for extent in shape:
        product *= extent
    return product


def _download(model: str) -> Path:
    os.environ["HF_HUB_OFFLINE"] = "0"
    try:
        from huggingface_hub import snapshot_download
    except ImportError as error:
        raise InputError(
            f"downloading {model} needs the package 'huggingface_hub': pip install 'telbench[hf]'"
        ) from error
    try:
        return Path(snapshot_download(model, allow_patterns=SAFE_PATTERNS))
    except Exception as error:
        raise InputError(f"cannot download {model}: {type(error).__name__}: {error}") from error
