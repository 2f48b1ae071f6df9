"""Runs whose answers differ in length: told above the numbers, with the difference at equal length beside it."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from telbench.harness.cli.main import main
from telbench.leaderboard.compare.lengths import LEAST, length_effects, length_warning
from telbench.leaderboard.gate.remarks import remarks
from telbench.leaderboard.runs.loaded import LENGTH_FACTOR, LoadedRun

from ...made_runs import compared_runs, made_run, report_lines

N = 400


def in_a_row(text: str) -> str:
    """The text without the breaks of its lines."""
    return " ".join(text.split())


def pair(factor: float, *, level: float = 0.0, slope: float = 0.0, seed: int = 0) -> tuple[LoadedRun, LoadedRun]:
    """Two runs; the second's answers are so many times as long, and gain by their length and at equal length."""
    draw = np.random.default_rng(seed)
    words = draw.integers(5, 30, N).astype(float)
    ratio = np.log2(factor) + draw.normal(0, 0.6, N)
    longer = np.maximum(np.round((words + 1) * 2**ratio - 1), 0)
    real = np.log2((longer + 1) / (words + 1))
    base = draw.uniform(0.3, 0.6, N)
    runs = []
    for name, values, lengths in (
        ("short", base, words),
        ("long", base + level + slope * real + draw.normal(0, 0.02, N), longer),
    ):
        made = made_run(name, {"token_f1": values.tolist(), "rouge1": base.tolist()}, per_document=2)
        told = {f"i{place}": float(each) for place, each in enumerate(lengths)}
        runs.append(replace(made, lengths=told, words=float(lengths.mean())))
    return runs[0], runs[1]


def test_the_difference_at_equal_length_is_found_where_length_makes_the_raw_one() -> None:
    base, run = pair(2.0, level=0.03, slope=-0.1)
    (effect,) = length_effects(base, run, ["token_f1"], "long")
    assert effect.raw < -0.05
    assert effect.adjusted is not None
    assert effect.interval is not None
    assert effect.adjusted == pytest.approx(0.03, abs=0.01)
    assert effect.interval[0] < 0.03 < effect.interval[1]
    assert effect.doubled == pytest.approx(-0.1, abs=0.01)
    assert effect.near == sum(
        abs(np.log2((run.lengths[item] + 1) / (base.lengths[item] + 1))) <= np.log2(LENGTH_FACTOR)
        for item in base.clusters
    )


def test_nothing_is_told_at_equal_length_where_no_answers_have_it() -> None:
    base, run = pair(40.0, slope=-0.1)
    (effect,) = length_effects(base, run, ["token_f1"], "long")
    assert effect.adjusted is None
    assert effect.p is None
    assert effect.reason == f"fewer than {LEAST} items have answers of like length"


def test_lengths_are_told_above_the_table_with_the_metrics_that_they_move() -> None:
    base, run = pair(3.0, slope=-0.1)
    told = in_a_row("\n".join(report_lines(compared_runs([base, run], ["token_f1", "rouge1"]), wide=True)))
    assert re.search(r"answers of long are 3\.\d times as long as those of short \(mean \d+ and 1\d words\)", told)
    assert "with length move token_f1 (down);" in told
    assert told.index("times as long") < told.index("metric short long")


@pytest.mark.parametrize("factor", [0.8, 1.0, 1.2])
def test_alike_lengths_are_not_told(factor: float) -> None:
    base, run = pair(factor)
    run = replace(run, words=(base.words or 0) * factor)
    assert not any("as long" in line for line in report_lines(compared_runs([base, run], ["token_f1"])))
    assert not any("as long" in line for line in remarks(run, base, {"token_f1": ()}))


def test_a_run_without_answers_at_hand_is_not_told() -> None:
    base, run = pair(3.0)
    run = replace(run, lengths={}, words=None)
    assert not any("as long" in line for line in report_lines(compared_runs([base, run], ["token_f1"])))


def test_the_gate_says_it_too() -> None:
    base, run = pair(3.0, slope=-0.1)
    (line,) = remarks(run, base, {"token_f1": (), "rouge1": ()})
    assert line.startswith("answers of the candidate are")
    assert "token_f1 (down)" in line


def test_a_metric_that_length_does_not_move_is_not_named() -> None:
    base, run = pair(3.0)
    assert length_warning(base, run, ("short", "long"), ["token_f1"]).endswith("no metric is shown to move with length")


def folder(tmp_path: Path, name: str, more: str) -> str:
    data = [
        {"id": f"q{n}", "question": f"What is number {n}?", "references": [f"it is answer {n}"],
         "source_document": f"d{n}"}
        for n in range(120)
    ]  # fmt: skip
    file = tmp_path / "data.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in data))
    answers = tmp_path / f"{name}.jsonl"
    rows = [
        {"id": f"q{n}", "prediction": " ".join([f"it is answer {n}", *[more] * (n % 4 if more else 0)])}
        for n in range(120)
    ]
    answers.write_text("".join(json.dumps(row) + "\n" for row in rows))
    out = str(tmp_path / name)
    metrics = "token_f1,token_recall,bleu"
    assert main(["score", str(answers), "--data", str(file), "--metrics", metrics, "--out", out]) == 0
    return out


def test_the_command_has_the_differences_at_equal_length(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base, run = folder(tmp_path, "bare", ""), folder(tmp_path, "wordy", "and that is all there is to say")
    capsys.readouterr()
    assert main(["compare", base, run, "--length-adjusted", "--wide"]) == 0
    told = capsys.readouterr().out
    assert "answers of wordy are" in in_a_row(told)
    assert re.search(r"token_f1 +wordy +-0\.\d+ +", told)
    assert re.search(r"bleu +wordy .* a corpus score", told)
    assert main(["compare", base, run, "--length-adjusted", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    by_name = {each["metric"]: each for each in document["at_equal_length"]}
    # Where no word is added, the answers are the same.
    assert by_name["token_f1"]["doubled"] < 0
    assert abs(by_name["token_f1"]["adjusted"]) < 0.1 < -by_name["token_f1"]["raw"]
    assert any("times as long" in line for line in document["warnings"])
    # An anchor keeps the lengths, so a gate against it can tell.
    anchor = str(tmp_path / "anchor.json")
    assert main(["baseline", "pin", base, "--out", anchor]) == 0
    main(["check", "--baseline", anchor, "--candidate", run, "--margin", "token_recall=0.05"])
    assert "answers of the candidate are" in in_a_row(capsys.readouterr().out)


def test_a_log_without_answers_is_refused_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base = folder(tmp_path, "bare", "")
    anchor = tmp_path / "anchor.json"
    assert main(["baseline", "pin", base, "--out", str(anchor)]) == 0
    anchor.write_text(re.sub(r', "words": [\d.]+', "", anchor.read_text()))
    capsys.readouterr()
    assert main(["compare", str(anchor), base, "--length-adjusted"]) == 2
    told = capsys.readouterr()
    assert "--length-adjusted: the answers of" in told.err
    assert "Traceback" not in told.err
