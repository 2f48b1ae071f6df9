"""A gate in plain words and in Markdown: what occurs is explained, and names of metrics and runs are text."""

from __future__ import annotations

import html
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from markdown_it import MarkdownIt

from telbench.harness.cli.main import main
from telbench.harness.cli.tables import Words
from telbench.leaderboard.compare.explain import FLAGS
from telbench.leaderboard.gate.explain import COLUMNS, TERMS, VERDICTS, explained_gates
from telbench.leaderboard.gate.gate import Gate, GatePolicy, Verdict, judge_gate
from telbench.leaderboard.gate.report import markdown, terminal_rows

from ...made_runs import made_run, metric

BASE = np.random.default_rng(0).uniform(0.3, 0.7, 400)


def gate_of(shift: float, *, per_document: int = 1) -> Gate:
    errors = np.random.default_rng(5).normal(0, 0.05, 400)
    changed = (BASE + shift + errors - errors.mean()).tolist()
    base = made_run("base", {"token_f1": BASE.tolist(), "rougeL": BASE.tolist()}, per_document=per_document)
    run = made_run("run", {"token_f1": changed, "rougeL": BASE.tolist()}, per_document=per_document)
    policy = GatePolicy({"token_f1": 0.02}, ("rougeL",))
    return judge_gate(run, base, [metric("token_f1"), metric("rougeL")], policy)


def words_of(gate: Gate, lines: list[str]) -> list[str]:
    return [block.text.partition(": ")[0] for block in explained_gates([gate], lines)[1:] if isinstance(block, Words)]


def test_every_verdict_and_every_column_of_a_gate_is_explained() -> None:
    assert set(get_args(Verdict)) == set(VERDICTS)
    heads = set(terminal_rows(gate_of(0.0))[0]) - {"metric", "verdict"}
    assert heads == {part for word in COLUMNS for part in ([word] if "budget" in word else word.split(", "))}


@pytest.mark.parametrize(
    ("shift", "documents", "verdicts"),
    [(0.0, 1, {"PASS"}), (-0.05, 1, {"FAIL_HARD", "PASS"}), (-0.012, 1, {"PASS_SMALL_DROP", "PASS"}),
     (0.0, 100, {"INCONCLUSIVE"})],
)  # fmt: skip
def test_only_verdicts_and_flags_that_occur_are_explained(shift: float, documents: int, verdicts: set[str]) -> None:
    gate = gate_of(shift, per_document=documents)
    words = words_of(gate, [])
    assert set(words) & set(VERDICTS) == verdicts
    assert [word for word in words if word.startswith("flag few_clusters")] == (
        ["flag few_clusters (token_f1)"] if documents > 1 else []
    )
    assert "flag identical (rougeL)" in words
    assert not set(words) & set(TERMS)
    assert "80 % power" in words_of(gate, ["can show a drop of 0.01 (80 % power)"])
    assert set(FLAGS) >= {flag for each in gate.metrics for flag in each.flags}


@pytest.mark.parametrize("name", ["a|b", "`x`", "<img src=x>", "@octocat #1", "[l](http://x)", "line\n\nbreak"])
def test_names_of_metrics_and_runs_are_text_in_the_summary(name: str) -> None:
    gate = gate_of(-0.05)
    metrics = tuple(replace(each, metric=name) for each in gate.metrics)
    text = markdown(replace(gate, metrics=metrics, candidate={**gate.candidate, "name": name}), {})
    rendered = MarkdownIt("commonmark").enable("table").render(text)
    tags = set(re.findall(r"<(\w+)", rendered))
    assert tags <= {"h2", "p", "table", "thead", "tbody", "tr", "th", "td", "details", "summary", "ul", "li"}
    said = html.unescape(re.sub(r"<[^>]+>", "", rendered))
    assert not re.search(r"@\w|#\d|://", said)
    (summary,) = re.findall(r"<summary>(.*?)</summary>", rendered)
    assert html.unescape(summary).replace("\u200b", "") == f"{' '.join(name.split())}: worst items (0 steep drops)"
    rows = re.findall(r"<tr>(.*?)</tr>", rendered.partition("<details>")[0], flags=re.S)
    assert {row.count("<t") for row in rows} == {10}


def test_the_command_explains_and_prints_the_summary(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"id": f"q{n}", "question": f"What is {n}?", "references": [f"number {n}"]} for n in range(100)]
    (tmp_path / "data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for name, right in (("base", 90), ("run", 40)):
        answers = [{"id": f"q{n}", "prediction": f"number {n}" if n < right else "none"} for n in range(100)]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in answers))
        asked = ["--data", str(tmp_path / "data.jsonl"), "--metrics", "exact_match,token_f1"]
        assert main(["score", str(tmp_path / f"{name}.jsonl"), *asked, "--out", str(tmp_path / name)]) == 0
    check = ["check", "--baseline", str(tmp_path / "base"), "--candidate", str(tmp_path / "run")]
    check += ["--margin", "exact_match=0.02"]
    capsys.readouterr()
    assert main(check) == 1
    table = capsys.readouterr().out
    assert main([*check, "--explain"]) == 1
    told = capsys.readouterr().out
    assert told.startswith(table)
    said = " ".join(told.removeprefix(table).split())
    # The terms that occur in the lines above, and no others.
    assert {term for term in TERMS if f" {term}: " in said} == {term for term in TERMS if term in table}
    assert max(len(line) for line in told.removeprefix(table).splitlines()) <= 80
    summary = tmp_path / "summary.md"
    assert main([*check, "--markdown", "--summary", str(summary)]) == 1
    assert capsys.readouterr().out == summary.read_text()
    assert main([*check, "--markdown", "--explain"]) == 1
    assert capsys.readouterr().out.startswith(summary.read_text() + "\n#### what this means\n\n- role: ")
