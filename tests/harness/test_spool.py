"""Records that are written once: the same from memory, from the file, and from both."""

from __future__ import annotations

import errno
import tempfile
from pathlib import Path

import pytest

from telbench.errors import InputError
from telbench.harness import spool
from telbench.harness.spool import Spool

RECORDS = [bytes([number % 256]) * (number % 7) for number in range(1_000)]


@pytest.mark.parametrize(("held", "block"), [(1 << 20, 1 << 20), (1, 1), (100, 64), (1_000, 4_096)])
def test_every_record_comes_back_in_order_and_by_its_number(
    held: int, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool, "HELD", held)
    monkeypatch.setattr(spool, "BLOCK", block)
    written = Spool()
    for number, record in enumerate(RECORDS):
        assert written.append(record) == number
        assert written[number] == record
    assert list(written) == RECORDS
    assert [written[number] for number in reversed(range(len(RECORDS)))] == RECORDS[::-1]
    assert len(written) == len(RECORDS)
    with pytest.raises(IndexError):
        written[len(RECORDS)]


def test_a_reader_under_way_does_not_see_what_comes_later_wrongly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool, "HELD", 10)
    written = Spool()
    written.append(b"one")
    reader = iter(written)
    assert next(reader) == b"one"
    for record in (b"two" * 10, b"three"):
        written.append(record)
    assert list(reader) == [b"two" * 10, b"three"]


def test_few_records_make_no_file_and_the_file_has_no_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    few = Spool()
    few.append(b"x")
    assert few._file is None
    monkeypatch.setattr(spool, "HELD", 1)
    many = Spool()
    many.append(b"x" * 10)
    assert many._file is not None
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_one_line_that_names_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        def write(self, data: bytes) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(spool, "HELD", 1)
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda **_: Full())
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(InputError, match=rf"the disk is full: {tmp_path}.*TMPDIR"):
        Spool().append(b"xx")
