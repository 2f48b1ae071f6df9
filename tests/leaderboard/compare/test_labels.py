"""``compare --labels``: judged metrics with what people's labels make of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from telbench.harness.cli.main import main
from telbench.harness.runs.folder import read_run, read_samples
from telbench.metrics.fingerprints import text_sha256

from ..scored_runs import scored_run

METRIC = "token_f1"


def judged(folder: Path, name: str, right: float) -> Path:
    """A run whose F1 passes for a judge's score."""
    run = scored_run(folder, name, "facts", 60, right, METRIC)
    header = read_run(run)
    header["metrics"][METRIC]["judge_missing"] = 0
    (run / "run.json").write_text(json.dumps(header))
    return run


def test_the_corrected_difference_stands_below_the_tables(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    base, run = judged(tmp_path, "base", 0.5), judged(tmp_path, "new", 0.9)
    labels = tmp_path / "labels.jsonl"
    with labels.open("w") as stream:
        for folder in (base, run):
            for place, sample in enumerate(read_samples(folder)):
                if place % 2:
                    # People find both right half the time.
                    record = {"run": read_run(folder)["run_id"], "item_id": sample["item_id"], "metric": METRIC}
                    record |= {"answer_sha256": text_sha256(sample["prediction"]), "label": float(place % 4 == 1)}
                    stream.write(json.dumps(record) + "\n")
    capsys.readouterr()
    asked = ["compare", str(base), str(run), "--labels", str(labels)]
    assert main(asked) == 0
    told = capsys.readouterr().out
    assert told.index("judged scores, corrected by people's labels:") > told.index(METRIC)
    assert "by people's labels new is not told apart from base" in told
    assert main([*asked, "--json"]) == 0
    (_, new) = json.loads(capsys.readouterr().out)["corrected"][METRIC]
    assert new["difference"]["judged"] == pytest.approx(0.4, abs=0.05)
    assert new["difference"]["ci_low"] <= 0 <= new["difference"]["ci_high"]
    assert main([*asked, "--markdown"]) == 0
    assert "```\n\njudged scores, corrected" in capsys.readouterr().out
    assert main(["compare", str(base), str(run)]) == 0
    assert "corrected by" not in capsys.readouterr().out
    assert main(["compare", str(base), str(run), "--labels", str(tmp_path / "no")]) == 2
