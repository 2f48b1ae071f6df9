"""Statements of a reference in an answer: made, denied, or not made; and yes and no."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import pairwise

from .reading.lexicon import word_list
from .reading.polarity import CONDITIONS, LIMITS, ROUND, VERBAL, Negation, without_prefix
from .reading.reading import Reading, found_once
from .reading.text import STOP, Word
from .relations.denials import denials
from .relations.findings import Finding
from .relations.needs import needed_alike
from .relations.roles import deed_in

# A statement counts as made when the answer has this share of its words that are new to the question.
STATED = 1 / 3
# An answer says again what is asked when a sentence has this share of its words.
RESTATED = 0.6
# Negations that deny what is asked, and not a noun of it alone.
_PLAINLY = VERBAL | {"no", "without"}
_PERMITS, _OBLIGES = frozenset({"may", "can", "could"}), frozenset({"must", "shall", "have", "has", "needs", "needed"})
_LEAVES = frozenset({"leaves", "leave"})
_MANNER = word_list("manner")
# Words beside which a sentence does not plainly say it.
_UNPLAIN = ROUND | LIMITS | CONDITIONS | {"need", "instead", "rather", "other", "another", "different", "optional"}
_ELSEWHERE = frozenset({("left", "to"), ("out", "of"), ("up", "to"), ("no", "part"), ("free", "of"), ("devoid", "of")})
# A sentence states something where it has a verb: one of these, or so many words that it must have one.
_VERBS = word_list("auxiliary verbs")
_WORDS = 6
_VERDICT = re.compile(
    r"\W*(yes\b|(?:no|correct|true|false|right|wrong)\b(?=\W*$|\W*[,.;:!]|\s[-–—]|\s(?:it|they|this|that|there)\b)|"
    r"it (?:is|does|can|has|will|must)\b(?: not|n't)?(?=\W*[:.;,]))",
    re.IGNORECASE,
)
_NEGATIVE = re.compile(r"no$|false|wrong|.*(?:not|n't)", re.IGNORECASE)


def statement_findings(reference: Reading, answer: Reading, question: Reading) -> Iterator[Finding]:
    """Each sentence of the reference: does the answer make it, or deny it?"""
    yield from _verdict_finding(reference, answer, question)
    heard = question.text.stems
    asks = question.asks
    agreed = needed_alike(reference, answer)
    clashes = [
        each
        for each in denials(reference.polarity, answer.polarity, question.polarity, heard, asked=asks)
        if each.reference.stem not in agreed and each.answer.stem not in agreed
    ]
    denying = {negation.cue.sentence for negation in reference.polarity.negations}
    for sentence, words in _by_sentence(reference).items():
        new = {word.stem for word in words} - heard
        denies = sentence in denying
        # Where yes or no is asked for, a sentence that only says so is what has to be told.
        if not (denies or asks or (new and len(words) > 1 and _states(reference, sentence))):
            continue
        told = reference.text.raw[words[0].start : words[-1].end]
        against = [clash for clash in clashes if clash.reference.sentence == sentence]
        if against:
            places = tuple((clash.answer.start, clash.answer.end) for clash in against)
            yield Finding("polarity", told, "contradicted", places)
            continue
        made = new & answer.text.stems or ({word.stem for word in words} & answer.text.stems if not new else set())
        enough = len(made) >= STATED * max(1, len(new))
        yield Finding("polarity", told, "agreed" if enough else "omitted")


@found_once
def _by_sentence(reading: Reading) -> dict[int, list[Word]]:
    """The words with content of each sentence that has any."""
    found: dict[int, list[Word]] = {}
    for word in reading.text.words:
        if word.text not in STOP:
            found.setdefault(word.sentence, []).append(word)
    return found


@found_once
def _states(reading: Reading, own: int) -> bool:
    """Has the sentence a verb? A list of names and numbers has none, however long."""
    words = _by_sentence(reading)[own]
    starts = reading.text.starts
    named = {
        place
        for each in reading.entities
        for place in range(bisect_left(starts, each.start), bisect_left(starts, each.end))
    }
    if sum(bisect_left(starts, word.start) not in named and not word.text.isdigit() for word in words) >= _WORDS:
        return True
    if any(word.sentence == own and word.text in _VERBS for word in reading.text.words):
        return True
    # "Noise rises with the bandwidth" has a verb that tells a change.
    changes = any(
        pole.group.name == "change" and reading.text.words[pole.first].sentence == own for pole in reading.poles
    )
    return changes or deed_in(reading, own)


def _verdict_finding(reference: Reading, answer: Reading, question: Reading) -> Iterator[Finding]:
    """Yes or no, where it is asked for: what the reference says or means, and what the answer opens with."""
    if not question.asks:
        return
    told = _VERDICT.match(answer.text.plain)
    implied = None if told or question.offered else _implied(question, answer)
    if told is None and implied is None:
        return
    wanted = _VERDICT.match(reference.text.plain)
    if wanted is not None:
        denied, words = bool(_NEGATIVE.match(wanted[1])), wanted[1]
    else:
        first = reference.text.words[0].sentence if reference.text.words else 0
        cues = [negation.cue for negation in reference.polarity.negations if negation.cue.sentence == first]
        turned = _turned(question, reference)
        covered = {word.stem for negation in reference.polarity.negations for word in negation.scope}
        if implied and cues and not covered & question.text.stems:
            # What it denies was not asked.
            return
        if not cues and not turned and not _restates(question, reference):
            return
        if implied and implied[1] and not (cues or turned) and not _says_all(implied[0], answer, reference):
            return
        denied, words = bool(cues) != turned, cues[0].text if cues else "no" if turned else "yes"
    denies = bool(_NEGATIVE.match(told[1])) if told else bool(implied and implied[1])
    places = (told.span(1),) if told else (implied[0],) if implied else ()
    yield Finding("polarity", words, "agreed" if denied == denies else "contradicted", places, only_if_seen=True)


def _turned(question: Reading, reference: Reading) -> bool:
    """Has the reference the other side of a contrast that the question asks about: is it mandatory, it is optional?"""
    asked: dict[str, set[int]] = {}
    for pole in question.poles:
        if not pole.group.reciprocal:
            asked.setdefault(pole.group.name, set()).add(pole.side)
    told: dict[str, set[int]] = {}
    cues = {each.cue.start for each in reference.polarity.negations}
    for pole in reference.poles:
        if any(pole.start <= start < pole.end for start in cues):
            # "Not needed" is a negation already.
            continue
        told.setdefault(pole.group.name, set()).add(pole.side)
    return any(len(asked[name]) == 1 and told[name].isdisjoint(asked[name]) for name in asked.keys() & told.keys())


def _restates(question: Reading, reference: Reading) -> bool:
    """Says the reference most of what is asked?"""
    asked = question.text.stems
    return 2 * len(asked & reference.text.stems) > len(asked)


def _implied(question: Reading, answer: Reading) -> tuple[tuple[int, int], bool] | None:
    """Where the answer says or denies plainly what is asked, and whether it denies it; None where it does neither."""
    asked, asking = question.text.stems, {word.text for word in question.text.words[:1]}
    found: tuple[tuple[int, int], bool] | None = None
    by_sentence: dict[int, list[Word]] = {}
    for word in answer.text.words:
        by_sentence.setdefault(word.sentence, []).append(word)
    for sentence, words in by_sentence.items():
        shared = asked & {word.stem for word in words}
        if len(shared) < 2 or len(shared) < RESTATED * len(asked):
            continue
        cues = [each for each in answer.polarity.negations if each.cue.sentence == sentence]
        # "Leaves it without protection" says plainly that it has none.
        bare = _LEAVES if any(word.text == "without" for word in words) else frozenset[str]()
        plain = not any(word.text in _UNPLAIN - bare or without_prefix(word.text) for word in words)
        plain = plain and not any((one.text, other.text) in _ELSEWHERE for one, other in pairwise(words))
        # "May it skip the check?" is not answered by "the check has to be made".
        plain = plain and not (_PERMITS & asking and _OBLIGES & {word.text for word in words})
        if question.polarity.negations or not plain or len(cues) > 1 or _turned(question, answer):
            return None
        if cues and not _denies_asked(cues[0], words, asked):
            return None
        found = found or ((words[0].start, words[-1].end), bool(cues))
    return found


def _says_all(place: tuple[int, int], answer: Reading, reference: Reading) -> bool:
    """Has the reference the word that the answer denies there?"""
    first = [
        each.scope[0].stem for each in answer.polarity.negations if each.scope and place[0] <= each.cue.start < place[1]
    ]
    return reference.text.stems.issuperset(first)


def _denies_asked(negation: Negation, words: Sequence[Word], asked: frozenset[str]) -> bool:
    """Covers the one negation of a sentence what is asked, in the clause that says most of it?"""
    own = {word.stem for word in words if word.clause == negation.cue.clause}
    if negation.cue == words[0]:
        return False
    if not negation.scope or (negation.cue.text not in _PLAINLY and not negation.cue.text.endswith("n't")):
        return False
    return (
        negation.scope[0].stem in asked
        and 2 * len(own & asked) > len(asked)
        and not _MANNER & {w.text for w in negation.scope}
    )
