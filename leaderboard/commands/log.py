"""``telbench log``: finished runs and boards in W&B, MLflow or TensorBoard; what ``--log`` of other commands calls."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from telbench.config import REQUIRED, group, setting
from telbench.errors import InputError, TelbenchError
from telbench.flags import add_flags, settings_of

from ...harness.cli.terminal import Reporter
from ...harness.datasets.loading import protects_texts
from ...harness.loggers.contract import LoggedRun, Logs, Result
from ...harness.loggers.settings import ShownSettings
from ...harness.runs.folder import HEADER, read_run
from ..publish.shown import logged_board, logged_run, result_of
from .report import ReportOptions, report_of

REPORT = "report.html"


@dataclass(frozen=True)
class LogOptions:
    """``telbench log``: which runs and boards, in which loggers."""

    runs: tuple[Path, ...] = setting(REQUIRED, "run folders, or boards", metavar="RUN", positional=True)
    to: tuple[str, ...] = setting(
        (), "wandb, mlflow or tensorboard; repeatable", many="repeat", metavar="NAME", required=True
    )
    name: str = setting("", "what one run is called there (default: the name of its folder)", metavar="NAME")
    shown: ShownSettings = group(ShownSettings, "where and how much")


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.usage = "telbench log RUN... --to NAME [OPTIONS]"
    parser.epilog = "Exit codes: 0 fine, 2 bad usage or input, 5 a logger failed (the runs stay as they are)."
    add_flags(parser, LogOptions, without=("log",))


def run(args: argparse.Namespace) -> int:
    """Show them, and say where."""
    options = settings_of(args, LogOptions)
    show(options.runs, replace(options.shown, log=options.to), Reporter(), options.name)
    return 0


def show(paths: Sequence[Path], asked: ShownSettings, reporter: Reporter, name: str = "") -> None:
    """Show finished runs and boards in the loggers that ``asked`` names, one after the other.

    Raises:
        InputError: for what is no finished run and no board, or a logger that is not installed; nothing is shown then.
        TelbenchError: when a logger fails; what it was to show lies in its folder as before.
    """
    if not asked.log:
        raise InputError("--to NAME is missing: wandb, mlflow, tensorboard, or one that telbench plugins lists")
    asked.require()
    if name and len(paths) > 1:
        raise InputError(f"--name {name} cannot be the name of {len(paths)} runs: drop it")
    logged = [_logged(path, asked, name) for path in paths]
    with reporter.quiet(), reporter.progress("shown", len(paths)) as meter:
        for path, one in zip(paths, logged, strict=True):
            try:
                _show(path, one, asked, reporter)
            except OSError as error:
                told = f"{error.strerror or error} ({error.filename or asked.log_dir})"
                raise TelbenchError(f"{one.name} is not shown: loggers cannot write below --log-dir: {told}") from error
            meter.advance()


def _logged(path: Path, asked: ShownSettings, name: str) -> LoggedRun:
    """The run or the board as loggers open it."""
    from ..site.build import manifest_of

    if (manifest := manifest_of(path)) and not (path / HEADER).is_file():
        found = logged_board(path, str(manifest.get("inputs")), asked.log_dir, asked.log_project)
    else:
        folder = path.parent if path.is_file() else path
        found = logged_run(read_run(folder, stopped=True), folder.resolve().name, asked.log_dir, asked.log_project)
    return replace(found, name=name) if name else found


def _show(path: Path, logged: LoggedRun, asked: ShownSettings, reporter: Reporter) -> None:
    with tempfile.TemporaryDirectory(prefix="telbench-log-") as scratch:
        if (path / HEADER).is_file() or path.is_file():
            result = _run_result(path.parent if path.is_file() else path, asked, Path(scratch), reporter)
        else:
            result = Result({}, {"telbench.kind": "board"}, files=(path.resolve(),))
        logs, finished = Logs(asked.log, logged, f"{path} is whole, and telbench log shows it later"), False
        try:
            numbers_alone = logs.result(result)
            finished = True
        finally:
            if not finished:
                _close_after_error(logs)
        logs.close(finished=True)
    for each in numbers_alone:
        reporter.note(f"--log {each} shows the numbers of {logged.name} alone: it has no method 'result' for the rest")
    told = ", ".join(each for each in asked.log)
    reporter.note(f"shown in {told}: {logged.name} (files in {asked.log_dir})")


def _run_result(path: Path, asked: ShownSettings, scratch: Path, reporter: Reporter) -> Result:
    header = read_run(path, stopped=True)
    protected = protects_texts(header["data"]["name"])
    texts = asked.log_items == "all" or (asked.log_items is None and not protected)
    if protected and asked.log_items is None:
        reporter.note("texts are left out: their publisher keeps them from being crawled (--log-items all has them)")
    if 0 < asked.log_samples < header["data"]["n"]:
        reporter.note(f"the table of samples has the first {asked.log_samples:,} of {header['data']['n']:,} items")
    files: tuple[Path, ...] = ()
    try:
        page = report_of(ReportOptions((path,), scratch / REPORT, items="all" if texts else "ids"))
        (scratch / REPORT).write_text(page, encoding="utf-8")
        files = (scratch / REPORT,)
    except InputError as error:
        # A run that stopped early has no report.
        reporter.note(f"{path.name} is shown without its report: {error}")
    return result_of(path, header, samples=asked.log_samples, texts=texts, files=files)


def _close_after_error(logs: Logs) -> None:
    """Let the others write what they have; the first error is the one to tell."""
    try:
        logs.close(finished=False)
    except (TelbenchError, OSError):
        return
