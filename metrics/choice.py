"""Multiple choice: the option that the answer names, and the option that the checkpoint finds most likely."""

from __future__ import annotations

import math
import re
import string
import unicodedata
from collections.abc import Iterable, Sequence
from functools import lru_cache

from .contract import ItemScore, Metric, Sample, missing

NO_CHOICE = "no choice recognised in the answer"
MULTI_SELECT = "multi-select"

# Words that an answer made of nothing but labels may be dressed in.
_NOUN = r"(?:options?|choices?|letters?|numbers?)"
_NAMED = re.compile(rf"(?i:\b{_NOUN}\b)")
_DRESSING = re.compile(
    rf"(?i:\b(?:{_NOUN}|answers?|final|correct|right|the|my|is|are|and|or|both|so|thus|therefore|it|it's)\b)"
)
_LABELLED = re.compile(rf"\W*(?:(?i:{_NOUN})\s*)?([A-Za-z]|\d{{1,2}})\W+(.*)", re.DOTALL)
_SPACES = re.compile(r"\s+")
_BOXED = re.compile(r"\\boxed\s*\{\s*(?:\\(?:text|textbf|mathrm)\s*\{)?([^{}]*)\}+")
_MARKUP = re.compile(r"[*_`\"“”$]")
_NOT_PLAIN = re.compile(r"[^\w+%/<>=°-]+")


def named_choices(prediction: str, choices: Sequence[str], shown: Sequence[int] = ()) -> frozenset[int] | None:
    """Original indices of the choices that a free answer names, or None when it names none or is ambiguous.

    Labels are the letters and the 1-based numbers of the order shown. The first of these that applies decides:

    1. the whole answer is the text of exactly one option, alone or after its own label;
    2. the answer holds labels and nothing of substance besides: ``B``, ``(b)``, ``Answer: B and D``, ``option 2``;
    3. labels after the last "the answer is", "answer:", "I choose" or in a LaTeX box;
    4. a label with punctuation at the start: ``B) foo``, ``option 2: foo``;
    5. every "option B" or "choice B" in the text names the same;
    6. the text of exactly one option occurs (an option that is part of another one found does not count).

    Args:
        prediction: the answer as generated.
        choices: texts of the options in their original order.
        shown: ``shown[k]`` is the original index of the option behind letter k; empty for the original order.

    >>> sorted(named_choices("The answer is option B.", ("LTE", "NR", "UMTS"), (2, 0, 1)))
    [0]
    """
    order = tuple(shown) or tuple(range(len(choices)))
    texts = [_bare(choice) for choice in choices]
    answer = _bare(prediction)
    same = [index for index, text in enumerate(texts) if text and text == answer]
    if len(same) == 1:
        return frozenset(same)

    text = unicodedata.normalize("NFKC", prediction)
    text = _SPACES.sub(lambda match: "\n" if "\n" in match[0] else " ", text)
    text = _MARKUP.sub("", _BOXED.sub(r"\nanswer: \1.\n", text)).strip()
    if (match := _LABELLED.match(text)) and (label := _label_positions([match.group(1)], len(order))):
        (index,) = (order[position] for position in label)
        if _bare(match.group(2)) == texts[index]:
            return frozenset([index])
    bare = re.findall(r"\w+", _DRESSING.sub(" ", text))
    if len(bare) == 1 and bare[0].isdecimal() and texts.count(bare[0]) == 1 and not _NAMED.search(text):
        return frozenset([texts.index(bare[0])])  # "Answer: 4" where an option reads 4
    positions = _bare_labels(bare, len(order)) or _labels_in_text(text, len(order))
    if positions:
        return frozenset(order[position] for position in positions)
    return _only_text(answer, texts)


def _bare_labels(labels: Sequence[str], count: int) -> frozenset[int] | None:
    """Positions of the labels, if the words are nothing but labels."""
    if len(labels) == 1 and len(labels[0]) > 1 and labels[0].isupper() and len(set(labels[0])) == len(labels[0]):
        return _label_positions(labels[0], count)
    return _label_positions(labels, count)


def _labels_in_text(text: str, count: int) -> frozenset[int] | None:
    """Positions of the labels that a longer text gives as its answer."""
    cue, start, mention = _patterns(count)
    concluded = [named for match in cue.finditer(text) if (named := _matched(match, count))]
    if concluded:
        return concluded[-1]
    if (match := start.match(text)) and (named := _matched(match, count)):
        return named
    mentioned = {named for match in mention.finditer(text) if (named := _matched(match, count))}
    return mentioned.pop() if len(mentioned) == 1 else None


