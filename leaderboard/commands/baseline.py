"""``telbench baseline``: keep the release that candidates are held against as a small file."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ...harness.cli.tables import print_json
from ...harness.cli.terminal import visible
from ..runs.anchor import write_anchor
from ..runs.loaded import load_run


def configure(parser: argparse.ArgumentParser) -> None:
    """Sub-command pin."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="pin")
    pin = actions.add_parser("pin", help="write a run's scores and hashes as an anchor file to be committed")
    pin.add_argument("run_folder", type=Path, metavar="RUN")
    pin.add_argument(
        "--out", type=Path, default=Path("telbench-baseline.json"), metavar="FILE", help="(telbench-baseline.json)"
    )
    pin.add_argument("--force", action="store_true", help="replace another anchor that is there")
    pin.add_argument("--json", action="store_true", help="print one JSON document")


def run(args: argparse.Namespace) -> int:
    """Write the anchor and tell how to use it."""
    loaded = load_run(args.run_folder)
    size = write_anchor(loaded, args.out, force=args.force)
    if args.json:
        print_json({"anchor": str(args.out), "bytes": size, "run_id": loaded.header["run_id"]})
        return 0
    sys.stdout.write(
        visible(f"{args.out}: {len(loaded.clusters)} items, {size / 1000:.0f} kB; commit it, then:") + "\n"
        f"  telbench check --baseline {visible(str(args.out))} --candidate RUN --margin METRIC=X\n"
    )
    return 0
