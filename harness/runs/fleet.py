"""Several models in one command: all plans first, then all answers, adapters of one base on one engine, then scores.

Each model has a run folder of its own, as if it had been evaluated alone.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Generator, Sequence
from dataclasses import replace
from pathlib import Path

from telbench.errors import InputError

from ..adapter import adapted_modules
from ..cli.terminal import Reporter
from ..engines.contract import EngineSettings
from ..storage import RecordStore
from .evaluate import Answered, InterruptedRunError, complete, evaluate, first_header, repeating, resume_line
from .folder import JOURNAL, LOG, Run, RunFolder
from .generate import Generated, fill_journal
from .judge import told_below, told_outcome
from .plan import Plan, make_plan
from .settings import EvalSettings


def make_runs(every: Sequence[EvalSettings], command: Sequence[str], *, as_json: bool) -> int:
    """Evaluate all, tell where the runs are, print their tables or one JSON list."""
    from ..cli.tables import print_json, print_run, shown

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
            sys.stdout.writelines(f"{shown(line)}\n" for line in lines)
    return max(told_outcome(run.header, run.path, reporter) for run in made)


def evaluate_all(every: Sequence[EvalSettings], reporter: Reporter, command: Sequence[str] = ()) -> list[Run]:
    """The runs of these settings in their order; ``out`` of each is the folder that its run folder is made in.

    Nothing is loaded before all of it is known to be sound.

    Raises:
        InputError: as `evaluate`, or for one model twice. EngineError: when an engine died (answers are kept).
        InterruptedRunError: on Ctrl-C.
    """
    plans: list[Plan] = []
    planning: list[float] = []
    for settings in every:
        started = time.perf_counter()
        reporter.note(f"run {len(plans) + 1} of {len(every)}: {settings.model} on {settings.data.data}")
        plan = make_plan(replace(settings, out=None), reporter)
        if twice := next((other for other in plans if other.out.name == plan.out.name), None):
            raise InputError(f"--model {settings.model} is {twice.settings.model} again: name it once")
        plans.append(replace(plan, out=(settings.out or plan.out.parent) / plan.out.name))
        planning.append(time.perf_counter() - started)
    made: dict[Path, tuple[Generated | None, float]] = {}
    try:
        # Closed at once where one of them fails: the engine would live on beside the error.
        with contextlib.closing(_on_shared_engines(plans)) as in_turn:
            for plan in in_turn:
                started = time.perf_counter()
                made[plan.out] = _answered(plan, reporter, command), time.perf_counter() - started
        runs = []
        for plan, seconds in zip(plans, planning, strict=True):
            answered = Answered(plan, made[plan.out][0], seconds, made[plan.out][1])
            runs.append(evaluate(plan.settings, reporter, command, answered))
    except KeyboardInterrupt as error:
        raise InterruptedRunError(plans[0].out.parent) from error
    return runs


def _on_shared_engines(plans: Sequence[Plan]) -> Generator[Plan]:
    """The plans, those that share an engine one after the other; it is closed after the last of them."""
    left = {plan.out: plan for plan in plans}
    while left:
        first = next(iter(left.values()))
        together = [plan for plan in left.values() if plan is first or _shares(plan, first)]
        for plan in together:
            del left[plan.out]
        share = first.engine.share
        if len(together) == 1 or share is None:
            yield from together
            continue
        with contextlib.closing(share([plan.engine_settings for plan in together])) as shared:
            for plan in together:
                yield replace(plan, engine=replace(plan.engine, open=shared.open))


def _shares(one: Plan, other: Plan) -> bool:
    """Can both be answered on one loaded base?"""
    return _loaded(one) is not None and _loaded(one) == _loaded(other)


def _loaded(plan: Plan) -> tuple[str, EngineSettings, Path, str] | None:
    """What an engine loads for an adapter, but the adapter; None for what is loaded for itself alone."""
    checkpoint, identity = plan.checkpoint, plan.identity
    if plan.engine.share is None or checkpoint is None or checkpoint.adapter is None or identity is None:
        return None
    # An adapter on the output head changes how prompts are scored for all.
    if "lm_head" in adapted_modules(checkpoint.adapter):
        return None
    settings = replace(plan.engine_settings, checkpoint=None, max_model_len=None, model="", item_ids=())
    return plan.engine.name, settings, checkpoint.path.resolve(), identity.tokenizer_sha256


def _answered(plan: Plan, reporter: Reporter, command: Sequence[str]) -> Generated | None:
    """How the plan's journal was filled; None for a run that is finished, which is left as it is."""
    folder = RunFolder(plan.out)
    try:
        finished = folder.claim(plan.run_id, plan.depends_on, fresh=plan.settings.fresh)
        if finished is not None and complete(finished, plan):
            return None
        folder.begin(first_header(plan, command, folder.created), repeating(plan.settings))
        with RecordStore(folder.path / JOURNAL) as store, reporter.quiet(folder.path / LOG):
            return fill_journal(plan, store, reporter)
    finally:
        folder.release()
