"""``telbench metrics``: which there are, what one means, whether it keeps the contract, and what it is worth."""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass

from telbench.config import REQUIRED, group, same_as, setting
from telbench.flags import add_flags, add_json, settings_of
from telbench.registry import listed

from ...metrics.contract import FAMILIES, GROUP, metrics_named
from ..cli.tables import print_json
from ..cli.terminal import visible
from ..judging.settings import JudgeSettings
from ..runs.settings import MetricSettings
from . import worth


@dataclass(frozen=True, kw_only=True)
class CheckOptions:
    """``telbench metrics check``."""

    name: str = setting(REQUIRED, "a metric, a family or a suite", metavar="NAME", positional=True)
    encoder: str = same_as(MetricSettings, "encoder", help="encoder of a metric that needs one: folder or cached id")
    encoder_layer: int | None = same_as(MetricSettings, "encoder_layer")
    nli: str = same_as(MetricSettings, "nli", help="entailment model of a metric that needs one: folder or cached id")
    judging: JudgeSettings = group(JudgeSettings, "judges (key of a server: OPENAI_API_KEY)")


def configure(parser: argparse.ArgumentParser) -> None:
    """Sub-commands list, show, check and worth."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="list|show|check|worth")
    worth.configure(actions.add_parser("worth", help="what metrics are worth on your own references"))
    for name, told in (
        ("list", "all metrics by name; nothing is loaded"),
        ("show", "what a metric computes, its range, inputs and signature"),
        ("check", "run the contract's checks on a metric, your own included"),
    ):
        action = actions.add_parser(name, help=told)
        if name == "show":
            action.add_argument("name", metavar="NAME")
        elif name == "check":
            add_flags(action, CheckOptions, without=("judge_prices",))
        add_json(action)


def run(args: argparse.Namespace) -> int:
    """Run one sub-command; ``check`` exits 2 when the metric breaks the contract."""
    return {"list": _list, "show": _show, "check": _check, "worth": worth.run}[args.action](args)


def _list(args: argparse.Namespace) -> int:
    family_of = {name: family for family, names in FAMILIES.items() for name in names}
    rows = [
        {"name": name, "family": family_of.get(name), "plugin": point.value, "package": point.dist and point.dist.name}
        for name, point in listed(GROUP).items()
    ]
    if args.json:
        print_json({"metrics": rows, "families": {name: list(names) for name, names in FAMILIES.items()}})
        return 0
    width = max((len(row["name"]) for row in rows), default=0)
    for row in rows:
        sys.stdout.write(f"{row['name']:{width}}  {row['family'] or 'other':9}  {visible(str(row['package']))}\n")
    sys.stdout.write("families work as names too: " + ", ".join(FAMILIES) + "\n")
    return 0


def _show(args: argparse.Namespace) -> int:
    metric = metrics_named([args.name])[0]
    record = {
        "name": metric.name,
        "family": metric.family,
        "level": metric.level,
        "range": list(metric.range),
        "higher_is_better": metric.higher_is_better,
        "needs": sorted(metric.needs),
        "signature": metric.signature,
        "description": " ".join(metric.description.split()),
    }
    if args.json:
        print_json(record)
        return 0
    low, high = ("unbounded" if bound is None else f"{bound:g}" for bound in metric.range)
    lines = {
        "family": f"{metric.family} ({metric.level} level)",
        "range": f"{low} to {high}, {'higher' if metric.higher_is_better else 'lower'} is better",
        "needs": ", ".join(sorted(metric.needs)) or "only the answer",
        "signature": metric.signature,
    }
    sys.stdout.write(f"{metric.name}\n" + "".join(f"  {key:10} {visible(text)}\n" for key, text in lines.items()))
    sys.stdout.write("\n" + visible(metric.description, lines=True) + "\n")
    return 0


def _check(args: argparse.Namespace) -> int:
    from ...metrics.check import checked
    from ...metrics.elsewhere import problems_elsewhere
    from ..runs.prepared import models_of, with_judges

    options = settings_of(args, CheckOptions)
    models = models_of(options.encoder, options.encoder_layer, options.nli)
    resources = with_judges(models, options.judging, "metrics check")
    problems: dict[str, list[str]] = {}
    untried: dict[str, str] = {}
    try:
        for metric in metrics_named([args.name], resources):
            found = checked(metric, resources)
            problems[metric.name] = [*found.problems, *problems_elsewhere(metric, resources)]
            if found.untried is not None:
                untried[metric.name] = found.untried
    finally:
        if resources.judge is not None:
            resources.judge.close()
    if args.json:
        print_json({"problems": problems, "untried": untried})
    for name, found in problems.items() if not args.json else ():
        kept = f"no values were tried: {untried[name]}" if name in untried else "keeps the contract"
        told = f"{len(found)} problem{'s' * (len(found) > 1)}" if found else kept
        sys.stdout.write(f"{name}: {visible(told)}\n")
        sys.stdout.writelines(f"  - {visible(problem)}\n" for problem in found)
    return 2 if any(problems.values()) else 0
