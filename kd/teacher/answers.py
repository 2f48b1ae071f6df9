"""Sequence-level distillation's data: what the teacher answers to the training questions, made once.

The answers are a telbench run of the teacher on the training split: it has a journal, so that nothing is asked twice
after a kill, and its shared cache serves the next student. Source: Kim and Rush, Sequence-Level Knowledge Distillation,
2016 (arXiv 1606.07947).
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from telbench.config import settings_in, written
from telbench.errors import InputError

from ...harness.checkpoint import open_checkpoint
from ...harness.cli.terminal import Reporter
from ...harness.identity import identify_checkpoint
from ...harness.runs.folder import read_run, read_samples
from ...harness.runs.settings import EvalSettings, eval_settings
from ..settings import DataSettings, TrainingSettings

FOLDER = "teacher-answers"


def teacher_answers(settings: TrainingSettings, work: Path, reporter: Reporter) -> dict[str, str]:
    """The teacher's greedy answer by item id; those it did not end, and empty ones, are left out and told.

    Raises:
        InputError: without a teacher, or when it ended no answer.
    """
    if settings.teacher is None:
        raise InputError(f"{settings.method.algorithm} needs a teacher: name its checkpoint folder")
    run = _made_now(settings, work, reporter) if settings.teacher_run is None else _given(settings)
    answers: dict[str, str] = {}
    left_out: Counter[str] = Counter()
    for sample in read_samples(run):
        if sample["finish_reason"] != "stop":
            left_out["the teacher did not end"] += 1
        elif not sample["prediction"].strip():
            left_out["the teacher did not answer"] += 1
        else:
            answers[sample["item_id"]] = sample["prediction"].strip()
    for reason, count in left_out.items():
        reporter.note(f"left out: {count} answers that {reason}")
    if not answers:
        raise InputError(
            f"{settings.teacher} ended no answer to {settings.data.data}, split {settings.data.split}: see {run}"
        )
    return answers


def _made_now(settings: TrainingSettings, work: Path, reporter: Reporter) -> Path:
    data = settings.data
    asked = eval_settings(
        model=settings.teacher or "",
        **_asked_of(data),
        metrics=("token_f1",),
        max_tokens=settings.method.max_new_tokens,
    )
    run, file = work / FOLDER, work / f"{FOLDER}.json"
    file.write_text(json.dumps(written(asked), indent=1, allow_nan=False) + "\n", encoding="utf-8")
    reporter.note(f"asking the teacher for its answers to {data.data}, split {data.split}")
    # A process of its own: an engine binds threads and memory that training wants back.
    words = ["-m", "telbench", "eval", "--config", str(file), "--out", str(run)]
    done = subprocess.run([sys.executable, *words], stdout=subprocess.DEVNULL, check=False)
    if done.returncode:
        raise InputError(f"the teacher's answers could not be made (exit code {done.returncode}); see {run}")
    return run


def _asked_of(data: DataSettings) -> dict[str, Any]:
    """The keys that a run shares with a training's data."""
    shared = settings_in(EvalSettings)
    return {name: value for name, value in written(data, whole=True).items() if name in shared}


def _given(settings: TrainingSettings) -> Path:
    """The run that the settings name, if this teacher made it on these questions.

    Raises:
        InputError: if it did not.
    """
    run = Path(settings.teacher_run or "")
    header, checkpoint = read_run(run), open_checkpoint(settings.teacher or "")
    if header["model"]["weights_sha256"] != identify_checkpoint(checkpoint, None).weights_sha256:
        raise InputError(f"{run} is a run of {header['model']['name']}, not of {checkpoint.path}: name its own")
    if header["data"]["split"] != settings.data.split:
        raise InputError(f"{run} answers the split '{header['data']['split']}', not '{settings.data.split}'")
    return run
