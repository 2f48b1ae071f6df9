"""Teacher rows on disk: shards of hidden states with the tokens they belong to, and an index that is written last.

A shard is a safetensors file with ``rows`` (n, d), ``ids`` (tokens of all its examples, one after the other),
``lengths`` and ``starts`` (an entry an example); its header lists the item ids. The index tells the SHA-256 of each.
`shards` makes them. Rows are memory-mapped when read.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import accumulate, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from telbench.errors import InputError

from ...harness.checkpoint import Checkpoint, check_safetensors, read_json
from ...harness.identity import identify_checkpoint
from ...metrics.fingerprints import fingerprint
from .rows import TeacherExample
from .sparse import Form, form_of
from .tables import HeadSource, Tables

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from ..losses.heads import Head

SCHEMA_VERSION = 1
# The entry in a shard's header that holds the item ids and the key.
HEADER = "telbench"
INDEX, PARTIAL = "index.json", "index.partial.json"
# What it means that a part of two keys differs.
DIFFERENCES = {
    "weights_sha256": "other weights",
    "config_sha256": "another configuration",
    "tokenizer_sha256": "another tokenizer",
    "chat_template_sha256": "another chat template",
    "prompts": "other prompts",
    "max_length": "another length",
    "dtype": "another number format",
    "examples_sha256": "other items or texts",
    "form": "another form of rows",
}
OF_THE_CHECKPOINT = ("weights_sha256", "config_sha256", "tokenizer_sha256")
MEND = "run the same telbench kd cache again: it makes only what is missing or damaged"


@dataclass(frozen=True)
class CacheKey:
    """All that stored rows depend on: the teacher by content, how it read, and what it read, token by token."""

    weights_sha256: str
    config_sha256: str
    tokenizer_sha256: str
    chat_template_sha256: str | None
    prompts: Mapping[str, Any]
    max_length: int
    dtype: str
    examples_sha256: str
    # What is kept of each row (`sparse.Form`), where that is not its hidden state.
    form: Mapping[str, Any] | None = None

    @property
    def sha256(self) -> str:
        """One hash over all."""
        return fingerprint(self.told)

    @property
    def told(self) -> dict[str, Any]:
        """As the index has it; caches of hidden states keep the key that they always had."""
        return {name: value for name, value in asdict(self).items() if name != "form" or value is not None}


def examples_sha256(examples: Sequence[TeacherExample]) -> str:
    """Fingerprint of the items in order: id, tokens, where the answer starts."""
    digest = hashlib.sha256()
    for each in examples:
        digest.update(fingerprint([each.item_id, list(each.example.ids), each.example.start]).encode())
    return digest.hexdigest()


@dataclass(frozen=True)
class Shard:
    """A finished shard as the index knows it."""

    file: str
    bytes: int
    sha256: str


class TeacherCache:
    """A finished cache, to be read. ``verify`` reads all of it once and compares the hashes.

    Without it, names, sizes and headers are checked, which finds what is missing, cut short or of another cache.

    Raises:
        InputError: naming the file that is damaged or missing, and how to mend it.
    """

    def __init__(self, folder: Path, *, verify: bool = False) -> None:
        self.folder = folder
        if not (folder / INDEX).is_file():
            unfinished = (folder / PARTIAL).is_file()
            raise InputError(
                f"{folder} is not finished: {MEND}"
                if unfinished
                else f"{folder} is no teacher cache (it has no {INDEX}): make one with telbench kd cache"
            )
        index = read_index(folder / INDEX)
        self.record, self.source = index.record, index.source
        self.form = form_of(self.record["key"].get("form"))
        if self.source is None and self.form is None:
            raise InputError(f"{folder / INDEX} names no head: {MEND}")
        self._places: dict[str, _Place] = {}
        for shard in index.shards:
            for item_id, place in _opened(folder / shard.file, shard, index.key, verify):
                self._places[item_id] = place
        if len(self._places) != index.examples:
            raise InputError(f"{folder} holds {len(self._places)} of {index.examples} items: {MEND}")

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, item_id: object) -> bool:
        return item_id in self._places

    def holds(self, example: TeacherExample) -> bool:
        """Are this item's rows stored for exactly these tokens?"""
        place = self._places.get(example.item_id)
        return (
            place is not None
            and place.start == example.example.start
            and place.tensors["ids"][place.tokens].tolist() == list(example.example.ids)
        )

    def rows(self, example: TeacherExample) -> Tensor:
        """The item's rows (n, d) as a view of the file.

        Raises:
            InputError: when it is not stored, or was stored for other tokens.
        """
        if not self.holds(example):
            what = "with other tokens" if example.item_id in self else "not"
            raise InputError(
                f"item {example.item_id} is {what} in {self.folder}: make the cache with the data, prompts and length "
                "of this training (telbench kd cache)"
            )
        place = self._places[example.item_id]
        return place.tensors["rows"][place.rows]

    def require(self, examples: Sequence[TeacherExample]) -> None:
        """Refuse examples whose rows are not stored, before a training starts on them.

        Raises:
            InputError: telling how many are missing or were stored for other tokens, and the first of them.
        """
        missing = [each.item_id for each in examples if each.item_id not in self]
        other = [each.item_id for each in examples if each.item_id in self and not self.holds(each)]
        for found, what in ((missing, "not in it"), (other, "in it with other tokens")):
            if found:
                raise InputError(
                    f"{self.folder}: of {len(examples)} items {len(found)} are {what}, first {found[0]}: make "
                    "the cache with the data, prompts and length of this training (telbench kd cache)"
                )


