"""Making a teacher cache shard by shard, so that a process that is killed loses the shard it was at.

Each shard appears under its name whole, and is then noted in ``index.partial.json`` with its SHA-256; when all are
there, ``index.json`` takes that file's place.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from telbench.errors import InputError, TelbenchError

from ...harness.cli.terminal import Meter
from ...harness.storage import disk_message
from .cache import DIFFERENCES, HEADER, INDEX, PARTIAL, SCHEMA_VERSION, CacheKey, Shard, content_sha256, read_index
from .rows import TeacherExample
from .tables import HeadSource

if TYPE_CHECKING:
    from torch import Tensor

# 64 MiB at 4,096 numbers in bfloat16.
SHARD_ROWS = 8192


def shards_of(examples: Sequence[TeacherExample]) -> list[Sequence[TeacherExample]]:
    """The examples cut, in order, into shards of at most `SHARD_ROWS` rows (an example is never cut)."""
    shards: list[Sequence[TeacherExample]] = []
    first = held = 0
    for place, each in enumerate(examples):
        if held and held + each.rows > SHARD_ROWS:
            shards.append(examples[first:place])
            first, held = place, 0
        held += each.rows
    return [*shards, examples[first:]] if examples else []


def bytes_needed(examples: Sequence[TeacherExample], width: int, dtype: str) -> int:
    """Size on disk of the cache of these examples, with hidden states ``width`` numbers wide."""
    rows = sum(each.rows for each in examples) * width * (4 if dtype == "float32" else 2)
    tokens = sum(len(each.example.ids) for each in examples) * 4
    # Lengths, starts, and the id in a header of JSON.
    names = sum(len(json.dumps(each.item_id)) + 2 + 8 for each in examples)
    return rows + tokens + names + 1024 * (1 + len(shards_of(examples)))


class CacheWriter:
    """Shards of one cache being made, or made further, in ``folder``; hold the folder's lock meanwhile.

    Args:
        folder: where; it exists.
        key: what the rows depend on.
        examples: all of them, in order.
        facts: what else the index shall tell (data, teacher's name); part of no identity.

    Raises:
        InputError: when the folder holds another cache, or the disk takes nothing.
    """

    def __init__(
        self, folder: Path, key: CacheKey, examples: Sequence[TeacherExample], facts: Mapping[str, Any]
    ) -> None:
        self.folder, self.key, self.facts = folder, key, facts
        self.planned = shards_of(examples)
        self.damaged: list[str] = []
        self.source: HeadSource | None = None
        self.done: dict[str, Shard] = {}
        self._take_up()

    @property
    def missing(self) -> list[int]:
        """Numbers of the shards that are still to be made."""
        return [number for number in range(len(self.planned)) if _name(number) not in self.done]

    @property
    def held(self) -> int:
        """Bytes of finished shards."""
        return sum(shard.bytes for shard in self.done.values())

    def make(
        self,
        number: int,
        rows_of: Callable[[Sequence[TeacherExample]], Tensor],
        batch_size: int,
        meter: Meter | None = None,
    ) -> None:
        """Compute one shard and put it in its place.

        Raises:
            InputError: when the disk takes no more. TelbenchError: when the teacher's states are no finite numbers.
        """
        examples = self.planned[number]
        tensors = _computed(examples, rows_of, batch_size, meter or Meter())
        # One entry: several are written in no fixed order.
        told = json.dumps({"key": self.key.sha256, "items": [each.item_id for each in examples]})
        from safetensors.torch import save

        content = save(tensors, {HEADER: told})
        file = self.folder / _name(number)
        self._write(file, content)
        self.done[file.name] = Shard(file.name, len(content), hashlib.sha256(content).hexdigest())
        self._note(PARTIAL)

    def finish(self) -> None:
        """Write the index: from here on the cache is complete."""
        self._note(INDEX)
        (self.folder / PARTIAL).unlink(missing_ok=True)

    def _take_up(self) -> None:
        """What an earlier process has finished, read through; a shard that is not as noted is made again."""
        found = next((self.folder / name for name in (INDEX, PARTIAL) if (self.folder / name).is_file()), None)
        if found is None:
            # From now on the folder can be told from one of the user's.
            self._note(PARTIAL)
            return
        index = read_index(found)
        if index.key != self.key.sha256:
            raise InputError(
                f"{self.folder} caches something else ({_difference(index.record, self.key)}): choose another --out, "
                "or --fresh to replace it"
            )
        self.source = index.source
        for shard in index.shards:
            if content_sha256(self.folder / shard.file) == shard.sha256:
                self.done[shard.file] = shard
            else:
                self.damaged.append(shard.file)

    def _note(self, name: str) -> None:
        record = {
            "schema_version": SCHEMA_VERSION,
            "sha256": self.key.sha256,
            "key": self.key.told,
            **self.facts,
            "head": None if self.source is None else asdict(self.source),
            "examples": sum(map(len, self.planned)),
            "rows": sum(each.rows for shard in self.planned for each in shard),
            "shards": [asdict(self.done[file]) for file in sorted(self.done)],
        }
        self._write(self.folder / name, (json.dumps(record, indent=2, allow_nan=False) + "\n").encode())

    def _write(self, file: Path, content: bytes) -> None:
        scratch = file.with_name(f"{file.name}.unfinished")
        try:
            with scratch.open("wb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            scratch.replace(file)
        except OSError as error:
            raise InputError(disk_message(error, file, len(self.done)).replace("records", "shards")) from error
        finally:
            scratch.unlink(missing_ok=True)


def clear(folder: Path) -> None:
    """Take away whatever a cache consists of; nothing else that lies in the folder."""
    for shard in folder.glob("rows-*.safetensors"):
        shard.unlink()
    # The index goes last: it tells that the folder is ours.
    for name in (INDEX, PARTIAL):
        (folder / name).unlink(missing_ok=True)


def _computed(
    examples: Sequence[TeacherExample],
    rows_of: Callable[[Sequence[TeacherExample]], Tensor],
    batch_size: int,
    meter: Meter,
) -> dict[str, Tensor]:
    """A shard's tensors; examples of similar length are computed together."""
    import torch

    order = sorted(range(len(examples)), key=lambda place: len(examples[place].example.ids))
    parts: dict[int, Tensor] = {}
    for first in range(0, len(order), batch_size):
        places = order[first : first + batch_size]
        rows = rows_of([examples[place] for place in places]).cpu()
        for place, part in zip(places, rows.split([examples[place].rows for place in places]), strict=True):
            if not part.isfinite().all():
                raise TelbenchError(
                    f"item {examples[place].item_id}: the teacher's rows are no finite numbers: run it in "
                    "--dtype float32, or look at its weights"
                )
            parts[place] = part
        meter.advance(len(places))
    return {
        "rows": torch.cat([parts[place] for place in range(len(examples))]),
        "ids": torch.tensor([token for each in examples for token in each.example.ids], dtype=torch.int32),
        "lengths": torch.tensor([len(each.example.ids) for each in examples], dtype=torch.int32),
        "starts": torch.tensor([each.example.start for each in examples], dtype=torch.int32),
    }


def _name(number: int) -> str:
    return f"rows-{number:05d}.safetensors"


def _difference(record: Mapping[str, Any], key: CacheKey) -> str:
    """In words, what of the key is other."""
    ours = asdict(key)
    return ", ".join(words for name, words in DIFFERENCES.items() if record["key"].get(name) != ours[name])
