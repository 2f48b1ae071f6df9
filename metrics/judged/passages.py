"""A context cut into a few passages, in order, where paragraphs or sentences end."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ...judges.schemas import MOST_PASSAGES

# Characters below which a passage takes in the next paragraph or sentence.
SHORTEST = 160
_PARAGRAPH = re.compile(r"\s*\n\s*")
_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[^\sa-z])|(?<=[。！？])\s*")


def passages_of(context: str, most: int = MOST_PASSAGES) -> tuple[str, ...]:
    """At most ``most`` passages that together are the context, white space apart; none for a blank one.

    Each but the last has at least `SHORTEST` characters and at least its share of the text. A paragraph of up to twice
    that is kept whole; a longer one is cut after sentences, and a sentence never.

    >>> [len(passage) for passage in passages_of("One sentence of some length. " * 40)]
    [173, 173, 173, 173, 173, 173, 115]
    """
    paragraphs = [text for text in _PARAGRAPH.split(context.strip()) if text]
    least = max(SHORTEST, -(-sum(map(len, paragraphs)) // most))
    passages, parts, size = [], [], 0
    for text, separator in _units(paragraphs, 2 * least):
        parts += [text, separator]
        size += len(text)
        if size >= least:
            passages.append("".join(parts).strip())
            parts, size = [], 0
    if parts:
        passages.append("".join(parts).strip())
    return tuple(passages)


def _units(paragraphs: list[str], longest: int) -> Iterator[tuple[str, str]]:
    """What is never cut, each with the white space that follows it."""
    for paragraph in paragraphs:
        sentences = [paragraph] if len(paragraph) <= longest else [s for s in _SENTENCE.split(paragraph) if s]
        yield from ((sentence, " ") for sentence in sentences[:-1])
        yield sentences[-1], "\n"
