"""Answers that are a label, or several: a root cause, a working group."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Hashable, Sequence
from functools import lru_cache
from typing import NamedTuple

from ..contract import ItemScore, Sample, missing
from .conclusion import answer_part, blocks, boxed, concluded
from .forms import misfit, value_metric
from .numbers import plain

NO_LABEL = "no label recognised in the answer"
SEVERAL_LABELS = "several labels named, and none concluded"
NO_LABEL_IN_REFERENCE = "the reference holds no label"
_OBJECT = re.compile(r"\{[^{}]{1,2000}\}")
_KEY = re.compile(r"answer|label|cause|group|class|categor|result|fault|final", re.IGNORECASE)
_PARTS = re.compile(r"\s*(?:[,;|/&+]|\band\b)\s*")
_EDGES = " \t\n.:;!?\"'()[]{}*_`"
_FRAMED = re.compile(r"([A-Za-z]*)[\s_-]?(\d+)")


class Labels(NamedTuple):
    """What an answer names, in the spelling of the known labels, and a note where that is nothing."""

    named: frozenset[str]
    note: str | None = None


def read_labels(prediction: str, known: Sequence[str] = ()) -> Labels:
    r"""The labels that an answer comes to.

    The first of these that names one decides: the last JSON object, the last LaTeX box, what follows the last "the
    answer is", the whole answer where it names a single label. ``known`` are the labels that there are: case, blanks
    and hyphens within them do not count, and where all are letters and a number (C1 to C8) the number alone will do in
    a box. Without known labels the text of the conclusion itself is the label, parted at commas.

    >>> sorted(read_labels(r"C1 or C2? \boxed{C3}", ("C1", "C2", "C3")).named)
    ['C3']
    >>> groups = ("RAN1", "SA2")
    >>> sorted(read_labels('{"WORKING GROUP": "ran 1"}', groups).named), read_labels("SA2, RAN1", groups).note
    (['RAN1'], 'several labels named, and none concluded')
    """
    text = answer_part(prediction)
    box, told = boxed(text), _of_object(text)
    asked = [*([] if told is None else [(told, True)]), *([] if box is None else [(box, True)])]
    asked += [(said, False) for said in reversed(concluded(text))] if box is None else []
    for said, bare in asked:
        named = _known_in(said, known, bare=bare) if known else _parts(said)
        if named:
            return Labels(named)
    if box is not None:
        # What stands in the box is the answer: a label elsewhere is none.
        return Labels(frozenset(), NO_LABEL)
    named = _known_in(text, known, bare=len(text.strip()) <= 2) if known else _parts(text)
    if not named:
        return Labels(frozenset(), NO_LABEL)
    if known and len(named) > 1:
        return Labels(frozenset(), SEVERAL_LABELS)
    return Labels(named)


def _of_object(text: str) -> str | None:
    """What the last JSON object of a text answers, fenced ones first; None without an object.

    That is the last value whose key speaks of an answer (`_KEY`), else all values, joined by commas.
    """
    inside = [block.text for block in blocks(text)] or [text]
    for part in (*reversed(inside), text):
        for match in reversed(list(_OBJECT.finditer(part))):
            try:
                value = json.loads(match[0])
            except (ValueError, RecursionError):
                continue
            if isinstance(value, dict) and value:
                named = [each for key, each in value.items() if _KEY.search(key)]
                told = named[-1:] or list(value.values())
                listed = [each for single in told for each in (single if isinstance(single, list) else [single])]
                return ", ".join(str(each) for each in listed if isinstance(each, str | int))
    return None


def _parts(text: str) -> frozenset[str]:
    """The texts between commas, without case and marks: labels where nobody says which there are."""
    line = next((line for line in plain(text).splitlines() if line.strip()), "")
    return frozenset(part for each in _PARTS.split(line.casefold()) if (part := each.strip(_EDGES)))


@lru_cache(maxsize=64)
def _spellings(known: tuple[str, ...]) -> tuple[re.Pattern[str], dict[str, str]]:
    """A pattern of all labels, longer ones first, and the label by its spelling without case, blanks and hyphens."""
    words = sorted(known, key=lambda label: (-len(label), label))
    spelt = [r"[\s_-]?".join(map(re.escape, re.findall(r"[A-Za-z]+|\d+|[^\sA-Za-z\d_-]", label))) for label in words]
    pattern = re.compile(rf"(?<![A-Za-z0-9_])(?:{'|'.join(spelt)})(?![A-Za-z0-9_])", re.IGNORECASE)
    return pattern, {_bare(label): label for label in known}


def _bare(label: str) -> str:
    return re.sub(r"[\s_-]", "", label).casefold()


def _known_in(text: str, known: Sequence[str], *, bare: bool) -> frozenset[str]:
    pattern, by_spelling = _spellings(tuple(known))
    text = plain(text)
    named = frozenset(
        by_spelling[_bare(match[0])] for match in pattern.finditer(text) if _bare(match[0]) in by_spelling
    )
    if named or not bare:
        return named
    framed = [_FRAMED.fullmatch(label) for label in known]
    if not all(framed) or len({match[1] for match in framed if match}) != 1:
        return frozenset()
    by_number = {int(match[2]): label for match, label in zip(framed, known, strict=True) if match}
    numbers = [int(number) for number in re.findall(r"(?<![\w.])\d{1,6}(?![\w.]*\w)", text)]
    return frozenset(by_number[number] for number in numbers if number in by_number)


def _wanted(sample: Sample) -> list[frozenset[str]]:
    """The set of labels of each reference."""
    read = (_known_in(text, sample.labels, bare=True) if sample.labels else _parts(text) for text in sample.references)
    return [labels for labels in read if labels]


def _held(sample: Sample, value: Callable[[frozenset[str], Sequence[frozenset[str]]], float]) -> ItemScore:
    """The labels that the answer names against the sets that the references name."""
    if other := misfit(sample, "label", "labels"):
        return missing(other)
    wanted = _wanted(sample)
    if not wanted:
        return missing(NO_LABEL_IN_REFERENCE)
    found = read_labels(sample.prediction, sample.labels)
    return ItemScore(value(found.named, wanted), found.note)


def _match(named: frozenset[str], wanted: Sequence[frozenset[str]]) -> float:
    return float(named in wanted)


def _f1(named: frozenset[str], wanted: Sequence[frozenset[str]]) -> float:
    return max(2 * len(named & each) / (len(named) + len(each)) for each in wanted)


def _says(sample: Sample) -> Hashable | None:
    return read_labels(sample.prediction, sample.labels).named or None


_OPTIONS = {"read": "json-box-conclusion-only", "unparsed": "wrong"}
label_match = value_metric(
    "label_match",
    "1 when the answer names exactly the label, or set of labels, of a reference, else 0; an answer that names none is "
    "wrong.",
    lambda sample: _held(sample, _match),
    _OPTIONS,
    says=_says,
    chance=lambda sample: 1 / len(sample.labels) if sample.labels else 0.0,
)
label_f1 = value_metric(
    "label_f1",
    "F1 of the set of labels that the answer names; an answer that names none has 0.",
    lambda sample: _held(sample, _f1),
    _OPTIONS,
)
