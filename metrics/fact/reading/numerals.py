"""Numbers in a text: digits, powers, fractions, hexadecimal, and numerals in words; each with its place and value."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from .text import SUPERSCRIPTS

_UNITS = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
]
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_SMALL = {word: value for value, word in enumerate(_UNITS)} | {word: 20 + 10 * at for at, word in enumerate(_TENS)}
_MAGNITUDES = {"hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9}
_ORDINALS = {
    word: float(value)
    for value, word in enumerate(
        [
            "first",
            "second",
            "third",
            "fourth",
            "fifth",
            "sixth",
            "seventh",
            "eighth",
            "ninth",
            "tenth",
            "eleventh",
            "twelfth",
        ],
        1,
    )
}
_FRACTIONS = {"½": 0.5, "¼": 0.25, "¾": 0.75, "⅓": 1 / 3, "⅔": 2 / 3}
_SPELT = "|".join(sorted((*_SMALL, *_MAGNITUDES), key=lambda word: (-len(word), word)))
_SUPER = f"[⁻⁺]?[{SUPERSCRIPTS}]{{1,4}}"
_DIGITS = r"(?>(?:\d{1,3}(?:[,']\d{3})+(?![\d,])|\d{1,3}(?: \d{3})+(?!\d)|\d+)(?:\.\d+)?|\.\d+)"
_EXPONENT = r"(?:\^|\*\*)\s?[({]?\s?(?P<raised>[-+]?\d{1,4})[)}]?"
_NUMBER = re.compile(
    r"(?<![\w.^])(?<!\d:)"
    r"(?:(?P<sign>(?<![\w)\]%])[-+±]|\b(?:minus|negative) )\s?)?"
    r"(?:(?P<hex>0[xX][0-9A-Fa-f]{1,16})\b"
    rf"|(?P<base>\d{{1,4}})(?:{_EXPONENT}|(?P<super>{_SUPER})"
    r"| to the (?:power (?:of )?)?(?P<power>(?:minus |-)?\d{1,3})\b)"
    rf"|(?P<digits>{_DIGITS})"
    r"(?:[eE](?P<e>[-+]?\d{1,3})(?![\w.])"
    rf"|\s?[x×·*]\s?10\s?(?:(?:\^|\*\*)\s?[({{]?\s?(?P<times>[-+]?\d{{1,4}})[)}}]?|(?P<times_super>{_SUPER})))?"
    r"(?P<part>\s?[½¼¾⅓⅔]|(?<=\b[1-9])/[1-9]\d?(?![\w/]|\.\d))?"
    r"|(?P<fraction>[½¼¾⅓⅔]))"
    r"(?! ?[:.]\d)"
)
_WORDS = re.compile(rf"(?<![\w-])(?:{_SPELT})(?:(?:-|\s| and )(?:{_SPELT}))*(?!\w)", re.IGNORECASE)
_ONE_IN = re.compile(r"\b(?:one|1) (?:[a-z]{2,12} ){0,2}(?:in|out of) (?:an? |every )?(?=\w)", re.IGNORECASE)
_PARTS = re.compile(r"\b(half|quarter|third|fifth|tenth|hundredth|thousandth) (?:of )?an? (?=[a-z])", re.IGNORECASE)
# "Two thirds of", "a quarter of": shares of a whole.
_SHARES = re.compile(
    r"\b(?:(an?|one|two|three|four)[ -](half|third|quarter|fifth|tenth|hundredth|thousandth)s?|(half))"
    r"(?=\sof\s(?!an?\b)|\s*(?:[.,;:)]|$))",
    re.IGNORECASE,
)
# "Two and a half milliseconds", "two to the power of ten", "a dozen".
_AND_A_HALF = re.compile(rf"\b({_SPELT}|\d{{1,3}}) and a half(?: ({'|'.join(_MAGNITUDES)}))?\b", re.IGNORECASE)
_NINES = re.compile(r"\b(three|four|five|six|seven)[ -]nines\b", re.IGNORECASE)
# "Two tenths of a second", "ten billionths of a second".
_PARTS_OF = re.compile(
    rf"\b({_SPELT}|\d{{1,4}})[ -](tenth|hundredth|thousandth|millionth|billionth)s? of an? (?=[a-z])", re.IGNORECASE
)
# The largest number of so many bits: 2^16 - 1.
_LESS_ONE = re.compile(r"\s?[-–]\s?1\b(?!\s?[-–.:]?\d)")
_UNIT_AND_A_HALF = re.compile(
    r"\b(?:an?|one) (?=(?:second|minute|hour|day|year|metre|meter|bit|byte)s? and a half\b)", re.IGNORECASE
)
_RAISED = re.compile(
    rf"\b({_SPELT}|\d{{1,3}}) (?:raised )?to the (?:power (?:of )?)?"
    rf"(?P<minus>minus |negative |-)?({_SPELT}|{'|'.join(_ORDINALS)}|\d{{1,3}})\b",
    re.IGNORECASE,
)
_GROUPS = re.compile(r"\b(?:(half a|an?|two|three|four) dozen|a (couple|pair) of)", re.IGNORECASE)
# One of these stands in each text that one of the patterns above is found in.
_COMPOSED = ("and a half", "nines", "th of a", "ths of a", " to the ", "dozen", "couple", "pair")
_DOZENS = {"half a": 6, "a": 12, "two": 24, "three": 36, "four": 48}
_PART_VALUES = {
    "half": 0.5,
    "quarter": 0.25,
    "third": 1 / 3,
    "fifth": 0.2,
    "tenth": 0.1,
    "hundredth": 0.01,
    "thousandth": 0.001,
    "millionth": 1e-6,
    "billionth": 1e-9,
}
_TIMES = {
    **dict.fromkeys(("twice", "double", "doubles", "doubled", "doubling"), 2),
    **dict.fromkeys(("thrice", "triple", "triples", "tripled", "tripling"), 3),
    **dict.fromkeys(("quadruple", "quadruples", "quadrupled"), 4),
    **dict.fromkeys(("halve", "halves", "halved", "halving", "half as"), 0.5),
}
_FACTOR = re.compile(
    r"\b(?P<orders>an|one|two|three|four|five) orders? of magnitude\b|"
    rf"\b(?P<fold>{_SPELT}|\d{{1,4}}(?:\.\d+)?)[ -]?fold\b|\bfactor of (?P<of>{_SPELT}|\d{{1,4}}(?:\.\d+)?)\b"
    rf"|\b(?P<times>(?:{_SPELT})(?:[- ](?:{_SPELT}))*|(?<![\d,.])\d{{1,3}}(?:,\d{{3}})+|\d{{1,7}}(?:\.\d+)?)"
    r" times\b(?! (?:per|an?|each|every)\b)"
    rf"|\b(?P<word>{'|'.join(_TIMES)})\b(?![ -](?:layer|symbol|connectivity|registration|spend|precision|tag))",
    re.IGNORECASE,
)
# One of these stands in each text that a factor is found in.
_MULTIPLIED = ("magnitude", "fold", "factor of", " times", "twi", "thri", "doubl", "tripl", "quadrupl", "halv", "half")
_DIGIT = re.compile(r"[\d½¼¾⅓⅔]")
_MAGNITUDE_AFTER = re.compile(r"\s(hundred|thousand|million|billion)\b", re.IGNORECASE)
_THOUSANDS = re.compile(r"[kK](?=\s[a-z]|[.,;)]|$)")
_MINUS = re.compile(r"\b(?:minus|negative)\s$", re.IGNORECASE)
_ORDINAL = re.compile(rf"\b(?:(\d{{1,4}})(?:st|nd|rd|th)|({'|'.join(_ORDINALS)}))\b", re.IGNORECASE)
_TRANSLATED = str.maketrans(SUPERSCRIPTS + "⁻⁺", "0123456789-+")


class Numeral(NamedTuple):
    """A number with its place; ``spelt`` where it is written in words, ``exact`` is how it is written."""

    value: float
    start: int
    end: int
    spelt: bool = False
    tolerance: bool = False


def numerals(text: str) -> list[Numeral]:
    """The cardinal numbers of a folded text in order, without those inside names (n78, 5G, TS 38.331).

    >>> [n.value for n in numerals("10^-5, 1e-5, 10⁻⁵, 1,024 and twenty-four or 2.5 million")]
    [1e-05, 1e-05, 1e-05, 1024.0, 24.0, 2500000.0]
    """
    text = text.replace("...", " – ").replace("..", " –")
    found = [*_digits(text), *_spelt(text)]
    found = [*_one_in(text, found), *found]
    for match in _PARTS.finditer(text):
        found.append(Numeral(_PART_VALUES[match[1].lower()], match.start(), match.end() - 1, spelt=True))
    for match in _SHARES.finditer(text):
        times = _SMALL.get((match[1] or "one").lower(), 1)
        share = times * _PART_VALUES[(match[2] or match[3]).lower()]
        found.append(Numeral(share, match.start(), match.end(), spelt=True))
    found += _composed(text)
    kept: list[Numeral] = []
    for each in sorted(found, key=lambda each: (each.start, -each.end)):
        if not kept or each.start >= kept[-1].end:
            kept.append(each)
    return kept


def _composed(text: str) -> Iterator[Numeral]:
    """Numbers that several words make: "two and a half", "two to the power of ten", "a dozen"."""
    low = text.lower()
    # Looking for words that few texts have takes a twentieth of what looking for the patterns takes.
    if not any(mark in low for mark in _COMPOSED):
        return
    for match in _AND_A_HALF.finditer(text):
        size = _MAGNITUDES[match[2].lower()] if match[2] else 1
        yield Numeral((_whole(match[1]) + 0.5) * size, *match.span(), spelt=True)
    for match in _NINES.finditer(text):
        yield Numeral(round(1 - 10 ** -_whole(match[1]), 9), *match.span(), spelt=True)
    for match in _PARTS_OF.finditer(text):
        part = _PART_VALUES[match[2].lower()]
        yield Numeral(_whole(match[1]) * part, match.start(), match.end() - 1, spelt=True)
    for match in _UNIT_AND_A_HALF.finditer(text):
        yield Numeral(1.5, match.start(), match.end() - 1, spelt=True)
    for match in _RAISED.finditer(text):
        value = _power(_whole(match[1]), int(_whole(match[3])) * (-1 if match["minus"] else 1))
        if value is not None:
            yield Numeral(value, *match.span(), spelt=True)
    for match in _GROUPS.finditer(text):
        value = _DOZENS.get((match[1] or "").lower()) or 2
        yield Numeral(float(value), *match.span(), spelt=True)


def _whole(word: str) -> float:
    word = word.lower()
    for known in (_SMALL, _MAGNITUDES, _ORDINALS):
        if word in known:
            return float(known[word])
    return float(word)


def _read(told: str) -> float:
    """A number in digits or in one or more words."""
    if told[0].isdigit():
        return float(told.replace(",", ""))
    return next((each.value for each in _spelt(told)), 1.0)


def factors(text: str) -> list[Numeral]:
    """How many times as much, in order: "twice", "doubled", "tenfold", "by a factor of ten".

    >>> [n.value for n in factors("twice the rate, tripled, a tenfold gain, 20-fold, a factor of four")]
    [2.0, 3.0, 10.0, 20.0, 4.0]
    """
    found = []
    low = text.lower()
    for match in _FACTOR.finditer(text) if any(mark in low for mark in _MULTIPLIED) else ():
        if match["orders"]:
            size = _SMALL.get(match["orders"].lower(), 1)
            found.append(Numeral(10.0**size, *match.span(), spelt=True))
            continue
        told = (match["fold"] or match["of"] or match["times"] or match["word"]).lower()
        value = _TIMES.get(told) or _read(told)
        found.append(Numeral(float(value), *match.span(), spelt=True))
    return found


def ordinals(text: str) -> list[Numeral]:
    """The ordinal numbers of a text, in order: "3rd", "third"."""
    return [
        Numeral(float(match[1]) if match[1] else _ORDINALS[match[2].lower()], *match.span(), spelt=match[1] is None)
        for match in _ORDINAL.finditer(text)
    ]


def _one_in(text: str, found: list[Numeral]) -> Iterator[Numeral]:
    """Shares in words: "one packet in a hundred", "1 part in 10^11"."""
    by_start = {each.start: each for each in found}
    for match in _ONE_IN.finditer(text):
        whole = by_start.get(match.end())
        if whole is not None and whole.value >= 10:
            yield Numeral(1 / whole.value, match.start(), whole.end, spelt=True)


def _digits(text: str) -> Iterator[Numeral]:
    for match in _NUMBER.finditer(text) if _DIGIT.search(text) else ():
        value = _value(match)
        if value is None:
            continue
        end = match.end()
        magnitude = _MAGNITUDE_AFTER.match(text, end)
        if magnitude:
            value, end = value * _MAGNITUDES[magnitude[1].lower()], magnitude.end()
        elif _THOUSANDS.match(text, end):
            value, end = value * 1000, end + 1
        less = _LESS_ONE.match(text, end) if match["base"] and value > 1 else None
        if less:
            value, end = value - 1, less.end()
        sign = (match["sign"] or "").strip()
        if sign in ("-", "minus", "negative"):
            value = -value
        yield Numeral(value, match.start(), end, tolerance=sign == "±")


def _value(match: re.Match[str]) -> float | None:
    if match["hex"]:
        return float(int(match["hex"], 16))
    if match["fraction"]:
        return _FRACTIONS[match["fraction"]]
    if match["base"]:
        written = (
            match["raised"] or (match["super"] or "").translate(_TRANSLATED) or match["power"].replace("minus ", "-")
        )
        return _power(float(match["base"]), int(written))
    digits = re.sub(r"[,' ]", "", match["digits"])
    if len(digits) > 300:
        return None
    value = float(digits)
    exponent = match["e"] or match["times"] or (match["times_super"] or "").translate(_TRANSLATED)
    if exponent:
        scale = _power(10.0, int(exponent))
        value = None if scale is None else value * scale
    part = (match["part"] or "").strip()
    if value is None or not part:
        return value
    if part in _FRACTIONS:
        return value + _FRACTIONS[part]
    return value / float(part[1:])


def _power(base: float, exponent: int) -> float | None:
    try:
        return base**exponent
    except (OverflowError, ZeroDivisionError):
        return None


def _spelt(text: str) -> Iterator[Numeral]:
    for match in _WORDS.finditer(text):
        # "2.5 million" was read with its digits.
        if match[0].lower() in _MAGNITUDES and text[max(0, match.start() - 2) : match.start()].strip().isdigit():
            continue
        minus = _MINUS.search(text[: match.start()][-10:])
        pieces = [(each.group().lower(), match.start() + each.start()) for each in re.finditer(r"\w+", match.group())]
        start, total, current, last = pieces[0][1], 0.0, None, 10**12
        end, scaled = start, False
        for word, at in pieces:
            if word == "and":
                if not scaled and current is not None:
                    yield Numeral(total + current, start, end, spelt=True)
                    total, current, last, start = 0.0, None, 10**12, -1
                continue
            if start < 0:
                start = at
            if word in _MAGNITUDES:
                size = _MAGNITUDES[word]
                current = (1 if current is None else current) * size
                if size > 100:
                    total, current = total + current, 0.0
                last, scaled = size, True
            else:
                value = _SMALL[word]
                # "twenty four" is one number, "two three" are two.
                if (
                    current is not None
                    and not (scaled and value < last)
                    and not (last >= 20 and value < 10 and last < 100)
                ):
                    yield Numeral(total + current, start, end, spelt=True)
                    total, current, start, scaled = 0.0, None, at, False
                current = (current or 0.0) + value
                last, scaled = value, False
            end = at + len(word)
        if current is not None:
            value = total + current
            if minus and start == pieces[0][1]:
                value, start = -value, start - len(minus[0])
            yield Numeral(value, start, end, spelt=True)
