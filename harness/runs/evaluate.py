"""Make one run: plan, journal, scores, header. The order is what makes it resumable."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from telbench.config import written, yaml_text

from ..cli.terminal import Reporter
from ..storage import RecordStore
from .folder import JOURNAL, JUDGEMENTS, LOG, SETTINGS, RunFolder
from .generate import fill_journal
from .header import finished_header, first_header
from .plan import Plan, make_plan
from .score import score_journal
from .settings import EvalSettings


@dataclass(frozen=True)
class Run:
    """A finished run: its folder and header; ``reused`` when it was found finished."""

    path: Path
    header: dict[str, Any]
    reused: bool = False


class InterruptedRunError(KeyboardInterrupt):
    """Ctrl-C while a run was being made; ``path`` holds what is needed to go on."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path


def evaluate(settings: EvalSettings, reporter: Reporter, command: Sequence[str] = ()) -> Run:
    """Make the run that the settings describe, or finish one that was begun, or return it when it is done.

    Raises:
        InputError: for wrong input (nothing lost). EngineError: when the engine died (what it finished is kept).
        InterruptedRunError: on Ctrl-C.
    """
    started = time.perf_counter()
    plan = make_plan(settings, reporter)
    planned = time.perf_counter()
    folder = RunFolder(plan.out)
    try:
        finished = folder.claim(plan.run_id, plan.depends_on, fresh=settings.fresh)
        if finished is not None and _complete(finished, plan):
            folder.settle()
            return Run(folder.path, finished, reused=True)
        header = first_header(plan, command, folder.created)
        folder.write_partial(header)
        folder.write_settings(repeating(settings))
        with RecordStore(folder.path / JOURNAL) as store:
            _report_repairs(store, reporter)
            with reporter.quiet(folder.path / LOG):
                generated = fill_journal(plan, store, reporter)
                judging = time.perf_counter()
                with contextlib.ExitStack() as verdicts:
                    if plan.panel is not None:
                        from .judge import judged

                        verdicts.enter_context(judged(plan, plan.panel, store, folder.path / JUDGEMENTS, reporter))
                    scoring = time.perf_counter()
                    scored = score_journal(plan, store, folder.path, reporter)
        seconds = {
            "plan": planned - started,
            "load": generated.load_seconds,
            "generate": generated.generate_seconds,
            "judge": scoring - judging,
            "score": time.perf_counter() - scoring,
            "total": time.perf_counter() - started,
        }
        # As a reader of the file finds it: lists for tuples.
        header = json.loads(json.dumps(finished_header(header, plan, generated, scored, seconds)))
        folder.finish(header)
        return Run(folder.path, header)
    except KeyboardInterrupt as error:
        raise InterruptedRunError(folder.path) from error
    finally:
        folder.release()


def repeating(settings: EvalSettings) -> str:
    """The YAML that repeats the run: what was asked, but where it is kept and whether to start over.

    Paths are whole, so that the file works from any folder; a hub id or a name stays what it is.
    """
    asked = written(settings)
    for name in ("out", "fresh"):
        asked.pop(name, None)
    for name in ("model", "data", "data_dir", "encoder", "answers", "judge_prices"):
        if name in asked and Path(asked[name]).exists():
            asked[name] = str(Path(asked[name]).resolve())
    return f"# telbench eval --config {SETTINGS}\n{yaml_text(asked)}"


def _complete(header: dict[str, Any], plan: Plan) -> bool:
    """Is the finished run the one asked for: same metrics by signature, and nothing left to retry?"""
    signatures = {metric.name: metric.signature for metric in plan.metrics}
    found = {name: entry.get("signature") for name, entry in header.get("metrics", {}).items()}
    return found == signatures and not _retryable(header, plan)


def _retryable(header: dict[str, Any], plan: Plan) -> bool:
    hopeless = sum(prompt.problem is not None for prompt in plan.prompts)
    if plan.panel is not None:
        from .judge import judges_to_retry

        if judges_to_retry(header):
            return True
    return plan.engine.name != "replay" and header.get("counts", {}).get("error", 0) > hopeless


def _report_repairs(store: RecordStore, reporter: Reporter) -> None:
    if store.torn:
        reporter.note(f"repaired {store.path.name}: a half-written last line ({store.torn} bytes) was cut off")
    if store.garbled:
        reporter.note(f"{store.path.name}: {store.garbled} unreadable lines are ignored; their answers are made again")
