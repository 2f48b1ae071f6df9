"""The frame of the command line: what starts fast, how it complains, what closed and narrow streams do to it."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from telbench.errors import IncomparableError, InputError
from telbench.harness.cli import main as dispatch
from telbench.harness.cli.main import COMMANDS, main

TELBENCH = [sys.executable, "-c", "from telbench.harness.cli.main import entry; entry()"]
HEAVY = {"numpy", "torch", "transformers", "vllm", "tokenizers", "pandas", "pyarrow", "sacrebleu", "nltk", "rapidfuzz"}


@pytest.fixture
def answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with data of three items and answers to them, made the current one."""
    rows = [{"id": f"q{n}", "question": f"Größe von T30{n}?", "references": [f"{n} µs"]} for n in range(3)]
    (tmp_path / "data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "µ.txt").write_text("0 µs\n1 µs\nnone\n", "utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TELBENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path


SCORE = ["score", "µ.txt", "--data", "data.jsonl", "--metrics", "token_f1", "--out", "run"]


def modules_after(arguments: list[str]) -> set[str]:
    code = f"import sys; from telbench.harness.cli.main import main\nassert main({arguments!r}) == 0\n"
    code += "print('', ' '.join(sys.modules), sep=chr(10))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return {name.partition(".")[0] for name in done.stdout.splitlines()[-1].split(" ")}


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], *([name, "--help"] for name in COMMANDS)])
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    assert not modules_after(arguments) & HEAVY


def test_score_imports_neither_torch_nor_transformers(answers: Path) -> None:
    assert not modules_after(SCORE) & {"torch", "transformers", "vllm", "tokenizers"}


def test_the_overview_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    assert all(f"\n  {name} " in out for name in COMMANDS)


def test_without_a_command_the_overview_is_a_complaint(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["evall"], "telbench: unknown command 'evall': did you mean eval?"),
        (["\x1b[31m"], "telbench: unknown command '\\x1b[31m': there are eval, suite, score, "),
        (["eval", "--max-token", "4"], "telbench eval: unknown option --max-token: did you mean --max-tokens: see"),
        (["eval", "--temprature=1"], "telbench eval: unknown option --temprature: did you mean --temperature: see"),
        (["data", "show", "x", "--jsn"], "telbench data: unknown option --jsn: did you mean --json: see"),
        (["data", "lst"], "telbench data: argument list|show|lint|split|subset|croissant: invalid choice: 'lst'"),
        (["score"], "telbench score: PREDICTIONS is missing (.jsonl"),
        (["score", "a", "--qqq"], "telbench score: unknown option --qqq: see telbench score --help"),
    ],
)
def test_bad_usage_is_one_line(arguments: list[str], line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith(line)
    assert captured.err.count("\n") == 1
    assert captured.out == ""


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> list[BaseException]:
    """A list; what is put in it is raised by every command."""
    errors: list[BaseException] = []

    def fail(*_: object) -> int:
        raise errors[0]

    monkeypatch.delenv("TELBENCH_DEBUG", raising=False)
    monkeypatch.setattr(dispatch, "_run", fail)
    return errors


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (InputError("a\n  b"), 2, "telbench eval: a b\n"),
        (IncomparableError("x"), 4, "telbench eval: x\n"),
        (KeyboardInterrupt(), 130, "telbench eval: interrupted\n"),
        (
            ValueError("x\ny"),
            5,
            "telbench eval: internal error: ValueError: x y (TELBENCH_DEBUG=1 shows the traceback)\n",
        ),
        (ValueError(), 5, "telbench eval: internal error: ValueError: ValueError (TELBENCH_DEBUG=1 "),
        (OSError(28, "No space left", "f"), 2, "telbench eval: the disk is full (f): free some space and run "),
        (BrokenPipeError(32, "Broken pipe"), 5, "telbench eval: internal error: BrokenPipeError: "),
        (InputError("\x1b]0;x\x07 \u202e \ud800"), 2, "telbench eval: \\x1b]0;x\\x07 \\u202e \\ud800\n"),
    ],
)
def test_an_error_is_one_line_and_its_exit_code(
    error: BaseException, code: int, line: str, failing: list[BaseException], capsys: pytest.CaptureFixture[str]
) -> None:
    failing.append(error)
    assert main(["eval"]) == code
    captured = capsys.readouterr().err
    assert captured.startswith(line)
    assert captured.count("\n") == 1


