"""Fixtures shared by every room."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from .checkpoints import tiny_checkpoint
from .scripted_server import scripted_server
from .vllm_server import vllm_server

# Ray reads both when it is first imported, which vLLM does in some test or other: no word of its use to its makers, and
# 127.0.0.1 stays the address of a cluster on this machine.
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")

# A shell starts jobs in the background deaf to Ctrl-C, and all that they start: tests stop commands by it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

__all__ = ["scripted_server", "shared_data", "tiny_checkpoint", "vllm_server"]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder with the public telecom data sets, or a skip with the reason."""
    folder = Path(os.environ.get("TELBENCH_DATA") or Path(__file__).resolve().parents[1].parent / "shared" / "data")
    if not (folder / "telequad").is_dir():
        pytest.skip(f"no telecom data sets in {folder}: set TELBENCH_DATA")
    return folder
