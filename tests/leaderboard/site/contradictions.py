"""Does a built board say the same everywhere? Rank, letter, difference, interval, verdict of every row and page.

Run as a script, it checks the boards that it is given: ``python -m tests.leaderboard.site.contradictions SITE...``.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from .pairs_told import of_pairs, on_compare_pages
from .recipes_told import of_recipes
from .sets_told import of_sets

_NUMBER = re.compile(r"[-+−]?\d[\d,]*(?:\.\d+)?")


class Standings(HTMLParser):
    """The rows of a page's table of standings: text by column, beside the name of the run's page."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.heads: list[str] = []
        self.rows: list[tuple[str, list[str]]] = []
        self._inside = self._cell = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = dict(attrs)
        if tag == "table":
            self._inside = told.get("id") == "standings"
        if self._inside and tag == "tr" and told.get("data-run"):
            self.rows.append((str(told["data-run"]), []))
        if self._inside and tag in ("th", "td"):
            self._cell = True
            (self.rows[-1][1] if self.rows else self.heads).append("")

    def handle_endtag(self, tag: str) -> None:
        if tag in ("th", "td"):
            self._cell = False
        if tag == "table":
            self._inside = False

    def handle_data(self, data: str) -> None:
        if self._inside and self._cell:
            cells = self.rows[-1][1] if self.rows else self.heads
            cells[-1] = f"{cells[-1]} {data.strip()}".strip()

    def by_column(self) -> list[tuple[str, dict[str, str]]]:
        """Rows as text by the first word of their column's heading."""
        heads = [head.split(" (")[0] for head in self.heads]
        return [(run, dict(zip(heads, cells, strict=True))) for run, cells in self.rows]


def _numbers(text: str) -> list[float]:
    return [float(each.replace("−", "-").replace(",", "")) for each in _NUMBER.findall(text)]


def contradictions(site: Path) -> list[str]:
    """One line for each contradiction in tables of standings, pages of pairs and data files, and between them."""
    if (site / "data" / "sets.json").is_file():
        inside = [f"{each.name}/{line}" for each in sorted((site / "sets").iterdir()) for line in contradictions(each)]
        return [*of_sets(site), *inside]
    found = []
    for place in ("data/board.json", "data/recipes/board.json"):
        if (site / place).is_file():
            overview = json.loads((site / place).read_text())
            documents = {name: json.loads((site / path).read_text()) for name, path in overview["tables"].items()}
            found += _standings(site, overview, documents)
            checks = (of_recipes,) if "recipes" in place else (on_compare_pages, of_pairs)
            found += [line for check in checks for line in check(site, overview, documents)]
    return found


def _standings(site: Path, overview: Mapping[str, Any], documents: Mapping[str, Any]) -> list[str]:
    """The first page of a board and the pages of its metrics."""
    slugs = {Path(run["page"]).stem: run["name"] for run in overview["runs"]}
    found = []
    for name, page in {next(iter(overview["tables"])): overview["home"], **overview["pages"]}.items():
        told = Standings((site / page).read_text("utf-8")).by_column()
        document = documents[name]
        found += [f"{page}: {line}" for line in _within(told, higher=document["higher_is_better"])]
        rows = {row["run"]: row for row in document["rows"]}
        for slug, cells in told:
            row = rows.get(slugs[slug])
            if row is not None:
                found += [f"{page}: {slugs[slug]}: {line}" for line in _with_data(cells, row)]
    return found


def _within(rows: list[tuple[str, dict[str, str]]], *, higher: bool) -> list[str]:
    """Contradictions within one table."""
    found = []
    ranked = [(run, cells) for run, cells in rows if cells["Rank"] != "none"]
    base = next((cells for _, cells in rows if cells["Δ to baseline"] == "baseline"), None)
    spans = {run: tuple(int(end) for end in re.findall(r"\d+", cells["Rank"])) for run, cells in ranked}
    for run, cells in rows:
        told = cells["Δ to baseline"]
        if base is None or told in ("baseline", "n/a"):
            continue
        claimed = re.search(r"\b(better|worse)\b", told)
        numbers = _numbers(told.partition(", p")[0])
        if len(numbers) >= 3 and bool(claimed) == (numbers[1] <= 0 <= numbers[2]):
            found.append(f"{run}: the interval of '{told}' does not fit its verdict")
        if claimed and numbers and (numbers[0] > 0) != (claimed.group() == "better"):
            found.append(f"{run}: '{told}' has another sign than its verdict")
        if run in spans:
            apart = not set(cells["Group"]) & set(base["Group"])
            if apart != bool(claimed):
                found.append(f"{run}: '{told}', letters {cells['Group']} and {base['Group']}")
            behind = base if claimed and claimed.group() == "better" else cells
            if claimed and behind["Rank"].startswith("1") and not behind["Rank"][1:2].isdigit():
                found.append(f"{run}: '{told}', ranks {cells['Rank']} and {base['Rank']}")
    for one, ours in ranked:
        for other, theirs in ranked:
            ahead = spans[one][-1] < spans[other][0]
            values = _numbers(ours["Score"])[0] - _numbers(theirs["Score"])[0]
            if ahead and (values if higher else -values) < 0:
                found.append(f"{one} ranks before {other} with {ours['Score']} and {theirs['Score']}")
    return found


def _with_data(cells: dict[str, str], row: dict[str, object]) -> list[str]:
    """What a row says otherwise than the data file."""
    low, high = row["rank_low"], row["rank_high"]
    said = {
        "Rank": str(low) if low == high else f"{low}–{high}",
        "Group": str(row["group"]),
    }
    found = [f"{name} {cells[name]}, in the data {value}" for name, value in said.items() if cells[name] != value]
    verdict = str(row["verdict"])
    if row["verdict"] is not None and verdict.partition(",")[0] not in cells["Δ to baseline"]:
        found.append(f"verdict '{cells['Δ to baseline']}', in the data '{verdict}'")
    return found


if __name__ == "__main__":
    lines = [line for site in sys.argv[1:] for line in contradictions(Path(site))]
    sys.stdout.write("\n".join([*lines, f"{len(lines)} contradictions\n"]))
    sys.exit(bool(lines))
