"""One task as a process of its own, which ends when the process that started it ends."""

from __future__ import annotations

import contextlib
import ctypes
import math
import os
import platform
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from telbench.errors import InputError

from ..storage import waiting_lock
from .contract import Ended, Running, Task

PARENT = "TELBENCH_PARENT_PID"
CLAIM = "TELBENCH_CLAIM"
PROGRAM = (sys.executable, "-m", "telbench.harness.executors.process")
# So long has a command to save what it has.
PATIENCE_SECONDS = 60.0
LOOK_SECONDS = 0.1
_PR_SET_PDEATHSIG = 1
# Letters of a log's last line.
_LONGEST_REASON = 300


def last_line(log: Path) -> str:
    """Of a log: where commands tell what was wrong."""
    try:
        lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines()]
    except OSError:
        return "no log"
    return next((line[:_LONGEST_REASON] for line in reversed(lines) if line), "nothing was said")


def stop_all(every: Sequence[Running]) -> None:
    """Ask commands to save what they have and stop; end those that take too long."""
    for running in every:
        running.interrupt()
    until = time.monotonic() + PATIENCE_SECONDS
    left = every
    while (left := [running for running in left if running.ended() is None]) and time.monotonic() < until:
        time.sleep(LOOK_SECONDS)
    for running in left:
        running.kill()


class Process:
    """A running ``telbench`` command whose output goes to a file."""

    handle: Mapping[str, str] = {}

    def __init__(self, task: Task, environment: Mapping[str, str] | None = None) -> None:
        claim = {} if task.claim is None else {CLAIM: str(task.claim)}
        own = {**task.environment, **(environment or {}), **claim, PARENT: str(os.getpid())}
        log = task.log if task.folder is None else task.folder / task.log
        # No terminal signal reaches it: whoever started it tells it when to stop, and waits for it.
        with log.open("ab") as stream:
            stream.write(f"$ {shlex.join(['telbench', *task.words])}\n".encode())
            stream.flush()
            self._process = subprocess.Popen(
                [*(task.program or PROGRAM), *task.words],
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                env={**os.environ, **own},
                cwd=task.folder,
                start_new_session=True,
            )
        self._started = time.perf_counter()
        self._ended: Ended | None = None

    def ended(self) -> Ended | None:
        """How it ended, or None while it runs."""
        if self._ended is None:
            found, status, usage = os.wait4(self._process.pid, os.WNOHANG)
            if found:
                code = os.waitstatus_to_exitcode(status)
                # It is reaped here, where its resources are told; Popen must not wait for it again.
                self._process.returncode = code
                seconds = time.perf_counter() - self._started
                self._ended = Ended(code, seconds, usage.ru_utime + usage.ru_stime, platform.node())
        return self._ended

    def interrupt(self) -> None:
        """Ctrl-C for it and whatever it has started."""
        self._signal(signal.SIGINT)

    def kill(self) -> None:
        """End it and whatever it has started at once."""
        self._signal(signal.SIGKILL)

    def _signal(self, number: int) -> None:
        if self.ended() is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, number)


def run_to_end(task: Task) -> Ended:
    """Run a task on this machine and wait for it; Ctrl-C is passed on, and waits until it has saved.

    Raises:
        InputError: when its folder is not on this machine.
    """
    try:
        process = Process(task)
    except FileNotFoundError as error:
        raise InputError(
            f"{platform.node()} has no {error.filename}: all machines must share the folders and have telbench"
        ) from error
    try:
        while (ended := process.ended()) is None:
            time.sleep(LOOK_SECONDS)
    except BaseException:
        process.interrupt()
        until = time.monotonic() + PATIENCE_SECONDS
        while process.ended() is None and time.monotonic() < until:
            time.sleep(LOOK_SECONDS)
        process.kill()
        raise
    return ended


def die_with_parent() -> None:
    """Ask Linux for a SIGKILL when the parent ends, however it ends: no orphan must write beside its successor."""
    parent = os.environ.get(PARENT)
    if parent is None:
        return
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if str(os.getppid()) != parent:
        sys.exit(1)


@contextlib.contextmanager
def claimed() -> Iterator[None]:
    """Hold the task's claim meanwhile; wait for another process, here or on another machine, that holds it.

    Raises:
        InputError: when the file cannot be locked.
    """
    claim = os.environ.pop(CLAIM, None)
    if claim is None:
        yield
        return
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(waiting_lock(Path(claim), 0))
        except InputError:
            sys.stderr.write(f"another process holds {claim}: waiting until it has ended\n")
            sys.stderr.flush()
            stack.enter_context(waiting_lock(Path(claim), math.inf))
        yield


if __name__ == "__main__":
    die_with_parent()
    with claimed():
        from ..cli.main import entry

        entry()
