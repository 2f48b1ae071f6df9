"""The table of a run: every number shown, whatever the terminal."""

from __future__ import annotations

import io
import json
import sys
from typing import Any

import pytest

from telbench.harness.cli.tables import columns, number, print_json, print_run, shown


def metric(value: float | None, **changes: Any) -> dict[str, Any]:
    entry = {"value": value, "ci_low": None, "ci_high": None, "n": 3, "missing": {}, "higher_is_better": True}
    return {**entry, "range": [0, 1], **changes}


HEADER: dict[str, Any] = {
    "model": {"name": "student"},
    "data": {"name": "telecom-nano", "split": "test", "n": 393, "dropped": {"no reference": 2, "empty question": 1}},
    "prompt": {"book": "open"},
    "generation": {"engine": "vllm", "dtype": "bfloat16"},
    "counts": {"ok": 390, "error": 3, "truncated": 0, "empty": 4, "cut_off": 5},
    "metrics": {
        "token_f1": metric(0.51234, ci_low=0.4, ci_high=0.6123, n=390, missing={"generation failed": 3}),
        "ter": metric(123.456, ci_low=100.0, ci_high=150.0, range=[0, None], higher_is_better=False),
        "choice_accuracy": metric(None, n=0),
    },
}


def table(capsys: pytest.CaptureFixture[str], **changes: Any) -> list[str]:
    print_run({**HEADER, **changes})
    return capsys.readouterr().out.splitlines()


def test_a_table_shows_value_interval_and_count_of_each_metric(capsys: pytest.CaptureFixture[str]) -> None:
    assert table(capsys) == [
        "student on telecom-nano test (393 items, open book, vllm bfloat16)",
        "metric           value  95 % interval    n",
        "token_f1         0.512  0.400 – 0.612  390  3 missing: generation failed",
        "ter              123.5  100.0 – 150.0    3  lower is better",
        "choice_accuracy    N/A                   0",
        "3 without an answer · 4 empty answers · 5 cut at --max-tokens · 3 records dropped (2 no reference, "
        "1 empty question)",
    ]


def calibration(**changes: Any) -> dict[str, Any]:
    return {"value": 0.5, "ci_low": 0.4, "ci_high": 1.25, "upper_from": "identical text", "auc": None, **changes}


def test_a_calibrated_value_stands_beside_the_raw_one_with_its_scale(capsys: pytest.CaptureFixture[str]) -> None:
    metrics = {
        "token_f1": metric(0.5),
        "bertscore": metric(0.9, ci_low=0.8, ci_high=0.95, calibration=calibration()),
        "answer_similarity": metric(
            0.7, calibration=calibration(ci_low=None, ci_high=None, auc=0.98765, near_miss_auc=0.3871)
        ),
        "answer_relevance": metric(0.6, calibration=calibration(value=None)),
    }
    assert table(capsys, metrics=metrics)[1:-1] == [
        "metric             value  95 % interval            calibrated  n",
        "token_f1           0.500                                       3",
        "bertscore          0.900  0.800 – 0.950  0.500 [0.400, 1.250]  3",
        "answer_similarity  0.700                                0.500  3",
        "answer_relevance   0.600                                       3",
        "calibrated: 0 = a reference of another item, 1 = identical text",
        "matches above unrelated (AUC): answer_similarity 0.988",
        "right above one wrong fact (AUC): answer_similarity 0.387 (blind to facts)",
    ]


@pytest.mark.parametrize("width", ["1", "40", "200"])
def test_a_narrow_terminal_loses_nothing(
    width: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = table(capsys)
    monkeypatch.setenv("COLUMNS", width)
    assert table(capsys) == usual


def test_hostile_names_are_shown_and_not_done(capsys: pytest.CaptureFixture[str]) -> None:
    hostile = "a\x1b[31m\u202eb\ud800\n"
    text = "\n".join(
        table(
            capsys,
            model={"name": hostile},
            data={**HEADER["data"], "name": hostile, "dropped": {hostile: 1}},
            metrics={"m": metric(1.0, missing={hostile: 1})},
        )
    )
    assert not set(text) & {"\x1b", "\u202e", "\ud800"}
    assert text.count("\\x1b[31m\\u202eb\\ud800") == 4


def test_a_terminal_that_knows_ascii_only_gets_plain_dashes(monkeypatch: pytest.MonkeyPatch) -> None:
    stdout = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stdout)
    print_run({**HEADER, "model": {"name": "Größe"}})
    stdout.flush()
    text = stdout.buffer.getvalue().decode("ascii")
    assert "0.400 - 0.612" in text
    assert "Gr\\xf6\\xdfe on" in text


@pytest.mark.parametrize(
    ("value", "high", "text"),
    [
        (None, 1, "N/A"),
        (0.0, 1, "0.000"),
        (99.95, 100, "100.0"),
        (0.9996, 1, "1.000"),
        (12.34, None, "12.3"),
    ],
)
def test_a_value_has_the_digits_its_range_deserves(value: float | None, high: float | None, text: str) -> None:
    assert number(value, high) == text


def test_columns_are_aligned() -> None:
    assert columns([("a", "1", ""), ("long", "10", "x")], "<><") == ["a      1", "long  10  x"]


def test_what_is_shown_already_stays() -> None:
    assert shown(shown("\x1b")) == shown("\x1b")


def test_json_on_stdout_is_ascii_and_without_nan(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"x": "\ud800ä\x1b"})
    text = capsys.readouterr().out
    assert text.isascii()
    assert json.loads(text) == {"x": "\ud800ä\x1b"}
    with pytest.raises(ValueError, match="not JSON compliant"):
        print_json({"x": float("nan")})


def test_digits_follow_the_width_of_the_interval(capsys: pytest.CaptureFixture[str]) -> None:
    open_ended = {"range": [0, None], "higher_is_better": False}
    metrics = {
        "reference_bits_per_byte": metric(0.963, ci_low=0.9, ci_high=1.04, **open_ended),
        "rubric_score": metric(3.1612, ci_low=3.14, ci_high=3.19, range=[1, 5]),
        "token_f1": metric(0.51234, ci_low=0.5121, ci_high=0.5126),
    }
    rows = [line.split()[1:5] for line in table(capsys, metrics=metrics)[2:5]]
    assert rows == [
        ["0.96", "0.90", "–", "1.04"],
        ["3.161", "3.140", "–", "3.190"],
        ["0.51234", "0.51210", "–", "0.51260"],
    ]
    # The two that were both 1.0, and the two that were both 3.2.
    assert (number(0.963, None, 0.14), number(1.042, None, 0.14)) == ("0.96", "1.04")
    assert (number(3.16, 5, 0.2), number(3.24, 5, 0.2)) == ("3.16", "3.24")
