"""``telbench kd study``: a factor grid from a YAML file or a preset, made or only estimated."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from telbench.config import REQUIRED, changed, group, setting
from telbench.errors import InputError, TelbenchError
from telbench.flags import add_flags, add_json, settings_of

from ...harness.cli.tables import columns, print_json, shown
from ...harness.cli.terminal import Reporter
from ...harness.executors.settings import PlaceSettings
from ...harness.loggers.contract import logger_named
from ...harness.storage import RecordStore
from ..study.estimate import Cost, costs, total_seconds
from ..study.folder import ANCHORS, JOURNAL, RUNS, StudyFolder
from ..study.graph import Artefact, Graph, build_graph
from ..study.run import Opened, Outcome, StudyRun, is_done, minutes, opened_study, records_of, training_of
from ..study.settings import PRESETS, StudySettings, read_study
from ..study.sources import find_sources


@dataclass(frozen=True)
class StudyOptions:
    """``telbench kd study``: which study, where, and on what."""

    study: str = setting(REQUIRED, f"a YAML file, or a preset: {', '.join(PRESETS)}", metavar="STUDY", positional=True)
    out: Path | None = setting(None, "folder (default: studies/NAME)", metavar="DIR")
    seeds: tuple[int, ...] = setting((), "in place of the study's seeds", many="comma", metavar="K,…")
    engine: Literal["auto", "vllm", "transformers"] | None = setting(None, "in place of the study's engine")
    dry_run: bool = setting(False, "show what is done, what would be made, and its cost")
    log: tuple[str, ...] = setting(
        (), "show trainings and runs in tensorboard, wandb or mlflow; repeatable", many="repeat", metavar="NAME"
    )
    student: str | None = setting(None, "in place of the study's student", metavar="DIR")
    teacher_same: str | None = setting(None, "in place of its teacher of the student's vocabulary", metavar="DIR")
    teacher_different: str | None = setting(None, "in place of its teacher of another vocabulary", metavar="DIR")
    place: PlaceSettings = group(PlaceSettings, "where")


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    add_flags(parser, StudyOptions)
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Make the study; exit code 5 (2 if inputs were all that was wrong) when something failed, 130 on Ctrl-C."""
    options = settings_of(args, StudyOptions)
    for name in options.log:
        logger_named(name).require()
    settings = _overridden(read_study(options.study, models_of(options)), options)
    out = options.out or Path("studies") / settings.name
    if options.dry_run:
        return _dry_run(settings, out, options.place.width(), as_json=args.json)
    reporter = Reporter()
    with closing(options.place.opened(out / "jobs")) as executor, opened_study(settings, out, options.log) as study:
        try:
            outcome = StudyRun(study, reporter, executor, options.place.tries).make()
        except KeyboardInterrupt:
            reporter.note(f"interrupted; what is finished is kept in {out}")
            reporter.note(f"resume with: {shlex.join(args.command_line)}")
            return 130
        document = _document(settings, study, outcome)
    if args.json:
        print_json(document)
    else:
        _print_outcome(document, outcome)
    codes = {failure.code for failure in outcome.failures}
    return 0 if not codes else InputError.exit_code if codes == {InputError.exit_code} else TelbenchError.exit_code


def models_of(options: StudyOptions) -> dict[str, Any]:
    """The models that flags name, in the shape of a study's ``models``."""
    teachers = {"same": options.teacher_same, "different": options.teacher_different}
    given = {name: folder for name, folder in teachers.items() if folder is not None}
    found: dict[str, Any] = {"teacher": given} if given else {}
    return found if options.student is None else {**found, "student": {"both": options.student}}


def _overridden(settings: StudySettings, options: StudyOptions) -> StudySettings:
    if options.seeds:
        settings = replace(settings, factors=replace(settings.factors, seed=options.seeds))
    if options.engine:
        settings = replace(settings, evaluation=changed(settings.evaluation, engine=options.engine))
    return settings


