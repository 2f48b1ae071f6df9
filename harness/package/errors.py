"""The errors a user sees, each with its exit code. Lowest floor, so that every room can raise them."""

from __future__ import annotations

from typing import Any


class TelbenchError(Exception):
    """An error whose message is one line for the user: what, where, how to mend it."""

    exit_code = 5


class InputError(TelbenchError):
    """Bad usage or bad input (exit code 2)."""

    exit_code = 2


class IncomparableError(TelbenchError):
    """Runs that were not measured alike (exit code 4)."""

    exit_code = 4


class EngineError(TelbenchError):
    """An engine that failed while it worked; what it had finished is kept (exit code 5)."""

    exit_code = 5


def missing_extra(module: str, extra: str, purpose: str) -> InputError:
    """The one line for a package that is not installed, with the command that brings it here."""
    return InputError(f"{purpose} needs the package '{module}': {install_command(extra)}")


def install_command(extra: str) -> str:
    """The shell command that adds an extra to this installation: a clone, a folder, a wheel, a repository or an index.

    Source: the Direct URL record that installers leave (packaging.python.org, "Recording the Direct URL Origin").
    """
    import json
    import shlex
    from importlib.metadata import PackageNotFoundError, distribution

    try:
        telbench = distribution("telbench")
        installer = (telbench.read_text("INSTALLER") or "").strip()
        origin = json.loads(telbench.read_text("direct_url.json") or "{}")
        words = _arguments(origin, extra)
    except (PackageNotFoundError, ValueError, KeyError, TypeError, AttributeError):
        installer, words = "", (f"telbench[{extra}]",)
    return " ".join(["uv pip install" if installer == "uv" else "pip install", *map(shlex.quote, words)])


def _arguments(origin: dict[str, Any], extra: str) -> tuple[str, ...]:
    """What follows ``pip install``, by a Direct URL record; an empty one stands for an index."""
    from pathlib import Path
    from urllib.parse import urlsplit
    from urllib.request import url2pathname

    url = origin.get("url", "")
    if version_control := origin.get("vcs_info"):
        return (f"telbench[{extra}] @ {version_control['vcs']}+{url}@{version_control['commit_id']}",)
    place = Path(url2pathname(urlsplit(url).path))
    if urlsplit(url).scheme != "file" or not place.exists():
        # What it came from is gone, or it came from an index.
        return (f"telbench[{extra}]",)
    shown = f".[{extra}]" if place == Path.cwd() else f"{place}[{extra}]"
    return ("-e", shown) if origin.get("dir_info", {}).get("editable") else (shown,)
