"""A run's result for people: one table, values with intervals, what is missing and why."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

from .visible import visible


def print_json(document: Any) -> None:
    """One JSON document on stdout."""
    sys.stdout.write(json.dumps(document, indent=1, ensure_ascii=True, allow_nan=False) + "\n")


def number(value: float | None, width: float) -> str:
    """A value with the digits its range deserves, or N/A.

    >>> number(0.51234, 1), number(23.456, 100), number(None, 1)
    ('0.512', '23.5', 'N/A')
    """
    if value is None:
        return "N/A"
    return f"{value:.3f}" if width <= 1 else f"{value:.1f}"


def span(entry: Mapping[str, Any]) -> float:
    """Upper end of a metric's range; 100 where it is open."""
    high = entry["range"][1]
    return 100.0 if high is None else float(high)


def print_run(header: Mapping[str, Any]) -> None:
    """The table of one run on stdout."""
    from rich.console import Console
    from rich.table import Table

    model, data, counts = header["model"], header["data"], header["counts"]
    table = Table(title=None, box=None, pad_edge=False, header_style="bold")
    for title, justify in (("metric", "left"), ("value", "right"), ("95 % interval", "right"), ("n", "right")):
        table.add_column(title, justify=justify)  # pyright: ignore[reportArgumentType]
    table.add_column("")
    for name, entry in header["metrics"].items():
        width = span(entry)
        interval = (
            "" if entry["ci_low"] is None else f"{number(entry['ci_low'], width)} – {number(entry['ci_high'], width)}"
        )
        notes = [] if entry["higher_is_better"] else ["lower is better"]
        notes += [f"{count} missing: {reason}" for reason, count in entry["missing"].items()]
        table.add_row(name, number(entry["value"], width), interval, str(entry["n"]), visible("; ".join(notes)))
    console = Console(highlight=False)
    generation = header["generation"]
    console.print(
        f"{visible(model['name'])} on {visible(data['name'])} {data['split']} ({data['n']} items, "
        f"{header['prompt']['book']} book, {generation['engine']} {generation['dtype']})",
        markup=False,
    )
    console.print(table)
    flags = {
        "error": "without an answer",
        "truncated": "contexts cut",
        "empty": "empty answers",
        "cut_off": "cut at --max-tokens",
    }
    told = [f"{counts[key]} {text}" for key, text in flags.items() if counts.get(key)]
    dropped = sum(data["dropped"].values())
    told += (
        [f"{dropped} records dropped ({', '.join(f'{n} {why}' for why, n in data['dropped'].items())})"]
        if dropped
        else []
    )
    if told:
        console.print(visible(" · ".join(told)), markup=False)
