"""EVOUNA's files become labels, and any judge's sensitivity and specificity on them, by system, is one command."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from telbench.errors import InputError
from telbench.harness.cli.main import main
from telbench.harness.commands import judge as command
from telbench.harness.labelling.evouna import SYSTEMS, evouna_labels
from telbench.judges.calibration.labelled import read_labels
from telbench.judges.chat import ChatReply
from telbench.judges.panel import JudgePanel

from ...scripted_judge import ScriptedJudge, saying


def question(number: int, **changed: Any) -> dict[str, Any]:
    """A record as the authors publish it: every system's answer says whether it is right."""
    record: dict[str, Any] = {"question": f"who made number {number}", "golden_answer": "Ada Lovelace/Lovelace"}
    for place, system in enumerate(SYSTEMS):
        right = (number + place) % 2 == 0
        record |= {f"answer_{system}": f"{system} {'right' if right else 'wrong'} {number}", f"judge_{system}": right}
    return {**record, "improper": False, **changed}


def saved(folder: Path, *records: Any, name: str = "NQ.json") -> Path:
    path = folder / name
    path.write_text(json.dumps(list(records)), encoding="utf-8")
    return path


def test_every_answer_with_a_verdict_is_a_label(tmp_path):
    file = saved(
        tmp_path,
        question(1),
        question(2, improper=True),
        question(3, judge_gpt4=None, answer_gpt4=None),
        question(4, judge_fid="nan"),
        question(5, answer_newbing=None),
        question(6, golden_answer=None),
        question(7, golden_answer=" / ", improper=True),
    )
    found = evouna_labels([file])
    assert dict(found.left_out) == {"question found improper": 10, "no verdict": 2, "no question or reference": 5}
    assert (len(found.rows), found.not_drawn) == (18, 0)
    assert found.rows[1] == {
        "id": "NQ-1-gpt35",
        "item_id": "NQ-1",
        "system": "gpt35",
        "question": "who made number 1",
        "reference": "Alternative 1: Ada Lovelace\nAlternative 2: Lovelace",
        "answer": "gpt35 right 1",
        "right": True,
    }
    assert [row["answer"] for row in found.rows if row["id"] == "NQ-5-newbing"] == [""]