def open_cached_teacher(
    folder: Path, checkpoint: Checkpoint, device: torch.device | str = "cpu", *, verify: bool = False
) -> CachedTeacher | SparseTeacher:
    """The teacher of a finished cache, with head and embedding from its checkpoint; the layers are never read.

    Of a cache of some tokens nothing is read of the checkpoint, and of a served model's only the tokenizer is compared.

    Raises:
        InputError: when the cache is damaged, unfinished, or of another checkpoint.
    """
    cache = TeacherCache(folder, verify=verify)
    # Prompts and chat template show in the tokens, which are compared example by example.
    identity = identify_checkpoint(checkpoint, None)
    served = cache.form is not None and cache.form.served is not None
    parts = ("tokenizer_sha256",) if served else OF_THE_CHECKPOINT
    other = [DIFFERENCES[name] for name in parts if cache.record["key"][name] != getattr(identity, name)]
    if other:
        raise InputError(
            f"{folder} was made with another teacher than {checkpoint.path} ({', '.join(other)}): name that teacher, "
            "or make a cache of this one"
        )
    if cache.form is not None or cache.source is None:
        return SparseTeacher(cache, device)
    return CachedTeacher(cache, Tables(checkpoint, cache.source, device))


@dataclass(frozen=True, eq=False, slots=True)
class _Place:
    """An item's part of a shard."""

    tensors: Mapping[str, Tensor]
    tokens: slice
    rows: slice
    start: int


@dataclass(frozen=True)
class Index:
    """What an index says; ``record`` is all of it, ``key`` the hash of what the cache depends on."""

    record: Mapping[str, Any]
    key: str
    source: HeadSource | None
    examples: int
    shards: Sequence[Shard]


