"""Claim: a flow passes few stations: so many files and functions of telbench does a reader have to know.

Runs one command through the console script's own function, under a profile hook, and counts what it enters in the five
rooms: ``score`` two answers of telecom-nano, ``train`` a tiny model for two steps (``telbench kd sft``), or ``compare``
two runs of eight answers. What the command starts from is made before, by other processes. A function counts once
however often it is called; bodies of modules and classes, lambdas and comprehensions count in the second line only.
Prints both counts, then the functions of each file.
Usage: python benchmarks/stations.py [--flow score|train|compare] [--metrics NAME,…] [--most-functions N]
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import os
import subprocess
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
ANSWERS = ("The AMF handles registration.", "It runs over UDP.", "Over SCTP.", "To destination port 38412.") * 2
CALL = (
    "import sys; from importlib.metadata import entry_points; "
    "(point,) = entry_points(group='console_scripts', name='telbench'); sys.exit(point.load()())"
)


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


def told(folder: Path, name: str, answers: Iterable[str]) -> str:
    """A file of answers, a line each."""
    file = folder / f"{name}.txt"
    file.write_text("".join(f"{answer}\n" for answer in answers), encoding="utf-8")
    return str(file)


def made(*arguments: str) -> None:
    """Run telbench in a process of its own, so that it leaves nothing loaded here."""
    subprocess.run(
        [sys.executable, "-c", CALL, *arguments], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def score(folder: Path, metrics: str) -> list[str]:
    """Score two answers."""
    file = told(folder, "answers", ANSWERS[:2])
    return ["score", file, "--limit", "2", "--metrics", metrics, "--out", str(folder / "run")]


def train(folder: Path, _metrics: str) -> list[str]:
    """Tune a model of one layer on eight items, four at a time."""
    config = folder / "base.yaml"
    sizes = "hidden: 32, layers: 1, heads: 1, inner: 32, window: 128, vocabulary: 400, epochs: 1"
    config.write_text(f"name: base\nscratch: {{{sizes}}}\n", encoding="utf-8")
    made("kd", "base", "--config", str(config), "--out", str(folder / "base"))
    steps = ["--limit", "8", "--batch-size", "4", "--epochs", "1", "--dev-split", "none", "--max-length", "128"]
    return ["kd", "sft", "--model", str(folder / "base"), "--out", str(folder / "tuned"), "--threads", "1", *steps]


def compare(folder: Path, metrics: str) -> list[str]:
    """Compare two runs in which the answers stand in another order."""
    runs = {"one": ANSWERS, "other": ANSWERS[::-1]}
    for name, answers in runs.items():
        file = told(folder, name, answers)
        made("score", file, "--limit", "8", "--metrics", metrics, "--out", str(folder / name))
    return ["compare", *(str(folder / name) for name in runs)]


# By name: what makes the command's arguments in a folder, and what is said of it.
FLOWS: dict[str, tuple[Callable[[Path, str], list[str]], str]] = {
    "score": (score, "telbench score of two items"),
    "train": (train, "telbench kd sft of two steps"),
    "compare": (compare, "telbench compare of two runs"),
}


def passed(flow: str, folder: Path, metrics: str) -> Iterable[CodeType]:
    """What the flow's command enters; all that it makes lies in the folder."""
    os.environ["TELBENCH_CACHE"] = str(folder / "cache")
    arguments = FLOWS[flow][0](folder, metrics)
    (point,) = entry_points(group="console_scripts", name="telbench")
    command = point.load()
    sys.argv = ["telbench", *arguments]
    codes: dict[int, CodeType] = {}
    with entered(codes):
        code = run_quietly(command)
    if code:
        raise SystemExit(f"telbench {arguments[0]} ended with exit code {code}")
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
    parser.add_argument("--flow", choices=FLOWS, default="score", help="which of them (default: score)")
    parser.add_argument("--metrics", default="", metavar="NAME,…", help="of these metrics (default: the command's own)")
    parser.add_argument("--most-functions", type=int, metavar="N", help="exit with 1 where there are more")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        named, every = stations(passed(args.flow, Path(folder), args.metrics))
    print(f"{FLOWS[args.flow][1]}: {count(named)}")
    print(f"with module bodies, lambdas and comprehensions: {count(every)}")
    print(*listing(named), sep="\n")
    return int(args.most_functions is not None and len(named) > args.most_functions)


if __name__ == "__main__":
    sys.exit(main())
