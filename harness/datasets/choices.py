"""The options of a question: the forms in which files hold them, and the labels that they carry."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from .rows import BadRowError, absent, list_in, object_in, text_in
from .wording import clean

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
# "A. alpha", "(a) alpha", "1) alpha", "Option A: alpha". A stop or colon needs a space after it: "1.5 dB", "1:2".
_LABELLED = re.compile(
    r"(?:option\s+)?(?:[(\[]\s*([A-Za-z]|\d{1,2})\s*[)\]]|([A-Za-z]|\d{1,2})\s*(?:\)|[.:](?=\s)))\s*(\S.*)",
    re.DOTALL | re.IGNORECASE,
)
# The label in the name of an option: "A", "Option 1", "option_b", "choice2", "opa", "ending0".
_NAMED = re.compile(r"(?:(?:options?|opt|op|choice|ending|answer)[\s_-]*)?([A-Za-z]|\d{1,2})", re.IGNORECASE)
_LABEL_KEYS, _TEXT_KEYS = ("label", "key", "id", "letter"), ("text", "value", "content", "option")


@dataclass(frozen=True, slots=True)
class Options:
    """Texts of the options, cleaned and without labels; ``written`` as they stood.

    ``labels`` are what the row calls them, empty where it does not; ``source`` says where these stood. Those in texts
    or names of columns may be a print-out's: they do not tell what a bare number counts from.
    """

    texts: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    written: tuple[str, ...] = ()
    source: Literal["row", "texts", "names"] = "row"


def label_in(name: str) -> str | None:
    """The label in the name of an option, letters large.

    >>> label_in("option_b"), label_in("Option 2"), label_in("opa"), label_in("context")
    ('B', '2', 'A', None)
    """
    found = _NAMED.fullmatch(name.strip())
    return found[1].upper() if found else None


def in_sequence(labels: Sequence[str | None], starts: str = "A1") -> bool:
    """Are these A, B, C … or 1, 2, 3 … without a gap? ``starts`` are the labels that may come first.

    >>> in_sequence(["A", "B"]), in_sequence(["1", "3"]), in_sequence(["B", "C"])
    (True, False, False)
    """
    if not labels or labels[0] not in set(starts):
        return False
    if labels[0] == "A":
        return list(labels) == list(LETTERS[: len(labels)])
    first = int(labels[0])
    return list(labels) == [str(number) for number in range(first, first + len(labels))]


def unlabelled(texts: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The labels that all texts carry in sequence from A or 1, and the texts without them; no labels where they do not.

    >>> unlabelled(["A. alpha", "B. beta"]), unlabelled(["1.5 dB", "2.5 dB"])
    ((('A', 'B'), ('alpha', 'beta')), ((), ('1.5 dB', '2.5 dB')))
    """
    found = [_LABELLED.fullmatch(text.strip()) for text in texts]
    labels = [(match[1] or match[2]).upper() if match else None for match in found]
    if len(texts) < 2 or not in_sequence(labels):
        return (), tuple(texts)
    # Twice labelled texts lose both, so that what is written reads back as it is.
    return tuple(map(str, labels)), unlabelled([match[3].strip() for match in found if match])[1]


def options_of(value: Any, where: str) -> Options:
    """The options in a field: a list of texts or of labelled objects, an object of texts by label, or these as text.

    Raises:
        BadRowError: if it is none of these, or an option is empty.
    """
    if isinstance(value, str):
        value = _unwritten(value)
    if absent(value):
        return Options()
    if isinstance(value, Mapping):
        return _by_label(value, where)
    if not isinstance(value, list | tuple):
        value = [value]
    if value and all(isinstance(single, Mapping) for single in value):
        return _of_objects(value, where)
    texts = [text_in(single, "choices", where) or "" for single in value]
    return _checked(texts, (), where)


def options_of_cells(cells: Sequence[Any], labels: Sequence[str], where: str) -> Options:
    """The options in columns of their own; empty cells at the end are fewer options.

    Raises:
        BadRowError: for an empty cell before another option.
    """
    texts = [clean(text_in(cell, "choices", where) or "") for cell in cells]
    while texts and not texts[-1]:
        texts.pop()
    if not texts:
        return Options()
    return replace(_checked(texts, tuple(labels[: len(texts)]), where), source="names")


def _unwritten(text: str) -> Any:
    """What a text of options holds: JSON, a Python list or object, or a labelled option a line."""
    for read in (object_in, list_in):
        found = read(text)
        if not isinstance(found, str):
            return found
    lines = [line for line in text.splitlines() if line.strip()]
    return lines if unlabelled(lines)[0] else text


def _by_label(value: Mapping[Any, Any], where: str) -> Options:
    """``{"A": "alpha"}``, or ``{"label": ["A"], "text": ["alpha"]}`` as ARC has it."""
    texts, labels = value.get("text"), value.get("label")
    if isinstance(texts, list | tuple) and isinstance(labels, list | tuple):
        if len(texts) != len(labels):
            told = f"'choices' has {len(texts)} texts and {len(labels)} labels"
            raise BadRowError(where, "'choices' with more or fewer labels than texts", told)
        names = [clean(str(label)).upper() for label in labels]
        return _checked([text_in(text, "choices", where) or "" for text in texts], tuple(names), where)
    names = [label_in(str(key)) for key in value]
    if not in_sequence(names, "A01"):
        shown = ", ".join(f"'{key}'"[:40] for key in list(value)[:6])
        told = f"'choices' is an object whose keys are no labels in sequence (A, B … or 1, 2 …): they are {shown}"
        raise BadRowError(where, "'choices' with keys that are no labels", told)
    return replace(options_of_cells(list(value.values()), [str(name) for name in names], where), source="row")


def _of_objects(values: Sequence[Mapping[str, Any]], where: str) -> Options:
    """``[{"label": "A", "text": "alpha"}]``."""
    text_key = next((key for key in _TEXT_KEYS if all(key in each for each in values)), None)
    label_key = next((key for key in _LABEL_KEYS if all(key in each for each in values)), None)
    if text_key is None:
        shown = ", ".join(f"'{key}'"[:40] for key in list(values[0])[:6])
        told = f"'choices' is a list of objects without a 'text': their keys are {shown}"
        raise BadRowError(where, "'choices' without a text", told)
    labels = tuple(clean(str(each[label_key])).upper() for each in values) if label_key else ()
    return _checked([text_in(each[text_key], "choices", where) or "" for each in values], labels, where)


def _checked(written: Sequence[str], labels: tuple[str, ...], where: str) -> Options:
    whole = tuple(map(clean, written))
    if whole and (len(whole) < 2 or not all(whole)):
        told = f"'choices' needs at least two texts, none of them empty, this is {_shown(whole)}"
        raise BadRowError(where, "fewer than two options, or an empty one", told)
    if len(set(labels)) < len(labels):
        raise BadRowError(where, "two options of one label", f"'choices' has a label twice: {', '.join(labels)}")
    own, texts = unlabelled(whole)
    return Options(texts, labels or own, whole, "texts" if own and not labels else "row")


def _shown(texts: Sequence[str]) -> str:
    if len(texts) == 1:
        return f"one text ('{texts[0][:40]}'): write a JSON list" if texts[0] else "an empty one"
    return f"a list of {len(texts)} with an empty one at place {[*texts, ''].index('') + 1}"
