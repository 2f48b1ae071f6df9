"""Units of telecom texts: what each measures, and how much it is in the basic unit of its dimension.

pint (https://pint.readthedocs.io) knows the units and converts them; the table here has the spellings that telecom
texts use for them, and keeps apart what pint has no dimensions for: bits from hertz, dB from dBm. Units made
of several (dB/km, ps/(nm·km), bit/s/Hz) are put together from their parts.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

# Dimension, its basic unit in pint's words, then pint's word for each unit and its spellings. Spellings with a capital
# or of at most two letters are taken as written (mW is no MW); all others in any case.
_TABLE = """
frequency hertz
  hertz: Hz, hertz, times per second, times a second
  kilohertz: kHz, KHz, kilohertz
  megahertz: MHz, megahertz
  gigahertz: GHz, gigahertz
  terahertz: THz, terahertz
time second
  picosecond: ps, picosecond, picoseconds
  nanosecond: ns, nsec, nanosecond, nanoseconds
  microsecond: us, μs, usec, μsec, microsecond, microseconds
  millisecond: ms, msec, msecs, millisecond, milliseconds
  second: s, sec, secs, second, seconds
  minute: min, mins, minute, minutes
  hour: h, hr, hrs, hour, hours
  day: day, days
  week: week, weeks
  year: year, years
rate bit/second
  bit/second: bps, bit/s, bits/s, b/s, bits per second, bit per second, bits/sec
  kilobit/second: kbps, kbit/s, kbits/s, kb/s, Kb/s, Kbit/s, Kbps, kilobits per second, kilobit per second
  megabit/second: Mbps, Mbit/s, Mbits/s, Mb/s, megabits per second, megabit per second, mbps
  gigabit/second: Gbps, Gbit/s, Gbits/s, Gb/s, gigabits per second, gigabit per second, gbps
  terabit/second: Tbps, Tbit/s, Tb/s, terabits per second
  byte/second: B/s, byte/s, bytes/s, bytes per second, octets per second
  kilobyte/second: kB/s, KB/s, kilobytes per second
  megabyte/second: MB/s, megabytes per second
  gigabyte/second: GB/s, gigabytes per second
chips chip/second
  chip/second: chips/s, cps, chips per second
  kilochip/second: kcps
  megachip/second: Mcps, Mchip/s, megachips per second
information bit
  bit: bit, bits
  kilobit: kbit, kbits, kb, kilobit, kilobits
  megabit: Mbit, Mbits, Mb, megabit, megabits
  gigabit: Gbit, Gbits, Gb, gigabit, gigabits
  byte: byte, bytes, octet, octets, B
  kilobyte: kB, KB, kbyte, kbytes, kilobyte, kilobytes
  megabyte: MB, Mbyte, megabyte, megabytes
  gigabyte: GB, gigabyte, gigabytes
  kibibyte: KiB
  mebibyte: MiB
  gibibyte: GiB
length metre
  nanometre: nm, nanometre, nanometres, nanometer, nanometers
  micrometre: um, μm, micrometre, micrometres, micrometer, micrometers
  millimetre: mm, millimetre, millimetres, millimeter, millimeters
  centimetre: cm, centimetre, centimetres, centimeter, centimeters
  metre: m, metre, metres, meter, meters
  kilometre: km, kilometre, kilometres, kilometer, kilometers
speed metre/second
  metre/second: m/s, metres per second, meters per second
  kilometre/hour: km/h, kmph, km/hr, kilometres per hour, kilometers per hour
power watt
  picowatt: pW
  nanowatt: nW
  microwatt: uW, μW
  milliwatt: mW, milliwatt, milliwatts
  watt: W, watt, watts
  kilowatt: kW, kilowatt, kilowatts
  decibelmilliwatt: dBm
  decibelwatt: dBW
level dB
  dB: dB, decibel, decibels
gain dBi
  dBi: dBi
share one
  percent: %, percent, per cent, pct
  permille: ‰, per mille, per mil
  ppm: ppm, parts per million
  ppb: ppb, parts per billion
angle degree
  degree: °, degree, degrees, deg
  radian: rad, radian, radians
temperature degC
  degC: °C, degrees Celsius, degree Celsius
voltage volt
  millivolt: mV
  volt: V, volt, volts
current ampere
  milliampere: mA
  ampere: A, ampere, amperes
traffic erlang
  erlang: erlang, erlangs, Erlang
