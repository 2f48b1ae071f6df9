"""Claim: 1,000,000 answers are scored in under ten minutes on two cores, in memory that hardly grows.

Run: ``python benchmarks/million_answers.py 1000000 [--workers 2] [--metrics ngram] [--keep FOLDER]`` (Linux). Give
several sizes to see what grows with them. For each size it writes a data file and a file of answers, and runs
``telbench score`` on them as a user would, with the default metrics or those named. It reports wall clock, CPU seconds,
the peak of each process's memory, and how many bytes the first process's peak grew by for each further answer.

The items are the 2,027 of telecom-nano with both references, asked round after round, as when many draws or checkpoints
answer one test set. The answers take eight forms in turn (see `answer_to`), each with the name of a cell of its round:
no answer occurs twice. With ``--apart`` questions and references name the cell too, so that no text occurs twice, and
nothing is remembered of any; that is the dearest data there is. Nothing is drawn at random.

Checked: ``--sample`` items, evenly spaced, are scored once more by themselves, in one process. Each of their lines in
``samples.jsonl`` has to be the same, byte for byte; else the exit code is 1. So it is where a run took ten minutes for
each million answers, or longer (``--limit`` seconds), or where memory grew by more than ``ALLOWED`` bytes an answer.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from telbench.harness.datasets.items import Item
from telbench.harness.datasets.loading import load_dataset

SYLLABLES = ("ba", "ke", "li", "mo", "nu", "pa", "re", "si", "to", "vu")
FORMS = 8
# Bytes a further answer, of the first process's peak.
ALLOWED = 150
SECONDS_A_MILLION = 600.0
TELBENCH = (sys.executable, "-m", "telbench")


def cell(number: int) -> str:
    """A name for each number, of letters alone: digits would be one more fact of each reference.

    >>> cell(0), cell(1203)
    ('Bababababa', 'Bakelibamo')
    """
    return "".join(SYLLABLES[int(digit)] for digit in f"{number:05d}").capitalize()


def answer_to(number: int, item: Item, other: Item, where: str) -> str:
    """An answer in one of eight forms: right, in other words, cut, jumbled, from the context, wrong, denied, long."""
    first, *more = item.references
    match number % FORMS:
        case 0:
            return f"In cell {where}: {first}"
        case 1:
            return f"{(more or [first])[0]} So it is in {where}."
        case 2:
            words = first.split()
            return f"{where}: {' '.join(words[: max(1, 2 * len(words) // 3)])}"
        case 3:
            words = first.split()
            return " ".join([*words[1::2], where, *words[::2]])
        case 4:
            return f"In {where}, {(item.context or first).split('. ')[0]}"
        case 5:
            return f"For {where}: {other.references[0]}"
        case 6:
            return f"At {where} {first.replace(' is ', ' is not ', 1).replace(' are ', ' are not ', 1)}"
        case _:
            return f"{where}. {(item.context or first)[:240]} In short: {first}"


def records(count: int, *, apart: bool = False) -> Iterator[tuple[dict[str, Any], dict[str, str]]]:
    """Items and answers, so many; the n-th is the same whatever the count."""
    items = load_dataset("telecom-nano", split="all").items
    for number in range(count):
        turn, place = divmod(number, len(items))
        item, where = items[place], cell(turn)
        asked = {
            "id": f"{item.id}-{where.lower()}",
            "question": f"In cell {where}: {item.question}" if apart else item.question,
            "references": [f"In cell {where}, {text}" if apart else text for text in item.references],
            "context": item.context,
            "source_document": item.source_document,
            "category": item.category,
        }
        # Forms go on from round to round, so that an item meets all of them.
        said = answer_to(number + turn, item, items[(place + 7 * turn + 1) % len(items)], where)
        yield asked, {"id": asked["id"], "prediction": said}


def write_files(folder: Path, count: int, step: int = 1, *, apart: bool = False) -> tuple[Path, Path]:
    """A data file and a file of answers, of each ``step``-th of ``count`` records."""
    data, answers = folder / "questions.jsonl", folder / "answers.jsonl"
    with data.open("w") as questions, answers.open("w") as predictions:
        for number, (asked, said) in enumerate(records(count, apart=apart)):
            if number % step == 0:
                questions.write(json.dumps(asked) + "\n")
                predictions.write(json.dumps(said) + "\n")
    return data, answers


@dataclass
class Watched:
    """What a command took: seconds by the clock and of the processors, and the peaks of its processes in bytes."""

    wall: float = 0.0
    cpu: float = 0.0
    peaks: dict[int, int] = field(default_factory=dict)
    spent: dict[int, float] = field(default_factory=dict)

    @property
    def first(self) -> int:
        """The peak of the process that was started."""
        return next(iter(self.peaks.values()))


def watched(command: list[str]) -> Watched:
    """Run a command to its end; its processes are looked at four times a second."""
    found, started, before = Watched(), time.perf_counter(), os.times()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        while process.poll() is None:
            for pid in (process.pid, *_children(process.pid)):
                if peak := _peak(pid):
                    found.peaks[pid] = max(peak, found.peaks.get(pid, 0))
                    found.spent[pid] = _spent(pid) or found.spent.get(pid, 0.0)
            time.sleep(0.25)
        told = process.stderr.read() if process.stderr else ""
    assert process.returncode == 0, told
    after = os.times()
    found.wall = time.perf_counter() - started
    found.cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return found


def _children(pid: int) -> list[int]:
    try:
        return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def _peak(pid: int) -> int:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM")), 0)


def _spent(pid: int) -> float:
    """CPU seconds of a process; 0 where it has gone."""
    try:
        facts = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    except OSError:
        return 0.0
    return (int(facts[11]) + int(facts[12])) / os.sysconf("SC_CLK_TCK")


def scored(folder: Path, data: Path, answers: Path, workers: int, metrics: str | None) -> tuple[Watched, Path]:
    """`telbench score` as a user types it; the run folder."""
    out = folder / "run"
    command = [*TELBENCH, "score", str(answers), "--data", str(data), "--out", str(out), "--workers", str(workers)]
    return watched([*command, *(["--metrics", metrics] if metrics else [])]), out


def different(folder: Path, run: Path, count: int, sample: int, metrics: str | None, *, apart: bool) -> int:
    """How many of ``sample`` lines of the run are not those of a run of these items alone."""
    step, small = max(1, count // sample), folder / "small"
    small.mkdir()
    _, few = scored(small, *write_files(small, count, step, apart=apart), workers=1, metrics=metrics)
    with (run / "samples.jsonl").open() as large, (few / "samples.jsonl").open() as lines:
        picked = (line for number, line in enumerate(large) if number % step == 0)
        return sum(one != other for one, other in zip(picked, lines, strict=True))


def main() -> int:
    """Measure each size, print a line for it; 1 where a claim does not hold."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("sizes", nargs="*", type=int, default=[50_000, 200_000])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--metrics", metavar="NAME,...", help="default: those of the data")
    parser.add_argument("--sample", type=int, default=500, help="items that are scored once more by themselves")
    parser.add_argument("--apart", action="store_true", help="no question and no reference occurs twice")
    parser.add_argument(
        "--limit", type=float, help="seconds by the clock (default: 600 a million answers, 60 at least)"
    )
    parser.add_argument("--keep", type=Path, help="leave the files and runs of each size in this folder")
    given = parser.parse_args()
    wrong, before = 0, None
    print(f"{'answers':>9} {'files MB':>9} {'wall s':>8} {'CPU s':>8} {'ms each':>8}  peak MB (CPU s) of each process")
    for count in given.sizes:
        with tempfile.TemporaryDirectory(dir=given.keep) as name:
            folder = Path(name)
            data, answers = write_files(folder, count, apart=given.apart)
            size = data.stat().st_size + answers.stat().st_size
            took, run = scored(folder, data, answers, given.workers, given.metrics)
            own = sorted(took.peaks.items(), key=lambda each: (each[1] != took.first, -each[1]))
            peaks = ", ".join(f"{peak / 1e6:.0f} ({took.spent[pid]:.0f} s)" for pid, peak in own)
            each = 1e3 * took.cpu / count
            print(
                f"{count:>9,} {size / 1e6:>9.1f} {took.wall:>8.1f} {took.cpu:>8.1f} {each:>8.3f}  {peaks}", flush=True
            )
            apart = different(folder, run, count, given.sample, given.metrics, apart=given.apart)
            if given.keep:
                shutil.copytree(folder, given.keep / f"answers-{count}", dirs_exist_ok=True)
            seconds = json.loads((run / "run.json").read_text())["seconds"]
            print(f"{'':9} lines that differ from a small run's: {apart}; seconds by step: {seconds}", flush=True)
        wrong += bool(apart) + (took.wall > (given.limit or max(60.0, SECONDS_A_MILLION * count / 1e6)))
        if before is not None:
            grown = (took.first - before[1]) / (count - before[0])
            print(
                f"{'':9} the first process's peak grew by {grown:.0f} bytes an answer (allowed {ALLOWED})", flush=True
            )
            wrong += grown > ALLOWED
        before = (count, took.first)
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
