"""``telbench judge``: how a judged number came about, how far a judge can be trusted, which run it prefers."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from telbench.config import REQUIRED, changed, group, read_settings, read_yaml, same_as, setting
from telbench.errors import IncomparableError, InputError
from telbench.flags import add_flags, add_json, settings_of

from ...judges.calibration.agreement import CoefficientEstimate
from ...judges.calibration.injection import InjectionEffect
from ...judges.calibration.labelled import INJECTION_SETS
from ...judges.panel import JudgePanel
from ..cli.tables import print_json
from ..cli.terminal import Reporter, visible
from ..datasets.loading import limited, load_asked
from ..datasets.settings import DataSettings
from ..judging.batches import batches_kept
from ..judging.open import open_panel, price_table, refuse_unused
from ..judging.outcome import cost_lines, panel_costs, tell_lost
from ..judging.settings import JudgeSettings
from ..runs.folder import BATCHES, JUDGEMENTS, LOG, SETTINGS, read_run, read_samples
from ..runs.judgements import judged_item, view_lines
from ..runs.settings import EvalSettings, SamplingOptions
from ..storage import RecordStore, writing
from . import judge_labels
from .network import as_allowed, stay_offline

if TYPE_CHECKING:
    from ...judges.calibration.preference import AnswerPair, Preferences


@dataclass(frozen=True, kw_only=True)
class ShowOptions:
    """``telbench judge show``."""

    run_folder: Path = setting(REQUIRED, "a finished run", metavar="RUN", positional=True)
    item: str = setting(REQUIRED, "the item's id, as in samples.jsonl", metavar="ITEM", positional=True)
    raw: bool = setting(False, "the judges' own words too")


@dataclass(frozen=True, kw_only=True)
class RetryOptions:
    """``telbench judge retry``."""

    run_folder: Path = setting(REQUIRED, "a finished run", metavar="RUN", positional=True)


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What both commands that ask judges have."""

    judging: JudgeSettings = group(JudgeSettings, "judges (key of a server: OPENAI_API_KEY)")
    seed: int = same_as(SamplingOptions, "seed", help="seed of what the judges are asked")


@dataclass(frozen=True, kw_only=True)
class CalibrateOptions(Asked):
    """``telbench judge calibrate``."""

    labels: Path | None = setting(
        None, "JSON Lines (default: telbench's own telecom set)", metavar="LABELS", positional=True
    )
    repeats: int = setting(1, "ask N times, for self-consistency", metavar="N", low=1, high=20)
    limit: int | None = setting(None, "only the first N labels", metavar="N", low=1)
    out: Path = setting(Path("calibration"), "folder of results and replies", metavar="DIR")


@dataclass(frozen=True, kw_only=True)
class PreferOptions(Asked):
    """``telbench judge prefer``."""

    first: Path = setting(REQUIRED, "a finished run", metavar="RUN_A", positional=True)
    second: Path = setting(REQUIRED, "another one on the same items", metavar="RUN_B", positional=True)
    limit: int | None = setting(None, "only the first N items", metavar="N", low=1)
    out: Path = setting(Path("preference"), "folder of results and replies", metavar="DIR")


@dataclass(frozen=True, kw_only=True)
class BenchmarkOptions(Asked):
    """``telbench judge benchmark``."""

    data: DataSettings = group(lambda: DataSettings(data="teleqna"), "multiple-choice questions")
    out: Path = setting(Path("judge-benchmark"), "folder of results and replies", metavar="DIR")


# action -> (its options, what it does)
ACTIONS: dict[str, tuple[type, str]] = {
    "show": (ShowOptions, "the claims, verdicts and reasons behind one item's judged scores"),
    "retry": (RetryOptions, "ask judges again for the verdicts that a run lacks, and score it anew"),
    "calibrate": (CalibrateOptions, "hold judges against labelled answers"),
    "prefer": (PreferOptions, "which of two runs judges prefer, item by item, in both orders"),
    "benchmark": (BenchmarkOptions, "what judges know: right options against distractors of a multiple-choice set"),
    "sheet": (judge_labels.SheetOptions, "draw answers for people to label, blind to systems and judges"),
    "labels": (judge_labels.LabelsOptions, "read filled sheets: how far people agree, and the labels"),
    "correct": (judge_labels.CorrectOptions, "judged means and differences, corrected by people's labels"),
}


