"""``telbench data``: which sets there are, what is in them, what is wrong with them, how to part them."""

from __future__ import annotations

import argparse
import difflib
import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from telbench.config import REQUIRED, same_as, setting
from telbench.errors import InputError
from telbench.flags import add_flags, add_json, settings_of
from telbench.registry import listed, load_as

from ..cli.terminal import visible
from ..datasets.canonical import record_of
from ..datasets.contract import DatasetSpec
from ..datasets.items import Item
from ..datasets.loading import FOLDER_VARIABLE, GROUP, WholeSet, find_files, load_registered, load_whole
from ..datasets.settings import SUITES, DataSettings
from ..datasets.splits import ALL, FRACTIONS, SEED, split_sizes
from ..subset.settings import SubsetOptions

if TYPE_CHECKING:
    from ..lint import LintReport


@dataclass(frozen=True, kw_only=True)
class ListOptions:
    """``telbench data list``."""

    data_dir: Path | None = same_as(DataSettings, "data_dir")


@dataclass(frozen=True, kw_only=True)
class Source:
    """Which set, and how its file is read."""

    data: str = setting(
        REQUIRED,
        "a registered set, or a .jsonl, .csv, .tsv, .parquet or .json file",
        metavar="NAME|PATH",
        positional=True,
    )
    data_dir: Path | None = same_as(DataSettings, "data_dir")
    mapping: Mapping[str, str] = same_as(DataSettings, "mapping")
    options: Mapping[str, str] = same_as(DataSettings, "options")
    skip_bad: bool = same_as(DataSettings, "skip_bad")

    def load(self) -> WholeSet:
        """The whole set."""
        return load_whole(
            DataSettings(
                self.data,
                data_dir=self.data_dir,
                mapping=self.mapping,
                options=self.options,
                skip_bad=self.skip_bad,
            )
        )


@dataclass(frozen=True, kw_only=True)
class ShowOptions(Source):
    """``telbench data show``."""

    item: str | None = setting(None, "this item only", metavar="ID")
    limit: int = setting(3, "how many items, from the first", metavar="N", low=1, high=10**9)
    split: str = setting(ALL, "of this split", metavar="S")


@dataclass(frozen=True, kw_only=True)
class LintOptions(Source):
    """``telbench data lint``."""

    tokenizer: Path | None = setting(None, "count prompt tokens with this local tokenizer", metavar="DIR")
    max_length: int | None = setting(None, "the context length that prompts must fit in", metavar="N", low=1)
    strict: bool = setting(False, "exit with code 2 if there are findings")


@dataclass(frozen=True, kw_only=True)
class SplitOptions(Source):
    """``telbench data split``."""

    out: Path = setting(REQUIRED, "folder to write into", metavar="DIR", required=True)
    by: Literal["source_document", "item"] | None = setting(None, "what stays together (default: source_document)")
    fractions: tuple[float, ...] = setting(
        (), f"shares of train, dev and test (default: {','.join(map(str, FRACTIONS))})", many="comma", metavar="A,B,C"
    )
    seed: str = setting("", f"another seed gives another division (default: {SEED})", metavar="K")
    force: bool = setting(False, "overwrite a division that is there")


@dataclass(frozen=True, kw_only=True)
class CroissantOptions(Source):
    """``telbench data croissant``."""

    out: Path = setting(REQUIRED, "folder to write into", metavar="DIR", required=True)
    url: str = setting("", "where the set is published", metavar="URL")
    published: str = setting("", "the day on which it was published, as 2026-11-28", metavar="DAY")


