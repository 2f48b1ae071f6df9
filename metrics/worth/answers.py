"""Answers of known worth to one's own questions: right ones, wrong ones by rule, those of other questions, none."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..anchors import FEW_VALUES, SEED
from ..contract import Sample
from ..near_misses import RESTATED, Kind, near_miss, near_misses, restated

ANOTHER = "another reference"
# Draws of another item before one is left without.
_TRIES = 20


@dataclass(frozen=True)
class Answers:
    """Samples of each sort, all held against one reference of their item, the first.

    ``right`` says it in other words (``right_from`` tells whose), ``itself`` word for word, ``unrelated`` is another
    item's reference, ``empty`` says nothing. ``wrong`` are the reference with one fact made wrong, one an item;
    ``by_kind`` has all of each kind. ``wrong_wording`` is the right answer with one fact made wrong, so that it is
    further from the reference than ``right`` by the fact alone. ``half`` and ``longer`` are the first half of a right
    answer, and a right answer with another item's after it: they only spread the values.
    """

    right_from: str | None
    right: tuple[Sample, ...]
    itself: tuple[Sample, ...]
    unrelated: tuple[Sample, ...]
    empty: tuple[Sample, ...]
    wrong: tuple[Sample, ...]
    by_kind: dict[Kind, tuple[Sample, ...]]
    wrong_wording: tuple[Sample, ...]
    half: tuple[Sample, ...]
    longer: tuple[Sample, ...]

    @property
    def spread(self) -> tuple[Sample, ...]:
        """The answers over which metrics are correlated: all sorts but the empty ones."""
        sorts = (self.right, self.itself, self.unrelated, self.wrong, self.wrong_wording, self.half, self.longer)
        return tuple(sample for sort in sorts for sample in sort)

    @property
    def every(self) -> tuple[Sample, ...]:
        """All that a metric has to score, some of it several times."""
        return (*self.spread, *self.empty, *(sample for samples in self.by_kind.values() for sample in samples))


def answers_to(items: Sequence[Sample], seed: int = SEED) -> Answers:
    """The answers that the items' own references give; items without a reference give none.

    Right answers are second references. Where fewer than ten items have one, they are the reference in other words by
    rule, which are nearer to it than people's.
    """
    usable = [
        replace(sample, references=tuple(text for text in sample.references if text.strip()), prediction="")
        for sample in items
    ]
    usable = [sample for sample in usable if sample.references]
    draw = random.Random(f"worth:{seed}")
    second = [(sample, sample.references[1]) for sample in usable if len(sample.references) > 1]
    said = [(sample, text) for sample in usable if (text := restated(sample.references[0])) is not None]
    pairs, right_from = (second, ANOTHER) if len(second) >= FEW_VALUES else (said, RESTATED)
    by_kind: dict[Kind, list[Sample]] = {}
    wrong, other, longer = [], [], []
    for sample in usable:
        first = sample.references[0]
        for kind, text in near_misses(first, sample.question, sample.references, seed).items():
            by_kind.setdefault(kind, []).append(_answer(sample, text))
        if drawn := near_miss(first, sample.question, sample.references, seed):
            wrong.append(_answer(sample, drawn[1]))
        if (text := _unrelated(sample, usable, draw)) is not None:
            other.append(_answer(sample, text))
            longer.append(_answer(sample, f"{sample.references[-1]} {text}"))
    wording = [
        _answer(sample, drawn[1])
        for sample, text in pairs
        if (drawn := near_miss(text, sample.question, sample.references, seed))
    ]
    return Answers(
        right_from=right_from if pairs else None,
        right=tuple(_answer(sample, text) for sample, text in pairs),
        itself=tuple(_answer(sample, sample.references[0]) for sample in usable),
        unrelated=tuple(other),
        empty=tuple(_answer(sample, "") for sample in usable),
        wrong=tuple(wrong),
        by_kind={kind: tuple(samples) for kind, samples in by_kind.items()},
        wrong_wording=tuple(wording),
        half=tuple(_answer(sample, _half(text)) for sample, text in pairs),
        longer=tuple(longer),
    )


def _answer(sample: Sample, text: str) -> Sample:
    return replace(sample, prediction=text, references=sample.references[:1])


def _half(text: str) -> str:
    words = text.split()
    return " ".join(words[: (len(words) + 1) // 2])


def _unrelated(sample: Sample, items: Sequence[Sample], draw: random.Random) -> str | None:
    """A reference of an item of another document (of any other, where all are of one)."""
    own = {text.casefold() for text in sample.references}
    document = sample.cluster_id or sample.item_id
    spare = None
    for _ in range(_TRIES):
        other = items[draw.randrange(len(items))]
        if own & {text.casefold() for text in other.references}:
            continue
        if (other.cluster_id or other.item_id) != document:
            return other.references[0]
        spare = spare or other.references[0]
    return spare
