"""The history of a gate: a line a check, only added to, and read back whole or refused by line."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from telbench.errors import InputError
from telbench.leaderboard.gate.gate import GatePolicy, judge_gate
from telbench.leaderboard.publish.history import append_line, history_line, read_history

from ...made_runs import made_run, metric

VALUES = [0.4 + 0.001 * i for i in range(120)]


def line(shift: float = 0.0, created: object = "2026-05-01T08:00:00+00:00", name: str = "new") -> str:
    base = made_run("old", {"token_f1": VALUES, "rougeL": VALUES})
    changed = [value + shift + (0.01 if i % 3 else -0.02) for i, value in enumerate(VALUES)]
    run = made_run(name, {"token_f1": changed, "rougeL": VALUES})
    run = replace(run, header={**run.header, "created": created})
    policy = GatePolicy({"token_f1": 0.02}, ("rougeL",), categories=("odd",))
    gate = judge_gate(run, base, [metric("token_f1"), metric("rougeL")], policy)
    return history_line(gate.verdict, {"set": gate}, {"set": run})


def test_a_line_is_read_back_with_the_date_of_the_run_and_all_differences(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "history.jsonl"
    append_line(file, line())
    append_line(file, line(-0.1, created=None))
    first, second = read_history(file)
    assert (first.data, first.date, first.verdict) == ("set", "2026-05-01T08:00:00+00:00", "pass")
    assert (first.candidate, first.candidate_id, first.baseline) == ("new", "newnewnewnew", "old")
    told = [(each.metric, each.category, each.role, each.allowed) for each in first.readings]
    assert told == [
        ("token_f1", None, "primary", 0.02),
        ("rougeL", None, "guardrail", 0.02),
        ("token_f1", "odd", "category", 0.02),
    ]
    assert first.readings[0].delta == pytest.approx(0.0)
    assert (second.date, second.verdict, second.readings[0].verdict) == (None, "fail", "FAIL_HARD")
    assert second.readings[0].delta == pytest.approx(-0.1)


def test_the_same_runs_give_the_same_line_whenever_they_are_checked() -> None:
    assert line() == line()
    assert "\n" not in line(name="a\nb\u2028c")
    assert line(name="a\nb").isascii()


def test_what_stands_in_the_file_stays_and_a_torn_end_swallows_nothing(tmp_path: Path) -> None:
    file = tmp_path / "history.jsonl"
    append_line(file, line())
    before = file.read_bytes()
    append_line(file, line(-0.1))
    assert file.read_bytes().startswith(before)
    file.write_bytes(before + b'{"torn')
    append_line(file, line(-0.1))
    assert [json.loads(text)["verdict"] for text in file.read_text().splitlines() if text != '{"torn'] == [
        "pass",
        "fail",
    ]
    with pytest.raises(InputError, match=r"history.jsonl, line 2 is not JSON: take the line out"):
        read_history(file)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"schema_version": 2}, "is of version 2, this telbench reads 1"),
        ({"data": []}, "is no line of telbench check --history"),
        ({"data": {"set": {}}}, "is no line of"),
        ({"data": {"set": {"verdict": "perhaps"}}}, "is no line of"),
    ],
)
def test_a_line_of_another_shape_is_refused_by_number(tmp_path: Path, changes: dict[str, object], told: str) -> None:
    file = tmp_path / "history.jsonl"
    append_line(file, line())
    append_line(file, json.dumps({**json.loads(line()), **changes}))
    with pytest.raises(InputError, match=f"line 2 {told}"):
        read_history(file)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("delta", float("nan")),
        ("delta", "0.1"),
        ("delta", None),
        ("lower", True),
        ("upper", 1e999),
        ("metric", 3),
        ("verdict", []),
        ("category", 1),
        ("more", 1),
    ],
)
def test_a_number_that_is_none_is_refused(tmp_path: Path, key: str, value: object) -> None:
    record = json.loads(line())
    record["data"]["set"]["metrics"][0][key] = value
    file = tmp_path / "history.jsonl"
    file.write_text("\n" + json.dumps(record) + "\n")
    with pytest.raises(InputError, match="line 2 is no line of telbench check"):
        read_history(file)


def test_files_that_cannot_be_written_or_read_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        append_line(tmp_path, line())
    with pytest.raises(InputError, match="cannot be read"):
        read_history(tmp_path / "absent.jsonl")
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\n")
    with pytest.raises(InputError, match="cannot be read"):
        read_history(tmp_path / "bytes")
