"""The table of `make mutants` names what is there, and faults are planted where code runs."""

from __future__ import annotations

import ast
import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]


def load_driver() -> Any:
    spec = importlib.util.spec_from_file_location("telbench_mutants", ROOT / "benchmarks" / "mutants.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


mutants = load_driver()
SUBJECTS = {each.name: each for each in mutants.subjects()}


@pytest.mark.parametrize("name", SUBJECTS)
def test_modules_and_tests_of_a_subject_are_there(name: str) -> None:
    subject = SUBJECTS[name]
    assert subject.modules
    assert subject.tests
    for path in (*map(mutants.file_of, subject.modules), *(test.partition("::")[0] for test in subject.tests)):
        assert (ROOT / path).is_file(), path
    for test in subject.tests:
        path, _, name = test.partition("::")
        assert f"def {name.partition('[')[0]}" in (ROOT / path).read_text("utf-8"), test


def test_an_accepted_fault_is_in_a_line_that_is_there_and_has_a_reason() -> None:
    for (subject, before, after), reason in mutants.accepted().items():
        text = " ".join(
            " ".join((ROOT / mutants.file_of(module)).read_text("utf-8").split())
            for module in SUBJECTS[subject].modules
        )
        assert before in text, f"{subject}: {before}"
        assert before != after
        assert len(reason) > 20


def test_a_room_is_a_subject_or_the_beginning_of_a_path() -> None:
    assert [each.name for each in mutants.chosen("gate")] == ["gate"]
    assert [each.name for each in mutants.chosen("leaderboard/gate.py")] == ["gate"]
    assert {each.name for each in mutants.chosen("metrics/")} == {"choice", "parsed"}
    assert len(mutants.chosen("")) == len(SUBJECTS) >= 12
    with pytest.raises(SystemExit, match="no subject nowhere"):
        mutants.chosen("nowhere")


SOURCE = '''
from __future__ import annotations
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    import numpy as np; LEVEL = 7
Name = int | str
@cached(maxsize=3)
def double(value: int | None = None, *, by: int = 2) -> float | None:
    """Doubles by 2."""
    if value < 10:
        raise ValueError(f"{value - 1} is less than {10 + 1}")
    return value * by
if __name__ == "__main__":
    double(5)
'''


def test_faults_are_planted_in_what_runs_and_not_in_annotations_decorators_messages() -> None:
    pytest.importorskip("cosmic_ray", reason="cosmic-ray is not installed")
    lines = SOURCE.splitlines()
    found = set()
    for choices in mutants._places(SOURCE):
        for operator, occurrence in choices:
            made = mutants._made("double.py", SOURCE, operator, occurrence)
            assert made.before == " ".join(lines[made.line - 1].split())
            ast.parse(made.code)
            found.add(made.after)
    assert found == {
        *(f"def double(value: int | None = None, *, by: int = {number}) -> float | None:" for number in (1, 3)),
        *(f"if value {sign} 10:" for sign in ("<=", ">=")),
        *(f"if value < {number}:" for number in (9, 11)),
        "if not value < 10:",
        *(f"return value {sign} by" for sign in ("/", "+")),
    }


def test_the_seed_decides_which_faults_and_in_which_order() -> None:
    pytest.importorskip("cosmic_ray", reason="cosmic-ray is not installed")
    (subject,) = mutants.chosen("composite")
    first, again, other = (mutants.mutants_of(subject, seed) for seed in (1, 1, 2))
    assert first == again
    assert [each.line for each in first] != [each.line for each in other]
    assert len({(each.path, each.line, each.before, each.after) for each in first}) > 20


def test_packages_are_found_in_the_copy_under_their_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = tmp_path / "tree"
    for folder in ("judges", "harness/package"):
        (tree / folder).mkdir(parents=True)
        (tree / folder / "__init__.py").write_text(f"PLACE = {folder!r}\n")
    folders = {"telbench.judges": "judges", "telbench": "harness/package"}
    monkeypatch.setattr(mutants, "packages", lambda: folders)
    mutants.linked(tree, tmp_path / "path")
    made = tmp_path / "path" / "telbench"
    assert (made / "__init__.py").read_text() == "PLACE = 'harness/package'\n"
    assert (made / "judges" / "__init__.py").read_text() == "PLACE = 'judges'\n"


@pytest.mark.parametrize("name", SUBJECTS)
def test_what_a_subject_needs_is_in_the_copy(name: str) -> None:
    files = (*map(mutants.file_of, SUBJECTS[name].modules), *(test.partition("::")[0] for test in SUBJECTS[name].tests))
    for path in map(ROOT.joinpath, files):
        for part in (path, *path.parents[: path.parents.index(ROOT)]):
            assert not mutants.left_out(str(part.parent), [part.name]), path
    assert mutants.left_out(str(ROOT), [".git", "runs", "demo", "kd"]) == {".git", "runs", "demo"}
    assert mutants.left_out(str(ROOT / "kd"), ["__pycache__", ".x", "runs"]) == {"__pycache__", ".x"}


def test_a_fault_that_a_test_notices_is_told_from_one_that_none_does(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "pyproject.toml").write_text("[tool.pytest.ini_options]\nmarkers = ['slow']\n")
    bodies = {"good": "assert True", "bad": "assert False", "long": "__import__('time').sleep(600)"}
    for name, body in bodies.items():
        (tree / f"test_{name}.py").write_text(f"def test_{name}():\n    {body}\n")
    limits = {"good": 60.0, "bad": 60.0, "long": 2.0}
    outcomes = {name: mutants.run_tests(tree, [f"test_{name}.py"], limits[name], tmp_path / name) for name in bodies}
    assert outcomes == {"good": 0, "bad": 1, "long": None}
    assert "1 failed" in (tmp_path / "bad").read_text()
