"""What sharing saves in a study: its artefacts made once, against every cell that makes all it needs for itself.

Run: ``python benchmarks/study_sharing.py STUDY_DIR [--preset nano|FILE.yaml] [--alone N] [--jobs J]`` on the folder of
a finished ``telbench kd study``. The shared cost is the sum of the journalled processor seconds of all artefacts behind
the cells' runs, each once; the cost of a cell alone is the sum over everything behind its run. With ``--alone N``, N
cells are really made alone, in folders of their own, and their measured cost is set beside that sum. Anchors do not
count on either side. Exit code 1 when sharing costs more than 55 % or a cell alone is off its sum by more than 30 %.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from telbench.harness.cli.terminal import Reporter
from telbench.harness.commands.network import stay_offline
from telbench.harness.executors.local import LocalExecutor
from telbench.harness.storage import RecordStore
from telbench.kd.study.folder import JOURNAL, StudyFolder
from telbench.kd.study.graph import Artefact, Graph, build_graph
from telbench.kd.study.run import Opened, StudyRun
from telbench.kd.study.settings import StudySettings, read_study
from telbench.kd.study.sources import Found, find_sources

LIMIT, OFF = 0.55, 0.30


def records(folder: Path) -> dict[str, Mapping[str, Any]]:
    """The journal's last word on each artefact that is done."""
    found: dict[str, Mapping[str, Any]] = {}
    for line in (folder / JOURNAL).read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        if record["status"] == "done":
            found[record["key"]] = record
    return found


def cost(graph: Graph, run: Artefact, done: Mapping[str, Mapping[str, Any]]) -> float:
    """Processor seconds of a run and everything behind it."""
    return sum(done[each.sha256]["cpu_seconds"] for each in graph.ancestors(run.sha256) if each.kind != "model")


def alone(graph: Graph, run: Artefact, found: Found, jobs: int) -> float:
    """Make one cell in a folder of its own; the processor seconds that it took."""
    needed = {each.sha256: each for each in graph.ancestors(run.sha256)}
    with tempfile.TemporaryDirectory() as scratch:
        own = Graph(needed)
        folder = StudyFolder(Path(scratch) / "alone", own)
        folder.create()
        # A cache of generations would answer what another cell has answered.
        slots = [{"TELBENCH_CACHE": str(Path(scratch) / "cache")}] * jobs
        with RecordStore(folder.root / JOURNAL) as journal:
            outcome = StudyRun(Opened(own, folder, found, journal), Reporter(), LocalExecutor(slots)).make()
        if outcome.failures:
            raise SystemExit(f"{run.label} alone: {outcome.failures[0].reason}")
        return cost(own, run, records(folder.root))


def main() -> int:
    """Print one JSON document."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("study", type=Path)
    parser.add_argument("--preset", default="nano")
    parser.add_argument("--alone", type=int, default=2)
    parser.add_argument("--jobs", type=int, default=1)
    options = parser.parse_args()
    stay_offline()
    settings: StudySettings = replace(read_study(options.preset), anchors=())
    found = find_sources(settings)
    graph, done = build_graph(settings, found.sources), records(options.study)
    runs = [each for each in graph if each.kind == "run"]
    if lacking := [each.label for each in graph.to_make() if each.sha256 not in done]:
        sys.stderr.write(f"{options.study} is not finished: {', '.join(lacking)}\n")
        return 2
    resumed = {each.sha256 for each in graph.to_make() if done[each.sha256]["resumed"]}
    if resumed:
        told = ", ".join(done[sha256]["label"] for sha256 in resumed)
        sys.stderr.write(f"resumed after a kill, so their times are too short: {told}\n")
    shared = sum(done[each.sha256]["cpu_seconds"] for each in graph.to_make())
    each_alone = {run.label: cost(graph, run, done) for run in runs}
    # The dearest cells and the cheapest: the two ends of what the sums claim.
    whole = [run for run in runs if not resumed & {each.sha256 for each in graph.ancestors(run.sha256)}]
    order = sorted(whole, key=lambda run: each_alone[run.label])
    chosen = (order[::-1][: options.alone - options.alone // 2] + order[: options.alone // 2])[: options.alone]
    measured = {run.label: alone(graph, run, found, options.jobs) for run in chosen}
    share = shared / sum(each_alone.values())
    off = {label: seconds / each_alone[label] - 1 for label, seconds in measured.items()}
    report = {
        "cells": len(runs),
        "artefacts": len(graph.to_make()),
        "shared_cpu_seconds": round(shared, 1),
        "alone_cpu_seconds": round(sum(each_alone.values()), 1),
        "share": round(share, 3),
        "limit": LIMIT,
        "made_alone": {
            label: {"sum": round(each_alone[label], 1), "measured": round(seconds, 1), "off": round(off[label], 3)}
            for label, seconds in measured.items()
        },
    }
    print(json.dumps(report, indent=1))
    return 0 if share <= LIMIT and all(abs(value) <= OFF for value in off.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
