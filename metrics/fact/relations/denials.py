"""Negations of two texts held against one another: what one denies and the other says."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..reading.polarity import ROUND, VERBAL, Negation, Polarity, without_prefix
from ..reading.text import Word

# Clauses with more words than this have to have two in common to be about the same.
_FEW = 3
# A text of so few different words says one thing.
_BRIEF = 16
# Verbs that tell a state and nothing of it.
_PLAIN_STATES = frozenset({"becom", "remain", "stai", "consid", "get", "deem"})


@dataclass(frozen=True, slots=True)
class Denial:
    """A contradiction: the word of the reference, and the word of the answer, one said and one denied."""

    reference: Word
    answer: Word


def _same_subject(
    mine: Polarity, negation: Negation, word: Word, others: Polarity, other: Word, heard: frozenset[str]
) -> bool:
    """Have the clauses more in common than the one word, where they have more?"""
    less = _PLAIN_STATES | {word.stem, negation.cue.stem}
    own = mine.clauses.get(negation.cue.clause, frozenset()) - less
    theirs = others.sentences.get(other.sentence, frozenset()) - {word.stem}
    own = own or mine.sentences.get(negation.cue.sentence, frozenset()) - less
    clause = others.clauses.get(other.clause, frozenset()) - heard
    if own & theirs - heard and not own & clause and len(clause - {word.stem}) > 1:
        # "They share A but each has its own B": B is not what they share.
        return False
    return len(own) < 2 or not theirs or len(own & theirs) > (min(len(own), len(theirs)) > _FEW)


def denials(
    reference: Polarity, answer: Polarity, question: Polarity, heard: frozenset[str], *, asked: bool = False
) -> list[Denial]:
    """Where an answer denies what the reference says, or says what it denies.

    ``heard`` are the stems of the question: words that are new to it decide first. What the question itself denies
    may be repeated in either way. Where yes or no is ``asked`` for, the question gives no verb.
    """
    found = [Denial(*clash) for clash in _clashes(reference, answer, heard, asked)]
    found += [Denial(word, denied) for denied, word in _clashes(answer, reference, heard, asked)]
    return [each for each in found if each.reference.stem not in question.denied]


def _clashes(mine: Polarity, others: Polarity, heard: frozenset[str], asked: bool) -> Iterator[tuple[Word, Word]]:
    """For each negation a word that it covers and the other text says, if that denies none of them."""
    # Much of a long text avoids or prevents something that the other speaks of.
    brief = max(len(mine.said) + len(mine.denied), len(others.said) + len(others.denied)) <= _BRIEF
    for negation in (*mine.negations, *(mine.prefixed if brief else ())):
        if negation.cue.sentence in mine.conditional_sentences:
            continue
        if any(each in others.said and each not in others.denied for each in negation.instead - heard) and not any(
            each in others.denied for each in negation.instead
        ):
            # What is said in its place is said there, too.
            continue
        if negation.scope and negation.scope[0].stem in others.denied:
            continue
        first = [word for word in negation.scope if word.stem not in heard][:4] or list(negation.scope[:4])
        if first[:1] != list(negation.scope[:1]) and negation.scope[0].text in ROUND:
            # "Does not block others": what goes round is never given by a question about it.
            first.insert(0, negation.scope[0])
        if asked and negation.scope and _denies_verb(negation):
            verb = negation.scope[0]
            if verb.stem in others.said:
                first = list(negation.scope[:4])
            elif verb.stem in heard and verb.text.endswith("ed"):
                # "Is not reused": what else is said of the key denies nothing.
                continue
        turns_prefix = any(without_prefix(word.text) for word in negation.scope)
        said = [(word, others.said.get(word.stem)) for word in first]
        clash = [
            (word, other)
            for word, other in said
            if other is not None
            and word.stem not in others.denied
            # What a text says in one place and denies in another depends on a condition.
            and word.stem not in mine.said
            and other.clause not in others.denying_clauses
            and (other.clause not in others.prefixed_clauses or turns_prefix)
            and other.sentence not in others.conditional_sentences
            # A word that goes round is plainly said itself: "blocks" of "does not block".
            and others.going_round.get(other.clause, frozenset()) <= {other.start}
            and mine.going_round.get(negation.cue.clause, frozenset())
            <= ({negation.cue.start, word.start} if brief else frozenset())
        ]
        # The word right after the negation, or two of those behind it: one alone is often beside the point.
        alike = sum(word.stem in others.denied for word in negation.scope[:6])
        clash = [(word, other) for word, other in clash if _same_subject(mine, negation, word, others, other, heard)]
        if clash and (clash[0][0] is not negation.scope[0] or negation in mine.prefixed):
            # The words behind the verb alone: what is said of them may be denied by any word of their sentence.
            clash = [(word, other) for word, other in clash if other.sentence not in others.denying_sentences]
        if negation.predicate and negation.predicate not in others.said:
            # "No packet is lost" is not denied by "every packet arrives".
            continue
        if len(clash) > alike and (
            clash[0][0] is first[0] or (len(clash) > 1 and clash[0][0] in first[1:2] and first[0].stem not in heard)
        ):
            yield clash[0]


def _denies_verb(negation: Negation) -> bool:
    return negation.cue.text in VERBAL or negation.cue.text.endswith("n't")
