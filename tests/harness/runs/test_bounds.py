"""What unfinished answers, guesses and traces leave in a run: bounds, the chance level, counts and lines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from telbench.harness.engines.contract import Completion, Request, Sampling
from telbench.harness.runs import plan as plan_module
from telbench.harness.runs.evaluate import evaluate
from telbench.harness.runs.folder import read_samples
from telbench.harness.runs.settings import eval_settings
from telbench.metrics.contract import ItemScore, Metric, Sample, missing

from ...scripted_engine import NotedReporter, Script, ScriptedEngine, use, write_items

VALUES = {"q0": 2.0, "q1": 5.0, "q2": 3.0, "q3": 1.0, "q4": 4.0, "q5": 4.0, "q6": 2.0}


def rated(level: Any = "item", **more: Any) -> Metric:
    """Ratings from 1 to 5; q7 has none."""

    def score(samples: Sequence[Sample]) -> list[ItemScore]:
        found = (VALUES.get(sample.item_id) for sample in samples)
        return [
            missing("no rating")
            if value is None
            else ItemScore(value, None, (value, 1.0) if level == "corpus" else None)
            for value in found
        ]

    return Metric(
        "rated",
        "ngram",
        (1, 5),
        True,
        frozenset(),
        level,
        "For a test.",
        score,
        (lambda sums: sums[:, 0] / sums[:, 1]) if level == "corpus" else None,
        **more,
    )


def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, metric: Metric, name: str = "run") -> dict[str, Any]:
    generate = ScriptedEngine.generate

    def cut(self: ScriptedEngine, requests: Sequence[Request], sampling: Sampling) -> Iterator[Completion]:
        """q1 is cut at the longest length, q4 never ends its trace, q7 is cut and has no rating."""
        for completion in generate(self, requests, sampling):
            name = completion.text[-2:]
            if name == "q4":
                yield replace(completion, text="<think>never ends")
            else:
                yield replace(completion, finish_reason="length" if name in {"q1", "q7"} else "stop")

    monkeypatch.setattr(ScriptedEngine, "generate", cut)
    use(monkeypatch, Script())
    monkeypatch.setattr(plan_module, "metrics_named", lambda names, resources=None: [metric])
    data = write_items(tmp_path / "data.jsonl")
    run = evaluate(eval_settings(model="m", data=str(data), out=tmp_path / name), NotedReporter())
    monkeypatch.undo()
    return run.header["metrics"]["rated"]


def test_unfinished_answers_bound_the_mean_by_the_ends_of_the_range(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = made(tmp_path, monkeypatch, rated())
    # Seven ratings sum to 21; the two unfinished ones, 5 and 4, might have been anything from 1 to 5.
    assert entry["value"] == 3.0
    assert entry["unfinished"] == {"items": 2, "low": (12 + 2) / 7, "high": (12 + 10) / 7}


def test_metrics_of_a_corpus_and_without_an_end_have_no_such_bounds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "unfinished" not in made(tmp_path, monkeypatch, rated("corpus"))
    assert "unfinished" not in made(tmp_path, monkeypatch, replace(rated(), range=(1, None)), "open")
    assert "unfinished" not in made(tmp_path, monkeypatch, replace(rated(), range=(None, 5)), "below")


def test_the_chance_level_is_a_mean_over_items_that_have_a_value(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = lambda sample: 0.7 if sample.item_id == "q7" else 0.1 * (sample.item_id == "q0")  # noqa: E731 - one line
    assert made(tmp_path, monkeypatch, rated(chance=chance))["chance"] == pytest.approx(0.1 / 7)
    assert "chance" not in made(tmp_path, monkeypatch, rated(), "none")


def test_other_readings_are_told_where_a_metric_has_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = made(tmp_path, monkeypatch, rated(readings=lambda value, n, notes: {"twice": 2 * value, "n": n}))
    assert entry["readings"] == {"twice": 6.0, "n": 7}


def test_a_trace_stands_in_the_lines_that_have_one_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made(tmp_path, monkeypatch, rated())
    lines = {line["item_id"]: line for line in read_samples(tmp_path / "run")}
    assert [name for name, line in lines.items() if "reasoning" in line] == ["q4"]
    assert (lines["q4"]["reasoning"], lines["q4"]["reasoning_closed"]) == ("never ends", False)
    assert not any("examples" in line for line in lines.values())
