"""``telbench baseline``: keep the release that candidates are held against as a small file."""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

from telbench.config import REQUIRED, setting
from telbench.flags import add_flags, add_json, settings_of

from ...harness.cli.tables import print_json
from ...harness.cli.terminal import visible
from ..runs.anchor import write_anchor
from ..runs.loaded import load_run


@dataclass(frozen=True)
class PinOptions:
    """``telbench baseline pin``."""

    run_folder: Path = setting(REQUIRED, "a finished run", metavar="RUN", positional=True)
    out: Path = setting(Path("telbench-baseline.json"), "the anchor file", metavar="FILE")
    force: bool = setting(False, "replace another anchor that is there")


def configure(parser: argparse.ArgumentParser) -> None:
    """Sub-command pin."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="pin")
    pin = actions.add_parser("pin", help="write a run's scores and hashes as an anchor file to be committed")
    add_flags(pin, PinOptions)
    add_json(pin)


def run(args: argparse.Namespace) -> int:
    """Write the anchor and tell how to use it."""
    options = settings_of(args, PinOptions)
    loaded = load_run(options.run_folder)
    size = write_anchor(loaded, options.out, force=options.force)
    if args.json:
        print_json({"anchor": str(options.out), "bytes": size, "run_id": loaded.header["run_id"]})
        return 0
    sys.stdout.write(
        visible(f"{options.out}: {len(loaded.clusters)} items, {size / 1000:.0f} kB; commit it, then:") + "\n"
        f"  telbench check --baseline {visible(str(options.out))} --candidate RUN --margin METRIC=X\n"
    )
    return 0
