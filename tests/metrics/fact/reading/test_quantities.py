"""Numbers, units, ranges and bounds in telecom sentences; conversions against pint and by hand."""

from __future__ import annotations

import math
import random

import pytest

from telbench.metrics.fact.reading.numerals import numerals
from telbench.metrics.fact.reading.quantities import Quantity, equal, quantities, same_kind
from telbench.metrics.fact.reading.reading import read
from telbench.metrics.fact.reading.text import Text, folded
from telbench.metrics.fact.reading.units import UNITS, in_basic_unit, units_alone


def one(text: str) -> Quantity:
    found = read(text).quantities
    assert len(found) == 1, found
    return found[0]


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("1 GHz", "1000 MHz"),
        ("0.5 ms", "500 µs"),
        ("0.5 ms", "500 μs"),
        ("half a millisecond", "500 us"),
        ("a quarter of a minute", "15 seconds"),
        ("40 octets", "320 bits"),
        ("1.5 Mbit/s", "1500 kbps"),
        ("2.488 Gbit/s", "2488 Mbit/s"),
        ("30 dBm", "1 W"),
        ("23 dBm", "200 mW"),
        ("0 dBW", "30 dBm"),
        ("-90 dBm", "\u221290 dBm"),
        ("minus 90 dBm", "-90 dBm"),
        ("10^-5", "1e-5"),
        ("10⁻⁵", "10 to the power -5"),
        ("1.2 x 10^-3", "0.0012"),
        ("10^-2", "1 %"),
        ("one packet in a hundred", "1 percent"),
        ("1,024", "1024"),
        ("480 000 Hz", "480 kHz"),
        ("two hundred and fifty-six", "256"),
        ("fifteen hundred", "1500"),
        ("8000 samples per second", "8 kHz"),
        ("1500 times a second", "1.5 kHz"),
        ("0.2 dB/km", "a fifth of a decibel per kilometre"),
        ("14", "14 symbols"),
        ("5-10 ms", "between 5 and 10 ms"),
        ("5 to 10 ms", "from 5 ms to 10 ms"),
        ("120 km/h", "120 kilometres per hour"),
    ],
)
def test_two_spellings_of_a_quantity_are_equal(left: str, right: str) -> None:
    assert equal(one(left), one(right))
    assert equal(one(right), one(left))


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("23 dBm", "23 dB"),
        ("23 dBm", "23 dBW"),
        ("90 dBm", "-90 dBm"),
        ("10 ms", "10 s"),
        ("10 MHz", "10 mW"),
        ("5 mW", "5 MW"),
        ("8 bits", "8 bytes"),
        ("14 symbols", "14 slots"),
        ("5 percent", "5 ppm"),
        ("10^-5", "105"),
        ("3.14", "314"),
        ("10 kbit/s", "10 kHz"),
        ("17 ps/(nm·km)", "17 ns/(nm·km)"),
        ("the third symbol", "3 symbols"),
        ("5 to 10 ms", "5 to 20 ms"),
        ("ten subframes", "10 ms"),
    ],
)
def test_what_only_looks_alike_is_not_equal(left: str, right: str) -> None:
    assert not equal(one(left), one(right))
    assert not equal(one(right), one(left))


@pytest.mark.parametrize(
    ("text", "bound"),
    [
        ("at least 5 ms", "least"),
        ("≥ 5 ms", "least"),
        (">5 ms", "least"),
        ("more than 5 ms", "least"),
        ("5 ms or longer", "least"),
        ("no less than 5 ms", "least"),
        ("at most 5 ms", "most"),
        ("≤5 ms", "most"),
        ("< 5 ms", "most"),
        ("up to 5 ms", "most"),
        ("no more than 5 ms", "most"),
        ("within 5 ms", "most"),
        ("5 ms or less", "most"),
        ("5 ms", ""),
    ],
)
def test_a_bound_is_read_before_and_after_the_number(text: str, bound: str) -> None:
    assert one(text).bound == bound
    assert math.isclose(one(text).value, 0.005)


@pytest.mark.parametrize(
    "text",
    [
        "TS 38.331",
        "3GPP TS 23.501 clause 5.3.2",
        "§5.3",
        "Rel-16 and Release 17",
        "n78 and band 7",
        "the AMF of 5G uses N2, T3512 and 16QAM",
        "RFC 793",
        "10.0.0.1",
        "64:ff9b::/96",
        "G.652",
        "one of them",
        "1. An item of a list\n2. The next",
    ],
)
def test_numbers_inside_names_are_no_quantities(text: str) -> None:
    assert read(text).quantities == ()


def test_a_list_shares_its_unit() -> None:
    values = [quantity.value for quantity in read("1, 2 and 4 MHz").quantities]
    assert values == [1e6, 2e6, 4e6]


def test_a_number_knows_what_it_counts_and_what_it_labels() -> None:
    assert one("SCTP port 38412").label >= {"port"}
    assert one("240 contiguous subcarriers").counted == {"contigu", "subcarri"}
    assert not same_kind(one("port 38412"), one("12 symbols"))
    assert same_kind(one("port 38412"), one("port 2152"))


def test_random_values_survive_every_unit_of_their_dimension() -> None:
    """A value written in any unit of a dimension comes back as the same amount of the basic unit, by pint's factors."""
    import pint

    registry = pint.UnitRegistry()
    draw = random.Random(5)
    checked = 0
    for spelling, unit in UNITS.items():
        if unit.dimension not in ("frequency", "time", "length", "power", "voltage") or unit.name.startswith("decibel"):
            continue
        value = round(draw.uniform(1, 999), 3)
        expected = registry.Quantity(value, unit.name).to(unit.basic).magnitude
        assert math.isclose(one(f"{value} {spelling}").value, expected, rel_tol=1e-9), spelling
        checked += 1
    assert checked > 40


def test_levels_follow_their_definition() -> None:
    for level in (-120, -30, 0, 23, 46):
        assert math.isclose(in_basic_unit(level, UNITS["dBm"]), 10 ** (level / 10) / 1000, rel_tol=1e-9)
        assert math.isclose(in_basic_unit(level, UNITS["dBW"]), 10 ** (level / 10), rel_tol=1e-9)


_TO_SIXTEEN = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen"


def test_every_numeral_up_to_a_thousand_is_read_in_words() -> None:
    ones = _TO_SIXTEEN.split()
    ones += ["seventeen", "eighteen", "nineteen"]
    tens = ["-", "-", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]

    def spelt(number: int) -> str:
        if number < 20:
            return ones[number]
        if number < 100:
            return tens[number // 10] + (f"-{ones[number % 10]}" if number % 10 else "")
        rest = number % 100
        return f"{ones[number // 100]} hundred" + (f" and {spelt(rest)}" if rest else "")

    for number in range(1000):
        assert [each.value for each in numerals(spelt(number))] == [number], number


def test_units_without_a_number_are_found() -> None:
    assert [unit.name for unit, _, _ in units_alone("given in bit/s, counts octets, 5 octets")] == [
        "bit/second",
        "byte",
    ]


def test_folding_keeps_every_place() -> None:
    text = "−90 dBm · 5 µs ‑ ５Ｇ ½ \u00a0 \0 😀 ﬁ"
    assert len(folded(text)) == len(text)
    assert quantities(Text("５ ms"))[0].value == 0.005
