"""A small study for the demo: teachers, a student alone, KD, and DSKD on both vocabularies, evaluated alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from ..harness.reporter import Reporter
from ..judges.errors import TelbenchError
from .study import StudyRun, opened_study
from .study_settings import read_study

PRESET = "demo"
# From the least to the most taught; a label is preset's own, the seed follows it where one counts.
ORDER = ("base-student", "alone-student", "same-vanilla_kd", "same-dskd", "different-dskd", "sft-teacher")


@dataclass(frozen=True)
class SliceRun:
    """One model of the slice: its name on tables, its checkpoint, its run; ``made_now`` false where it was found."""

    name: str
    checkpoint: str
    run: str
    made_now: bool


def make_slice(
    out: Path,
    reporter: Reporter,
    *,
    seed: int = 0,
    engine: Literal["auto", "vllm", "transformers"] = "auto",
    metrics: str | None = None,
    encoder: str | None = None,
    slots: Sequence[Mapping[str, str]] = ({},),
) -> list[SliceRun]:
    """Make the slice at ``out``, or what is missing of it; runs from the base student to the teachers.

    Raises:
        InputError: for a folder that cannot be used. TelbenchError: when an artefact could not be made, naming the log.
        KeyboardInterrupt: on Ctrl-C; the next call goes on.
    """
    preset = read_study(PRESET)
    asked = replace(preset.evaluation, engine=engine, encoder=encoder, metrics=metrics or preset.evaluation.metrics)
    settings = replace(preset, factors=replace(preset.factors, seed=(seed,)), evaluation=asked)
    with opened_study(settings, out) as study:
        run = StudyRun(study, reporter, slots)
        before = run.done
        outcome = run.make()
        if outcome.failures:
            first = outcome.failures[0]
            raise TelbenchError(f"{first.label} could not be made: {first.reason} (see {first.log})")
        graph, folder = study.graph, study.folder
        made = [
            SliceRun(
                str(each.settings["name"]),
                str(folder.path(graph.artefacts[each.inputs["model"]])),
                str(folder.path(each)),
                each.sha256 not in before,
            )
            for each in graph
            if each.kind == "run"
        ]
    return sorted(made, key=lambda one: next(k for k, start in enumerate(ORDER) if one.name.startswith(start)))
