"""What a run that stopped early says below its table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .tables import difference_text, number

_SAID = {
    "better": "better",
    "worse": "worse",
    "no difference": "no difference that all items would show",
    "not worse": "any drop is smaller than the margin of {margin:g}",
    "inconclusive": "all items would show neither a drop nor its absence",
}


def stopped_lines(header: Mapping[str, Any]) -> list[str]:
    """Lines on what was settled, and on what was not asked; none for a complete run."""
    told = header.get("adaptive")
    if not told:
        return []
    entry, share = header["metrics"][told["metric"]], 100 * told["asked"] / told["of"]
    spread = told["ci_high"] - told["ci_low"]
    low, high = (number(told[end], entry["range"][1], spread) for end in ("ci_low", "ci_high"))
    level = 100 * (1 - told["alpha"])
    width = entry["range"][1] - entry["range"][0]
    lines = [
        f"stopped early: {told['asked']:,} of {told['of']:,} items ({share:.0f} %) were asked, in random order "
        f"(seed {told['seed']})",
        f"{told['metric']} of all items is from {low} to {high} ({level:g} %, all looks together)",
    ]
    for each in told["beside"]:
        middle, ends = (each["low"] + each["high"]) / 2, (each["low"], each["high"])
        difference = difference_text(middle, ends, width, higher_is_better=entry["higher_is_better"])
        said = _SAID[each["verdict"]].format(**told) if each["verdict"] else "not settled"
        value, shown = number(each["value"], entry["range"][1]), number(each["shown_from"], width, each["shown_from"])
        lines.append(f"against {each['name']} ({value}): {said}; {difference}, a comparison shows {shown} and more")
    if "rank" in told:
        first, last = told["rank"]
        place = f"rank {first}" if first == last else f"rank {first} to {last}"
        lines.append(f"{place} of {len(told['beside']) + 1}")
    return lines
