"""Do the pages of recipes say what their data and those of the single runs say? Part of `contradictions`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from .pairs_told import Tables, agreed, numbers


def of_recipes(site: Path, overview: Mapping[str, Any], documents: Mapping[str, Any]) -> Iterator[str]:
    """The page of each recipe: its rows with the tables' data, its seeds with the rows of the single runs."""
    board = json.loads((site / "data" / "board.json").read_text())
    singles = {name: json.loads((site / path).read_text()) for name, path in board["tables"].items()}
    for recipe in overview["runs"]:
        heads, *rows = Tables((site / recipe["page"]).read_text("utf-8")).tables["metrics"]
        for cells in rows:
            name = cells[0].split()[0]
            where = f"{recipe['page']}: {name}"
            known = next((row for row in documents[name]["rows"] if row["run"] == recipe["name"]), None)
            if known is None:
                if "not ranked" not in cells[1]:
                    yield f"{where}: has a row, and no rank in the data"
                continue
            told = dict(zip(heads, cells, strict=True))
            low, high = known["rank_low"], known["rank_high"]
            if told["Rank"].split(" of")[0] != (str(low) if low == high else f"{low}–{high}"):
                yield f"{where}: rank {told['Rank']}, in the data {low} to {high}"
            if known["verdict"] not in ("baseline", None):
                verdict = next((word for word in ("better", "worse") if word in told["Δ to baseline"]), "none")
                if not known["verdict"].startswith(verdict) and verdict != "none":
                    yield f"{where}: '{told['Δ to baseline']}', in the data '{known['verdict']}'"
                found = numbers(told["Δ to baseline"].partition(", p")[0])
                yield from agreed(where, found[0], found[1:3], known["verdict"])
            yield from _seeds(where, told, known["value"], singles[name])


def _seeds(where: str, told: Mapping[str, str], value: float, single: Mapping[str, Any]) -> Iterator[str]:
    """Every seed is a row of the single runs; an item metric's score is the mean of them where all items count."""
    shown = [numbers(cell)[0] for head, cell in told.items() if head.startswith("seed") and cell != "n/a"]
    values = [row["value"] for row in single["rows"]]
    decimals = [len(cell.partition(".")[2]) for head, cell in told.items() if head.startswith("seed") and "." in cell]
    width = 10.0 ** -min(decimals, default=0)
    for each in shown:
        if all(abs(each - other) > 0.51 * width for other in values):
            yield f"{where}: no single run has the seed's {each}"
    # Corpus scores pool the seeds' answers, and are no mean of theirs.
    if (
        shown
        and single["metric"] not in ("bleu", "chrf", "ter")
        and not min(shown) - width <= value <= max(shown) + width
    ):
        yield f"{where}: {value} is not between its seeds {shown}"
