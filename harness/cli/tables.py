"""Results for people: the table of a run, and what reports are made of (words and tables in lines of 80 columns)."""

from __future__ import annotations

import json
import math
import sys
import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TextIO

from ...metrics.anchors import blind_to_facts
from .terminal import visible

WIDTH = 80
# A reader learns from a p-value down to here that it is small.
_SMALL_P = 0.001
# Differences are rounded to so many decimals before they are tested.
_MOST_DIGITS = 9
BLIND_MARK = " (blind to facts)"
# Other readings of an answer, as a table calls them.
READINGS = {"first": "the first conclusion", "text": "the option's text"}
# Items that a reader of the numbers should know of, by the header's counts.
_REMARKS = {
    "error": "without an answer",
    "truncated": "contexts cut",
    "examples_left_out": "prompts without all their examples",
    "empty": "empty answers",
    "cut_off": "cut at --max-tokens",
    "unclosed": "ended within their reasoning",
}


def print_json(document: Any) -> None:
    """One JSON document on stdout."""
    sys.stdout.write(json.dumps(document, indent=1, ensure_ascii=True, allow_nan=False) + "\n")


def number(value: float | None, high: float | None, spread: float | None = None, least: int = 0) -> str:
    """A value with the digits that a range up to ``high`` deserves (None where it is open), or N/A.

    More of them where the interval, ``spread`` from end to end, is so narrow that it takes more to tell values apart:
    two digits of it are shown. ``least`` is how many there are at least.

    >>> number(0.51234, 1), number(23.456, 100), number(-0.0001, 1), number(None, 1)
    ('0.512', '23.5', '0.000', 'N/A')
    >>> number(0.963, None, 0.14), number(3.1612, 5, 0.05), number(0.512345, 1, 0.5)
    ('0.96', '3.161', '0.512')
    """
    if value is None:
        return "N/A"
    digits = digits_of(high, spread, least)
    # Adding 0.0 takes the sign off a rounded zero.
    return f"{round(value, digits) + 0.0:.{digits}f}"


def digits_of(high: float | None, spread: float | None = None, least: int = 0) -> int:
    """How many decimals `number` gives."""
    digits = max(least, 3 if high is not None and high <= 1 else 1)
    if spread and 0 < spread < 1:
        digits = min(max(digits, 1 - math.floor(math.log10(spread))), _MOST_DIGITS)
    return digits


def difference_text(
    delta: float, interval: tuple[float, float] | None, width: float | None, *, higher_is_better: bool = True
) -> str:
    """A difference with its interval, in as many digits as its width takes, and to see that 0 is not in it.

    Differences are positive where better. They are written as those of the values: a gain is negative where lower is
    better.

    >>> difference_text(-0.0091, (-0.0187, -0.0003), 1), difference_text(0.004, (-0.0002, 0.0182), 1)
    ('-0.0091 [-0.0187, -0.0003]', '+0.004 [0.000, 0.018]')
    >>> difference_text(-14.3, (-30.8, 0.6), None, higher_is_better=False)
    '+14.3 [-0.6, 30.8]'
    """
    if not higher_is_better:
        delta, interval = -delta, interval and (-interval[1], -interval[0])
    if interval is None:
        shown = number(delta, width)
        return shown if shown.startswith("-") else f"+{shown}"
    spread, least, inner = interval[1] - interval[0], 0, max(interval[0], -interval[1])
    while inner > 0 and least < _MOST_DIGITS and float(number(inner, width, spread, least)) == 0:
        least += 1
    ends = [number(value, width, spread, least) for value in (delta, *interval)]
    return f"{'' if ends[0].startswith('-') else '+'}{ends[0]} [{ends[1]}, {ends[2]}]"


def p_value(p: float, alpha: float = 0.05) -> str:
    """A p-value as it is printed: never rounded to ``alpha`` from above.

    >>> p_value(0.0312), p_value(1e-9), p_value(1.0), p_value(0.05003)
    ('0.031', '<0.001', '1.000', '0.05003')
    """
    if p < _SMALL_P:
        return f"<{_SMALL_P}"
    digits = 3
    while p > alpha and round(p, digits) <= alpha and digits < _MOST_DIGITS:
        digits += 1
    return f"{p:.{digits}f}"


def print_run(header: Mapping[str, Any], stream: TextIO | None = None) -> None:
    """The table of one run on stdout, or a stream; it is never wrapped or cut, however narrow the terminal is."""
    lines: list[str] = []
    for block in run_report(header):
        if isinstance(block, Grid):
            lines += columns([block.heads, *block.rows], block.sides)
        else:
            lines.append(f"WARNING: {block.text}" if block.kind == "warning" else block.text)
    (stream or sys.stdout).write("".join(shown(line) + "\n" for line in lines))


