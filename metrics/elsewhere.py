"""A metric in a process of its own, with other hashes, on another day, without network: its values have to be the same.

The child is told by name which metric to make, so only registered metrics can be tried so.
"""

from __future__ import annotations

import contextlib
import datetime
import importlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from telbench.errors import TelbenchError

from .check import check_samples, equal_scores
from .contract import ItemScore, Metric, Resources, metrics_named

# Further ahead than any value of the clock by which a metric might go comes back.
_LATER = datetime.timedelta(days=400, hours=7, minutes=13, seconds=17)
_NETWORK = frozenset({"socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto"})
# What local programs talk through is no network.
_LOCAL = (str, bytes)
_SECONDS = 300
_TOLERANCE = 1e-5


def problems_elsewhere(metric: Metric, resources: Resources) -> list[str]:
    """What another process finds of a registered metric; judges are not asked there.

    Values that depend on ``hash()`` or the clock, and attempts to use the network, which are not let through.
    """
    if "judge" in metric.needs:
        return []
    told = _told(metric.name, resources)
    if isinstance(told, str):
        return [f"in another process: {told}"]
    problems = [f"it uses the network: {place}" for place in told["network"]]
    try:
        here = metric.score(list(check_samples(metric).values()))
    except Exception:
        # `checked` says so.
        return problems
    there = [ItemScore(value, None, None if stats is None else tuple(stats)) for value, stats in told["scores"]]
    if not equal_scores(here, there, _TOLERANCE):
        problems.append(
            "values differ in another process and on another day: hash(), the order of a set, the clock or the folder"
        )
    return problems


def _told(name: str, resources: Resources) -> dict[str, Any] | str:
    """What the child tells, or in words why it tells nothing."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "told.json"
        asked = {
            "name": name,
            "out": str(out),
            "encoder": resources.encoder and str(resources.encoder),
            "nli": resources.nli and str(resources.nli),
            "layer": resources.layer,
        }
        # An empty entry of the path would be the folder that the child starts in.
        paths = [path or os.getcwd() for path in sys.path]
        # What hashes come to in this process is not known: of two seeds at most one gives the same.
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONHASHSEED": "20000101"}
        program = f"from {__name__} import child; child()"
        try:
            done = subprocess.run(
                [sys.executable, "-c", program],
                check=False,
                input=json.dumps(asked),
                text=True,
                capture_output=True,
                timeout=_SECONDS,
                cwd=folder,
                env=environment,
                errors="backslashreplace",
            )
        except subprocess.TimeoutExpired:
            return f"no values after {_SECONDS} s"
        try:
            told = json.loads(out.read_text("utf-8"))
        except (OSError, ValueError):
            last = (done.stderr.strip().splitlines() or ["nothing was said"])[-1]
            return f"it ended with exit code {done.returncode} and no values: {last}"
    return told["error"] if told["error"] and not told["network"] else told


def child() -> None:
    """The child's part: score the samples, and write values and attempts to use the network as JSON."""
    asked = json.load(sys.stdin)
    network: list[str] = []
    if asked["encoder"] or asked["nli"]:
        _load_compiled()
    _another_day()
    sys.addaudithook(lambda event, arguments: _refuse(network, event, arguments))
    told: dict[str, Any] = {"scores": [], "network": network, "error": None}
    try:
        encoder, nli = (asked[name] and Path(asked[name]) for name in ("encoder", "nli"))
        resources = Resources(encoder, asked["layer"], nli=nli)
        (metric,) = metrics_named([asked["name"]], resources)
        scores: Sequence[ItemScore] = metric.score(list(check_samples(metric).values()))
        told["scores"] = [(score.value, score.stats) for score in scores]
    except TelbenchError as error:
        told["error"] = str(error)
    except (Exception, SystemExit) as error:
        told["error"] = f"{type(error).__name__}: {error}"
    told["network"] = list(dict.fromkeys(network))
    Path(asked["out"]).write_text(json.dumps(told), "utf-8")


def _load_compiled() -> None:
    """Import what models need first: compiled modules take the size of datetime's class, and crash on another one."""
    for name in ("pandas", "torch", "transformers", "transformers.models.auto", "sentence_transformers"):
        with contextlib.suppress(ImportError):
            importlib.import_module(name)


def _refuse(network: list[str], event: str, arguments: tuple[Any, ...]) -> None:
    if event not in _NETWORK:
        return
    place = arguments[-1] if event in ("socket.connect", "socket.sendto") else arguments[0]
    if not isinstance(place, _LOCAL) or event in ("socket.getaddrinfo", "socket.gethostbyname"):
        network.append(f"{event} {place}")
        raise OSError("a metric has no network while it is checked")


def _another_day() -> None:
    """Let the clocks of Python tell a later time to all that is imported from now on."""
    ahead, clock, clock_ns, real = _LATER.total_seconds(), time.time, time.time_ns, datetime.datetime
    time.time = lambda: clock() + ahead
    time.time_ns = lambda: clock_ns() + int(ahead * 1e9)

    class Later(real, metaclass=_Lenient):
        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> datetime.datetime:
            return real.now(tz) + _LATER

        @classmethod
        def today(cls) -> datetime.datetime:
            return real.now() + _LATER

    class LaterDate(datetime.date, metaclass=_Lenient):
        @classmethod
        def today(cls) -> datetime.date:
            return (real.now() + _LATER).date()

    datetime.datetime, datetime.date = Later, LaterDate


class _Lenient(type):
    """Instances of the class that stands behind are instances too, as other modules make them."""

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, cls.__mro__[1])
