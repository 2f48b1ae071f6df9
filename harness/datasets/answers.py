"""Which options an answer names: letters, numbers, names or texts. What numbers count from is decided file by file."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from telbench.errors import InputError

from ...metrics.choice.copies import copied
from .choices import LETTERS, Options
from .rows import BadRowError, absent, list_in
from .wording import clean, normalised

_WRAPPING = " \t\r\n*_`•"
# What a chat's answer ends with: a rule below the text.
_RULE = re.compile(r"\s*-{3,}\s*$")
_WORD = r"(?:(?:the\s+)?(?:correct\s+)?(?:answer|option|choice|opt|op|ending)(?:\s+is)?[\s_:#-]*)"
_LABEL = re.compile(rf"({_WORD}*)[(\[]?\s*([A-Za-z]|\d{{1,5}})\s*[)\]]?[.:]?", re.IGNORECASE)
# A label with the option's text after it: "B) beta", "option 2: beta".
_WITH_TEXT = re.compile(
    rf"({_WORD}*)(?:[(\[]\s*([A-Za-z]|\d{{1,2}})\s*[)\]]|([A-Za-z]|\d{{1,2}})\s*(?:\)|[.:](?=\s)))\s*(\S.*)",
    re.IGNORECASE | re.DOTALL,
)
# How pandas writes a whole number in a column with gaps.
_WHOLE = re.compile(r"(\d{1,5})\.0")
_SEPARATORS = re.compile(r"\s*[;,|/&]\s*|\s+and\s+")
_FROM_ONE = "answers that are numbers count from 1"


@dataclass(frozen=True, slots=True)
class Named:
    """One option that an answer names, in each way that it can be read: by label, by number (of an unknown first), by
    text.
    """

    label: int | None = None
    number: int | None = None
    text: int | None = None
    shown: str = ""

    @property
    def sure(self) -> bool:
        """Is there one reading, which no other row can change?"""
        return self.number is None and (self.label is None or self.text in {None, self.label})


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer as its row tells it; ``within``: the options carry numbers in their texts."""

    where: str
    named: tuple[Named, ...]
    count: int
    within: bool

    @property
    def indices(self) -> tuple[int, ...] | None:
        """0-based indices of the right options, sorted; None where the other answers of the file decide."""
        if not all(each.sure for each in self.named):
            return None
        found = (each.text if each.label is None else each.label for each in self.named)
        return tuple(sorted({index for index in found if index is not None}))


def answer_of(value: Any, options: Options, where: str) -> Answer:
    """The options that a value names; none where there is no answer.

    Raises:
        BadRowError: if the answer names no option.
    """
    within = options.source == "texts" and options.labels[0] == "1"
    empty = absent(value) or (isinstance(value, str) and not value.strip())
    return Answer(where, () if empty else tuple(names(value, options, where)), len(options.texts), within)


@dataclass
class Answers:
    """The answers of a file: those in doubt by the place of their item, and how many can only be a text or a label."""

    doubts: list[tuple[int, Answer]] = field(default_factory=list)
    texts: int = 0
    labels: int = 0

    def add(self, answer: Answer, place: int) -> None:
        """Count what an answer tells about the others, and keep it if it is in doubt itself."""
        for each in answer.named:
            beyond = each.number is None or each.number > answer.count
            self.texts += each.label is None and beyond and each.text is not None
            self.labels += each.text is None
        if answer.indices is None:
            self.doubts.append((place, answer))

    def numbers(self) -> Iterator[tuple[Answer, int]]:
        """Each number of an answer that is no option's text."""
        for _, doubt in self.doubts:
            for each in doubt.named:
                unclear = each.text is not None and self.texts and self.labels
                if each.number is not None and not unclear and not self._by_text(each, doubt):
                    yield doubt, each.number

    def _by_text(self, each: Named, doubt: Answer) -> bool:
        """Is it the text of an option? Where it may be a label too, the file's other answers tell."""
        if each.text is None or (each.label is None and each.number is None):
            return each.text is not None
        if each.number is not None and each.number > doubt.count:
            return True
        return bool(self.texts)

    def settled(self, doubt: Answer, first: int) -> tuple[int, ...]:
        """The indices of an answer in doubt, numbers counted from ``first``.

        Raises:
            BadRowError: if a number is none of the options, or nothing tells whether it is a text or a label.
        """
        found: set[int] = set()
        for each in doubt.named:
            label = each.number - first if each.number is not None else each.label
            index = each.text if self._by_text(each, doubt) else label
            contrary = each.text is not None and label is not None and label != each.text
            if contrary and bool(self.texts) == bool(self.labels) and (each.number or 0) <= doubt.count:
                told = (
                    f"answer '{each.shown}' is the text of one option and the label of another, and no other answer "
                    "of the file tells which is meant: give letters (A is the first)"
                )
                raise BadRowError(doubt.where, "answer is a text and a label", told)
            if index is None or not 0 <= index < doubt.count:
                told = f"answer {each.shown} (counted from {first}) is none of the {doubt.count} choices"
                raise BadRowError(doubt.where, "answer is none of the choices", told)
            found.add(index)
        return tuple(sorted(found))


@dataclass(frozen=True)
class First:
    """What the numbers of a file count from, and what is to be said of it: as a mending, or as a warning."""

    number: int = 0
    repaired: str | None = None
    warning: str | None = None


