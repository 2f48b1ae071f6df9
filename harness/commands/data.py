"""``telbench data``: which sets there are, what is in them, what is wrong with them, and how to part them."""

from __future__ import annotations

import argparse
import difflib
import json
import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from telbench.errors import InputError

from ...metrics.registry import listed
from ..cli.terminal import visible
from ..datasets.canonical import parse_pairs, record_of
from ..datasets.items import Item
from ..datasets.loading import FOLDER_VARIABLE, GROUP, find_files, load_registered, load_whole, spec_named
from ..datasets.splits import ALL, FRACTIONS, SEED, SPLITS, split_sizes

if TYPE_CHECKING:
    from ..datasets.loading import WholeSet
    from ..lint import LintReport


def configure(parser: argparse.ArgumentParser) -> None:
    """Sub-commands list, show, lint, split."""
    commands = parser.add_subparsers(dest="action", required=True, metavar="list|show|lint|split")

    lister = commands.add_parser("list", help="the registered sets and whether their files are here")
    _data_dir(lister)
    lister.add_argument("--json", action="store_true", help="print one JSON document")

    show = commands.add_parser("show", help="what a set is, and some of its items")
    _source(show)
    show.add_argument("--item", metavar="ID", help="this item only")
    show.add_argument("--limit", type=_count, default=3, metavar="N", help="how many items (default 3)")
    show.add_argument("--split", default=ALL, metavar="S", help="of this split (default all)")
    show.add_argument("--json", action="store_true", help="print one JSON document")

    lint = commands.add_parser("lint", help="repetitions, leaks between splits, unsupported answers, lengths")
    _source(lint)
    lint.add_argument("--tokenizer", type=Path, metavar="DIR", help="count prompt tokens with this local tokenizer")
    lint.add_argument("--max-length", type=_count, metavar="N", help="the context length that prompts must fit in")
    lint.add_argument("--strict", action="store_true", help="exit with code 2 if there are findings")
    lint.add_argument("--json", action="store_true", help="print one JSON document")

    split = commands.add_parser("split", help="write train, dev and test as canonical JSON Lines")
    _source(split)
    split.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to write into")
    split.add_argument("--by", choices=("source_document", "item"), help="what stays together (source_document)")
    shares = ",".join(map(str, FRACTIONS))
    split.add_argument("--fractions", metavar="A,B,C", help=f"shares of train, dev and test ({shares})")
    split.add_argument("--seed", metavar="K", help=f"another seed gives another division ({SEED})")
    split.add_argument("--force", action="store_true", help="overwrite a division that is there")


def _data_dir(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data-dir", type=Path, metavar="DIR", help=f"folder of the public sets (else {FOLDER_VARIABLE})"
    )


