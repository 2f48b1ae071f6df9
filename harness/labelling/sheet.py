"""A sheet of answers for people to label, which tells nothing of the systems or of what a judge said.

Rows are drawn by strata of the judged score, items on which judges disagree twice as often as others. The chance that
an item was drawn stands in the key beside the sheet, so that a correction can weigh it.
"""

from __future__ import annotations

import csv
import io
import json
import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from telbench.errors import IncomparableError, InputError

from ...metrics.fingerprints import text_sha256
from ..runs.folder import read_run, read_samples
from ..runs.judgements import records_of
from ..storage import writing

BINS = 4
# An item on which judges disagree is drawn so many times as often.
TWICE = 2
COLUMNS = ("row", "question", "reference", "answer", "score", "comment")
KEY_ENDING = ".key.json"


@dataclass(frozen=True)
class SheetRow:
    """One answer to label; ``runs`` are the ids of those that gave it, ``chance`` is that of its item."""

    row: str
    item_id: str
    runs: tuple[str, ...]
    chance: float
    answer_sha256: str
    question: str
    reference: str
    answer: str


@dataclass(frozen=True)
class Sheet:
    """Rows in the order of the sheet, of answers that ``metric`` judged on a scale of ``low`` to ``high``."""

    metric: str
    low: float
    high: float
    rows: tuple[SheetRow, ...]


def drawn_sheet(runs: Sequence[Path], metric: str, count: int, seed: int = 0) -> Sheet:
    """About ``count`` answers of these runs: whole items, so that their runs can be compared item by item.

    Answers to one item that are the same text are one row.

    Raises:
        InputError: for a run without that judged metric, or with no item that all runs have a judged score of.
        IncomparableError: for runs on other items.
    """
    headers = [read_run(run) for run in runs]
    for run, header in zip(runs, headers, strict=True):
        if "judge_missing" not in header["metrics"].get(metric, {}):
            judged = [name for name, entry in header["metrics"].items() if "judge_missing" in entry]
            raise InputError(f"{run} has no judged metric '{metric}': it has {', '.join(judged) or 'none'}")
        if header["data"]["items_sha256"] != headers[0]["data"]["items_sha256"]:
            raise IncomparableError(f"{run} and {runs[0]} are runs on other items")
    low, high = headers[0]["metrics"][metric]["range"]
    samples = [
        {one["item_id"]: one for one in read_samples(run) if one["scores"].get(metric) is not None} for run in runs
    ]
    shared = [item for item in samples[0] if all(item in others for others in samples)]
    if not shared:
        raise InputError(f"no item has a score of {metric} in all runs: telbench judge retry asks for what is missing")
    disputed = _disputed(runs, samples, metric)
    draw = random.Random(f"sheet:{seed}")
    chances = _drawn(shared, samples, metric, disputed, max(1, round(count / len(runs))), draw)
    # Runs of the very same answers have one id.
    ids = [header["run_id"] for header in headers]
    found = [row for item, chance in chances.items() for row in _rows(item, chance, samples, ids)]
    draw.shuffle(found)
    numbered = (SheetRow(f"r{place:04d}", *row) for place, row in enumerate(found, 1))
    return Sheet(metric, float(low), float(high), tuple(numbered))


