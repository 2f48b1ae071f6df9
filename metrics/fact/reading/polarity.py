"""What a text denies: negations with their scope, and statements held against them.

A negation covers the words after it up to the end of its clause. Two texts contradict one another where one denies
what the other says, word stem by word stem. Statements under *unless* and *until* are left alone: what is denied there
depends on the condition.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from .lexicon import word_list
from .text import STOP, Text, Word, stem

# Words that deny.
NEGATIONS = word_list("negations")
# Verbs that deny the verb after "to".
_TO_DENY = frozenset({"fail", "failed", "refuse", "refused", "decline", "declines", "cease"})
_SHORT = {
    "without": 4,
    "non": 1,
    "lack": 4,
    "lacks": 4,
    "lacking": 4,
    "excluding": 4,
    "replaces": 2,
    "replace": 2,
    "replacing": 2,
    "except": 4,
}
# Phrases that deny what follows.
_PAIRS = frozenset(
    {("instead", "of"), ("rather", "than"), ("free", "of"), ("other", "than"), ("absence", "of"), ("lack", "of")}
    | {("devoid", "of"), ("ignorant", "of"), ("unaware", "of"), ("rule", "out"), ("rules", "out"), ("ruling", "out")}
)
# Words that may deny, by themselves or with the next one; beside them those with "n't" do.
_CUES = NEGATIONS | _TO_DENY | {first for first, _ in _PAIRS}
# Words that limit what their clause says, or go round what their sentence says: it is not plainly said.
LIMITS = word_list("limiting")
ROUND = word_list("going round")
CONDITIONS = frozenset({"unless", "until", "otherwise"})
# "not only" and the like deny nothing; "no more than" is a bound.
AFFIRM = frozenset({"only", "just", "merely", "necessarily", "matter"})
_WHOLES = frozenset({"all", "every", "each", "both", "always", "everything", "everyone"})
_BOUNDS = frozenset(
    {"more", "less", "longer", "later", "fewer", "greater", "higher", "lower", "larger", "smaller", "earlier"}
)
_BEING = word_list("forms of be")
_STATES = word_list("forms of be") | {"remains", "remain", "stays", "stay", "becomes", "become"}
_OPEN = frozenset({"whether", "if", "when", "where"})
_REACH = 8
# Adverbs that a negation of their verb denies alone.
_MANNER = word_list("manner")
# Words that deny a verb.
VERBAL = frozenset({"not", "never", "cannot"})
# What opens the next name, but not behind these: "without use of the header".
_NEXT_NAME = frozenset({"the", "a", "an", "each", "every", "it", "they", "this", "these"}) | word_list(
    "auxiliary verbs"
)
# What is told of time and cause is not denied with the verb: "must not ring before the decision".
_ADJUNCTS = frozenset({"before", "after", "because", "during"})
_BEINGS = frozenset(
    {"occur", "occurs", "happen", "happens", "take", "takes", "exist", "exists", "possible", "applied", "used", "done"}
    | {"supported", "performed", "allowed", "permitted", "carried", "provided"}
)
_OF = frozenset({"of", "by", "in", "on", "for", "to", "and", "or"})
# Words that begin with un without denying the rest, and words that another prefix denies.
_WHOLE = word_list("un is no prefix")
_PREFIXED = word_list("denied by their prefix")
_PREFIX = re.compile(r"un|in|im|ir|il|dis|non")
# Words that deny what stands before them in their clause, too: "a header is absent".
_ABSENCES = word_list("absences")


@dataclass(frozen=True, slots=True)
class Negation:
    """A negating word and the content words that it covers.

    ``instead`` are the stems of what is said in their place: of PDCP in "in PDCP, not in MAC". ``predicate`` is the
    stem of what is denied of a noun: of lost in "no packet is lost".
    """

    cue: Word
    scope: tuple[Word, ...]
    instead: frozenset[str] = frozenset()
    predicate: str = ""


@dataclass(frozen=True)
class Polarity:
    """The negations of a text, and those by a prefix (invalid) apart; stems denied and said, with their first places.

    ``clauses`` and ``sentences`` hold the content stems of each. ``covered`` are the places of denied words in the
    text's ``words``, ``focus`` those of the first words that negations cover. ``predicates`` are those of what is
    denied of a noun (kept, of "none is kept"), ``going_round`` the starts of words that go round what their sentence
    says. A clause that denies anything is left alone when it only seems to say what the other text denies: the words
    between may carry the negation.
    """

    negations: tuple[Negation, ...]
    prefixed: tuple[Negation, ...]
    denied: dict[str, Word]
    said: dict[str, Word]
    covered: frozenset[int]
    clauses: dict[int, frozenset[str]]
    sentences: dict[int, frozenset[str]]
    focus: frozenset[int]
    predicates: frozenset[int]
    denying_clauses: frozenset[int]
    conditional_sentences: frozenset[int]
    prefixed_clauses: frozenset[int]
    denying_sentences: frozenset[int]
    going_round: dict[int, frozenset[int]]


def polarity(text: Text) -> Polarity:
    """Where a text denies what; linear in its length.

    >>> sorted(polarity(Text("It does not segment SDUs, and adds an unencrypted header.")).denied)
    ['encrypt', 'sdu', 'split']
    """
    words = text.words
    negations: list[Negation] = []
    parity = [0] * len(words)
    cues: dict[int, int] = {}
    focus: set[int] = set()
    predicates: set[int] = set()
    for at, word in enumerate(words):
        if word.text not in _CUES and not word.text.endswith("n't"):
            continue
        cue = word.text in NEGATIONS or word.text.endswith("n't")
        cue = cue or (word.text in _TO_DENY and at + 1 < len(words) and words[at + 1].text == "to")
        opens = at + 1
        if not cue and at + 1 < len(words) and (word.text, words[at + 1].text) in _PAIRS:
            # "The presence or absence of a header" denies nothing.
            cue, opens = not (at and words[at - 1].text == "or"), at + 2
        following = words[at + 1].text if at + 1 < len(words) else ""
        if word.text == "non" and _names(text.plain, word.end):
            # "Non-RT" and "non-3GPP" are names.
            continue
        if word.text.startswith("replac") and any(w.text in ("by", "with") for w in words[at + 1 : at + _REACH]):
            # "Replaces A by B" turns A into B.
            continue
        if not cue or (following in AFFIRM and word.text in ("not", "no")):
            continue
        if following == "even" and at and words[at - 1].sentence == word.sentence and negations:
            # "Shall not camp, not even for calls" denies the same once more.
            continue
        if word.text == "not" and following in _WHOLES:
            # "Not all cells page" says that some do.
            cues[word.clause] = cues.get(word.clause, 0) + 1
            continue
        if following in _BOUNDS and at + 2 < len(words) and words[at + 2].text == "than":
            continue
        if (word.text == "not" and at and words[at - 1].text in ("need", "necessarily")) or (
            word.text == "without" and at and words[at - 1].text in ("do", "does", "along")
        ):
            # What need not be may be.
            cues[word.clause] = cues.get(word.clause, 0) + 1
            continue
        opens += following == "longer"
        if word.text in ("not", "never", "cannot") or word.text.endswith("n't") or following == "longer":
            predicates |= _denied_subject(words, at)
        reach = _SHORT.get(word.text, _REACH)
        scope = []
        for place in range(opens, min(opens + reach, len(words))):
            covered = words[place]
            if covered.text == "nor" or (covered.clause != word.clause and not _same_scope(words, at, place)):
                break
            if covered.text in _ADJUNCTS and scope:
                break
            if reach < _REACH and scope and covered.text in _NEXT_NAME and words[place - 1].text not in _OF:
                # "Without DRX | the UE listens".
                break
            parity[place] += 1
            if covered.text not in STOP:
                if not scope:
                    focus ^= {place}
                scope.append(covered)
        if word.text == "nothing" and not scope and at and words[at - 1].clause == word.clause:
            # "Guarantees nothing".
            done = words[at - 1]
            if done.text not in STOP:
                parity[at - 1] += 1
                scope.append(done)
        if word.text in VERBAL or word.text.endswith("n't"):
            # "Does not access it directly" accesses it in another way.
            manner = next((place for place, each in enumerate(scope) if each.text in _MANNER), 0)
            scope = scope[manner:]
        instead = _ellipsis(words, at) or (
            _instead(text, at) if opens == at + 2 or word.text == "not" else frozenset[str]()
        )
        predicate = ""
        if word.text in ("no", "none", "nothing", "nobody"):
            place = _predicate(words, at)
            predicate = words[place].stem if place else ""
            if place:
                predicates.add(place)
        if word.text == "without" and not (at and words[at - 1].sentence == word.sentence):
            # "Without a link it fails" denies no link.
            scope = []
        negations.append(Negation(word, tuple(scope), instead, predicate))
        if word.text != "without" or (at and words[at - 1].sentence == word.sentence):
            # "Without DRX the UE listens" says plainly that it listens; "neither A nor B" denies once.
            cues[word.clause] = cues.get(word.clause, 0) + (word.text != "nor")
    for at, word in enumerate(words):
        # "Not impossible" denies nothing.
        if word.text in _ABSENCES and not parity[at] % 2 and _is_told(words, at):
            near = [
                place
                for place in (*range(at - 1, max(-1, at - 1 - _REACH), -1), *range(at + 1, min(len(words), at + 5)))
                if words[place].clause == word.clause or _coordinated(words, place, at)
            ]
            for place in near:
                parity[place] += 1
            scope = [words[place] for place in near if words[place].text not in STOP]
            if cues.get(word.clause, 0) % 2 == 0:
                # "Impossible without": two negations say it together.
                negations.append(Negation(word, tuple(scope)))
            cues[word.clause] = cues.get(word.clause, 0) + 1
    denied: dict[str, Word] = {}
    said: dict[str, Word] = {}
    prefixed: list[Negation] = []
    prefixed_clauses: set[int] = set()
    for at, (count, word) in enumerate(zip(parity, words, strict=True)):
        if word.text in STOP:
            continue
        (denied if count % 2 else said).setdefault(word.stem, word)
        bare = without_prefix(word.text)
        if bare:
            (said if count % 2 else denied).setdefault(stem(bare), word)
            if not count % 2:
                prefixed_clauses |= {word.clause} if _is_told(words, at) else set()
                prefixed.append(Negation(word, (word._replace(stem=stem(bare)),)))
    # A clause with two negations says what it seems to deny; one with a word that limits or goes round is left alone.
    quiet = {clause for clause, count in cues.items() if count % 2}
    quiet |= {word.clause for word in words if word.text in LIMITS}
    by_clause: dict[int, set[str]] = {}
    by_sentence: dict[int, set[str]] = {}
    for word in words:
        if word.text not in STOP:
            by_clause.setdefault(word.clause, set()).add(word.stem)
            by_sentence.setdefault(word.sentence, set()).add(word.stem)
    # "Keeps it until the end" says plainly that it keeps it.
    denying = {each.cue.sentence for each in negations}
    conditional = frozenset(
        word.sentence
        for word in words
        if word.text in CONDITIONS and (word.text != "until" or word.sentence in denying)
    )
    going_round: dict[int, set[int]] = {}
    for at, word in enumerate(words):
        left_to = word.text == "left" and at + 1 < len(words) and words[at + 1].text == "to"
        if word.text in ROUND or left_to:
            going_round.setdefault(word.clause, set()).add(word.start)
    # "Without A there is no B" denies neither.
    lacking = {each.cue.sentence for each in negations if each.cue.text == "without"}
    conditional |= {each.cue.sentence for each in negations if each.cue.text != "without"} & lacking
    covered = frozenset(at for at, count in enumerate(parity) if count % 2)
    return Polarity(
        tuple(negations),
        tuple(prefixed),
        denied,
        said,
        covered,
        {clause: frozenset(each) for clause, each in by_clause.items()},
        {sentence: frozenset(each) for sentence, each in by_sentence.items()},
        frozenset(focus),
        frozenset(predicates),
        frozenset(quiet),
        conditional,
        frozenset(prefixed_clauses),
        frozenset(each.cue.sentence for each in negations if each.scope),
        {clause: frozenset(each) for clause, each in going_round.items()},
    )


def _predicate(words: Sequence[Word], at: int) -> int:
    """The place of what follows a form of "to be" after a denied noun in the same clause; 0 where nothing does."""
    found, own = 0, words[at].clause
    for place in range(at + 1, min(at + 13, len(words) - 1)):
        if words[place].clause != own and words[place].text not in ("that", "which", "who"):
            break
        # Behind a relative clause the last one counts: "none of those that have been lost is sent again".
        if own == words[at].clause and place > at + 6:
            break
        own = words[place].clause
        if words[place].text in _BEING:
            after = words[place + 1]
            found = place + 1 if after.clause == own and after.text not in STOP else 0
            if own == words[at].clause:
                return found
    return found


def _denied_subject(words: Sequence[Word], at: int) -> set[int]:
    """The one word whose being is denied: "deactivation never occurs", "encryption is not applied"."""
    behind = [word.text for word in words[at + 1 : at + 4] if word.clause == words[at].clause]
    if _BEINGS.isdisjoint(behind):
        return set()
    content = [
        place
        for place in range(max(0, at - 6), at)
        if words[place].clause == words[at].clause and words[place].text not in STOP
    ]
    if not content or words[content[0]].text in _BEINGS:
        return set()
    # "Activation of the cell never occurs" has its head first.
    return {content[0]} if len(content) == 1 or words[content[0] + 1].text == "of" else set()


def _coordinated(words: Sequence[Word], place: int, at: int) -> bool:
    """Does "and" alone part a word from the clause behind it: "A and B are absent"?"""
    between = words[place:at]
    openers = [one for one, other in zip(between[1:], between, strict=False) if one.clause != other.clause]
    return (
        place < at
        and words[place].sentence == words[at].sentence
        and len(openers) == 1
        and openers[0].text in ("and", "or")
        and not any(word.text in _STATES for word in between if word.clause != words[at].clause)
    )


def _is_told(words: Sequence[Word], at: int) -> bool:
    """Is the word told of something ("is absent"), neither beside its noun nor asked ("whether it is barred")?"""
    before = [word.text for word in words[max(0, at - 8) : at] if word.sentence == words[at].sentence]
    return not _STATES.isdisjoint(before[-3:]) and _OPEN.isdisjoint(before)


def _ellipsis(words: Sequence[Word], at: int) -> frozenset[str]:
    """Who does it then: the controller of "switches do not decide, the controller does"."""
    rest = [word for word in words[at + 1 : at + 16] if word.sentence == words[at].sentence]
    if not rest or rest[-1].text not in ("does", "do", "did", "is", "are", "can", "will"):
        return frozenset()
    return frozenset(word.stem for word in rest if word.clause == rest[-1].clause and word.text not in STOP)


def _instead(text: Text, at: int) -> frozenset[str]:
    """What stands before ", not" and "rather than" in the same sentence."""
    words = text.words
    own = words[at]
    before = words[at - 1] if at else own
    comma = "," in text.plain[before.end : own.start]
    if own.text == "not" and not comma:
        return frozenset()
    parted = [word for word in words[max(0, at - _REACH) : at] if word.sentence == own.sentence]
    return frozenset(word.stem for word in parted if word.text not in STOP)


def _names(plain: str, end: int) -> bool:
    """Does a capital or a digit follow the hyphen: Non-RT, non-3GPP?"""
    return plain[end : end + 1] == "-" and (plain[end + 1 : end + 2].isupper() or plain[end + 1 : end + 2].isdigit())


def _same_scope(words: Sequence[Word], cue: int, place: int) -> bool:
    """Does "or" carry a negation on: "does not segment or retransmit"?"""
    return any(word.text == "or" for word in words[max(cue, place - 1) : place + 1])


@lru_cache(maxsize=1 << 14)
def without_prefix(word: str) -> str:
    """What a prefix denies in a word: "encrypted" of "unencrypted"; "" where none does."""
    if (
        word.startswith("un")
        and len(word) >= 7
        and word not in _WHOLE
        and word.endswith(("ed", "able", "al", "ing", "ful"))
    ):
        return word[2:]
    return _PREFIX.sub("", word, count=1) if word in _PREFIXED else ""
