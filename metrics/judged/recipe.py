"""What every judged metric shares: the rubric, passages and texts that the judge is shown, and the panel's mean."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean
from typing import Any, TypeVar

from telbench.errors import InputError

from ...judges.chat import writable
from ...judges.contract import JudgeTask
from ...judges.material import alternatives, numbered
from ...judges.panel import Judgement, JudgePanel
from ...judges.records import recorded_verdict
from ...judges.rubric import Rubric, joint_rubric, load_rubric, read_rubric
from ...judges.schemas import MOST_PASSAGES
from ...judges.verdicts import Missing, Verdict, part_of
from ..contract import ItemScore, Metric, MetricRecipe, Resources, Sample, missing
from ..embedding.encoder import TextEncoder, open_encoder

# Characters below which a passage takes in the next paragraph or sentence.
SHORTEST = 160
_PARAGRAPH = re.compile(r"\s*\n\s*")
_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[^\sa-z])|(?<=[。！？])\s*")
V = TypeVar("V", bound=Verdict)
EMPTY = "empty answer"
# Raise when a judge is shown the same sample, or its verdict read, in another way that no rubric's hash tells.
VERSION = 3
# The rubrics whose verdicts one reply may hold together.
JOINT = ("factual_correctness", "faithfulness", "rubric_score")
# What a sample has to have for a field of the rubric; a question may be blank.
_SOURCES = {"reference": "references", "context": "context", "passages": "context"}


def passages_of(context: str, most: int = MOST_PASSAGES) -> tuple[str, ...]:
    """At most ``most`` passages that together are the context, white space apart; none for a blank one.

    Each but the last has at least `SHORTEST` characters and at least its share of the text. A paragraph of up to twice
    that is kept whole; a longer one is cut after sentences, and a sentence never.

    >>> [len(passage) for passage in passages_of("One sentence of some length. " * 40)]
    [173, 173, 173, 173, 173, 173, 115]
    """
    paragraphs = [text for text in _PARAGRAPH.split(context.strip()) if text]
    least = max(SHORTEST, -(-sum(map(len, paragraphs)) // most))
    passages, parts, size = [], [], 0
    for text, separator in _units(paragraphs, 2 * least):
        parts += [text, separator]
        size += len(text)
        if size >= least:
            passages.append("".join(parts).strip())
            parts, size = [], 0
    if parts:
        passages.append("".join(parts).strip())
    return tuple(passages)


def _units(paragraphs: list[str], longest: int) -> Iterator[tuple[str, str]]:
    """What is never cut, each with the white space that follows it."""
    for paragraph in paragraphs:
        sentences = [paragraph] if len(paragraph) <= longest else [s for s in _SENTENCE.split(paragraph) if s]
        yield from ((sentence, " ") for sentence in sentences[:-1])
        yield sentences[-1], "\n"


@dataclass(frozen=True)
class JudgedRecipe:
    """A metric that rests on one verdict a sample and judge.

    ``read`` turns verdicts, each with its sample, into scores of one judge; it is given the encoder where the
    metric needs one. ``decide`` gives the score of a sample that needs no judge, such as one with an empty answer.
    ``rubric`` names the default, which a file of the user's own of the same kind may replace; the metric then needs
    what that file's fields need. ``options`` are those beside judge, rubric and encoder, and ``version`` is raised
    where this metric alone reads a sample otherwise.
    """

    name: str
    rubric: str
    range: tuple[float, float]
    description: str
    decide: Callable[[Sample], ItemScore | None]
    read: Callable[[Sequence[tuple[Sample, Verdict]], TextEncoder | None], Sequence[ItemScore]]
    needs: frozenset[str]
    options: Callable[[JudgePanel | None], Mapping[str, str]] = field(default=lambda panel: {})
    version: int = VERSION

    def registered(self) -> MetricRecipe:
        """As the registry holds it."""
        alone = None if "encoder" in self.needs else self.recorded
        return MetricRecipe(self.name, "judged", self.range, self.needs | {"judge"}, self.build, alone)

    def recorded(self, record: Mapping[str, Any]) -> float | None:
        """What one judge's record, as ``judgements.jsonl`` keeps it, gives by itself; None without a verdict."""
        rubric = load_rubric(self.rubric)
        verdict = part_of(recorded_verdict(rubric, record), rubric.kind)
        if isinstance(verdict, Missing):
            return None
        (score,) = self.read([(Sample("", ""), verdict)], None)
        return score.value

    def build(self, resources: Resources) -> Metric:
        """The metric. Raises `InputError` for an unusable rubric or encoder."""
        rubric, panel = rubric_of(self.rubric, resources), resources.judge
        together = [rubric_of(name, resources) for name in JOINT] if resources.joint and self.rubric in JOINT else []
        signed = joint_rubric(together) if together else rubric
        encoder = None
        if "encoder" in self.needs and resources.encoder is not None:
            encoder = open_encoder(resources.encoder, resources.layer)
        lacking = None if panel else resources.no_judge
        if lacking is None and "encoder" in self.needs and encoder is None:
            lacking = resources.absent

        def decided(sample: Sample) -> ItemScore | None:
            return _absent_input(rubric, sample) or self.decide(sample)

        def asked(sample: Sample) -> JudgeTask:
            # Equal for all metrics of one reply; a rubric whose fields the sample lacks is no part of it.
            parts = [each for each in together if _absent_input(each, sample) is None]
            return task(joint_rubric(parts) if len(parts) > 1 else rubric, sample)

        def judge_tasks(sample: Sample) -> tuple[JudgeTask, ...]:
            return () if lacking or decided(sample) else (asked(sample),)

        def score_batch(samples: Sequence[Sample]) -> list[ItemScore]:
            if panel is None or lacking:
                return [missing(lacking or resources.no_judge) for _ in samples]
            scores = {index: score for index, sample in enumerate(samples) if (score := decided(sample))}
            judged = [index for index in range(len(samples)) if index not in scores]
            judgements = [
                [replace(judgement, verdict=part_of(judgement.verdict, rubric.kind)) for judgement in own]
                for own in panel.judge_all([asked(samples[index]) for index in judged])
            ]
            wanted = [
                (samples[index], judgement.verdict)
                for index, own in zip(judged, judgements, strict=True)
                for judgement in own
                if not isinstance(judgement.verdict, Missing)
            ]
            read = iter(self.read(wanted, encoder))
            for index, own in zip(judged, judgements, strict=True):
                scores[index] = panel_score(
                    own, [None if isinstance(judgement.verdict, Missing) else next(read) for judgement in own]
                )
            return [scores[index] for index in range(len(samples))]

        options = {"judge": panel.name if panel else "none", "rubric": signed.sha256[:12], **self.options(panel)}
        if together:
            options["joint"] = "yes"
        if panel and panel.repeats > 1:
            options["repeats"] = str(panel.repeats)
        if "encoder" in self.needs:
            options["encoder"] = encoder.sha256[:12] if encoder else "none"
            options["pooling"] = encoder.pooling if encoder else "none"
        return Metric(
            name=self.name,
            family="judged",
            range=self.range,
            higher_is_better=True,
            needs=self.needs & {"encoder"} | {"judge"} | {_SOURCES[name] for name in rubric.fields if name in _SOURCES},
            level="item",
            description=self.description,
            score_batch=score_batch,
            options=options,
            version=self.version,
            judge_tasks=judge_tasks,
        )


