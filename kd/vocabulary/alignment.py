"""Exact alignment of two tokenizations of one text: which tokens of both cover the same characters.

Two models that read different tokens can be compared only where both predict the same piece of text after the same
prefix: a token of each, with equal start and equal end. Offsets decide, not decoded strings: a line feed that one
tokenizer calls ``Ċ`` and the other ``<0x0A>`` costs nothing, and a token without a partner never moves those after it.
Source: Zhang et al., A Dual-Space Framework for General Knowledge Distillation of Large Language
Models, 2025 (arXiv 2504.11426): exact token alignment.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any

from telbench.errors import InputError

from ..objectives.contract import without_alignment

# Letters that stand for a space at a token's start, in byte-level and in SentencePiece vocabularies.
SPACES = ("\u0120", "\u2581")


@dataclass(frozen=True, slots=True)
class Tokens:
    """A text's tokens: ids, what the tokenizer calls them, and the characters [start, end) that each covers.

    The spans follow one another without gaps; a token that adds no character to those before it has an empty span. A
    first token that brings a space with it, which the text has not, begins at -1.
    Tokens that share a character (the bytes of an emoji, say) have the same ``group``.
    """

    ids: tuple[int, ...]
    names: tuple[str, ...]
    spans: tuple[tuple[int, int], ...]
    groups: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, slots=True)
class Alignment:
    """Pairs (row of the student, row of the teacher), ascending in both; ``same_end`` counts student tokens that end
    where some teacher token ends, whether or not they begin together. Tokens that share a character count as one.
    """

    pairs: tuple[tuple[int, int], ...]
    same_end: int


def tokens_of(tokenizer: Any, text: str, lead: str = "") -> Tokens:
    """Tokenize ``lead + text`` without special tokens around it; spans count from the start of ``text``.

    Args:
        tokenizer: a fast Hugging Face tokenizer.
        text: the answer.
        lead: what the prompt's form puts before it, such as the space after "Answer:".

    Raises:
        InputError: for a tokenizer that does not tell offsets.
    """
    if not getattr(tokenizer, "is_fast", False):
        raise InputError(
            f"{type(tokenizer).__name__} is a slow tokenizer and tells no character offsets: save a tokenizer.json "
            f"beside it, or distil with a method that needs no alignment ({', '.join(without_alignment())})"
        )
    found = tokenizer(lead + text, add_special_tokens=False, return_offsets_mapping=True)
    ids, raw = list(found["input_ids"]), list(found["offset_mapping"])
    # Some tokenizers leave the space before a word out of its offsets: a token begins where those before it ended.
    ends = [0]
    for _, end in raw:
        ends.append(max(end - len(lead), ends[-1]))
    names, spans = tuple(map(str, tokenizer.convert_ids_to_tokens(ids))), list(pairwise(ends))
    if spans and (lead or (names[0].startswith(SPACES) and names[0][0] != text[0] and not text[0].isspace())):
        # " by" is another token than "by", and what a model says of the one it does not say of the other.
        spans[0] = (-1, spans[0][1])
    return Tokens(tuple(ids), names, tuple(spans), tuple(_groups(raw)))


def tokens_said(ids: Sequence[int], pieces: Sequence[bytes], names: Sequence[str], lead: str) -> tuple[str, Tokens]:
    """The text that a model said by these tokens, ``lead`` taken off its front, and its tokens as `tokens_of` has them.

    ``pieces`` are the bytes that each stands for. A text that is no UTF-8 is told with replacement characters, and its
    tokens up to the first of these alone.
    """
    whole = b"".join(pieces)
    try:
        sound, text = len(whole), whole.decode()
    except UnicodeDecodeError as error:
        sound, text = error.start, whole.decode(errors="replace")
    lead = lead if lead and text.startswith(lead) else ""
    ends, groups, group = [0], list[int](), 0
    for reached in accumulate(map(len, pieces)):
        if reached > sound:
            break
        characters = whole[:reached].decode(errors="ignore")
        ends.append(max(len(characters) - len(lead), ends[-1]))
        groups.append(group)
        # A token that stops within a character shares it with the next.
        group += len(characters.encode()) == reached
    spans = list(pairwise(ends))
    if spans and lead:
        spans[0] = (-1, spans[0][1])
    known = len(spans)
    return text[len(lead) :], Tokens(tuple(ids[:known]), tuple(names[:known]), tuple(spans), tuple(groups))


def align(student: Tokens, teacher: Tokens) -> Alignment:
    """Align two tokenizations of the same text.

    A token is paired with the one of equal, non-empty span. Tokens that share a character with a neighbour have no span
    of their own: such a run is paired one to one where the other tokenizer has the same run under the same names, and
    not at all elsewhere.
    """
    theirs = {part.span: part for part in _parts(teacher)}
    ends = {end for _, end in theirs}
    pairs: list[tuple[int, int]] = []
    same_end = 0
    for part in _parts(student):
        same_end += part.span[1] in ends
        other = theirs.get(part.span)
        if other is None or len(part.rows) != len(other.rows):
            continue
        if len(part.rows) == 1 or part.names == other.names:
            pairs += zip(part.rows, other.rows, strict=True)
    return Alignment(tuple(pairs), same_end)


def with_end(pairs: Sequence[tuple[int, int]], student: int, teacher: int) -> list[tuple[int, int]]:
    """The pairs and the two end-of-sequence rows that follow ``student`` and ``teacher`` answer tokens.

    Both models end the same text there, whatever they call its end.

    >>> with_end([(0, 0)], 2, 3)
    [(0, 0), (2, 3)]
    """
    return [*pairs, (student, teacher)]


Span = tuple[int, int, int, int]


def spans_of(student: Tokens, teacher: Tokens, *, ended: bool = True) -> tuple[Span, ...]:
    """Shortest runs of rows of both that cover the same text: (first, last) of the student's and of the teacher's.

    A run ends wherever tokens of both end at the same character; within one, where both spell it alike. With ``ended``
    the two ends of sequence follow, and whatever stands between the last such place and them. A first run that begins
    with a space on one side alone is left out. Source: the alignment of Hugging Face's GOLD, here by characters.

    >>> one = Tokens((0, 1), ("a", "bc"), ((0, 1), (1, 3)), (0, 1))
    >>> two = Tokens((0, 1), ("ab", "c"), ((0, 2), (2, 3)), (0, 1))
    >>> spans_of(one, two)
    ((0, 1, 0, 1), (2, 2, 2, 2))
    """
    mine, others = ({part.span[1]: part for part in _parts(tokens)} for tokens in (student, teacher))
    found: list[Span] = []
    first = other = 0
    for end in sorted(mine.keys() & others.keys()):
        one, two = mine[end], others[end]
        if one.names == two.names and (first, other) == (one.rows[0], two.rows[0]):
            # Tokens that share a character, and are the same ones.
            found += [(row, row, partner, partner) for row, partner in zip(one.rows, two.rows, strict=True)]
        else:
            found.append((first, one.rows[-1], other, two.rows[-1]))
        first, other = one.rows[-1] + 1, two.rows[-1] + 1
    if ended:
        found.append((first, len(student), other, len(teacher)))
    begins = [tokens.spans[0][0] if tokens.spans else 0 for tokens in (student, teacher)]
    return tuple(found if begins[0] == begins[1] else found[1:])


@dataclass(frozen=True, slots=True)
class _Part:
    """A token that covers characters, or a run of tokens that share some."""

    span: tuple[int, int]
    rows: tuple[int, ...]
    names: tuple[str, ...]


def _parts(tokens: Tokens) -> Iterator[_Part]:
    first = 0
    for last in range(1, len(tokens) + 1):
        if last == len(tokens) or tokens.groups[last] != tokens.groups[first]:
            span = (tokens.spans[first][0], tokens.spans[last - 1][1])
            if span[0] < span[1]:
                yield _Part(span, tuple(range(first, last)), tokens.names[first:last])
            first = last


def _groups(raw: Sequence[tuple[int, int]]) -> list[int]:
    """A number for each token; those that begin before an earlier one has ended share it."""
    groups: list[int] = []
    reached = 0
    for index, (start, end) in enumerate(raw):
        apart = index == 0 or start >= reached
        groups.append((groups[-1] if groups else 0) + (1 if apart and index else 0))
        reached = max(reached, end)
    return groups
