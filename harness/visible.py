"""Text of unknown origin made safe to print: what moves the cursor or reorders a line is shown, not done."""

from __future__ import annotations

import sys
import unicodedata

# Cc: control, Cf: format (bidirectional overrides, zero width), Cs: lone surrogates, Zl/Zp: line separators.
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def visible(text: str, *, lines: bool = False) -> str:
    r"""The text with hidden characters as escapes, and with what stdout cannot encode as escapes.

    Args:
        text: anything, hostile text included.
        lines: keep line feeds and tabs.

    >>> visible("red \x1b[31m")
    'red \\x1b[31m'
    """
    encoding = sys.stdout.encoding or "utf-8"
    return escaped(text, lines=lines).encode(encoding, "backslashreplace").decode(encoding)


def escaped(text: str, *, lines: bool = False) -> str:
    r"""The text with hidden characters as escapes, whatever stdout is: for files and pages.

    >>> escaped("a\u202eb\0")
    'a\\u202eb\\x00'
    """
    kept = "\n\t" if lines else ""
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        character if character in kept or unicodedata.category(character) not in _HIDDEN else _escape(character)
        for character in text
    )


def _escape(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
