"""Several runs in one command: all plans first, then all answers on as few engines as can be, then judges, then scores.

Each has a run folder of its own, as if it had been evaluated alone.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from telbench.errors import InputError, TelbenchError

from ..cli.terminal import Reporter
from ..runs.adaptive import asked_plan, filling
from ..runs.evaluate import Answered, InterruptedRunError, complete, evaluate, first_header, repeating, resume_line
from ..runs.folder import JOURNAL, JUDGEMENTS, LOG, Run, RunFolder
from ..runs.generate import Fill, Generated
from ..runs.judge import told_below, told_outcome
from ..runs.plan import Plan, make_plan
from ..runs.prepared import Prepared
from ..runs.settings import EvalSettings
from ..storage import RecordStore
from .engines import Asked, grouped

# What is told of a run that cannot be made: its place, and the error. Without it, the first error ends all.
Failed = Callable[[int, TelbenchError], None]


@dataclass
class _Making:
    """A run under way: its plan, and what has come of it."""

    place: int
    plan: Plan
    fill: Fill
    planning: float
    answering: float = 0.0
    generated: Generated | None = None
    reused: bool = False


@dataclass
class _Fleet:
    """All runs of one command. ``failed`` hears of those that are given up, the others go on."""

    reporter: Reporter
    command: Sequence[str]
    failed: Failed | None
    making: list[_Making] = field(default_factory=list)

    @contextlib.contextmanager
    def step(self, place: int) -> Iterator[None]:
        """A step of a run: what goes wrong in it ends that run alone, where somebody hears of it."""
        try:
            yield
        except TelbenchError as error:
            if self.failed is None:
                raise
            self.making = [each for each in self.making if each.place != place]
            self.failed(place, error)


def make_runs(every: Sequence[EvalSettings], command: Sequence[str], *, as_json: bool) -> int:
    """Evaluate all, tell where the runs are, print their tables or one JSON list."""
    from ..cli.stopped import stopped_lines
    from ..cli.tables import print_json, print_run, shown

    asked = every[0].shown
    asked.require()
    reporter = Reporter()
    try:
        with reporter.quiet():
            made = evaluate_all(every, reporter, command)
    except InterruptedRunError as interrupted:
        reporter.note(f"interrupted; finished answers are kept in {interrupted.path}")
        reporter.note(f"resume with: {resume_line(command, interrupted.path)}")
        return 130
    for run in made:
        reporter.note(f"{'already finished' if run.reused else 'written'}: {run.path}")
    below = [told_below(run.header, run.path) for run in made]
    if as_json:
        documents = zip(made, below, strict=True)
        print_json([{**run.header, "path": str(run.path), **told} for run, (told, _) in documents])
    else:
        for run, (_, lines) in zip(made, below, strict=True):
            print_run(run.header)
            sys.stdout.writelines(f"{shown(line)}\n" for line in (*stopped_lines(run.header), *lines))
    code = asked.show([run.path for run in made])
    return max(told_outcome(run.header, run.path, reporter) for run in made) or code


def evaluate_all(
    every: Sequence[EvalSettings],
    reporter: Reporter,
    command: Sequence[str] = (),
    *,
    folders: Sequence[Path] | None = None,
    failed: Failed | None = None,
) -> list[Run]:
    """The runs of these settings in their order; ``out`` of each is the folder that its run folder is made in.

    ``folders`` are the run folders themselves. Nothing is loaded before all of it is known to be sound, or ``failed``
    has heard why it is not. Judges are asked when all answers are there, one after the other: each is loaded once.

    Raises:
        InputError: as `evaluate`, or for one model on one data set twice. EngineError: when an engine died (answers are
        kept). Neither with ``failed``. InterruptedRunError: on Ctrl-C.
    """
    fleet = _Fleet(reporter, command, failed)
    try:
        _plan_all(fleet, every, folders)
        _answer_all(fleet)
        _judge_all(fleet)
        runs = []
        for each in list(fleet.making):
            with fleet.step(each.place):
                answered = Answered(each.plan, each.generated, each.planning, each.answering, each.fill)
                runs.append(evaluate(each.plan.settings, reporter, command, answered))
    except KeyboardInterrupt as error:
        begun = fleet.making[0].plan.out.parent if fleet.making else Path("runs")
        raise InterruptedRunError(begun) from error
    return runs


def _plan_all(fleet: _Fleet, every: Sequence[EvalSettings], folders: Sequence[Path] | None) -> None:
    prepared = Prepared()
    for place, settings in enumerate(every):
        with fleet.step(place):
            started = time.perf_counter()
            told = f"run {place + 1} of {len(every)}: {settings.model} on {settings.data.data}"
            fleet.reporter.note(told)
            plan = make_plan(replace(settings, out=None), fleet.reporter, prepared)
            fill = filling(plan)
            out = (settings.out or plan.out.parent) / plan.out.name if folders is None else folders[place]
            twice = next((each.plan for each in fleet.making if each.plan.out == out), None)
            if twice is not None:
                raise InputError(_named_twice(twice.settings, settings))
            plan = replace(plan, out=out)
            fleet.making.append(_Making(place, plan, fill, time.perf_counter() - started))


def _named_twice(one: EvalSettings, other: EvalSettings) -> str:
    if one.data.data != other.data.data:
        return f"--data {other.data.data} is {one.data.data} again: name it once"
    return f"--model {other.model} is {one.model} again: name it once, and {other.data.data} too"


def _answer_all(fleet: _Fleet) -> None:
    """Fill all journals, those that share an engine one after the other; it is closed after the last of them."""
    waiting = []
    for each in list(fleet.making):
        with fleet.step(each.place):
            if not _finished(each):
                waiting.append(each)
    asked = [_asked(each.plan) for each in waiting]
    for group in grouped(asked):
        making = [waiting[place] for place in group.places]
        engine = making[0].plan.engine
        share = engine.share if len(making) > 1 else None
        if group.told:
            fleet.reporter.note(f"{making[0].plan.name} starts another engine: {group.told}")
        if share is None:
            for each in making:
                with fleet.step(each.place):
                    _answer(each, fleet)
            continue
        # Closed at once where one of them fails: the engine would live on beside the error.
        with contextlib.closing(share([each.plan.engine_settings for each in making])) as shared:
            engine = replace(engine, open=shared.open)
            for each in making:
                with fleet.step(each.place):
                    try:
                        _answer(each, fleet, engine=engine)
                    except TelbenchError:
                        # It may be dead: the next run starts it anew.
                        shared.close()
                        raise


def _asked(plan: Plan) -> Asked:
    return Asked(plan.engine, plan.engine_settings, plan.identity.tokenizer_sha256 if plan.identity else "")


def _finished(each: _Making) -> bool:
    """Is the run made already? What is finished is left as it is."""
    folder = RunFolder(each.plan.out)
    try:
        found = folder.claim(each.plan.run_id, each.plan.depends_on, fresh=each.plan.settings.fresh)
        each.reused = found is not None and complete(found, each.plan)
        return each.reused
    finally:
        folder.release()


def _answer(each: _Making, fleet: _Fleet, **changes: object) -> None:
    started = time.perf_counter()
    plan = replace(each.plan, **changes)
    with (
        _claimed(each, fleet.command) as folder,
        RecordStore(folder.path / JOURNAL) as store,
        fleet.reporter.quiet(folder.path / LOG),
    ):
        each.generated = each.fill(plan, store, fleet.reporter)
    each.answering = time.perf_counter() - started


@contextlib.contextmanager
def _claimed(each: _Making, command: Sequence[str]) -> Iterator[RunFolder]:
    """The run's folder, held by this process, with what is being made stated in it."""
    plan = each.plan
    folder = RunFolder(plan.out)
    try:
        folder.claim(plan.run_id, plan.depends_on, fresh=False)
        folder.begin(first_header(plan, command, folder.created), repeating(plan.settings))
        yield folder
    finally:
        folder.release()


def _asked_of(each: _Making) -> Plan:
    """The plan of the items that were asked."""
    return each.plan if each.generated is None else asked_plan(each.plan, each.generated)


def _judge_all(fleet: _Fleet) -> None:
    """Have all runs judged, judge by judge: a local one is loaded for the first of them, and freed after the last."""
    waiting = [(each, each.plan.panel) for each in fleet.making if each.plan.panel is not None and not each.reused]
    if len(waiting) < 2:
        return
    from ..judging.local import kept_loaded
    from ..runs.judge import judged

    for name in dict.fromkeys(identity.name for _, panel in waiting for identity in panel.identities):
        with kept_loaded():
            for each, panel in waiting:
                if each not in fleet.making or name not in panel.tallies:
                    continue
                with (
                    fleet.step(each.place),
                    _claimed(each, fleet.command) as folder,
                    RecordStore(folder.path / JOURNAL) as store,
                    fleet.reporter.quiet(folder.path / LOG),
                    judged(_asked_of(each), panel, store, folder.path / JUDGEMENTS, fleet.reporter, only=name),
                ):
                    pass
