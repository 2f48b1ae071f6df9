"""JSON documents as scripts of compressed characters, whole or put together from pieces that were compressed before.

A page from a file:// address may load a script beside it, and nothing else. A file of answers is one document, put
together from what each run adds to it: where one run changes, the pieces of the others stay.
"""

from __future__ import annotations

import base64
import gzip
import json
import zlib
from collections.abc import Iterable
from typing import Any

# Of zlib: what takes longer saves a twentieth.
_LEVEL = 6


def packed(document: Any) -> bytes:
    """A document as gzip in base64."""
    return base64.b64encode(gzip.compress(compact(document), _LEVEL, mtime=0))


def compact(document: Any) -> bytes:
    """A document as ASCII, without NaN."""
    return json.dumps(document, separators=(",", ":"), allow_nan=False).encode("ascii")


def piece(content: bytes) -> bytes:
    """Part of a raw deflate stream (RFC 1951), which ends at a whole byte and refers to nothing before it."""
    made = zlib.compressobj(_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    return made.compress(content) + made.flush(zlib.Z_SYNC_FLUSH)


def joined(pieces: Iterable[bytes], end: bytes) -> bytes:
    """One stream of pieces, with an end, in base64.

    >>> zlib.decompress(base64.b64decode(joined([piece(b"[1"), piece(b",2")], b"]")), -zlib.MAX_WBITS)
    b'[1,2]'
    """
    last = zlib.compressobj(_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    return base64.b64encode(b"".join([*pieces, last.compress(end), last.flush()]))
