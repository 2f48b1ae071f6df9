"""A checkpoint folder: is it one, can it be loaded safely, and what is it (before torch is imported)?"""

from __future__ import annotations

import json
import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from telbench.errors import InputError, missing_extra

PICKLED = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "tekken.json", "spiece.model")
# What a hub download may bring: weights as safetensors only, text, no code and no pickle.
SAFE_PATTERNS = ["*.safetensors", "*.safetensors.index.json", "*.json", "*.txt", "*.model", "*.jinja", "*.md"]
WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
# Bits an element takes; a type that is not here is left to the library that loads it.
BITS = {
    **dict.fromkeys(("F64", "I64", "U64", "C64"), 64),
    **dict.fromkeys(("F32", "I32", "U32"), 32),
    **dict.fromkeys(("F16", "BF16", "I16", "U16"), 16),
    **dict.fromkeys(("I8", "U8", "BOOL", "F8_E4M3", "F8_E5M2", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ"), 8),
    **dict.fromkeys(("F6_E2M3", "F6_E3M2"), 6),
    "F4": 4,
}
GGUF_CURE = (
    "serve it with llama.cpp (llama-server -m FILE) and use --engine openai --base-url URL, or take the model's "
    "checkpoint in safetensors"
)
_LONGEST_HEADER = 100_000_000


@dataclass(frozen=True)
class Checkpoint:
    """A Hugging Face model folder that passed inspection; with an ``adapter``, ``path`` is the folder of its base."""

    path: Path
    name: str
    config: dict[str, Any]
    weight_files: tuple[Path, ...]
    trust_remote_code: bool = False
    adapter: Path | None = None

    @property
    def folder(self) -> Path:
        """The folder that the user named: the adapter's, where there is one."""
        return self.adapter or self.path

    @property
    def tokenizer_path(self) -> Path:
        """The folder whose tokenizer counts: the adapter's, if it has a whole one."""
        own = self.adapter
        if own is not None and _is_file(own / "tokenizer_config.json") and has_tokenizer(own):
            return own
        return self.path

    @property
    def model_type(self) -> str:
        """Architecture family as ``config.json`` names it."""
        return str(self.config.get("model_type", ""))

    @property
    def context_length(self) -> int | None:
        """Longest sequence in tokens that the position encoding was made for, where the configuration says so."""
        return self._number(
            "max_position_embeddings", "n_positions", "max_seq_len", "seq_length", "max_sequence_length"
        )

    @property
    def vocabulary_size(self) -> int | None:
        """Rows of the embedding, where the configuration says so; token ids must be below."""
        return self._number("vocab_size")

    def _number(self, *keys: str) -> int | None:
        for settings in (self.config, self.config.get("text_config")):
            for key in keys:
                number = settings.get(key) if isinstance(settings, dict) else None
                if isinstance(number, int) and not isinstance(number, bool) and number > 0:
                    return number
        return None

    @property
    def factors(self) -> dict[str, Any]:
        """How the checkpoint was made (teacher_sft, algorithm, seed …), where ``telbench.json`` beside it says so.

        Raises:
            InputError: when that file is no JSON object, or its factors are none.
        """
        note = self.folder / "telbench.json"
        if not _is_file(note):
            return {}
        record = read_json(note)
        factors = record.get("factors", {}) if isinstance(record, dict) else None
        if not isinstance(factors, dict):
            raise InputError(f'{note} must be {{"factors": {{NAME: VALUE, …}}}}: correct it or take it away')
        return factors


def open_checkpoint(model: str, *, trust_remote_code: bool = False, online: bool = False) -> Checkpoint:
    """Inspect a local folder, or download a hub id first when ``online``.

    Raises:
        InputError: when it is no checkpoint, lacks a tokenizer, holds pickles only, is cut short, or needs custom code.
    """
    path = model_folder(model, online)
    config_file = path / "config.json"
    if _is_file(path / "adapter_config.json"):
        # With a config.json beside it, transformers would load the base model that the adapter names, not this one.
        raise InputError(
            f"{model} is a LoRA adapter (adapter_config.json), which only telbench eval takes: merge it into its base "
            "model and save that, or take adapter_config.json away if the weights are merged already"
        )
    if not _is_file(config_file):
        _refuse_gguf(path)
        raise InputError(f"{model} is no checkpoint: it has no readable config.json{_inside(path)}")
    config = read_json(config_file)
    if not isinstance(config, dict) or not isinstance(config.get("model_type"), str) or not config["model_type"]:
        raise InputError(f"{config_file} names no model_type: not a Hugging Face checkpoint")
    if not trust_remote_code:
        refuse_custom_code(path, config)
    if not has_tokenizer(path):
        raise InputError(f"{model} has no tokenizer ({', '.join(TOKENIZER_FILES[:3])} …): save it beside the weights")
    _check_generation_config(path)
    weights = _weight_files(path)
    for file in weights:
        check_safetensors(file)
    checkpoint = Checkpoint(path, model_name(path), config, weights, trust_remote_code)
    _ = checkpoint.factors  # A garbled note is told now, not after the answers are made.
    return checkpoint


def open_tokenizer(folder: str) -> Checkpoint:
    """A folder with the tokenizer and the configuration of a model, which need not have weights.

    Raises:
        InputError: where one of them is not there, or needs custom code.
    """
    path = Path(folder).expanduser()
    config = read_json(path / "config.json") if _is_file(path / "config.json") else None
    if not isinstance(config, dict) or not has_tokenizer(path):
        raise InputError(
            f"--tokenizer {folder} has no config.json with a tokenizer beside it: name the folder that holds these "
            "files of the served model"
        )
    refuse_custom_code(path, config)
    return Checkpoint(path, model_name(path), config, (), False)


def model_name(path: Path) -> str:
    """What a folder is called on tables: its name, or the id of a snapshot in the hub's cache.

    >>> model_name(Path("/cache/hub/models--some-org--some-model/snapshots/0a1b"))
    'some-org/some-model'
    """
    whole = path.resolve()
    kept = whole.parent.parent.name
    if whole.parent.name == "snapshots" and kept.startswith("models--"):
        return kept.removeprefix("models--").replace("--", "/")
    return whole.name


def read_json(path: Path) -> Any:
    """Parsed JSON of a small configuration file.

    Raises:
        InputError: naming file and position when it is not UTF-8 or not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path} is not UTF-8 text: {error.reason} at byte {error.start}: save it as UTF-8 or copy it again"
        ) from error
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise InputError(f"{path} is not JSON: {error.msg} ({where}): copy it again") from error
    except (RecursionError, ValueError) as error:
        raise InputError(f"{path} is not JSON that can be read: {error}: copy it again") from error
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error


def tensor_entries(file: Path) -> dict[str, dict[str, Any]]:
    """Name, number format, shape and place of each tensor of a safetensors file that `check_safetensors` passed."""
    with file.open("rb") as stream:
        (length,) = struct.unpack("<Q", stream.read(8))
        header = json.loads(stream.read(length))
    return {name: entry for name, entry in header.items() if name != "__metadata__"}


def check_safetensors(file: Path) -> int:
    """Check the header of a safetensors file against its size, without reading the tensors; returns the element count.

    Raises:
        InputError: when the file cannot be read, is cut short, padded or not safetensors (format: 8-byte little-endian
            header length, JSON header, then the tensors without gaps).
    """
    cure = "copy the checkpoint again"
    try:
        if not file.is_file():
            raise InputError(f"{file} is no readable file (a folder, or a link that leads nowhere): {cure}")
        size = file.stat().st_size
        with file.open("rb") as stream:
            prefix = stream.read(8)
            length = struct.unpack("<Q", prefix)[0] if len(prefix) == 8 else size
            if length > min(size - 8, _LONGEST_HEADER):
                raise InputError(f"{file} is not a whole safetensors file (its header is cut or garbled): {cure}")
            text = stream.read(length)
    except OSError as error:
        raise InputError(f"cannot read {file}: {error.strerror}") from error
    try:
        header = json.loads(text)
        tensors = [_tensor(entry) for name, entry in header.items() if name != "__metadata__"]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(f"{file} is not a safetensors file (its header is garbled): {cure}") from error
    if not tensors:
        raise InputError(f"{file} holds no tensors: {cure}")
    end = 0
    for first, last, _ in sorted(tensors):
        if first != end:
            raise InputError(f"{file} is not a safetensors file (its tensors overlap or leave gaps): {cure}")
        end = last
    if 8 + length + end != size:
        raise InputError(f"{file} has {size} bytes where its header promises {8 + length + end}: {cure}")
    return sum(elements for _, _, elements in tensors)


def _tensor(entry: dict[str, Any]) -> tuple[int, int, int]:
    """First byte, end and element count of one tensor of a header; ValueError where they contradict each other."""
    first, last = entry["data_offsets"]
    elements = 1
    for extent in entry["shape"]:
        elements *= extent
    numbers = (first, last, *entry["shape"])
    if not isinstance(entry["shape"], list) or any(type(number) is not int or number < 0 for number in numbers):
        raise ValueError("no numbers of elements or bytes")
    bits = BITS.get(entry["dtype"])
    if last < first or (bits is not None and elements * bits != (last - first) * 8):
        raise ValueError("shape and bytes contradict each other")
    return first, last, elements


def model_folder(model: str, online: bool, revision: str = "") -> Path:
    """The folder that ``--model`` names, downloaded where that is allowed, in the ``revision`` asked for."""
    try:
        path = Path(model).expanduser()
        if not path.exists() and online and model.count("/") <= 1 and not model.startswith((".", "~", "/")):
            path = _download(model, revision)
        elif revision:
            how = "is a folder here" if path.exists() else "is fetched from the hub with --online only"
            raise InputError(f"--revision {revision} belongs to a hub id, {model} {how}: drop it or add --online")
        exists, is_folder = path.exists(), path.is_dir()
    except (OSError, RuntimeError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise InputError(f"--model {model[:200]}: {reason}: give the folder of a checkpoint") from error
    if not exists:
        hint = "check the path" + ("" if online else "; a hub id needs --online (or HF_HUB_OFFLINE=0)")
        raise InputError(f"no checkpoint at {model}: {hint}")
    if not is_folder:
        if path.suffix.lower() == ".gguf":
            raise InputError(f"{model} is a GGUF file, which telbench does not load: {GGUF_CURE}")
        raise InputError(f"{model} is a file: give the folder that holds config.json and *.safetensors")
    return path


def _is_file(path: Path) -> bool:
    """Is there a regular file; False also for links that lead nowhere or in a circle."""
    try:
        return path.is_file()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error


def _inside(path: Path) -> str:
    """Where the checkpoint may be meant: a folder inside that has a config.json, such as the last of a training."""
    try:
        found = sorted(file.parent.name for file in path.glob("*/config.json"))
    except OSError:
        return ""
    return f" (do you mean {path / found[-1]}?)" if found else ""


def has_tokenizer(path: Path) -> bool:
    """Does a tokenizer lie in this folder?"""
    return any(_is_file(path / name) for name in TOKENIZER_FILES)


def refuse_custom_code(path: Path, config: dict[str, Any]) -> None:
    """Refuse a folder whose configuration or tokenizer asks for Python code of its own. Raises `InputError`."""
    tokenizer_config = path / "tokenizer_config.json"
    settings = read_json(tokenizer_config) if _is_file(tokenizer_config) else {}
    if not isinstance(settings, dict):
        raise InputError(f"{tokenizer_config} is no JSON object: copy the tokenizer again")
    for name, asked in (("config.json", config), (tokenizer_config.name, settings)):
        if "auto_map" in asked:
            raise InputError(
                f"{path} needs its own Python code (auto_map in {name}): read it, then pass --trust-remote-code to run "
                "it"
            )


def _check_generation_config(path: Path) -> None:
    """Engines pass over a generation_config.json that they cannot read, and then end answers elsewhere."""
    file = path / "generation_config.json"
    settings = read_json(file) if _is_file(file) else {}
    if not isinstance(settings, dict):
        raise InputError(f"{file} is no JSON object: copy it again")
    ends = settings.get("eos_token_id")
    if not all(type(end) is int for end in (ends if isinstance(ends, list) else [] if ends is None else [ends])):
        raise InputError(f"{file}: eos_token_id must be a token id or a list of them: correct it")


def _refuse_gguf(path: Path) -> None:
    if packed := sorted(file.name for file in path.glob("*.gguf")):
        raise InputError(f"{path} holds GGUF files ({packed[0]}), which telbench does not load: {GGUF_CURE}")


def _weight_files(path: Path) -> tuple[Path, ...]:
    """The files that every engine reads: one model.safetensors, or the shards that the index names."""
    try:
        names = sorted(entry.name for entry in path.iterdir())
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    if INDEX in names:
        shards = _shards(path / INDEX)
        absent = [name for name in shards if name not in names]
        if absent:
            raise InputError(
                f"{path} is incomplete: {len(absent)} of {len(shards)} shards are missing, first {absent[0]}: "
                "copy the checkpoint again"
            )
        if WEIGHTS in names and WEIGHTS not in shards:
            raise InputError(
                f"{path} holds {WEIGHTS} and shards of another: engines differ in which they read: keep one"
            )
        return tuple(path / name for name in shards)
    files = [name for name in names if name.endswith(".safetensors")]
    if WEIGHTS in files:
        others = [name for name in files if name != WEIGHTS]
        if others:
            raise InputError(
                f"{path} holds {WEIGHTS} and {others[0]}: engines differ in which they read: move {others[0]} away"
            )
        return (path / WEIGHTS,)
    if files:
        cure = f"rename it to {WEIGHTS}" if len(files) == 1 else f"add the {INDEX} of these shards"
        raise InputError(f"{path} holds {files[0]} but neither {WEIGHTS} nor an index: {cure}")
    _refuse_gguf(path)
    pickled = sorted(file.name for pattern in PICKLED for file in path.glob(pattern))
    if pickled:
        raise InputError(
            f"{path} holds pickled weights only ({pickled[0]}), which can run code when loaded: "
            "convert them with save_pretrained(..., safe_serialization=True)"
        )
    raise InputError(f"{path} holds no weights: no *.safetensors file")


def _shards(index: Path) -> list[str]:
    """Names of the shards of an index, all of them plain names of safetensors files in the same folder."""
    record = read_json(index)
    weight_map = record.get("weight_map") if isinstance(record, dict) else None
    if not isinstance(weight_map, dict) or not weight_map:
        raise InputError(f"{index} has no weight_map of tensor names to files: copy it again")
    for name in weight_map.values():
        if not isinstance(name, str) or not name.endswith(".safetensors"):
            raise InputError(f"{index} names '{name}' as a file of weights: only *.safetensors are read")
        if Path(name).name != name:
            raise InputError(f"{index} points outside the checkpoint folder: {name}")
    return sorted(set(weight_map.values()))


def _download(model: str, revision: str) -> Path:
    os.environ["HF_HUB_OFFLINE"] = "0"
    try:
        from huggingface_hub import snapshot_download
    except ImportError as error:
        raise missing_extra("huggingface_hub", "hf", f"downloading {model}") from error
    try:
        return Path(snapshot_download(model, revision=revision or None, allow_patterns=SAFE_PATTERNS))
    except Exception as error:
        raise InputError(f"cannot download {model}: {type(error).__name__}: {error}") from error
