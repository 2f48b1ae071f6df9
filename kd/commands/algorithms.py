"""``telbench kd algorithms``: what each algorithm is, needs and reads, from its own record."""

from __future__ import annotations

import argparse
import sys
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from telbench.config import setting, settings_in, written
from telbench.flags import add_flags, add_json, settings_of
from telbench.registry import listed, origin

from ...harness.cli.tables import WIDTH, columns, print_json, shown
from ..objectives.contract import DIFFERENT, GROUP, Objective, algorithms, objective_named
from ..settings import MethodSettings

NEEDS = {"labels": "answers, no teacher", "answers": "the teacher's answers", "rows": "the teacher's hidden states"}


@dataclass(frozen=True)
class AlgorithmsOptions:
    """``telbench kd algorithms``: all of them, or one with its options."""

    name: str | None = setting(None, "show one algorithm with all its options", metavar="NAME", positional=True)


def configure(parser: argparse.ArgumentParser) -> None:
    """The name of one, and --json."""
    add_flags(parser, AlgorithmsOptions)
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Print the list, or one record; exit code 0, whatever cannot be loaded."""
    asked = settings_of(args, AlgorithmsOptions).name
    found = algorithms() if asked is None else {asked: objective_named(asked)}
    told = [told_of(name, each) for name, each in found.items()]
    if args.json:
        print_json({"algorithms": told})
        return 0
    lines = _table(told) if asked is None else _whole(told[0])
    sys.stdout.write("".join(shown(line) + "\n" for line in lines))
    return 0


def told_of(name: str, record: Objective | str) -> dict[str, Any]:
    """All there is to know of an algorithm, as JSON has it; a text says why it cannot be loaded."""
    package = origin(listed(GROUP)[name])
    if isinstance(record, str):
        return {"name": name, "package": package, "fault": record}
    across = record.permits(DIFFERENT)
    return {
        "name": name,
        "card": record.card,
        "needs": record.needs,
        "pairing": record.pairing,
        "different_vocabularies": across.allowed,
        "different_vocabularies_why": across.why,
        "on_policy": record.on_policy,
        "teacher_answers": record.teacher_answers,
        "top_k_cache": record.takes_sparse,
        "teacher_cache": record.cacheable,
        "projectors": record.projectors is not None,
        "options": list(_options(record)),
        "source": record.source,
        "package": package,
        "fault": None,
    }


def _options(record: Objective) -> Iterator[dict[str, Any]]:
    """Flags that it reads, then numbers of its own, which go by --objective-options."""
    own = {"temperature": record.temperature, "projector_learning_rate": record.projector_rate}
    settings = settings_in(MethodSettings)
    for key, one in settings.items():
        if key in record.reads:
            default = one.default() if own.get(key) is None else own[key]
            yield {"name": key, "flag": one.flag, "default": written(default), "help": one.told["help"]}
    for key, one in settings_in(record.options).items():
        if key not in settings:
            default = None if one.required else written(one.default())
            flag = f"--objective-options {key}="
            yield {"name": key, "flag": flag, "default": default, "help": one.told.get("help", "")}


def _table(told: list[dict[str, Any]]) -> list[str]:
    rows = [("algorithm", "vocabularies", "cache", "needs", "package")]
    for each in told:
        if each["fault"]:
            rows.append((each["name"], "", "", f"cannot be loaded: {each['fault']}", each["package"]))
            continue
        both = "any two" if each["different_vocabularies"] else "one"
        needs = NEEDS[each["needs"]] + (", the student's answers" if each["on_policy"] else "")
        needs += ", the teacher's answers" * each["teacher_answers"]
        rows.append((each["name"], both, "yes" if each["teacher_cache"] else "no", needs, each["package"]))
    return [*columns(rows, "<<<<<"), "", "telbench kd algorithms NAME shows one with its options and source"]


def _whole(told: dict[str, Any]) -> list[str]:
    across = "yes" if told["different_vocabularies"] else "no"
    others = ["the student's own answers"] * told["on_policy"] + ["the teacher's answers"] * told["teacher_answers"]
    cached = "yes, of tokens too" if told["top_k_cache"] else "yes"
    rows = [
        ("needs", ", ".join([NEEDS[told["needs"]], *others])),
        ("rows are paired", told["pairing"]),
        ("different vocabularies", f"{across}: {told['different_vocabularies_why']}"),
        ("teacher cache", cached if told["teacher_cache"] else "no"),
        ("trained beside the student", "projectors" if told["projectors"] else "nothing"),
        ("source", told["source"] or "not told"),
        ("package", told["package"]),
    ]
    lines = [*textwrap.wrap(f"{told['name']}: {told['card']}", WIDTH), "", *columns(rows, "<<")]
    options = [
        (one["flag"], "" if one["default"] is None else str(one["default"]), one["help"]) for one in told["options"]
    ]
    return lines + (["", *columns([("option", "default", ""), *options], "<<<")] if options else [])
