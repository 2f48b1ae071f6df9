"""Accuracy of the choices that answers name: the headline, and how much of it depends on how an answer is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set

from ..contract import ItemScore, Metric, Sample
from .copies import first_equals
from .reading import Reading, read_answer

NO_CHOICE = "no choice recognised in the answer"
SEVERAL = "several different conclusions"
CONTRADICTED = "the label contradicts the option text beside it"
# Which of two readings is right, as it ends the reason of a score.
FIRST_RIGHT, LAST_RIGHT, LABEL_RIGHT, TEXT_RIGHT, NEITHER = (
    "the first is right",
    "the last is right",
    "the label is right",
    "the text is right",
    "neither is right",
)


def chance(sample: Sample) -> float:
    """The accuracy of guessing: one of the different options, or one of their sets where several are right.

    >>> chance(Sample("a", "", choices=("UE", "gNB", "AMF", "UE"), answer=(1,)))
    0.3333333333333333
    """
    different = len(set(first_equals(tuple(sample.choices))))
    return 1 / different if len(sample.answer) < 2 else 1 / (2**different - 1)


def _metric(name: str, description: str, read: Callable[[Reading], frozenset[int] | None], reading: str) -> Metric:
    def score(sample: Sample) -> ItemScore:
        equals = first_equals(tuple(sample.choices))
        right = {equals[index] for index in sample.answer}
        found = read_answer(sample.prediction, sample.choices, sample.shown_choices)
        named = read(found)
        if named is None:
            # The checkpoint did answer, only not with a choice: wrong, and the reason stays with the score.
            return ItemScore(0.0, NO_CHOICE)
        return ItemScore(float(named == right), _doubt(found, right))

    return Metric(
        name=name,
        family="choice",
        range=(0, 1),
        higher_is_better=True,
        needs=frozenset({"choices"}),
        level="item",
        description=description,
        score_batch=lambda samples: [score(sample) for sample in samples],
        options={"parse": "copy-or-label", "reading": reading, "unparsed": "wrong"},
        version=3,
        chance=chance,
        readings=by_reading if name == "choice_accuracy" else None,
        says=lambda sample: read(read_answer(sample.prediction, sample.choices, sample.shown_choices)),
    )


def _doubt(found: Reading, right: Set[int]) -> str | None:
    """Why the answer can be read in two ways, and which of them is right."""
    if found.several:
        verdict = FIRST_RIGHT if found.first == right else LAST_RIGHT if found.named == right else NEITHER
        return f"{SEVERAL}, {verdict}"
    if found.contradicted:
        verdict = LABEL_RIGHT if found.named == right else TEXT_RIGHT if found.by_text == right else NEITHER
        return f"{CONTRADICTED}, {verdict}"
    return None


def by_reading(value: float, n: int, notes: Mapping[str, int]) -> dict[str, float]:
    """choice_accuracy under the other readings, from its value and the counted reasons of ``n`` scores.

    Empty where no answer can be read in two ways. ``first``: of several different conclusions the first counts;
    ``text``: an option text counts before the label that it contradicts.

    >>> by_reading(0.25, 4, {"several different conclusions, the first is right": 2})
    {'first': 0.75}
    """
    others = {
        "first": (f"{SEVERAL}, {FIRST_RIGHT}", f"{SEVERAL}, {LAST_RIGHT}"),
        "text": (f"{CONTRADICTED}, {TEXT_RIGHT}", f"{CONTRADICTED}, {LABEL_RIGHT}"),
    }
    return {
        reading: value + (notes.get(gained, 0) - notes.get(lost, 0)) / n
        for reading, (gained, lost) in others.items()
        if notes.get(gained) or notes.get(lost)
    }


choice_accuracy = _metric(
    "choice_accuracy",
    "1 when the answer names exactly the right choices, else 0; an answer that names none is wrong. Of several "
    "different conclusions the last one counts; of a label and an option text that contradict each other, the label.",
    lambda reading: reading.named,
    "last-label",
)
choice_first = _metric(
    "choice_first",
    "choice_accuracy where the first of several different conclusions counts, not the last.",
    lambda reading: reading.first,
    "first-label",
)
choice_by_text = _metric(
    "choice_by_text",
    "choice_accuracy where an option text that contradicts the label beside it counts, not the label.",
    lambda reading: reading.by_text,
    "last-text",
)
