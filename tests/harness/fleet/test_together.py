"""Several models in one command: the runs of single commands, and one engine for adapters of one base."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from telbench.errors import EngineError, InputError
from telbench.harness.cli.main import main
from telbench.harness.datasets.settings import SUITES
from telbench.harness.engines import vllm
from telbench.harness.fleet.together import evaluate_all
from telbench.harness.runs import evaluate as evaluate_module
from telbench.harness.runs import prepared as prepared_module
from telbench.harness.runs.evaluate import InterruptedRunError, evaluate
from telbench.harness.runs.folder import JOURNAL, SAMPLES, read_run
from telbench.harness.runs.settings import EvalSettings, eval_settings

from ...scripted_engine import COUNT, NotedReporter, Script, use, write_items

# What tells when a run was made, and how long that took.
TIMES = ("created", "command", "seconds", "machine")


def asked(tmp_path: Path, *models: str, **more: Any) -> list[EvalSettings]:
    data = write_items(tmp_path / "data.jsonl", COUNT)
    shared = {"data": str(data), "metrics": ("token_f1", "bleu"), "out": tmp_path / "runs", **more}
    return [eval_settings(model=model, **shared) for model in models]


def without_times(header: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in header.items() if name not in TIMES}


@pytest.fixture(autouse=True)
def _same_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluate_module, "versions", lambda: {"telbench": {}, "packages": {}})


def test_each_model_has_the_run_of_its_own_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = Script(act=lambda _: time.sleep(0.01))
    use(monkeypatch, script)
    every = asked(tmp_path, "a", "b")
    runs = evaluate_all(every, NotedReporter())
    assert [run.header["model"]["name"] for run in runs] == ["a", "b"]
    assert {run.path.parent for run in runs} == {tmp_path / "runs"}
    assert script.opened == 2
    for settings, run in zip(every, runs, strict=True):
        alone = evaluate(replace(settings, out=tmp_path / "alone" / settings.model), NotedReporter())
        assert without_times(alone.header) == without_times(run.header)
        assert (alone.path / SAMPLES).read_bytes() == (run.path / SAMPLES).read_bytes()
        assert run.header["generation"]["generated"] == COUNT
        assert run.header["seconds"]["total"] >= run.header["seconds"]["generate"] > 0.05
    again = evaluate_all(every, NotedReporter())
    assert [run.reused for run in again] == [True, True]
    # The two runs alone opened it twice more; what is finished opens nothing.
    assert script.opened == 4


def test_a_fleet_that_is_stopped_goes_on_and_asks_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop = {"at": COUNT // 2, "of": 2}

    def act(count: int) -> None:
        if script.opened == stop["of"] and count == stop["at"]:
            raise KeyboardInterrupt

    script = Script(act=act)
    use(monkeypatch, script)
    every = asked(tmp_path, "a", "b", "c")
    with pytest.raises(InterruptedRunError) as caught:
        evaluate_all(every, NotedReporter())
    assert caught.value.path == tmp_path / "runs"
    stop["of"] = 0
    runs = evaluate_all(every, NotedReporter())
    assert [run.header["generation"]["resumed"] for run in runs] == [COUNT, COUNT // 2, 0]
    assert set(script.asked.values()) == {3}


def test_failed_prompts_of_finished_runs_are_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = Script(errors=frozenset({"q3"}))
    use(monkeypatch, script)
    every = asked(tmp_path, "a", "b")
    assert {run.header["counts"]["error"] for run in evaluate_all(every, NotedReporter())} == {1}
    script.errors = frozenset()
    runs = evaluate_all(every, NotedReporter())
    assert {run.header["counts"]["error"] for run in runs} == {0}
    assert {run.header["generation"]["generated"] for run in runs} == {1}
    fresh = evaluate_all([replace(settings, fresh=True) for settings in every], NotedReporter())
    assert {run.header["generation"]["generated"] for run in fresh} == {COUNT}


def test_an_engine_that_dies_costs_none_of_the_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def act(count: int) -> None:
        if script.opened == 2:
            raise RuntimeError("out of luck")

    script = Script(act=act)
    use(monkeypatch, script)
    with pytest.raises(EngineError, match="run the same command again"):
        evaluate_all(asked(tmp_path, "a", "b"), NotedReporter())
    (kept,) = (tmp_path / "runs").glob(f"a-*/{JOURNAL}")
    assert kept.read_bytes().count(b"\n") == COUNT + 1


def test_one_model_twice_is_refused_before_anything_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, Script())
    with pytest.raises(InputError, match="a is a again: name it once"):
        evaluate_all(asked(tmp_path, "a", "b", "a"), NotedReporter())
    assert not (tmp_path / "runs").exists()


def test_the_command_takes_several_models_and_prints_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    use(monkeypatch, Script())
    data = write_items(tmp_path / "data.jsonl", COUNT)
    command = ["eval", "--model", "a", "b", "--model", "c", "--data", str(data), "--metrics", "token_f1"]
    command += ["--out", str(tmp_path / "runs")]
    assert main([*command, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert [header["model"]["name"] for header in printed] == ["a", "b", "c"]
    assert [read_run(Path(header["path"]))["run_id"] for header in printed] == [each["run_id"] for each in printed]
    assert main(command) == 0
    assert capsys.readouterr().out.count("token_f1") == 3
    assert main([*command, "--name", "mine"]) == 2
    assert "--name mine cannot be the name of 3 models" in capsys.readouterr().err


@pytest.mark.slow
def test_adapters_of_one_base_are_answered_by_one_engine_byte_for_byte(
    adapters: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("vllm")
    started: list[str] = []
    found = vllm._llm_class

    def counted(*, on_cpu: bool) -> Any:
        kind = found(on_cpu=on_cpu)
        return lambda **arguments: (started.append(arguments["model"]), kind(**arguments))[1]

    monkeypatch.setattr(vllm, "_llm_class", counted)
    more = {"engine": "vllm", "max_tokens": 12, "cache": False}
    metrics = ("token_f1", "reference_likelihood")
    every = asked(tmp_path, *map(str, adapters), **{**more, "metrics": metrics})
    runs = evaluate_all(every, NotedReporter())
    assert len(started) == 1
    alone = [
        evaluate(replace(settings, out=tmp_path / "alone" / str(place)), NotedReporter())
        for place, settings in enumerate(every)
    ]
    assert len(started) == 3
    lines = [(run.path / SAMPLES).read_bytes() for run in runs]
    assert lines == [(run.path / SAMPLES).read_bytes() for run in alone]
    assert lines[0] != lines[1]
    for one, other in zip(runs, alone, strict=True):
        assert without_times(one.header) == without_times(other.header)
        assert one.header["metrics"]["reference_likelihood"]["n_missing"] == 0


def test_a_suite_asks_each_model_all_its_sets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    row = {"question": "Which?", "choices": ["AMF", "SMF"], "answer": 0}
    for config in ("teleqna", "teletables", "oranbench", "srsranbench"):
        (tmp_path / f"{config}.jsonl").write_text(json.dumps(row))
    for config, answer in (("telemath", "12"), ("telelogs", "C2"), ("3gpp_tsg", "SA2")):
        (tmp_path / f"{config}.jsonl").write_text(json.dumps({"question": "What?", "answer": answer}))
    use(monkeypatch, Script())
    command = ["eval", "--model", "a", "b", "--data", "open-telco", "--data-dir", str(tmp_path), "--json"]
    assert main([*command, "--out", str(tmp_path / "runs")]) == 0
    told = [(run["model"]["name"], run["data"]["name"]) for run in json.loads(capsys.readouterr().out)]
    assert told == [(model, name) for model in ("a", "b") for name in SUITES["open-telco"]]
    assert len(list((tmp_path / "runs").iterdir())) == 14
    # One set is missing: nothing is asked of any.
    (tmp_path / "telelogs.jsonl").unlink()
    assert main([*command, "--out", str(tmp_path / "other")]) == 2
    assert "data set 'ot-telelogs' needs telelogs/" in capsys.readouterr().err
    assert not (tmp_path / "other").exists()


def test_every_model_is_asked_every_set_and_data_is_read_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    use(monkeypatch, Script())
    read: list[str] = []
    load = prepared_module.load_whole
    monkeypatch.setattr(prepared_module, "load_whole", lambda asked: (read.append(asked.data), load(asked))[1])
    sets = [str(write_items(tmp_path / f"{name}.jsonl", count)) for name, count in (("one", 4), ("two", 3))]
    command = ["eval", "--model", "a", "b", "--data", *sets, "--metrics", "token_f1", "--out", str(tmp_path / "runs")]
    assert main([*command, "--json"]) == 0
    headers = json.loads(capsys.readouterr().out)
    told = [(header["model"]["name"], header["data"]["name"], header["data"]["n"]) for header in headers]
    assert told == [("a", "one", 4), ("a", "two", 3), ("b", "one", 4), ("b", "two", 3)]
    assert read == sets
    assert main([*command, "--data", sets[0]]) == 2
    assert "--model a is a again: name it once, and" in capsys.readouterr().err


def test_one_run_that_fails_is_told_and_the_others_are_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def act(count: int) -> None:
        if script.opened == 2:
            raise RuntimeError("out of luck")

    script = Script(act=act)
    use(monkeypatch, script)
    failures: list[tuple[int, str]] = []
    every = [*asked(tmp_path, "a", "b", "c"), *asked(tmp_path, "d", data="nowhere.jsonl")]
    folders = [tmp_path / "made" / name for name in "abcd"]
    runs = evaluate_all(
        every, NotedReporter(), folders=folders, failed=lambda place, error: failures.append((place, str(error)))
    )
    assert [run.path.name for run in runs] == ["a", "c"]
    assert [place for place, _ in failures] == [3, 1]
    assert "nowhere.jsonl" in failures[0][1]
    assert "out of luck" in failures[1][1]