def first_number(answers: Answers) -> First:
    """Count from 1 where a number is that of the options and none is 0, else from 0 as documented.

    Raises:
        InputError: if one answer is 0 and another the number of its options.
    """
    zero = top = None
    labelled = seen = False
    for doubt, number in answers.numbers():
        labelled = doubt.within if not seen else labelled and doubt.within
        seen = True
        zero = zero or (doubt if number == 0 else None)
        top = top or (doubt if number == doubt.count else None)
    if zero and top:
        raise InputError(
            f"{top.where}: answer {top.count} counts the {top.count} choices from 1, but the answer 0 of {zero.where} "
            "counts from 0: give letters (A is the first)"
        )
    if top or (labelled and not zero):
        return First(1, _FROM_ONE)
    if seen and not zero:
        told = "answers that are numbers count from 0, though none of them is 0: if 1 is the first option, give letters"
        return First(0, warning=told)
    return First()


def names(value: Any, options: Options, where: str) -> list[Named]:
    """The options that a value names: one, or several in a list or parted by signs.

    Raises:
        BadRowError: if a part of it names none.
    """
    if isinstance(value, str):
        whole = _one(value, options)
        if whole is not None:
            return [whole]
        value = list_in(value)
    if isinstance(value, str):
        value = _parts(value, options)
    found: list[Named] = []
    for entry in value if isinstance(value, list | tuple) else [value]:
        if absent(entry):
            continue
        named = _one(entry, options)
        if named is None:
            shown, count = clean(str(entry))[:40], len(options.texts)
            told = f"answer '{shown}' is no letter, number or text of one of the {count} choices, nor a list of these"
            raise BadRowError(where, "answer names no choice", told)
        found.append(named)
    return found


def _one(value: Any, options: Options) -> Named | None:
    """The one option that an entry names, or None."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        label = _of_label(str(value), options)
        return Named(label=label, shown=str(value)) if label is not None else _number(value, str(value), None, options)
    if not isinstance(value, str):
        return None
    text = _RULE.sub("", value).strip(_WRAPPING)
    exact = _copy(value, options, 1)
    if exact is None:
        text = _WHOLE.sub(r"\1", text) if _WHOLE.fullmatch(text) else text
    found = _LABEL.fullmatch(text)
    named = _of_match(found[1], found[2], exact, options) if found else None
    if named is not None:
        return named
    index = exact if exact is not None else _copy(text, options)
    return Named(text=index, shown=clean(text)[:40]) if index is not None else _with_text(text, options)


def _of_match(word: str, label: str, exact: int | None, options: Options) -> Named | None:
    """What a label on its own names: with a word before it, it is the name of an option and no index."""
    index = _of_label(label, options, named=bool(word))
    if index is not None:
        return Named(label=index, text=exact, shown=label)
    if label.isdecimal() and not word:
        return _number(int(label), label, exact, options)
    return None


def _number(number: int, shown: str, text: int | None, options: Options) -> Named:
    """A number that stands alone. One beyond the options can only be the text of one, also where it is no string."""
    if number > len(options.texts) and text is None:
        text = _copy(shown, options, 1)
    return Named(number=number, text=text, shown=shown)


def _of_label(label: str, options: Options, *, named: bool = False) -> int | None:
    """Index of the option of that label: its own where the row has some, else a letter's place.

    ``named`` says that the label stands in a name, such as ``Option 2``, where a number counts from 1.
    """
    name, count = label.upper(), len(options.texts)
    if options.labels and (named or options.source == "row" or not name.isdecimal()):
        if name in options.labels:
            return options.labels.index(name)
        if options.labels[0].isdecimal() == name.isdecimal():
            return None
    if name.isdecimal():
        return int(name) - 1 if named and 1 <= int(name) <= count else None
    return LETTERS.index(name) if name in LETTERS[:count] else None


def _copy(text: str, options: Options, forms: int = 4) -> int | None:
    for texts in (options.texts, options.written):
        index = copied(text, texts, forms)
        if index is not None:
            return index
    return None


def _with_text(text: str, options: Options) -> Named | None:
    """``B) beta``: the label, if the text after it (or its first line) is that of this option."""
    found = _WITH_TEXT.fullmatch(text)
    if found is None:
        return None
    word, label, rest = found[1], found[2] or found[3], found[4]
    named = _of_label(label, options, named=bool(word))
    places = [] if named is None else [named]
    if label.isdecimal() and not word:
        # The text tells what the number counts from.
        places += [place for place in (int(label), int(label) - 1) if 0 <= place < len(options.texts)]
    for part in (rest, rest.partition("\n")[0]):
        index = _copy(part.strip(_WRAPPING), options)
        for place in places:
            # Beside its label a text may lack or add signs: options cut from chats end in "- **".
            same = index is None and normalised(part) == normalised(options.texts[place])
            if index == place or same:
                return Named(label=place, shown=clean(text)[:40])
    return None


def _parts(text: str, options: Options) -> Sequence[str]:
    """The parts of an answer that names several options, or the answer itself: all are labels, or all are texts."""
    bare = text.strip().strip("()[]{}")
    for split in ([part for part in _SEPARATORS.split(bare) if part], bare.split()):
        if len(split) > 1 and all(_LABEL.fullmatch(part) and _one(part, options) for part in split):
            return split
    letters = list(bare)
    labels = [_of_label(letter, options) for letter in letters]
    if bare.isalpha() and bare.isupper() and None not in labels and len(set(letters)) == len(letters) > 1:
        return letters
    for sign in (";", "|", "\n", ","):
        split = [part.strip() for part in bare.split(sign) if part.strip()]
        if len(split) > 1 and all(_copy(part, options) is not None for part in split):
            return split
    return [text]
