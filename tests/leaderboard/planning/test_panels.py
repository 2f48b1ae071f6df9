"""What each judge of a panel says, read back from a run folder."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from telbench.errors import InputError
from telbench.leaderboard.compare.seeds import Recipe
from telbench.leaderboard.planning.panels import judge_columns
from telbench.leaderboard.planning.pilot import Arms, Assumptions, pilot_of
from telbench.leaderboard.runs.loaded import LoadedRun

from ...made_runs import made_run, metric

ITEMS = [f"i{i}" for i in range(40)]


def judged_run(folder: Path, name: str, scores: dict[str, list[int | None]]) -> LoadedRun:
    """A run whose judges gave these scores; None is an empty answer, of which nobody was asked and which scores 1."""
    path = folder / name
    path.mkdir()
    (path / "run.json").write_text("{}")
    samples, records = [], []
    for place, item in enumerate(ITEMS):
        asked = {judge: own[place] for judge, own in scores.items() if own[place] is not None}
        keys = [f"{judge}-{item}" for judge in asked]
        samples.append({"item_id": item, "judgements": {"rubric_score": keys} if keys else {}})
        for key, (judge, score) in zip(keys, asked.items(), strict=True):
            text = json.dumps({"reasons": ["so"], "score": score})
            records.append({"key": key, "judge": judge, "reply": {"text": text, "finish_reason": "stop"}})
    (path / "samples.jsonl").write_text("".join(json.dumps(each) + "\n" for each in samples))
    (path / "judgements.jsonl").write_text("".join(json.dumps(each) + "\n" for each in records))
    values = [
        float(np.mean([1 if each is None else each for each in row])) for row in zip(*scores.values(), strict=True)
    ]
    run = made_run(name, {"rubric_score": values}, per_document=2)
    header = {**run.header, "judge": {"judges": [{"name": judge} for judge in scores]}}
    return replace(run, path=path, header=header)


def test_a_panel_adds_what_judges_and_single_verdicts_vary_by(tmp_path):
    draw = np.random.default_rng(0)
    given = {name: {judge: draw.integers(1, 6, 40).tolist() for judge in ("one", "two", "three")} for name in "ab"}
    given["a"]["three"] = [1] * 40
    given["b"]["three"] = [5] * 40
    for judges in given.values():
        for own in judges.values():
            own[7] = None
    runs = [judged_run(tmp_path, name, judges) for name, judges in given.items()]
    for run, judges in zip(runs, given.values(), strict=True):
        found = judge_columns(metric("rubric_score"), run, ITEMS)
        assert isinstance(found, dict)
        expected = {judge: [1 if each is None else each for each in own] for judge, own in judges.items()}
        assert {judge: column.tolist() for judge, column in found.items()} == expected
    arms = Arms(runs, [Recipe(run, {}) for run in runs], [metric("rubric_score")], [])
    pilot = pilot_of(metric("rubric_score"), arms, Assumptions(), alpha=0.05, max_missing=0.01)
    table = np.array(
        [
            [0 if a is None or b is None else b - a for a, b in zip(given["a"][judge], given["b"][judge], strict=True)]
            for judge in ("one", "two", "three")
        ]
    )
    left = table - table.mean(axis=0) - table.mean(axis=1, keepdims=True) + table.mean()
    rest = (left**2).sum() / (2 * 39)
    assert pilot.judges is not None
    assert pilot.judges.verdict.value == pytest.approx(rest)
    assert pilot.judges.judge.value == pytest.approx(table.mean(axis=1).var(ddof=1) - rest / 40)


def test_where_judges_cannot_be_told_apart_the_reason_is_told(tmp_path):
    run = judged_run(tmp_path, "a", {"one": [3] * 40, "two": [4] * 40})
    judged = metric("rubric_score")
    alone = judged_run(tmp_path, "b", {"one": [3] * 40})
    assert judge_columns(judged, alone, ITEMS) == "one judge only"
    assert judge_columns(metric("token_f1"), run, ITEMS) == "no judge"
    assert "more than the judges' verdicts" in str(judge_columns(metric("answer_correctness"), run, ITEMS))
    assert "run folders only" in str(judge_columns(judged, replace(run, path=tmp_path / "anchor.json"), ITEMS))
    (run.path / "judgements.jsonl").unlink()
    with pytest.raises(InputError, match="cannot read"):
        judge_columns(judged, run, ITEMS)


def test_a_judge_without_a_verdict_leaves_a_gap(tmp_path):
    run = judged_run(tmp_path, "a", {"one": [3] * 40, "two": [4] * 40})
    lines = (run.path / "judgements.jsonl").read_text().splitlines()
    broken = {**json.loads(lines[0]), "reply": {"text": "no idea", "finish_reason": "stop"}}
    (run.path / "judgements.jsonl").write_text("\n".join([json.dumps(broken), *lines[1:]]))
    found = judge_columns(metric("rubric_score"), run, ITEMS)
    assert isinstance(found, dict)
    assert np.isnan(found["one"][0])
    assert not np.isnan(found["one"][1:]).any()
    assert not np.isnan(found["two"]).any()