"""
# What pint has no unit or no scale for: the table's own factors.
_OWN = {"dB": 1.0, "dBi": 1.0, "ppm": 1e-6, "ppb": 1e-9, "percent": 0.01, "permille": 0.001, "degC": 1.0, "erlang": 1.0}
_OWN |= {
    "decibelmilliwatt": 1.0,
    "decibelwatt": 1.0,
    "chip/second": 1.0,
    "kilochip/second": 1e3,
    "megachip/second": 1e6,
}
# What is divided by time has a dimension of its own.
_NAMED = {"information/time": "rate", "length/time": "speed"}
_LOGARITHMIC = frozenset({"decibelmilliwatt", "decibelwatt"})


class Unit(NamedTuple):
    """What a unit measures, the basic unit of that dimension, and pint's word for the unit itself.

    ``below`` are the units that it is divided by: those of length twice in ps/(nm·km).
    """

    dimension: str
    basic: str
    name: str
    below: tuple[Unit, ...] = ()


def _rows() -> Iterator[tuple[str, Unit]]:
    dimension = basic = ""
    for line in _TABLE.strip().splitlines():
        if not line.startswith(" "):
            dimension, basic = line.split()
            continue
        name, _, spellings = line.strip().partition(": ")
        for spelling in spellings.split(", "):
            yield spelling, Unit(dimension, basic, name)


# By spelling; spellings that may be written in any case stand in lower case.
UNITS: dict[str, Unit] = dict(_rows())


def _as_written(spelling: str) -> bool:
    return len(spelling) <= 2 or spelling != spelling.lower()


def _any_of(spellings: list[str]) -> str:
    """The spellings as a regular expression, longer ones first, each in any case where it may be."""
    ordered = sorted(spellings, key=lambda each: (-len(each), each))
    return "|".join(re.escape(each) if _as_written(each) else f"(?i:{re.escape(each)})" for each in ordered)


_ANY = _any_of(list(UNITS))
# A unit right after its number: "10ms", "10 ms", "32-bit".
_AFTER = re.compile(rf"(?:\s(?:full |whole |entire )?|-| -)?({_ANY})(?!\w)(?!-[A-Z])")
_DIVIDED = re.compile(
    rf"(?:(?:/\s?|\sper\s|\s?[·*]\s?)\(?({_ANY})(?!\w)\)?|\s(?:an?|each|every)\s(second|hour|minute|kilometre|kilometer)\b)"
)
# A unit in running text without a number: spelt out in the plural, or an abbreviation that is no other word.
_ABBREVIATED = [
    each for each in UNITS if _as_written(each) and ("/" in each or each.endswith(("Hz", "bps")) or each[:2] == "dB")
]
_IN_FULL = [each for each in UNITS if len(each) > 4 and each.endswith("s") and each.isalpha()]
_IN_FULL += [each for each in UNITS if not _as_written(each) and (" per " in each or "/" in each)]
_ALONE = re.compile(rf"(?<![\w/.-])({_any_of(_ABBREVIATED + _IN_FULL)})(?![\w/-])")


def _spelt(match: re.Match[str]) -> Unit | None:
    spelling = match[match.lastindex or 1]
    return UNITS.get(spelling) or UNITS.get(spelling.lower())


def unit_at(text: str, position: int) -> tuple[Unit, int] | None:
    """The unit that stands at a position right after a number, and where it ends; None where there is none.

    >>> unit_at("20MHz", 2)[0].dimension, unit_at("20 MHz", 2)[1], unit_at("20 cells", 2)
    ('frequency', 6, None)
    >>> unit_at("0.2 dB/km", 3)[0].dimension
    'level/length'
    """
    match = _AFTER.match(text, position)
    unit = None if match is None else _spelt(match)
    if match is None or unit is None:
        return None
    end = match.end()
    while len(unit.below) < 3 and (match := _DIVIDED.match(text, end)):
        divisor = _spelt(match)
        if divisor is None or (match[0].strip()[0] in "·*" and not unit.below):
            break
        dimension = f"{unit.dimension}/{divisor.dimension}"
        dimension = _NAMED.get(dimension, dimension)
        unit, end = Unit(dimension, unit.basic, unit.name, (*unit.below, divisor)), match.end()
    return unit, end


def units_alone(text: str) -> list[tuple[Unit, int, int]]:
    """The units that a text speaks of without a number, with their places: "given in bit/s", "counts octets"."""
    found = [(_spelt(match), *match.span()) for match in _ALONE.finditer(text)]
    return [
        (unit, start, end)
        for unit, start, end in found
        if unit is not None and not _NUMBER_BEFORE.search(text[max(0, start - 12) : start])
    ]


_NUMBER_BEFORE = re.compile(
    r"(?:\d|\b(?:one|two|three|four|five|six|seven|eight|nine|ten|twelve|fifteen|sixteen|hundred|few|several))[\s-]?$"
)


@cache
def _registry() -> Any:
    import pint

    return pint.UnitRegistry(autoconvert_offset_to_baseunit=True, cache_folder=None)


@lru_cache(maxsize=512)
def _factor(unit: Unit) -> float:
    own = _OWN.get(unit.name)
    factor = own if own is not None else float(_registry().convert(1.0, unit.name, unit.basic))
    for divisor in unit.below:
        factor /= _factor(divisor)
    return factor


@lru_cache(maxsize=4096)
def in_basic_unit(value: float, unit: Unit) -> float:
    """The value in the basic unit of its dimension; levels in dBm and dBW become watts.

    >>> round(in_basic_unit(30, UNITS["dBm"]), 9), in_basic_unit(40, UNITS["octets"])
    (1.0, 320.0)
    """
    if unit.name in _LOGARITHMIC and not unit.below:
        # Beyond what a float holds as a power; no device has such a level.
        level = min(max(value, -2000.0), 2000.0)
        return float(_registry().Quantity(level, unit.name).to(unit.basic).magnitude)
    return value * _factor(unit)
