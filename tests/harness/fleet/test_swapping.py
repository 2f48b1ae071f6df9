"""Checkpoints that differ in their numbers alone go through one engine, and come out as from an engine each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from telbench.harness.engines import loading as loading_module
from telbench.harness.engines import transformers as transformers_module
from telbench.harness.engines import vllm as vllm_module
from telbench.harness.fleet.together import evaluate_all
from telbench.harness.runs import evaluate as evaluate_module
from telbench.harness.runs.evaluate import Run, evaluate
from telbench.harness.runs.folder import SAMPLES
from telbench.harness.runs.settings import EvalSettings, eval_settings

from ...scripted_engine import NotedReporter, write_items

TIMES = ("created", "command", "seconds", "machine")
CHOICES = {"choices": ["the AMF", "the SMF", "the UPF"], "answer": 1}


@pytest.fixture(autouse=True)
def _same_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluate_module, "versions", lambda: {"telbench": {}, "packages": {}})


def asked(tmp_path: Path, models: Sequence[Path], engine: str, **more: Any) -> list[EvalSettings]:
    """Every model on a set of open items and on a shorter one with options."""
    sets = (
        (write_items(tmp_path / "open.jsonl", 6), ("token_f1", "chrf", "reference_likelihood")),
        (write_items(tmp_path / "options.jsonl", 3, **CHOICES), ("choice_accuracy", "choice_likelihood")),
    )
    shared = {"engine": engine, "max_tokens": 10, "cache": False, "out": tmp_path / "together", **more}
    return [
        eval_settings(**{"model": str(model), "data": str(data), "metrics": metrics, **shared})
        for model in models
        for data, metrics in sets
    ]


def alone(every: Sequence[EvalSettings], tmp_path: Path) -> list[Run]:
    """The runs of single commands."""
    return [
        evaluate(replace(settings, out=tmp_path / "alone" / str(place)), NotedReporter())
        for place, settings in enumerate(every)
    ]


def assert_same(runs: Sequence[Run], others: Sequence[Run]) -> None:
    for one, other in zip(runs, others, strict=True):
        assert (one.path / SAMPLES).read_bytes() == (other.path / SAMPLES).read_bytes()
        assert {name: value for name, value in one.header.items() if name not in TIMES} == {
            name: value for name, value in other.header.items() if name not in TIMES
        }


def answers(run: Run) -> bytes:
    return (run.path / SAMPLES).read_bytes()


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The folders that transformers loads a model from."""
    found: list[str] = []
    load = loading_module.load_model

    def counted(checkpoint: Any, *more: Any) -> Any:
        found.append(checkpoint.path.name)
        return load(checkpoint, *more)

    monkeypatch.setattr(transformers_module, "load_model", counted)
    return found


def test_three_checkpoints_on_two_sets_are_answered_by_one_model(
    alike_checkpoints: list[Path], tmp_path: Path, loads: list[str]
) -> None:
    every = asked(tmp_path, alike_checkpoints, "transformers")
    runs = evaluate_all(every, NotedReporter())
    assert loads == ["seed-1"]
    assert [run.header["model"]["name"] for run in runs] == ["seed-1", "seed-1", "seed-2", "seed-2", "seed-3", "seed-3"]
    assert_same(runs, alone(every, tmp_path))
    assert len({answers(run) for run in runs}) == 6


def test_tied_checkpoints_are_too(tied_checkpoints: list[Path], tmp_path: Path, loads: list[str]) -> None:
    every = asked(tmp_path, tied_checkpoints, "transformers")
    runs = evaluate_all(every, NotedReporter())
    assert loads == ["seed-1"]
    assert_same(runs, alone(every, tmp_path))
    assert answers(runs[0]) != answers(runs[2])


def test_numbers_that_stayed_where_they_were_would_be_seen(
    alike_checkpoints: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transformers_module, "refilled", lambda model, checkpoint: True)
    every = asked(tmp_path, alike_checkpoints[:2], "transformers")
    runs = evaluate_all(every, NotedReporter())
    assert answers(runs[0]) == answers(runs[2])
    with pytest.raises(AssertionError):
        assert_same(runs, alone(every, tmp_path))


def test_a_model_that_cannot_be_filled_is_loaded(
    alike_checkpoints: list[Path], tmp_path: Path, loads: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transformers_module, "refilled", lambda model, checkpoint: False)
    every = asked(tmp_path, alike_checkpoints[:2], "transformers")
    runs = evaluate_all(every, NotedReporter())
    assert loads == ["seed-1", "seed-2"]
    assert_same(runs, alone(every, tmp_path))


def test_adapters_of_one_base_are_put_on_one_model(adapters: list[Path], tmp_path: Path, loads: list[str]) -> None:
    every = asked(tmp_path, adapters, "transformers")
    runs = evaluate_all(every, NotedReporter())
    assert len(loads) == 1
    assert_same(runs, alone(every, tmp_path))
    assert answers(runs[0]) != answers(runs[2])


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["alike_checkpoints", "tied_checkpoints"])
def test_vllm_is_started_once_for_all_of_them(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("vllm")
    models = request.getfixturevalue(kind)[:2]
    started: list[str] = []
    found = vllm_module._llm_class

    def counted(*, on_cpu: bool) -> Any:
        made = found(on_cpu=on_cpu)
        return lambda **arguments: (started.append(Path(arguments["model"]).name), made(**arguments))[1]

    monkeypatch.setattr(vllm_module, "_llm_class", counted)
    # The last of them is the first again: numbers go both ways.
    every = asked(tmp_path, models, "vllm")
    every += [replace(every[0], sampling=replace(every[0].sampling, max_tokens=4))]
    runs = evaluate_all(every, NotedReporter())
    assert started == ["seed-1"]
    assert len({answers(run) for run in runs}) == 5
    # The first, the last to be swapped in, and the one that its checkpoint answered later.
    chosen = (0, 3, 4)
    assert_same([runs[place] for place in chosen], alone([every[place] for place in chosen], tmp_path))
