"""``telbench kd``: each sub-command's options, and only those of the one that is called."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from telbench.errors import InputError
from telbench.harness.cli.main import main
from telbench.kd.commands.main import ACTIONS

CALLED = """
import contextlib, io, sys
from telbench.harness.cli.main import main
with contextlib.redirect_stdout(io.StringIO()):
    assert main(["kd", "vocab", "--help"]) == 0
print(*(name.rpartition(".")[2] for name in sys.modules if name.startswith("telbench.kd.commands.")))
"""


def test_no_other_sub_command_is_imported() -> None:
    run = subprocess.run([sys.executable, "-c", CALLED], capture_output=True, text=True, check=True)
    assert set(run.stdout.split()) == {"main", "vocab"}


def test_help_lists_all_sub_commands_with_what_they_do(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["kd", "--help"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert all(name in shown and told in shown for name, (_, told) in ACTIONS.items())


@pytest.mark.parametrize("name", ACTIONS)
def test_the_help_of_each_has_its_options(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["kd", name, "--help"]) == 0
    shown = capsys.readouterr().out
    assert f"usage: telbench kd {name}" in shown
    assert "--out" in shown or name in {"vocab", "algorithms"}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["vocab", "a", "b", "--naive-id"], "unknown option --naive-id: did you mean --naive-id-kd"),
        (["vocab", "a", "b", "--shards-of-bread"], "unknown option --shards-of-bread: see telbench kd vocab --help"),
        (["vocab", "a", "b", "--dry-run"], "unknown option --dry-run (telbench kd study would take it)"),
        (["sfd"], "invalid choice: 'sfd'"),
    ],
)
def test_a_wrong_word_is_met_with_what_the_sub_commands_know(
    words: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["kd", *words]) == InputError.exit_code
    assert told in capsys.readouterr().err


@pytest.mark.parametrize(
    ("algorithm", "flag", "readers"),
    [
        ("vanilla_kd", "--highest-share", "dskd_v2"),
        ("simple_ctkd", "--student-share", "gkd"),
        ("uld", "--divergence", "dskd"),
    ],
)
def test_a_flag_that_the_algorithm_does_not_read_is_refused_with_those_that_do(
    algorithm: str, flag: str, readers: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    value = "reverse_kl" if flag == "--divergence" else "0.5"
    words = ["kd", "distill", "--teacher", "t", "--student", "s", "--algorithm", algorithm, flag, value]
    assert main([*words, "--out", str(tmp_path / "made")]) == 2
    told = capsys.readouterr().err
    assert f"{flag} changes nothing: {algorithm} does not read it, only " in told
    assert readers in told
    assert not list(tmp_path.iterdir())