def run_report(header: Mapping[str, Any]) -> list[Block]:
    """What was run, warnings, a row a metric with its value and 95 % interval, and what to know of them."""
    model, data, generation = header["model"], header["data"], header["generation"]
    found = {name: entry["calibration"] for name, entry in header["metrics"].items() if entry.get("calibration")}
    scales = {name: scale for name, scale in found.items() if scale["value"] is not None}
    rows: list[tuple[str, ...]] = []
    for name, entry in header["metrics"].items():
        end = entry["range"][1]
        spread = None if entry["ci_low"] is None else entry["ci_high"] - entry["ci_low"]
        value, low, high = (number(entry[key], end, spread) for key in ("value", "ci_low", "ci_high"))
        interval = "" if spread is None else f"{low} – {high}"
        position = [_position(scales[name]) if name in scales else ""] if scales else []
        rows.append((name, value, interval, *position, str(entry["n"]), "; ".join(_notes(entry))))
    items = f"{data['n']} item{'' if data['n'] == 1 else 's'}"
    made_by = " ".join(part for part in (generation["engine"], generation.get("dtype")) if part)
    told = ", ".join([items, *([f"{book} book"] if (book := header["prompt"]["book"]) else []), made_by])
    title = f"{model['name']} on {data['name']} {data['split']} ({told})"
    heads = ("metric", "value", "95 % interval", *(["calibrated"] if scales else []), "n", "")
    blocks: list[Block] = [Words(title, "title")]
    for line in _judge_warnings(header["judge"], header["metrics"]) if header.get("judge") else ():
        text = line.removeprefix("WARNING: ")
        blocks.append(Words(text, "note" if text == line else "warning"))
    blocks.append(Grid(heads, tuple(rows), "<" + ">" * (len(heads) - 2) + "<"))
    remarks = [f"{header['counts'][key]} {text}" for key, text in _REMARKS.items() if header["counts"].get(key)]
    if dropped := data["dropped"]:
        reasons = ", ".join(f"{count} {reason}" for reason, count in dropped.items())
        remarks.append(f"{sum(dropped.values())} records dropped ({reasons})")
    below = [
        *(_samples(header["metrics"], generation["samples"]) if "samples" in generation else ()),
        *(_scales(scales) if scales else ()),
        *([" · ".join(remarks)] if remarks else []),
    ]
    return [*blocks, *map(Words, below)]


def _notes(entry: Mapping[str, Any]) -> list[str]:
    """What to know of a metric's value: its direction, what guessing gives, what is missing, how else it could read."""
    end, readings, unfinished = entry["range"][1], entry.get("readings", {}), entry.get("unfinished")
    notes = [] if entry["higher_is_better"] else ["lower is better"]
    if "chance" in entry:
        notes.append(f"chance {number(entry['chance'], end)}")
    notes += [f"{count} missing: {reason}" for reason, count in entry["missing"].items()]
    told = Counter[str]()
    for reason, count in entry.get("notes", {}).items():
        # Which of two readings is right is told by their values.
        told[reason.partition(", ")[0] if readings else reason] += count
    notes += [f"{count} scored: {reason}" for reason, count in told.items()]
    notes += [f"{number(value, end)} by {READINGS.get(name, name)}" for name, value in readings.items()]
    if unfinished:
        low, high = (number(unfinished[bound], end) for bound in ("low", "high"))
        notes.append(f"{low} to {high} had {unfinished['items']} unfinished answers ended otherwise")
    return notes


def _position(scale: Mapping[str, Any]) -> str:
    """A metric's place between unrelated and right texts of the data, with its interval."""
    value, low, high = (number(scale[key], 1) for key in ("value", "ci_low", "ci_high"))
    return value if scale["ci_low"] is None else f"{value} [{low}, {high}]"


