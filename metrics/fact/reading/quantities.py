"""Quantities of a text: numbers with normalised units, ranges, bounds and what is counted.

Numbers inside names are none: spec and clause numbers, releases, bands, interfaces and addresses are entities
(`telbench.metrics.fact.entities`), and their places are given to `quantities` as taken.
"""

from __future__ import annotations

import math
import re
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

from .lexicon import word_list
from .numerals import Numeral, factors, numerals, ordinals
from .text import STOP, Text, Word
from .units import UNITS, Unit, in_basic_unit, unit_at

Bound = Literal["", "least", "most"]
# What is counted in telecom texts: two of these are never the same, whatever their number is.
COUNTED = word_list("counted stems")
_BEFORE_LEAST = re.compile(
    r"(?:at least|(?:no|not|never) (?:less|fewer|shorter|lower|smaller) than|(?<!no )(?<!not )(?<!never )(?:more|"
    r"greater|larger|longer|higher) than|"
    r"minimum(?: of| is|:)?|starting (?:at|from)|above|over|exceed(?:s|ing)?|beyond|[≥>]=?|from)(?: an?)?\s*$",
    re.IGNORECASE,
)
_BEFORE_MOST = re.compile(
    r"(?:at most|(?:no|not|never) (?:more|greater|longer|higher|larger) than|"
    r"(?<!\bno )(?<!\bnot )(?<!\bnever )(?:less|fewer|shorter|lower|smaller) than|"
    r"maximum(?: of| is|:)?|up to|as (?:many|much|high|long) as|below|under|within|not exceed(?:ing)?|limited to|"
    r"[≤<]=?)(?: an?)?\s*$",
    re.IGNORECASE,
)
_AFTER_LEAST = re.compile(
    r"\s?(?:or (?:more|longer|greater|higher|above|larger|over)|and (?:above|more|up)|\+)", re.IGNORECASE
)
_AFTER_MOST = re.compile(r"\s?(?:or (?:less|fewer|shorter|lower|below|smaller)|and below|at most)", re.IGNORECASE)
_ROUGHLY = re.compile(
    r"(?:about|around|approximately|approx\.?|roughly|nearly|almost|some|circa|near|close to|nominally|[~≈]|"
    r"(?:just|a (?:bit|little|shade|hair)|slightly) (?:(?:more|less) than|under|over|above|below|short of))\s*$",
    re.IGNORECASE,
)
_TO = re.compile(r"\s*(?:-|–|—|to|up to|through|until|\.{2,3}|…|~|and|or)\s*(?:an? )?$", re.IGNORECASE)
_OPENS_RANGE = re.compile(r"(?:between|from|begins? at|range of)\s*(?:an? )?$", re.IGNORECASE)
_SEPARATES = re.compile(r"\s*(?:,|/|and|or|,\s?and|,\s?or)\s*$", re.IGNORECASE)
_OFTEN = re.compile(r"(?:\s[a-z]+){1,2}?\s(?:per|an?|each|every)\s(second|minute|hour|millisecond)\b", re.IGNORECASE)
_RATES = {
    "second": UNITS["Hz"], "millisecond": UNITS["kHz"],
    "minute": Unit("frequency", "hertz", "1/minute"), "hour": Unit("frequency", "hertz", "1/hour"),
}  # fmt: skip
# "[5]" and "[5, 8]" cite.
_CITED_BEFORE, _CITED_AFTER = re.compile(r"\[[\d\s,-]*$"), re.compile(r"[\d\s,-]*\]")
_NEAR = 26
_A_UNIT = re.compile(
    # Its first letter is looked for first: few places have it, and all else is looked at there alone.
    r"\b(?=[aos])(?<!\bof )(?<!\bper )(?<!\bin )(?<!\bto )(?<!times )"
    r"(?<!once )(?<!twice )(?<!half )(?:(?:an?|one)(?: full| whole)?|(?:an? )?single) "
    r"(?=(second(?=\s*[.,;)]|\s*$)|bit|octet|byte|day|hour|week|minute|millisecond|microsecond|nanosecond|"
    r"kilometre|kilometer|watt|milliwatt|megahertz|gigahertz|kilohertz)\b)",
    re.IGNORECASE,
)
_CONVERTED = 2e-3
# What "about" allows.
_ROUNDED = 0.03
_OUT_OF = re.compile(r"(?:\s[a-z]+){0,2}?\s(?:out of|(?:in|of) every|in each)\s", re.IGNORECASE)
# "Four downlink slots for each uplink slot" is 4:1.
_FOR_EACH = re.compile(r"(?: [a-z]+){1,3}? (?:for|to) (?:each|every|one)\b", re.IGNORECASE)
_RATIO = re.compile(r"(?<![\w.:/])(\d{1,3}):(\d{1,4})(?![\w:]|\.\d)")


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number with what it measures or counts, and its place.

    ``value`` (and ``high`` of a range) are in the basic unit of ``dimension``; without a unit the dimension is empty,
    and ``counted`` are the stems of the words that it counts, ``label`` of those that it follows ("port 38412").
    ``number`` is the number as written, ``lead`` its value in the first of the units that a rate is made of.
    ``implied`` is the one of "an octet", which may tell a fact and is none.
    """

    value: float
    start: int
    end: int
    number: float
    high: float | None = None
    dimension: str = ""
    counted: frozenset[str] = frozenset()
    label: frozenset[str] = frozenset()
    bound: Bound = ""
    roughly: bool = False
    spelt: bool = False
    lead: float | None = None
    implied: bool = False

    @property
    def scale(self) -> float:
        """How much the value grows with the number as written: what tells two units of one dimension apart."""
        return self.value / self.number if self.number else 0.0


def quantities(text: Text, taken: Sequence[tuple[int, int]] = ()) -> tuple[Quantity, ...]:
    """The quantities of a text in order; ``taken`` are places, in order, that hold names.

    >>> [(q.value, q.dimension, q.bound) for q in quantities(Text("at least 5 ms, 2 slots"))]
    [(0.005, 'time', 'least'), (2.0, '', '')]
    """
    plain = text.plain
    starts = [start for start, _ in taken]
    found: list[Quantity] = []
    units: list[Unit | None] = []
    folds = factors(plain)
    within = {place for each in folds for place in range(each.start, each.end)}
    for numeral in numerals(plain):
        if numeral.start in within:
            continue
        at = bisect_right(starts, numeral.start) - 1
        if at >= 0 and taken[at][1] > numeral.start:
            continue
        if _CITED_BEFORE.search(plain[max(0, numeral.start - 12) : numeral.start]) and _CITED_AFTER.match(
            plain, numeral.end
        ):
            continue
        made = _quantity(text, numeral)
        if made is None:
            continue
        found.append(made[0])
        units.append(made[1])
    _share_units(plain, found, units)
    found = [_in_basic(quantity, unit) for quantity, unit in zip(found, units, strict=True)]
    merged = [*_ranges(plain, found, units), *_products(plain, found), *_shares(plain, found)]
    kept = [q for q in merged if not (q.spelt and q.number == 1 and not q.dimension and not q.counted & COUNTED)]
    for each in _A_UNIT.finditer(plain):
        unit = UNITS[each[1].lower()]
        one = Quantity(1.0, each.start(), each.end() + len(each[1]), 1.0, implied=True)
        kept.append(_in_basic(one, unit))
    kept += [
        Quantity(float(each[1]), *each.span(), float(each[1]), float(each[2]))
        for each in _RATIO.finditer(plain)
        if float(each[1]) < float(each[2]) or each[2] == "1"
    ]
    kept += [
        Quantity(count.number, count.start, each.end(), count.number, 1.0, implied=True)
        for count in found
        if not count.dimension and count.high is None and (each := _FOR_EACH.match(plain, count.end))
    ]
    kept += [Quantity(each.value, each.start, each.end, each.value, None, "factor", spelt=True) for each in folds]
    return tuple(sorted([*kept, *_ordinals(text)], key=lambda each: each.start))


def _quantity(text: Text, numeral: Numeral) -> tuple[Quantity, Unit | None] | None:
    plain = text.plain
    before = plain[max(0, numeral.start - _NEAR) : numeral.start]
    roughly = _ROUGHLY.search(before)
    if roughly:
        before = before[: roughly.start()]
    bound: Bound = "least" if _BEFORE_LEAST.search(before) and not _opens(before) else ""
    bound = "most" if _BEFORE_MOST.search(before) else bound
    measured = unit_at(plain, numeral.end)
    end = measured[1] if measured else numeral.end
    if measured is None and plain[end : end + 1].isalpha():
        return None
    after = plain[end : end + _NEAR]
    bound = "least" if _AFTER_LEAST.match(after) else "most" if _AFTER_MOST.match(after) else bound
    counted: frozenset[str] = frozenset()
    label: frozenset[str] = frozenset()
    often = _OFTEN.match(plain, end) if measured is None else None
    if often:
        # So many a second is a frequency: 8000 samples per second, 1500 times a minute.
        measured = (_RATES[often[1].lower()], often.end())
        end = often.end()
    if measured is None:
        label, counted = _around(text, numeral)
        # "TS 38 .331" and list numbers at the start of a line count nothing.
        if _is_list_mark(plain, numeral):
            return None
    made = Quantity(
        numeral.value, numeral.start, end, numeral.value, None, "", counted, label, bound, bool(roughly), numeral.spelt
    )
    return made, None if measured is None else measured[0]


def _opens(before: str) -> bool:
    return bool(_OPENS_RANGE.search(before))


_LIST_MARK = re.compile(r"[.)]\s")


def _is_list_mark(plain: str, numeral: Numeral) -> bool:
    line_start = plain[max(0, numeral.start - 4) : numeral.start].rsplit("\n", maxsplit=1)[-1].strip() == ""
    opens = numeral.start == 0 or "\n" in plain[max(0, numeral.start - 4) : numeral.start]
    return line_start and opens and bool(_LIST_MARK.match(plain, numeral.end))


def _around(text: Text, numeral: Numeral) -> tuple[frozenset[str], frozenset[str]]:
    """The stems of the words right before and right after a number, in its own clause."""
    words = text.words
    first = bisect_left(text.starts, numeral.start)
    last = bisect_left(text.starts, numeral.end)
    if not words:
        return frozenset(), frozenset()
    own = words[min(first, len(words) - 1)].clause
    label: list[str] = []
    for word in reversed(words[max(0, first - 5) : first]):
        if word.clause != own or word.text.isdigit() or len(label) == 3:
            break
        if word.text not in STOP and word.text != "number":
            label.append(word.stem)
        elif word.text == "number" and not label:
            label.append("number")
    counted: list[str] = []
    for word in words[last : last + 3]:
        if word.clause != own or word.text in STOP or word.text[0].isdigit() or _apart(text, word, words, last):
            break
        counted.append(word.stem)
    return frozenset(label), frozenset(counted)


def _apart(text: Text, word: Word, words: Sequence[Word], first: int) -> bool:
    before = words[first - 1].end if first else 0
    return any(mark in text.plain[before : word.start] for mark in ".;\n=/|") and word.start - before < 40


def _share_units(plain: str, found: list[Quantity], units: list[Unit | None]) -> None:
    """Numbers of a list or range without a unit take that of the next: "1, 2 and 4 MHz", "one or two symbols"."""
    for at in range(len(found) - 2, -1, -1):
        if units[at] is None and not found[at].counted:
            between = plain[found[at].end : found[at + 1].start]
            if len(between) < 12 and (_SEPARATES.fullmatch(between) or _TO.fullmatch(between)):
                units[at] = units[at + 1]
                found[at] = replace(found[at], counted=found[at + 1].counted)


def _in_basic(quantity: Quantity, unit: Unit | None) -> Quantity:
    if unit is None:
        return quantity
    value = in_basic_unit(quantity.value, unit)
    lead = in_basic_unit(quantity.value, unit._replace(below=())) if unit.below else value
    return replace(quantity, value=value, dimension=unit.dimension, counted=frozenset(), lead=lead)


def _ranges(plain: str, found: list[Quantity], units: list[Unit | None]) -> list[Quantity]:
    merged: list[Quantity] = []
    at = 0
    while at < len(found):
        low = found[at]
        if at + 1 < len(found):
            high = found[at + 1]
            between = plain[low.end : high.start]
            joined = len(between) < 12 and _TO.fullmatch(between)
            if joined and joined[0].strip().lower() in ("and", "or"):
                before = plain[max(0, low.start - _NEAR) : low.start]
                joined = (
                    re.search(r"between\s*$", before, re.IGNORECASE) if joined[0].strip().lower() == "and" else None
                )
            if joined and low.dimension == high.dimension and low.value < high.value:
                merged.append(
                    replace(
                        low, high=high.value, end=high.end, counted=high.counted or low.counted,
                        bound="" if low.bound == "least" and not high.bound else low.bound,
                    )
                )  # fmt: skip
                at += 2
                continue
        merged.append(low)
        at += 1
    return merged


def _shares(plain: str, found: list[Quantity]) -> list[Quantity]:
    """What two numbers make a share: nine out of ten users, three in every four."""
    return [
        replace(part, value=part.number / whole.number, number=part.number / whole.number, end=whole.end, implied=True)
        for part, whole in pairwise(found)
        if not part.dimension and not whole.dimension and part.high is None and whole.high is None
        and 0 < part.number < whole.number and whole.start - part.end < 40
        and _OUT_OF.fullmatch(plain, part.end, whole.start)
    ]  # fmt: skip


def _products(plain: str, found: list[Quantity]) -> list[Quantity]:
    """What several of a size make together: five 32-bit words are 160 bits."""
    return [
        replace(
            size, value=count.number * size.value, number=count.number * size.number, start=count.start, implied=True
        )
        for count, size in pairwise(found)
        if size.dimension and not count.dimension and size.start - count.end == 1 and plain[count.end] == " "
        and count.number == int(count.number) and count.high is None and size.high is None
    ]  # fmt: skip


def _ordinals(text: Text) -> list[Quantity]:
    """Ordinal numbers of what is counted: "the third symbol"; "first" and "second" are other words elsewhere."""
    found = []
    for numeral in ordinals(text.plain):
        _, counted = _around(text, numeral)
        if counted & COUNTED or (numeral.value > 2 and counted):
            found.append(
                Quantity(numeral.value, numeral.start, numeral.end, numeral.value, None, "ordinal", counted, spelt=True)
            )
    return found


def equal(one: Quantity, other: Quantity) -> bool:
    """Are these the same quantity? A number without a unit equals one with a unit that is written alike.

    Rounded values (about, roughly) and levels held against watts may differ by one percent.
    """
    if one.dimension and other.dimension:
        if one.dimension != other.dimension:
            return _leads(one, other) or _leads(other, one) or _in_words(one, other) or _in_words(other, one)
        pairs = ((one.value, other.value),)
    elif "factor" in (one.dimension, other.dimension):
        pairs = ((one.number, other.number),)
    elif one.dimension == "ordinal" or other.dimension == "ordinal":
        return False
    else:
        bare = one if other.dimension else other
        # "14" may stand for 14 bits, "14 symbols" may not.
        measured = other if other.dimension else one
        part = measured.dimension == "share" and 0 < bare.number < 1
        if (bare.counted and measured.dimension and not part) or _counted_apart(one, other):
            return False
        pairs = ((one.number, other.number),)
        if measured.dimension == "share" and math.isclose(bare.number, measured.value, rel_tol=1e-6):
            # 10^-2 is 1 %.
            return one.high is None and other.high is None
    tolerance = _ROUNDED if one.roughly or other.roughly else 0.01 if one.dimension == "power" else 1e-6
    if one.dimension and one.dimension == other.dimension and not math.isclose(one.scale, other.scale, rel_tol=1e-6):
        # What was converted was rounded: 300 km/h is 83.3 m/s.
        tolerance = max(tolerance, _CONVERTED)
    if (one.high is None) != (other.high is None):
        return _counts(one, other) or _counts(other, one)
    if one.high is not None and other.high is not None and one.dimension == other.dimension:
        pairs = (*pairs, (one.high, other.high))
    return all(math.isclose(a, b, rel_tol=tolerance) for a, b in pairs)


def _in_words(one: Quantity, other: Quantity) -> bool:
    """Says one the other by its kind: "halved" and 50 %, "five times" and "the fifth", 50 Hz and every 20 ms?"""
    if one.dimension == "frequency" and other.dimension == "time" and one.high is None and other.high is None:
        return math.isclose(one.value * other.value, 1, rel_tol=1e-3)
    if one.dimension == "factor" and other.dimension == "share" and one.number >= 2:
        # What doubles grows by 100 %.
        return math.isclose(one.number - 1, other.value)
    if one.dimension != "factor" or other.dimension not in ("ordinal", "share"):
        return False
    return math.isclose(one.number, other.number if other.dimension == "ordinal" else other.value)


def _counts(span: Quantity, count: Quantity) -> bool:
    """Is one the number of values in the other: 0 to 1007, and 1008 identities?"""
    if span.high is None or span.dimension or count.dimension or not count.counted or span.value not in (0, 1):
        return False
    return math.isclose(count.number, span.high - span.value + 1)


def _leads(one: Quantity, other: Quantity) -> bool:
    """Is one the beginning of the other's rate: 17 ps for each nm, and 17 ps/(nm·km)?"""
    if one.lead is None or other.lead is None or not other.dimension.startswith(f"{one.dimension}/"):
        return False
    return math.isclose(one.lead, other.lead, rel_tol=1e-6)


def _counted_apart(one: Quantity, other: Quantity) -> bool:
    """Do both count what are different things in telecom texts: 14 symbols and 14 slots?"""
    mine, others = one.counted & COUNTED, other.counted & COUNTED
    return bool(mine and others and not mine & others)


def same_kind(one: Quantity, other: Quantity) -> bool:
    """Could one stand in the other's place: the same dimension, or numbers that count or name the same?"""
    if one.dimension or other.dimension:
        if {one.dimension, other.dimension} == {"", "share"} and 0 < (other if one.dimension else one).number < 1:
            return True
        if one.dimension != other.dimension:
            # The same number in another unit, or a bare one in the place of a measured one.
            return math.isclose(one.number, other.number, rel_tol=1e-9) and bool(one.dimension and other.dimension)
        return True
    if one.counted and other.counted:
        return bool(one.counted & other.counted) or math.isclose(one.number, other.number)
    mine, others = one.counted | one.label, other.counted | other.label
    return not mine or not others or bool(mine & others)
