"""Kill, interrupt, starve or break a run: the same command finishes the rest, and only the rest."""

from __future__ import annotations

import itertools
import json
import os
import random
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from telbench.config import changed
from telbench.errors import InputError
from telbench.harness.runs import evaluate as evaluate_module
from telbench.harness.runs import plan as plan_module
from telbench.harness.runs.evaluate import InterruptedRunError, evaluate, make_run, resume_line
from telbench.harness.runs.folder import RunFolder, read_run, read_samples
from telbench.harness.runs.settings import EvalSettings
from telbench.metrics.contract import ItemScore

from ...scripted_engine import (
    COUNT,
    IDS,
    NotedReporter,
    Script,
    assert_whole,
    die,
    finished_keys,
    folder_of,
    killed,
    run,
    use,
)


def at_publication(name: str) -> Callable[[pytest.MonkeyPatch], None]:
    """Die when a file of that name is about to be put in place."""

    def arrange(monkeypatch: pytest.MonkeyPatch) -> None:
        real = Path.replace

        def publish(draft: Path, target: Path) -> Path:
            if target.name == name:
                die()
            return real(draft, target)

        monkeypatch.setattr(Path, "replace", publish)

    return arrange


def at_scoring(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluate_module, "score_journal", lambda *_: die())


def at_completion(number: int) -> Callable[[pytest.MonkeyPatch], None]:
    def arrange(monkeypatch: pytest.MonkeyPatch) -> None:
        use(monkeypatch, Script(act=lambda count: die() if count == number else None))

    return arrange


@pytest.mark.parametrize(
    ("moment", "done"),
    [
        pytest.param(at_publication("run.partial.json"), 0, id="before the first header"),
        pytest.param(at_completion(0), 0, id="before the first answer"),
        pytest.param(at_completion(5), 5, id="during generation"),
        pytest.param(at_scoring, COUNT, id="before scoring"),
        pytest.param(at_publication("samples.jsonl"), COUNT, id="after scoring"),
        pytest.param(at_publication("run.json"), COUNT, id="just before run.json"),
    ],
)
def test_a_run_killed_at_any_moment_is_finished_by_the_same_call_which_asks_for_the_rest_only(
    wanted: EvalSettings, monkeypatch: pytest.MonkeyPatch, moment: Callable[[pytest.MonkeyPatch], None], done: int
):
    with monkeypatch.context() as patch:
        use(patch, Script())
        moment(patch)
        assert killed(lambda: run(wanted))
    folder = folder_of(wanted)
    assert not (folder / "run.json").exists()
    assert finished_keys(folder) == done
    script = Script()
    use(monkeypatch, script)
    run(wanted)
    header = assert_whole(wanted)
    assert sorted(script.asked.elements()) == IDS[done:]
    assert (header["generation"]["resumed"], header["generation"]["generated"]) == (done, COUNT - done)


def test_a_journal_cut_at_any_byte_is_completed_without_asking_twice_for_what_it_holds(
    wanted: EvalSettings, monkeypatch: pytest.MonkeyPatch
):
    use(monkeypatch, Script())
    run(wanted)
    folder = folder_of(wanted)
    whole_journal = (folder / "completions.jsonl").read_bytes()
    scores = [sample["scores"] for sample in read_samples(folder)]
    partial = json.dumps({**read_run(folder), "status": "partial"})
    draw = random.Random(3)
    ends = [index for index, byte in enumerate(whole_journal) if byte == ord("\n")]
    line_ends = [place for end in ends for place in (end, end + 1)]
    cuts = {0, *draw.sample(line_ends, 7), *draw.sample(range(len(whole_journal)), 12)}
    for cut in sorted(cuts):
        (folder / "run.json").unlink(missing_ok=True)
        (folder / "run.partial.json").write_text(partial)
        (folder / "completions.jsonl").write_bytes(whole_journal[:cut])
        kept = sum(b'"text"' in line for line in whole_journal[:cut].splitlines() if line.endswith(b"}"))
        script = Script()
        use(monkeypatch, script)
        reporter = NotedReporter()
        evaluate(wanted, reporter)
        assert_whole(wanted)
        assert len(script.asked) == COUNT - kept
        assert set(script.asked.values()) <= {1}
        torn = cut not in (0, *ends, *(end + 1 for end in ends))
        assert any("half-written last line" in note for note in reporter.notes) == torn
        assert [sample["scores"] for sample in read_samples(folder)] == scores


