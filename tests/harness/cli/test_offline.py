"""A whole evaluation with the network torn out: nothing is looked up, nothing is connected to."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from telbench.harness.runs.folder import read_run

# Loaded by every Python of the run, children included; what was tried is written down, since libraries swallow errors.
GUARD = """
import os
import socket

_real = socket.socket.connect


def _refuse(what):
    with open(os.environ["NETWORK_TRIED"], "a") as stream:
        stream.write(f"{what}\\n")
    raise OSError(f"no network here: {what}")


def _local(address):
    return not isinstance(address, tuple) or str(address[0]).startswith("127.") or address[0] in ("::1", "localhost")


def connect(self, address):
    return _real(self, address) if _local(address) else _refuse(f"connect {address}")


_resolve = socket.getaddrinfo


def getaddrinfo(host, *rest, **more):
    host_text = host.decode() if isinstance(host, bytes) else host
    known = host_text in (None, "", "localhost", "0.0.0.0", "::1", socket.gethostname())
    if known or host_text.startswith("127."):
        return _resolve(host, *rest, **more)
    return _refuse(f"getaddrinfo {host}")


socket.socket.connect = connect
socket.socket.connect_ex = connect
socket.getaddrinfo = getaddrinfo
"""


@pytest.mark.parametrize("engine", ["transformers", pytest.param("vllm", marks=pytest.mark.slow)])
def test_an_evaluation_needs_no_network(tiny_checkpoint: Path, tmp_path: Path, engine: str):
    if engine == "vllm" and importlib.util.find_spec("vllm") is None:
        pytest.skip("vllm is not installed")
    (tmp_path / "guard").mkdir()
    (tmp_path / "guard" / "sitecustomize.py").write_text(GUARD)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "TRANSFORMERS_"))}
    environment |= {
        "PYTHONPATH": str(tmp_path / "guard"),
        "NETWORK_TRIED": str(tmp_path / "tried"),
        "TELBENCH_CACHE": str(tmp_path / "cache"),
        "HF_HOME": str(tmp_path / "hub"),
        "OMP_NUM_THREADS": "1",
    }
    program = "import sys; from telbench.harness.cli.main import main; sys.exit(main())"
    options = ["--limit", "3", "--max-tokens", "4", "--metrics", "ngram", "--out", str(tmp_path / "run")]
    command = [sys.executable, "-c", program, "eval", "--model", str(tiny_checkpoint), "--engine", engine, *options]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "tried").exists(), (tmp_path / "tried").read_text()
    assert read_run(tmp_path / "run")["counts"]["ok"] == 3


def test_the_guard_of_this_test_does_refuse(tmp_path: Path):
    (tmp_path / "sitecustomize.py").write_text(GUARD)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "NETWORK_TRIED": str(tmp_path / "tried")}
    program = "import socket; socket.create_connection(('example.org', 80), 5)"
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert "no network here" in done.stderr
    assert (tmp_path / "tried").read_text() == "getaddrinfo example.org\n"
