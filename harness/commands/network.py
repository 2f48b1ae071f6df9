"""Whether the network may be used, told to every library before it is imported."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..runs.settings import EvalSettings


def online_allowed(flag: bool) -> bool:
    """May the network be used: only when asked by flag or by ``HF_HUB_OFFLINE=0``."""
    return flag or os.environ.get("HF_HUB_OFFLINE") == "0"


def as_allowed(settings: EvalSettings) -> EvalSettings:
    """The settings with what is allowed in them, which every library below is told."""
    online = online_allowed(settings.engine.online)
    if not online:
        stay_offline()
    return replace(settings, engine=replace(settings.engine, online=online))


def stay_offline() -> None:
    """Tell every library below that there is no network, before any of them is imported."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("TRANSFORMERS_OFFLINE", "1")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    # Long contexts are measured before they are cut: no warning a prompt about that.
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
