"""What the demo tells in a screen: what was made, who leads, who ties, what the gate says, which file to open."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...harness.cli.tables import columns, difference_text, number, p_value
from ...harness.cli.terminal import visible

WIDTH = 100
# How verdicts begin, as tables of ``telbench compare`` have them.
_SHORT = ("better", "worse", "identical", "too few")


@dataclass(frozen=True)
class Told:
    """What the story rests on.

    Attributes:
        made: what was made, in words.
        comparison: the document of ``telbench compare --json``; its first metric is the one that decides.
        gates: documents of ``telbench check --json``, a candidate each against one baseline.
        files: what a reader may want, and where it lies; the first is to be opened.
        following: commands to try next.
    """

    made: str
    comparison: Mapping[str, Any]
    gates: Sequence[Mapping[str, Any]]
    files: Sequence[tuple[str, str]]
    following: Sequence[str]


def story(told: Told) -> list[str]:
    """The lines; a table row a model, and no more than fifteen beside them."""
    ranking = told.comparison["rankings"][0]
    lines = [*textwrap.wrap(told.made, WIDTH), "", f"Who leads in {ranking['metric']}?"]
    lines += columns(standings(told.comparison), "<<>>><")
    # The sentence after it counts what the rows show.
    lines += textwrap.wrap(
        told.comparison["answer"]["sentences"][0].partition(". Against ")[0].rstrip(".") + ".", WIDTH
    )
    if told.gates:
        first = told.gates[0]
        margins = ", ".join(f"{value:g} of {metric}" for metric, value in first["policy"]["margins"].items())
        lines += ["", f"May a model replace {first['baseline']['name']}, if it may lose {margins}?"]
        lines += [f"  {gate['candidate']['name']}: {gate_verdict(gate)}" for gate in told.gates]
    width = max(len(what) for what, _ in told.files)
    lines += ["", *(f"{what.ljust(width)}  {place}" for what, place in told.files)]
    lines += [f"{('' if number else 'Next').ljust(width)}  {command}" for number, command in enumerate(told.following)]
    return [visible(line) for line in lines]


def standings(comparison: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Heads, then a row a run: its rank range in the metric that decides, and how it stands to the first run."""
    ranking, runs = comparison["rankings"][0], comparison["runs"]
    metric, base = ranking["metric"], runs[0]["name"]
    rows: list[tuple[str, ...]] = [("rank", "model", "score", f"against {base}", "p", "verdict")]
    for place in ranking["order"]:
        low, high = ranking["ranges"][place]
        entry, pair = runs[place]["metrics"][metric], (runs[place]["difference"] or {}).get(metric)
        end, spread = entry["range"][1], entry["ci_high"] - entry["ci_low"] if entry["ci_low"] is not None else None
        head = (str(low) if low == high else f"{low}-{high}", runs[place]["name"], number(entry["value"], end, spread))
        if pair is None:
            rows.append((*head, "", "", ""))
            continue
        interval = pair["ci_verdict"] and (pair["ci_verdict"][0], pair["ci_verdict"][1])
        told = difference_text(pair["delta"], interval, end, higher_is_better=entry["higher_is_better"])
        word = next((each for each in _SHORT if pair["verdict"].startswith(each)), "not shown")
        rows.append((*head, told, "" if pair["p_verdict"] is None else p_value(pair["p_verdict"]), word))
    return rows


def gate_verdict(gate: Mapping[str, Any]) -> str:
    """The verdict on a candidate, with the metric that it rests on and the reason."""
    word = gate["verdict"].upper()
    carrying = [each for each in gate["metrics"] if each["verdict"].startswith(word)] or gate["metrics"]
    more = f" (and {len(carrying) - 1} more)" if word != "PASS" and len(carrying) > 1 else ""
    return f"{word}, {carrying[0]['metric']}: {carrying[0]['reason']}{more}"
