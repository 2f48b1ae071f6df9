"""Runs on texts in other scripts: the references decide, the signature says so, and runs on the same data compare."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from telbench.harness.cli.main import main
from telbench.leaderboard.runs.loaded import shared_metrics
from telbench.leaderboard.runs.sources import open_runs

from .telecom_sentences import CHINESE, SPACED

ENGLISH = ("The AMF handles registration.", "The UPF forwards packets.", "A gNB has a CU and DUs.")


def write_lines(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    return path


def score(folder: Path, name: str, references: tuple[str, ...], answers: tuple[str, ...], *more: str) -> Any:
    """The metrics of ``telbench score``, by name."""
    items = [{"id": str(i), "question": f"{i}?", "references": [text]} for i, text in enumerate(references)]
    data = write_lines(folder / "data.jsonl", items)
    given = write_lines(folder / f"{name}.jsonl", [{"id": str(i), "prediction": t} for i, t in enumerate(answers)])
    assert main(["score", str(given), "--data", str(data), "--out", str(folder / name), *more]) == 0
    return json.loads((folder / name / "run.json").read_text("utf-8"))["metrics"]


def test_chinese_answers_equal_to_their_references_score_best_and_the_run_says_how(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    found = score(tmp_path, "right", CHINESE, CHINESE)
    values = {name: entry["value"] for name, entry in found.items()}
    best = {"bleu": 100, "chrf": 100, "ter": 0}
    assert values == pytest.approx({name: best.get(name, 1) for name in found}, abs=1e-9)
    assert "tok:characters" in found["token_f1"]["signature"]
    told = capfd.readouterr().err
    assert "the references hold Han" in told
    assert "are counted by exact_match, token_f1, rouge1, rouge2, rougeL, bleu, ter" in told


def test_runs_on_the_same_chinese_data_are_measured_alike_and_so_is_a_file_of_answers(tmp_path: Path) -> None:
    score(tmp_path, "right", CHINESE, CHINESE)
    # Answers in English do not change how the data are read.
    score(tmp_path, "english", CHINESE, ("The AMF handles registration.",) * len(CHINESE))
    runs = open_runs([tmp_path / "right", tmp_path / "english", tmp_path / "right.jsonl"])
    assert {metric.name for metric in shared_metrics(runs)} == set(runs[0].header["metrics"])
    assert runs[2].scores["rouge2"] == runs[0].scores["rouge2"]


def test_latin_data_keep_their_signatures_and_nothing_is_told(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    found = score(tmp_path, "run", ENGLISH, (CHINESE[0], *ENGLISH[1:]))
    assert {entry["signature"] for entry in found.values()} == {
        "exact_match|norm:squad-v1.1|v1",
        "token_f1|norm:squad-v1.1|v1",
        *(f"rouge{kind}|stem:porter|tok:rouge-score|v1" for kind in "12L"),
        "bleu|case:mixed|eff:item|smooth:exp|tok:13a|v1",
        "chrf|beta:2|case:mixed|eff:yes|nc:6|nw:0|space:no|v1",
        "ter|asian:no|case:lc|norm:no|punct:yes|tok:tercom|v1",
        # The references are short.
        *(f"{name}|norm:technical|v1" for name in ("token_recall", "token_precision", "reference_included")),
    }
    assert "the references hold" not in capfd.readouterr().err


def test_the_user_may_choose_and_is_warned_of_what_cannot_be_read(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    texts = (SPACED["Arabic"],) * 2
    asked = ("--metrics", "rouge1,token_f1")
    found = score(tmp_path, "words", texts, texts, *asked, "--segmentation", "words")
    assert found["rouge1"]["signature"] == "rouge1|stem:porter|tok:rouge-score|v1"
    assert "take for one word: rouge1; --segmentation unicode-words" in capfd.readouterr().err
    found = score(tmp_path, "auto", texts, texts, *asked)
    assert (found["rouge1"]["value"], found["rouge1"]["signature"]) == (
        1.0,
        "rouge1|norm:nfkc|stem:porter|tok:unicode|v1",
    )
    found = score(tmp_path, "characters", texts, texts, *asked, "--segmentation", "characters")
    assert "tok:characters" in found["token_f1"]["signature"]
