"""``check --labels``: a gate on what people would say, where the judge alone is wrong about it."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from telbench.errors import InputError
from telbench.harness.cli.main import main
from telbench.harness.labelling.labels import AnswerLabel, write_labels
from telbench.harness.runs.folder import read_run, read_samples
from telbench.leaderboard.runs.labelled import as_labelled
from telbench.leaderboard.runs.loaded import load_run
from telbench.leaderboard.statistics import sign_flip
from telbench.metrics.fingerprints import text_sha256
from telbench.metrics.judged.prediction_powered import corrected_values

from ..scored_runs import scored_run

METRIC, COUNT = "token_f1", 200


def judged(folder: Path, name: str, right: float) -> Path:
    """A run whose F1 passes for a judge's score."""
    run = scored_run(folder, name, "facts", COUNT, right, METRIC)
    header = read_run(run)
    header["metrics"][METRIC]["judge_missing"] = 0
    (run / "run.json").write_text(json.dumps(header))
    return run


def labels_of(run: Path, lost: float) -> list[AnswerLabel]:
    """What people say of every second answer, who see a loss in the fourth and eighth one of each ten."""
    found = []
    for place, sample in enumerate(read_samples(run)):
        if place % 2:
            label = max(0.0, sample["scores"][METRIC] - (lost if place % 10 in {3, 7} else 0))
            answer = text_sha256(sample["prediction"])
            found.append(AnswerLabel(read_run(run)["run_id"], sample["item_id"], METRIC, answer, label, (label,)))
    return found


def test_a_drop_that_the_judge_does_not_see_fails_by_labels(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base, new = judged(tmp_path, "base", 1.0), judged(tmp_path, "new", 0.9)
    file = tmp_path / "labels.jsonl"
    told = [*labels_of(base, 0.0), *labels_of(new, 1.0)]
    write_labels(told, file)
    asked = ["check", "--baseline", str(base), "--candidate", str(new), "--margin", f"{METRIC}=0.3"]
    capsys.readouterr()
    assert main([*asked, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["metrics"][0]["delta"] == pytest.approx(-0.1)
    assert main([*asked, "--labels", str(file), "--json"]) == 1
    gate = json.loads(capsys.readouterr().out)
    (found,) = (each for each in gate["metrics"] if each["metric"] == METRIC)
    # Two fifths of the labelled answers are lost in people's eyes, beside the one that the judge sees.
    assert -0.6 <= found["delta"] <= -0.5
    assert any("is corrected by 100 labels" in line and "by the judge alone 0.9" in line for line in gate["warnings"])
    file.write_text(file.read_text().split("\n", 1)[0] + "\n")
    assert main([*asked, "--labels", str(file)]) == 2
    assert "1 labels are too few" in capsys.readouterr().err


def test_a_label_of_another_answer_or_off_the_scale_is_refused(tmp_path: Path) -> None:
    run = judged(tmp_path, "base", 1.0)
    labels = labels_of(run, 0.0)
    for change, told in (({"answer_sha256": "x"}, "is of another answer than"), ({"label": 1.5}, "off the scale")):
        with pytest.raises(InputError, match=told):
            as_labelled(load_run(run), [replace(labels[0], **change), *labels[1:]])


def test_a_metric_that_no_judge_scored_has_nothing_to_correct(tmp_path: Path) -> None:
    run = scored_run(tmp_path, "plain", "facts", 20, 1.0, METRIC)
    label = AnswerLabel("x", "i0", METRIC, "y", 1.0, (1.0,))
    with pytest.raises(InputError, match="has no judged metric 'token_f1'"):
        as_labelled(load_run(run), [label])


def test_a_gate_on_corrected_values_errs_as_seldom_as_it_says() -> None:
    """True drop of the margin that the judge hides: its own test passes nearly always, the corrected in one of 20."""
    draw, runs, margin = np.random.default_rng(8), 400, 0.1
    passed = {"judge": 0, "corrected": 0}
    names = [str(place) for place in np.repeat(np.arange(100), 3)]
    for _ in range(runs):
        shared = np.repeat(0.2 * draw.normal(size=100), 3)
        truth = shared + 0.4 * draw.normal(size=300) - margin
        said = truth + margin + 0.3 * draw.normal(size=300)
        labels = np.where(draw.random(300) < 0.4, truth, math.nan)
        for name, values in (("judge", said), ("corrected", corrected_values(said, labels, names))):
            sums = values.reshape(100, 3).sum(axis=1)
            passed[name] += sign_flip.greater(sums + 3 * margin) <= 0.05
    assert passed["judge"] / runs > 0.5
    assert 0.02 <= passed["corrected"] / runs <= 0.085
