"""Make one run: plan, journal, scores, header. The order is what makes it resumable."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..judges.errors import InputError
from .generate import Generated, fill_journal
from .journal import RecordStore
from .judging import judge_facts, judged, judges_to_retry
from .plan import EvalSettings, Plan, make_plan
from .provenance import machine_facts, package_versions, telbench_state
from .reporter import Reporter
from .runs import JOURNAL, JUDGEMENTS, LOG, SCHEMA_VERSION, RunFolder
from .scoring import Scored, score_journal


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
        header = _header(plan, command, folder.created)
        folder.write_partial(header)
        with RecordStore(folder.path / JOURNAL) as store:
            _report_repairs(store, reporter)
            with reporter.quiet(folder.path / LOG):
                generated = fill_journal(plan, store, reporter)
                judging = time.perf_counter()
                with judged(plan, store, folder.path / JUDGEMENTS, reporter):
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
        header = json.loads(json.dumps(_finished(header, plan, generated, scored, seconds)))
        folder.finish(header)
        return Run(folder.path, header)
    except KeyboardInterrupt as error:
        raise InterruptedRunError(folder.path) from error
    finally:
        folder.release()


def _complete(header: dict[str, Any], plan: Plan) -> bool:
    """Is the finished run the one asked for: same metrics by signature, and nothing left to retry?"""
    signatures = {metric.name: metric.signature for metric in plan.metrics}
    found = {name: entry.get("signature") for name, entry in header.get("metrics", {}).items()}
    return found == signatures and not _retryable(header, plan)


def _retryable(header: dict[str, Any], plan: Plan) -> bool:
    hopeless = sum(prompt.problem is not None for prompt in plan.prompts)
    if plan.panel is not None and judges_to_retry(header):
        return True
    return plan.engine.name != "replay" and header.get("counts", {}).get("error", 0) > hopeless


def _report_repairs(store: RecordStore, reporter: Reporter) -> None:
    if store.torn:
        reporter.note(f"repaired {store.path.name}: a half-written last line ({store.torn} bytes) was cut off")
    if store.garbled:
        reporter.note(f"{store.path.name}: {store.garbled} unreadable lines are ignored; their answers are made again")


def _header(plan: Plan, command: Sequence[str], created: str | None) -> dict[str, Any]:
    checkpoint, identity = plan.checkpoint, plan.identity
    return {
        "schema_version": SCHEMA_VERSION,
        "run_id": plan.run_id,
        "status": "partial",
        "created": created or datetime.now(UTC).isoformat(timespec="seconds"),
        "command": list(command),
        "telbench": telbench_state(),
        "packages": package_versions(),
        "machine": machine_facts(),
        "model": {
            "name": plan.model_name,
            "path": str(checkpoint.path) if checkpoint else None,
            "weights_sha256": identity.weights_sha256 if identity else None,
            "config_sha256": identity.config_sha256 if identity else None,
            "tokenizer_sha256": identity.tokenizer_sha256 if identity else None,
            "chat_template_sha256": identity.chat_template_sha256 if identity else None,
            "parameters": identity.parameters if identity else None,
        },
        "factors": checkpoint.factors if checkpoint else {},
        "data": {
            "name": plan.dataset.name,
            "split": plan.dataset.split,
            "split_rule": plan.dataset.split_rule,
            "source": plan.dataset.source,
            "n": len(plan.dataset.items),
            "items_sha256": plan.depends_on["data"],
            "prompts_sha256": plan.depends_on["prompts"],
            "dropped": dict(plan.dataset.dropped),
            "repaired": dict(plan.dataset.repaired),
        },
        "prompt": {"book": plan.book, **plan.depends_on["prompt_settings"]},
        "depends_on": dict(plan.depends_on),
        "judge": None,
    }


def _finished(
    header: dict[str, Any], plan: Plan, generated: Generated, scored: Scored, seconds: dict[str, float]
) -> dict[str, Any]:
    if not scored.counts["ok"]:
        raise InputError(
            f"no item of {plan.dataset.name} {plan.dataset.split} could be answered: see {LOG} and the journal"
        )
    return {
        **header,
        "status": "complete",
        "machine": machine_facts(),
        "generation": {
            "engine": generated.info.name,
            "version": generated.info.version,
            "dtype": generated.info.dtype,
            **generated.info.settings,
            **asdict(plan.sampling),
            "resumed": generated.resumed,
            "cached": generated.cached,
            "generated": generated.generated,
        },
        "judge": judge_facts(plan, scored.metrics),
        "metrics": scored.metrics,
        "counts": scored.counts,
        "tokens": scored.tokens,
        "seconds": {name: round(value, 3) for name, value in seconds.items()},
    }
