"""``telbench baseline``: keep the release that candidates are held against as a small file."""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

from telbench.config import REQUIRED, group, setting
from telbench.errors import IncomparableError, InputError
from telbench.flags import add_flags, add_json, settings_of

from ...harness.cli.tables import print_json
from ...harness.cli.terminal import visible
from ..gate.drops import Drop, drops
from ..gate.ledger import alone, looks_at
from ..runs.anchor import read_anchor, write_anchor
from ..runs.directions import LogSettings, require_directions
from ..runs.foreign import Reading
from ..runs.loaded import LoadedRun
from ..runs.sources import open_run, require_used


@dataclass(frozen=True)
class PinOptions:
    """``telbench baseline pin``."""

    run_folder: Path = setting(
        REQUIRED, "a finished run, or a log of lm-eval or inspect", metavar="RUN", positional=True
    )
    out: Path = setting(Path("telbench-baseline.json"), "the anchor file", metavar="FILE")
    force: bool = setting(False, "replace another anchor that is there")
    accept_drop: bool = setting(False, "replace it although the new one is lower in a metric")
    cluster: str | None = setting(None, "field that names the source document in a log's samples", metavar="FIELD")
    logs: LogSettings = group(LogSettings, "logs of other harnesses")


def configure(parser: argparse.ArgumentParser) -> None:
    """Sub-command pin."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="pin")
    pin = actions.add_parser("pin", help="write a run's scores and hashes as an anchor file to be committed")
    add_flags(pin, PinOptions)
    add_json(pin)


def run(args: argparse.Namespace) -> int:
    """Write the anchor and tell how to use it."""
    options = settings_of(args, PinOptions)
    reading = Reading(options.logs, options.cluster)
    loaded = open_run(options.run_folder, reading)
    require_used(reading, [loaded])
    require_directions(loaded.undirected, loaded.own_metrics)
    notes, lower = _against_old(loaded, options) if options.force else ([], [])
    with alone(options.out):
        before = looks_at(options.out)
        size = write_anchor(loaded, options.out, force=options.force)
        notes = [*loaded.notes, *notes, *_about_ledger(before, looks_at(options.out))]
    if args.json:
        told = {"lower": [drop.to_dict() for drop in lower], "warnings": notes}
        print_json({"anchor": str(options.out), "bytes": size, "run_id": loaded.header["run_id"], **told})
        return 0
    sys.stderr.writelines(f"telbench baseline pin: {visible(note)}\n" for note in notes)
    sys.stdout.write(
        visible(f"{options.out}: {len(loaded.clusters)} items, {size / 1000:.0f} kB; commit it, then:") + "\n"
        f"  telbench check --baseline {visible(str(options.out))} --candidate RUN --margin METRIC=X\n"
    )
    return 0


def _about_ledger(before: int, after: int) -> list[str]:
    """What becomes of the looks at the anchor that was there."""
    if after:
        return [f"it is the same baseline: its ledger of {_looks(after)} goes on"]
    if before:
        return [f"the ledger of {_looks(before)} at the old baseline ends here; that of the new one starts empty"]
    return []


def _looks(count: int) -> str:
    return f"{count} look{'' if count == 1 else 's'}"


def _against_old(loaded: LoadedRun, options: PinOptions) -> tuple[list[str], list[Drop]]:
    """What to tell of the anchor that is replaced, and what is lower than in it.

    Raises:
        InputError: for a drop that was not accepted.
    """
    if not options.out.is_file():
        return [], []
    try:
        old = read_anchor(options.out)
        if old is None:
            raise InputError("it is no anchor")
        lower = drops(old, loaded)
    except (InputError, IncomparableError) as error:
        return [f"{options.out} is replaced without a comparison: {error}"], []
    if lower and not options.accept_drop:
        raise InputError(
            f"{options.out}: the new anchor is worse than the old one in {', '.join(map(str, lower))}; small drops add "
            "up: pin a better run, or pass --accept-drop and have the change reviewed"
        )
    return [f"accepted: worse than the old anchor in {drop}" for drop in lower], lower
