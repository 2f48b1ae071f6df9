"""Where tokens begin and end in scripts that put no spaces between words: each character is one.

Elsewhere white space and punctuation go on to separate words. Texts in ASCII are cut here as they are without this
module, but for what sacrebleu's own tokenisers do otherwise.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import cache

# Letters by script, without digits and punctuation. Han, kana and Bopomofo, then Thai, Lao, Burmese and Khmer.
_EAST_ASIAN = (
    "\u2e80-\u2fdf\u3005-\u3007\u3021-\u3029\u3031-\u3035\u3038-\u303c\u3041-\u3096\u309d-\u309f\u30a1-\u30fa"
    "\u30fc-\u312f\u31a0-\u31bf\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f"
    "\U0001aff0-\U0001b16f\U00020000-\U0003fffd"
)
_SOUTH_EAST_ASIAN = (
    "\u0e01-\u0e3a\u0e40-\u0e4e\u0e81-\u0ebd\u0ec0-\u0ece\u0edc-\u0edf\u1000-\u103f\u1050-\u108f\u109a-\u109d"
    "\u1780-\u17d3\u17d7\u17dc\u17dd\ua9e0-\ua9ef\ua9fa-\ua9fe\uaa60-\uaa7f"
)
# What sacrebleu's tokeniser `zh` splits off: as it works, which is more than its list of code points means to say. Its
# bounds of five digits are read as two characters, so that quotes, dashes, arrows and mathematical signs are among it.
_ZH = (
    "\u2001-\u2a6d\u2e80-\u2fdf\u2ff0-\u303f\u3100-\u312f\u31a0-\u31bf\u31c0-\u31ef\u3200-\u4db5\u4e00-\u9fbb"
    "\uf900-\ufa2d\ufa30-\ufa6a\ufa70-\ufad9\ufe10-\ufe1f\ufe30-\ufe4f\uff00-\uffef"
)


@cache
def _characters() -> re.Pattern[str]:
    """A letter of a script without spaces, with the vowel and tone marks that belong to it."""
    blocks = (range(0x0E00, 0x0F00), range(0x1000, 0x10A0), range(0x1780, 0x1800), range(0xA9E0, 0xAA80))
    signs = [chr(code) for block in blocks for code in block]
    marks = "".join(sign for sign in signs if unicodedata.category(sign).startswith("M")) + "\u302a-\u302f\u3099\u309a"
    return re.compile(f"(?![{marks}])[{_EAST_ASIAN}{_SOUTH_EAST_ASIAN}][{marks}]*")


@cache
def _zh_characters() -> re.Pattern[str]:
    return re.compile(f"[{_ZH}]|{_characters().pattern}")


def apart(text: str) -> str:
    """The text with white space around each character of a script without spaces.

    >>> apart("5G网络").split(), apart("ที่นี่").split()
    (['5G', '网', '络'], ['ที่', 'นี่'])
    """
    return text if text.isascii() else _characters().sub(r" \g<0> ", text)


def zh_apart(text: str) -> str:
    """As `apart`, and around East Asian punctuation and signs too, as sacrebleu's tokeniser ``zh`` does.

    >>> zh_apart("UE、gNB。").split()
    ['UE', '、', 'gNB', '。']
    """
    return text if text.isascii() else _zh_characters().sub(r" \g<0> ", text)


def has_characters(text: str) -> bool:
    """Does the text hold a character of a script without spaces?"""
    return not text.isascii() and _characters().search(text) is not None


def characters_of(letters: Iterable[str]) -> set[str]:
    """Those of the letters that belong to a script without spaces."""
    return {letter for letter in letters if has_characters(letter)}


class _Kept(dict[int, str]):
    """What `str.translate` makes of a code point, remembered: the sign itself, a space, or nothing."""

    def __missing__(self, code: int) -> str:
        sign = self[code] = self.kept(chr(code))
        return sign

    def kept(self, sign: str) -> str:
        """Letters, marks and digits; format characters (joiners, soft hyphens) stand within words."""
        category = unicodedata.category(sign)
        if sign.isalnum() or category.startswith("M"):
            return sign
        return "" if category == "Cf" else " "


# Hyphens, the en dash and the apostrophe go without a trace, as their ASCII forms do.
_JOINS = frozenset("‐‑‒–〜‘’")
# Wide forms that part words. Others (`．／％－`) are what their ASCII forms are.
_WIDE_BREAKS = frozenset("！（），：；？［］｛｝")


class _Unpunctuated(_Kept):
    def kept(self, sign: str) -> str:
        """All but punctuation; wide forms and ASCII are left to what comes after."""
        category = unicodedata.category(sign)
        if sign in _JOINS or category == "Cf":
            return ""
        wide = "\uff01" <= sign <= "\uff5e"
        if sign in _WIDE_BREAKS or (category.startswith("P") and not wide and not sign.isascii()):
            return " "
        return sign


_word_signs, _unpunctuated = _Kept(), _Unpunctuated()


def unicode_words(text: str) -> list[str]:
    """Runs of letters, marks and digits of any script, folded and lowered; characters where no spaces stand.

    Folding (NFKC) makes wide and narrow forms alike.

    >>> unicode_words("Базовая станция (gNB) 與 ５Ｇ核心網。")
    ['базовая', 'станция', 'gnb', '與', '5g', '核', '心', '網']
    """
    return apart(unicodedata.normalize("NFKC", text).lower().translate(_word_signs)).split()


def without_punctuation(text: str) -> str:
    """The text folded (NFKC), its punctuation outside ASCII gone; what parts words leaves a space.

    >>> without_punctuation("“ＡＭＦ”、ＳＭＦ：１．５")
    ' AMF  SMF 1.5'
    """
    return unicodedata.normalize("NFKC", text.translate(_unpunctuated))
