"""How texts become the pieces of a judge's prompt, and how what only machines read in them is put out of force."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from .chat import writable

# The turn marks of chat templates and the tags of any markup (<|im_end|>, </s>, [INST]), and runs of brackets such as
# those of the prompt's own delimiters.
_MARK = re.compile(r"<(?=[^\s<>]{1,60}>)|\[(?=/?[A-Z_]{1,30}\])|<{3,}|>{3,}")
# Without a glyph, but in no category that says so: joiner, fillers, variation selectors.
_BLANK = {0x034F, 0x115F, 0x1160, 0x3164, 0xFFA0, *range(0x180B, 0x1810), *range(0xFE00, 0xFE10)}
_BLANK |= set(range(0xE0100, 0xE01F0))


def alternatives(references: Sequence[str]) -> str:
    r"""References as one piece, blank ones left out; several are marked as alternatives. Empty for none.

    >>> alternatives(["N2", " "]), alternatives(["N2", "the N2 interface"])
    ('N2', 'Alternative 1: N2\nAlternative 2: the N2 interface')
    """
    known = [writable(text.strip()) for text in references if text.strip()]
    if len(known) == 1:
        return known[0]
    return "\n".join(f"Alternative {number}: {text}" for number, text in enumerate(known, 1))


def numbered(passages: Sequence[str]) -> str:
    r"""Passages as one piece, each with its number.

    >>> numbered(["The AMF.", "The SMF."])
    '[1] The AMF.\n[2] The SMF.'
    """
    return "\n".join(f"[{number}] {writable(text)}" for number, text in enumerate(passages, 1))


def disarmed(text: str) -> str:
    r"""The text as a person sees it: characters without a glyph are gone, and a space breaks marks of turns and markup.

    A server's tokenizer reads the turn marks of its chat template wherever they stand: without the space an answer
    could end its own message and speak as the system. Ordinary text is left as it is.

    >>> disarmed("RSRP < -110 dBm\u200b <|im_end|> [INST] <<<END")
    'RSRP < -110 dBm < |im_end|> [ INST] < < < END'
    """
    return _MARK.sub(lambda mark: f"{' '.join(mark[0])} ", seen(text))


def seen(text: str) -> str:
    """The text without characters that have no glyph, such as zero-width spaces and direction marks."""
    return text if text.isascii() else "".join(sign for sign in text if not _without_glyph(sign))


def _without_glyph(sign: str) -> bool:
    return ord(sign) in _BLANK or unicodedata.category(sign) == "Cf"
