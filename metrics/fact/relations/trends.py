"""How one thing moves with another (the larger the spacing, the shorter the slot), and whether an answer turns it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from ..reading.contrasts import Pole
from ..reading.reading import Reading, found_once
from ..reading.text import STOP
from .findings import Finding
from .grades import SIGNS, is_extreme, sign_of

# The share of the reference's words that a sentence needs to be about the same two things.
_SAME = 0.6
# Texts of so few words with a trend tell that trend, whatever they call the two things.
_BRIEF = 14
# Graded words of a sentence that tells trends.
_MOST = 6
_BECOMES = frozenset({"get", "becom", "remain"})
# Longer texts tell several trends.
_LONG = 80
_PREFER = frozenset({"prefer", "favour", "favor", "win", "won", "pick", "elect", "preced", "priorit", "best"})
_INVERSE = frozenset({"inversely", "inverse", "indirectly"})
_PROPORTIONAL = _INVERSE | {"proportional", "proportionally", "proportion", "directly"}
# Who loses is not preferred.
_LOSE = frozenset({"lose", "loses"})
_ALONE = frozenset({"with", "proportion", "proportional", "proportionally"})


@dataclass(frozen=True, slots=True)
class _Trend:
    """Do two things grow together (1), or one as the other shrinks (-1)?

    ``about`` are the stems of their names; ``brief`` is a text that tells nothing else.
    """

    sign: int
    about: frozenset[str]
    start: int
    end: int
    brief: bool = False
    several: bool = False


@dataclass(frozen=True, slots=True)
class _Pair:
    """Two things of one sentence that grow together (1), or one as the other shrinks (-1), each by its own words."""

    sign: int
    one: frozenset[str]
    other: frozenset[str]
    start: int
    end: int


@found_once
def _trends(reading: Reading, question: Reading) -> list[_Trend]:
    """The trends that the sentences of a text tell; where one thing only is told, the question names the other."""
    found = []
    graded: dict[int, list[Pole]] = {}
    for pole in reading.poles:
        if pole.group.name in SIGNS and pole.group.name != "improvement" and not is_extreme(reading, pole):
            graded.setdefault(reading.text.words[pole.first].sentence, []).append(pole)
    denying = {each.cue.sentence for each in reading.polarity.negations}
    for sentence, poles in graded.items():
        words = [word for word in reading.text.words if word.sentence == sentence]
        if sentence in denying or any(word.text == "than" for word in words):
            continue
        signs = [sign_of(pole) for pole in poles[:2]]
        if len(signs) == 1 and not any(word.text in _ALONE for word in words):
            signs += _asked(question, poles[0])
        elif len(signs) == 1:
            signs.append(1)
        if len(signs) == 2:
            alone = len(poles) == 1 and any(word.text in _ALONE for word in words)
            brief = (len(poles) == 2 or alone) and len(words) == len(reading.text.words) <= _BRIEF
            inside = {place for pole in poles for place in range(pole.start, pole.end)}
            about = frozenset(w.stem for w in words if w.text not in STOP and w.start not in inside)
            end = poles[min(1, len(poles) - 1)].end
            found.append(_Trend(signs[0] * signs[1], about, poles[0].start, end, brief, len(poles) > 2))
    return found or list(_proportions(reading, denying))


def _proportions(reading: Reading, denying: set[int]) -> Iterator[_Trend]:
    """Proportional or inversely proportional, where nothing else tells what grows."""
    words = reading.text.words
    for at, word in enumerate(words):
        if word.text in ("proportional", "proportionally", "proportion") and word.sentence not in denying:
            inside = [each for each in words if each.sentence == word.sentence]
            about = frozenset(each.stem for each in inside if each.text not in STOP and each.text not in _PROPORTIONAL)
            sign = -1 if at and words[at - 1].text in _INVERSE else 1
            brief = len(inside) == len(words) <= _BRIEF
            yield _Trend(sign, about, word.start, word.end, brief)
            return


@found_once
def _preferences(reading: Reading) -> list[_Trend]:
    """What is preferred: the greater or the smaller; the first that the sentence names."""
    found: dict[int, _Trend] = {}
    words = reading.text.words
    denying = {each.cue.sentence for each in reading.polarity.negations}
    preferring = {word.sentence for word in words if word.stem in _PREFER or word.text in _LOSE} - denying
    for pole in reading.poles:
        sentence = words[pole.first].sentence
        if pole.group.name in ("magnitude", "rank") and sentence in preferring and sentence not in found:
            inside = [w for w in words if w.sentence == sentence and w.text not in STOP and w.stem not in _PREFER]
            about = frozenset(w.stem for w in inside if not pole.start <= w.start < pole.end)
            sign = -1 if any(word.text in _LOSE for word in words if word.sentence == sentence) else 1
            found[sentence] = _Trend(sign * (1 - 2 * pole.side), about, pole.start, pole.end)
    return list(found.values())


def _asked(question: Reading, told: Pole) -> Sequence[int]:
    """What grows or shrinks in the question, where that is not what is told again."""
    if any(each.group == told.group and each.side == told.side for each in question.poles):
        return ()
    graded = [
        sign_of(pole)
        for pole in question.poles
        if pole.group.name in SIGNS.keys() - {"improvement"} and not is_extreme(question, pole)
    ]
    return graded if len(graded) == 1 else ()


@found_once
def _pairs(reading: Reading) -> list[_Pair]:
    """The pairs of graded words in each sentence that denies nothing, with the words nearest to each."""
    words = reading.text.words
    denying = {each.cue.sentence for each in reading.polarity.negations}
    by_sentence: dict[int, list[Pole]] = {}
    for pole in reading.poles:
        if pole.group.name in SIGNS and pole.group.name != "improvement" and not is_extreme(reading, pole):
            by_sentence.setdefault(words[pole.first].sentence, []).append(pole)
    found = []
    for sentence, poles in by_sentence.items():
        if (
            sentence in denying
            or not 1 < len(poles) < _MOST
            or any(word.text == "than" for word in words if word.sentence == sentence)
        ):
            continue
        near: list[set[str]] = [set() for _ in poles]
        for at, word in enumerate(words):
            if word.sentence != sentence or word.text in STOP or any(p.first <= at <= p.last for p in poles):
                continue
            # "BLER goes up, and SINR down": SINR belongs to no graded word of another clause.
            gaps = [
                (max(p.first - at, at - p.last), n) for n, p in enumerate(poles) if words[p.first].clause == word.clause
            ]
            if gaps:
                near[min(gaps)[1]].add(word.stem)
        clauses = [words[p.first].clause for p in poles]
        paired = [clauses.count(clause) > 1 for clause in clauses]
        found += [
            _Pair(sign_of(poles[one]) * sign_of(poles[other]), frozenset(near[one]), frozenset(near[other]),
                  poles[one].start, poles[other].end)
            for one, other in combinations(range(len(poles)), 2)
            # "Lower ones reach farther, while higher ones lose more" tells two trends.
            if near[one] and near[other] and not (paired[one] and paired[other] and clauses[one] != clauses[other])
        ]  # fmt: skip
    return found


def _paired(reference: Reading, answer: Reading) -> Iterator[Finding]:
    """The first pair of the reference that the answer has too, whatever else its sentence says."""
    wanted = _pairs(reference)
    told = _pairs(answer) if wanted else []
    for pair in wanted:
        alike = [
            each
            for each in told
            if (pair.one & each.one and pair.other & each.other) or (pair.one & each.other and pair.other & each.one)
        ]
        if alike:
            same = [each for each in alike if each.sign == pair.sign]
            places = tuple((each.start, each.end) for each in same or alike)
            words = reference.text.raw[pair.start : pair.end]
            yield Finding("direction", words, "agreed" if same else "contradicted", places, only_if_seen=True)
            return


def trend_findings(reference: Reading, answer: Reading, question: Reading) -> Iterator[Finding]:
    """What grows with what in the reference does not shrink with it in the answer."""
    heard = question.text.stems
    if max(len(reference.text.words), len(answer.text.words)) > _LONG:
        return
    wanted = _trends(reference, question)
    told = _trends(answer, question) if wanted else []
    paired = list(_paired(reference, answer))
    if paired or any(each.several for each in (*wanted, *told)):
        yield from paired
    else:
        yield from _held(reference, wanted, told, heard)
    # A choice between two that the question names: the lowest wins.
    chosen = [replace(each, about=frozenset()) for each in _preferences(reference)[:1]]
    yield from _held(reference, chosen, _preferences(answer) if chosen else [], heard)


def _held(
    reference: Reading, wanted: Sequence[_Trend], told: Sequence[_Trend], heard: frozenset[str]
) -> Iterator[Finding]:
    for trend in wanted[:1]:
        alike = [each for each in told if _alike(trend, each, heard)]
        if alike:
            same = [each for each in alike if each.sign == trend.sign]
            # What speaks of other things as well may have a trend of its own.
            known = trend.about | heard | _BECOMES
            plain = trend.brief or not trend.about
            against = [each for each in alike if plain or 2 * len(each.about & known) >= len(each.about)]
            if not same and not against:
                continue
            places = tuple((each.start, each.end) for each in same or against)
            words = reference.text.raw[trend.start : trend.end]
            yield Finding("direction", words, "agreed" if same else "contradicted", places, only_if_seen=True)


def _alike(one: _Trend, other: _Trend, heard: frozenset[str]) -> bool:
    """Are two trends about the same two things? What the question names need not be named again."""
    if one.brief and other.brief:
        return True
    return len(one.about & (other.about | heard)) >= _SAME * len(one.about)
