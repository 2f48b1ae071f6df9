"""Which scripts references are written in, and what follows for n-gram metrics.

The references decide once a run: all its items, and all runs on the same items, are then measured alike.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from ..contract import Metric, Segmentation
from .segmentation import characters_of

# Han or Thai letters are no symbols of English text, and items without any score the same by either way of counting.
UNSPACED_SHARE = 0.01
# Greek letters are: a set of formulas holds many and is English still.
OTHER_SHARE = 0.2
# ROUGE's own tokeniser may drop an answer such as "λ" of an English set; the line that says so is enough.
UNREAD_SHARE = 0.01
# From here on other alphabets are worth a line.
NOTED_SHARE = 0.01
_ROUGE_TOKEN = re.compile(r"[a-z0-9]")
_NO_LETTERS = bytes(code for code in range(128) if not chr(code).isalpha())


@dataclass(frozen=True)
class Scripts:
    """The scripts of references but Latin: shares of all letters, by name, the most frequent first.

    ``unspaced`` is the share of those that put no spaces between words. ``unread`` is the share
    of references of which ROUGE's own tokeniser drops every letter and digit, but for those in Latin letters with
    accents.
    """

    shares: dict[str, float]
    unspaced: float
    unread: float

    @property
    def needed(self) -> Segmentation:
        """How n-gram metrics have to cut such texts."""
        return self._form(UNSPACED_SHARE, OTHER_SHARE, UNREAD_SHARE)

    @property
    def best(self) -> Segmentation:
        """How metrics would have to cut the texts to read all of them but for stray symbols."""
        return self._form(0, NOTED_SHARE, 0)

    def _form(self, unspaced: float, other: float, unread: float) -> Segmentation:
        if self.unspaced > unspaced:
            return "characters"
        if sum(self.shares.values()) > other or self.unread > unread:
            return "unicode-words"
        return "words"

    def __str__(self) -> str:
        """As ``Han (71.3 %), Katakana (2.0 %)``."""
        return ", ".join(f"{name} ({100 * share:.3g} %)" for name, share in list(self.shares.items())[:3]) or "Latin"


def scripts_of(references: Collection[str]) -> Scripts:
    """Count the letters of all references.

    >>> scripts = scripts_of(["接入和移动性管理功能", "AMF"])
    >>> str(scripts), scripts.needed
    ('Han (76.9 %)', 'characters')
    """
    total, signs = 0, Counter[str]()
    others = [text for text in references if not text.isascii()]
    for text in references:
        if text.isascii():
            total += len(text.encode().translate(None, _NO_LETTERS))
    for text in others:
        signs.update(text)
    letters = {sign: count for sign, count in signs.items() if sign.isalpha()}
    total = max(1, total + sum(letters.values()))
    names = {sign: name for sign in letters if (name := script(sign)) != "Latin"}
    counts = Counter[str]()
    for sign, name in names.items():
        counts[name] += letters[sign]
    return Scripts(
        {name: count / total for name, count in counts.most_common()},
        sum(letters[sign] for sign in characters_of(names)) / total,
        sum(_unread(text, names) for text in others) / max(1, len(references)),
    )


def script(letter: str) -> str:
    """The script of a letter, from its Unicode name, whatever its width or style.

    >>> script("é"), script("基"), script("ｱ"), script("Ω")
    ('Latin', 'Han', 'Katakana', 'Greek')
    """
    first = unicodedata.name(unicodedata.normalize("NFKC", letter)[0], "other").split()[0].split("-")[0]
    return {"CJK": "Han"}.get(first, first.capitalize())


def _unread(text: str, others: Collection[str]) -> bool:
    """Does ROUGE's own tokeniser drop all of a text that holds more than punctuation and Latin letters?"""
    if _ROUGE_TOKEN.search(text.lower()):
        return False
    folded = unicodedata.normalize("NFKC", text).lower()
    return bool(_ROUGE_TOKEN.search(folded)) or any(sign in others or sign.isdecimal() for sign in text)


def segmentation_note(scripts: Scripts, used: Segmentation, metrics: Sequence[Metric]) -> str | None:
    """A line for the user where metrics cannot read the references, or are not in their usual form."""
    best = scripts.best
    blind = [one.name for one in metrics if one.cut(best).signature != one.signature]
    if blind:
        return (
            f"the references hold {scripts}, which some metrics drop or take for one word: {', '.join(blind)}; "
            f"--segmentation {best} reads all"
        )
    changed = [one.name for one in metrics if used in one.variants]
    if not changed:
        return None
    how = "characters where a script has no spaces" if used == "characters" else "words of any script"
    return f"the references hold {scripts}; {how} are counted by {', '.join(changed)}"