def test_the_file_is_one_that_calibrate_reads(tmp_path, capsys):
    file, out = saved(tmp_path, *map(question, range(9))), tmp_path / "labels.jsonl"
    assert main(["judge", "labels", "--from", "evouna", str(file), "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "45 answers to 9 questions" in printed
    assert "right: fid 55.6%, gpt35 44.4%" in printed
    labels = read_labels(out)
    assert Counter((label.system, label.verdict) for label in labels)["fid", True] == 5
    assert len({label.cluster for label in labels}) == 9


def test_a_judge_s_sensitivity_and_specificity_are_told_by_system(tmp_path, monkeypatch, capsys):
    def lenient_to_gpt4(prompt: str) -> ChatReply:
        answer = prompt.rsplit("<<<BEGIN answer", 1)[1]
        missed = "right 0" in answer
        return saying({"reasons": ["so"], "score": 5 if "gpt4" in answer or ("right" in answer and not missed) else 1})

    judge = ScriptedJudge("lenient", lenient_to_gpt4)
    monkeypatch.setattr(command, "open_panel", lambda settings, seed=0: JudgePanel([judge], seed=seed))
    file, out = saved(tmp_path, *map(question, range(8))), tmp_path / "labels.jsonl"
    assert main(["judge", "labels", "--from", "evouna", str(file), "--out", str(out)]) == 0
    words = ["judge", "calibrate", str(out), "--judge", "local:x", "--out", str(tmp_path / "out")]
    assert main([*words, "--json"]) == 0
    captured = capsys.readouterr().out
    rows = json.loads(captured[captured.index("{") :])["judges"][0]["diagnostic"]
    found = {row["system"]: (row["sensitivity"]["value"], row["specificity"]["value"]) for row in rows}
    # Of the right answers to question 0 those of fid, chatgpt and newbing are missed.
    assert found == {
        None: (0.85, 0.8),
        "fid": (0.75, 1.0),
        "gpt35": (1.0, 1.0),
        "chatgpt": (0.75, 1.0),
        "gpt4": (1.0, 0.0),
        "newbing": (0.75, 1.0),
    }
    assert all(row["sensitivity"]["low"] < row["sensitivity"]["value"] for row in rows)
    # There are no scores to plot; the file of an earlier run is another matter.
    assert not (tmp_path / "out" / "reliability.svg").exists()
    assert main(words) == 0
    printed = capsys.readouterr().out
    assert "  gpt4                  4     4  1.00" in printed
    assert "reliability.svg" not in printed


def test_drawn_questions_come_with_all_their_answers_and_the_seed_says_which(tmp_path, capsys):
    files = [saved(tmp_path, *map(question, range(20)), name=name) for name in ("NQ.json", "TQ.json")]
    found = [evouna_labels(files, 22, seed) for seed in (0, 0, 1)]
    assert [len(each.rows) for each in found] == [25, 25, 25]
    assert found[0] == found[1] != found[2]
    assert set(Counter(row["item_id"] for row in found[0].rows).values()) == {5}
    assert found[0].not_drawn == 175
    assert len(evouna_labels(files, 10_000).rows) == 200
    # A question is as likely from either file.
    drawn = Counter(row["item_id"][:2] for seed in range(40) for row in evouna_labels(files, 25, seed).rows)
    assert 350 < drawn["NQ"] < 650
    words = ["judge", "labels", "--from", "evouna", *map(str, files), "--n", "22", "--json"]
    assert main([*words, "--out", str(tmp_path / "labels.jsonl")]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["n"], told["questions"], told["not_drawn"]) == (25, 5, 175)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is not JSON: take NQ.json or TQ.json of EVOUNA as they are"),
        ("{}", "is no list of questions"),
        ("[]", "is no list of questions"),
        ("[1]", "question 1: no object"),
        (json.dumps([question(1), {"question": "x"}]), "question 2: 'golden_answer' is missing or no text"),
        (json.dumps([question(1, question=7)]), "question 1: 'question' is missing or no text"),
        (json.dumps([question(1, improper="no")]), "question 1: 'improper' is not true or false"),
        (json.dumps([question(1, judge_fid=1)]), "question 1: 'judge_fid' is not true, false or null"),
        (json.dumps([question(1, judge_fid=[])]), "question 1: 'judge_fid' is not true, false or null"),
        (json.dumps([question(1, answer_gpt4=["x"])]), "question 1: 'answer_gpt4' is no text"),
        (json.dumps([question(1, improper=True)]), "no answer has a verdict"),
    ],
)
def test_files_that_are_not_evouna_s_are_one_line(tmp_path, capsys, content, message):
    file = tmp_path / "NQ.json"
    file.write_text(content)
    assert main(["judge", "labels", "--from", "evouna", str(file), "--out", str(tmp_path / "labels.jsonl")]) == 2
    error = capsys.readouterr().err.strip()
    assert message in error
    assert "\n" not in error
    assert not (tmp_path / "labels.jsonl").exists()


def test_two_files_of_one_name_are_refused(tmp_path):
    (tmp_path / "other").mkdir()
    files = [saved(folder, question(1)) for folder in (tmp_path, tmp_path / "other")]
    with pytest.raises(InputError, match="two files are called NQ"):
        evouna_labels(files)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["sheet.csv", "--n", "5"], "--n and --seed draw from the files of --from evouna"),
        (["sheet.csv", "--seed", "5"], "--n and --seed draw from the files of --from evouna"),
        (["--from", "evouna", "NQ.json", "--key", "k"], "--key is that of a sheet"),
        (["--from", "evouna", "NQ.json", "--seed", "1"], "give --n N too"),
        (["--from", "evuna", "NQ.json"], "choose from 'sheets', 'evouna'"),
    ],
)
def test_flags_that_nothing_reads_are_refused(words, message, capsys):
    assert main(["judge", "labels", *words]) == 2
    assert message in capsys.readouterr().err
