"""Fixture: vLLM's own OpenAI-compatible server on the loopback, on the processor, with a tiny checkpoint."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

# Room for a judge's prompt, a token a byte.
WINDOW = 8192


@dataclass(frozen=True)
class VllmServer:
    """Where the server is, and the checkpoint that it offers as ``tiny``."""

    base_url: str
    checkpoint: Path


@pytest.fixture(scope="session")
def vllm_server(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[VllmServer]:
    """A running server of the tiny checkpoint with a longer window and sampling defaults that would change answers."""
    pytest.importorskip("vllm")
    folder = tmp_path_factory.mktemp("vllm")
    served = shutil.copytree(tiny_checkpoint, folder / "served")
    # A penalty in the checkpoint's own defaults would change the answers if the server applied it.
    changed(served / "generation_config.json", repetition_penalty=5.0, top_k=3)
    # Rotary positions have no weights: the same model, further on.
    changed(served / "config.json", max_position_embeddings=WINDOW)
    changed(served / "tokenizer_config.json", model_max_length=WINDOW)
    with running(served, folder / "server.log") as url:
        yield VllmServer(url, served)


def changed(file: Path, **values: object) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), **values}))


@contextmanager
def running(checkpoint: Path, log: Path) -> Iterator[str]:
    """Base URL of vLLM's own server for a checkpoint, on the processor; ended with all its processes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = {
        "--model": str(checkpoint),
        "--served-model-name": "tiny",
        "--host": "127.0.0.1",
        "--port": str(port),
        "--gpu-memory-utilization": "0.2",
        "--max-model-len": str(WINDOW),
        "--dtype": "float32",
    }
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--enforce-eager"]
    for name, value in options.items():
        command += [name, value]
    environment = {
        **os.environ,
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        "VLLM_NO_USAGE_STATS": "1",
        "HF_HUB_OFFLINE": "1",
    }
    with log.open("wb") as output:
        server = subprocess.Popen(
            command, env=environment, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        wait_until_healthy(server, f"http://127.0.0.1:{port}/health", log)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        end_group(server)


def wait_until_healthy(server: subprocess.Popen[bytes], url: str, log: Path, seconds: float = 240.0) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    limit = time.monotonic() + seconds
    while time.monotonic() < limit:
        if server.poll() is not None:
            break
        try:
            with opener.open(url, timeout=2):
                return
        except OSError:
            time.sleep(0.5)
    pytest.fail(f"the server did not start: {log.read_text(errors='replace')[-3000:]}")


def end_group(server: subprocess.Popen[bytes]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(server.pid, number)
        except ProcessLookupError:
            break
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            continue
        time.sleep(0.5)
    server.wait(20)
