"""What several commands share: JSON in place of a table, and whether the network may be used."""

from __future__ import annotations

import argparse
import os


def add_json(parser: argparse.ArgumentParser, told: str = "print one JSON document") -> None:
    """``--json``, which every command that prints a table has."""
    parser.add_argument("--json", action="store_true", help=told)


def online_allowed(flag: bool) -> bool:
    """May the network be used: only when asked by flag or by ``HF_HUB_OFFLINE=0``."""
    return flag or os.environ.get("HF_HUB_OFFLINE") == "0"


def stay_offline() -> None:
    """Tell every library below that there is no network, before any of them is imported."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("TRANSFORMERS_OFFLINE", "1")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    # Long contexts are measured before they are cut: no warning a prompt about that.
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
