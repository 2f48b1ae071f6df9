"""How texts become the pieces of a judge's prompt."""

from __future__ import annotations

from collections.abc import Sequence

from .chat import writable


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
