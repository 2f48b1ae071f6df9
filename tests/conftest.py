"""Fixtures shared by every room."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from .checkpoints import tiny_checkpoint
from .scripted_server import scripted_server
from .vllm_server import vllm_server

__all__ = ["scripted_server", "shared_data", "tiny_checkpoint", "vllm_server"]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder with the public telecom data sets, or a skip with the reason."""
    folder = Path(os.environ.get("TELBENCH_DATA") or Path(__file__).resolve().parents[1].parent / "shared" / "data")
    if not (folder / "telequad").is_dir():
        pytest.skip(f"no telecom data sets in {folder}: set TELBENCH_DATA")
    return folder