def rubric_of(name: str, resources: Resources) -> Rubric:
    """The user's own rubric in place of ``name``, else telbench's. Raises `InputError` for one of another kind."""
    default = load_rubric(name)
    if name not in resources.rubrics:
        return default
    own = read_rubric(resources.rubrics[name])
    if own.kind != default.kind:
        raise InputError(
            f"{resources.rubrics[name]}: '{name}' needs a rubric with 'verdict: {default.kind}', not '{own.kind}'"
        )
    return own


def task(rubric: Rubric, sample: Sample) -> JudgeTask:
    """What is put to a judge: equal for all metrics that use the same rubric, so that it is asked once."""
    passages: tuple[str, ...] = ()
    if "passages" in rubric.fields:
        passages = sample.passages[:MOST_PASSAGES] or passages_of(sample.context or "")
    shown: Mapping[str, Callable[[], str]] = {
        "question": lambda: writable(sample.question.strip()),
        "context": lambda: writable((sample.context or "").strip()),
        "reference": lambda: alternatives(sample.references),
        "answer": lambda: writable(sample.prediction.strip()),
        "passages": lambda: numbered(passages),
    }
    material = {name: shown[name]() for name in rubric.fields}
    return JudgeTask(rubric, material, sample.item_id, len(passages) or None)


