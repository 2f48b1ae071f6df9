"""The demo's story, told of runs that are scored, compared, gated and published here; models are stood in for."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from telbench.harness.cli import main as cli
from telbench.harness.datasets.loading import load_dataset
from telbench.kd.commands import demo
from telbench.kd.commands.demo import MadeEncoder, SliceRun
from telbench.kd.commands.story import Told, gate_verdict, standings, story

# Name and how many of the answers are lost, in the slice's order.
MODELS = {
    "base-student": 80,
    "alone-student-seed0": 20,
    "same-vanilla_kd-t1-s0-seed0": 18,
    "same-dskd-t1-s0-seed0": 21,
    "different-dskd-t1-s0-seed0": 24,
    "sft-teacher-different": 40,
    "sft-teacher-same": 22,
}
ITEMS = 80


def scored(folder: Path) -> list[SliceRun]:
    """Runs of made answers to questions of telecom-nano; which are lost differs from model to model."""
    items = load_dataset("telecom-nano", split="test").items[:ITEMS]
    data = folder / "data.jsonl"
    rows = [{"id": item.id, "question": item.question, "references": list(item.references)} for item in items]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    made: list[SliceRun] = []
    for number, (name, lost) in enumerate(MODELS.items()):
        answers = folder / f"{name}.txt"
        texts = [
            "none" if (place * 7 + number * 11) % ITEMS < lost else item.references[0]
            for place, item in enumerate(items)
        ]
        answers.write_text("".join(text.replace("\n", " ") + "\n" for text in texts))
        words = ["score", str(answers), "--data", str(data), "--split", "all", "--metrics", "token_f1,exact_match,bleu"]
        assert cli.main([*words, "--name", name, "--out", str(folder / "runs" / name)]) == 0
        made.append(SliceRun(name, str(folder / "store" / name), str(folder / "runs" / name), made_now=True))
    return made


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, str]:
    """The demo's folder, and what it printed on stdout and stderr."""
    folder = tmp_path_factory.mktemp("demo")
    made = scored(folder)

    def make_slice(out: Path, reporter: object, **asked: Any) -> Sequence[SliceRun]:
        return made

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(demo, "make_slice", make_slice)
        patch.setattr(demo, "train_encoder", lambda *_, **__: MadeEncoder("e", str(folder / "e"), trained_now=False))
        patch.setattr(demo, "usable_engine", lambda name: name)
        with pytest.MonkeyPatch.context() as streams:
            out, err = (folder / name for name in ("stdout", "stderr"))
            with out.open("w") as stdout, err.open("w") as stderr:
                streams.setattr("sys.stdout", stdout)
                streams.setattr("sys.stderr", stderr)
                assert cli.main(["demo", "--out", str(folder / "demo")]) == 0
    return folder / "demo", out.read_text(), err.read_text()


@pytest.mark.slow
def test_the_demo_tells_its_story_in_a_screen(told: tuple[Path, str, str]) -> None:
    _, out, err = told
    assert len(out.splitlines()) < 25, out
    assert len(err.splitlines()) < 4, err
    made = "7 tiny models (2 teachers, 4 students, 1 untaught), each asked 80 questions."
    assert re.match(rf"Made in \d+ s: {re.escape(made)}\n", out)
    for name in MODELS:
        assert name in out


@pytest.mark.slow
def test_the_story_says_who_leads_who_ties_and_what_the_gate_says(told: tuple[Path, str, str]) -> None:
    _, out, _ = told
    rows = {line.split()[1]: line for line in out.splitlines() if line[:1].isdigit()}
    assert next(iter(rows)) == "same-vanilla_kd-t1-s0-seed0"
    assert rows["base-student"].startswith("7 ")
    assert rows["base-student"].endswith("worse")
    assert rows["same-dskd-t1-s0-seed0"].endswith("not shown")
    assert "token_f1: same-vanilla_kd-t1-s0-seed0 leads with" in out
    assert "tied with" in out
    assert "\nMay a model replace alone-student-seed0, if it may lose 0.05 of token_f1?\n" in out
    assert "\n  same-vanilla_kd-t1-s0-seed0: INCONCLUSIVE, token_f1: " in out
    assert "\n  base-student: FAIL, token_f1: " in out
    assert out.count("INCONCLUSIVE") == 1


@pytest.mark.slow
def test_the_file_that_the_story_names_holds_all_tables_and_the_page_is_there(told: tuple[Path, str, str]) -> None:
    folder, out, _ = told
    assert f"Open    {folder / 'board' / 'index.html'}  (" in out
    assert (folder / "board" / "index.html").is_file()
    assert f"Tables  {folder / 'tables.txt'}  (" in out
    tables = (folder / "tables.txt").read_text()
    assert tables.count("\n$ telbench check ") == 2
    for metric in ("token_f1: ", "exact_match: ", "bleu: "):
        assert metric in tables
    # The same numbers in the story and in the file, which has more columns.
    row = next(line for line in out.splitlines() if "sft-teacher-different  " in line)
    cells = row.split("  ")[-1], row[row.index("-0.2") : row.index("]") + 1]
    assert any(all(cell in line for cell in ("sft-teacher-different  ", *cells)) for line in tables.splitlines())


def document() -> dict[str, Any]:
    """A comparison of two runs in a metric of which less is better, without intervals."""
    entry = {"value": 40.0, "ci_low": None, "ci_high": None, "range": [0, None], "higher_is_better": False}
    pair = {"delta": 0.0, "ci_verdict": None, "p_verdict": None, "verdict": "too few items differ to tell"}
    return {
        "answer": {"sentences": ["ter (lower is better): nothing can be ranked: few. Against a: 1 with too little."]},
        "rankings": [{"metric": "ter", "order": [1, 0], "ranges": [[1, 2], [1, 2]]}],
        "runs": [
            {"name": "a", "metrics": {"ter": entry}, "difference": None},
            {"name": "b\x1b[31m", "metrics": {"ter": {**entry, "value": None}}, "difference": {"ter": pair}},
        ],
    }


def test_what_is_missing_is_said_and_names_cannot_paint_the_terminal() -> None:
    heads, second, first = standings(document())
    assert heads[3] == "against a"
    assert second[2:] == ("N/A", "+0.0", "", "too few")
    assert first == ("1-2", "a", "40.0", "", "", "")
    lines = story(Told("Made.", document(), [], [("Open", "x")], ["telbench eval"]))
    assert not any("\x1b" in line for line in lines)
    assert "ter (lower is better): nothing can be ranked: few." in lines


def test_the_gate_is_quoted_by_the_metric_that_its_verdict_rests_on() -> None:
    metrics = [
        {"metric": "token_f1", "verdict": "PASS", "reason": "fine"},
        {"metric": "bleu", "verdict": "FAIL_HARD", "reason": "a drop"},
        {"metric": "chrf", "verdict": "FAIL", "reason": "a drop too"},
    ]
    gate: dict[str, Any] = {"verdict": "fail", "metrics": metrics}
    assert gate_verdict(gate) == "FAIL, bleu: a drop (and 1 more)"
    passed = copy.deepcopy(gate)
    passed["verdict"] = "pass"
    assert gate_verdict(passed) == "PASS, token_f1: fine"
