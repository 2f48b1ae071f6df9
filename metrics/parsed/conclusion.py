r"""Where a free answer says what it comes to: a LaTeX box, what follows "the answer is", a fenced block."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from ..choice.labels import before_new_question

# Longer answers are read from their end: a conclusion stands there, and no text takes long to read.
LONGEST = 100_000
# So many are looked at, from the last one back: an answer that concludes more often says nothing.
_CONCLUSIONS = 20
_BOX = re.compile(r"\\(?:boxed|fbox)\s*\{")
_BRACE = re.compile(r"[{}]")
_CUE = re.compile(
    r"\b(?:(?:final|correct|right|numerical|resulting)\s+)?(?:answer|result|solution|value|(?:root\s+)?cause|label|class|(?:working\s+)?group)"
    r"(?:\s+(?:here|thus|therefore))?\s*(?:[:=≈]|(?:is|was|are|equals)\b\s*[:=≈]?)\s*",
    re.IGNORECASE,
)
_FENCE = re.compile(r"^[ \t]{0,3}(`{3,}|~{3,})[ \t]*([\w+.-]*)[^\n]*\n", re.MULTILINE)


class Block(NamedTuple):
    """A fenced block of an answer: the word after its opening fence, in lower case, and what it holds."""

    kind: str
    text: str


def answer_part(prediction: str) -> str:
    """The answer without the questions that a base model goes on to invent, at most `LONGEST` characters of its end."""
    return before_new_question(prediction[-LONGEST:])


def boxed(text: str) -> str | None:
    r"""What the last LaTeX box holds, braces inside it included; None without a box that is closed.

    >>> boxed(r"so \boxed{1}, no: \boxed{\text{C3}}"), boxed(r"\boxed{1"), boxed("1")
    ('\\text{C3}', None, None)
    """
    found = None
    end = 0
    for start in _BOX.finditer(text):
        if start.start() < end:
            continue
        depth = 1
        for brace in _BRACE.finditer(text, start.end()):
            depth += 1 if brace[0] == "{" else -1
            if not depth:
                found, end = text[start.end() : brace.start()], brace.end()
                break
        if depth:
            # Nothing behind an open box is closed either.
            break
    return None if found is None else found.strip()


def concluded(text: str) -> list[str]:
    r"""The rest of the line after each "the answer is", "result:" and their like, the last ones in order.

    >>> concluded("The answer is 3.\nNo. Final answer: **4** dB")
    ['3.', '**4** dB']
    """
    found = []
    for cue in list(_CUE.finditer(text))[-_CONCLUSIONS:]:
        rest = text[cue.end() : cue.end() + 1000].lstrip().partition("\n")[0].strip()
        if rest:
            found.append(rest)
    return found


def blocks(text: str) -> Iterator[Block]:
    r"""The fenced blocks in order; one that is left open runs to the end.

    >>> list(blocks("```yaml\na: 1\n```\nand\n~~~\nb"))
    [Block(kind='yaml', text='a: 1\n'), Block(kind='', text='b')]
    """
    place = 0
    while (opening := _FENCE.search(text, place)) is not None:
        fence = re.compile(rf"^[ \t]{{0,3}}{re.escape(opening[1][0])}{{{len(opening[1])},}}[ \t]*$", re.MULTILINE)
        closing = fence.search(text, opening.end())
        end = len(text) if closing is None else closing.start()
        yield Block(opening[2].lower(), text[opening.end() : end])
        place = end if closing is None else closing.end()
        if closing is None:
            return
