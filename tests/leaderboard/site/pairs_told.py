"""Do the pages of pairs and the files behind them say what ranks, letters and rows say? Part of `contradictions`."""

from __future__ import annotations

import base64
import csv
import gzip
import json
import re
from collections.abc import Iterator, Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from telbench.leaderboard.site.model.data_files import csv_cell

from .boards import unpacked_answers

_NUMBER = re.compile(r"[-+−]?\d[\d,]*(?:\.\d+)?")


class Tables(HTMLParser):
    """The tables of a page that have an id: rows of cells as text, the heads' row first."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tables: dict[str, list[list[str]]] = {}
        self._rows: list[list[str]] | None = None
        self._cell = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "table":
            name = dict(attrs).get("id")
            self._rows = None if name is None else self.tables.setdefault(name, [])
        elif self._rows is not None and tag == "tr":
            self._rows.append([])
        elif self._rows is not None and tag in ("td", "th"):
            self._rows[-1].append("")
            self._cell = True

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th"):
            self._cell = False
        elif tag == "table":
            self._rows = None

    def handle_data(self, data: str) -> None:
        if self._rows is not None and self._cell:
            self._rows[-1][-1] = f"{self._rows[-1][-1]} {data.strip()}".strip()


def numbers(text: str) -> list[float]:
    """The numbers in a text, in order."""
    return [float(each.replace("−", "-").replace(",", "")) for each in _NUMBER.findall(text)]


def unpacked(script: Path) -> Any:
    """What a script of data hands over: one document, or pairs and values of a run."""
    if script.read_bytes().startswith(b"telbenchAnswers"):
        return unpacked_answers(script.read_bytes())
    _, *packed = script.read_text("ascii").partition("(")[2].rpartition(")")[0].replace('"', "").split(",")
    found = [json.loads(gzip.decompress(base64.b64decode(each))) for each in packed]
    return found[0] if len(found) == 1 else dict(zip(("pairs", "values"), found, strict=True))


def on_compare_pages(site: Path, overview: Mapping[str, Any], documents: Mapping[str, Any]) -> Iterator[str]:
    """Pages of runs against the baseline, and the tables' data."""
    for run in overview["runs"]:
        page = site / run["page"].replace("runs/", "compare/")
        if not page.is_file():
            continue
        heads, *rows = Tables(page.read_text("utf-8")).tables["differences"]
        for cells in rows:
            told = dict(zip(heads, cells, strict=True))
            known = documents[told["Metric"]]["differences"][run["name"]]
            where = f"{page.name}: {told['Metric']}"
            if not told["Verdict"].startswith(known["verdict"]):
                yield f"{where}: verdict '{told['Verdict']}', in the data '{known['verdict']}'"
            yield from agreed(where, numbers(told["Δ"])[0], numbers(told["Interval, Holm"]), told["Verdict"])


def of_pairs(site: Path, overview: Mapping[str, Any], documents: Mapping[str, Any]) -> Iterator[str]:
    """``data/pairs.csv`` with ranks, letters and rows, and with the files that the page of pairs reads."""
    file = site / "data" / "pairs.csv"
    if not file.is_file():
        return
    slugs = {run["name"]: run["page"].removeprefix("runs/").removesuffix(".html") for run in overview["runs"]}
    names = {csv_cell(name): name for name in slugs}
    shown = dict(_shown(site))
    with file.open(encoding="utf-8-sig", newline="") as stream:
        for row in csv.DictReader(stream):
            metric, run, other = row["metric"], names[row["run"]], names[row["other"]]
            where = f"pairs.csv: {metric}, {run} against {other}"
            ends = [float(row[name]) for name in ("ci_low", "ci_high") if row[name]]
            yield from agreed(where, float(row["difference"]), ends, row["verdict"])
            document = documents[metric]
            if other == document["baseline"] and run in document["differences"]:
                known = document["differences"][run]
                said = known["delta"], known["ci_verdict"], known["p_verdict"], known["verdict"]
                if (float(row["difference"]), ends or None, float(row["p"]), row["verdict"]) != said:
                    yield f"{where}: '{row['verdict']}', in its table '{known['verdict']}'"
            yield from _ranked(where, document, run, other, row)
            page = shown.pop((metric, slugs[other], slugs[run]), None)
            if page is None:
                yield f"{where}: is on no page"
                continue
            delta, low, high, text, interval, _, verdict, _ = page
            if verdict != row["verdict"]:
                yield f"{where}: '{row['verdict']}', on its page '{verdict}'"
            near = [
                abs(a - b) <= 1e-5 * abs(a)
                for a, b in zip((float(row["difference"]), *ends), (delta, low, high), strict=False)
            ]
            if not all(near) or bool(ends) != bool(interval):
                yield f"{where}: other numbers on its page"
            yield from agreed(f"{where}, as shown", numbers(text)[0], numbers(interval), verdict)
    yield from (f"pairs: {each} are in no line of pairs.csv" for each in shown)


def _shown(site: Path) -> Iterator[tuple[tuple[str, str, str], list[Any]]]:
    board = unpacked(site / "data" / "pairs" / "board.js")
    runs = [run["slug"] for run in board["runs"]]
    for place, slug in enumerate(runs):
        for other, pairs in unpacked(site / "data" / "pairs" / f"{slug}.js")["pairs"].items():
            for table, pair in zip(board["tables"], pairs, strict=True):
                if pair is not None:
                    yield (table["name"], runs[place], runs[int(other)]), pair


def _ranked(where: str, document: Mapping[str, Any], run: str, other: str, row: Mapping[str, str]) -> Iterator[str]:
    ranking = document["ranking"]
    if ranking is None:
        return
    ours, theirs = ranking["names"].index(run), ranking["names"].index(other)
    claimed = re.match(r"better|worse", row["verdict"])
    apart = not set(ranking["letters"][ours]) & set(ranking["letters"][theirs])
    if apart != bool(claimed):
        yield f"{where}: '{row['verdict']}', letters {ranking['letters'][ours]} and {ranking['letters'][theirs]}"
    if (float(row["p"]) <= 0.05) != bool(claimed):
        yield f"{where}: '{row['verdict']}', p = {row['p']}"
    behind = theirs if claimed and claimed.group() == "better" else ours
    if claimed and ranking["ranges"][behind][0] == 1:
        yield f"{where}: '{row['verdict']}', and the worse of them may have rank 1"


def agreed(where: str, delta: float, ends: list[float], verdict: str) -> Iterator[str]:
    """Do difference, interval and verdict agree?"""
    claimed = re.match(r"better|worse", verdict)
    if len(ends) == 2 and bool(claimed) == (ends[0] <= 0 <= ends[1]):
        yield f"{where}: '{verdict}' with the interval {ends}"
    if len(ends) == 2 and not ends[0] - 1e-9 <= delta <= ends[1] + 1e-9:
        yield f"{where}: the difference {delta} is not in its interval {ends}"
    if claimed and (delta > 0) != (claimed.group() == "better"):
        yield f"{where}: '{verdict}' with the difference {delta}"
