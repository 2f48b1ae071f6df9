"""Options that several commands share, and how they become settings."""

from __future__ import annotations

import argparse
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from ..datasets.canonical import parse_pairs
from ..engines.contract import Sampling
from ..judging.open import JudgeSettings
from ..runs.settings import EvalSettings

Number = TypeVar("Number", int, float)


def add_data_options(parser: argparse.ArgumentParser) -> None:
    """Which items: --data, --split, --data-dir, --map, --option, --limit."""
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
        "--map",
        default="",
        metavar="OURS=THEIRS,...",
        help="what a file calls our fields: question=Question,references=Answer",
    )
    group.add_argument(
        "--option", action="append", default=[], metavar="KEY=VALUE", help="option of a data set (telbench data list)"
    )
    group.add_argument("--limit", type=bounded(int, 1), metavar="N", help="only N items, drawn with the seed")


def add_run_options(parser: argparse.ArgumentParser) -> None:
    """What every run has: --metrics, --encoder…, --context, --out, --fresh, --seed, --name, --json and the judges'."""
    group = parser.add_argument_group("run")
    group.add_argument(
        "--metrics",
        default="",
        metavar="NAME,...",
        help="metrics or families of metrics, see telbench metrics list (default: by the data)",
    )
    group.add_argument(
        "--encoder",
        default="",
        metavar="PATH|ID",
        help="encoder of the embedding metrics: its folder, or an id that the local hub cache holds",
    )
    group.add_argument(
        "--encoder-layer",
        type=bounded(int, 0),
        metavar="N",
        help="layer whose token embeddings BERTScore compares (default: the last)",
    )
    group.add_argument(
        "--encoder-idf",
        action="store_true",
        help="weight BERTScore's tokens by how rare they are in the references of these items (idf)",
    )
    group.add_argument(
        "--context",
        choices=("open", "closed"),
        help="open book: show the context; closed: do not (default: by the data)",
    )
    group.add_argument(
        "--seed",
        type=bounded(int, 0, 2**32 - 1),
        default=0,
        metavar="K",
        help="seed of sampling and option order (default: 0)",
    )
    group.add_argument("--out", type=Path, metavar="RUNDIR", help="run folder (default: runs/MODEL-DATA-SPLIT-...)")
    group.add_argument(
        "--fresh", action="store_true", help="start over: drop what the run folder holds, skip the cache"
    )
    group.add_argument("--name", default="", help="name of the model on tables (default: its folder's name)")
    group.add_argument("--json", action="store_true", help="print the run's header as JSON")
    add_judge_options(parser)


def add_judge_options(parser: argparse.ArgumentParser) -> None:
    """--judge, --rubric, --judge-prices, --judge-in-flight, --judge-deadline, --judge-engine."""
    group = parser.add_argument_group("judges (key of a server: OPENAI_API_KEY)")
    group.add_argument(
        "--judge",
        action="append",
        default=[],
        metavar="SPEC",
        help="local:CHECKPOINT or openai:MODEL@URL; several times for a panel",
    )
    group.add_argument(
        "--rubric",
        action="append",
        default=[],
        metavar="NAME=FILE",
        help="a rubric file of your own (NAME-VERSION.txt) in place of the one called NAME",
    )
    group.add_argument(
        "--judge-prices",
        type=Path,
        metavar="FILE",
        help="JSON with prices for a million tokens by model, so that the run tells what its judges cost",
    )
    group.add_argument(
        "--judge-in-flight",
        type=bounded(int, 1, 1000),
        default=JudgeSettings().max_in_flight,
        metavar="N",
        help="most requests at once to a judge's server; fewer while it is overloaded (default: 32)",
    )
    group.add_argument(
        "--judge-deadline",
        type=bounded(float, 0.1, 86400),
        default=JudgeSettings().deadline,
        metavar="S",
        help="seconds for one verdict of a server, repetitions included (default: 120)",
    )
    group.add_argument(
        "--judge-engine",
        choices=("auto", "vllm", "transformers"),
        default="auto",
        help="what runs local judges (default: auto)",
    )


def judge_settings(args: argparse.Namespace) -> JudgeSettings:
    """Settings of the options that `add_judge_options` defines. Raises `InputError` for a bad pair."""
    return JudgeSettings(
        specs=tuple(args.judge),
        rubrics={name: Path(file) for name, file in parse_pairs(args.rubric, "--rubric").items()},
        prices=args.judge_prices,
        max_in_flight=args.judge_in_flight,
        deadline=args.judge_deadline,
        engine=args.judge_engine,
    )


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
        encoder=args.encoder,
        encoder_layer=args.encoder_layer,
        encoder_idf=args.encoder_idf,
        judging=judge_settings(args),
        sampling=Sampling(seed=args.seed),
        limit=args.limit,
        out=args.out,
        fresh=args.fresh,
        name=args.name,
    )


def bounded(kind: Callable[[str], Number], low: float, high: float = math.inf) -> Callable[[str], Number]:
    """An argparse type: a finite number within bounds, both included."""

    def parse(text: str) -> Number:
        try:
            value = kind(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(f"'{text}' is no {'whole ' if kind is int else ''}number") from error
        if not (low <= value <= high and math.isfinite(value)):
            allowed = f"at least {low:g}" if high == math.inf else f"between {low:g} and {high:.10g}"
            raise argparse.ArgumentTypeError(f"{text} is not {allowed}")
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
    # Long contexts are measured before they are cut: no warning a prompt about that.
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
