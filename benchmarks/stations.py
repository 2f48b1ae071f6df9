"""Claim: scoring two answers passes few stations: so many files and functions of telbench does a reader have to know.

Runs ``telbench score`` on two items of telecom-nano through the console script's own function, under a profile hook,
and counts what it enters in the five rooms. A function counts once however often it is called; bodies of modules and
classes, lambdas and comprehensions count in the second line only. Prints both counts, then the functions of each file.
Usage: python benchmarks/stations.py [--metrics NAME,…] [--most-functions N]
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import os
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from importlib.metadata import entry_points
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

ROOMS = ("judges", "metrics", "harness", "kd", "leaderboard")
Station = tuple[str, str, int]  # file, qualified name, first line


def places() -> dict[str, str]:
    """Folder of each room, wherever telbench is installed: room by folder."""
    found = {}
    for room in ROOMS:
        for folder in importlib.import_module(f"telbench.{room}").__path__:
            found[os.path.realpath(folder)] = room
    return found


@contextmanager
def entered(codes: dict[int, CodeType]) -> Iterator[None]:
    """Collect the code of every Python frame that is entered meanwhile, in any thread: by identity, as equal code of
    two files is not the same station.
    """

    def hook(frame: FrameType, event: str, _argument: Any) -> None:
        if event == "call":
            codes[id(frame.f_code)] = frame.f_code

    threading.setprofile(hook)
    sys.setprofile(hook)
    try:
        yield
    finally:
        sys.setprofile(None)
        threading.setprofile(None)


def run_quietly(command: Callable[[], object]) -> int:
    """Exit code of a console script's function; what it prints, and does to the two streams, is undone."""
    sys.stdout.flush()
    sys.stderr.flush()
    saved = os.dup(1), os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(nowhere, stream)
    os.close(nowhere)
    try:
        code = command()
    except SystemExit as stop:
        code = stop.code
    finally:
        sys.stdout.flush()
        for copy, original in zip(saved, (1, 2), strict=True):
            os.dup2(copy, original)
            os.close(copy)
    return code if isinstance(code, int) else int(code is not None)


def stations(codes: Iterable[CodeType]) -> tuple[set[Station], set[Station]]:
    """(functions with a name of their own, all frames) among them that belong to the rooms."""
    rooms = places()
    named, every = set(), set()
    for code in codes:
        file = os.path.realpath(code.co_filename)
        room = next((folder for folder in rooms if file.startswith(folder + os.sep)), None)
        if room is None:
            continue
        station = (rooms[room] + file.removeprefix(room), code.co_qualname, code.co_firstlineno)
        every.add(station)
        # Bodies of modules and classes are not optimised; lambdas and comprehensions are called <something>.
        if code.co_flags & inspect.CO_OPTIMIZED and not code.co_name.startswith("<"):
            named.add(station)
    return named, every


def scored(folder: Path, metrics: str) -> Iterable[CodeType]:
    """What ``telbench score`` enters for two answers; its run lies in the folder."""
    answers = folder / "answers.txt"
    answers.write_text("The AMF handles registration.\nIt runs over UDP.\n", encoding="utf-8")
    (point,) = entry_points(group="console_scripts", name="telbench")
    command = point.load()
    os.environ["TELBENCH_CACHE"] = str(folder / "cache")
    sys.argv = ["telbench", "score", str(answers), "--limit", "2", "--metrics", metrics, "--out", str(folder / "run")]
    codes: dict[int, CodeType] = {}
    with entered(codes):
        code = run_quietly(command)
    if code:
        raise SystemExit(f"telbench score ended with exit code {code}")
    return codes.values()


def listing(found: Iterable[Station]) -> Iterator[str]:
    """A line a file, with its functions in the order of their lines."""
    by_file: dict[str, list[tuple[int, str]]] = {}
    for file, name, line in found:
        by_file.setdefault(file, []).append((line, name))
    for file, functions in sorted(by_file.items()):
        yield f"{file} ({len(functions)}): {', '.join(name for _, name in sorted(functions))}"


def count(found: set[Station]) -> str:
    """Files and functions of the stations."""
    return f"{len({file for file, _, _ in found})} files, {len(found)} functions"


def main() -> int:
    """Print counts and stations; exit 1 when there are more functions than allowed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--metrics", default="", metavar="NAME,…", help="of these metrics (default: the command's own)")
    parser.add_argument("--most-functions", type=int, metavar="N", help="exit with 1 where there are more")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        named, every = stations(scored(Path(folder), args.metrics))
    print(f"telbench score of two items: {count(named)}")
    print(f"with module bodies, lambdas and comprehensions: {count(every)}")
    print(*listing(named), sep="\n")
    return int(args.most_functions is not None and len(named) > args.most_functions)


if __name__ == "__main__":
    sys.exit(main())
