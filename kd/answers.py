"""A teacher's answers as a data set: what sequence-level KD trains on (Kim and Rush 2016, arXiv 1606.07947)."""

from __future__ import annotations

import contextlib
import json
import sys
from dataclasses import replace
from pathlib import Path

from ..harness.cli import main
from ..harness.datasets.canonical import record_of
from ..harness.datasets.loading import load_dataset
from ..harness.items import DataSet, Item
from ..harness.runs import read_samples
from ..judges.errors import InputError, TelbenchError
from .checkpoints import NOTE
from .settings import DataSettings
from .study_folder import ANSWERS_FILE
from .whole_folder import whole_folder

FINISHED = "stop"


def make_answers(final: Path, teacher: str, data: DataSettings, *, engine: str, max_tokens: int) -> dict[str, int]:
    """Let the teacher answer the training split once, greedily; the answers' data set comes to ``final``.

    It holds the training items with the teacher's answer for their references, and the dev items as they are.
    Answers without an end (cut at ``max_tokens``) and empty ones are dropped and counted.

    Raises:
        InputError: when nothing is left. TelbenchError: when generation fails. KeyboardInterrupt: on Ctrl-C.
    """
    train = _load(data, data.split)
    wanted = train.items[: data.limit]
    work = final.parent / f"{final.name}.generation"
    words = ["eval", "--model", teacher, "--data", data.data, "--split", data.split, "--context", data.context]
    words += ["--engine", engine, "--max-tokens", str(max_tokens), "--metrics", "token_f1", "--out", str(work)]
    words += ["--data-dir", str(data.data_dir)] if data.data_dir else []
    words += ["--map", ",".join(f"{ours}={theirs}" for ours, theirs in data.mapping.items())] if data.mapping else []
    for name, value in data.options.items():
        words += ["--option", f"{name}={value}"]
    with contextlib.redirect_stdout(sys.stderr):
        code = main(words)
    if code == 130:
        raise KeyboardInterrupt
    if code:
        raise TelbenchError(f"the teacher's answers could not be generated (exit code {code})")
    said = {sample["item_id"]: sample for sample in read_samples(work)}
    items, dropped = answered(wanted, said)
    if not items:
        raise InputError(f"no answer of {teacher} can be trained on: {dropped}")
    if data.dev_split != "none":
        items += _load(data, data.dev_split).items
    with whole_folder(final, NOTE) as folder:
        lines = [json.dumps(record_of(item), ensure_ascii=False) for item in items]
        (folder / ANSWERS_FILE).write_text("\n".join(lines) + "\n", encoding="utf-8")
        note = {"factors": {}, "teacher": teacher, "answers": len(wanted) - sum(dropped.values()), "dropped": dropped}
        (folder / NOTE).write_text(json.dumps(note, indent=2) + "\n", encoding="utf-8")
    return dropped


def answered(items: tuple[Item, ...], said: dict[str, dict]) -> tuple[list[Item], dict[str, int]]:
    """The items with the teacher's answers, and how many were dropped by reason.

    >>> item = Item("a", "What is it?", ("a thing",))
    >>> kept, dropped = answered((item, item), {"a": {"prediction": "It.", "finish_reason": "stop"}})
    >>> kept[0].references, dropped
    (('It.',), {'no answer': 0, 'no end': 0, 'empty': 0})
    """
    kept: list[Item] = []
    dropped = {"no answer": 0, "no end": 0, "empty": 0}
    for item in items:
        sample = said.get(item.id)
        if sample is None or sample.get("prediction") is None:
            dropped["no answer"] += 1
        elif sample.get("finish_reason") != FINISHED:
            dropped["no end"] += 1
        elif not sample["prediction"].strip():
            dropped["empty"] += 1
        else:
            kept.append(replace(item, references=(sample["prediction"].strip(),)))
    return kept, dropped


def _load(data: DataSettings, split: str) -> DataSet:
    return load_dataset(data.data, split=split, data_dir=data.data_dir, mapping=data.mapping, options=data.options)