def _dry_run(settings: StudySettings, out: Path, slots: int, *, as_json: bool) -> int:
    """What is done, what would be made, and what it would cost; nothing is written."""
    found = find_sources(settings)
    graph = build_graph(settings, found.sources)
    folder = StudyFolder(out, graph)
    if (out / JOURNAL).is_file():
        with RecordStore(out / JOURNAL) as journal:
            document = _document(settings, Opened(graph, folder, found, journal), None)
    else:
        document = _document(settings, Opened(graph, folder, found, None), None)
    missing = [each for each in document["artefacts"] if each["state"] != "done"]
    amounts = [Cost("", each["tokens"], each["bytes"], each["seconds"]) for each in missing]
    seconds, unknown = total_seconds(amounts, slots)
    total = {
        "to_make": len(missing),
        "tokens": sum(cost.tokens for cost in amounts),
        "bytes": sum(cost.bytes for cost in amounts),
        "seconds": None if unknown == len(amounts) and amounts else seconds,
        "of_unknown_time": unknown,
    }
    if as_json:
        print_json({**document, "estimate": total})
        return 0
    rows = [("", "artefact", "from", "tokens", "MB", "time")]
    for each in document["artefacts"]:
        time = "?" if each["seconds"] is None else minutes(each["seconds"])
        label = each["label"] + (f" (asks the student by {each['rollout_engine']})" if each["rollout_engine"] else "")
        rows.append(
            (each["state"], label, ", ".join(each["from"]), f"{each['tokens']:,}",
             f"{each['bytes'] / 1e6:.1f}", time)
        )  # fmt: skip
    told = f"{total['to_make']} of {len(document['artefacts'])} to make: about {total['tokens']:,} tokens, "
    told += f"{total['bytes'] / 1e6:,.0f} MB, "
    told += "time unknown until something is made" if total["seconds"] is None else minutes(total["seconds"])
    told += f" and {unknown} of unknown time" if unknown and total["seconds"] is not None else ""
    lines = [*columns(rows, "<<<>>>"), "", *(f"left out: {reason}" for reason in document["omitted"]), told]
    sys.stdout.write("".join(shown(line) + "\n" for line in lines))
    return 0


def _document(settings: StudySettings, study: Opened, outcome: Outcome | None) -> dict[str, Any]:
    """The study as JSON: what is there and what is not."""
    graph, folder, found, journal = study.graph, study.folder, study.found, study.journal
    records = {} if journal is None else records_of(journal)
    expected = costs(graph, found, records)
    artefacts = []
    for each in graph.to_make():
        made = journal is not None and is_done(each, folder, journal)
        artefacts.append(_entry(each, graph, folder, expected[each.sha256], records.get(each.sha256) if made else None))
    return {
        "schema_version": 1,
        "study": settings.name,
        "out": str(folder.root),
        "budget": asdict(settings.budget),
        "artefacts": artefacts,
        "omitted": list(graph.omitted),
        "failures": [] if outcome is None else [asdict(failure) for failure in outcome.failures],
        "next": next_commands(folder.root, settings),
    }


def _entry(
    each: Artefact, graph: Graph, folder: StudyFolder, cost: Cost, record: Mapping[str, Any] | None
) -> dict[str, Any]:
    training = {} if record is None else training_of(folder.path(each))
    return {
        "state": "to make" if record is None else "done",
        "label": each.label,
        "kind": each.kind,
        "sha256": each.sha256,
        "from": [graph.artefacts[sha256].label for sha256 in each.inputs.values()],
        "path": str(folder.path(each)),
        # None where it is usual, or where nothing is asked.
        "rollout_engine": (each.settings.get("rollout") or {}).get("engine"),
        "tokens": cost.tokens if record is None or record["tokens"] is None else record["tokens"],
        "bytes": cost.bytes if record is None else record["bytes"],
        "seconds": cost.seconds if record is None else record["seconds"],
        "cpu_seconds": None if record is None else record["cpu_seconds"],
        "dev_loss": (training.get("best") or {}).get("loss"),
        "warnings": list(training.get("warnings", ())),
    }


def next_commands(root: Path, settings: StudySettings) -> list[str]:
    """What to type when a study is made."""
    runs, anchors = (f"{shlex.quote(str(root / name))}/*" for name in (RUNS, ANCHORS))
    lines = [f"telbench compare {runs} --study"]
    if settings.anchors:
        lines.append(f"telbench compare {anchors} {runs}")
    if "student_alone" in settings.anchors and len(settings.factors.seed) > 1:
        lines.append(f"telbench compare {shlex.quote(str(root / ANCHORS))}/alone-* {runs} --average-seeds")
    return lines


def _print_outcome(document: Mapping[str, Any], outcome: Outcome) -> None:
    lines: list[str] = [f"{outcome.made} made, {outcome.found} found made, in {document['out']}"]
    lines += [f"left out: {reason}" for reason in document["omitted"]]
    lines += [f"look at {each['label']}: {told}" for each in document["artefacts"] for told in each["warnings"]]
    for failure in outcome.failures:
        lines.append(f"FAILED {failure.label}: {failure.reason} (see {failure.log})")
        lines += [f"  not made for want of it: {', '.join(failure.blocked)}"] if failure.blocked else []
    lines += ["", "Next:", *(f"  {line}" for line in _after(document, outcome.failures))]
    sys.stdout.write("".join(shown(line) + "\n" for line in lines))


def _after(document: Mapping[str, Any], failures: Sequence[Any]) -> Sequence[str]:
    again = ["mend what failed and run the same command again: nothing is made twice"] if failures else []
    return [*again, *document["next"]]
