"""What a person sees of a suite: a row an entry, drawn anew while it is made; and what it would take, beforehand."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from ..cli.tables import number
from ..cli.terminal import visible
from .checking import Checked
from .entries import Entry
from .folder import Standing

# What stands for an entry in one column: the first of these that its run has, else its first metric.
HEADLINE = ("choice_accuracy", "numeric_match", "label_match", "yaml_f1", "table_f1", "token_f1", "exact_match")
_STYLES = {"done": "green", "failed": "red", "waiting": "dim"}
# A sample with its scores and its journalled completion.
BYTES_A_SAMPLE = 4000


def drawn(entries: Sequence[Entry], standings: Mapping[str, Standing], height: int = 0) -> Any:
    """A rich table of all entries; of more than ``height`` (0: any number) those are left out that wait or are done."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for name in ("model", "data", "prompt", "state", "made", "seconds", "value"):
        table.add_column(name, justify="right" if name in ("made", "seconds") else "left")
    shown = _chosen(entries, standings, height)
    for entry in shown:
        standing = standings[entry.label]
        cells = [entry.model, entry.data, entry.prompt, *told(standing)]
        style = _STYLES.get(standing.state, "yellow")
        table.add_row(*(Text(visible(cell), style=style if place == 3 else "") for place, cell in enumerate(cells)))
    counts = [standing.state for standing in standings.values()]
    done, failed = counts.count("done"), counts.count("failed")
    more = f" ({len(entries) - len(shown)} not shown)" if len(shown) < len(entries) else ""
    table.caption = f"{done} of {len(entries)} done" + (f", {failed} failed" if failed else "") + more
    return table


def told(standing: Standing) -> tuple[str, str, str, str]:
    """(State, how much is made, seconds, the first value or the reason of a failure) as words."""
    made = f"{standing.made}/{standing.wanted}" if standing.wanted else str(standing.made or "")
    if standing.header is None:
        return standing.state, made, "", standing.reason
    seconds = standing.header.get("seconds", {}).get("total")
    return standing.state, made, "" if seconds is None else f"{seconds:.0f} s", headline(standing.header)


def headline(header: Mapping[str, Any]) -> str:
    """The first of a run's metrics that stand for it, with its value; N/A where it has none."""
    metrics = header.get("metrics", {})
    name = next((name for name in HEADLINE if name in metrics), next(iter(metrics), None))
    if name is None:
        return "N/A"
    return f"{name} {number(metrics[name]['value'], (metrics[name].get('range') or [0, None])[1])}"


def _chosen(entries: Sequence[Entry], standings: Mapping[str, Standing], height: int) -> list[Entry]:
    if not height or len(entries) <= height:
        return list(entries)
    rank = {"failed": 1, "done": 2, "waiting": 3}
    order = sorted(range(len(entries)), key=lambda place: rank.get(standings[entries[place].label].state, 0))
    return [entries[place] for place in sorted(order[:height])]


def estimate(checked: Sequence[Checked], standings: Mapping[str, Standing]) -> dict[str, Any]:
    """What is left to make: items, engines, tokens at most, bytes, and seconds as far as runs of this suite tell them.

    Seconds of an entry are its items times those that an item of the same model took, on any data set of the suite;
    ``unknown`` counts entries whose model has no run yet.
    """
    left = [each for each in checked if standings[each.entry.label].state != "done"]
    rates = _rates(checked, standings)
    seconds = [rates.get(each.entry.model) for each in left]
    known = [rate * each.items * each.samples for rate, each in zip(seconds, left, strict=True) if rate is not None]
    return {
        "entries": len(checked),
        "left": len(left),
        "items": sum(each.items for each in left),
        "answers": sum(each.items * each.samples for each in left),
        "tokens_at_most": sum(each.items * each.samples * each.tokens for each in left),
        "engines": len({each.loads for each in left}),
        "checkpoints": len({each.entry.settings.get("model", "") for each in left}),
        "bytes": sum(each.items * each.samples for each in left) * BYTES_A_SAMPLE,
        "seconds": round(sum(known), 1),
        "unknown": sum(rate is None for rate in seconds),
    }


def _rates(checked: Sequence[Checked], standings: Mapping[str, Standing]) -> dict[str, float]:
    """Median seconds an answer, loading apart, by model: of runs that asked all of theirs."""
    found: dict[str, list[float]] = defaultdict(list)
    for each in checked:
        header = standings[each.entry.label].header
        if header is None:
            continue
        took, made = header.get("seconds", {}), header.get("generation", {}).get("generated")
        if made and took:
            spent = sum(took.get(name, 0.0) for name in ("plan", "generate", "judge", "score"))
            found[each.entry.model].append(spent / (each.items * each.samples))
    return {model: statistics.median(rates) for model, rates in found.items()}
