"""Sequence-level distillation's data: what the teacher answers to the training questions, made once.

The answers are a telbench run of the teacher on the training split: it has a journal, so that nothing is asked twice
after a kill, and its shared cache serves the next student. Source: Kim and Rush, Sequence-Level Knowledge Distillation,
2016 (arXiv 1606.07947).
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from ..harness.engines.base import Sampling
from ..harness.evaluate import evaluate
from ..harness.plan import EvalSettings
from ..harness.reporter import Reporter
from ..harness.runs import read_samples
from ..judges.errors import InputError
from .settings import TrainingSettings

FOLDER = "teacher-answers"


def teacher_answers(settings: TrainingSettings, work: Path, reporter: Reporter) -> dict[str, str]:
    """The teacher's greedy answer by item id; those it did not end, and empty ones, are left out and told.

    Raises:
        InputError: without a teacher, or when it ended no answer.
    """
    if settings.teacher is None:
        raise InputError("seq_kd needs a teacher: name its checkpoint folder")
    data = settings.data
    run = evaluate(
        EvalSettings(
            model=settings.teacher,
            data=data.data,
            split=data.split,
            data_dir=data.data_dir,
            mapping=data.mapping,
            options=data.options,
            book=data.context,
            metrics=("token_f1",),
            sampling=Sampling(max_tokens=settings.method.max_new_tokens),
            out=work / FOLDER,
        ),
        reporter,
    )
    answers: dict[str, str] = {}
    left_out: Counter[str] = Counter()
    for sample in read_samples(run.path):
        if sample["finish_reason"] != "stop":
            left_out["the teacher did not end"] += 1
        elif not sample["prediction"].strip():
            left_out["the teacher did not answer"] += 1
        else:
            answers[sample["item_id"]] = sample["prediction"].strip()
    for reason, count in left_out.items():
        reporter.note(f"left out: {count} answers that {reason}")
    if not answers:
        raise InputError(f"{settings.teacher} ended no answer to {data.data}, split {data.split}: see {run.path}")
    return answers
