"""Runs of one command are judged when all of them have their answers; a local judge is loaded once for all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from telbench.harness.engines import loading as loading_module
from telbench.harness.engines import transformers as engine_module
from telbench.harness.fleet.together import evaluate_all
from telbench.harness.judging import local as local_module
from telbench.harness.runs import evaluate as evaluate_module
from telbench.harness.runs.evaluate import evaluate
from telbench.harness.runs.folder import JUDGEMENTS, SAMPLES
from telbench.harness.runs.settings import eval_settings

from ...checkpoints import save_model, save_tokenizer
from ...scripted_engine import NotedReporter, Script, use, write_items

WINDOW = 4096


@pytest.fixture
def judges(tmp_path: Path) -> list[Path]:
    """Two judges: one checkpoint, and the same with one token more."""
    pytest.importorskip("transformers")
    folders = []
    for name, vocabulary in (("judge-one", 300), ("judge-two", 301)):
        folder = tmp_path / name
        save_tokenizer(folder, window=WINDOW)
        save_model(folder, window=WINDOW, vocabulary=vocabulary)
        folders.append(folder)
    return folders


@pytest.mark.slow
def test_every_judge_is_loaded_once_for_all_runs(
    judges: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TELBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(evaluate_module, "versions", lambda: {"telbench": {}, "packages": {}})
    script = Script()
    use(monkeypatch, script)
    loaded: list[str] = []
    load = loading_module.load_model

    def counted(checkpoint: Any, *more: Any) -> Any:
        # All answers are there before the first judge is loaded.
        assert sum(script.asked.values()) >= 6
        loaded.append(checkpoint.path.name)
        return load(checkpoint, *more)

    monkeypatch.setattr(engine_module, "load_model", counted)
    shared = {
        "data": str(write_items(tmp_path / "data.jsonl", 2)),
        "metrics": ("token_f1", "judge_likelihood"),
        "judge": [f"local:{judges[0]}", f"local:{judges[1]}"],
        "judge_engine": "transformers",
        "cache": False,
    }
    every = [eval_settings(model=name, out=tmp_path / "runs", **shared) for name in ("a", "b", "c")]
    runs = evaluate_all(every, NotedReporter())
    assert loaded == ["judge-one", "judge-two"]
    assert local_module._kept is None
    for name, run in zip(("a", "b", "c"), runs, strict=True):
        alone = evaluate(eval_settings(model=name, out=tmp_path / "alone" / name, **shared), NotedReporter())
        assert (alone.path / SAMPLES).read_bytes() == (run.path / SAMPLES).read_bytes()
        assert alone.header["judge"] == run.header["judge"]
        assert alone.header["metrics"] == run.header["metrics"]
        assert alone.header["metrics"]["judge_likelihood"]["n"] == 2
        lines = [sorted((path / JUDGEMENTS).read_text().splitlines()) for path in (alone.path, run.path)]
        assert lines[0] == lines[1]
    assert len(loaded) == 2 + 3 * 2
