"""``telbench judge``: how a judged number came about, and how far a judge can be trusted."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ..judgement_view import judged_item, view_lines
from ..tables import print_json
from ..visible import visible


def configure(parser: argparse.ArgumentParser) -> None:
    """Sub-commands show, calibrate and prefer."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="show|calibrate|prefer")
    show = actions.add_parser("show", help="the claims, verdicts and reasons behind one item's judged scores")
    show.add_argument("run_folder", type=Path, metavar="RUN")
    show.add_argument("item", metavar="ITEM", help="the item's id, as in samples.jsonl")
    show.add_argument("--raw", action="store_true", help="the judges' own words too")
    show.add_argument("--json", action="store_true", help="print one JSON document")


def run(args: argparse.Namespace) -> int:
    """Run one sub-command."""
    return {"show": _show}[args.action](args)


def _show(args: argparse.Namespace) -> int:
    view = judged_item(args.run_folder, args.item)
    if args.json:
        print_json(view)
        return 0
    sys.stdout.writelines(visible(line) + "\n" for line in view_lines(view, raw=args.raw))
    return 0
