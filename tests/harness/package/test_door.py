"""``import telbench``: light, typed, and as strict as the command line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import telbench
from telbench.errors import IncomparableError

ITEMS = [{"id": f"q{k}", "question": f"What is {k}?", "references": [f"answer {k}"]} for k in range(12)]


def answered(folder: Path, name: str, wrong: int, **options: Any) -> telbench.Run:
    """A run of twelve items of which ``wrong`` are answered with nonsense."""
    data = folder / "data.jsonl"
    data.write_text("".join(json.dumps(item) + "\n" for item in ITEMS))
    rows = [
        {"id": item["id"], "prediction": "no" if k < wrong else item["references"][0]} for k, item in enumerate(ITEMS)
    ]
    answers = folder / f"{name}.jsonl"
    answers.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return telbench.score(answers, data, split="all", metrics="exact_match,token_f1", out=folder / name, **options)


def test_the_names_are_there_and_nothing_else_is() -> None:
    assert set(telbench.__all__) == {
        "Engine", "InputError", "Item", "Judge", "Metric", "Run", "Sample", "__version__", "board", "check", "compare",
        "distill", "evaluate", "metric", "score", "sft",
    }  # fmt: skip
    for name in telbench.__all__:
        assert getattr(telbench, name) is not None
        assert name in dir(telbench)
    with pytest.raises(AttributeError, match="has no attribute 'evalute'"):
        telbench.evalute  # noqa: B018


def test_importing_loads_nothing_heavy_and_the_module_runs_as_the_command() -> None:
    code = "import sys, telbench; sys.exit(sum(name in sys.modules for name in ('numpy', 'torch', 'argparse', 'rich')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    told = subprocess.run([sys.executable, "-m", "telbench", "--version"], capture_output=True, text=True, check=True)
    assert told.stdout == f"telbench {telbench.__version__}\n"


def test_a_score_a_comparison_a_gate_and_a_board(tmp_path: Path) -> None:
    today, worse = answered(tmp_path, "today", 1), answered(tmp_path, "worse", 7)
    assert today.header["metrics"]["exact_match"]["value"] == pytest.approx(11 / 12)
    assert today.header["command"] == ["telbench.score"]
    (found,) = [each for each in telbench.compare(today, worse.path) if each.metric == "exact_match"]
    assert found.values == pytest.approx((5 / 12, 11 / 12))
    gate = telbench.check(worse, today, {"exact_match": 0.05})
    assert (gate.verdict, gate.exit_code) == ("fail", 1)
    assert telbench.check(today, str(today.path), {"exact_match": 0.2}, guardrails=False).exit_code == 0
    page = telbench.board([today, worse.path], tmp_path / "site", title="ours")
    assert page.read_text(encoding="utf-8").count("ours") > 0


def test_a_run_is_repeated_by_the_settings_that_its_folder_keeps(tmp_path: Path) -> None:
    run = answered(tmp_path, "first", 2)
    words = ["-m", "telbench", "eval", "--config", str(run.path / "run.yaml"), "--out", str(tmp_path / "b")]
    again = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert (tmp_path / "b" / "samples.jsonl").read_bytes() == (run.path / "samples.jsonl").read_bytes()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"book": "opne"}, "evaluate: unknown key 'book'"),
        ({"context": "opne"}, "evaluate: context is 'opne': did you mean 'open'?"),
        ({"metrics": 5}, "metrics must be a list"),
        ({"limit": 0}, "evaluate: limit is 0: it must be at least 1"),
        ({"limit": "many"}, "evaluate: limit must be a whole number, not 'many'"),
        ({"engine": "vlm"}, "vllm"),
        ({"max_tokns": 5}, "evaluate: unknown key 'max_tokns': did you mean 'max_tokens'?"),
        ({"seed": True}, "evaluate: seed must be a whole number, not True"),
        ({"data": None}, "evaluate: data is empty"),
    ],
)
def test_wrong_values_are_refused_as_on_the_command_line(options: dict[str, Any], told: str, tmp_path: Path) -> None:
    with pytest.raises(telbench.InputError) as caught:
        telbench.evaluate(
            "m", **{"out": tmp_path / "run", "engine": "openai", "base_url": "http://127.0.0.1:9/v1", **options}
        )
    assert told in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_other_doors_refuse_too(tmp_path: Path) -> None:
    run = answered(tmp_path, "one", 0)
    with pytest.raises(telbench.InputError, match="score: max_tokens is for answers that telbench generates"):
        telbench.score("answers.jsonl", max_tokens=5)
    with pytest.raises(telbench.InputError, match="unknown metric 'tokn_f1': did you mean token_f1"):
        telbench.score(tmp_path / "one.jsonl", tmp_path / "data.jsonl", split="all", metrics="tokn_f1")
    with pytest.raises(telbench.InputError, match="12 is no run"):
        telbench.compare(run, 12)  # type: ignore[arg-type]
    with pytest.raises(telbench.InputError, match="compare needs two or more run folders"):
        telbench.compare(run)
    with pytest.raises(telbench.InputError, match="check: margins: exact_match must be a number"):
        telbench.check(run, run, {"exact_match": "little"})  # type: ignore[dict-item]
    with pytest.raises(telbench.InputError, match=r"sft: unknown setting 'epoch': did you mean 'epochs'\?"):
        telbench.sft("model", tmp_path / "out", epoch=3)
    with pytest.raises(telbench.InputError, match="algorithm is 'dksd'"):
        telbench.distill("teacher", "student", "dksd", tmp_path / "out")
    with pytest.raises(telbench.InputError, match="nowhere"):
        telbench.board([tmp_path / "nowhere"], tmp_path / "site")
    answers, data = tmp_path / "one.jsonl", tmp_path / "data.jsonl"
    other = telbench.score(answers, data, split="all", metrics=["exact_match"], limit=6, out=tmp_path / "c")
    with pytest.raises(IncomparableError):
        telbench.compare(run, other)


@pytest.mark.slow
def test_a_checkpoint_is_made_distilled_and_evaluated(tiny_checkpoint: Path, tmp_path: Path) -> None:
    tuned = telbench.sft(tiny_checkpoint, tmp_path / "tuned", limit=8, epochs=1, batch_size=4, dev_split="none")
    student = telbench.distill(
        tuned.path,
        tiny_checkpoint,
        "vanilla_kd",
        tmp_path / "student",
        limit=8,
        epochs=1,
        batch_size=4,
        dev_split="none",
    )
    assert (tuned.made_now, student.origin.training["steps"]) == (True, 2)
    run = telbench.evaluate(
        student.path, engine="transformers", metrics="token_f1", limit=4, max_tokens=4, out=tmp_path / "run"
    )
    assert run.header["counts"]["ok"] == 4
    assert run.header["command"] == ["telbench.evaluate"]
