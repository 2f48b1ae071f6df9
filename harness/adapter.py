"""A LoRA adapter as a model: its folder, the base model that it names, and whether the two fit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from telbench.errors import InputError

from .checkpoint import (
    INDEX,
    WEIGHTS,
    Checkpoint,
    check_safetensors,
    model_folder,
    model_name,
    open_checkpoint,
    read_json,
    refuse_custom_code,
    tensor_entries,
)

ADAPTER_CONFIG, ADAPTER_WEIGHTS = "adapter_config.json", "adapter_model.safetensors"


def open_model(
    model: str, *, base: str = "", trust_remote_code: bool = False, online: bool = False, revision: str = ""
) -> Checkpoint:
    """The checkpoint that ``--model`` names: a whole one, or an adapter with its base.

    ``base`` is the folder of the base model (with ``online`` also a hub id); without one, the adapter's configuration
    names it. ``revision`` is that of a hub id as ``model``.

    Raises:
        InputError: as `open_checkpoint`; where the base is not here, or adapter and base do not fit.
    """
    path = model_folder(model, online, revision)
    whole = any((path / name).exists() for name in (WEIGHTS, INDEX))
    if whole or not (path / ADAPTER_CONFIG).exists():
        if base:
            raise InputError(f"--base belongs to a LoRA adapter, {model} is none (no {ADAPTER_CONFIG}): drop --base")
        return open_checkpoint(str(path), trust_remote_code=trust_remote_code)
    config = adapter_config(path)
    weights = path / ADAPTER_WEIGHTS
    if not weights.exists():
        raise InputError(
            f"{path} has an {ADAPTER_CONFIG} but no {ADAPTER_WEIGHTS}: save the adapter with "
            "save_pretrained(..., safe_serialization=True)"
        )
    check_safetensors(weights)
    if not trust_remote_code:
        refuse_custom_code(path, {})
    folder = model_folder(base, online) if base else _named_base(path, config, online)
    opened = open_checkpoint(str(folder), trust_remote_code=trust_remote_code)
    _require_fit(opened, weights)
    checkpoint = replace(opened, adapter=path, name=model_name(path))
    _ = checkpoint.factors  # A garbled note is told now, not after the answers are made.
    return checkpoint


def adapter_config(path: Path) -> dict[str, Any]:
    """What ``adapter_config.json`` says.

    Raises:
        InputError: where it is no adapter that both engines know: another kind than LoRA, or without a rank.
    """
    file = path / ADAPTER_CONFIG
    config = read_json(file)
    kind = config.get("peft_type") if isinstance(config, dict) else None
    if kind != "LORA":
        raise InputError(
            f"{file}: adapters of peft_type {kind} are not loaded, only LORA: merge it into its base model and save "
            "that"
        )
    if any(type(rank) is not int or rank < 1 for rank in _ranks(config)):
        raise InputError(f"{file}: r must be a whole number from 1: copy the adapter again")
    return config


def adapter_rank(path: Path) -> int:
    """The highest rank of any of its matrices."""
    return max(_ranks(adapter_config(path)))


def adapted_modules(path: Path) -> frozenset[str]:
    """Last names of the modules that have matrices (``q_proj``), and ``experts`` where experts have."""
    found: set[str] = set()
    for name in tensor_entries(path / ADAPTER_WEIGHTS):
        module, kind, _ = name.rpartition(".lora_")
        if kind:
            parts = module.split(".")
            found |= {parts[-1], *({"experts"} & set(parts))}
    return frozenset(found)


def _ranks(config: dict[str, Any]) -> list[Any]:
    pattern = config.get("rank_pattern")
    return [config.get("r"), *(pattern.values() if isinstance(pattern, dict) else ())]


def _named_base(path: Path, config: dict[str, Any], online: bool) -> Path:
    """The folder of the base model that the configuration names: a path, or an id in the hub's cache."""
    name, revision = config.get("base_model_name_or_path"), config.get("revision") or None
    if not isinstance(name, str) or not name:
        raise InputError(f"{path / ADAPTER_CONFIG} names no base model: give its folder with --base PATH")
    for folder in (Path(name).expanduser(), path / name):
        if (folder / "config.json").exists():
            return folder
    if name.count("/") <= 1 and not name.startswith((".", "~", "/")):
        if (cached := _cached(name, revision)) is not None:
            return cached
        if online:
            return model_folder(name, online, revision or "")
    raise InputError(
        f"{path} is a LoRA adapter of '{name}', which is neither a folder here nor in the hub's cache: give the base "
        f"model's folder with --base PATH{'' if online else ', or let it be fetched with --online'}"
    )


def _cached(name: str, revision: str | None) -> Path | None:
    """The snapshot of a hub id on this machine; asks no network."""
    try:
        from huggingface_hub import snapshot_download

        return Path(snapshot_download(name, revision=revision, local_files_only=True))
    except Exception:
        return None


def _require_fit(base: Checkpoint, weights: Path) -> None:
    """Refuse an adapter whose matrices have other sizes than the base's, where the names tell which belong together."""
    shapes = {name: entry["shape"] for file in base.weight_files for name, entry in tensor_entries(file).items()}
    for name, entry in tensor_entries(weights).items():
        module, kind, _ = name.removeprefix("base_model.model.").rpartition(".lora_")
        own = shapes.get(f"{module}.weight")
        if not kind or own is None or len(own) != 2 or len(entry["shape"]) != 2:
            continue
        found = entry["shape"][1] if name.endswith("lora_A.weight") else entry["shape"][0]
        wanted = own[1] if name.endswith("lora_A.weight") else own[0]
        if name.endswith(("lora_A.weight", "lora_B.weight")) and found != wanted:
            raise InputError(
                f"{weights.parent} does not fit its base {base.path}: {name} is made for {found} numbers, the base's "
                f"{module} has {wanted}: name the right base with --base PATH"
            )
