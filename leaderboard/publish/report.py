"""A report of runs as one file: the answer, the tables, a chart, the items that differ most, and how to repeat it."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ...harness.cli.html import html, shown_in_html
from ...harness.cli.tables import Block, Grid, Words, run_report
from ...harness.cli.terminal import visible
from ...harness.runs.folder import SAMPLES, read_samples
from ..compare.answer import Compared
from ..compare.markdown import markdown
from ..compare.pairwise import Comparison
from ..compare.table import report
from ..runs.anchor import shareable
from ..runs.loaded import LoadedRun
from ..site.charts.forest import Difference, Panel, forest

# Longer texts are cut: the run folder has them whole.
LONGEST = 300
_FLAGS = ". --explain tells more, --json everything"
_STYLE = """
:root { --ink: #1b1f24; --faint: #5b6570; --line: #d6dbe0; --line-strong: #98a2ad; --surface: #fff; --accent: #1f5fa8;
  --better: #1a7f4b; --worse: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ec; --faint: #9aa5b1; --line: #343c45; --line-strong: #66707b;
  --surface: #14181c; --accent: #77aef0; --better: #5cc48f; --worse: #f0857d; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--surface); margin: 2rem auto;
  max-width: 62rem; padding: 0 1rem; }
table { border-collapse: collapse; margin: .75rem 0; font-size: 14px; display: block; overflow-x: auto; }
th, td { padding: .25rem .6rem; border-bottom: 1px solid var(--line); vertical-align: top;
  font-variant-numeric: tabular-nums; white-space: pre-line; overflow-wrap: anywhere; }
