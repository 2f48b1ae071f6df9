"""Does the page over several data sets say what its data and the boards inside say? Part of `contradictions`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

from .pairs_told import Tables, agreed, numbers

_MARKS = {"▲": "better", "▼": "worse", "·": "open"}


def of_sets(site: Path) -> Iterator[str]:
    """The first page, with ``data/sets.json`` and the data of each board inside."""
    document = json.loads((site / "data" / "sets.json").read_text())
    heads, *rows = Tables((site / "index.html").read_text("utf-8")).tables["sets"]
    sets = list(document["boards"])
    boards = {name: json.loads((site / path).read_text()) for name, path in document["boards"].items()}
    tables = {
        name: json.loads(((site / document["boards"][name]).parents[1] / boards[name]["tables"][metric]).read_text())
        for name, metric in document["metrics"].items()
    }
    for head, name in zip(heads[5:], sets, strict=True):
        if not head.startswith(name) or document["metrics"][name] not in head:
            yield f"sets: the column '{head}' is of {name}, {document['metrics'][name]}"
    if document["compared"] is None:
        return
    names, overall = document["compared"]["runs"], document["compared"]["overall"]
    against = {pair["run"]: pair for pair in overall["pairs"] if pair["other"] == names[0]}
    if abs(sum(document["weights"].values()) - 1) > 1e-9:
        yield f"sets: the weights {document['weights']} do not sum to 1"
    for cells in rows:
        rank, name, told = cells[:3]
        scores = cells[len(cells) - len(sets) :]
        if rank == "none":
            if name not in document["not_compared"]:
                yield f"sets: {name} has no rank and no reason"
            continue
        place = names.index(name)
        low, high = overall["ranks"][place]
        if rank != (str(low) if low == high else f"{low}–{high}"):
            yield f"sets: {name} has rank {rank}, in the data {low} to {high}"
        mean = sum(weight * numbers(cell)[0] for weight, cell in zip(document["weights"].values(), scores, strict=True))
        if abs(mean - numbers(cells[3])[0]) > 0.0011:
            yield f"sets: {name} has {cells[3]} overall, its scores come to {mean:.3f}"
        if name in against:
            yield from _overall(name, told, against[name], low, overall["ranks"][0])
        for cell, (title, table) in zip(scores, tables.items(), strict=True):
            yield from _marked(f"sets: {name} on {title}", cell, name, table, names[0])


def _overall(name: str, told: str, pair: dict[str, float], low: int, base: list[int]) -> Iterator[str]:
    verdict = re.sub(r"^[▲▼·] ", "", told)
    words = re.search(r"better|worse|no difference shown|too few.*", verdict)
    found = numbers(verdict.partition(", p")[0])
    word = words.group() if words else ""
    yield from agreed(f"sets: {name}", found[0], found[1:3], word)
    claimed = pair["p_adjusted"] <= 0.05
    if claimed != (word in ("better", "worse")):
        yield f"sets: {name}: '{told}', p in the data is {pair['p_adjusted']}"
    behind = {"better": base[0], "worse": low}.get(word)
    if behind == 1:
        yield f"sets: {name}: '{told}', and the worse of the two may have rank 1"


def _marked(where: str, cell: str, name: str, table: dict[str, object], base: str) -> Iterator[str]:
    rows = table["rows"]
    assert isinstance(rows, list)
    row = next(each for each in rows if each["run"] == name)
    mark = _MARKS.get(cell[-1:])
    if mark is None or table["baseline"] != base:
        return
    verdict = re.match(r"better|worse", str(row["verdict"]))
    if mark != (verdict.group() if verdict else "open"):
        yield f"{where}: '{cell}', on its board '{row['verdict']}'"
