"""A third party's metric, engine, data set and judge, each by the command line; and `telbench plugins`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from telbench.errors import InputError
from telbench.harness.cli.main import main
from telbench.harness.runs.folder import read_run, read_samples
from telbench.judges.spec import parse_judge
from telbench.registry import GROUPS, listed

from ..installed import install

HERE = Path(__file__).parent


def answers(folder: Path, *texts: str) -> Path:
    path = folder / "answers.jsonl"
    ids = ("glossary-AMF", "glossary-SMF", "glossary-UPF")
    path.write_text(
        "".join(json.dumps({"id": each, "prediction": text}) + "\n" for each, text in zip(ids, texts, strict=True))
    )
    return path


def listing(capsys: pytest.CaptureFixture[str]) -> dict[tuple[str, str], dict[str, Any]]:
    assert main(["plugins", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["plugins"]
    return {(row["group"].removeprefix("telbench."), row["name"]): row for row in rows}


def test_a_third_partys_data_set_engine_and_metric_make_a_run(installed_plugins: Path, tmp_path: Path) -> None:
    data = tmp_path / "radio.jsonl"
    rows = [
        {"id": "a", "question": "Is the power -90 dBm or 3 dB?", "references": ["-90 dBm"]},
        {"id": "b", "question": "Is the delay 4 ms?", "references": ["4 ms or 8 ms"]},
        {"id": "c", "question": "Who releases it?", "references": ["the AMF"]},
    ]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    run = tmp_path / "run"
    command = ["eval", "--engine", "echo", "--data", str(data), "--split", "all", "--out", str(run)]
    assert main([*command, "--metrics", "units_kept"]) == 0
    scores = {sample["item_id"]: sample["scores"]["units_kept"] for sample in read_samples(run)}
    # The engine repeats the question: all units, half of them, and an item that has none.
    assert scores == {"a": 1.0, "b": 0.5, "c": None}
    header = read_run(run)
    assert header["metrics"]["units_kept"]["value"] == 0.75
    assert header["metrics"]["units_kept"]["signature"] == "units_kept|units:radio|v1"
    assert header["generation"]["engine"] == "echo"


def test_a_third_partys_judge_scores_a_third_partys_data_set(installed_plugins: Path, tmp_path: Path) -> None:
    told = answers(tmp_path, "Access and Mobility Management Function", "no idea", "")
    command = ["score", str(told), "--data", "glossary", "--out", str(tmp_path / "run"), "--metrics", "rubric_score"]
    assert main([*command, "--judge", "constant:4"]) == 0
    header = read_run(tmp_path / "run")
    # An empty answer gets the least without being shown to a judge.
    assert header["metrics"]["rubric_score"]["value"] == pytest.approx((4 + 4 + 1) / 3)
    assert "|judge:constant-4|" in header["metrics"]["rubric_score"]["signature"]
    assert header["data"]["name"] == "glossary"


def test_calibration_finds_that_a_constant_judge_knows_nothing(
    installed_plugins: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = tmp_path / "labels.jsonl"
    rows = [{"question": f"q{score}", "answer": "x", "reference": "y", "score": score} for score in (1, 3, 5)]
    labels.write_text("".join(json.dumps(row) + "\n" for row in rows))
    command = ["judge", "calibrate", str(labels), "--judge", "constant:3", "--out", str(tmp_path / "out"), "--json"]
    assert main(command) == 0
    (judge,) = json.loads(capsys.readouterr().out)["judges"]
    assert judge["score"]["kappa"]["value"] == 0.0
    assert judge["score"]["mean_error"]["value"] == 0.0


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("constnt:4", "there is no kind of judge 'constnt': did you mean 'constant:'?"),
        ("constant:7", "--judge constant:7 is no score from 1 to 5: write constant:SCORE"),
        ("zzz:4", "write constant:SCORE or local:CHECKPOINT or openai:MODEL@URL"),
    ],
)
def test_what_is_no_judge_of_a_third_party_is_one_line_with_a_way_out(
    installed_plugins: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], spec: str, said: str
) -> None:
    told = answers(tmp_path, "a", "b", "c")
    command = ["score", str(told), "--data", "glossary", "--out", str(tmp_path / "run"), "--metrics", "rubric_score"]
    assert main([*command, "--judge", spec]) == 2
    assert said in capsys.readouterr().err


def test_all_groups_are_listed_with_the_package_of_each(
    installed_plugins: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = listing(capsys)
    assert {f"telbench.{group}" for group, _ in rows} <= set(GROUPS)
    own, other = rows["judges", "openai"], rows["judges", "constant"]
    assert (own["package"], own["built_in"], own["fault"]) == ("telbench", True, None)
    assert other == {
        "group": "telbench.judges",
        "name": "constant",
        "package": "telbench-constant-judge",
        "version": "1.0",
        "built_in": False,
        "target": "constant_judge:CONSTANT",
        "fault": None,
    }
    for group in ("metrics", "engines", "datasets", "judges"):
        assert {name for kind, name in rows if kind == group} == set(listed(f"telbench.{group}"))
    assert [row["name"] for row in rows.values() if row["fault"]] == []
    main(["plugins"])
    table = capsys.readouterr().out
    line = next(line for line in table.splitlines() if "constant_judge" in line)
    assert line.split() == ["judges", "constant", "telbench-constant-judge", "1.0", "constant_judge:CONSTANT"]


def test_listing_loads_no_plugin(installed_plugins: Path) -> None:
    program = (
        "import sys\n"
        "from importlib.metadata import entry_points\n"
        "from telbench.harness.cli.main import main\n"
        "from telbench.registry import GROUPS\n"
        "assert main(['plugins']) == 0\n"
        "targets = {point.module for group in GROUPS for point in entry_points(group=group)}\n"
        "assert 'constant_judge' in targets\n"
        "sys.exit(', '.join(sorted(targets & set(sys.modules))) or 0)"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment())
    assert found.returncode == 0, found.stderr


def test_a_broken_or_doubled_registration_is_told_and_hinders_no_other(
    installed_plugins: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    absent = {"gone": "package_that_nobody_has:JUDGE", "gone_inside": "telbench.judges.nothing:JUDGE", "bare": "json"}
    install(installed_plugins, "acme", {"telbench.judges": {**absent, "openai": "json:loads"}})
    rows = listing(capsys)
    assert rows["judges", "gone"]["fault"] == "there is no module package_that_nobody_has: reinstall acme 1.0"
    assert rows["judges", "gone_inside"]["fault"] == "there is no module telbench.judges.nothing: reinstall acme 1.0"
    assert rows["judges", "bare"]["fault"] == "'json' names no object: an entry point is written module:object"
    assert rows["judges", "constant"]["fault"] is None
    assert "acme 1.0 (json:loads)" in rows["judges", "openai"]["fault"]
    assert "telbench 0.1.0 (telbench.judges.server.served:OPENAI)" in rows["judges", "openai"]["fault"]
    assert main(["plugins"]) == 0
    assert "unusable: gone in telbench.judges: there is no module" in capsys.readouterr().out


def test_a_kind_of_judge_that_cannot_be_loaded_is_told_when_it_is_meant_and_hinders_no_other(
    installed_plugins: Path,
) -> None:
    install(
        installed_plugins, "acme", {"telbench.judges": {"acme": "package_that_nobody_has:JUDGE", "odd": "json:loads"}}
    )
    assert str(parse_judge("constant:4")) == "constant:4"
    with pytest.raises(InputError, match=r"plugin 'acme' .* cannot be loaded: .*package_that_nobody_has"):
        parse_judge("acme:x")
    with pytest.raises(InputError, match="plugin 'odd' is not a telbench JudgeKind but a function"):
        parse_judge("odd:x")
    with pytest.raises(InputError, match=r"write constant:SCORE or local:CHECKPOINT or openai:MODEL@URL$"):
        parse_judge("zzzz:x")


@pytest.mark.parametrize(
    ("page", "module"),
    [("metrics.md", "units_metric/units_metric.py"), ("judges.md", "constant_judge/constant_judge.py")],
)
def test_the_worked_example_of_the_docs_is_the_package_that_is_tested(page: str, module: str) -> None:
    code = (HERE / module).read_text("utf-8").split('"""', 2)[2].strip("\n")
    shown = (HERE.parents[1] / "docs" / page).read_text("utf-8")
    assert f"```python\n# {Path(module).name}\n{code}\n```" in shown


@pytest.mark.slow
def test_a_package_that_pip_installs_is_used_at_once(tmp_path: Path) -> None:
    site = tmp_path / "site"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    # A copy, as building leaves its traces in the source.
    source = tmp_path / "source"
    subprocess.run(["cp", "-r", str(HERE / "units_metric"), str(source)], check=True)
    built = subprocess.run([*pip, "--target", str(site), str(source)], capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    shown = subprocess.run(
        [sys.executable, "-m", "telbench", "metrics", "check", "units_kept"],
        capture_output=True,
        text=True,
        env=environment(site),
    )
    assert (shown.returncode, shown.stdout) == (0, "units_kept: keeps the contract\n"), shown.stderr


def environment(*first: Path) -> dict[str, str]:
    """That of a process which finds what this one finds, and ``first`` before it."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join([*map(str, first), *filter(None, sys.path)])}
