"""``import telbench``: light, typed, and as strict as the command line."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import telbench
from telbench.errors import IncomparableError

from ...judges.server.served_judges import capable, scores
from ...scripted_server import ScriptedServer

ITEMS = [{"id": f"q{k}", "question": f"What is {k}?", "references": [f"answer {k}"]} for k in range(12)]


def answered(folder: Path, place: str, wrong: int, **options: Any) -> telbench.Run:
    """A run of twelve items of which ``wrong`` are answered with nonsense."""
    data = folder / "data.jsonl"
    data.write_text("".join(json.dumps(item) + "\n" for item in ITEMS))
    rows = [
        {"id": item["id"], "prediction": "no" if k < wrong else item["references"][0]} for k, item in enumerate(ITEMS)
    ]
    answers = folder / f"{place}.jsonl"
    answers.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return telbench.score(answers, data, split="all", metrics="exact_match,token_f1", out=folder / place, **options)


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
    with pytest.raises(telbench.InputError, match="nowhere"):
        telbench.board(tmp_path / "nowhere", tmp_path / "site")
    with pytest.raises(telbench.InputError, match="board: runs is 3"):
        telbench.board(3, tmp_path / "site")  # type: ignore[arg-type]
    with pytest.raises(telbench.InputError, match="sft: fresh must be True or False, not 'no'"):
        telbench.sft("model", tmp_path / "out", fresh="no")  # type: ignore[arg-type]
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


def test_a_run_tells_its_values_samples_and_tables(tmp_path: Path) -> None:
    run = answered(tmp_path, "one", 3)
    assert run.value("exact_match") == pytest.approx(9 / 12)
    with pytest.raises(telbench.InputError, match="has no metric 'token_f2': did you mean 'token_f1'"):
        run.value("token_f2")
    assert run.table().splitlines()[0].startswith("one on data all (12 items")
    assert [sample["item_id"] for sample in run.samples()] == [item["id"] for item in ITEMS]
    assert telbench.Run.read(run.path / "run.json") == telbench.Run.read(str(run.path))
    assert telbench.Run.read(run.path).header == run.header
    assert "exact_match 0.75" in repr(run)
    with pytest.raises(telbench.InputError, match="no run in"):
        telbench.Run.read(tmp_path)


def test_a_run_becomes_a_data_frame_with_nan_for_what_is_missing(tmp_path: Path) -> None:
    pytest.importorskip("pandas")
    run = answered(tmp_path, "one", 3)
    lines = (run.path / "samples.jsonl").read_text().splitlines()
    lost = json.loads(lines[0]) | {"scores": {"exact_match": None, "token_f1": 0.5}}
    (run.path / "samples.jsonl").write_text("\n".join([json.dumps(lost), *lines[1:]]) + "\n")
    frame = run.to_pandas()
    assert frame.index.tolist() == [item["id"] for item in ITEMS]
    assert frame["exact_match"].isna().tolist() == [True, *[False] * 11]
    assert (frame["exact_match"].mean(), frame["token_f1"].dtype) == (pytest.approx(9 / 11), "float64")


def test_what_a_notebook_shows_is_escaped(tmp_path: Path) -> None:
    hostile = "<script>alert(1)</script>"
    today = answered(tmp_path, "today", 1, name=hostile)
    worse = answered(tmp_path, "worse", 9, name=hostile)
    gate = telbench.check(worse, today, {"exact_match": 0.05})
    for shown in (today, telbench.compare(today, worse), gate):
        told = shown._repr_html_()
        assert hostile not in told
        assert "&lt;script&gt;" in told
        assert "<td" in told


def test_two_columns_of_numbers_are_compared_as_runs_are(tmp_path: Path) -> None:
    today, worse = answered(tmp_path, "today", 1), answered(tmp_path, "worse", 7)
    by_runs = telbench.compare(today, worse, metrics="exact_match").of("exact_match")
    columns = [[sample["scores"]["exact_match"] for sample in run.samples()] for run in (today, worse)]
    (found,) = telbench.compare(*columns, clusters=[sample["cluster_id"] for sample in today.samples()])
    assert (found.delta, found.p, found.interval, found.values) == (
        by_runs.delta, by_runs.p, by_runs.interval, by_runs.values,
    )  # fmt: skip
    import numpy as np

    (other,) = telbench.compare(np.array(columns[0]), np.array(columns[1]))
    assert other.delta == found.delta
    (turned,) = telbench.compare(*columns, higher_is_better=False)
    assert turned.delta == -found.delta
    # Ten items of two documents prove nothing.
    (few,) = telbench.compare(*columns, clusters=["a"] * 6 + ["b"] * 6)
    assert few.told.startswith("too few source documents")
    table = telbench.compare([1.0, None, 0.5], [1.0, 0.5, float("nan")])
    assert (table[0].n, table[0].unpaired) == (1, {"no number": 2})
    heads, row = str(table).splitlines()
    assert heads.endswith(" n  without a value")
    assert row.split()[-2:] == ["1", "2"]
    assert "without" not in str(telbench.compare(*columns))


@pytest.mark.parametrize(
    ("columns", "options", "told"),
    [
        (([1.0, 2.0], [1.0]), {}, "2 and 1 numbers"),
        (([1.0], [1.0], [1.0]), {}, "3 columns of numbers: give two"),
        (([1.0, 2.0], [1.0, 0.0]), {"clusters": ["a"]}, "1 clusters of 2 items"),
        (([None], [1.0]), {}, "no item has a number on both sides"),
        (([1.0], [float("inf")]), {}, "the second column holds infinity"),
        (([1.0], [0.5]), {"metrics": "bleu"}, "unknown key 'metrics'"),
        (([1.0], [0.5]), {"higher_is_better": "no"}, "higher_is_better is 'no'"),
        (([1.0], "runs/a"), {}, "is no run"),
        (("runs/a", "runs/b"), {"clusters": ["a"]}, "clusters is for numbers"),
    ],
)
def test_numbers_that_cannot_be_compared_are_refused(columns: Any, options: dict[str, Any], told: str) -> None:
    with pytest.raises(telbench.InputError, match=re.escape(told)):
        telbench.compare(*columns, **options)


def test_everything_works_in_a_running_event_loop_judges_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scripted_server: ScriptedServer
) -> None:
    monkeypatch.setenv("TELBENCH_CACHE", str(tmp_path / "cache"))
    scripted_server.script = capable(scores)

    async def cell() -> tuple[telbench.Run, str]:
        judge = f"openai:scripted@{scripted_server.base_url}"
        (tmp_path / "data.jsonl").write_text("".join(json.dumps(item) + "\n" for item in ITEMS))
        (tmp_path / "a.txt").write_text("an answer\n" * len(ITEMS))
        asked = {"split": "all", "metrics": "token_f1,rubric_score", "judge": judge}
        run = telbench.score(tmp_path / "a.txt", tmp_path / "data.jsonl", out=tmp_path / "a", **asked)
        return run, telbench.check(run, run, {"token_f1": 0.5}, guardrails=False).verdict

    run, verdict = asyncio.run(cell())
    assert run.metric("rubric_score")["n"] == len(ITEMS)
    assert verdict in ("pass", "inconclusive")
