"""``telbench export``: finished runs in the formats of other tools."""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

from telbench.config import REQUIRED, group, setting
from telbench.errors import InputError
from telbench.flags import add_flags, add_json, settings_of
from telbench.registry import load_as

from ...harness.cli.tables import columns, print_json
from ...harness.cli.terminal import Reporter, visible
from ..exchange.contract import GROUP, Exported, Format, Told, export_run, formats


@dataclass(frozen=True)
class ExportOptions:
    """``telbench export``: which runs, in which format, and what formats ask for."""

    runs: tuple[Path, ...] = setting(REQUIRED, "run folders", metavar="RUN", positional=True)
    format: str = setting("", "one of the formats that --list names", key="to", metavar="FORMAT", plugins=GROUP)
    out: Path | None = setting(None, "folder to write into (default: export/FORMAT)", metavar="DIR")
    told: Told = group(Told, "what no run knows")


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.usage = "telbench export RUN... --to FORMAT [--out DIR] [OPTIONS] | telbench export --list"
    parser.add_argument("runs", nargs="*", metavar="RUN", type=Path, default=argparse.SUPPRESS, help="run folders")
    parser.add_argument("--list", action="store_true", help="the formats, and what each of them cannot hold")
    add_flags(parser, ExportOptions, without=("runs",))
    add_json(parser, "names of the files as JSON")


def run(args: argparse.Namespace) -> int:
    """Write the files and name them; or list the formats."""
    if args.list:
        sys.stdout.write(_listing())
        return 0
    options = settings_of(args, ExportOptions)
    files = export(options)
    if args.json:
        print_json({"format": options.format, "files": [str(file) for file in files]})
        return 0
    sys.stdout.writelines(f"{visible(str(file))}\n" for file in files)
    return 0


def export(options: ExportOptions) -> list[Path]:
    """Write all runs in the format; the files.

    Raises:
        InputError: for what is no run, a format that is only read, or a place that cannot be written.
    """
    writers = [name for name, each in formats().items() if each.write is not None]
    if not options.format:
        raise InputError(f"--to FORMAT is missing: telbench export RUN... --to {'|'.join(writers)}")
    form = load_as(GROUP, options.format, Format)
    if form.write is None:
        raise InputError(f"--to {form.name}: it is only read; written are {', '.join(writers)}")
    # All runs are opened before anything is written.
    runs = [export_run(path, options.told) for path in options.runs]
    _require_apart(runs, options)
    reporter = Reporter()
    files: list[Path] = []
    with reporter.progress("exported", len(runs)) as meter:
        for each in runs:
            files += form.write(each, options.out or Path("export") / form.name)
            meter.advance()
    if any(each.withheld for each in runs) and options.told.items is None:
        reporter.note("texts are left out: their publisher keeps them from being crawled (--items all has them)")
    for name, why in form.wants.items():
        if not getattr(options.told, name):
            reporter.note(f"--{name.replace('_', '-')} is missing: {why}")
    reporter.note(f"{form.name} cannot hold: {form.lost}")
    return files


def _require_apart(runs: list[Exported], options: ExportOptions) -> None:
    """Refuse one id for the runs of several models."""
    names = sorted({each.name for each in runs})
    if options.told.model_id and len(names) > 1:
        raise InputError(
            f"--model-id {options.told.model_id}: the runs are of {len(names)} models: export them one by one"
        )


def _listing() -> str:
    rows = [("format", "what it is", "what it cannot hold")]
    rows += [(each.name, each.summary, each.lost) for each in formats().values() if each.write is not None]
    return "".join(f"{line}\n" for line in columns(rows, "<<<"))