def panel_score(judgements: Sequence[Judgement], scores: Sequence[ItemScore | None]) -> ItemScore:
    """The mean over the judges, None being no verdict; a judge that was asked several times counts by its own mean.

    A judge that gave no verdict makes the item missing, for otherwise its value would depend on which judge failed; so
    does one to whose verdict the metric does not apply. Where several sit on the panel the reason names the judge. Of
    a judge's repeats one that has a value is enough: they are draws of one quantity, and those without are noted.
    """
    keys = tuple(judgement.key for judgement in judgements)
    by_judge: dict[str, list[tuple[Judgement, ItemScore | None]]] = {}
    for judgement, score in zip(judgements, scores, strict=True):
        by_judge.setdefault(judgement.judge, []).append((judgement, score))
    means, failed, absent = list[float](), list[str](), list[tuple[str, str | None]]()
    for name, own in by_judge.items():
        values = [score.value for _, score in own if score is not None and score.value is not None]
        given = next((score for _, score in own if score is not None), None)
        if values:
            means.append(fmean(values))
        elif given is not None:
            absent.append((name, given.reason))
        else:
            reason = next(each.verdict.reason for each, _ in own if isinstance(each.verdict, Missing))
            failed.append(f"judge {name}: {reason}" if len(by_judge) > 1 else f"judge: {reason}")
    if failed:
        return ItemScore(None, "; ".join(failed), judgements=keys, judge_failed=True)
    if absent:
        agreed = len(absent) == len(by_judge) and len({reason for _, reason in absent}) == 1
        told = [str(reason) if agreed else f"judge {name}: {reason}" for name, reason in absent]
        return ItemScore(None, told[0] if agreed else "; ".join(told), judgements=keys)
    notes = dict.fromkeys(score.reason for score in scores if score and score.value is not None and score.reason)
    repeats = _by_repeat(judgements, scores)
    if lacking := sum(value is None for value in repeats):
        notes[f"{lacking} of {len(repeats)} repeats lack a value"] = None
    told_notes = "; ".join(filter(None, notes)) or None
    return ItemScore(fmean(means), told_notes, judgements=keys, repeats=repeats)


def _by_repeat(judgements: Sequence[Judgement], scores: Sequence[ItemScore | None]) -> tuple[float | None, ...]:
    """The panel's mean by each time that it was asked; none where it was asked once."""
    columns: dict[int, list[float | None]] = {}
    for judgement, score in zip(judgements, scores, strict=True):
        columns.setdefault(judgement.repeat, []).append(None if score is None else score.value)
    if len(columns) < 2:
        return ()
    known = ([value for value in column if value is not None] for column in columns.values())
    return tuple(
        fmean(own) if len(own) == len(column) else None for own, column in zip(known, columns.values(), strict=True)
    )


def each(
    kind: type[V], score: Callable[[V], ItemScore]
) -> Callable[[Sequence[tuple[Sample, Verdict]], TextEncoder | None], list[ItemScore]]:
    """A ``read`` for metrics that look at one verdict after the other."""

    def read(pairs: Sequence[tuple[Sample, Verdict]], encoder: TextEncoder | None) -> list[ItemScore]:
        return [score(verdict) for verdict in verdicts(kind, pairs)]

    return read


def verdicts(kind: type[V], pairs: Iterable[tuple[Sample, Verdict]]) -> list[V]:
    """The verdicts alone, which the rubric's kind has made of one type."""
    return [verdict for _, verdict in pairs if isinstance(verdict, kind)]


def empty_scores(value: float) -> Callable[[Sample], ItemScore | None]:
    """A ``decide`` by which an empty answer scores ``value``, with a note: it is wrong and not unmeasured."""
    return lambda sample: None if sample.prediction.strip() else ItemScore(value, EMPTY)


def _absent_input(rubric: Rubric, sample: Sample) -> ItemScore | None:
    if "reference" in rubric.fields and not alternatives(sample.references):
        return missing("no reference")
    if {"context", "passages"} & set(rubric.fields) and not (sample.context or "").strip():
        return missing("no context")
    return None