def test_an_interrupted_run_is_kept_and_resumed(wanted: EvalSettings, monkeypatch: pytest.MonkeyPatch):
    def interrupt(count: int) -> None:
        if count == 3:
            raise KeyboardInterrupt

    use(monkeypatch, Script(act=interrupt))
    with pytest.raises(InterruptedRunError) as caught:
        run(wanted)
    assert caught.value.path == wanted.out
    assert finished_keys(folder_of(wanted)) == 3
    script = Script()
    use(monkeypatch, script)
    run(wanted)
    assert_whole(wanted)
    assert sorted(script.asked) == IDS[3:]


def test_the_line_that_resumes_names_the_folder_and_does_not_start_over():
    command = ["telbench", "eval", "--model", "my model", "--fresh"]
    assert resume_line(command, Path("runs/x")) == "telbench eval --model 'my model' --out runs/x"
    assert resume_line([*command, "--out=r"], Path("r")) == "telbench eval --model 'my model' --out=r"


def test_the_same_call_on_a_finished_run_computes_nothing(wanted: EvalSettings, monkeypatch: pytest.MonkeyPatch):
    use(monkeypatch, Script())
    first = run(wanted)
    before = {entry.name: entry.stat().st_mtime_ns for entry in folder_of(wanted).iterdir()}
    script = Script()
    use(monkeypatch, script)
    monkeypatch.setattr(evaluate_module, "score_journal", lambda *_: pytest.fail("scored again"))
    again = run(wanted)
    assert again.reused
    assert again.header == first.header
    assert script.opened == 0
    assert {entry.name: entry.stat().st_mtime_ns for entry in folder_of(wanted).iterdir()} == before


def test_other_metrics_are_scored_from_the_same_answers(wanted: EvalSettings, monkeypatch: pytest.MonkeyPatch):
    use(monkeypatch, Script())
    first = run(wanted).header
    script = Script()
    use(monkeypatch, script)
    header = run(changed(wanted, metrics=("exact_match",))).header
    assert script.opened == 0
    assert list(header["metrics"]) == ["exact_match"]
    assert header["run_id"] == first["run_id"]
    assert header["created"] == first["created"]
    # What really ran stays known when nothing runs any more.
    assert {**header["generation"], "resumed": 0, "generated": 8} == first["generation"]
    assert_whole(wanted)


def test_a_finished_run_whose_metric_was_another_version_is_scored_again(
    wanted: EvalSettings, monkeypatch: pytest.MonkeyPatch
):
    use(monkeypatch, Script())
    wanted = changed(wanted, metrics=("token_f1",))
    first = run(wanted).header["metrics"]
    (f1,) = plan_module.metrics_named(["token_f1"])
    later = replace(f1, version=f1.version + 1, score_batch=lambda samples: [ItemScore(0.25) for _ in samples])
    monkeypatch.setattr(plan_module, "metrics_named", lambda names, resources=None: [later])
    script = Script()
    use(monkeypatch, script)
    again = run(wanted)
    assert not again.reused
    assert script.opened == 0
    assert again.header["metrics"]["token_f1"]["signature"] == later.signature != first["token_f1"]["signature"]
    assert again.header["metrics"]["token_f1"]["value"] == 0.25
    assert run(wanted).reused


def test_a_finished_header_never_stands_beside_samples_that_are_not_its_own(
    wanted: EvalSettings, monkeypatch: pytest.MonkeyPatch
):
    """A run is scored again by other metrics, and killed before each of its renamings and removals."""
    use(monkeypatch, Script())
    run(wanted)
    folder, seen = folder_of(wanted), set[str]()
    for moment in range(20):
        shutil.rmtree(folder)
        run(wanted)
        with monkeypatch.context() as patch:
            count = itertools.count()

            def guarded(real: Callable[..., Any], moment: int = moment, count: Any = count) -> Callable[..., Any]:
                def change(path: Path, *rest: Any, **more: Any) -> Any:
                    if path.parent == folder and next(count) == moment:
                        die()
                    return real(path, *rest, **more)

                return change

            patch.setattr(Path, "replace", guarded(Path.replace))
            patch.setattr(Path, "unlink", guarded(Path.unlink))
            if not killed(lambda: run(changed(wanted, metrics=("exact_match",)))):
                break
        if (folder / "run.json").exists():
            header, samples = read_run(folder), list(read_samples(folder))
            assert {tuple(sample["scores"]) for sample in samples} == {tuple(header["metrics"])}
            seen.add("+".join(header["metrics"]))
        else:
            assert (folder / "run.partial.json").exists()
            seen.add("unfinished")
        assert run(changed(wanted, metrics=("exact_match",))).header["metrics"].keys() == {"exact_match"}
    assert seen == {"token_f1+bleu", "unfinished", "exact_match"}


