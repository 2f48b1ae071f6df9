"""``telbench suite``: models x data sets x prompts from one file, then a comparison and a board."""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from telbench.config import REQUIRED, group, setting
from telbench.errors import IncomparableError, InputError
from telbench.flags import add_flags, add_json, settings_of

from ...harness.cli.tables import print_json
from ...harness.cli.terminal import Reporter, visible
from ...harness.commands.network import online_allowed, stay_offline
from ...harness.executors.settings import PlaceSettings
from ...harness.loggers.settings import ShownSettings
from ...harness.storage import FolderLock
from ...harness.suite.checking import Checked, check_entries
from ...harness.suite.entries import Entry, entries_of
from ...harness.suite.file import SuiteFile, read_suite
from ...harness.suite.folder import Standing, SuiteFolder
from ...harness.suite.making import SuiteRun
from ...harness.suite.table import drawn, estimate, told
from ..compare.overall import EQUAL

# What an executor writes.
JOBS = "jobs"


@dataclass(frozen=True)
class SuiteOptions:
    """``telbench suite``: which file, and where to."""

    file: Path = setting(
        REQUIRED, "models, data, prompts, settings and changes as YAML", metavar="SUITE.yaml", positional=True
    )
    out: Path | None = setting(None, "folder of the suite (default: suites/NAME of the file)", metavar="DIR")
    dry_run: bool = setting(False, "say what would be made and what that takes, and make nothing")
    online: bool = setting(False, "allow the network: models may be hub ids")
    place: PlaceSettings = group(PlaceSettings, "where")
    shown: ShownSettings = group(ShownSettings, "where finished runs and boards are shown")


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.usage = "telbench suite SUITE.yaml [--out DIR] [--dry-run] [OPTIONS]"
    parser.epilog = (
        "An interrupted suite goes on by the same command. Exit codes: 0 fine, 2 bad usage or input, 5 an entry "
        "failed, 130 interrupted."
    )
    add_flags(parser, SuiteOptions)
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Make what is missing, compare, build boards; exit code of the worst failure."""
    options = settings_of(args, SuiteOptions)
    options.shown.require()
    over: dict[str, Any] = {}
    if online_allowed(options.online):
        over["online"] = True
    else:
        stay_offline()
    reporter = Reporter()
    suite = read_suite(options.file, over)
    entries = entries_of(suite, str(options.file))
    with reporter.progress("checking entries", len(entries)) as meter:
        checked = check_entries(entries, str(options.file), lambda entry: meter.advance(1, entry.label))
    folder = SuiteFolder(options.out or Path("suites") / options.file.stem)
    if options.dry_run:
        return _tell_estimate(checked, folder, as_json=args.json)
    folder.create()
    lock = FolderLock(folder.root)
    try:
        folder.write_entries(entries)
        with closing(options.place.opened(folder.root / JOBS)) as executor:
            making = SuiteRun(checked, folder, reporter, executor, options.place.tries)

            def changed(entry: Entry, before: Standing, after: Standing) -> None:
                if not drawing and before.state != after.state:
                    reporter.note(f"{entry.label}: {' '.join(filter(None, told(after)))}")

            with reporter.drawn(lambda height: drawn(entries, making.standings, height)) as drawing:
                standings = making.make(changed)
    except KeyboardInterrupt:
        reporter.note(f"interrupted; what is finished is kept in {folder.root}: the same command goes on")
        return 130
    finally:
        lock.release()
    return _tell_outcome(suite, entries, standings, folder, options.shown, as_json=args.json)


def _tell_estimate(checked: Sequence[Checked], folder: SuiteFolder, *, as_json: bool) -> int:
    standings = {each.entry.label: folder.standing(each.entry) for each in checked}
    found = estimate(checked, standings)
    if as_json:
        rows = [
            {
                "label": each.entry.label,
                **each.entry.to_dict(),
                "items": each.items,
                "max_tokens": each.tokens,
                "state": standings[each.entry.label].state,
                "path": str(folder.run(each.entry)),
            }
            for each in checked
        ]
        print_json({"schema_version": 1, "out": str(folder.root), "entries": rows, "estimate": found})
        return 0
    width = max(len(each.entry.label) for each in checked)
    for each in checked:
        state = standings[each.entry.label].state
        print_line(f"{each.entry.label:{width}}  {each.items:>7,} items, {each.tokens:>5,} tokens at most  {state}")
    print_line("")
    print_line(
        f"{found['left']} of {found['entries']} entries to make: {found['answers']:,} answers of at most "
        f"{found['tokens_at_most']:,} tokens, {found['bytes'] / 1e6:,.0f} MB"
    )
    print_line(f"engines that start: {found['engines']}, checkpoints loaded into them: {found['checkpoints']}")
    known = found["left"] - found["unknown"]
    if known:
        print_line(f"about {_minutes(found['seconds'])} of answering and scoring for {known} of them, by earlier runs")
    if found["unknown"]:
        print_line(f"time unknown for {found['unknown']}: their models have no run in {folder.root} yet")
    return 0


def _tell_outcome(
    suite: SuiteFile,
    entries: Sequence[Entry],
    standings: Mapping[str, Standing],
    folder: SuiteFolder,
    shown: ShownSettings,
    *,
    as_json: bool,
) -> int:
    """Compare what is done, build the boards, tell where all of it is, and show it where loggers are named."""
    done = [entry for entry in entries if standings[entry.label].state == "done"]
    boards = _boards(suite, done, folder)
    failed = [(entry.label, standings[entry.label]) for entry in entries if standings[entry.label].state != "done"]
    if as_json:
        print_json(
            {
                "schema_version": 1,
                "out": str(folder.root),
                "entries": [_record(entry, standings[entry.label], folder) for entry in entries],
                "boards": {name: str(path) for name, path in boards.items()},
            }
        )
    else:
        _compare(suite, done, folder)
        print_line("")
        for path in boards.values():
            print_line(f"board: {path / 'index.html'}")
        print_line(f"runs: {folder.root / 'runs'}")
    for label, standing in failed:
        sys.stderr.write(visible(f"FAILED {label}: {standing.reason or standing.state}") + "\n")
    code = shown.show([*_runs(done, folder), *boards.values()])
    return max((standing.code or 5 for _, standing in failed), default=code)


def _record(entry: Entry, standing: Standing, folder: SuiteFolder) -> dict[str, Any]:
    header = standing.header or {}
    values = {name: one["value"] for name, one in header.get("metrics", {}).items()}
    record = {"label": entry.label, "model": entry.model, "data": entry.data, "prompt": entry.prompt}
    path = str(folder.run(entry))
    return {**record, "state": standing.state, "path": path, "reason": standing.reason or None, "metrics": values}


def print_line(text: str) -> None:
    """One line on stdout."""
    sys.stdout.write(visible(text) + "\n")


def _groups(done: Sequence[Entry], *parts: str) -> dict[tuple[str, ...], list[Entry]]:
    found: dict[tuple[str, ...], list[Entry]] = defaultdict(list)
    for entry in done:
        found[tuple(getattr(entry, part) for part in parts)].append(entry)
    return found


def _compare(suite: SuiteFile, done: Sequence[Entry], folder: SuiteFolder) -> None:
    """Print the comparison of the models for each prompt: over all data sets together where that can be."""
    from .compare import run as compare

    for (prompt,), entries in _groups(done, "prompt").items():
        by_data = _groups(entries, "data")
        asked = {"primary": suite.primary, "json": False}
        if len(by_data) > 1:
            try:
                compare(argparse.Namespace(**asked, runs=_runs(entries, folder), weights=suite.weights))
                continue
            except (IncomparableError, InputError) as error:
                sys.stderr.write(visible(f"not compared over all data sets: {error}") + "\n")
        for (data,), own in by_data.items():
            print_line("")
            print_line(" · ".join(filter(None, (data, prompt))))
            if len(own) < 2:
                print_line("one model alone: nothing to compare")
                continue
            try:
                compare(argparse.Namespace(**asked, runs=_runs(own, folder)))
            except (IncomparableError, InputError) as error:
                print_line(f"not compared: {error}")


def _runs(entries: Sequence[Entry], folder: SuiteFolder) -> tuple[Path, ...]:
    return tuple(folder.run(entry) for entry in entries)


def _boards(suite: SuiteFile, done: Sequence[Entry], folder: SuiteFolder) -> dict[str, Path]:
    """A board of all data sets for each prompt, by the prompt's name; a line where one cannot be built."""
    from .board import BuildOptions, build

    boards: dict[str, Path] = {}
    for (prompt,), entries in _groups(done, "prompt").items():
        several = len(_groups(entries, "data")) > 1
        options = BuildOptions(
            runs=_runs(entries, folder),
            out=folder.board(prompt),
            baseline=folder.run(entries[0]),
            title=": ".join(filter(None, (suite.title, prompt))),
            data_dir=next((each for entry in entries if (each := entry.asked().data.data_dir)), None),
            weights=suite.weights if several else EQUAL,
            primary=suite.primary if several else (),
        )
        options.out.parent.mkdir(parents=True, exist_ok=True)
        try:
            said = build(options)
        except (IncomparableError, InputError) as error:
            sys.stderr.write(visible(f"no board{f' of {prompt}' if prompt else ''}: {error}") + "\n")
            continue
        sys.stderr.write(visible(": ".join(filter(None, (prompt, said)))) + "\n")
        boards[prompt] = options.out
    return boards


def _minutes(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
