"""``telbench kd algorithms``: the table, one record whole, JSON, and that no other place names an algorithm."""

from __future__ import annotations

import ast
import json
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from telbench.config import setting
from telbench.harness.cli.main import main
from telbench.kd.commands import algorithms as command
from telbench.kd.objectives import contract
from telbench.kd.objectives.contract import DIFFERENT, GROUP, Objective, always, objective_named
from telbench.registry import listed

ROOT = Path(__file__).resolve().parents[3]
# Where a name is meant as a name: records; the words of studies, whose levels stand for several; the demo's own study;
# the verb sft; the note of a checkpoint that was fine-tuned; and an example in a message.
MAY_NAME = {
    "kd/commands/demo.py": None,
    "kd/commands/main.py": {"sft"},
    "kd/settings.py": {"sft"},
    "kd/train/candidate.py": {"sft"},
    # The divergence of that name.
    "kd/losses/uld.py": {"uld"},
}


def shown(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main(["kd", "algorithms", *words]) == 0
    return capsys.readouterr().out


def test_every_algorithm_has_a_line_with_what_its_record_says(capsys: pytest.CaptureFixture[str]) -> None:
    lines = {line.split()[0]: line for line in shown(capsys).splitlines() if line}
    for name in listed(GROUP):
        record = objective_named(name)
        assert ("any two" in lines[name]) == record.permits(DIFFERENT).allowed
        assert (" yes " in lines[name]) == record.cacheable
        assert command.NEEDS[record.needs] in lines[name]
        assert "telbench " in lines[name]


def test_one_is_shown_whole_and_every_built_in_names_its_source(capsys: pytest.CaptureFixture[str]) -> None:
    told = shown(capsys, "dskd_v2")
    assert "arXiv 2504.11426" in told
    assert "--highest-share" in told
    assert "--projector-learning-rate  0.0005" in told
    assert "--student-share" not in told
    assert [name for name in listed(GROUP) if name != "sft" and not objective_named(name).source] == []


def test_json_has_the_same_and_options_with_the_algorithms_own_defaults(capsys: pytest.CaptureFixture[str]) -> None:
    told = {each["name"]: each for each in json.loads(shown(capsys, "--json"))["algorithms"]}
    assert set(told) == set(listed(GROUP))
    defaults = {name: {one["name"]: one["default"] for one in each["options"]} for name, each in told.items()}
    assert (defaults["uld"]["temperature"], defaults["vanilla_kd"]["temperature"]) == (1.0, 2.0)
    assert told["gkd"]["on_policy"]
    assert not told["gkd"]["teacher_cache"]
    assert all(each["fault"] is None for each in told.values())
    (one,) = json.loads(shown(capsys, "uld", "--json"))["algorithms"]
    assert one == told["uld"]


@dataclass(frozen=True)
class Options:
    gentleness: float = setting(0.3, "how gentle it is")


GENTLE = Objective(
    name="gentle", card="kind", loss=objective_named("sft").loss, permits=always("kind"), options=Options
)


def test_a_packages_algorithm_is_listed_and_one_that_cannot_be_loaded_says_why(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    points = {
        "gentle": EntryPoint("gentle", f"{__name__}:GENTLE", GROUP),
        "broken": EntryPoint("broken", "no_such_module:X", GROUP),
    }
    monkeypatch.setattr("telbench.registry.listed", lambda group: points)
    monkeypatch.setattr(contract, "listed", lambda group: points)
    monkeypatch.setattr(command, "listed", lambda group: points)
    told = shown(capsys)
    assert "cannot be loaded: plugin 'broken' (no_such_module:X) cannot be loaded" in told
    assert "--objective-options gentleness= 0.3 how gentle it is" in " ".join(shown(capsys, "gentle").split())


def test_an_unknown_name_is_refused_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["kd", "algorithms", "dskd_v3"]) == 2
    assert "unknown algorithm 'dskd_v3': did you mean dskd_v2" in capsys.readouterr().err


def named_in(file: Path) -> set[str]:
    """Algorithms whose name is a whole text in the code, or a word of one that is a message."""
    tree = ast.parse(file.read_text("utf-8"))
    texts = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    documented = {
        ast.get_docstring(node, clean=False)
        for node in ast.walk(tree)
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef))
    }
    words = {word.strip("'\":;,.()") for text in texts - documented for word in text.split()}
    return words & set(listed(GROUP))


def test_no_place_outside_its_record_names_an_algorithm() -> None:
    found: dict[str, set[str]] = {}
    for file in sorted((ROOT / "kd").rglob("*.py")):
        path = file.relative_to(ROOT).as_posix()
        if path.startswith(("kd/objectives/", "kd/study/")) or MAY_NAME.get(path, ()) is None:
            continue
        if others := named_in(file) - MAY_NAME.get(path, set()):
            found[path] = others
    assert found == {}


def test_a_name_in_a_message_is_seen(tmp_path: Path) -> None:
    (tmp_path / "some.py").write_text('"""About uld."""\nraise ValueError("use dskd_cma or another")\n')
    assert named_in(tmp_path / "some.py") == {"dskd_cma"}
