"""How numbers and texts of unknown origin are written on a page; templates have each function as a filter."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from itertools import takewhile
from typing import Any

from ...harness.cli.tables import difference_text, digits_of, number, p_value
from ...harness.cli.terminal import visible
from ..compare.pairwise import Comparison

# Longer answers are cut on pages; the run folder has them whole.
LONGEST_TEXT = 20_000
# The longest name that a row shows whole, and what is kept of the beginning that long names share; to cut off fewer
# characters than these hides more than it saves.
_LONGEST_NAME, _HEAD, _GAP, _WORTH_CUTTING = 44, 12, "…", 8
_LARGEST_SLUG = 40


def text(value: Any, longest: int = LONGEST_TEXT) -> str:
    r"""Text of unknown origin: control characters and what reorders a line as escapes, endless text cut.

    >>> text("a\u202eb"), text("abcdef", 3)
    ('a\\u202eb', 'abc … (3 more characters)')
    """
    whole = str(value)
    shown = visible(whole[:longest], lines=True, encoding="utf-8")
    return shown if len(whole) <= longest else f"{shown} … ({len(whole) - longest:,} more characters)"


def score(value: float | None, entry: Mapping[str, Any]) -> str:
    """A metric's value with the digits that its range and its interval deserve, and a true minus sign."""
    spread = None if entry.get("ci_low") is None else entry["ci_high"] - entry["ci_low"]
    return number(value, entry["range"][1], spread).replace("-", "−")


def scores(values: Sequence[float], entry: Mapping[str, Any]) -> list[str]:
    """`score` of many values of one metric; NaN where there is none.

    >>> scores([0.51234, float("nan"), -0.0001], {"range": [0, 1]})
    ['0.512', 'N/A', '0.000']
    """
    spread = None if entry.get("ci_low") is None else entry["ci_high"] - entry["ci_low"]
    digits = digits_of(entry["range"][1], spread)
    form = f".{digits}f"
    # NaN alone is not equal to itself. Adding 0.0 takes the sign off a rounded zero.
    return [
        format(round(value, digits) + 0.0, form).replace("-", "−") if value == value else number(None, None)  # noqa: PLR0124
        for value in values
    ]


def signed(value: float | None, entry: Mapping[str, Any]) -> str:
    """A difference with its sign."""
    shown = score(value, entry)
    return shown if value is None or shown.startswith("−") else f"+{shown}"


def ends(compared: Comparison, entry: Mapping[str, Any]) -> str:
    """The interval of a comparison, in as many digits as it takes to see whether 0 is in it."""
    return ends_text(compared.delta, compared.ci_verdict, entry)


def ends_text(delta: float, interval: tuple[float, float] | None, entry: Mapping[str, Any]) -> str:
    """The interval of a difference, as `ends` has it."""
    return difference_text(delta, interval, entry["range"][1]).partition(" ")[2].replace("-", "−")


def decimal(value: float | None) -> str:
    """Three decimals, whatever the metric's range is.

    >>> decimal(-0.0021), decimal(None)
    ('−0.002', 'n/a')
    """
    return "n/a" if value is None else f"{round(value, 3) + 0.0:.3f}".replace("-", "−")


def share(part: int, whole: int) -> str:
    """A share in per cent; a small one is never shown as none.

    >>> share(0, 10), share(1, 10000), share(1, 8)
    ('0 %', '<0.1 %', '12.5 %')
    """
    if not part or not whole:
        return "0 %"
    percent = 100 * part / whole
    return "<0.1 %" if percent < 0.1 else f"{percent:.1f} %"


def p_text(p: float) -> str:
    """A p-value: ``p = 0.031`` or ``p < 0.001``."""
    shown = p_value(p)
    return f"p {shown[0]} {shown[1:]}" if shown.startswith("<") else f"p = {shown}"


def size(count: int | None) -> str:
    """A number of parameters in short.

    >>> size(1023872), size(7_000_000_000), size(None)
    ('1.02 M', '7 B', 'n/a')
    """
    if count is None:
        return "n/a"
    for unit, letter in ((10**12, "T"), (10**9, "B"), (10**6, "M"), (10**3, "k")):
        if count >= unit:
            return f"{count / unit:.3g} {letter}"
    return str(count)


def rank_range(ranks: tuple[int, int]) -> str:
    """``2`` or ``2–5``."""
    low, high = ranks
    return str(low) if low == high else f"{low}–{high}"


def shortened(names: Sequence[str], longest: int = _LONGEST_NAME) -> list[str]:
    """Names of runs, those beyond ``longest`` cut: first in the beginning that long names share, then in the middle.

    Two names stay two: where cutting makes names alike, these stay whole.

    >>> shortened(["telecom-student-kd-seed1", "telecom-student-kd-seed2", "base"], 16)
    ['telecom-stud…1', 'telecom-stud…2', 'base']
    """
    long = [name for name in names if len(name) > longest]
    shared = sum(1 for _ in takewhile(lambda each: len(set(each)) == 1, zip(*long, strict=False)))
    shared, room = shared if len(set(long)) > 1 else 0, min(_WORTH_CUTTING, longest // 4)
    cut = [_cut(name, shared, longest) if len(name) > longest + room else name for name in names]
    return [name if cut.count(short) > 1 else short for name, short in zip(names, cut, strict=True)]


def _cut(name: str, shared: int, longest: int) -> str:
    rest = name[shared:] if shared > _HEAD else name[_HEAD:]
    room = longest - _HEAD - 1
    if len(rest) > room:
        half = (room - 1) // 2
        rest = f"{rest[:half]}{_GAP}{rest[len(rest) - half :]}"
    return f"{name[:_HEAD]}{_GAP}{rest}"


def slug(text: str, key: str) -> str:
    """A file name for text of unknown origin: its plain letters and digits, and a hash that tells it from others.

    >>> slug("../../Tiny Model", "abc")
    'tiny-model-ba7816bf'
    """
    words = re.sub("[^a-z0-9]+", "-", text.lower())[:_LARGEST_SLUG].strip("-")
    return f"{words or 'run'}-{hashlib.sha256(key.encode()).hexdigest()[:8]}"
