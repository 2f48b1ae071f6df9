"""A teacher cache from a checkpoint and a data set: planned and measured first, then made shard by shard."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from telbench.errors import InputError

from ...harness.cli.terminal import Reporter
from ...harness.datasets.items import Item
from ...harness.engines.contract import device_kind
from ...harness.engines.transformers import load_model
from ...harness.identity import cache_folder
from ...harness.prompts.build import INSTRUCTIONS, PromptSettings
from ...harness.storage import LOCK, FolderLock
from ..batches import Reader, reader
from ..checkpoints import data_facts
from ..models import Model, load_split, open_model, open_served, window_of
from ..settings import DataSettings
from .cache import INDEX, PARTIAL, CacheKey, examples_sha256
from .rows import LiveTeacher, TeacherExample
from .served import connect, served_teacher
from .shards import CacheWriter, bytes_needed, clear
from .sparse import Form, TokensOfTeacher
from .tables import locate

if TYPE_CHECKING:
    from torch import Tensor

LOG = "log.txt"
# Ids and log-probabilities keep their digits.
STORED = "float32"
Dtype = Literal["float32", "bfloat16"]


@dataclass(frozen=True)
class CachePlan:
    """A cache before it is made: what of which teacher, how large, and what was left out by reason.

    ``form``: what is kept of each row in place of its hidden state. ``server``: where a served teacher is.
    """

    teacher: Model
    examples: Sequence[TeacherExample]
    dropped: Mapping[str, int]
    key: CacheKey
    facts: Mapping[str, Any]
    bytes: int
    form: Form | None = None
    server: str | None = None

    @property
    def default_place(self) -> Path:
        """Where it lies if nothing else is said: in the cache folder, under the teacher's name and the key."""
        return cache_folder() / "teacher-rows" / f"{self.teacher.checkpoint.name}-{self.key.sha256[:12]}"


@dataclass(frozen=True)
class Cached:
    """A finished cache; ``made`` and ``kept`` count its shards, by whether this call computed them."""

    folder: Path
    made: int
    kept: int
    bytes: int


def plan_cache(
    teacher: str, data: DataSettings, dtype: Dtype, form: Form | None = None, tokenizer: str | None = None
) -> CachePlan:
    """Read the data as this teacher would in training; no weights are loaded.

    Args:
        teacher: its folder, or ``openai:MODEL@URL``.
        data: what it reads.
        dtype: what it computes in.
        form: what is kept of each row; None: its hidden state.
        tokenizer: folder with a served teacher's tokenizer.

    Raises:
        InputError: for a folder that is no checkpoint, data that are not there, or nothing that fits the window.
    """
    prompts = PromptSettings(data.context)
    server = served_teacher(teacher)
    if server is None:
        model = open_model(teacher, prompts)
    else:
        model = open_served(server[0], tokenizer or "", prompts)
        form = None if form is None else replace(form, served=server[0])
    dataset = load_split(data, data.split)
    window = window_of(model, data.max_length)
    examples, dropped = teacher_examples(dataset.items, prompts, reader(model.encoder, window, "teacher"))
    if not examples:
        why = ", ".join(f"{count} items {reason}" for reason, count in dropped.items()) or "it is empty"
        raise InputError(f"nothing to cache in {dataset.name}, split {dataset.split}: {why}")
    identity = model.identity
    key = CacheKey(
        identity.weights_sha256,
        identity.config_sha256,
        identity.tokenizer_sha256,
        identity.chat_template_sha256,
        {**asdict(prompts), "instructions": dict(INSTRUCTIONS)},
        window,
        dtype,
        examples_sha256(examples),
        None if form is None else asdict(form),
    )
    facts = {"teacher": model.checkpoint.name, "data": data_facts(dataset), "dropped": dropped}
    size = bytes_needed(examples, _width(model), dtype) if form is None else bytes_needed(examples, form.width, STORED)
    return CachePlan(model, examples, dropped, key, facts, size, form, None if server is None else server[1])


