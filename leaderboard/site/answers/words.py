"""Texts as the words by which they are searched; ``assets/items.js`` cuts what is asked in the same way."""

from __future__ import annotations

import re
import unicodedata

# A longer word is found by its beginning.
LONGEST_WORD = 32
# Scripts without spaces between words: every character is a word.
_ALONE = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"
_WORD = re.compile(rf"[{_ALONE}]|[^\W_{_ALONE}]+")
_ASCII = str.maketrans({chr(code): " " for code in range(128) if not chr(code).isalnum()})


def words_of(text: str) -> set[str]:
    """The words of a text in small letters: runs of letters and digits.

    >>> sorted(words_of("TS 38.331: RRC_IDLE, 基站"))
    ['331', '38', 'idle', 'rrc', 'ts', '基', '站']
    """
    if text.isascii():
        found = text.lower().translate(_ASCII).split()
    else:
        found = _WORD.findall(unicodedata.normalize("NFKC", text).lower())
    return {word[:LONGEST_WORD] for word in found}


def bucket(word: str, length: int) -> str:
    """The file that holds a word: its first characters, those that a file name had better not have as ``_``.

    >>> bucket("rrc", 2), bucket("é", 2), bucket("a", 2)
    ('rr', '_', 'a')
    """
    return "".join(letter if letter.isascii() and letter.isalnum() else "_" for letter in word[:length])