# action -> (its options, what it does)
ACTIONS: dict[str, tuple[type, str]] = {
    "list": (ListOptions, "the registered sets and whether their files are here"),
    "show": (ShowOptions, "what a set is, and some of its items"),
    "lint": (LintOptions, "repetitions, leaks between splits, unsupported answers, lengths"),
    "split": (SplitOptions, "write train, dev and test as canonical JSON Lines"),
    "subset": (SubsetOptions, "write the few items that say what all say, chosen by past runs"),
    "croissant": (CroissantOptions, "write the items of a set and Croissant metadata that describe them"),
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Sub-commands list, show, lint, split, subset, croissant."""
    commands = parser.add_subparsers(dest="action", required=True, metavar="|".join(ACTIONS))
    for name, (kind, told) in ACTIONS.items():
        action = commands.add_parser(name, help=told)
        add_flags(action, kind)
        if kind not in (SplitOptions, CroissantOptions):
            add_json(action)


def run(args: argparse.Namespace) -> int:
    """Run the sub-command; exit code 0."""
    actions: dict[str, Callable[[Any, bool], None]] = {
        "list": _list,
        "show": _show,
        "lint": _lint,
        "split": _split,
        "subset": _subset,
        "croissant": _croissant,
    }
    try:
        options = settings_of(args, ACTIONS[args.action][0])
        actions[args.action](options, getattr(args, "json", False))
    except InputError as error:
        # The line may quote a data set.
        raise InputError(visible(str(error))) from error
    return 0


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
        spec = load_as(GROUP, name, DatasetSpec)
        entry |= {"task": spec.task, "summary": spec.summary, "licence": spec.licence, "origin": spec.origin}
        entry |= {"files": list(spec.files), "options": {key: list(values) for key, values in spec.options.items()}}
    except InputError as error:
        return entry | {"here": False, "items": None, "splits": None, "problem": str(error)}
    try:
        if spec.files:
            find_files(spec, data_dir)
    except InputError as error:
        return entry | {"here": False, "items": None, "splits": None, "problem": str(error)}
    try:
        whole = load_registered(spec, data_dir, {})
    except InputError as error:
        return entry | {"here": True, "items": None, "splits": None, "problem": str(error)}
    return entry | {"here": True, "items": len(whole.items), "splits": split_sizes(whole.items), "problem": None}


def _list(options: ListOptions, as_json: bool) -> None:
    entries = [_listed_set(name, options.data_dir) for name in listed(GROUP)]
    if as_json:
        _print_json({"datasets": entries, "suites": {name: list(sets) for name, sets in SUITES.items()}})
        return
    rows = []
    for entry in entries:
        items = "-" if entry["items"] is None else f"{entry['items']:,}"
        here = "yes" if entry["items"] is not None else "damaged" if entry["here"] else "no"
        rows.append((entry["name"], entry.get("task", "-"), items, here, entry.get("licence", "-")))
    _table("", ("name", "task", "items", "here", "licence"), rows)
    for suite, sets in SUITES.items():
        _line(f"suite {suite}: {', '.join(sets)}")
    for entry in entries:
        if entry["here"] and entry["problem"]:
            _line(f"{entry['name']}: {entry['problem']}")
    if any(not entry["here"] for entry in entries):
        _line(
            f"Sets that are not here: put their files into one folder and name it with --data-dir or {FOLDER_VARIABLE}."
        )


def _show(options: ShowOptions, as_json: bool) -> None:
    whole = options.load()
    part = whole.split(options.split).items
    if options.item is not None:
        items = tuple(item for item in part if item.id == options.item)
        if not items:
            near = difflib.get_close_matches(options.item, [item.id for item in part[:5000]], n=1, cutoff=0.5)
            hint = f"did you mean '{near[0]}'?" if near else f"the first is '{part[0].id}'"
            raise InputError(f"data set '{whole.name}' has no item '{options.item}' in split '{options.split}': {hint}")
    else:
        items = part[: options.limit]
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
        "warnings": list(whole.warnings),
        "unread": list(whole.unread),
        "source": whole.source,
    }
    if as_json:
        _print_json({**facts, "shown": [record_of(item) for item in items]})
        return
    for name, value in facts.items():
        if value not in (None, {}, []):
            _line(f"{name}: {_fact(name, value)}")
    for item in items:
        _line()
        _show_item(item)


def _fact(name: str, value: Any) -> str:
    """A fact as one line."""
    if name in {"dropped", "repaired"}:
        return _counted(value)
    if name == "unread":
        return _unread(value)
    return (
        _listing(value) if isinstance(value, Mapping) else "; ".join(value) if isinstance(value, list) else str(value)
    )


def _counted(counts: Mapping[str, int]) -> str:
    """Reasons, which may hold commas themselves, each with its count."""
    return "; ".join(f"{reason}: {count:,}" for reason, count in counts.items())


def _listing(values: Mapping[str, int | list[str]]) -> str:
    """``train 10, test 2`` for counts, ``unanswerable=drop|keep`` for options."""
    return ", ".join(
        f"{name}={'|'.join(value)}" if isinstance(value, list) else f"{name} {value:,}"
        for name, value in values.items()
    )


def _unread(columns: Sequence[str]) -> str:
    """Columns that nothing is taken from: the first twelve, and how many more."""
    more = f" and {len(columns) - 12} more" if len(columns) > 12 else ""
    return ", ".join(columns[:12]) + more


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


def _lint(options: LintOptions, as_json: bool) -> None:
    from ..lint import lint, prompt_lengths

    counted = (options.tokenizer, options.max_length)
    if counted.count(None) == 1:
        raise InputError("--tokenizer DIR and --max-length N are given together: the one counts what the other limits")
    whole = options.load()
    report = lint(whole, options.data_dir)
    if options.tokenizer is not None and options.max_length is not None:
        report = replace(report, prompt_tokens=prompt_lengths(whole.items, options.tokenizer, options.max_length))
    if as_json:
        _print_json({**asdict(report), "defects": report.defects})
    else:
        _print_report(report)
    if options.strict and report.defects:
        raise InputError(f"data set '{report.name}' has {report.defects} lint findings (--strict)")


def _print_report(report: LintReport) -> None:
    _line(f"{report.name}: {report.items:,} items ({_listing(report.splits)})")
    _line(f"split rule: {report.split_rule}")
    for title, counts in (("dropped", report.dropped), ("repaired", report.repaired)):
        if counts:
            _line(f"{title}: {_counted(counts)}")
    if report.unread:
        _line(f"columns not read: {_unread(report.unread)}")
    for text in report.warnings:
        _line(f"warning: {text}")
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


def _split(options: SplitOptions, _as_json: bool) -> None:
    from ..datasets.division import write_division
    from ..datasets.splits import by_hash

    whole = options.load()
    chosen = options.by or options.fractions or options.seed
    if chosen or whole.spec is None or not whole.spec.split_rule.published:
        rule = by_hash(options.by or "source_document", options.fractions or FRACTIONS, options.seed or SEED)
        items = tuple(replace(item, split=rule.assign(item)) for item in whole.items)
        whole = replace(whole, items=items, split_rule=rule.words)
    record = write_division(whole, options.out, force=options.force)
    _line(f"split rule: {whole.split_rule}")
    for name, part in record["splits"].items():
        told = f"{part['items']:,} items in {options.out / part['file']}" if part["file"] else "no items"
        _line(f"{name}: {told}")


def _subset(options: SubsetOptions, as_json: bool) -> None:
    from ..subset.command import write_subset

    found, lines = write_subset(options)
    if as_json:
        _print_json(found)
    else:
        for line in lines:
            _line(line)


def _croissant(options: CroissantOptions, _as_json: bool) -> None:
    from importlib.metadata import version

    from ..croissant import write_croissant

    told = {"version": version("telbench"), "url": options.url, "published": options.published}
    for file in write_croissant(options.load(), options.out, **told):
        _line(str(file))
