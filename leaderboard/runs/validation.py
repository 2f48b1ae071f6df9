"""What a line of scores must be before anything is computed from it, whoever wrote it.

A NaN, a text or a number outside the metric's range spoils every mean and every test without a word, so that all
readers (run folders, anchors, the board's columns, logs of other harnesses) let numbers in through here.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from telbench.errors import InputError

Bounds = tuple[float, float]
_LARGEST = sys.float_info.max
# Metrics exceed their bounds by rounding errors (a perfect BLEU is 100.00000000000004): this share of the range is let
# through.
_ROUNDING = 1e-6
_NUMBERS = {float, int}
_TEXT, _OBJECT = "text", "an object"
_FIELDS: tuple[tuple[str, tuple[type, ...], str], ...] = (
    ("item_id", (str,), _TEXT),
    ("cluster_id", (str,), _TEXT),
    ("category", (str, type(None)), "text or null"),
    ("status", (str,), _TEXT),
    ("scores", (dict,), _OBJECT),
    ("stats", (dict,), _OBJECT),
)
_SECTIONS = ("model", "data", "prompt", "generation", "metrics")


def bounds_of(limits: Any) -> Bounds:
    """The range of a metric as numbers to hold values against, with room for rounding errors.

    >>> bounds_of([0, 1])
    (-1e-06, 1.000001)
    """
    low, high = limits
    room = _ROUNDING * (1.0 if low is None or high is None else high - low)
    return -_LARGEST if low is None else low - room, _LARGEST if high is None else high + room


def complaint(value: Any, bounds: Bounds) -> str | None:
    """What is wrong with a score; None where it is a finite number within the bounds.

    >>> complaint(500, (0.0, 1.0)), complaint(True, (0.0, 1.0)), complaint(1, (0.0, 1.0))
    ('is 500, outside its range of 0 to 1', 'is true and no number', None)
    """
    if type(value) not in _NUMBERS:
        return f"is {_shown(value)} and no number"
    if bounds[0] <= value <= bounds[1]:
        return None
    if not -_LARGEST <= value <= _LARGEST:
        return "is no finite number"
    low, high = ("no bound" if abs(bound) == _LARGEST else f"{round(bound, 3) + 0:g}" for bound in bounds)
    return f"is {_shown(value)}, outside its range of {low} to {high}"


class Lines:
    """The lines of one run, each held against the header before it is used.

    ``mend`` says what to do about a damaged file; ``first`` is the number of the line that the first item is on.
    """

    def __init__(self, file: Path, header: Mapping[str, Any], mend: str) -> None:
        self._file, self._mend = file, mend
        self._expected: int = header["data"]["n"]
        self._lines: dict[str, int] = {}
        self._number = 0
        self._columns = [
            (name, *bounds_of(entry["range"]), entry["level"] == "corpus") for name, entry in header["metrics"].items()
        ]
        self._widths: dict[str, int] = {}

    def check(self, number: int, row: Any) -> None:
        """Let a line pass, or refuse it.

        Raises:
            InputError: naming file, line and what is wrong.
        """
        self._number = number
        if type(row) is not dict:
            raise self._refusal(f"an object is expected, this is {_shown(row)}")
        for name, kinds, told in _FIELDS:
            if not isinstance(row.get(name, self), kinds):
                raise self._refusal(f"'{name}' is {_shown(row[name]) if name in row else 'missing'}, it must be {told}")
        item = row["item_id"]
        if item in self._lines:
            raise self._refusal(f"item '{item}' occurs twice, first on line {self._lines[item]}")
        if len(self._lines) == self._expected:
            raise self._refusal(f"more samples than the {self._expected} that the header says")
        self._lines[item] = number
        scores, stats = row["scores"], row["stats"]
        for name, low, high, corpus in self._columns:
            value = scores.get(name)
            # The usual case first: a hundred thousand lines of ten metrics pass here.
            if value is not None and not (type(value) is float and low <= value <= high):
                wrong = complaint(value, (low, high))
                if wrong is not None:
                    raise self._refusal(f"{name} of item '{item}' {wrong}")
            if corpus and (value is not None or name in stats):
                self._check_statistics(item, name, stats.get(name))
        if not isinstance(row.get("missing", {}), dict):
            raise self._refusal(f"'missing' is {_shown(row['missing'])}, it must be {_OBJECT}")

    def finish(self) -> None:
        """Refuse a file that ends too early.

        Raises:
            InputError: naming the last line.
        """
        if len(self._lines) != self._expected:
            raise self._refusal(f"the file ends, {len(self._lines)} samples where the header says {self._expected}")

    def _check_statistics(self, item: str, name: str, row: Any) -> None:
        if not isinstance(row, list) or not row:
            raise self._refusal(f"the statistics of {name} are missing for item '{item}'")
        # A NaN among the numbers makes a NaN of their sum; one by one they are looked at where that fails.
        sound = _NUMBERS.issuperset(map(type, row)) and -_LARGEST <= sum(row) <= _LARGEST and max(row) <= _LARGEST
        for value in () if sound else row:
            wrong = complaint(value, (-_LARGEST, _LARGEST))
            if wrong is not None:
                raise self._refusal(f"a statistic of {name} of item '{item}' {wrong}")
        width = self._widths.setdefault(name, len(row))
        if len(row) != width:
            raise self._refusal(f"{name} of item '{item}' has {len(row)} statistics, the lines before have {width}")

    def _refusal(self, what: str) -> InputError:
        return InputError(f"{self._file}, line {self._number}: {what}: {self._mend}")


def require_header(header: Mapping[str, Any], file: Path, mend: str) -> None:
    """Refuse a header without what comparisons read.

    Raises:
        InputError: naming file and field.
    """
    for name in _SECTIONS:
        if not isinstance(header.get(name), dict):
            raise InputError(f"{file}: '{name}' is {_shown(header.get(name))}, it must be {_OBJECT}: {mend}")
    for section, name, kind, told in (
        ("model", "name", str, _TEXT),
        ("data", "n", int, "a whole number"),
        ("data", "items_sha256", str, _TEXT),
        ("generation", "engine", str, _TEXT),
    ):
        if type(header[section].get(name)) is not kind:
            raise InputError(f"{file}: {section}.{name} is {_shown(header[section].get(name))}, not {told}: {mend}")
    for name, entry in header["metrics"].items():
        wrong = _entry_complaint(entry)
        if wrong is not None:
            raise InputError(f"{file}: metrics.{name}{wrong}: {mend}")


def _entry_complaint(entry: Any) -> str | None:
    """What is wrong with what a header says of a metric."""
    if not isinstance(entry, dict):
        return f" is {_shown(entry)}, it must be {_OBJECT}"
    limits: Any = entry.get("range")
    pair = isinstance(limits, list | tuple) and len(limits) == 2
    for name, fits in (
        ("signature", isinstance(entry.get("signature"), str)),
        ("family", isinstance(entry.get("family"), str)),
        ("level", entry.get("level") in ("item", "corpus")),
        ("higher_is_better", isinstance(entry.get("higher_is_better"), bool)),
        ("range", pair and all(limit is None or complaint(limit, (-_LARGEST, _LARGEST)) is None for limit in limits)),
    ):
        if not fits:
            return f".{name} is {_shown(entry.get(name))}, which it cannot be"
    for name in ("value", "ci_low", "ci_high"):
        wrong = None if entry.get(name) is None else complaint(entry[name], (-_LARGEST, _LARGEST))
        if wrong is not None:
            return f".{name} {wrong}"
    return None


def _shown(value: Any) -> str:
    """A value as JSON has it, cut; what is no number by its kind."""
    if value is None or isinstance(value, bool):
        return {None: "missing", True: "true", False: "false"}[value]
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:40]}…"
