"""Records that are written once and read again: in memory while they are few, then in a file without a name."""

from __future__ import annotations

import os
import tempfile
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from telbench.errors import InputError

from .storage import disk_message

# Bytes that stay in memory before there is a file, and that are read or written at a time once there is one.
HELD, BLOCK = 1 << 24, 1 << 20


class Spool:
    """Records by their number, from 0, in the order of writing; memory holds 8 bytes for each of them.

    The file is in the system's folder for such (``TMPDIR``). It has no name: it is gone when the process ends, however
    that ends.
    """

    def __init__(self) -> None:
        """No records yet."""
        self._ends = array("Q", [0])
        # What is not in the file yet, and how much is.
        self._tail = bytearray()
        self._written = 0
        self._file: IO[bytes] | None = None

    def __len__(self) -> int:
        return len(self._ends) - 1

    def append(self, record: bytes) -> int:
        """Write a record; its number.

        Raises:
            InputError: when the disk takes no more.
        """
        self._tail += record
        self._ends.append(self._written + len(self._tail))
        if len(self._tail) >= (BLOCK if self._file else HELD):
            self._flush()
        return len(self) - 1

    def __getitem__(self, number: int) -> bytes:
        if not 0 <= number < len(self):
            raise IndexError(number)
        return self._read(self._ends[number], self._ends[number + 1])

    def __iter__(self) -> Iterator[bytes]:
        first = 0
        while first < len(self):
            start, last = self._ends[first], first + 1
            while last < len(self) and self._ends[last + 1] - start <= BLOCK:
                last += 1
            block = self._read(start, self._ends[last])
            for number in range(first, last):
                yield block[self._ends[number] - start : self._ends[number + 1] - start]
            first = last

    def _read(self, start: int, end: int) -> bytes:
        if start >= self._written or self._file is None:
            return bytes(self._tail[start - self._written : end - self._written])
        # One call may give less than all where a file is on a network.
        parts, at = [], start
        while at < min(end, self._written):
            part = os.pread(self._file.fileno(), min(end, self._written) - at, at)
            if not part:
                raise InputError(f"a file in {tempfile.gettempdir()} lost its end: run the same command again")
            parts.append(part)
            at += len(part)
        return b"".join((*parts, self._tail[: max(0, end - self._written)]))

    def _flush(self) -> None:
        try:
            if self._file is None:
                # Closed with the last reference to it.
                self._file = tempfile.TemporaryFile(prefix="telbench-", buffering=0)  # noqa: SIM115
            while self._tail:
                count = self._file.write(self._tail)
                self._written += count
                del self._tail[:count]
        except OSError as error:
            told = disk_message(error, Path(tempfile.gettempdir()))
            raise InputError(f"{told}, or name another folder with TMPDIR") from error
