"""Tutorials are run as a reader would: every block of commands, in order, in an empty folder.

A block without a language is typed. ``python`` and ``toml`` blocks that begin with ``# NAME`` are saved under it, and
``text`` is output. What is not run says so: ``<!-- not run here: why -->`` above it.
"""

from __future__ import annotations

import csv
import json
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from .installed import install
from .workflows import Stage, run_bash

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "docs" / "tutorials"
PAGES = {path.stem for path in FOLDER.glob("*.md")}
_BLOCK = re.compile(r"(<!-- not run here: [^>]+ -->\n)?^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """``kind`` is typed, saved, output or left (not run here)."""

    kind: str
    text: str


def blocks(text: str) -> list[Block]:
    """The fenced blocks of a page; one that is of no kind is an error."""
    found: list[Block] = []
    for mark, language, body in _BLOCK.findall(text):
        if mark:
            found.append(Block("left", body))
        elif language in ("python", "toml") and re.match(r"# [\w.]+\n", body):
            found.append(Block("saved", body))
        elif language in ("", "text"):
            found.append(Block("output" if language else "typed", body))
        else:
            raise AssertionError(f"neither run nor marked: {body}")
    return found


def follow(stage: Stage, page: str, before: dict[str, object] | None = None) -> str:
    """Do what the page says; what it printed. ``before`` has callables by the words of the block that they precede."""
    said: list[str] = []
    for block in blocks((FOLDER / f"{page}.md").read_text("utf-8")):
        if block.kind == "saved":
            (stage.folder / block.text.splitlines()[0].removeprefix("# ")).write_text(block.text)
        elif block.kind == "typed":
            for words, prepare in (before or {}).items():
                if words in block.text:
                    assert callable(prepare)
                    prepare()
            told = run_bash(stage, block.text)
            # A gate that says no, or cannot tell, is an answer.
            fine = (0, 1, 3) if "telbench check" in block.text else (0,)
            assert told.returncode in fine, f"{block.text}\n{told.stdout}{told.stderr}"
            said.append(told.stdout)
    return "\n".join(said)


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    folder = tmp_path / "reader"
    folder.mkdir()
    env = {"PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]), "OMP_NUM_THREADS": "1"}
    env |= {"TELBENCH_CACHE": str(tmp_path / "cache"), "PYTHONPATH": os.environ.get("PYTHONPATH", "")}
    return Stage(folder, tmp_path, {}, env)


def place(stage: Stage, name: str, target: Path) -> None:
    (stage.folder / "path" / "to").mkdir(parents=True, exist_ok=True)
    (stage.folder / "path" / "to" / name).symlink_to(target)


def test_every_tutorial_has_a_test_and_a_place_in_the_menu() -> None:
    assert {"evaluate", "compare-and-gate", "distil", "judge", "metric"} == PAGES
    menu = (ROOT / "mkdocs.yml").read_text("utf-8")
    assert [page for page in PAGES if f"tutorials/{page}.md" not in menu] == []


def test_a_block_of_no_kind_is_an_error_and_a_marked_one_is_left() -> None:
    assert [each.kind for each in blocks("```\na\n```\n\n```text\nb\n```\n")] == ["typed", "output"]
    assert blocks("<!-- not run here: no network -->\n```\na\n```\n")[0].kind == "left"
    with pytest.raises(AssertionError, match="neither run nor marked"):
        blocks("```bash\na\n```\n")


def test_a_command_that_fails_is_seen(stage: Stage, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(globals(), "FOLDER", tmp_path)
    (tmp_path / "wrong.md").write_text("# A\n```\nfalse\n```\n")
    with pytest.raises(AssertionError, match="false"):
        follow(stage, "wrong")


@pytest.mark.slow
def test_evaluate(stage: Stage, tiny_checkpoint: Path) -> None:
    place(stage, "checkpoint", tiny_checkpoint)
    said = follow(stage, "evaluate")
    assert json.loads((stage.folder / "runs" / "first" / "run.json").read_text())["data"]["n"] == 20
    assert "Access and Mobility Management Function" in said


@pytest.mark.slow
def test_compare_and_gate(stage: Stage) -> None:
    said = follow(stage, "compare-and-gate")
    assert "candidate is better than today on token_f1" in said
    assert "PASS: candidate against today" in said
    assert (stage.folder / "site" / "index.html").is_file()


@pytest.mark.slow
def test_distil(stage: Stage, tmp_path: Path, tiny_checkpoint: Path) -> None:
    place(stage, "teacher", tiny_checkpoint)
    place(stage, "student", tiny_checkpoint)
    follow(stage, "distil")
    for name in ("teacher", "student-kd", "student-alone"):
        assert (stage.folder / name / "telbench.json").is_file()


@pytest.mark.slow
def test_judge(stage: Stage) -> None:
    plugin = ROOT / "tests" / "plugins" / "constant_judge"
    site = stage.scratch / "site"
    site.mkdir()
    install(site, "constant-judge", {"telbench.judges": {"constant": "constant_judge:CONSTANT"}})
    paths = [stage.env["PYTHONPATH"], str(site), str(plugin)]
    env = {**stage.env, "PYTHONPATH": os.pathsep.join(path for path in paths if path), "JUDGE": "constant:3"}
    judged = Stage(stage.folder, stage.scratch, {}, env)
    first = blocks((FOLDER / "compare-and-gate.md").read_text("utf-8"))[0]
    (stage.folder / "answers.py").write_text(first.text)
    assert run_bash(stage, "python answers.py").returncode == 0

    def people() -> None:
        rows = list(csv.reader((stage.folder / "sheet.csv").open(encoding="utf-8-sig", newline="")))
        column = rows[0].index("score")
        for name, shift in (("anna", 0), ("bo", 1)):
            with (stage.folder / f"{name}.csv").open("w", newline="") as file:
                for place, row in enumerate(rows[1:]):
                    row[column] = str(1 + 3 * ("no idea" not in row) + (shift and place % 9 == 0))
                csv.writer(file).writerows(rows)

    said = follow(judged, "judge", {"judge labels": people})
    assert "alpha" in said
    assert (stage.folder / "labels.jsonl").is_file()


@pytest.mark.slow
def test_metric(stage: Stage) -> None:
    site = stage.scratch / "site"
    site.mkdir()
    install(site, "units-kept", {"telbench.metrics": {"units_kept": "units_kept:units_kept"}})
    stage.stub("pip", 'for last; do :; done; test -f "$last/pyproject.toml"')
    paths = [stage.env["PYTHONPATH"], str(site), str(stage.folder)]
    env = {**stage.env, "PYTHONPATH": os.pathsep.join(path for path in paths if path)}
    said = follow(Stage(stage.folder, stage.scratch, {}, env), "metric")
    assert stage.calls("pip") == ["install --no-deps ."]
    assert "units_kept: keeps the contract" in said
    entry = json.loads((stage.folder / "runs" / "units" / "run.json").read_text())["metrics"]["units_kept"]
    assert (entry["value"], entry["n"], entry["n_missing"]) == (0.5, 2, 1)