def read_index(file: Path) -> Index:
    """The index in a file.

    Raises:
        InputError: when it is garbled or of another version.
    """
    anew = "make the cache again with --fresh"
    try:
        record = read_json(file)
    except InputError as error:
        raise InputError(f"{file} cannot be read or is garbled: {anew}") from error
    try:
        if record["schema_version"] != SCHEMA_VERSION:
            raise InputError(
                f"{file} was written by another version of telbench (format {record['schema_version']}, here "
                f"{SCHEMA_VERSION}): {anew}"
            )
        source = None if record["head"] is None else HeadSource(**record["head"])
        shards = [Shard(**shard) for shard in record["shards"]]
        key, examples = CacheKey(**record["key"]), int(record["examples"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{file} is no index of a teacher cache: {anew}") from error
    return Index(record, key.sha256, source, examples, shards)


def _opened(file: Path, shard: Shard, key: str, verify: bool) -> Iterator[tuple[str, _Place]]:
    """Item ids and their parts of one shard, after it was checked."""
    from safetensors import SafetensorError, safe_open

    if not file.is_file():
        raise InputError(f"{file} is missing: {MEND}")
    if file.stat().st_size != shard.bytes:
        raise InputError(f"{file} is damaged ({file.stat().st_size} bytes of {shard.bytes}): {MEND}")
    if verify and content_sha256(file) != shard.sha256:
        raise InputError(f"{file} is damaged (its SHA-256 is not the index's): {MEND}")
    try:
        check_safetensors(file)
        with safe_open(file, "pt") as opened:
            header = json.loads((opened.metadata() or {})[HEADER])
            tensors = {name: opened.get_tensor(name) for name in ("rows", "ids", "lengths", "starts")}
        items, same = list(header["items"]), header["key"] == key
        lengths, starts = tensors["lengths"].tolist(), tensors["starts"].tolist()
    except (InputError, OSError, KeyError, TypeError, ValueError, SafetensorError) as error:
        raise InputError(f"{file} is damaged (it cannot be read): {MEND}") from error
    if not same:
        raise InputError(f"{file} belongs to another cache: {MEND}")
    tokens = pairwise(accumulate(lengths, initial=0))
    rows = pairwise(accumulate((length - start for length, start in zip(lengths, starts, strict=True)), initial=0))
    for item_id, start, token, row in zip(items, starts, tokens, rows, strict=True):
        yield item_id, _Place(tensors, slice(*token), slice(*row), start)


def content_sha256(file: Path) -> str | None:
    """SHA-256 of the bytes as they are on the disk now, never a remembered one; None where it cannot be read."""
    with contextlib.suppress(OSError), file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
    return None


class CachedTeacher:
    """Stored rows, and of the checkpoint its head (and embedding, when asked for) alone: the layers are never read."""

    def __init__(self, cache: TeacherCache, tables: Tables) -> None:
        self.cache = cache
        self.head = tables.head()
        self._tables = tables
        self._embedding: nn.Module | None = None

    @property
    def embedding(self) -> nn.Module:
        """Read at its first use."""
        if self._embedding is None:
            self._embedding = self._tables.embedding()
        return self._embedding

    def rows(self, examples: Sequence[TeacherExample]) -> Tensor:
        """Rows as they were stored, on the head's device."""
        import torch

        parts = [self.cache.rows(each) for each in examples]
        return torch.cat(parts).to(self.head.weight.device)


@dataclass(frozen=True, eq=False)
class SparseTeacher:
    """Stored tokens of each row; there is no head and no embedding."""

    cache: TeacherCache
    device: torch.device | str

    @property
    def form(self) -> Form:
        """What is stored of each row."""
        if self.cache.form is None:
            raise ValueError("the cache holds hidden states")
        return self.cache.form

    @property
    def head(self) -> Head:
        """There is none. Raises `InputError`."""
        raise InputError(f"{self.cache.folder} holds {self.form.told}, no hidden states: make a cache without --top-k")

    @property
    def embedding(self) -> nn.Module:
        """There is none. Raises `InputError`."""
        raise InputError(f"{self.cache.folder} holds {self.form.told}, no hidden states: make a cache without --top-k")

    def rows(self, examples: Sequence[TeacherExample]) -> Tensor:
        """Rows as they were stored (`sparse.Form.unpacked` takes them apart)."""
        import torch

        return torch.cat([self.cache.rows(each) for each in examples]).to(self.device)
