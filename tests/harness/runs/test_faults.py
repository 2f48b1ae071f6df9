"""Engines, metrics and disks that fail in the midst: one line says so, and the same command completes the run."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from telbench.errors import EngineError, InputError, TelbenchError
from telbench.harness.engines.contract import Request
from telbench.harness.runs import evaluate as evaluate_module
from telbench.harness.runs import plan as plan_module
from telbench.harness.runs.evaluate import evaluate
from telbench.harness.runs.generate import done
from telbench.harness.runs.settings import EvalSettings
from telbench.metrics.ngram.squad import token_f1

from ...scripted_engine import COUNT, IDS, NotedReporter, Script, assert_whole, finished_keys, folder_of, run, use


def test_an_engine_that_dies_keeps_what_it_finished_and_says_how_much(
    wanted: EvalSettings, monkeypatch: pytest.MonkeyPatch
):
    def fail(count: int) -> None:
        if count == 5:
            raise RuntimeError("CUDA error\nunspecified launch failure")

    use(monkeypatch, Script(act=fail))
    with pytest.raises(EngineError, match=r"scripted engine failed: RuntimeError: CUDA error") as caught:
        run(wanted)
    assert caught.value.exit_code == 5
    assert "5 of 8 answers are kept" in str(caught.value)
    assert not (folder_of(wanted) / "run.json").exists()
    script = Script()
    use(monkeypatch, script)
    run(wanted)
    assert_whole(wanted)
    assert sorted(script.asked) == IDS[5:]


def test_an_engine_that_cannot_open_or_close_is_one_line_and_loses_nothing(
    wanted: EvalSettings, monkeypatch: pytest.MonkeyPatch
):
    script = Script()
    use(monkeypatch, script)
    spec, note = plan_module.engine_named("scripted")

    def refuse(settings: object) -> Any:
        raise ValueError("no device")

    monkeypatch.setattr(plan_module, "engine_named", lambda name: (replace(spec, open=refuse), note))
    with pytest.raises(EngineError, match="cannot be opened: ValueError: no device"):
        run(wanted)

    def closing_badly(settings: Any) -> Any:
        engine = spec.open(settings)

        def close() -> None:
            raise RuntimeError("worker gone")

        monkeypatch.setattr(engine, "close", close, raising=False)
        return engine

    monkeypatch.setattr(plan_module, "engine_named", lambda name: (replace(spec, open=closing_badly), note))
    reporter = NotedReporter()
    evaluate(wanted, reporter)
    assert_whole(wanted)
    assert any("did not close well: RuntimeError: worker gone" in note for note in reporter.notes)


@pytest.mark.parametrize(
    ("record", "whole"),
    [
        ({"text": "a", "finish_reason": "stop", "prompt_tokens": 7, "completion_tokens": 3}, True),
        ({"text": "", "finish_reason": "length", "prompt_tokens": 7, "completion_tokens": 0}, True),
        ({"text": "a", "finish_reason": "error", "prompt_tokens": 7, "completion_tokens": 0, "error": "x"}, False),
        ({"text": "a", "finish_reason": None, "prompt_tokens": 7, "completion_tokens": 3}, False),
        ({"text": None, "finish_reason": "stop", "prompt_tokens": 7, "completion_tokens": 3}, False),
        ({"text": "a", "finish_reason": "stop", "prompt_tokens": 7}, False),
        ({"text": "a", "finish_reason": "stop", "prompt_tokens": "7", "completion_tokens": 3}, False),
        ({"log_likelihood": -3.5}, True),
        ({"log_likelihood": 0}, True),
        # What is no finite number stays so when it is asked again.
        ({"log_likelihood": None}, True),
        ({"log_likelihood": float("nan")}, False),
        ({"log_likelihood": float("-inf")}, False),
        ({"log_likelihood": "-3.5"}, False),
        ({}, False),
        (None, False),
    ],
)
def test_only_a_whole_answer_or_likelihood_is_done(record: dict[str, Any] | None, whole: bool):
    assert done(record) is whole


def test_a_failed_answer_gets_neither_into_the_cache_nor_out_of_it(
    wanted: EvalSettings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setenv("TELBENCH_CACHE", str(tmp_path / "cache"))
    # A checkpoint's answers are cached; here the identity alone stands for one.
    make_plan = evaluate_module.make_plan
    monkeypatch.setattr(
        evaluate_module, "make_plan", lambda *given: replace(make_plan(*given), generation_id="weights")
    )
    use(monkeypatch, Script(errors=frozenset({"q1"})))
    assert run(wanted).header["counts"]["error"] == 1
    (cache,) = (tmp_path / "cache" / "generations").glob("*.jsonl")
    kept = [json.loads(line) for line in cache.read_text().splitlines()]
    assert sorted(record["text"] for record in kept if "text" in record) == [
        f"answer to q{k}" for k in range(8) if k != 1
    ]
    # Nor is one taken from a cache in which an earlier version put it.
    failed = next(json.loads(line) for line in (folder_of(wanted) / "completions.jsonl").open() if "scripted f" in line)
    cache.write_text(cache.read_text() + json.dumps(failed) + "\n")
    script = Script()
    use(monkeypatch, script)
    header = run(replace(wanted, out=tmp_path / "another")).header
    assert list(script.asked) == ["q1"]
    assert (header["generation"]["cached"], header["generation"]["generated"], header["counts"]["ok"]) == (7, 1, 8)


def test_failed_items_are_asked_again_and_good_ones_not(wanted: EvalSettings, monkeypatch: pytest.MonkeyPatch):
    use(monkeypatch, Script(errors=frozenset({"q1", "q4"})))
    header = run(wanted).header
    assert (header["counts"]["ok"], header["counts"]["error"]) == (6, 2)
    assert header["metrics"]["token_f1"]["missing"] == {"generation failed": 2}
    still_failing = Script(errors=frozenset({"q4"}))
    use(monkeypatch, still_failing)
    header = run(wanted).header
    assert sorted(still_failing.asked) == ["q1", "q4"]
    assert header["counts"]["error"] == 1
    script = Script(errors=frozenset({"q4"}))
    use(monkeypatch, script)
    # All that was asked this time failed, but the run has answers: that is no dead engine.
    assert run(wanted).header["counts"]["error"] == 1
    script = Script()
    use(monkeypatch, script)
    run(wanted)
    assert list(script.asked) == ["q4"]
    assert_whole(wanted)


def test_a_run_without_a_single_answer_fails(wanted: EvalSettings, monkeypatch: pytest.MonkeyPatch):
    use(monkeypatch, Script(errors=frozenset(IDS)))
    with pytest.raises(EngineError, match="none of 8 prompts was answered: scripted failure"):
        run(wanted)
    assert not (folder_of(wanted) / "run.json").exists()


def test_an_engine_that_passes_over_an_item_leaves_an_error_that_is_retried(
    wanted: EvalSettings, monkeypatch: pytest.MonkeyPatch
):
    from ...scripted_engine import ScriptedEngine

    real = ScriptedEngine.generate

    def skipping(engine: ScriptedEngine, requests: list[Request], sampling: Any) -> Iterator[Any]:
        return real(engine, [request for request in requests if request.item_id != "q2"], sampling)

    with monkeypatch.context() as patch:
        patch.setattr(ScriptedEngine, "generate", skipping)
        use(patch, Script())
        assert run(wanted).header["counts"]["error"] == 1
    script = Script()
    use(monkeypatch, script)
    run(wanted)
    assert list(script.asked) == ["q2"]
    assert_whole(wanted)


def test_a_metric_that_fails_is_named_and_costs_no_answer(wanted: EvalSettings, monkeypatch: pytest.MonkeyPatch):
    def broken(samples: object) -> list[Any]:
        raise ZeroDivisionError("division by zero")

    use(monkeypatch, Script())
    with monkeypatch.context() as patch:
        faulty = replace(token_f1, name="faulty", score_batch=broken)
        patch.setattr(plan_module, "metrics_named", lambda names, resources=None: [faulty])
        with pytest.raises(TelbenchError, match="metric 'faulty' failed on the items q0 to q7: ZeroDivisionError"):
            run(wanted)
    script = Script()
    use(monkeypatch, script)
    run(wanted)
    assert script.opened == 0
    assert_whole(wanted)


def test_a_file_size_limit_in_the_midst_is_one_line_and_the_rest_is_made_later(
    wanted: EvalSettings, monkeypatch: pytest.MonkeyPatch
):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def starve(count: int) -> None:
        if count == 4:
            journal = folder_of(wanted) / "completions.jsonl"
            resource.setrlimit(resource.RLIMIT_FSIZE, (journal.stat().st_size + 20, hard))

    use(monkeypatch, Script(act=starve))
    try:
        with pytest.raises(InputError, match=r"cannot write \(File too large\).*run the same command again") as caught:
            run(wanted)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "\n" not in str(caught.value)
    assert finished_keys(folder_of(wanted)) == 4
    script = Script()
    use(monkeypatch, script)
    run(wanted)
    assert_whole(wanted)
    assert sorted(script.asked) == IDS[4:]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 200 kB."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(place)], capture_output=True)
    if mounted.returncode:
        pytest.skip("mounting a small file system needs root")
    yield place
    subprocess.run(["umount", str(place)], check=True)


@pytest.mark.parametrize("room", range(4_000, 44_000, 4_000))
def test_a_full_disk_is_one_line_and_after_freeing_space_the_same_call_completes(
    wanted: EvalSettings, monkeypatch: pytest.MonkeyPatch, small_disk: Path, room: int
):
    settings = replace(wanted, out=small_disk / "run")
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"x" * (200 * 1024 - room))
    script = Script(answer=lambda request: f"answer to {request.item_id}" + " " * 1500)
    use(monkeypatch, script)
    told = ""
    try:
        run(settings)
    except InputError as error:
        told = str(error)
    assert bool(told) != (small_disk / "run" / "run.json").exists()
    assert "\n" not in told
    assert not told or "the disk is full" in told or "No space left" in told
    kept = finished_keys(small_disk / "run")
    assert kept in (len(script.asked), len(script.asked) - 1)
    ballast.unlink()
    script.asked.clear()
    run(settings)
    assert_whole(settings)
    assert len(script.asked) == COUNT - kept


def test_a_stderr_without_a_reader_neither_stops_the_run_nor_closes_stdout(
    wanted: EvalSettings, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    from telbench.harness.cli.terminal import Reporter

    read, write = os.pipe()
    os.close(read)
    use(monkeypatch, Script())
    with os.fdopen(write, "w") as broken, monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", broken)
        reporter = Reporter()
        reporter.note("nobody reads this")
        evaluate(wanted, reporter)
    assert_whole(wanted)
    os.write(1, b"stdout is open still")
    assert capfd.readouterr().out == "stdout is open still"


def test_what_an_engine_notes_is_told_once_when_it_is_open_and_when_it_has_answered(
    wanted: EvalSettings, monkeypatch: pytest.MonkeyPatch
):
    notes = ["few replicas"]
    use(monkeypatch, Script(act=lambda count: notes.append("one died") if count == 3 else None))
    spec, note = plan_module.engine_named("scripted")

    def noting(settings: Any) -> Any:
        engine = spec.open(settings)
        monkeypatch.setattr(engine, "notes", notes, raising=False)
        return engine

    monkeypatch.setattr(plan_module, "engine_named", lambda name: (replace(spec, open=noting), note))
    reporter = NotedReporter()
    evaluate(wanted, reporter)
    assert [line for line in reporter.notes if line in ("few replicas", "one died")] == ["few replicas", "one died"]
