"""Options that several commands share, and how they become settings."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from pathlib import Path

from .datasets.canonical import parse_pairs
from .engines.base import Sampling
from .plan import EvalSettings


def add_data_options(parser: argparse.ArgumentParser) -> None:
    """Which items: --data, --split, --data-dir, --map, --data-option, --limit."""
    group = parser.add_argument_group("data")
    group.add_argument(
        "--data",
        default="telecom-nano",
        metavar="NAME|PATH",
        help="a data set (telbench data list) or a .jsonl, .csv, .json or .parquet file (default: telecom-nano)",
    )
    group.add_argument("--split", default="test", help="split to use, or all (default: test)")
    group.add_argument(
        "--data-dir",
        type=Path,
        metavar="PATH",
        help="folder with the public data sets (default: environment variable TELBENCH_DATA)",
    )
    group.add_argument(
        "--map", default="", metavar="OURS=THEIRS,…", help="rename a file's columns: question=Question,…"
    )
    group.add_argument("--option", action="append", default=[], metavar="KEY=VALUE", help="option of a data set")
    group.add_argument("--limit", type=int, metavar="N", help="only N items, drawn with the seed")


def add_run_options(parser: argparse.ArgumentParser) -> None:
    """What every run has: --metrics, --context, --out, --fresh, --seed, --name, --json."""
    group = parser.add_argument_group("run")
    group.add_argument("--metrics", default="", metavar="NAME,…", help="metrics or families (default: by the data)")
    group.add_argument(
        "--context",
        choices=("open", "closed"),
        help="open book: show the context; closed: do not (default: by the data)",
    )
    group.add_argument(
        "--seed", type=int, default=0, metavar="K", help="seed of sampling and option order (default: 0)"
    )
    group.add_argument("--out", type=Path, metavar="RUNDIR", help="run folder (default: runs/<model>-<data>-…)")
    group.add_argument(
        "--fresh", action="store_true", help="start over: drop what the run folder holds, skip the cache"
    )
    group.add_argument("--name", default="", help="name of the model on tables (default: its folder's name)")
    group.add_argument("--json", action="store_true", help="print the run's header as JSON")


def settings_from(args: argparse.Namespace) -> EvalSettings:
    """Settings of the options that `add_data_options` and `add_run_options` define; engines add theirs."""
    return EvalSettings(
        data=args.data,
        split=args.split,
        data_dir=args.data_dir,
        mapping=parse_pairs([args.map] if args.map else [], "--map"),
        options=parse_pairs(args.option, "--option"),
        book=args.context,
        metrics=tuple(name.strip() for name in args.metrics.split(",") if name.strip()),
        sampling=Sampling(seed=args.seed),
        limit=args.limit,
        out=args.out,
        fresh=args.fresh,
        name=args.name,
    )


def bounded(kind: Callable[[str], float], low: float, high: float) -> Callable[[str], float]:
    """An argparse type: a number within bounds."""

    def parse(text: str) -> float:
        value = kind(text)
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{text} is not between {low:g} and {high:g}")
        return value

    return parse


def online_allowed(flag: bool) -> bool:
    """May the network be used: only when asked by flag or by ``HF_HUB_OFFLINE=0``."""
    return flag or os.environ.get("HF_HUB_OFFLINE") == "0"


def stay_offline() -> None:
    """Tell every library below that there is no network, before any of them is imported."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("TRANSFORMERS_OFFLINE", "1")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
