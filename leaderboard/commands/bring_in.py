"""``telbench import``: logs of other tools as run folders that compare, check and the board take."""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from telbench.config import REQUIRED, group, setting
from telbench.errors import InputError
from telbench.flags import add_flags, add_json, settings_of

from ...harness.cli.tables import print_json
from ...harness.cli.terminal import Reporter, visible
from ...harness.runs.folder import Run
from ..exchange.imported import chosen, folder_name, readable, runs_of, write_run
from ..runs.directions import LogSettings
from ..runs.foreign import Reading


@dataclass(frozen=True)
class ImportOptions:
    """``telbench import``: which logs, where to, and what they leave open."""

    files: tuple[Path, ...] = setting(
        REQUIRED,
        "logs: files or folders of Every Eval Ever, lm-eval, inspect, HELM, EvalScope, or tables of ids and scores",
        metavar="FILE",
        positional=True,
    )
    out: Path = setting(Path("runs"), "folder that the run folders are made in", metavar="DIR")
    form: str = setting("", "the format (default: by what the file holds)", key="from", metavar="FORMAT")
    name: str = setting("", "name of the model on tables (default: the log's)", metavar="NAME")
    metrics: tuple[str, ...] = setting((), "only these metrics", many="comma", metavar="NAME,…")
    cluster: str | None = setting(None, "field of the samples that names their source document", metavar="NAME")
    fresh: bool = setting(False, "replace run folders of the same name that hold another run")
    logs: LogSettings = group(LogSettings, "directions")


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.usage = "telbench import FILE... [--out DIR] [OPTIONS]"
    add_flags(parser, ImportOptions)
    add_json(parser, "the run folders as JSON")


def run(args: argparse.Namespace) -> int:
    """Write the run folders and name them."""
    found = bring_in(settings_of(args, ImportOptions), args.command_line)
    if args.json:
        print_json([{"path": str(each.path), "run_id": each.header["run_id"], "reused": each.reused} for each in found])
        return 0
    sys.stdout.writelines(f"{visible(str(each.path))}\n" for each in found)
    return 0


def bring_in(options: ImportOptions, command: list[str]) -> list[Run]:
    """The run folders of all logs; everything is read before anything is written.

    Raises:
        InputError: naming the file that is no log, or holds what is no number.
    """
    if options.form and options.form not in readable():
        raise InputError(f"--from {options.form}: there are {', '.join(readable())}")
    reading, reporter = Reading(options.logs, options.cluster, texts=True), Reporter()
    loaded = [run for path in options.files for run in runs_of(path, reading, options.form)]
    if options.logs != LogSettings():
        options.logs.require_known([name for each in loaded for name in each.header["metrics"]])
    if options.name:
        loaded = [replace(each, header={**each.header, "model": {"name": options.name}}) for each in loaded]
    loaded = [chosen(each, options.metrics) for each in loaded]
    names = [folder_name(each) for each in loaded]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise InputError(f"two runs would be in {options.out / twice[0]}: import them one by one, each with its --name")
    made = []
    for each, name in zip(loaded, names, strict=True):
        for note in each.notes:
            reporter.note(note)
        found = write_run(each, options.out / name, command, fresh=options.fresh)
        reporter.note(f"{'already there' if found.reused else 'written'}: {found.path}")
        made.append(found)
    return made
