"""Records that runs share through the cache folder, each file held by one process at a time."""

from __future__ import annotations

import contextlib
import fcntl
import time
from collections.abc import Iterator

from .identity import cache_folder
from .journal import RecordStore

_PATIENCE = 30.0


@contextlib.contextmanager
def shared_store(kind: str, identity: str) -> Iterator[RecordStore | None]:
    """The cache's store of that kind and identity, held alone; None where the cache folder cannot be used.

    Raises:
        InputError: when the store itself cannot be opened.
    """
    folder = cache_folder() / kind
    with contextlib.ExitStack() as stack:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lock = stack.enter_context((folder / f"{identity}.lock").open("w"))
        except OSError:
            yield None
            return
        if not _patient_lock(lock.fileno()):
            yield None
            return
        yield stack.enter_context(RecordStore(folder / f"{identity}.jsonl"))


def _patient_lock(descriptor: int) -> bool:
    """Wait for the lock while others copy, but not for ever: a stopped process may hold it."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        except OSError:
            return False