@lru_cache(maxsize=64)
def _patterns(count: int) -> tuple[re.Pattern[str], re.Pattern[str], re.Pattern[str]]:
    """What follows a cue, stands at the start, or is mentioned; group 1 holds the labels."""
    last = string.ascii_uppercase[min(count, 26) - 1]
    upper, lower, either = f"[A-{last}]", f"[a-{last.lower()}]", f"[A-{last}a-{last.lower()}]"
    whole_word = r"(?![\w'’-])"
    boxed = rf"[(\[]\s?(?:{either}|\d{{1,2}})\s?[)\]]"
    # White space comes singly by now, and repetitions are bounded or possessive: no text takes quadratic time.
    # A small letter without brackets may be the article "a": only punctuation or the end makes it a label.
    label = rf"(?:{boxed}|{upper}{whole_word}|{lower}(?=\s?(?:[),.:;\]]|\n|$)))"
    after_noun = rf"{_NOUN}\s?[:#]?\s?(?:{boxed}|(?:{either}|\d{{1,2}}){whole_word})"
    more = rf"(?:[).\]]?\s?(?:,\s?and|,\s?or|,|;|/|\+|&|and\b|or\b)\s?(?:(?i:{after_noun})|{label}))*+"
    labels = rf"((?:(?i:{after_noun})|{label}){more})"
    cue = (
        r"(?i:\b(?:answers?|choices?|options?|selection|solution)(?:\shere)?"
        r"(?:\s?[:=]\s?|\s(?:is|are|would\sbe|should\sbe|must\sbe)\b\s?:?\s?)"
        r"|\bI\s(?:would\s|will\s)?(?:choose|select|pick|go\swith)\b\s?:?\s?)"
        r"(?i:(?:the|correct|answer|is|both|:)\s){0,4}"
    )
    first = rf"(?:(?i:{after_noun})|{boxed}|{either}){more}"
    return (
        re.compile(cue + labels),
        re.compile(rf"\W*({first})\s?(?:[).:\]]|[-–—]\s|(?<=[)\]])\s)"),
        re.compile(rf"\b((?i:{after_noun}){more})"),
    )


def _matched(match: re.Match[str], count: int) -> frozenset[int] | None:
    return _label_positions(re.findall(r"\w+", _DRESSING.sub(" ", match.group(1))), count)


def _label_positions(labels: Iterable[str], count: int) -> frozenset[int] | None:
    """0-based positions of labels; None when there are none or one is no label of so many options."""
    found = set()
    for label in labels:
        if label.isdecimal():
            position = int(label) - 1
        elif len(label) == 1:
            position = string.ascii_uppercase.find(label.upper())
        else:
            return None
        if not 0 <= position < count:
            return None
        found.add(position)
    return frozenset(found) or None


def _bare(text: str) -> str:
    """Lower case, the words and the signs that carry meaning, single spaces."""
    return " ".join(_NOT_PLAIN.sub(" ", unicodedata.normalize("NFKC", text).casefold()).split())


def _only_text(answer: str, options: Sequence[str]) -> frozenset[int] | None:
    """The option whose text occurs in the answer, when there is just one."""
    padded = f" {answer} "
    found = [index for index, option in enumerate(options) if option and f" {option} " in padded]
    widest = [
        index
        for index in found
        if not any(other != index and f" {options[index]} " in f" {options[other]} " for other in found)
    ]
    return frozenset(widest) if len(widest) == 1 else None


def _accuracy(sample: Sample) -> ItemScore:
    named = named_choices(sample.prediction, sample.choices, sample.shown_choices)
    if named is None:
        # The checkpoint did answer, only not with a choice: wrong, and the reason stays with the score to be counted.
        return ItemScore(0.0, NO_CHOICE)
    return ItemScore(float(named == frozenset(sample.answer)))


def _likelihood(sample: Sample) -> ItemScore:
    scores: tuple[float, ...] = sample.option_scores or ()
    if len(sample.answer) > 1:
        return missing(MULTI_SELECT)
    if len(scores) != len(sample.choices):
        return missing("not one likelihood for each choice")
    if any(math.isnan(score) for score in scores):
        return missing("a likelihood is not a number")
    sizes = [max(1, len(choice.encode("utf-8", "surrogatepass"))) for choice in sample.choices]
    likeliest = max(range(len(scores)), key=lambda index: scores[index] / sizes[index])
    return ItemScore(float(sample.answer == (likeliest,)))


choice_accuracy = Metric(
    name="choice_accuracy",
    family="choice",
    range=(0, 1),
    higher_is_better=True,
    needs=frozenset({"choices"}),
    level="item",
    description="1 when the answer names exactly the right choices, else 0; an answer that names none is wrong.",
    score_batch=lambda samples: [_accuracy(sample) for sample in samples],
    options={"parse": "label-or-text", "unparsed": "wrong"},
)

choice_likelihood = Metric(
    name="choice_likelihood",
    family="choice",
    range=(0, 1),
    higher_is_better=True,
    needs=frozenset({"choices", "option_scores"}),
    level="item",
    description="1 when the choice of highest log-likelihood a UTF-8 byte is the right one, else 0; ties: first.",
    score_batch=lambda samples: [_likelihood(sample) for sample in samples],
    options={"norm": "utf8-bytes", "ties": "first"},
)