def _source(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("data", metavar="NAME|PATH", help="a registered set, or a .jsonl, .csv, .parquet or .json file")
    _data_dir(parser)
    parser.add_argument("--map", action="append", default=[], metavar="F=COL,…", help="a file's columns: field=column")
    parser.add_argument("--option", action="append", default=[], metavar="K=V", help="a registered set's option")


def _count(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 10**9:
        raise argparse.ArgumentTypeError(f"'{text}' is no positive whole number")
    return int(text)


def run(args: argparse.Namespace) -> int:
    """Run the sub-command; exit code 0."""
    actions = {"list": _list, "show": _show, "lint": _lint, "split": _split}
    try:
        actions[args.action](args)
    except InputError as error:
        # The line may quote a data set.
        raise InputError(visible(str(error))) from error
    return 0


def _whole(args: argparse.Namespace) -> WholeSet:
    return load_whole(
        args.data,
        data_dir=args.data_dir,
        mapping=parse_pairs(args.map, "--map"),
        options=parse_pairs(args.option, "--option"),
    )


def _print_json(value: Any) -> None:
    sys.stdout.write(json.dumps(value, indent=2, allow_nan=False) + "\n")


def _line(text: str = "") -> None:
    sys.stdout.write(visible(text, lines=True) + "\n")


def _table(title: str, columns: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(visible(title)), title_justify="left", box=None, pad_edge=False, header_style="bold")
    for name in columns:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*(Text(visible(str(cell))) for cell in row))
    Console(highlight=False, soft_wrap=False).print(table)


def _listed_set(name: str, data_dir: Path | None) -> dict[str, Any]:
    """What ``data list`` says of one set; a plugin or a file that fails costs its own row only."""
    entry: dict[str, Any] = {"name": name}
    try:
        spec = spec_named(name)
        entry |= {"task": spec.task, "summary": spec.summary, "licence": spec.licence, "origin": spec.origin}
        entry |= {"files": list(spec.files), "options": {key: list(values) for key, values in spec.options.items()}}
    except InputError as error:
        return entry | {"here": False, "items": None, "splits": None, "problem": str(error)}
    try:
        find_files(spec, data_dir)
    except InputError as error:
        return entry | {"here": False, "items": None, "splits": None, "problem": str(error)}
    try:
        whole = load_registered(spec, data_dir, {})
    except InputError as error:
        return entry | {"here": True, "items": None, "splits": None, "problem": str(error)}
    return entry | {"here": True, "items": len(whole.items), "splits": split_sizes(whole.items), "problem": None}


def _list(args: argparse.Namespace) -> None:
    entries = [_listed_set(name, args.data_dir) for name in listed(GROUP)]
    if args.json:
        _print_json({"datasets": entries})
        return
    rows = []
    for entry in entries:
        items = "-" if entry["items"] is None else f"{entry['items']:,}"
        here = "yes" if entry["items"] is not None else "damaged" if entry["here"] else "no"
        rows.append((entry["name"], entry.get("task", "-"), items, here, entry.get("licence", "-")))
    _table("", ("name", "task", "items", "here", "licence"), rows)
    for entry in entries:
        if entry["here"] and entry["problem"]:
            _line(f"{entry['name']}: {entry['problem']}")
    if any(not entry["here"] for entry in entries):
        _line(
            f"Sets that are not here: put their files into one folder and name it with --data-dir or {FOLDER_VARIABLE}."
        )


def _show(args: argparse.Namespace) -> None:
    whole = _whole(args)
    part = whole.split(args.split).items
    if args.item is not None:
        items = tuple(item for item in part if item.id == args.item)
        if not items:
            near = difflib.get_close_matches(args.item, [item.id for item in part[:5000]], n=1, cutoff=0.5)
            hint = f"did you mean '{near[0]}'?" if near else f"the first is '{part[0].id}'"
            raise InputError(f"data set '{whole.name}' has no item '{args.item}' in split '{args.split}': {hint}")
    else:
        items = part[: args.limit]
    facts = {
        "name": whole.name,
        "task": whole.spec.task if whole.spec else None,
        "licence": whole.spec.licence if whole.spec else None,
        "items": len(whole.items),
        "origin": whole.spec.origin if whole.spec else None,
        "splits": split_sizes(whole.items),
        "split_rule": whole.split_rule,
        "options": {name: list(values) for name, values in whole.spec.options.items()} if whole.spec else {},
        "dropped": dict(whole.dropped),
        "repaired": dict(whole.repaired),
        "source": whole.source,
    }
    if args.json:
        _print_json({**facts, "shown": [record_of(item) for item in items]})
        return
    for name, value in facts.items():
        if value is not None and value != {}:
            _line(f"{name}: {_listing(value) if isinstance(value, Mapping) else value}")
    for item in items:
        _line()
        _show_item(item)


def _listing(values: Mapping[str, int | list[str]]) -> str:
    """``train 10, test 2`` for counts, ``unanswerable=drop|keep`` for options."""
    return ", ".join(
        f"{name}={'|'.join(value)}" if isinstance(value, list) else f"{name} {value:,}"
        for name, value in values.items()
    )


def _show_item(item: Item) -> None:
    _line(f"[{item.id}] split {item.split}, category {item.category}, document {item.source_document}")
    if item.context:
        _line(f"  context: {item.context}")
    _line(f"  question: {item.question}")
    for index, choice in enumerate(item.choices):
        _line(f"  {'*' if index in item.answer else '-'} {choice}")
    if not item.choices:
        for text in item.references:
            _line(f"  reference: {text}")
    for key, value in item.meta.items():
        _line(f"  {key}: {value}")


def _lint(args: argparse.Namespace) -> None:
    from ..lint import lint, prompt_lengths

    if (args.tokenizer is None) != (args.max_length is None):
        raise InputError("--tokenizer DIR and --max-length N are given together: the one counts what the other limits")
    whole = _whole(args)
    report = lint(whole, args.data_dir)
    if args.tokenizer is not None:
        report = replace(report, prompt_tokens=prompt_lengths(whole.items, args.tokenizer, args.max_length))
    if args.json:
        _print_json({**asdict(report), "defects": report.defects})
    else:
        _print_report(report)
    if args.strict and report.defects:
        raise InputError(f"data set '{report.name}' has {report.defects} lint findings (--strict)")


def _print_report(report: LintReport) -> None:
    _line(f"{report.name}: {report.items:,} items ({_listing(report.splits)})")
    _line(f"split rule: {report.split_rule}")
    for title, counts in (("dropped", report.dropped), ("repaired", report.repaired)):
        if counts:
            _line(f"{title}: {_listing(counts)}")
    for found in report.findings:
        such_as = f" (such as {', '.join(found.examples[:2])})" if found.examples else ""
        _line(f"{found.level}: {found.check}: {found.count:,} of {found.total:,}: {found.message}{such_as}")
    if not report.findings and not report.problems:
        _line("nothing found")
    for problem in report.problems:
        _line(f"finding: {problem}")
    _line()
    rows = [(name, *(f"{value:,}" for value in values.values())) for name, values in report.lengths.items()]
    _table("length in words", ("", "p50", "p95", "max"), rows)
    tokens = report.prompt_tokens
    if tokens is not None:
        _line()
        _line(
            f"prompts in tokens with {tokens['template']}: p50 {tokens['p50']:,}, p95 {tokens['p95']:,}, "
            f"max {tokens['max']:,}; a context length of {tokens['max_length']:,} would truncate "
            f"{tokens['truncated']:,} of {tokens['prompts']:,}, "
            f"{tokens['too_long_without_context']:,} of them are too long even without their context"
        )


def _split(args: argparse.Namespace) -> None:
    from ..datasets.division import write_division
    from ..datasets.splits import by_hash, with_splits

    whole = _whole(args)
    chosen = args.by or args.fractions or args.seed
    if chosen or whole.spec is None or not whole.spec.split_rule.published:
        rule = by_hash(args.by or "source_document", _fractions(args.fractions), args.seed or SEED)
        whole = replace(whole, items=with_splits(whole.items, rule), split_rule=rule.words)
    record = write_division(whole, args.out, force=args.force)
    _line(f"split rule: {whole.split_rule}")
    for name, part in record["splits"].items():
        _line(f"{name}: {part['items']:,} items in {args.out / part['file']}" if part["file"] else f"{name}: no items")


def _fractions(text: str | None) -> tuple[float, ...]:
    if text is None:
        return FRACTIONS
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise InputError(f"--fractions {text}: three shares for {','.join(SPLITS)}, such as 0.8,0.1,0.1") from error
