"""A run with the transformers engine, killed in the midst of a batch: what had ended is kept, the rest is as ever."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from telbench.harness.engines import decoding
from telbench.harness.runs.settings import EvalSettings, eval_settings

from ...scripted_engine import die, finished_keys, folder_of, killed, run, write_items

pytestmark = pytest.mark.slow
STEPS = 12
# Common letters of the checkpoint's answers: some end early, some not at all.
STOPS = ("x", "Q", "7", "z", "R")


def texts(folder: Path) -> dict[str, str]:
    records = [json.loads(line) for line in (folder / "completions.jsonl").read_text().splitlines()]
    return {record["key"]: record["text"] for record in records if "text" in record}


def killed_in_the_last_step(settings: EvalSettings) -> bool:
    """Run in a child that dies when all but the longest answers have ended."""
    push = decoding._Push.__call__
    steps = 0

    def dying(self: Any, *given: Any, **more: Any) -> Any:
        nonlocal steps
        steps += 1
        if steps == STEPS:
            # The other thread writes down what has ended meanwhile.
            time.sleep(1)
            die()
        return push(self, *given, **more)

    def work() -> None:
        import torch

        # Threads of OpenMP do not survive a fork.
        torch.set_num_threads(1)
        decoding._Push.__call__ = dying
        run(settings)

    return killed(work)


def test_what_had_ended_before_a_kill_is_not_made_again(tiny_checkpoint: Path, tmp_path: Path) -> None:
    data = write_items(tmp_path / "data.jsonl", 20)
    settings = eval_settings(
        model=str(tiny_checkpoint),
        engine="transformers",
        data=str(data),
        metrics=("token_f1",),
        max_tokens=STEPS,
        stop=STOPS,
        cache=False,
        out=tmp_path / "run",
    )
    assert killed_in_the_last_step(settings)
    kept = texts(folder_of(settings))
    assert 0 < len(kept) == finished_keys(folder_of(settings)) < 20
    header = run(settings).header
    assert (header["generation"]["resumed"], header["generation"]["generated"]) == (len(kept), 20 - len(kept))
    assert (header["generation"]["dtype"], header["generation"]["dtype_asked"]) == ("float32", "auto")
    whole = replace(settings, out=tmp_path / "whole")
    run(whole)
    assert texts(folder_of(settings)) == texts(folder_of(whole))
    assert kept.items() <= texts(folder_of(whole)).items()
