"""What stands below a table that judges are behind: what they cost, and that nobody held them against labels."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from telbench.harness.cli.main import main
from telbench.harness.judging.outcome import cost_lines

from ...judges.server.served_judges import asked, capable, scores
from ...scripted_server import ScriptedServer, Step, completion_body

COUNT = 12
NEVER = "was never calibrated on this data"
TIE = json.dumps({"reasons": ["so"], "winner": "tie"})
# Units for a million tokens; a scripted reply has 3 prompt and 2 completion tokens.
PRICES = {"scripted": {"prompt": 1e6, "completion": 1e5}, "currency": "EUR"}


def rows(file: Path, rows: list[dict[str, Any]]) -> str:
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(file)


@pytest.fixture
def words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scripted_server: ScriptedServer) -> list[str]:
    """Scores given answers by the scripted server; ``--out`` is the last word but one."""
    monkeypatch.setenv("TELBENCH_CACHE", str(tmp_path / "cache"))
    scripted_server.script = capable(scores)
    items = [{"id": f"q{n}", "question": f"Node {n}?", "references": [f"node {n}"]} for n in range(COUNT)]
    given = [{"id": f"q{n}", "prediction": f"It is node {n}."} for n in range(COUNT)]
    return [
        *("score", rows(tmp_path / "answers.jsonl", given), "--data", rows(tmp_path / "items.jsonl", items)),
        *("--split", "all", "--metrics", "token_f1,rubric_score"),
        *("--judge", judge(scripted_server), "--out", str(tmp_path / "run")),
    ]


def judge(server: ScriptedServer) -> str:
    return f"openai:scripted@{server.base_url}"


def labels(file: Path, count: int, word: str = "Node") -> str:
    fields = {"answer": "So.", "reference": "node", "score": 4}
    return rows(file, [{"id": f"l{n}", "question": f"{word} {n}?", **fields} for n in range(count)])


def calibrate(tmp_path: Path, server: ScriptedServer, *words: str) -> list[str]:
    return ["judge", "calibrate", *words, "--judge", judge(server), "--out", str(tmp_path / "calibration")]


@pytest.mark.parametrize(
    ("count", "word", "known"), [(COUNT, "Node", True), (10, "Node", True), (9, "Node", False), (COUNT, "Link", False)]
)
def test_a_table_tells_of_a_judge_that_was_never_calibrated_on_its_data(
    words: list[str],
    tmp_path: Path,
    scripted_server: ScriptedServer,
    capsys: pytest.CaptureFixture[str],
    count: int,
    word: str,
    known: bool,
):
    assert main(words) == 0
    below = capsys.readouterr().out.splitlines()
    assert sum(NEVER in line for line in below) == 1
    assert "(rubric_score)" in below[-1]
    assert main([*words, "--json"]) == 0
    ((name, metrics),) = json.loads(capsys.readouterr().out)["uncalibrated"].items()
    assert name.startswith("scripted@")
    assert metrics == ["rubric_score"]
    given = labels(tmp_path / "labels.jsonl", count, word)
    assert main(calibrate(tmp_path, scripted_server, given)) == 0
    # The finished run's own table too.
    capsys.readouterr()
    assert main(words) == 0
    assert (NEVER not in capsys.readouterr().out) is known


def test_a_calibration_by_another_rubric_or_of_another_judge_counts_for_nothing(
    words: list[str], tmp_path: Path, scripted_server: ScriptedServer, capsys: pytest.CaptureFixture[str]
):
    given = labels(tmp_path / "labels.jsonl", COUNT)
    own = tmp_path / "strict-1.txt"
    own.write_text("verdict: rubric_score\nfields: question, reference, answer\n---\nGrade the answer.\n")
    assert main([*calibrate(tmp_path, scripted_server, given), "--rubric", f"rubric_score={own}"]) == 0
    assert main([*calibrate(tmp_path, scripted_server, given), "--judge-option", "reply_tokens=900"]) == 0
    capsys.readouterr()
    assert main(words) == 0
    assert NEVER in capsys.readouterr().out
    assert main([*words, "--rubric", f"rubric_score={own}"]) == 0
    assert NEVER not in capsys.readouterr().out


def test_comparison_gate_and_board_tell_of_it_too_and_labels_make_it_needless(
    words: list[str], tmp_path: Path, scripted_server: ScriptedServer, capsys: pytest.CaptureFixture[str]
):
    runs = [str(tmp_path / "run"), str(tmp_path / "other")]
    for run in runs:
        assert main([*words[:-1], run]) == 0
    board = ["leaderboard", "build", *runs, "--out", str(tmp_path / "board")]
    check = ["check", "--baseline", runs[0], "--candidate", runs[1], "--margin", "rubric_score=0.5"]
    sheets = tmp_path / "sheet.csv"
    assert main(["judge", "sheet", *runs, "--n", str(COUNT), "--out", str(sheets)]) == 0
    lines = sheets.read_text("utf-8-sig").splitlines()
    place = lines[0].split(",").index("score")
    filled = [
        ",".join("4" if column == place else cell for column, cell in enumerate(line.split(","))) for line in lines[1:]
    ]
    sheets.write_text("\n".join([lines[0], *filled]) + "\n")
    labelled = str(tmp_path / "people.jsonl")
    assert main(["judge", "labels", str(sheets), "--out", labelled]) == 0
    for command in (["compare", *runs], check):
        capsys.readouterr()
        main(command)
        assert NEVER in " ".join(capsys.readouterr().out.split())
        main([*command, "--labels", labelled])
        assert NEVER not in " ".join(capsys.readouterr().out.split())
    assert main([*words, "--labels", labelled]) == 0
    assert NEVER not in capsys.readouterr().out
    assert main(["compare", *runs, "--metrics", "token_f1"]) == 0
    assert NEVER not in " ".join(capsys.readouterr().out.split())
    assert main(board) == 0
    assert NEVER in (tmp_path / "board" / "index.html").read_text()
    assert main(calibrate(tmp_path, scripted_server, labels(tmp_path / "labels.jsonl", COUNT))) == 0
    for command in (["compare", *runs], check):
        capsys.readouterr()
        main(command)
        assert NEVER not in " ".join(capsys.readouterr().out.split())


def test_every_command_that_asks_judges_tells_what_they_cost(
    words: list[str], tmp_path: Path, scripted_server: ScriptedServer, capsys: pytest.CaptureFixture[str]
):
    file = tmp_path / "prices.json"
    file.write_text(json.dumps(PRICES))
    prices = ["--judge-prices", str(file)]
    assert main([*words, *prices]) == 0
    # 12 verdicts at 3 and .2 each.
    assert ": 38.40 EUR (36 prompt and 24 completion tokens)" in capsys.readouterr().out
    command = calibrate(tmp_path, scripted_server, labels(tmp_path / "labels.jsonl", COUNT), *prices)
    assert main([*command, "--repeats", "2"]) == 0
    assert ": 76.80 EUR (72 prompt and 48 completion tokens)" in capsys.readouterr().out
    assert main([*command, "--json"]) == 0
    ((found),) = json.loads(capsys.readouterr().out)["cost"]
    assert found["cost"] == {"amount": pytest.approx(38.4), "currency": "EUR", "reason": None}
    given = [{"id": f"q{n}", "prediction": f"Not node {n}."} for n in range(COUNT)]
    other = [*words[:-1], str(tmp_path / "other")]
    other[1] = rows(tmp_path / "others.jsonl", given)
    assert main(other) == 0
    scripted_server.script = capable(lambda *_: Step(body=completion_body(TIE)))
    prefer = ["judge", "prefer", str(tmp_path / "run"), str(tmp_path / "other"), "--judge", judge(scripted_server)]
    capsys.readouterr()
    assert main([*prefer, *prices, "--out", str(tmp_path / "preference")]) == 0
    assert ": 76.80 EUR (72 prompt and 48 completion tokens)" in capsys.readouterr().out
    assert main([*prefer, "--out", str(tmp_path / "preference")]) == 0
    assert "cost" not in capsys.readouterr().out


def test_prices_that_cannot_be_read_are_refused_before_anything_is_asked(
    words: list[str], tmp_path: Path, scripted_server: ScriptedServer, capsys: pytest.CaptureFixture[str]
):
    file = tmp_path / "prices.json"
    file.write_text("{")
    for command in (words, calibrate(tmp_path, scripted_server)):
        assert main([*command, "--judge-prices", str(file)]) == 2
        assert "is not JSON" in capsys.readouterr().err
    assert not asked(scripted_server)


def test_a_cost_that_is_unknown_is_told_as_such_and_enters_no_sum():
    tokens = {"prompt": 1000, "completion": 10}
    known = {"name": "a", "tokens": tokens, "cost": {"amount": 0.0123, "currency": None, "reason": None}}
    unknown = {"name": "b", "tokens": tokens, "cost": {"amount": None, "currency": None, "reason": "no price for b"}}
    assert cost_lines([known, unknown]) == [
        "cost of the judge a: 0.012 (no currency) (1,000 prompt and 10 completion tokens)",
        "cost of the judge b: unknown: no price for b (1,000 prompt and 10 completion tokens)",
    ]
    assert cost_lines([known, known])[-1] == "cost of all judges: 0.025 (no currency)"
    assert cost_lines([{**known, "cost": None}]) == []
