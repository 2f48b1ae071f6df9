"""``telbench score --labels``: a run's judged metric with what people's labels make of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from telbench.harness.cli.main import main
from telbench.harness.judging import open as judging
from telbench.harness.runs.folder import read_run, read_samples
from telbench.judges.panel import JudgePanel
from telbench.metrics.fingerprints import text_sha256

from ...scripted_judge import ScriptedJudge, saying

COUNT = 40


def test_a_finished_run_is_scored_again_for_nothing_and_corrected(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    judge = ScriptedJudge("kind", lambda prompt: saying({"reasons": ["so"], "score": 5 if "odd" in prompt else 4}))
    monkeypatch.setattr(judging, "open_panel", lambda settings, seed=0: JudgePanel([judge], seed=seed))
    data, answers = tmp_path / "data.jsonl", tmp_path / "answers.jsonl"
    rows = [{"id": f"i{k}", "question": f"Which {k}?", "references": [f"No. {k}"]} for k in range(COUNT)]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    said = [{"id": f"i{k}", "prediction": f"{'odd' if k % 2 else 'even'} {k}"} for k in range(COUNT)]
    answers.write_text("".join(json.dumps(row) + "\n" for row in said))
    run = tmp_path / "run"
    words = ["score", str(answers), "--data", str(data), "--split", "all", "--metrics", "rubric_score"]
    words += ["--judge", "scripted", "--out", str(run)]
    assert main([*words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["metrics"]["rubric_score"]["value"] == pytest.approx(4.5)
    asked = len(judge.requests)
    labels = tmp_path / "labels.jsonl"
    with labels.open("w") as stream:
        # People are two points stricter.
        for sample in list(read_samples(run))[: COUNT // 2]:
            own = {"run": read_run(run)["run_id"], "item_id": sample["item_id"], "metric": "rubric_score"}
            own |= {"answer_sha256": text_sha256(sample["prediction"]), "label": sample["scores"]["rubric_score"] - 2}
            stream.write(json.dumps(own) + "\n")
    assert main([*words, "--labels", str(labels), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)["corrected"]["rubric_score"]["mean"]
    assert (told["judged"], told["labels"]) == (pytest.approx(4.5), COUNT // 2)
    assert told["value"] == pytest.approx(2.5)
    assert main([*words, "--labels", str(labels)]) == 0
    assert "20 of 40" in capsys.readouterr().out
    assert len(judge.requests) == asked
    assert main([*words, "--labels", str(tmp_path / "none")]) == 2