def _drawn(
    shared: Sequence[str],
    samples: Sequence[Mapping[str, Any]],
    metric: str,
    disputed: frozenset[str],
    wanted: int,
    draw: random.Random,
) -> dict[str, float]:
    """The chosen items with the chance that each had."""
    means = {item: sum(one[item]["scores"][metric] for one in samples) / len(samples) for item in shared}
    ranked = sorted(shared, key=lambda item: (means[item], item))
    strata: dict[tuple[int, bool], list[str]] = defaultdict(list)
    for place, item in enumerate(ranked):
        strata[place * BINS // len(ranked), item in disputed].append(item)
    shares = {key: len(items) * (TWICE if key[1] else 1) for key, items in strata.items()}
    chances: dict[str, float] = {}
    for key, items in sorted(strata.items()):
        size = min(len(items), max(1, round(wanted * shares[key] / sum(shares.values()))))
        chances |= dict.fromkeys(draw.sample(items, size), size / len(items))
    return chances


def _disputed(runs: Sequence[Path], samples: Sequence[Mapping[str, Any]], metric: str) -> frozenset[str]:
    """Items of which two judges, or one that was asked again, said different things in some run."""
    found: set[str] = set()
    for run, of_run in zip(runs, samples, strict=True):
        keys = {item: one.get("judgements", {}).get(metric, []) for item, one in of_run.items()}
        records = records_of(run, {key for of_item in keys.values() for key in of_item}) if any(keys.values()) else {}
        for item, of_item in keys.items():
            said: dict[tuple[str, str], str] = {}
            for key, record in ((key, records[key]) for key in of_item if key in records):
                asked = str(record.get("rubric")), key
                said[asked] = json.dumps(_told(record.get("verdict") or {}))
            for rubric in {asked[0] for asked in said}:
                if len({words for asked, words in said.items() if asked[0] == rubric}) > 1:
                    found.add(item)
    return frozenset(found)


def _told(verdict: Mapping[str, Any]) -> Any:
    """What a verdict comes to: a score, or how many claims it gave each mark; not its reasons."""
    if parts := {name: _told(part) for name, part in verdict.items() if isinstance(part, dict)}:
        return parts
    if "score" in verdict:
        return verdict["score"]
    marks = [claim.get("verdict") for claim in verdict.get("claims", ()) if isinstance(claim, dict)]
    return sorted(map(str, marks))


def _rows(
    item: str, chance: float, samples: Sequence[Mapping[str, Any]], ids: Sequence[str]
) -> list[tuple[str, tuple[str, ...], float, str, str, str, str]]:
    """The row of each distinct answer to an item, without its number."""
    runs_of: dict[str, list[str]] = defaultdict(list)
    for name, of_run in zip(ids, samples, strict=True):
        runs_of[of_run[item]["prediction"]].append(name)
    first = samples[0][item]
    told = first["question"], "\n".join(first["references"])
    distinct = {text: tuple(dict.fromkeys(runs)) for text, runs in runs_of.items()}
    return [(item, runs, chance, text_sha256(text), *told, text) for text, runs in distinct.items()]


def write_sheet(sheet: Sheet, path: Path) -> Path:
    """Write the sheet as CSV that spreadsheets open, and its key beside it; returns the key's place.

    Cells that a spreadsheet would take for a formula begin with an apostrophe.

    Raises:
        InputError: when a file is there already (someone may have filled it in), or cannot be written.
    """
    key = path.with_suffix(KEY_ENDING)
    for place in (path, key):
        if place.exists():
            raise InputError(f"{place} exists: a sheet is never overwritten, choose another --out")
    text = io.StringIO()
    lines = csv.writer(text)
    lines.writerow(COLUMNS)
    for row in sheet.rows:
        lines.writerow([row.row, *map(_cell, (row.question, row.reference, row.answer)), "", ""])
    told = {
        "schema_version": 1,
        "metric": sheet.metric,
        "range": [sheet.low, sheet.high],
        "rows": {
            row.row: {name: value for name, value in asdict(row).items() if name not in {"row", *COLUMNS}}
            for row in sheet.rows
        },
    }
    with writing(path):
        # The mark by which spreadsheets know UTF-8.
        path.write_text(text.getvalue(), encoding="utf-8-sig", newline="")
    with writing(key):
        key.write_text(json.dumps(told, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    return key


def _cell(text: str) -> str:
    # A NUL ends the file for some programs.
    text = text.replace("\0", "\N{REPLACEMENT CHARACTER}")
    return f"'{text}" if text[:1] in {"=", "+", "-", "@", "\t", "\r"} else text
