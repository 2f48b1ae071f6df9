"""A real study, small: two cells on both vocabularies, from nothing to the factor table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from telbench.harness.cli import main as cli

MICRO = {"hidden": 64, "layers": 1, "heads": 2, "inner": 96, "window": 160, "epochs": 1}
STUDY: dict[str, Any] = {
    "name": "micro",
    "models": {"student": {"both": "scratch:s"}, "teacher": {"same": "scratch:t", "different": "scratch:u"}},
    "scratch": {
        "s": {**MICRO, "vocabulary": 700},
        "t": {**MICRO, "vocabulary": 700, "layers": 2},
        "u": {**MICRO, "vocabulary": 600, "pieces": "digits", "corpus": "contexts"},
    },
    "factors": {"teacher_sft": [False], "student_sft": [False], "algorithm": ["dskd"]},
    "anchors": ["base_student"],
    "budget": {"kind": "equal_tokens", "tokens": 3000},
    "training": {"data": {"limit": 24}, "optimiser": {"batch_size": 8, "learning_rate": 1e-3}},
    "evaluation": {"metrics": "token_f1", "engine": "transformers", "max_tokens": 8, "limit": 6},
}


@pytest.mark.slow
def test_a_study_from_nothing_ends_with_runs_that_carry_their_factors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TELBENCH_CACHE", str(tmp_path / "cache"))
    file, out = tmp_path / "study.yaml", tmp_path / "out"
    file.write_text(yaml.safe_dump(STUDY))
    words = ["kd", "study", str(file), "--out", str(out), "--jobs", "2", "--json"]
    assert cli.main(words) == 0
    told = json.loads(capfd.readouterr().out)
    kinds = [each["kind"] for each in told["artefacts"]]
    assert kinds == ["base"] * 3 + ["cache"] * 2 + ["student"] * 2 + ["run"] * 3
    assert {each["state"] for each in told["artefacts"]} == {"done"}

    students = [Path(each["path"]) for each in told["artefacts"] if each["kind"] == "student"]
    notes = [json.loads((student / "telbench.json").read_text()) for student in students]
    assert {note["factors"]["variant"] for note in notes} == {"dskd", "dskd_cma"}
    longest_batch = 8 * 160
    assert all(3000 <= note["training"]["tokens"] < 3000 + longest_batch for note in notes)

    runs = sorted(str(link) for link in (out / "runs").iterdir())
    headers = [json.loads((Path(run) / "run.json").read_text()) for run in runs]
    assert [header["factors"]["vocabulary"] for header in headers] == ["different", "same"]
    assert {header["factors"]["algorithm"] for header in headers} == {"dskd"}
    assert [link.name for link in (out / "anchors").iterdir()] == ["base-student"]
    assert cli.main(["compare", *runs, "--study"]) == 0
    assert "vocabulary: different - same" in capfd.readouterr().out

    before = (out / "journal.jsonl").read_bytes()
    assert cli.main(words) == 0
    assert (out / "journal.jsonl").read_bytes() == before
