"""`telbench metrics check` on packages that break the contract, one fault each, and on two that keep it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from telbench.harness.cli.main import main
from telbench.registry import listed

from ..installed import install
from .bad_metrics import BAD, GOOD

IMPORTS = "from telbench.metrics.contract import ItemScore, Metric, metric\n"


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of installed packages with one that registers ``bad``, without its module."""
    install(tmp_path, "bad", {"telbench.metrics": {"bad": "bad_metric_module:bad"}})
    monkeypatch.syspath_prepend(tmp_path)
    listed.cache_clear()
    yield tmp_path
    listed.cache_clear()
    sys.modules.pop("bad_metric_module", None)


def checked(site: Path, body: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, list[str]]:
    (site / "bad_metric_module.py").write_text(IMPORTS + body, "utf-8")
    code = main(["metrics", "check", "bad", "--json"])
    return code, json.loads(capsys.readouterr().out)["problems"]["bad"]


@pytest.mark.parametrize("fault", BAD)
def test_a_metric_with_a_fault_is_caught(site: Path, fault: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, problems = checked(site, BAD[fault].body, capsys)
    assert code == 2
    assert any(BAD[fault].said in problem for problem in problems), problems


@pytest.mark.parametrize("kind", GOOD)
def test_a_metric_without_fault_keeps_the_contract(site: Path, kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert checked(site, GOOD[kind], capsys) == (0, [])


@pytest.mark.parametrize(
    ("body", "code", "said"),
    [
        (BAD["the end of the program"].body, 5, "metric 'bad' would end the program (SystemExit: 0)"),
        ("raise SystemExit(0)\n", 2, "plugin 'bad' (bad_metric_module:bad) cannot be loaded: SystemExit: 0"),
    ],
)
def test_a_metric_that_ends_the_program_is_told_where_answers_are_scored(
    site: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], body: str, code: int, said: str
) -> None:
    (site / "bad_metric_module.py").write_text(IMPORTS + body, "utf-8")
    answers = tmp_path / "answers.txt"
    answers.write_text("The AMF.\n")
    command = ["score", str(answers), "--limit", "1", "--metrics", "bad", "--out", str(tmp_path / "run")]
    assert main(command) == code
    assert said in capsys.readouterr().err


def test_a_metric_that_needs_a_judge_is_tried_with_one_and_told_untried_without(
    site: Path, installed_plugins: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["metrics", "check", "rubric_score"]) == 0
    assert capsys.readouterr().out.startswith("rubric_score: no values were tried: no judge: pass --judge")
    assert main(["metrics", "check", "rubric_score", "--judge", "constant:4"]) == 0
    assert capsys.readouterr().out == "rubric_score: keeps the contract\n"
    assert main(["metrics", "check", "bertscore"]) == 0
    assert capsys.readouterr().out.startswith("bertscore: no values were tried: no encoder: pass --encoder")
    assert main(["metrics", "check", "bertscore", "--encoder", str(site)]) == 2
    assert "no config.json" in capsys.readouterr().err
