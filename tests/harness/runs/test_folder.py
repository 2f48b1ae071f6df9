"""The run folder: one process, one run, nobody else's files."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from telbench.errors import InputError
from telbench.harness.runs.folder import RunFolder, read_run, read_samples
from telbench.harness.storage import LOCK, FolderLock

DEPENDS = {"model": "m", "data": "d", "sampling": {"stop": ("a",)}}
HEADER = {"schema_version": 1, "run_id": "r1", "depends_on": DEPENDS, "created": "2026-01-01T00:00:00+00:00"}
HOLD = """
import sys, time
from pathlib import Path
from telbench.harness.storage import FolderLock
lock = FolderLock(Path(sys.argv[1]))
print("held", flush=True)
time.sleep(60)
"""


def files(folder: Path) -> set[str]:
    return {entry.name for entry in folder.iterdir()}


def finished_run(path: Path) -> None:
    folder = RunFolder(path)
    folder.claim("r1", DEPENDS, fresh=False)
    folder.begin(HEADER, "data: d\n")
    (path / "completions.jsonl").write_text("")
    (path / "samples.jsonl.tmp").write_text('{"item_id": "a"}\n')
    folder.finish({**HEADER, "status": "complete"})
    folder.release()


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds ``tmp_path``."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_finished_run_has_its_header_and_no_partial_one(tmp_path: Path):
    finished_run(tmp_path / "run")
    assert files(tmp_path / "run") == {"run.json", "run.yaml", "samples.jsonl", "completions.jsonl"}
    assert read_run(tmp_path / "run")["status"] == "complete"
    assert [sample["item_id"] for sample in read_samples(tmp_path / "run")] == ["a"]


def test_a_header_keeps_whatever_text_a_command_line_or_a_file_name_holds(tmp_path: Path):
    told = {**HEADER, "command": ["telbench", "caf\ud800é 📡\n"], "seconds": {"total": 0.1}}
    folder = RunFolder(tmp_path)
    folder.begin(told, "")
    (tmp_path / "samples.jsonl.tmp").write_text("")
    folder.finish(told)
    folder.release()
    assert (tmp_path / "run.json").read_bytes().isascii()
    assert read_run(tmp_path)["command"] == told["command"]
    again = RunFolder(tmp_path)
    with pytest.raises(ValueError, match="not JSON compliant"):
        again.begin({**told, "seconds": {"total": float("nan")}}, "")
    again.release()


@pytest.mark.parametrize("name", ["run.json.tmp", "run.partial.json", "run.json", "samples.jsonl"])
def test_a_file_that_cannot_be_put_in_place_is_one_line_that_names_it(tmp_path: Path, name: str):
    folder = RunFolder(tmp_path)
    (tmp_path / "samples.jsonl.tmp").write_text("")
    # A folder that is in the way, with something in it, can neither be written nor renamed over nor removed.
    (tmp_path / name / "mine").mkdir(parents=True)

    def publish() -> None:
        folder.begin(HEADER, "")
        folder.finish(HEADER)

    with pytest.raises(InputError, match=r"^cannot write \(.*json.*: free some space and run") as caught:
        publish()
    assert "\n" not in str(caught.value)
    assert (tmp_path / name / "mine").is_dir()
    folder.release()


def test_an_unfinished_run_has_a_partial_header_only_and_says_so_when_read(tmp_path: Path):
    folder = RunFolder(tmp_path)
    folder.begin(HEADER, "")
    folder.release()
    assert files(tmp_path) == {"run.partial.json", "run.yaml"}
    with pytest.raises(InputError, match="not finished: run its command again"):
        read_run(tmp_path)


def test_the_same_run_is_found_and_another_is_refused_with_what_differs(tmp_path: Path):
    finished_run(tmp_path)
    folder = RunFolder(tmp_path)
    try:
        found = folder.claim("r1", DEPENDS, fresh=False)
        assert found is not None
        assert folder.created == HEADER["created"]
        other = {**DEPENDS, "data": "d2", "sampling": {"stop": ()}}
        with pytest.raises(InputError, match=r"holds another run \(other data, sampling\)"):
            folder.claim("r2", other, fresh=False)
    finally:
        folder.release()
    assert read_run(tmp_path)["run_id"] == "r1"


def test_fresh_removes_the_runs_own_files_and_no_other(tmp_path: Path):
    finished_run(tmp_path)
    (tmp_path / "my notes.txt").write_text("mine")
    folder = RunFolder(tmp_path)
    assert folder.claim("r2", DEPENDS, fresh=True) is None
    folder.release()
    assert files(tmp_path) == {"my notes.txt"}


@pytest.mark.parametrize(
    "names", [["thesis.tex"], ["samples.jsonl"], ["completions.jsonl", "log.txt"], ["run.json"], [".gitignore"]]
)
@pytest.mark.parametrize("fresh", [False, True])
def test_a_folder_with_a_users_files_is_refused_and_left_as_it_was(tmp_path: Path, names: list[str], fresh: bool):
    for name in names:
        (tmp_path / name).write_text('{"mine": true}\n')
    with pytest.raises(InputError, match="is no run folder"):
        RunFolder(tmp_path).claim("r1", DEPENDS, fresh=fresh)
    assert files(tmp_path) == set(names)
    assert all((tmp_path / name).read_text() == '{"mine": true}\n' for name in names)


@pytest.mark.parametrize(
    "text", ['{"schema_version": 1}', '{"run_id": "r1"}', '["run_id", "schema_version"]', "5", "null"]
)
def test_json_that_is_no_header_of_a_run_makes_no_run_folder(tmp_path: Path, text: str):
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(InputError, match="no readable run header"):
        RunFolder(tmp_path)
    assert (tmp_path / "run.json").read_text() == text


def test_a_garbled_header_is_refused_rather_than_its_answers_given_to_another_model(tmp_path: Path):
    finished_run(tmp_path)
    (tmp_path / "run.json").write_text('{"schema_version": 1, "run_')
    with pytest.raises(InputError, match="no readable run header"):
        RunFolder(tmp_path)


def test_what_a_process_leaves_that_dies_before_its_first_header_is_no_obstacle(tmp_path: Path):
    (tmp_path / LOCK).write_text("pid 1")
    (tmp_path / "run.json.tmp").write_text('{"half')
    folder = RunFolder(tmp_path)
    assert folder.claim("r1", DEPENDS, fresh=False) is None
    folder.release()


@pytest.mark.parametrize("parent_is_file", [True, False])
def test_a_path_that_cannot_be_a_folder_is_one_line(tmp_path: Path, parent_is_file: bool):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot make the run folder"):
        RunFolder(tmp_path / "file" / "run" if parent_is_file else tmp_path / "file")


def test_a_second_process_is_told_the_first_ones_id(tmp_path: Path, holder: subprocess.Popen[str]):
    with pytest.raises(InputError, match=rf"another telbench process \(pid {holder.pid}\) is writing"):
        RunFolder(tmp_path)


def test_a_second_run_in_the_same_process_is_refused_and_the_first_keeps_its_lock(tmp_path: Path):
    lock = FolderLock(tmp_path)
    with pytest.raises(InputError, match="this one"):
        FolderLock(tmp_path)
    done = subprocess.run([sys.executable, "-c", HOLD, str(tmp_path)], capture_output=True, text=True)
    assert f"pid {os.getpid()}" in done.stderr
    lock.release()
    FolderLock(tmp_path).release()


def test_the_lock_of_a_killed_process_does_not_block(tmp_path: Path, holder: subprocess.Popen[str]):
    holder.kill()
    holder.wait()
    assert (tmp_path / LOCK).exists()
    RunFolder(tmp_path).release()
    assert files(tmp_path) == set()


def test_a_worker_that_outlives_its_killed_parent_does_not_hold_the_folder(tmp_path: Path):
    read, write = os.pipe()
    parent = os.fork()
    if parent == 0:
        lock = FolderLock(tmp_path)
        worker = os.fork()
        if worker == 0:
            time.sleep(30)
            os._exit(0)
        os.write(write, f"{worker}\n".encode())
        time.sleep(30)
        lock.release()
        os._exit(0)
    worker = int(os.read(read, 32))
    try:
        with pytest.raises(InputError, match=rf"pid {parent}\)"):
            FolderLock(tmp_path)
        os.kill(parent, signal.SIGKILL)
        os.waitpid(parent, 0)
        FolderLock(tmp_path).release()
    finally:
        os.kill(worker, signal.SIGKILL)
        os.close(read)
        os.close(write)


def test_a_lock_taken_on_a_file_that_its_owner_just_removed_is_taken_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    import fcntl

    real, calls = fcntl.lockf, []

    def lockf(file: object, mode: int) -> None:
        if not calls:
            (tmp_path / LOCK).unlink()
        calls.append(mode)
        real(file, mode)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(fcntl, "lockf", lockf)
    lock = FolderLock(tmp_path)
    assert len(calls) == 2
    assert (tmp_path / LOCK).read_text() == f"pid {os.getpid()}"
    lock.release()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"schema_version": 99}', "schema 99"),
        ('{"schema_version": 3}', "schema 3, this telbench reads up to 2"),
        ('{"schema_version": "1"}', "no telbench run header"),
        ('{"a": 1}', "no telbench run header"),
        ("[]", "no telbench run header"),
        ("{", "cannot be read as JSON"),
        ("", "cannot be read as JSON"),
    ],
)
def test_a_header_that_cannot_be_read_is_named(tmp_path: Path, content: str, message: str):
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(InputError, match=message):
        read_run(tmp_path)


def test_a_samples_line_that_is_not_json_is_named(tmp_path: Path):
    finished_run(tmp_path)
    (tmp_path / "samples.jsonl").write_text(json.dumps({"item_id": "a"}) + "\n{\n")
    with pytest.raises(InputError, match="line 2 is not JSON"):
        list(read_samples(tmp_path))


def test_samples_that_are_missing_or_no_text_are_named(tmp_path: Path):
    finished_run(tmp_path)
    (tmp_path / "samples.jsonl").write_bytes(b'{"item_id": "\xff"}\n')
    with pytest.raises(InputError, match=r"samples\.jsonl is not UTF-8 text"):
        list(read_samples(tmp_path))
    (tmp_path / "samples.jsonl").unlink()
    with pytest.raises(InputError, match=r"cannot read .*samples\.jsonl: No such file or directory"):
        list(read_samples(tmp_path))


def test_settings_are_kept_as_they_were_asked_or_one_line_says_why_not(tmp_path: Path):
    folder = RunFolder(tmp_path)
    folder.begin(HEADER, "data: Δf.jsonl\n")
    assert (tmp_path / "run.yaml").read_text(encoding="utf-8") == "data: Δf.jsonl\n"
    (tmp_path / "run.yaml").unlink()
    (tmp_path / "run.yaml").mkdir()
    with pytest.raises(
        InputError, match=r"^cannot write \(.*run.yaml: free some space and run the same command again$"
    ):
        folder.begin(HEADER, "data: d\n")
    folder.release()
