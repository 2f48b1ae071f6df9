"""Replies of judges kept on disk, so that no question is asked twice, not even after a kill."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

from .chat import ChatReply
from .errors import InputError

_FIELDS = tuple(field.name for field in fields(ChatReply))


def cache_key(
    judge: str,
    messages: Sequence[Mapping[str, str]],
    parameters: Mapping[str, Any],
    schema: Mapping[str, Any] | None = None,
) -> str:
    """Hex digest of all that a reply depends on.

    ``judge`` has to tell one judge's weights from another's, not only its name. The order of parameters does not
    matter; that of a schema's properties does, as it is the order in which they are written. Raises ValueError for
    NaN and TypeError for what JSON does not hold.
    """
    parts = (
        json.dumps(judge),
        json.dumps([dict(message) for message in messages], sort_keys=True),
        json.dumps(dict(parameters), sort_keys=True, allow_nan=False),
        json.dumps(None if schema is None else dict(schema), allow_nan=False),
    )
    # JSON texts hold no line break, so that joining them by one is unambiguous.
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


class ReplyCache:
    """Replies by key in one append-only JSONL file, for one writing process at a time.

    A line that a kill left half-written, or that is damaged, is passed over and counted in ``damaged``. Raises
    `InputError` where the file cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.damaged = 0
        self._replies: dict[str, ChatReply] = {}
        self._torn = False
        try:
            data = path.read_bytes() if path.exists() else b""
        except OSError as error:
            raise InputError(f"the judge cache {path} cannot be read: {error}; give another path") from None
        self._torn = bool(data) and not data.endswith(b"\n")
        for line in data.splitlines():
            reply = _read_line(line)
            if reply is None:
                self.damaged += bool(line.strip())
            else:
                self._replies[reply.key] = reply

    def __len__(self) -> int:
        return len(self._replies)

    def get(self, key: str) -> ChatReply | None:
        """The reply kept under a `cache_key`."""
        return self._replies.get(key)

    def put(self, key: str, reply: ChatReply) -> None:
        """Keep a reply, on disk when this returns. One with ``error`` is not kept: it says nothing of the judge.

        Raises ValueError for NaN in it, and `InputError` where the file cannot be written.
        """
        if reply.error is not None or key in self._replies:
            return
        kept = replace(reply, key=key)
        line = json.dumps(asdict(kept), allow_nan=False)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a", encoding="utf-8", newline="\n") as file:
                file.write(("\n" if self._torn else "") + line + "\n")
        except OSError as error:
            raise InputError(f"the judge cache {self.path} cannot be written: {error}; give another path") from None
        self._torn = False
        self._replies[key] = kept


def _read_line(line: bytes) -> ChatReply | None:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict) or set(value) != set(_FIELDS) or value["error"] is not None:
        return None
    texts = isinstance(value["key"], str) and isinstance(value["text"], str)
    logprobs = value["logprobs"] is None or isinstance(value["logprobs"], dict)
    return ChatReply(**value) if texts and logprobs else None
