"""One artefact's command as a process of its own, which ends when the study that started it ends."""

from __future__ import annotations

import contextlib
import ctypes
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

PARENT = "TELBENCH_STUDY_PID"
PROGRAM = (sys.executable, "-m", "telbench.kd.study.process")
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Ended:
    """Exit code (negative: the signal that killed it), wall seconds, processor seconds of it and its children."""

    code: int
    seconds: float
    cpu_seconds: float


class Process:
    """A running ``telbench`` command whose output goes to a file."""

    def __init__(self, words: Sequence[str], log: Path, environment: Mapping[str, str]) -> None:
        # No terminal signal reaches it: the study tells it when to stop, and waits for it.
        with log.open("ab") as stream:
            stream.write(f"$ {shlex.join(['telbench', *words])}\n".encode())
            stream.flush()
            self._process = subprocess.Popen(
                [*PROGRAM, *words],
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                env={**os.environ, **environment, PARENT: str(os.getpid())},
                start_new_session=True,
            )
        self._started = time.perf_counter()

    def ended(self) -> Ended | None:
        """How it ended, or None while it runs."""
        found, status, usage = os.wait4(self._process.pid, os.WNOHANG)
        if not found:
            return None
        code = os.waitstatus_to_exitcode(status)
        # The process is reaped here, where its resources are told; Popen must not wait for it again.
        self._process.returncode = code
        return Ended(code, time.perf_counter() - self._started, usage.ru_utime + usage.ru_stime)

    def interrupt(self) -> None:
        """Ctrl-C for it and whatever it has started."""
        self._signal(signal.SIGINT)

    def kill(self) -> None:
        """End it and whatever it has started at once."""
        self._signal(signal.SIGKILL)

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)


def die_with_parent() -> None:
    """Ask Linux for a SIGKILL when the study ends, however it ends: no orphan must write beside its successor."""
    parent = os.environ.get(PARENT)
    if parent is None:
        return
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if str(os.getppid()) != parent:
        sys.exit(1)


if __name__ == "__main__":
    die_with_parent()
    from ...harness.cli.main import entry

    entry()