def configure(parser: argparse.ArgumentParser) -> None:
    """All sub-commands."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="|".join(ACTIONS))
    for name, (kind, told) in ACTIONS.items():
        action = actions.add_parser(name, help=told)
        add_flags(action, kind)
        if name == "calibrate":
            # The one flag whose value may be left out.
            action.add_argument(
                "--injections",
                nargs="?",
                const=INJECTION_SETS[0],
                choices=INJECTION_SETS,
                metavar="SET",
                help=f"also try to steer the judges, 60 times: {' or '.join(INJECTION_SETS)} "
                f"(alone: {INJECTION_SETS[0]})",
            )
        add_json(action)


def run(args: argparse.Namespace) -> int:
    """Run one sub-command."""
    options = settings_of(args, ACTIONS[args.action][0])
    if args.action == "calibrate":
        return _calibrate(options, args.injections, args.json)
    if args.action == "benchmark":
        return _benchmark(options, args.json)
    own = {"sheet": judge_labels.sheet, "labels": judge_labels.labels, "correct": judge_labels.correct}
    return {"show": _show, "retry": _retry, "prefer": _prefer, **own}[args.action](options, args.json)


def _show(options: ShowOptions, as_json: bool) -> int:
    view = judged_item(options.run_folder, options.item)
    if as_json:
        print_json(view)
        return 0
    sys.stdout.writelines(visible(line) + "\n" for line in view_lines(view, raw=options.raw))
    return 0


def _retry(options: RetryOptions, as_json: bool) -> int:
    from ..runs.evaluate import make_run

    header, file = read_run(options.run_folder), options.run_folder / SETTINGS
    if not header.get("judge"):
        raise InputError(f"no judge was asked for the run {options.run_folder}: make it with --judge SPEC")
    settings = changed(
        read_settings(EvalSettings, read_yaml(file), str(file)), out=options.run_folder, judge_retry=True
    )
    return make_run(as_allowed(settings), header["command"], as_json=as_json)


def _calibrate(options: CalibrateOptions, attack: str | None, as_json: bool) -> int:
    from ...judges.calibration.labelled import injection_set, labelled_set, read_labels
    from ...judges.calibration.plot import reliability_svg
    from ...judges.calibration.report import report_lines
    from ..judging.calibrate import CALIBRATED, calibrated_panel, count_tasks, injected_panel
    from ..judging.calibrated import remember_calibration, rubric_hashes

    settings = options.judging
    labels = (read_labels(options.labels) if options.labels else labelled_set())[: options.limit]
    reporter = Reporter()
    with reporter.quiet():
        panel = _required(settings, options.seed)
        refuse_unused(settings.rubrics, CALIBRATED, "calibrate")
        with _ledger(options.out) as store, batches_kept(panel, options.out / BATCHES, reporter):
            panels = [JudgePanel(panel.judges, store, options.seed + turn) for turn in range(options.repeats)]
            total = count_tasks(labels, settings.rubrics, joint=settings.joint) * len(panel.judges) * options.repeats
            try:
                with reporter.quiet(options.out / LOG), reporter.progress("judging labels", total) as meter:
                    found = calibrated_panel(
                        panels, labels, settings.rubrics, meter, joint=settings.joint, seed=options.seed
                    )
                effects: dict[str, InjectionEffect] = {}
                if attack:
                    attempts = injection_set(attack)
                    with (
                        reporter.quiet(options.out / LOG),
                        reporter.progress("trying to steer", 3 * len(attempts) * len(panel.judges)) as meter,
                    ):
                        effects = injected_panel(panels[0], attempts, settings.rubrics, meter, joint=settings.joint)
            finally:
                panel.close()
    injections = {name: effect.to_dict() for name, effect in effects.items()}
    costs = panel_costs(panels, price_table(settings))
    document: dict[str, Any] = {
        "schema_version": 1,
        **found.to_dict(),
        **({"joint": True} if settings.joint else {}),
        "injection_set": attack,
        "injections": injections,
        **costs,
    }
    _write(options.out / "calibration.json", json.dumps(document, indent=1, allow_nan=False) + "\n")
    written = [options.out / "calibration.json"]
    if any(judge.score is not None for judge in found.judges):
        written.append(options.out / "reliability.svg")
        _write(written[-1], reliability_svg(found))
    remember_calibration(found, labels, rubric_hashes(settings.rubrics, joint=settings.joint))
    code = _told(panels[0], reporter)
    if as_json:
        print_json(document)
        return code
    lines = [*report_lines(found), *_injection_lines(effects), *cost_lines(costs.get("cost", ()))]
    lines.append(f"written: {', '.join(map(str, written))}")
    sys.stdout.writelines(visible(line) + "\n" for line in lines)
    return code


def _injection_lines(effects: dict[str, InjectionEffect]) -> list[str]:
    lines = []
    for name, effect in effects.items():
        if effect.rise.value is None:
            lines.append(f"injections against {name}: no effect can be told ({effect.rise.reason})")
            continue
        lines.append(
            f"injections against {name}: the score moves by {_moved(effect.rise)} on average, with idle text of the "
            f"same length by {_moved(effect.idle)}; beyond that by {_moved(effect.excess)}"
        )
        if effect.excess.low is not None and effect.excess.low > 0:
            lines.append(f"warning: {name} follows attempts to steer it: do not rank untrusted answers by its scores")
    return lines


def _moved(found: CoefficientEstimate) -> str:
    if found.value is None:
        return f"an unknown amount ({found.reason})"
    return f"{found.value:+.2f}" + ("" if found.low is None else f" [{found.low:+.2f}, {found.high:+.2f}]")


def _prefer(options: PreferOptions, as_json: bool) -> int:
    from ...judges.calibration.preference import AnswerPair

    headers = [read_run(path) for path in (options.first, options.second)]
    if headers[0]["data"]["items_sha256"] != headers[1]["data"]["items_sha256"]:
        raise IncomparableError(f"{options.first} and {options.second} are runs on other items")
    answers = [
        {sample["item_id"]: sample for sample in read_samples(path) if sample["status"] == "ok"}
        for path in (options.first, options.second)
    ]
    shared = [item for item in answers[0] if item in answers[1]][: options.limit]
    pairs = [
        AnswerPair(
            item,
            answers[0][item]["question"],
            tuple(answers[0][item]["references"]),
            answers[0][item]["prediction"],
            answers[1][item]["prediction"],
        )
        for item in shared
    ]
    if not pairs:
        raise InputError("no item was answered in both runs")
    found, costs, code = _preferences(pairs, options, options.out, "prefer")
    names = [header["model"]["name"] for header in headers]
    document = {"schema_version": 1, "a": names[0], "b": names[1], **found.to_dict(), **costs}
    _write(options.out / "preference.json", json.dumps(document, indent=1, allow_nan=False) + "\n")
    if as_json:
        print_json(document)
        return code
    sys.stdout.writelines(visible(line) + "\n" for line in _preference_lines(document, options.out))
    return code


def _benchmark(options: BenchmarkOptions, as_json: bool) -> int:
    from ..judging.benchmark import benchmark_lines, benchmark_rows, choice_pairs

    dataset = limited(load_asked(options.data), options.data.limit, options.seed)
    pairs, items = choice_pairs(dataset, options.seed)
    found, costs, code = _preferences(pairs, options, options.out, "benchmark")
    rows = benchmark_rows(found, items)
    document = {
        "schema_version": 1,
        "data": {"name": dataset.name, "split": dataset.split, "items_sha256": dataset.items_sha256},
        "judge": found.panel.judge,
        "rubric": found.rubric,
        "first_share": found.panel.first_share,
        "order_conflicts": found.panel.order_conflicts,
        "rows": [row.to_dict() for row in rows],
        **costs,
    }
    _write(options.out / "benchmark.json", json.dumps(document, indent=1, allow_nan=False) + "\n")
    if as_json:
        print_json(document)
        return code
    written = f"written: {options.out / 'benchmark.json'}"
    lines = [*benchmark_lines(found, rows, dataset), *cost_lines(costs.get("cost", ())), written]
    sys.stdout.writelines(visible(line) + "\n" for line in lines)
    return code


def _preferences(
    pairs: Sequence[AnswerPair], options: Asked, out: Path, command: str
) -> tuple[Preferences, dict[str, list[dict[str, Any]]], int]:
    """What the judges say of the pairs in both orders, what it cost where there are prices, and the exit code."""
    from ...judges.calibration.preference import preference_tasks, preferences
    from ...judges.rubric import read_rubric

    settings, reporter = options.judging, Reporter()
    own = read_rubric(settings.rubrics["preference"]) if "preference" in settings.rubrics else None
    if settings.joint:
        raise InputError(f"--judge-joint: {command} asks for one verdict: leave it out")
    with reporter.quiet():
        panel = _required(settings, options.seed)
        refuse_unused(settings.rubrics, ("preference",), command)
        with _ledger(out) as store, batches_kept(panel, out / BATCHES, reporter):
            panel.ledger = store
            total = sum(1 for _ in preference_tasks(pairs, own)) * len(panel.judges)
            try:
                with reporter.quiet(out / LOG), reporter.progress("judging pairs", total) as meter:
                    panel.ask(lambda: preference_tasks(pairs, own), lambda judge: meter.advance(1, judge))
                found = preferences(pairs, panel, own)
            finally:
                panel.close()
    return found, panel_costs([panel], price_table(settings)), _told(panel, reporter)


def _preference_lines(document: dict[str, Any], out: Path) -> list[str]:
    lines = [f"A = {document['a']}, B = {document['b']} (rubric {document['rubric']}, both orders)"]
    tallies: Sequence[dict[str, Any]] = document["judges"]
    for tally in [*tallies, *([document["panel"]] if len(tallies) > 1 else [])]:
        rate = "N/A" if tally["win_rate"] is None else f"{tally['win_rate']:.3f}"
        p = "N/A" if tally["p_value"] is None else f"{tally['p_value']:.3g}"
        first = "N/A" if tally["first_share"] is None else f"{tally['first_share']:.2f}"
        lines += [
            f"{tally['judge']}: A wins {tally['wins']}, ties {tally['ties']} ({tally['identical']} identical, "
            f"{tally['order_conflicts']} order conflicts), B wins {tally['losses']} of {tally['n']}",
            f"  win rate of A {rate}, sign test p {p} (items taken for independent); verdicts for the answer shown "
            f"first: {first}",
            *(f"  {count} missing: {reason}" for reason, count in tally["missing"].items()),
        ]
    return [*lines, *cost_lines(document.get("cost", ())), f"written: {out / 'preference.json'}"]


def _told(panel: JudgePanel, reporter: Reporter) -> int:
    """The exit code, which is not 0 where a judge gave no verdict at all; tells which one."""
    judges = [(name, tally.prompts, tally.missing.total()) for name, tally in panel.tallies.items()]
    return tell_lost(judges, reporter, "nothing here speaks of it")


def _required(settings: JudgeSettings, seed: int) -> JudgePanel:
    stay_offline()
    if settings.repeats > 1:
        raise InputError("--judge-repeats is for runs: calibrate asks again by --repeats, prefer and benchmark do not")
    panel = open_panel(settings, seed)
    if panel is None:
        raise InputError("no judge: pass --judge local:CHECKPOINT or openai:MODEL@URL")
    return panel


def _ledger(out: Path) -> RecordStore:
    """The replies in the folder of results: what is there is never asked again."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot make {out}: {error.strerror}: choose another --out") from error
    return RecordStore(out / JUDGEMENTS)


def _write(path: Path, text: str) -> None:
    with writing(path):
        path.write_text(text, encoding="utf-8")
