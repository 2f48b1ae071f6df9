r"""Numbers with their units in answers: signs, thousands, powers of ten, fractions, percent, LaTeX."""

from __future__ import annotations

import re
from typing import NamedTuple

from ..fact.reading.units import Unit, in_basic_unit, unit_at

_DROPPED = re.compile(r"\\(?:left|right|displaystyle|mathopen|mathclose|bigl?|bigr?)\b|\\[!()\[\]]|[$*`]|\\\\")
_STYLED = re.compile(
    r"\\(?:text|textbf|textit|textrm|mathrm|mathbf|mathit|mathsf|operatorname|mbox|SI|si|unit|num)\s*\{([^{}]*)\}"
)
_FRACTION = re.compile(r"\\[dtc]?frac\s*\{([^{}]*)\}\s*\{([^{}]*)\}")
_SIGNS = (
    (re.compile(r"\{,\}|\\,(?=\d{3}(?!\d))"), "\u2009"),
    (re.compile(r"\\[,;:> ]|\\quad\b|\\qquad\b|~"), " "),
    (re.compile(r"\\(?:times|cdot|ast)(?![a-zA-Z])"), "×"),
    # "10**4" and "3*10": what is left of stars marks emphasis.
    (re.compile(r"(?<=\d)\s?\*\*\s?(?=[-+]?\d)"), "^"),
    (re.compile(r"(?<=\d)\s?\*\s?(?=\d)"), "×"),
    (re.compile(r"\\approx\b|\\simeq\b"), "≈"),
    (re.compile(r"\\%"), "%"),
    (re.compile(r"\\Omega(?![a-zA-Z])"), "Ω"),
    (re.compile(r"\^\s*\{\s*\\circ\s*\}|\^\s*\\circ\b|\\degree\b"), "°"),
    (re.compile(r"\\mu(?![a-zA-Z])\s?"), "μ"),
    (re.compile(r"\^\s*\{\s*([-+−]?\s?\d+)\s*\}"), r"^\1"),
)
_BLANKS = re.compile(r"[ \t]{2,}")
_RAISED = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺", "0123456789-+")
_SUPERSCRIPT = re.compile(r"(?<=10)[⁻⁺]?[⁰¹²³⁴⁵⁶⁷⁸⁹]+")
# Thin and narrow spaces part thousands, as commas do; an ordinary space parts two numbers.
_NUMBER = re.compile(
    r"(?<![\w.,/^])(?P<sign>(?<![\d)\]%])[-+−])?(?:"
    r"10\s?\^\s?(?P<alone>[-+]?\s?\d{1,4})(?![\d.])|"
    r"(?P<digits>\d{1,3}(?:,\d{3})+(?![\d,])|\d{1,3}(?:[\u2009\u202f\u00a0]\d{3})+(?!\d)|\d+(?!,\d{3}(?!\d))|(?=\.\d))"
    r"(?P<fraction>\.\d+|,\d+(?!\d*[,.]?\d))?"
    r"(?:[eE](?P<e>[-+−]?\d{1,4})(?!\w)|\s?[×x·]\s?10\s?\^?\s?(?P<power>[-+−]?\s?\d{1,4})(?![\d.]))?"
    # A power of anything but ten is no number that stands there.
    r"(?!\.\d|\d|\s?\^))"
)
_OVER = re.compile(r"\s?/\s?(?P<below>\d+(?:\.\d+)?)(?![\w.])")
_SCALE = re.compile(r"\s?(thousand|million|billion|trillion)\b", re.IGNORECASE)
_SCALES = {"thousand": 1e3, "million": 1e6, "billion": 1e9, "trillion": 1e12}
_ALONE = re.compile(r"[\s≈=~:.,;!()\[\]{}\"'→]*")
_NAMED = re.compile(r"[a-zA-Z]\w{0,3}(?:_\w{1,8})?\s?[=≈:]\s?")


class Number(NamedTuple):
    """A number as written, with the unit that stands beside it, and its place in the plain text."""

    value: float
    unit: Unit | None
    start: int
    end: int


def plain(text: str) -> str:
    r"""The text without LaTeX: styles, spaces, fractions and powers as they would be typed.

    >>> plain(r"$\frac{3}{4}$"), plain(r"1.5\times 10^{-3}\,\text{mW}"), plain(r"12{,}500\%")
    ('3/4', '1.5× 10^-3 mW', '12\u2009500%')
    """
    for _ in range(3):
        text, styled = _STYLED.subn(r" \1", text)
        text, halved = _FRACTION.subn(_typed, text)
        if not styled + halved:
            break
    for sign, typed in _SIGNS:
        text = sign.sub(typed, text)
    text = _SUPERSCRIPT.sub(lambda match: f"^{match[0].translate(_RAISED)}", text)
    return _BLANKS.sub(" ", _DROPPED.sub("", text)).replace("−", "-").strip()


