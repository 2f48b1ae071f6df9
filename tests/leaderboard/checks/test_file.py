"""``gate.yaml``: what it gives is what flags give, and what is wrong in it is told with its line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from telbench.harness.cli.main import main

from ..scored_runs import scored_run

METRICS = "token_f1,exact_match"
HEAD = "margins: {token_f1: 0.02}\non_inconclusive: fail\n"


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with runs of two data sets: ``release/a``, ``same/a``, ``worse/a`` and so on."""
    folder = tmp_path_factory.mktemp("several")
    for data, count in (("a", 120), ("b", 80)):
        for name, right in (("release", 0.7), ("same", 0.7), ("worse", 0.2)):
            scored_run(folder, name, data, count, right, METRICS)
    return folder


@pytest.fixture
def here(runs: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder, as the one that commands run in."""
    monkeypatch.chdir(runs)
    return runs


def gate(folder: Path, text: str, *more: str) -> int:
    (folder / "gate.yaml").write_text(text)
    return main(["check", "--gate", "gate.yaml", *more])


@pytest.mark.parametrize("candidate", ["same", "worse"])
def test_a_file_of_one_data_set_gives_to_the_byte_what_its_flags_give(here, capsys, candidate):
    flags = [
        "--margin",
        "token_f1=0.03",
        "--guardrail",
        "exact_match=0.04",
        "--alpha",
        "0.1",
        "--on-inconclusive",
        "fail",
    ]
    flags += ["--categories", "odd,even", "--category-budget", "token_f1=0.1", "--max-missing", "0.02"]
    flags += ["--guardrail-budget", "0.05"]
    code = main(["check", "--baseline", "release/a", "--candidate", f"{candidate}/a", *flags, "--json"])
    alone = json.loads(capsys.readouterr().out)
    text = (
        "margins: {token_f1: 0.03}\nguardrail: [exact_match=0.04]\nguardrail_budget: 0.05\ncategories: [odd, even]\n"
        "category_budgets: {token_f1: 0.1}\nmax_missing: 0.02\nalpha: 0.1\non_inconclusive: fail\n"
        f"data:\n  a: {{baseline: release/a, candidate: {candidate}/a}}\n"
    )
    assert gate(here, text, "--json") == code
    together = json.loads(capsys.readouterr().out)
    assert json.dumps(together["data"]["a"], sort_keys=True) == json.dumps(alone, sort_keys=True)
    assert (together["verdict"], together["exit_code"]) == (alone["verdict"], alone["exit_code"])
    # The flags of all data sets may come before the file.
    assert gate(here, f"data: {{a: {{baseline: release/a, candidate: {candidate}/a}}}}\n", *flags, "--json") == code
    assert json.loads(capsys.readouterr().out) == together


def test_a_data_set_has_its_own_settings_in_place_of_those_of_all(here, capsys):
    text = (
        f"{HEAD}baseline: release/{{data}}\ncandidate: same/{{data}}\nguardrail_budget: 0.1\n"
        "data:\n  a: {}\n  b:\n    margins: {exact_match: 0.05}\n    guardrails: false\n    candidate: wor*/b\n"
    )
    assert gate(here, text, "--json", "--on-inconclusive", "warn") == 1
    found = json.loads(capsys.readouterr().out)
    one, other = found["data"]["a"], found["data"]["b"]
    assert [(each["metric"], each["role"]) for each in one["metrics"]] == [
        ("token_f1", "primary"),
        ("exact_match", "guardrail"),
    ]
    assert one["metrics"][1]["budget"] == 0.1
    assert [(each["metric"], each["margin"], each["verdict"]) for each in other["metrics"]] == [
        ("exact_match", 0.05, "FAIL_HARD")
    ]
    assert (one["candidate"]["name"], other["candidate"]["name"]) == ("same", "worse")
    assert one["policy"]["on_inconclusive"] == "warn"
    assert found["verdict"] == "fail"


def test_the_table_of_each_data_set_then_a_line_of_each_and_one_of_all(here, capsys):
    text = f"{HEAD}baseline: release/{{data}}\ncandidate: worse/{{data}}\ndata: {{a: {{}}, b: {{}}}}\n"
    assert gate(here, text, "--junit", "out/j.xml", "--summary", "out/s.md", "--out", "out/g.json") == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line.endswith("worse against release")] == [
        "a: worse against release",
        "b: worse against release",
    ]
    assert lines[-3].startswith("a: FAIL: 0 of 1 primary metric, 0 of 1 guardrail hold; worse: token_f1 -0.")
    assert lines[-2].startswith("b: FAIL: ")
    assert lines[-1] == "ALL DATA SETS: FAIL: 2 of 2 worse (a, b); exit code 1"
    assert (here / "out" / "s.md").read_text().startswith("## telbench check: fail\n\n- a: FAIL")
    first = (here / "out" / "g.json").read_bytes()
    assert gate(here, text, "--out", "out/g.json") == 1
    assert (here / "out" / "g.json").read_bytes() == first
    shutil.rmtree(here / "out")


DATA = "baseline: release/{data}\ncandidate: same/{data}\n"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("magins: {token_f1: 1}\ndata: {a: {}}\n", "gate.yaml: unknown key 'magins' (line 1): did you mean 'margins'?"),
        (
            f"{HEAD}{DATA}data:\n  a:\n    catgories: [x]\n",
            "gate.yaml: data: a: unknown key 'catgories' (line 7): did you mean 'categories'?",
        ),
        (f"{HEAD}{DATA}data:\n  a: {{alpha: 1}}\n", "data: a: unknown key 'alpha' (line 6)"),
        (
            f"{HEAD}{DATA}data:\n  a:\n    margins: {{token_f1: much}}\n",
            "data: a: margins: token_f1 (line 7) must be a number, not 'much'",
        ),
        (f"{HEAD}alpha: 2\ndata: {{a: {{}}}}\n", "gate.yaml: alpha (line 3) is 2.0: it must be between"),
        (HEAD, "gate.yaml: the key 'data' is missing (the data sets by name)"),
        (f"{HEAD}data: {{}}\n", "gate.yaml: data is empty: name one data set or more"),
        (f"{HEAD}data: [a]\n", "gate.yaml: data (line 3) must be a mapping"),
        (f"{HEAD}data:\n  a:\n", "gate.yaml: data: a (line 4) is empty: give it a value"),
        (
            f"{HEAD}data:\n  a: {{}}\n",
            "line 4, a: the key 'candidate' is missing, here and for all data sets",
        ),
        (
            f"{HEAD}{DATA}data:\n  a: {{}}\n  b: {{candidate: '*/b'}}\n",
            "gate.yaml, line 7, b: candidate: 3 paths match '*/b' (release/b, same/b, worse/b): it must be one",
        ),
        (f"{HEAD}{DATA}data:\n  c: {{}}\n", "gate.yaml, line 6, c: no run in same/c"),
        (f"{HEAD}{DATA}data:\n  a: {{candidate: 'x*'}}\n", "line 6, a: candidate: no path matches 'x*'"),
        (
            f"{HEAD}{DATA}data:\n  a: {{categories: [od]}}\n",
            "line 6, a: --categories od: no item of release/a is of",
        ),
        (f"{HEAD}{DATA}data:\n  a: {{margins: {{rougeL: 1}}}}\n", "line 6, a: --margin rougeL: metric 'rougeL' is not"),
        (f"{HEAD}{DATA}data:\n  a: {{margins: {{token_f1: 2}}}}\n", "line 6, a: --margin token_f1=2: the metric runs"),
        (f"{DATA}data:\n  a: {{}}\n", "line 4, a: no primary metric"),
        (f"{HEAD}{DATA}data:\n  a: {{cluster: d}}\n", "line 6, a: --cluster d names a field of samples of lm-eval"),
        (f"{HEAD}{DATA}lower_is_better: [x]\ndata:\n  a: {{}}\n", "--lower-is-better x: no log of another harness"),
        (f"{HEAD}a: 1\na: 2\n", "gate.yaml is not YAML: the key 'a' stands twice (line 4, column 1)"),
    ],
)
def test_what_is_wrong_is_one_line_with_its_place(here, capsys, text, told):
    assert gate(here, text) == 2
    error = capsys.readouterr().err.strip()
    assert told in error
    assert "\n" not in error
    assert "Traceback" not in error


def test_runs_that_cannot_be_compared_are_told_with_their_data_set(here, capsys):
    assert gate(here, f"{HEAD}{DATA}data:\n  a: {{candidate: same/b}}\n") == 4
    assert "gate.yaml, line 6, a: release/a and same/b cannot be compared: other items" in capsys.readouterr().err


def test_two_runs_or_a_file_are_asked_for_and_not_both(here, capsys):
    assert gate(here, f"{HEAD}{DATA}data: {{a: {{}}}}\n", "--candidate", "same/a") == 2
    assert "--candidate and --gate: gate.yaml names the runs of each data set" in capsys.readouterr().err
    assert main(["check", "--candidate", "same/a", "--margin", "token_f1=0.02"]) == 2
    assert "--baseline is missing: name two runs, or a file" in capsys.readouterr().err
    assert main(["check", "--gate", "nope.yaml"]) == 2
    assert "cannot read nope.yaml" in capsys.readouterr().err


def test_looks_at_several_baselines_are_sent_to_checks_that_together_hold_the_rate(here, capsys):
    assert gate(here, f"{HEAD}{DATA}data:\n  a: {{}}\n  b: {{}}\n", "--sequential") == 2
    error = capsys.readouterr().err.strip()
    assert "each data set by itself, with --sequential --alpha 0.025, so that all 2 together hold 0.05" in error
    assert "\n" not in error