def _scales(calibrations: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """What 0 and 1 of the calibrated values are, and how far apart the encoder holds them."""
    uppers = list(dict.fromkeys(str(found["upper_from"]) for found in calibrations.values()))
    areas = [f"{name} {found['auc']:.3f}" for name, found in calibrations.items() if found["auc"] is not None]
    lines = [f"calibrated: 0 = a reference of another item, 1 = {' or '.join(uppers)}"]
    near = {
        name: found["near_miss_auc"] for name, found in calibrations.items() if found.get("near_miss_auc") is not None
    }
    lines += [f"matches above unrelated (AUC): {', '.join(areas)}"] if areas else []
    told = [
        f"{name} {area:.3f}{BLIND_MARK if blind_to_facts(calibrations[name]) else ''}" for name, area in near.items()
    ]
    return lines + ([f"right above one wrong fact (AUC): {', '.join(told)}"] if told else [])


def _samples(metrics: Mapping[str, Mapping[str, Any]], count: int) -> list[str]:
    """What the answers to an item are worth together, for metrics of right and wrong."""
    lines = [f"each value is the mean of {count} answers an item"]
    for name, entry in metrics.items():
        if found := entry.get("samples"):
            lines.append(f"{name}: " + ", ".join(f"{what} {number(each['value'], 1)}" for what, each in found.items()))
    return lines


def columns(rows: Sequence[Sequence[str]], sides: str) -> list[str]:
    """Rows of cells as lines with aligned columns; ``sides`` has < (left) or > (right) for each column.

    >>> columns([("bleu", "12.5"), ("chrf", "3.0")], "<>")
    ['bleu  12.5', 'chrf   3.0']
    """
    cells = [[shown(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = (
        "  ".join(f"{cell:{side}{width}}" for cell, side, width in zip(row, sides, widths, strict=True))
        for row in cells
    )
    return [line.rstrip() for line in lines]


def shown(line: str) -> str:
    """The line safe to print, its dashes and dots plain where stdout has no others."""
    try:
        "–·".encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        line = line.replace("–", "-").replace(" · ", "; ")
    return visible(line)


def _judge_warnings(judge: Mapping[str, Any], metrics: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """What makes judged numbers below doubtful, before they are read; and what judges said that gave no verdict."""
    lines = []
    if over := judge.get("over_cap"):
        failed = {name: metrics[name]["judge_missing"] for name in over}
        told = ", ".join(f"{name} ({count} of {count + metrics[name]['n']})" for name, count in failed.items())
        lines.append(
            f"WARNING: judges gave no verdict on more than {judge['missing_cap']:.0%} of the items of {told}: these "
            "values stand for the rest only"
        )
    for each in judge.get("judges", ()):
        if kin := each.get("kin"):
            lines.append(
                f"WARNING: the judge {each['name']} is {kin}: models prefer answers like their own, so take one of "
                "another family"
            )
        signs = dict(each.get("suspicious", {}))
        if count := signs.pop("any", 0):
            told = ", ".join(f"{name} {times}" for name, times in signs.items())
            lines.append(f"judge {each['name']}: in {count} prompts the answer speaks to the judge ({told}): read them")
        mended = dict(each.get("repaired", {}))
        if count := mended.pop("any", 0):
            told = ", ".join(f"{name} {times}" for name, times in mended.items())
            lines.append(f"judge {each['name']}: {count} verdicts were read after a repair ({told})")
        lines += [f"judge {each['name']}: {count} without {part}" for part, count in each.get("partly", {}).items()]
        for reason, count in each["missing"].items():
            example = each.get("examples", {}).get(reason)
            lines.append(f"judge {each['name']}: {count} {reason}" + (f", the first: {example}" if example else ""))
    return lines


@dataclass(frozen=True)
class Words:
    """A paragraph: the answer, a warning, the title of what follows, or a note."""

    text: str
    kind: Literal["answer", "warning", "title", "note"] = "note"


@dataclass(frozen=True)
class Grid:
    """A table; ``sides`` has < (left) or > (right) for each column.

    ``spare`` names columns that narrow lines do without, the first of them first.
    """

    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    sides: str
    spare: tuple[str, ...] = ()


Block = Words | Grid


def fitted(blocks: Sequence[Block], width: int = WIDTH) -> list[Block]:
    """The same without spare columns that make lines longer than that, and a note that names them.

    Tables of the same columns lose the same ones.
    """
    slim, named = list(blocks), dict[str, None]()
    grids = [(place, block) for place, block in enumerate(blocks) if isinstance(block, Grid)]
    for heads in dict.fromkeys(grid.heads for _, grid in grids):
        alike = [(place, grid) for place, grid in grids if grid.heads == heads]
        spare = [head for head in alike[0][1].spare if head in heads]
        for count in range(len(spare) + 1):
            kept = [place for place, head in enumerate(heads) if head not in spare[:count]]
            longest = 0
            for place, grid in alike:
                first, *rows = (tuple(row[cell] for cell in kept) for row in (grid.heads, *grid.rows))
                sides = "".join(grid.sides[cell] for cell in kept)
                slim[place] = Grid(first, tuple(rows), sides)
                longest = max(longest, *map(len, columns([first, *rows], sides)))
            if longest <= width or count == len(spare):
                named |= dict.fromkeys(spare[:count])
                break
    note = Words(f"left out, for lines of {width} columns (--wide has them): {', '.join(named)}")
    return [*slim, *([note] if named else [])]


def plain(blocks: Sequence[Block]) -> list[str]:
    """Lines that are safe to print; words in lines of 80 columns. No word is broken, and no name cut."""
    lines, before = [], ""
    for block in blocks:
        kind = "grid" if isinstance(block, Grid) else block.kind
        if before and (kind == "title" or (before != kind and before in ("answer", "warning"))):
            lines.append("")
        before = kind
        if isinstance(block, Grid):
            lines += columns([block.heads, *block.rows], block.sides)
            continue
        text = shown(f"WARNING: {block.text}" if kind == "warning" else block.text)
        lines += textwrap.wrap(text, WIDTH, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
    return lines
