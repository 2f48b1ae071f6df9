"""``telbench judge calibrate`` and ``prefer``: reports, resumption, and one line for what cannot be."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

import pytest

from telbench.harness.cli.main import main
from telbench.harness.commands import judge as command
from telbench.harness.judging.calibrate import CALIBRATED, measures
from telbench.harness.judging.open import METRIC_RUBRICS
from telbench.judges.calibration.labelled import injection_set
from telbench.judges.chat import ChatReply
from telbench.judges.panel import JudgePanel
from telbench.judges.rubric import load_rubric, rubric_names

from ...scripted_judge import ScriptedJudge, fair, saying

LABELS = [
    {"id": "a", "question": "What is N2?", "answer": "AMF to gNB.", "reference": "gNB-AMF", "score": 5},
    {"id": "b", "question": "What is N3?", "answer": "No idea.", "reference": "gNB-UPF", "score": 1},
    {"id": "c", "question": "What is N4?", "answer": "SMF.", "reference": "SMF-UPF", "score": 3, "claims": {
        "tp": 1, "fp": 0, "fn": 1}},
]  # fmt: skip


def seat(monkeypatch: pytest.MonkeyPatch, *judges: ScriptedJudge) -> None:
    monkeypatch.setattr(command, "open_panel", lambda settings, seed=0: JudgePanel(judges, seed=seed))


def labels(folder: Path) -> str:
    file = folder / "labels.jsonl"
    file.write_text("".join(json.dumps(label) + "\n" for label in LABELS))
    return str(file)


def test_a_judge_is_held_against_labels_and_asked_once(tmp_path, monkeypatch, capsys):
    judge = ScriptedJudge("fair", fair)
    seat(monkeypatch, judge)
    words = ["judge", "calibrate", labels(tmp_path), "--judge", "local:x", "--out", str(tmp_path / "out")]
    assert main([*words, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    (found,) = document["judges"]
    assert found["score"]["n"] == 3
    # Three scores and one set of claims.
    assert len(judge.requests) == 4
    ElementTree.parse(tmp_path / "out" / "reliability.svg")
    assert json.loads((tmp_path / "out" / "calibration.json").read_text()) == document
    assert main(words) == 0
    assert len(judge.requests) == 4
    assert "fair" in capsys.readouterr().out


def test_labels_without_scores_need_no_plot(tmp_path, monkeypatch, capsys):
    seat(monkeypatch, ScriptedJudge("fair", fair))
    file = tmp_path / "labels.jsonl"
    file.write_text(json.dumps({key: value for key, value in LABELS[2].items() if key != "score"}) + "\n")
    assert main(["judge", "calibrate", str(file), "--judge", "local:x", "--out", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr().out
    assert "factual F1    n 1" in printed
    assert "reliability.svg" not in printed


def test_a_judge_without_any_verdict_is_no_success(tmp_path, monkeypatch, capsys):
    seat(monkeypatch, ScriptedJudge("mute", lambda _prompt: ChatReply("", "no", "stop")))
    words = ["judge", "calibrate", labels(tmp_path), "--judge", "local:x", "--out", str(tmp_path / "out")]
    assert main(words) == 5
    assert "the judge mute gave no verdict at all" in capsys.readouterr().err


def test_repeats_are_asked_with_other_delimiters(tmp_path, monkeypatch, capsys):
    judge = ScriptedJudge("fair", fair)
    seat(monkeypatch, judge)
    words = ["judge", "calibrate", labels(tmp_path), "--judge", "local:x", "--out", str(tmp_path / "out")]
    assert main([*words, "--repeats", "3", "--json"]) == 0
    assert len(judge.requests) == 12
    assert len({request.messages[0]["content"] for request in judge.requests}) == 12
    consistency = json.loads(capsys.readouterr().out)["judges"][0]["score"]["consistency"]
    assert consistency is not None


def test_injections_are_paired_with_the_same_answers_without_them_and_with_idle_text(tmp_path, monkeypatch, capsys):
    def steered(prompt: str) -> ChatReply:
        material = prompt.rsplit("<<<BEGIN answer", 1)[-1]
        return saying({"reasons": ["so"], "score": 5 if "5" in material.split("<<<END answer")[0][60:] else 2})

    seat(monkeypatch, ScriptedJudge("easily steered", steered))
    words = ["judge", "calibrate", labels(tmp_path), "--judge", "local:x", "--out", str(tmp_path / "out")]
    assert main([*words, "--injections", "--json"]) == 0
    effect = json.loads(capsys.readouterr().out)["injections"]["easily steered"]
    assert effect["n"] == 60
    assert effect["rise"]["value"] > 0.5
    assert effect["idle"]["value"] == 0
    assert effect["excess"]["value"] == effect["rise"]["value"]
    assert main([*words, "--injections"]) == 0
    printed = capsys.readouterr().out
    assert "injections against easily steered: the score moves by +" in printed
    assert "with idle text of the same length by +0.00 [+0.00, +0.00]; beyond that by +" in printed
    assert "warning: easily steered follows attempts to steer it" in printed


def test_the_set_of_attempts_can_be_named(tmp_path, monkeypatch, capsys):
    seat(monkeypatch, ScriptedJudge("fair", fair))
    words = ["judge", "calibrate", labels(tmp_path), "--judge", "local:x", "--out", str(tmp_path / "out")]
    assert main([*words, "--injections", "injections-2", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["injection_set"] == "injections-2"
    (effect,) = document["injections"].values()
    found = {family["family"]: family["n"] for family in effect["families"]}
    assert found == Counter(each.family for each in injection_set("injections-2"))
    assert main([*words, "--injections", "injections-9"]) == 2
    assert "choose from 'injections-1', 'injections-2'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "message"),
    [("", "labels.jsonl"), ('{"question": "x"}\n', "labels.jsonl"), ("{", "labels.jsonl")],
)
def test_labels_that_are_none_are_one_line(tmp_path, monkeypatch, capsys, content, message):
    seat(monkeypatch, ScriptedJudge("fair", fair))
    file = tmp_path / "labels.jsonl"
    file.write_text(content)
    assert main(["judge", "calibrate", str(file), "--judge", "local:x", "--out", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err.strip()
    assert message in error
    assert "\n" not in error


def test_no_judge_is_bad_usage(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["judge", "calibrate", labels(tmp_path)]) == 2
    assert "pass --judge local:CHECKPOINT" in capsys.readouterr().err


def scored(folder: Path, name: str, answers: list[str]) -> str:
    data, file = folder / "data.jsonl", folder / f"{name}.jsonl"
    items = [{"id": f"i{i}", "question": f"Question {i}?", "references": [f"right {i}"]} for i in range(len(answers))]
    data.write_text("".join(json.dumps(item) + "\n" for item in items))
    file.write_text("".join(json.dumps({"id": f"i{i}", "prediction": text}) + "\n" for i, text in enumerate(answers)))
    out = folder / name
    assert main(["score", str(file), "--data", str(data), "--metrics", "token_f1", "--out", str(out)]) == 0
    return str(out)


def test_pairs_are_judged_in_both_orders_and_identical_ones_not_at_all(tmp_path, monkeypatch, capsys):
    def prefers_right(prompt: str) -> ChatReply:
        first = prompt.rsplit("<<<BEGIN first", 1)[1].split("<<<END first", maxsplit=1)[0]
        return saying({"reasons": ["so"], "winner": "first" if "right" in first else "second"})

    judge = ScriptedJudge("fair", prefers_right)
    seat(monkeypatch, judge)
    good = scored(tmp_path, "good", ["right 0", "right 1", "same", "right 3"])
    poor = scored(tmp_path, "poor", ["wrong", "bad", "same", "no"])
    capsys.readouterr()
    words = ["judge", "prefer", good, poor, "--judge", "local:x", "--out", str(tmp_path / "out")]
    assert main([*words, "--json"]) == 0
    tally = json.loads(capsys.readouterr().out)["judges"][0]
    assert (tally["wins"], tally["ties"], tally["losses"], tally["identical"]) == (3, 1, 0, 1)
    assert (tally["first_share"], tally["win_rate"]) == (0.5, 0.875)
    assert len(judge.requests) == 6
    assert main(words) == 0
    assert "A wins 3, ties 1 (1 identical" in capsys.readouterr().out


def test_runs_on_other_items_cannot_be_preferred(tmp_path, monkeypatch, capsys):
    seat(monkeypatch, ScriptedJudge("fair", fair))
    (tmp_path / "x").mkdir()
    one, other = scored(tmp_path, "one", ["a", "b"]), scored(tmp_path / "x", "other", ["a", "b", "c"])
    assert main(["judge", "prefer", one, other, "--judge", "local:x", "--out", str(tmp_path / "out")]) == 4


def rubric_file(folder: Path, name: str) -> Path:
    rubric = load_rubric(name)
    file = folder / f"{name}-7.txt"
    file.write_text(f"verdict: {rubric.kind}\nfields: {', '.join(rubric.fields)}\n---\n{rubric.text}\n")
    return file


def test_every_rubric_is_of_a_metric_or_of_a_preference():
    names = {stem.rpartition("-")[0] for stem in rubric_names()}
    assert sorted(names - {"preference"}) == sorted(METRIC_RUBRICS)
    assert sorted(measure.rubric.name for measure in measures({})) == sorted(CALIBRATED)


@pytest.mark.parametrize(
    ("command", "name"),
    [("calibrate", "preference"), ("calibrate", "context_passages"), ("eval", "preference")],
)
def test_a_rubric_that_a_command_does_not_use_is_refused(command, name, tmp_path, monkeypatch, capsys):
    judge = ScriptedJudge("fair", fair)
    seat(monkeypatch, judge)
    rubric = ["--rubric", f"{name}={rubric_file(tmp_path, name)}", "--out", str(tmp_path / "out")]
    words = {
        "calibrate": ["judge", "calibrate", labels(tmp_path), "--judge", "local:x"],
        "eval": ["eval", "--engine", "replay", "--answers", labels(tmp_path), "--data", "telecom-nano"],
    }[command]
    assert main([*words, *rubric]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert f"--rubric {name}=" in error
    assert "uses only the rubrics" in error
    assert judge.requests == []


def choices_file(folder: Path) -> str:
    """Twelve questions in two categories and four documents, and one that cannot be asked about."""
    rows = [
        {
            "id": f"q{place}",
            "question": f"Which {place}?",
            "choices": ["wrong one", "right one", "wrong two"],
            "answer": 1,
            "category": "core" if place % 2 else "radio",
            "source_document": f"TS {place // 3}",
        }
        for place in range(12)
    ]
    rows.append({"id": "open", "question": "Why?", "references": ["so"], "category": "core"})
    file = folder / "choices.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(file)


def knows(radio: bool):
    """Prefers the right option; of radio questions (even numbers) only where it knows them, else what stands first."""

    def answer(prompt: str) -> ChatReply:
        known = radio or any(f"Which {place}?" in prompt for place in range(1, 12, 2))
        place = "first" if not known or prompt.rindex("right one") < prompt.rindex("wrong ") else "second"
        return saying({"reasons": ["so"], "winner": place})

    return answer


@pytest.mark.parametrize(("radio", "accuracy"), [(True, 1.0), (False, 0.75)])
def test_right_options_are_held_against_distractors_by_category(tmp_path, monkeypatch, capsys, radio, accuracy):
    judge = ScriptedJudge("knows", knows(radio))
    seat(monkeypatch, judge)
    out = tmp_path / "out"
    words = ["judge", "benchmark", "--judge", "local:x", "--data", choices_file(tmp_path), "--split", "all"]
    assert main([*words, "--out", str(out), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    rows = {row["category"]: row for row in document["rows"]}
    assert {name: row["n"] for name, row in rows.items()} == {"all": 12, "core": 6, "radio": 6}
    assert rows["all"]["accuracy"]["value"] == accuracy
    assert rows["core"]["right"] == 6
    # A judge that goes by the place contradicts itself: a tie, which is half right.
    assert (rows["radio"]["ties"], rows["radio"]["accuracy"]["value"]) == ((0, 1.0) if radio else (6, 0.5))
    assert rows["all"]["accuracy"]["low"] <= accuracy <= rows["all"]["accuracy"]["high"]
    # Both orders, no reference, one distractor a question.
    assert len(judge.requests) == 24
    assert json.loads((out / "benchmark.json").read_text()) == document
    assert main([*words, "--out", str(out)]) == 0
    assert "knows on choices" in (told := capsys.readouterr().out)
    assert "radio" in told
    # What was asked is kept.
    assert len(judge.requests) == 24


def test_a_set_without_options_has_no_pairs(tmp_path, monkeypatch, capsys):
    seat(monkeypatch, ScriptedJudge("fair", fair))
    words = ["judge", "benchmark", "--judge", "local:x", "--data", "telecom-nano", "--out", str(tmp_path / "out")]
    assert main(words) == 2
    assert "has no multiple-choice question with one right option" in capsys.readouterr().err