def _typed(fraction: re.Match[str]) -> str:
    """The fraction with a slash; after a digit with a space, so that no other number comes about."""
    before = fraction.string[max(0, fraction.start() - 1) : fraction.start()]
    return f"{' ' if before.isdigit() else ''}{fraction[1]}/{fraction[2]}"


def numbers_in(text: str) -> list[Number]:
    """All numbers of a plain text in order; digits that belong to a name (n78, 5G, 38.331.1) are none.

    >>> text = "-1,234.5 dBm, 3e-2, 2 × 10^6 Hz, 25% of n78"
    >>> [(each.value, each.unit and each.unit.name) for each in numbers_in(text)]
    [(-1234.5, 'decibelmilliwatt'), (0.03, None), (2000000.0, 'hertz'), (25.0, 'percent')]
    """
    found: list[Number] = []
    place = 0
    while (match := _NUMBER.search(text, place)) is not None:
        place = max(match.end(), match.start() + 1)
        if (number := _number(text, match)) is not None:
            found.append(number)
            place = max(place, number.end)
    return found


def _number(text: str, match: re.Match[str]) -> Number | None:
    sign, alone, digits, fraction, e, power = match.group("sign", "alone", "digits", "fraction", "e", "power")
    whole = "1" if alone else re.sub(r"\D", "", digits) or "0"
    exponent = (alone or e or power or "0").replace(" ", "").replace("−", "-")
    value = float(f"{whole}{(fraction or '').replace(',', '.')}e{exponent}") * (-1 if sign in {"-", "−"} else 1)
    end = match.end()
    if (over := _OVER.match(text, end)) is not None and float(over["below"]):
        value, end = value / float(over["below"]), over.end()
    if (scale := _SCALE.match(text, end)) is not None:
        value, end = value * _SCALES[scale[1].lower()], scale.end()
    unit = unit_at(text, end)
    if unit is not None:
        return Number(value, unit[0], match.start(), unit[1])
    if text[end : end + 1].isalpha() or text[end : end + 1] == "_":
        return None
    return Number(value, None, match.start(), end)


def only_number(text: str) -> Number | None:
    r"""The number that a text is, with its unit and what may stand before it ("x ="); None where it says more.

    >>> only_number("≈ 12.5 Mbit/s").value, only_number("P_r = -90 dBm.").value, only_number("5 of 10")
    (12.5, -90.0, None)
    """
    text = plain(text)
    found = numbers_in(text)
    if len(found) != 1:
        return None
    before = text[: found[0].start]
    named = _NAMED.search(before)
    before = before if named is None else before[: named.start()] + before[named.end() :]
    rest = before, text[found[0].end :]
    return found[0] if all(_ALONE.fullmatch(part) for part in rest) else None


def equal_numbers(one: Number, other: Number, tolerance: float) -> bool:
    """Is ``one`` within the share ``tolerance`` of ``other``? 0 equals 0 alone.

    Where both have units of one dimension they are compared in its basic unit; other dimensions are never equal. Where
    one of them has no unit, the numbers as written are compared; a share is also compared as such (25 % and 0.25).
    """
    if one.unit is not None and other.unit is not None:
        if one.unit.dimension != other.unit.dimension:
            return False
        if one.unit == other.unit:
            return _close(one.value, other.value, tolerance)
        return _close(in_basic_unit(one.value, one.unit), in_basic_unit(other.value, other.unit), tolerance)
    if _close(one.value, other.value, tolerance):
        return True
    if (one.unit or other.unit) is None or "share" not in {each.unit.dimension for each in (one, other) if each.unit}:
        return False
    share, bare = (one, other) if one.unit is not None else (other, one)
    assert share.unit is not None  # noqa: S101 - one of the two has a unit
    return _close(in_basic_unit(share.value, share.unit), bare.value, tolerance)


def _close(value: float, wanted: float, tolerance: float) -> bool:
    # What decimal numbers lose in binary is no difference: 0.99 is 1 % below 1.
    return abs(value - wanted) <= abs(wanted) * (tolerance + 1e-12)
