"""Numbers with their units, and names of telecom things, as they stand in an answer."""

from __future__ import annotations

import re
import unicodedata
from typing import NamedTuple

# What a unit measures, how much it is of the dimension's basic unit (1 GHz and 1000 MHz are the same), its spellings.
_SPELLINGS = (
    ("frequency", 1.0, "hz"),
    ("frequency", 1e3, "khz"),
    ("frequency", 1e6, "mhz"),
    ("frequency", 1e9, "ghz"),
    ("time", 1e-9, "ns nanosecond nanoseconds"),
    ("time", 1e-6, "us μs microsecond microseconds"),
    ("time", 1e-3, "ms millisecond milliseconds"),
    ("time", 1.0, "s sec second seconds"),
    ("time", 60.0, "min minute minutes"),
    ("time", 3600.0, "h hour hours"),
    ("time", 86400.0, "day days"),
    ("rate", 1.0, "bps bit/s bits/s"),
    ("rate", 1e3, "kbps kbit/s"),
    ("rate", 1e6, "mbps mbit/s"),
    ("rate", 1e9, "gbps gbit/s"),
    ("size", 1.0, "bit bits"),
    ("size", 8.0, "byte bytes octet octets"),
    ("length", 1e-3, "mm"),
    ("length", 1e-2, "cm"),
    ("length", 1.0, "m metre metres meter meters"),
    ("length", 1e3, "km kilometre kilometres kilometer kilometers"),
    ("level", 1.0, "dbm"),
    ("ratio", 1.0, "db"),
    ("power", 1e-3, "mw"),
    ("power", 1.0, "w"),
    ("share", 1.0, "% percent"),
    ("angle", 1.0, "° degree degrees"),
)
UNITS = {name: (dimension, factor) for dimension, factor, spelt in _SPELLINGS for name in spelt.split()}
_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
_SPELT = {word: float(value) for value, word in enumerate(_WORDS)}
_UNIT = "|".join(sorted(map(re.escape, UNITS), key=lambda name: (-len(name), name)))
_SPELLING = "|".join(_SPELT)
# Not within a name: 5G, n78, 38.331 after TS, Release 15, Rel-15.
_QUANTITY = re.compile(
    rf"(?<![\w./-])(?<!TS )(?<!TR )(?<!RFC )(?<!Release )([-−+]?\d[\d,]*(?:\.\d+)?|(?i:{_SPELLING})\b)"
    rf"(?:\s?(?i:({_UNIT}))(?![\w/]))?(?![\w])(?![./-]\d)"
)
_NAME = re.compile(
    r"\b(?:(?:TS|TR|RFC|Release|Rel)[ -]?\d[\d.]*\d|\w*(?:[A-Z]\w*[A-Z]|[A-Z]\d|\d[A-Z]|[a-z]\d)[\w/-]*)"
)


class Quantity(NamedTuple):
    """A number in the basic unit of its dimension; the dimension is empty where no unit follows."""

    value: float
    dimension: str


def quantities(text: str) -> frozenset[Quantity]:
    """The numbers that stand by themselves, with their units.

    >>> sorted(quantities("1 GHz, TS 38.331 and two slots of 5G"))
    [Quantity(value=2.0, dimension=''), Quantity(value=1000000000.0, dimension='frequency')]
    """
    found = set()
    for match in _QUANTITY.finditer(unicodedata.normalize("NFKC", text)):
        spelt, unit = match[1].lower(), (match[2] or "").lower()
        value = _SPELT.get(spelt)
        if value is None:
            value = float(spelt.replace(",", "").replace("−", "-"))
        dimension, factor = UNITS.get(unit, ("", 1.0))
        found.add(Quantity(float(f"{value * factor:.9g}"), dimension))
    return frozenset(found)


def names(text: str) -> frozenset[str]:
    """Acronyms, interfaces, specifications: words with two capitals, or with capitals or letters beside digits.

    >>> sorted(names("The AMF talks to the gNB over N2, see TS 38.413"))
    ['AMF', 'GNB', 'N2', 'TS38.413']
    """
    normal = unicodedata.normalize("NFKC", text)
    found = {re.sub(r"[ -]", "", match[0]).upper() for match in _NAME.finditer(normal) if match[0].lower() not in UNITS}
    return frozenset(_singular(name) for name in found)


def _singular(name: str) -> str:
    return name[:-1] if len(name) > 3 and name.endswith("S") else name
