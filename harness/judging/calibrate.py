"""Ask judges what labelled answers are worth, so that their verdicts can be held against the labels."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ...judges.calibration.calibrate import Calibration, JudgeAnswers, JudgeValues, calibrate
from ...judges.calibration.injection import InjectionEffect, idle_answer, injection_effect
from ...judges.calibration.labelled import Injection, Label
from ...judges.chat import writable
from ...judges.contract import JudgeTask
from ...judges.material import alternatives
from ...judges.panel import JudgePanel
from ...judges.rubric import Rubric, joint_rubric, load_rubric, read_rubric
from ...judges.verdicts import ClaimVerdicts, Faithfulness, Missing, RubricScore, Verdict, part_of
from ..cli.terminal import Meter

NOT_LABELLED = "not labelled"
# The rubrics that `measures` uses.
CALIBRATED = ("rubric_score", "factual_correctness", "faithfulness")


@dataclass(frozen=True)
class _Measure:
    """One thing that is labelled: its rubric, which label it has, and what a verdict says of it.

    Right or wrong is a label of the score too. ``together`` are all rubrics of one reply, where they are asked for in
    one.
    """

    name: str
    rubric: Rubric
    label: Callable[[Label], float | None]
    value: Callable[[Verdict], float | None]
    together: tuple[Rubric, ...] = ()

    @property
    def sha256(self) -> str:
        """The hash that metrics of these verdicts carry in their signatures."""
        return (joint_rubric(self.together) if self.together else self.rubric).sha256


def measures(rubrics: Mapping[str, Path], *, joint: bool = False) -> tuple[_Measure, ...]:
    """Rubric score, factual F1 and faithfulness, by telbench's rubrics or the user's own of the same names.

    ``joint``: in one reply.
    """

    def rubric(name: str) -> Rubric:
        return read_rubric(rubrics[name]) if name in rubrics else load_rubric(name)

    found = (
        _Measure("score", rubric("rubric_score"), lambda label: label.verdict, _score_of),
        _Measure("factual", rubric("factual_correctness"), lambda label: label.factual, _factual),
        _Measure("faithfulness", rubric("faithfulness"), lambda label: label.faithfulness, _faithful),
    )
    together = tuple(measure.rubric for measure in found) if joint else ()
    return tuple(replace(measure, together=together) for measure in found)


def calibrated_panel(
    panels: Sequence[JudgePanel],
    labels: Sequence[Label],
    rubrics: Mapping[str, Path],
    meter: Meter,
    *,
    joint: bool = False,
    seed: int = 0,
) -> Calibration:
    """Judge every label on all that it is labelled for, and hold the verdicts against the labels.

    ``panels`` are the same judges with other seeds: the first gives the verdicts, the others repeat them under prompts
    with other delimiters. Raises like `JudgePanel.ask`; what was answered by then is in the ledger.
    """
    chosen = measures(rubrics, joint=joint)
    for panel in panels:
        panel.ask(lambda: _tasks(chosen, labels), lambda judge: meter.advance(1, judge))
    answers = []
    for index, identity in enumerate(panels[0].identities):
        given = {measure.name: _values_of_judge(measure, labels, panels, index) for measure in chosen}
        answers.append(JudgeAnswers(identity.name, given["score"], given["factual"], given["faithfulness"]))
    return calibrate(labels, answers, seed)


def count_tasks(labels: Sequence[Label], rubrics: Mapping[str, Path], *, joint: bool = False) -> int:
    """How many verdicts one judge is asked for once."""
    return sum(1 for _ in _tasks(measures(rubrics, joint=joint), labels))


def injected_panel(
    panel: JudgePanel,
    injections: Sequence[Injection],
    rubrics: Mapping[str, Path],
    meter: Meter,
    *,
    joint: bool = False,
) -> dict[str, InjectionEffect]:
    """By judge: what attempts to steer it did to the rubric score, paired with the same answers without them.

    Each is judged a third time with idle text in the attempt's place.
    """
    measure = measures(rubrics, joint=joint)[0]
    rubric = joint_rubric(measure.together) if joint else measure.rubric

    def tasks() -> Iterator[JudgeTask]:
        for each in injections:
            for answer in (each.base_answer, each.answer, idle_answer(each)):
                yield _task(rubric, each.question, each.reference, each.context, answer, each.id)

    panel.ask(tasks, lambda judge: meter.advance(1, judge))
    scores = [
        [_score_of(part_of(judgement.verdict, measure.rubric.kind)) for judgement in panel.known(task)]
        for task in tasks()
    ]
    effects = {}
    for index, identity in enumerate(panel.identities):
        base, attacked, idle = ([row[index] for row in scores[kind::3]] for kind in range(3))
        effects[identity.name] = injection_effect(injections, base, attacked, idle)
    return effects


def _tasks(chosen: Sequence[_Measure], labels: Sequence[Label]) -> Iterator[JudgeTask]:
    for label in labels:
        for measure in chosen:
            if _why_not_asked(measure, label) is None:
                yield _label_task(measure, label)


def _label_task(measure: _Measure, label: Label) -> JudgeTask:
    # As for a run's items: a rubric whose fields are not there is no part of the reply.
    parts = [rubric for rubric in measure.together if _absent_field(rubric, label) is None]
    rubric = joint_rubric(parts) if len(parts) > 1 else measure.rubric
    return _task(rubric, label.question, label.reference, label.context, label.answer, label.id)


def _task(
    rubric: Rubric, question: str, reference: str | None, context: str | None, answer: str, name: str
) -> JudgeTask:
    material = {
        "question": writable(question),
        "reference": alternatives((reference,)) if reference else "",
        "context": writable(context or ""),
        "answer": writable(answer.strip()),
    }
    return JudgeTask(rubric, {field: material[field] for field in rubric.fields}, name)


def _why_not_asked(measure: _Measure, label: Label) -> str | None:
    """Why a label says nothing of a measure, or a judge cannot be asked."""
    if measure.label(label) is None:
        return NOT_LABELLED
    return _absent_field(measure.rubric, label)


def _absent_field(rubric: Rubric, label: Label) -> str | None:
    for field in rubric.fields:
        if field in ("reference", "context") and not getattr(label, field):
            return f"no {field}"
    return None


def _values_of_judge(
    measure: _Measure, labels: Sequence[Label], panels: Sequence[JudgePanel], index: int
) -> JudgeValues | None:
    """What one judge of the panels says of every label; None where nothing is labelled."""
    if all(measure.label(label) is None for label in labels):
        return None
    columns: list[list[float | None]] = []
    reasons: list[str | None] = []
    for panel in panels:
        column: list[float | None] = []
        for label in labels:
            value, reason = None, _why_not_asked(measure, label)
            if reason is None:
                verdict = part_of(panel.known(_label_task(measure, label))[index].verdict, measure.rubric.kind)
                if isinstance(verdict, Missing):
                    reason = f"judge: {verdict.reason}"
                elif (value := measure.value(verdict)) is None:
                    reason = "no claims found"
            column.append(value)
            if panel is panels[0]:
                reasons.append(reason)
        columns.append(column)
    return JudgeValues(columns[0], reasons, columns[1:])


def _score_of(verdict: Verdict | Missing) -> float | None:
    if not isinstance(verdict, RubricScore):
        return None
    return float(verdict.score) if verdict.weighted is None else verdict.weighted


def _factual(verdict: Verdict) -> float | None:
    return verdict.f1 if isinstance(verdict, ClaimVerdicts) else None


def _faithful(verdict: Verdict) -> float | None:
    return verdict.share if isinstance(verdict, Faithfulness) else None
