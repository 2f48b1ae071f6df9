"""What loggers wrote, read back; and a guard against connections that leave this machine."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(autouse=True)
def only_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fail on any connection that leaves this machine."""
    connect = socket.socket.connect

    def refused(self: socket.socket, address: Any) -> None:
        if self.family != socket.AF_UNIX and address[0] not in {"127.0.0.1", "::1", "localhost"}:
            pytest.fail(f"a connection to {address}")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", refused)
    for name in ("WANDB_MODE", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)


def records_of(file: Path) -> Iterator[bytes]:
    """The records of a W&B file: 7 bytes of header, then LevelDB's log format (blocks of 32 KiB)."""
    data, place, parts = file.read_bytes(), 7, b""
    while place + 7 <= len(data):
        if (left := 32768 - place % 32768) < 7:
            place += left
            continue
        _, size, kind = struct.unpack("<IHB", data[place : place + 7])
        parts += data[place + 7 : place + 7 + size]
        place += 7 + size
        # Whole, or the last part of several.
        if kind in {1, 4}:
            yield parts
            parts = b""


def wandb_records(folder: Path) -> list[list[Any]]:
    """The records of each offline run below a folder, in the order of their writing; a skip where W&B is not there."""
    wandb_internal_pb2 = pytest.importorskip("wandb.proto.wandb_internal_pb2")
    files = sorted((folder / "wandb").glob("offline-run-*/run-*.wandb"), key=lambda file: file.stat().st_mtime)
    found: list[list[Any]] = []
    for file in files:
        found.append([])
        for data in records_of(file):
            record = wandb_internal_pb2.Record()
            record.ParseFromString(data)
            found[-1].append(record)
    return found
