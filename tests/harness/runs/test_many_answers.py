"""``telbench score`` of files whose items and answers are on disk: the run of few, and no more memory for more."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from telbench.harness import spool
from telbench.harness.cli.main import main
from telbench.harness.datasets import items as held
from telbench.harness.runs.folder import JOURNAL, SAMPLES

TIMES = ("created", "command", "seconds", "machine")
METRICS = ("--metrics", "exact_match,token_f1,chrf")
OPTIONS = ["the AMF", "the SMF", "the UPF"]


def write_files(folder: Path, count: int) -> list[str]:
    """Open questions and such with options, answers in another order; some are null, absent, traced or of no item."""
    folder.mkdir(exist_ok=True)
    data, answers = folder / "questions.jsonl", folder / "answers.jsonl"
    with data.open("w") as questions, answers.open("w") as predictions:
        for number in range(count):
            item: dict[str, Any] = {"id": f"q{number}", "question": f"What of {number}?", "references": [f"r {number}"]}
            if number % 3 == 1:
                item = {"id": f"q{number}", "question": "Which?", "choices": OPTIONS, "answer": number % 2}
            questions.write(json.dumps({**item, "source_document": f"d{number % 7}"}) + "\n")
        for number in (*range(1, count, 2), *range(0, count, 2)):
            answer: dict[str, Any] = {"id": f"q{number}", "prediction": f"r {number - number % 5}"}
            if number % 3 == 1:
                answer |= {"prediction": "A", "shown_choices": [number % 3, 2, 0]}
            if number % 10 == 4:
                answer |= {"prediction": None, "reasoning": "Hm."}
            if number % 10 != 6:
                predictions.write(json.dumps(answer) + "\n")
        predictions.write(json.dumps({"id": "stranger", "prediction": ""}) + "\n")
    return ["score", str(answers), "--data", str(data), "--missing-cap", "0.5"]


def made(out: Path) -> tuple[bytes, bytes, dict[str, Any]]:
    header = json.loads((out / "run.json").read_text())
    told = {name: value for name, value in header.items() if name not in TIMES}
    return (out / SAMPLES).read_bytes(), (out / JOURNAL).read_bytes(), told


def test_a_run_from_disk_is_the_run_from_memory_to_the_last_byte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = write_files(tmp_path, 300)
    assert main([*command, "--out", str(tmp_path / "memory")]) == 0
    memory = capsys.readouterr()
    monkeypatch.setattr(held, "HELD", 10)
    monkeypatch.setattr(spool, "HELD", 1_000)
    monkeypatch.setattr(spool, "BLOCK", 2_000)
    assert main([*command, "--out", str(tmp_path / "disk")]) == 0
    disk = capsys.readouterr()
    assert made(tmp_path / "disk") == made(tmp_path / "memory")
    assert disk.out == memory.out
    assert disk.err.replace("/disk", "/memory") == memory.err
    assert "1 answers of the file are to no item of the data (the first: 'stranger')" in disk.err


def test_a_full_disk_for_what_is_set_aside_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = write_files(tmp_path, 300)
    monkeypatch.setattr(held, "HELD", 10)
    monkeypatch.setattr(spool, "HELD", 1_000)
    monkeypatch.setattr(spool, "BLOCK", 2_000)
    full = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5_000, full[1]))
    try:
        assert main([*command, "--out", str(tmp_path / "run")]) == 2
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, full)
        signal.signal(signal.SIGXFSZ, before)
    lines = capsys.readouterr().err.splitlines()
    assert "name another folder with TMPDIR" in lines[-1]
    assert main([*command, "--out", str(tmp_path / "run")]) == 0


@pytest.fixture
def waiting(tmp_path: Path) -> list[str]:
    """A command whose scoring takes a while, with two processes beside it."""
    command = [*write_files(tmp_path, 6_000), *METRICS, "--workers", "2", "--out", str(tmp_path / "run")]
    return [sys.executable, "-m", "telbench", *command]


def _until(path: Path, lines: int, process: subprocess.Popen[str]) -> None:
    until = time.monotonic() + 240
    while not path.exists() or path.read_bytes().count(b"\n") < lines:
        assert process.poll() is None, process.stderr and process.stderr.read()
        assert time.monotonic() < until
        time.sleep(0.01)


@pytest.mark.slow
@pytest.mark.parametrize(("file", "lines"), [(JOURNAL, 100), (f"{SAMPLES}.tmp", 1_000)])
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_it_goes_on_after_a_stop_with_the_same_samples(
    how: signal.Signals, file: str, lines: int, waiting: list[str], tmp_path: Path
) -> None:
    with subprocess.Popen(waiting, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        _until(tmp_path / "run" / file, lines, process)
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        os.kill(process.pid, how)
        told = process.stderr.read() if process.stderr else ""
    assert process.returncode == (-9 if how is signal.SIGKILL else 130), told
    assert how is signal.SIGKILL or "resume with: " in told
    until = time.monotonic() + 60
    while any(Path("/proc", child).exists() for child in children):
        assert time.monotonic() < until
        time.sleep(0.05)
    assert subprocess.run(waiting, capture_output=True, check=False).returncode == 0
    alone = [*waiting[3:-1], str(tmp_path / "alone")]
    assert main(alone) == 0
    assert (tmp_path / "run" / SAMPLES).read_bytes() == (tmp_path / "alone" / SAMPLES).read_bytes()
    keys = [json.loads(line)["key"] for line in (tmp_path / "run" / JOURNAL).read_text().splitlines()]
    assert len({*keys} - {"engine"}) == 6_000


CHILD = """
import resource, sys
from telbench.harness.cli.main import main
code = main(sys.argv[1:])
print(code, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
def test_more_answers_take_no_more_memory_than_their_places(tmp_path: Path) -> None:
    peaks: list[int] = []
    for count in (30_000, 90_000):
        command = [*write_files(tmp_path / str(count), count), "--metrics", "exact_match"]
        command = [sys.executable, "-c", CHILD, *command, "--out", str(tmp_path / f"run-{count}")]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        code, peak = done.stdout.split()[-2:]
        assert code == "0", done.stderr
        peaks.append(1024 * int(peak))
    # Texts of an item and its answers take 1,000 bytes as objects.
    assert (peaks[1] - peaks[0]) / 60_000 < 200