def teacher_examples(
    items: Iterable[Item], prompts: PromptSettings, teacher: Reader
) -> tuple[list[TeacherExample], dict[str, int]]:
    """What the teacher reads of each item (its first reference as the answer), and how many were left out by reason."""
    examples: list[TeacherExample] = []
    dropped: Counter[str] = Counter()
    for item in items:
        if not item.gold_references:
            dropped["no answer"] += 1
            continue
        example = teacher.example(item, item.gold_references[0], prompts)
        if example is None:
            dropped["too long for the teacher"] += 1
        else:
            examples.append(TeacherExample(item.id, example))
    return examples, dict(dropped)


def make_cache(
    plan: CachePlan, folder: Path, reporter: Reporter, *, batch_size: int = 8, fresh: bool = False
) -> Cached:
    """Make what is missing of the cache in ``folder``; what lies there is read through and kept where it is whole.

    The model is loaded only if a shard is missing.

    Raises:
        InputError: when the place cannot be used or is too small. TelbenchError: when the teacher has lost its numbers.
        KeyboardInterrupt: on Ctrl-C, with all finished shards kept.
    """
    _claim(folder)
    lock = FolderLock(folder)
    try:
        if fresh:
            clear(folder)
        writer = CacheWriter(folder, plan.key, plan.examples, plan.facts)
        for file in writer.damaged:
            reporter.note(f"{folder / file} is damaged or missing: made again")
        missing, kept = writer.missing, len(writer.done)
        if missing:
            _require_room(folder, plan.bytes - writer.held)
            if kept:
                reporter.note(f"{folder}: going on after {kept} of {len(writer.planned)} shards")
            _make(plan, writer, missing, reporter, batch_size)
        writer.finish()
        return Cached(folder, len(missing), kept, writer.held)
    finally:
        lock.release()


def _make(plan: CachePlan, writer: CacheWriter, missing: Sequence[int], reporter: Reporter, batch_size: int) -> None:
    checkpoint = plan.teacher.checkpoint
    if plan.server is not None and plan.form is not None:
        teller = connect(plan.form.served or "", plan.server, plan.teacher.tokenizer, plan.form, batch_size)
        _fill(writer, missing, teller.rows, batch_size, reporter, checkpoint.name)
        return
    with reporter.quiet(writer.folder / LOG):
        teacher = LiveTeacher(load_model(checkpoint, plan.key.dtype).to(device_kind()))
        if plan.form is None:
            writer.source = locate(teacher, checkpoint)
        rows = teacher.rows if plan.form is None else TokensOfTeacher(teacher, plan.form).rows
        _fill(writer, missing, rows, batch_size, reporter, checkpoint.name)


def _fill(
    writer: CacheWriter,
    missing: Sequence[int],
    rows: Callable[[Sequence[TeacherExample]], Tensor],
    batch_size: int,
    reporter: Reporter,
    name: str,
) -> None:
    with reporter.progress(f"teacher {name}", sum(len(writer.planned[number]) for number in missing)) as meter:
        for number in missing:
            writer.make(number, rows, batch_size, meter)


def _claim(folder: Path) -> None:
    """Make the folder, or refuse one that holds something else."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        names = {entry.name for entry in folder.iterdir()}
    except OSError as error:
        raise InputError(f"cannot write in {folder}: {error.strerror}: choose another --out") from error
    if names - {LOCK, f"{PARTIAL}.unfinished"} and not names & {INDEX, PARTIAL}:
        raise InputError(f"{folder} exists and was not made by telbench: move it away, or choose another --out")


def _require_room(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise InputError(
            f"the teacher cache needs {mebibytes(needed)} more, {folder} has {mebibytes(free)} free: free some space, "
            "choose another --out, or halve it with --dtype bfloat16"
        )


def mebibytes(size: int) -> str:
    """A size for people, in MiB.

    >>> mebibytes(19_713_229), mebibytes(31_228)
    ('18.8 MiB', '0.030 MiB')
    """
    return f"{size / 2**20:,.{1 if size >= 2**20 / 10 else 3}f} MiB"


def _width(model: Model) -> int:
    """Numbers of a hidden state, as the configuration has it: enough for an estimate."""
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(model.checkpoint.path, local_files_only=True).get_text_config()
    return int(getattr(config, "word_embed_proj_dim", None) or config.hidden_size)