def test_an_endless_message_is_cut_in_its_middle(
    failing: list[BaseException], capsys: pytest.CaptureFixture[str]
) -> None:
    failing.append(InputError("id " + "x" * 10**6 + " occurs twice"))
    assert main(["eval"]) == 2
    line = capsys.readouterr().err
    assert len(line) < 2100
    assert line.endswith("occurs twice\n")


@pytest.mark.parametrize(("error", "code"), [(InputError("x"), 2), (ValueError("x"), 5)])
def test_debug_shows_the_traceback_above_the_line(
    error: Exception,
    code: int,
    failing: list[BaseException],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    failing.append(error)
    monkeypatch.setenv("TELBENCH_DEBUG", "1")
    assert main(["eval"]) == code
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[-1].startswith("telbench eval: ")


def test_a_terminal_that_knows_ascii_only_gets_escapes(answers: Path) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    for arguments, code in ((SCORE, 0), (["eval", "--help"], 0), (["--help"], 0), (["score", "µ.xlsx"], 2)):
        done = subprocess.run([*TELBENCH, *arguments], capture_output=True, env=environment, timeout=120)
        assert done.returncode == code, done.stderr
        assert (done.stdout + done.stderr).isascii()
    assert b"telbench score: \\xb5.xlsx: " in done.stderr


def test_a_reader_that_goes_away_ends_the_command_quietly(answers: Path) -> None:
    assert main(SCORE) == 0
    for arguments in ([*SCORE, "--json"], ["eval", "--help"], ["data", "show", "telecom-nano", "--json"], ["--help"]):
        read, write = os.pipe()
        os.close(read)
        done = subprocess.run([*TELBENCH, *arguments], stdout=write, stderr=subprocess.PIPE, text=True, timeout=120)
        os.close(write)
        assert done.returncode == 0
        assert "Error" not in done.stderr
        assert "Exception" not in done.stderr


def test_streams_that_are_closed_from_the_start_do_not_matter(answers: Path) -> None:
    done = subprocess.run(f"{shlex.join([*TELBENCH, *SCORE])} >&- 2>&-", shell=True, timeout=120)  # noqa: S602
    assert done.returncode == 0
    assert json.loads((answers / "run" / "run.json").read_text())["status"] == "complete"
    assert len((answers / "run" / "samples.jsonl").read_text().splitlines()) == 3


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_under_stdout_is_one_line(answers: Path) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*TELBENCH, *SCORE, "--json"], stdout=full, stderr=subprocess.PIPE, text=True, timeout=120
        )
    assert done.returncode == 2
    assert "telbench score: the disk is full (stdout)" in done.stderr
    assert "Traceback" not in done.stderr


def test_stdout_has_the_table_whole_on_a_narrow_screen(answers: Path) -> None:
    done = subprocess.run(
        [*TELBENCH, *SCORE], capture_output=True, text=True, env={**os.environ, "COLUMNS": "40"}, timeout=120
    )
    assert done.stdout.splitlines() == [
        "µ on data test (3 items, closed book, replay)",
        "metric    value  95 % interval  n",
        "token_f1  0.667  0.000 – 1.000  3",
    ]


def test_json_is_one_document_on_stdout(answers: Path) -> None:
    done = subprocess.run([*TELBENCH, *SCORE, "--json"], capture_output=True, text=True, timeout=120)
    header = json.loads(done.stdout)
    assert header["metrics"]["token_f1"]["n"] == 3
    assert header["path"] == "run"
    assert "written: run" in done.stderr


def test_help_of_eval_fits_a_screen_and_names_the_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["eval", "--help"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("usage: telbench eval --model CKPT [CKPT ...] [--data NAME|SUITE|PATH ...] [OPTIONS]\n")
    assert "130 interrupted" in out
    assert out.isascii()