.warning { border-left: 3px solid var(--worse); padding-left: .6rem; }
.note { color: var(--faint); }
.chart { display: block; overflow: visible; font-size: 13px; max-width: 46rem; }
.chart text { fill: var(--ink); } .chart .tick, .chart .value { fill: var(--faint); }
.chart line { stroke: var(--line); } .chart line.zero, .chart line.axis { stroke: var(--faint); }
.chart line.whisker { stroke: var(--accent); stroke-width: 2; }
.chart .dot { fill: var(--accent); stroke: var(--accent); stroke-width: 1.5; }
.chart .better, .chart line.whisker.better { fill: var(--better); stroke: var(--better); }
.chart .worse, .chart line.whisker.worse { fill: var(--worse); stroke: var(--worse); }
.chart text.better, .chart text.worse { stroke: none; }
.chart .dot.hollow { fill: var(--surface); }
"""


def report_blocks(runs: Sequence[LoadedRun], found: Compared | None, worst: int, *, texts: bool) -> list[Block]:
    """What a report says; ``found`` is the comparison, None of one run.

    ``worst`` is how many items are shown: those that lost most against the first run, or that scored lowest. Without
    ``texts`` they have ids and scores alone.
    """
    blocks: list[Block] = []
    for block in report(found) if found is not None else ():
        # What the command's own flags tell is not at hand here.
        blocks.append(block if isinstance(block, Grid) else replace(block, text=block.text.removesuffix(_FLAGS)))
    for run in runs:
        # Anchors and logs have no more than the comparison says.
        blocks += run_report(run.header) if (run.path / SAMPLES).is_file() else []
    if worst > 0:
        blocks += _items(runs, found, worst, texts=texts)
    return [*blocks, *_repeating(runs)]


def as_markdown(title: str, blocks: Sequence[Block]) -> str:
    """The report as GitHub-flavoured Markdown."""
    return f"## {visible(title, encoding='utf-8')}\n\n{markdown(blocks)}"


def as_page(title: str, blocks: Sequence[Block], found: Compared | None) -> str:
    """The report as one HTML page that loads nothing: no script, no font, no address."""
    heading = shown_in_html(title)
    drawn = "" if found is None else _charts(found)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        f"<title>{heading}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<h1>{heading}</h1>\n"
        f"{drawn}{html(blocks)}\n</body>\n</html>\n"
    )


def _charts(found: Compared) -> str:
    """The differences of each run, on a chart each; metrics of one range share an axis."""
    parts = []
    for name in found.names[1:]:
        panels: dict[str, list[Difference]] = {}
        for metric in found.metrics:
            each = next((row for row in found.pairs if _is(row, metric.name, name)), None)
            if each is None:
                continue
            low, high = each.ci_verdict or each.interval or (None, None)
            unit = "share" if metric.range[1] == 1 else "points"
            row = Difference(metric.name, each.delta, low, high, each.claimed, "sign_conflict" in each.items.flags)
            panels.setdefault(unit, []).append(row)
        title = f"{name} against {found.names[0]}: positive is better"
        drawn = forest(title, [Panel(unit, tuple(rows)) for unit, rows in panels.items()])
        parts.append(f"<figure>{drawn}<figcaption>{shown_in_html(title)}</figcaption></figure>\n")
    return "".join(parts)


def _is(row: Comparison, metric: str, run: str) -> bool:
    return row.metric == metric and row.run == run and row.stratum is None


def _items(runs: Sequence[LoadedRun], found: Compared | None, worst: int, *, texts: bool) -> list[Block]:
    """The items that lost most, a table a run; of one run, those with the lowest scores."""
    blocks: list[Block] = []
    if found is None:
        name, entry = next(iter(runs[0].header["metrics"].items()))
        column = runs[0].scores[name]
        sign = 1 if entry["higher_is_better"] is not False else -1
        order = sorted((sign * score.value, item) for item, score in column.items() if score.value is not None)
        rows = [(item, f"{sign * value:.3g}") for value, item in order[:worst]]
        return [Words(f"lowest {name}", "title"), _table(rows, runs[:1], (name,), texts=texts)] if rows else []
    metric = next((each for each in found.metrics if each.name in found.primary), found.metrics[0])
    sign = 1 if metric.higher_is_better else -1
    base = found.runs[0].scores[metric.name]
    for run, name in zip(found.runs[1:], found.names[1:], strict=True):
        changes = []
        for item, score in run.scores[metric.name].items():
            before = base[item].value
            if score.value is not None and before is not None and sign * (score.value - before) < 0:
                changes.append((sign * (score.value - before), item, before, score.value))
        rows = [(item, f"{before:.3g}", f"{now:.3g}") for _, item, before, now in sorted(changes)[:worst]]
        if rows:
            blocks.append(Words(f"largest losses of {name} in {metric.name} ({len(changes)} items lost)", "title"))
            heads = (f"{metric.name}, {found.names[0]}", f"{metric.name}, {name}")
            blocks.append(_table(rows, (found.runs[0], run), heads, texts=texts))
    return blocks


def _table(rows: Sequence[tuple[str, ...]], runs: Sequence[LoadedRun], heads: tuple[str, ...], *, texts: bool) -> Grid:
    samples = [_samples(run, {row[0] for row in rows}) for run in runs] if texts else []
    if not samples or not samples[0]:
        return Grid(("item", *heads), tuple(rows), "<" + ">" * len(heads))
    answers = ("answer",) if len(runs) == 1 else ("first run's answer", "answer")
    told = []
    for item, *figures in rows:
        asked: Mapping[str, Any] = samples[0].get(item, {})
        right = asked.get("references") or [asked["choices"][place] for place in asked.get("answer", ())]
        said = (of_run.get(item, {}).get("prediction", "") for of_run in samples)
        cells = (asked.get("question", ""), right[0] if right else "", *said)
        told.append((item, *figures, *map(_cut, cells)))
    sides = "<" + ">" * len(heads) + "<<" + "<" * len(runs)
    return Grid(("item", *heads, "question", "reference", *answers), tuple(told), sides)


def _samples(run: LoadedRun, wanted: set[str]) -> dict[str, dict[str, Any]]:
    """Samples of these items; none of an anchor or a log, which are no folders of samples."""
    if not (run.path / SAMPLES).is_file():
        return {}
    return {sample["item_id"]: sample for sample in read_samples(run.path) if sample["item_id"] in wanted}


def _cut(text: Any) -> str:
    whole = str(text)
    return whole if len(whole) <= LONGEST else f"{whole[:LONGEST]} …"


def _repeating(runs: Sequence[LoadedRun]) -> list[Block]:
    """What was measured with what: data, weights, versions, signatures and the command of each run."""
    header = runs[0].header
    rows = []
    for run in runs:
        told = run.header
        command = shlex.join(map(str, shareable(list(told.get("command", ())))))
        version = (told.get("telbench") or {}).get("version") or ""
        weights = str(told["model"].get("weights_sha256") or "")[:12]
        rows.append((run.name, str(told["run_id"])[:12], weights, version, command))
    signatures = ", ".join(entry["signature"] for entry in header["metrics"].values())
    data = header["data"]
    return [
        Words("how to repeat it", "title"),
        Grid(("run", "run id", "weights", "telbench", "command"), tuple(rows), "<<<<<"),
        Words(f"items: {data['name']} {data['split']}, n = {data['n']}, sha256 {str(data['items_sha256'])[:12]}"),
        Words(f"metrics: {signatures}"),
    ]


def finite(found: Compared) -> Compared:
    """The comparison without rows whose difference is no number, which no chart can hold."""
    return replace(found, pairs=[each for each in found.pairs if math.isfinite(each.delta)])


def place_of(out: Path) -> str:
    """The kind of file by its name: ``html``, ``md``, or nothing."""
    return {".html": "html", ".htm": "html", ".md": "md", ".markdown": "md"}.get(out.suffix.lower(), "")
