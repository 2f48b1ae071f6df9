"""Members of inspect's ``.eval`` archives: zip files whose members are compressed with Zstandard.

The zip module of Python reads that from 3.14 on. Before, the compressed bytes are taken out of the file and given to
the package ``zstandard``.
"""

from __future__ import annotations

import importlib
import io
import sys
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from telbench.errors import InputError, missing_extra

# The number of Zstandard in the zip format.
_ZSTD = 93
# A larger member is no sample, but an attempt to fill the memory.
LARGEST = 1 << 28
_LOCAL_HEADER = 30


def members(path: Path, prefix: str) -> Iterator[tuple[str, bytes]]:
    """Name and content of the members whose names begin like this, in the order in which they were written.

    Raises:
        InputError: for what is no such archive, a damaged or too large member, or without a package to read it with.
    """
    try:
        with path.open("rb") as stream, zipfile.ZipFile(stream) as archive:
            for entry in archive.infolist():
                if not entry.filename.startswith(prefix):
                    continue
                if entry.file_size > LARGEST or entry.flag_bits & 1:
                    raise InputError(f"{path}, {entry.filename}: larger than {LARGEST >> 20} MiB, or encrypted")
                foreign = entry.compress_type == _ZSTD and sys.version_info < (3, 14)
                yield entry.filename, _unpacked(path, stream, entry) if foreign else archive.read(entry)
    except (OSError, zipfile.BadZipFile, NotImplementedError, EOFError, zlib.error) as error:
        raise InputError(f"{path} cannot be read as an inspect log: {error}: copy it again") from error


def _unpacked(path: Path, stream: io.BufferedReader, entry: zipfile.ZipInfo) -> bytes:
    try:
        zstandard: Any = importlib.import_module("zstandard")
    except ImportError as error:
        line = missing_extra("zstandard", "inspect", "reading inspect's .eval archives")
        raise InputError(f"{line}; or: inspect log convert {path} --to json --output-dir DIR") from error
    stream.seek(entry.header_offset)
    local = stream.read(_LOCAL_HEADER)
    if len(local) < _LOCAL_HEADER or local[:4] != b"PK\3\4":
        raise zipfile.BadZipFile(f"no member at the place of {entry.filename}")
    # Name and extra field stand before the data, their lengths at the end of the local header.
    stream.seek(int.from_bytes(local[26:28], "little") + int.from_bytes(local[28:30], "little"), io.SEEK_CUR)
    packed = stream.read(entry.compress_size)
    try:
        with zstandard.ZstdDecompressor().stream_reader(io.BytesIO(packed), read_across_frames=True) as reader:
            content = reader.read(entry.file_size + 1)
    except zstandard.ZstdError as error:
        raise zipfile.BadZipFile(f"{entry.filename} is damaged") from error
    if len(content) != entry.file_size or zlib.crc32(content) != entry.CRC:
        raise zipfile.BadZipFile(f"{entry.filename} is damaged")
    return content
