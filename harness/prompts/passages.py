"""The passage of a long text that shares most with a question: what is kept when a context has to be cut."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# Scripts that set no spaces between words (Thai to Khmer, kana, Han): each of their characters may be cut off alone.
_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
_MARKS = "\u0300-\u036f\u200d\ufe0f"
# A longer run without space is a table, an address or code; it is cut where it must be.
_PIECE = re.compile(rf"[{_UNSPACED}][{_MARKS}]*|[^\s{_UNSPACED}]{{1,24}}[{_MARKS}]*")
_OUTER = ".,;:!?()[]{}<>\"'`“”‘’。，、！？；："
_COMMON_WORDS = (
    "a an and are as at be been being between but by can could did do does during each for from had has have how "
    "if in into is it its may not of on or shall should such than that the their then there these they this to "
    "under was were what when where which while who whom whose why will with would"
)
_COMMON = frozenset(_COMMON_WORDS.split())


def pieces(text: str) -> list[tuple[int, int]]:
    """Spans of the words of a text; a character each where the script sets no spaces, at most 24 characters.

    >>> pieces("an AMF 核心")
    [(0, 2), (3, 6), (7, 8), (8, 9)]
    """
    return [match.span() for match in _PIECE.finditer(text)]


@dataclass(frozen=True)
class Passages:
    """A text taken apart once for all questions about it: its words, their terms, its sentences, and token counts.

    ``tokens[i]`` is how many tokens the first i words take, the space before each counted with it; sentences are runs
    of words.
    """

    spans: Sequence[tuple[int, int]]
    terms: Sequence[str]
    sentences: Sequence[tuple[int, int]]
    tokens: NDArray[np.int64]


def take_apart(text: str, token_starts: Sequence[int]) -> Passages:
    """Words, terms and sentences of a text; ``token_starts`` says where each of its tokens starts, ascending."""
    import numpy as np

    spans = pieces(text)
    terms = [_term(text[first:last]) for first, last in spans]
    tokens = np.searchsorted(token_starts, [0, *(last for _, last in spans)])
    return Passages(spans, terms, _sentences(text, spans), tokens)


def best_passage(passages: Passages, query: str, room: int) -> tuple[int, int]:
    """Span of the passage of at most ``room`` tokens whose sentences share most with the query; (0, 0) if none fits.

    A sentence is worth (sum of the weights of the query's words in it) cubed, a word's weight being
    log(1 + sentences / sentences with it): the cube makes one sentence that has the question's words together
    outweigh many that have one each, and a passage cut through a sentence has its share. Among equals the middle one
    is taken, so that what stands around the sentence is kept; a text without any word of the query keeps its start.

    >>> text = "The UE sleeps. Mobility is handled by the AMF. The UPF forwards packets."
    >>> a_token_a_piece = [first for first, _ in pieces(text)]
    >>> first, last = best_passage(take_apart(text, a_token_a_piece), "What handles mobility?", 6)
    >>> text[first:last]
    'Mobility is handled by the AMF.'
    """
    import numpy as np

    spans, tokens = passages.spans, passages.tokens
    worth = _worth(passages, query)
    # For each first piece, how far the passage reaches; from the first that reaches the end on, each only loses.
    ends = np.searchsorted(tokens, tokens[:-1] + room, side="right") - 1
    ends = ends[: 1 + int(np.searchsorted(ends, len(spans)))]
    firsts = np.flatnonzero(ends > np.arange(len(ends)))
    if not len(firsts):
        return 0, 0
    values = worth[ends[firsts]] - worth[firsts]
    tied = firsts[values > values.max() - 1e-9]
    first = int(tied[len(tied) // 2] if values.max() > 1e-9 else tied[0])
    return spans[first][0], spans[ends[first] - 1][1]


def _worth(passages: Passages, query: str) -> NDArray[np.float64]:
    """Worth of the first i pieces, for every i: a sentence's worth spread evenly over its tokens."""
    import numpy as np

    terms, sentences, tokens = passages.terms, passages.sentences, passages.tokens
    wanted = {term for first, last in pieces(query) if (term := _term(query[first:last]))}
    shared = [wanted.intersection(terms[first:last]) for first, last in sentences]
    frequency = Counter(term for found in shared for term in found)
    # The worth of the first piece stands at 1.
    share = np.zeros(len(terms) + 1)
    for (first, last), found in zip(sentences, shared, strict=True):
        if found:
            value = sum(math.log1p(len(sentences) / frequency[term]) for term in sorted(found)) ** 3
            size = max(1, tokens[last] - tokens[first])
            share[first + 1 : last + 1] = value * np.diff(tokens[first : last + 1]) / size
    return np.cumsum(share)


def _sentences(text: str, spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Runs of pieces that end at a line's end or at a closing mark before a space."""
    sentences, begin = [], 0
    for index, (_, last) in enumerate(spans):
        following = spans[index + 1][0] if index + 1 < len(spans) else len(text)
        ended = text[last - 1] in "。！？；" or (following > last and text[last - 1] in ".;:!?")
        if ended or "\n" in text[last:following] or index + 1 == len(spans):
            sentences.append((begin, index + 1))
            begin = index + 1
    return sentences


@lru_cache(maxsize=1 << 15)
def _term(word: str) -> str:
    """A word for matching: lower case, outer punctuation and a plural s off; empty for the commonest words."""
    bare = word.strip(_OUTER).lower()
    if bare in _COMMON:
        return ""
    return bare.removesuffix("s") if len(bare) > 3 else bare