def test_a_rescoring_that_is_killed_leaves_the_finished_run_as_it_was(
    wanted: EvalSettings, monkeypatch: pytest.MonkeyPatch
):
    use(monkeypatch, Script())
    run(wanted)
    folder = folder_of(wanted)
    before = (folder / "run.json").read_bytes(), (folder / "samples.jsonl").read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "finish", lambda *_: die())
        assert killed(lambda: run(changed(wanted, metrics=("exact_match",))))
    assert ((folder / "run.json").read_bytes(), (folder / "samples.jsonl").read_bytes()) == before
    assert run(wanted).reused
    assert_whole(wanted)


def test_fresh_asks_for_everything_again(wanted: EvalSettings, monkeypatch: pytest.MonkeyPatch):
    use(monkeypatch, Script())
    run(wanted)
    script = Script()
    use(monkeypatch, script)
    run(replace(wanted, fresh=True))
    assert sorted(script.asked) == IDS
    assert_whole(wanted)


def test_another_model_does_not_get_into_the_folder(wanted: EvalSettings, monkeypatch: pytest.MonkeyPatch):
    use(monkeypatch, Script())
    run(wanted)
    with pytest.raises(InputError, match=r"holds another run \(other model\)"):
        run(replace(wanted, model="another"))
    assert_whole(wanted)


def test_an_interruption_prints_the_line_and_exits_130(
    wanted: EvalSettings, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    def interrupt(count: int) -> None:
        raise KeyboardInterrupt

    use(monkeypatch, Script(act=interrupt))
    assert make_run(wanted, ["telbench", "eval", "--model", "m"], as_json=True) == 130
    told = capfd.readouterr()
    assert told.out == ""
    assert f"resume with: telbench eval --model m --out {wanted.out}" in told.err


@pytest.mark.slow
def test_ctrl_c_of_a_real_run_prints_a_line_that_finishes_it(tiny_checkpoint: Path, tmp_path: Path):
    console = Path(sys.executable).with_name("telbench")
    if not console.exists():
        pytest.skip("the console script is not installed beside this Python")
    environment = {
        **os.environ,
        "TELBENCH_CACHE": str(tmp_path / "cache"),
        "OMP_NUM_THREADS": "1",
        "PATH": f"{console.parent}{os.pathsep}{os.environ['PATH']}",
    }
    # Long answers make several batches of about a second each: the signal comes well before the last one ends.
    options = ["--engine", "transformers", "--max-tokens", "200", "--metrics", "token_f1", "--limit", "200"]
    command = [str(console), "eval", "--model", str(tiny_checkpoint), *options, "--out", str(tmp_path / "run")]
    # A shell's background job, as CI may be, hands an ignored SIGINT down to all that it starts: undo that first.
    listening = (
        "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); os.execv(sys.argv[1], sys.argv[1:])"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", listening, *command],
        env=environment,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 240
    while finished_keys(tmp_path / "run") == 0 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert out == ""
    assert "Traceback" not in err
    assert (tmp_path / "run" / "run.partial.json").exists()
    assert not (tmp_path / "run" / "run.json").exists()
    kept = finished_keys(tmp_path / "run")
    assert 0 < kept < 200
    line = re.search(r"^resume with: (.*)$", err, re.MULTILINE)
    assert line is not None
    done = subprocess.run(shlex.split(line.group(1)), env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    header = read_run(tmp_path / "run")
    assert header["generation"]["resumed"] == kept
    assert header["generation"]["generated"] == 200 - kept
    assert header["counts"]["ok"] == 200
    assert finished_keys(tmp_path / "run") == 200
