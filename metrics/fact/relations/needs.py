"""What something needs and what it does without: "requires A", "not possible unless A", "works without A"."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..reading.entities import PARTIES
from ..reading.lexicon import word_list
from ..reading.polarity import LIMITS, NEGATIONS, ROUND
from ..reading.reading import Reading, found_once
from ..reading.text import STOP, Word
from .findings import Finding

# Words that a need reaches.
_REACH = 7
_BEING = word_list("forms of be") | {"remain", "remains", "becomes", "become", "considered", "makes"}
_NEEDED = word_list("told to be needed")
_UNNEEDED = word_list("told to be unneeded")
_NEEDS = frozenset({"requires", "require", "needs", "need", "presupposes", "demands", "necessitates", "needing"})
_RELIES = frozenset({"relies", "rely", "depends", "depend", "hinges"})
_MODALS = frozenset({"must", "shall"})
_SPARED = frozenset({"skipped", "omitted", "bypassed", "waived", "foregone"})
_REGARDLESS = frozenset({"irrespective", "regardless", "independent", "independently", "irrespectively"})
_ABSENCES = word_list("absences") | {"unable", "fails", "failed"}
_HARD = frozenset({"difficult", "hard"})
_ELIMINATES = frozenset(
    {
        "eliminates",
        "eliminating",
        "eliminate",
        "removes",
        "removing",
        "remove",
        "avoids",
        "avoiding",
        "avoid",
        "obviates",
    }
    | {"obviating", "minimizes", "minimizing", "reduces", "reducing", "reduce", "dispenses"}
)
_AUXILIARY = word_list("auxiliary verbs")
_ONLY = frozenset({"only", "solely", "exclusively"})
_CONDITIONS = frozenset({"if", "when", "with", "after", "once", "provided"})
_OPENERS = frozenset({"if", "when", "whenever", "while", "that", "which", "who", "whose"})
# Verbs that tell of what follows them, and not of themselves.
_LIGHT = frozenset(
    {"go", "undergo", "use", "perform", "have", "carry", "be", "complete", "do", "make", "get", "obtain"}
)
# What does so without a thing needs it.
_FAILS = frozenset({"fail", "fails", "failed", "breaks", "collapses", "helpless", "useless", "impractical", "hopeless"})
_WAITS = frozenset({"wait", "waits", "awaits"})
# What these deny is no verb.
_HAS_NOT = frozenset({"lack", "lacks", "lacking", "excluding", "except", "non"})
_PERMITS = frozenset({"can", "may", "able", "possible", "still", "works", "work"})
_CUES = frozenset().union(
    *(_NEEDED, _UNNEEDED, _NEEDS, _RELIES, _MODALS, _SPARED, _REGARDLESS, _ONLY),
    (
        "needn't",
        "wait",
        "waits",
        "with",
        "skip",
        "omit",
        "waive",
        "have",
        "has",
        "having",
        "without",
        "unless",
        "until",
    ),
)
# Longer sentences are lists, and a text with more needs tells nothing by them.
_LONGEST, _MOST, _BRIEF = 80, 60, 40


@dataclass(frozen=True, slots=True)
class _Need:
    """The stems of what is needed (``sign`` 1) or done without (-1): a ``thing``, something to do, or either."""

    sign: int
    kind: str
    what: frozenset[str]
    start: int
    end: int
    keys: frozenset[str] = frozenset()


def _denies(word: Word) -> bool:
    return (word.text in NEGATIONS and word.text != "non") or word.text.endswith("n't")


def _content(words: Sequence[Word]) -> list[Word]:
    return [word for word in words if word.text not in STOP]


def _behind(words: Sequence[Word], at: int) -> list[Word]:
    """The content of the clause behind a place; a clause that opens right there counts as the same."""
    found = []
    clause = words[at].clause
    for word in words[at + 1 : at + 1 + _REACH]:
        if word.sentence != words[at].sentence or (word.clause != clause and found and word.text != "or"):
            break
        clause = word.clause
        found.append(word)
    return _content(found)


def _ahead(words: Sequence[Word], at: int) -> list[Word]:
    """The content of the clause before a place."""
    found = []
    for word in reversed(words[max(0, at - _REACH) : at]):
        if word.sentence != words[at].sentence or word.clause != words[at].clause:
            break
        found.append(word)
    return _content(found)


@found_once
def _needs(reading: Reading) -> list[_Need]:
    words = reading.text.words
    by_sentence: dict[int, list[int]] = {}
    for at, word in enumerate(words):
        by_sentence.setdefault(word.sentence, []).append(at)
    found = []
    for places in by_sentence.values():
        sentence = words[places[0] : places[-1] + 1]
        if len(sentence) > _LONGEST or len(found) > _MOST:
            continue
        for at, word in enumerate(sentence):
            if word.text not in _CUES:
                continue
            for sign, kind, what in _told(sentence, at):
                stems = frozenset(word.stem for word in what if not _denies(word))
                if stems:
                    found.append(_Need(sign, kind, stems, word.start, word.end, _keys(reading, what)))
        found += _conditions(sentence)
    return found


def _told(words: Sequence[Word], at: int) -> Iterator[tuple[int, str, list[Word]]]:
    """What the word at a place says of needs, with its sign."""
    text = words[at].text
    following = words[at + 1].text if at + 1 < len(words) else ""
    before = [word.text for word in words[max(0, at - 4) : at] if word.clause == words[at].clause]
    denied = sum(_denies(word) for word in words[max(0, at - 5) : at] if word.clause == words[at].clause)
    near = words[max(0, at - _REACH - 2) : at + _REACH + 2]
    outside = sum((_denies(word) or word.text in _ABSENCES) and word.text not in _HAS_NOT for word in near)
    outside -= _denies(words[at])
    unsure = any(
        (word.text in ROUND or word.text in LIMITS or word.text in _HARD) and word.text not in _ABSENCES
        for word in words
    )
    if text in ("need", "needs", "have", "has", "having", "needn't") and (
        following == "not" or (following == "to" and text != "need") or text == "needn't"
    ):
        # "Need not wait", "does not have to wait", "has to wait"; "only has to hear A" leaves the rest out.
        if not LIMITS.isdisjoint(before):
            return
        spared = following == "not" or text == "needn't"
        if at + 3 < len(words) and words[at + 2].text == "be" and denied % 2:
            # "No connection has to be set up."
            yield -1, "", [*_ahead(words, at), *_behind(words, at)[:1]]
            return
        passive = at + 2 < len(words) and words[at + 2].text == "be"
        yield -1 if spared or denied % 2 else 1, "" if passive else "deed", _behind(words, at)[:2]
    elif text in _NEEDS and (text not in ("need", "needs") or following != "for"):
        yield -1 if (denied + (following == "no")) % 2 or "no" in before else 1, "", _behind(words, at)
    elif text == "need" and following == "for":
        denied += not _ELIMINATES.isdisjoint(before)
        yield -1 if denied % 2 or "no" in before else 1, "", _behind(words, at + 1)
    elif text in _RELIES and following in ("on", "upon"):
        yield -1 if denied % 2 else 1, "", _behind(words, at + 1)
    elif (text in _NEEDED or text in _UNNEEDED) and not _BEING.isdisjoint(before):
        sign = (1 if text in _NEEDED else -1) * (-1 if denied % 2 else 1)
        deed = following == "to" and text == "required"
        yield sign, "deed" if deed else "", _behind(words, at + 1)[:2] if deed else _ahead(words, at)
    elif text in _MODALS and following != "not" and not denied:
        yield 1, "deed", _behind(words, at)[:1]
        yield from _through(words, at)
    elif text in _WAITS and following == "for" and denied % 2 == 0 and _BEING.isdisjoint(before[-1:]):
        yield 1, "thing", _behind(words, at + 1)[:4]
    elif text == "with" and following == "no":
        yield -1, "thing", _behind(words, at + 1)[:4]
    elif text in _SPARED and not {"may", "can", "might"}.isdisjoint(before) and not denied:
        yield -1, "", _ahead(words, at)
    elif text in ("skip", "omit", "waive") and not {"may", "can", "might"}.isdisjoint(before) and not denied:
        yield -1, "", _behind(words, at)
    elif text == "without" and not unsure:
        if not at:
            # "Without a reflector, what comes in from one peer is not passed on."
            outside = sum((_denies(word) or word.text in _ABSENCES) and word.text not in _HAS_NOT for word in words[1:])
        outside += sum(word.text in _FAILS for word in words if word.text not in _ABSENCES or not at) * (not outside)
        yield 1 if outside % 2 else -1, "thing", _behind(words, at)[:4]
    elif text in ("unless", "until") and outside % 2:
        yield 1, "thing", _behind(words, at)
    elif text in _REGARDLESS and following == "of":
        yield -1, "thing", _behind(words, at + 1)
    elif text in _ONLY:
        for place in range(at + 1, min(at + 5, len(words))):
            if words[place].text in _CONDITIONS:
                what = words[place + 1 : place + 1 + _REACH]
                if not any(_denies(word) for word in words):
                    yield 1, "thing", _content(what)
                break


def _keys(reading: Reading, words: Sequence[Word]) -> frozenset[str]:
    """The names among these words, with their acronyms, but for those of parties: all else is done by them."""
    starts = {word.start for word in words}
    return frozenset(
        key
        for each in reading.entities
        if any(each.start <= start < each.end for start in starts) and each.keys.isdisjoint(PARTIES)
        for key in each.keys
    )


def _through(words: Sequence[Word], at: int) -> Iterator[tuple[int, str, list[Word]]]:
    """What has to be gone through or used: "must still go through contention resolution"."""
    behind = [word for word in words[at + 1 : at + 4] if word.clause == words[at].clause]
    for place, word in enumerate(behind, at + 1):
        if word.text in _LIGHT:
            yield 1, "thing", _behind(words, place)[:4]
            return


def _conditions(words: Sequence[Word]) -> Iterator[_Need]:
    """A denied condition: "a call that is not anchored cannot move" needs it, "can move" does without."""
    denials = [word for word in words if _denies(word)]
    if not 1 <= len(denials) <= 2 or any(word.text in ROUND or word.text in LIMITS for word in words):
        return
    for at, word in enumerate(words):
        if word.text not in _OPENERS or (at and words[at - 1].text in ("so", "such", "in")):
            continue
        inside = _condition(words, at)
        inner = [each for each in inside if each in denials]
        if len(inner) != 1 or inner[0].text in ("without", "lacks", "lacking"):
            continue
        if len(denials) == 1 and _PERMITS.isdisjoint(each.text for each in words):
            # "Cells that do not overlap are quiet" names them and tells no need.
            continue
        what = [each for each in inside if each.start > inner[0].end][:4]
        stems = frozenset(each.stem for each in what if each.text not in STOP)
        if stems:
            yield _Need(1 if len(denials) == 2 else -1, "thing", stems, word.start, inner[0].end)


def _condition(words: Sequence[Word], at: int) -> list[Word]:
    """The words of a condition or relative clause, up to the verb of the main clause."""
    found: list[Word] = []
    denied = False
    for word in words[at + 1 :]:
        if word.clause != words[at].clause or len(found) > _REACH + 1:
            break
        denies = _denies(word)
        if denied and (denies or word.text in _AUXILIARY) and found[-1].text not in NEGATIONS:
            break
        denied = denied or denies
        found.append(word)
    return found


def _comparable(reference: Reading, answer: Reading) -> bool:
    """Are both so short that they speak of one need?"""
    return max(len(reference.text.words), len(answer.text.words)) <= _BRIEF


def need_findings(reference: Reading, answer: Reading) -> Iterator[Finding]:
    """What the reference needs, the answer does not do without, nor the other way round."""
    wanted = _needs(reference)
    told = _needs(answer) if wanted and _comparable(reference, answer) else []
    for need in wanted:
        alike = [each for each in told if _alike(need, each)]
        if not alike or any(each.sign != need.sign and _alike(need, each) for each in wanted):
            continue
        same = [each for each in alike if each.sign == need.sign]
        places = tuple((each.start, each.end) for each in same or alike)
        words = reference.text.raw[need.start : need.end]
        yield Finding("polarity", words, "agreed" if same else "contradicted", places, only_if_seen=True)


def needed_alike(reference: Reading, answer: Reading) -> frozenset[str]:
    """Stems of what both texts need, or both do without: what one denies there the other need not."""
    wanted = _needs(reference)
    told = _needs(answer) if wanted and _comparable(reference, answer) else []
    return frozenset(
        stem
        for need in wanted
        for each in told
        if each.sign == need.sign and _alike(need, each)
        for stem in need.what & each.what
    )


def _alike(one: _Need, other: _Need) -> bool:
    """Are two needs of the same thing?"""
    if one.kind != other.kind and one.kind and other.kind:
        return False
    if one.keys & other.keys:
        return True
    return len(one.what & other.what) >= max(1, (min(len(one.what), len(other.what)) + 1) // 2)
