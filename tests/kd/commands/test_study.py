"""``telbench kd study``: dry runs that write nothing, exit codes, the commands that it gives to its artefacts."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from telbench.config import changed, merged, read_settings, read_yaml
from telbench.errors import InputError, TelbenchError
from telbench.flags import settings_of
from telbench.harness.cli import main as cli
from telbench.harness.cli.terminal import Reporter
from telbench.harness.executors.local import slots_of
from telbench.harness.runs.settings import EvalSettings
from telbench.kd.commands.demo import make_slice
from telbench.kd.commands.study import StudyOptions, models_of
from telbench.kd.settings import TrainingSettings
from telbench.kd.study.folder import StudyFolder
from telbench.kd.study.graph import Sources, build_graph
from telbench.kd.study.settings import PRESETS, StudySettings, read_study

from ..study.small_study import SETTINGS as SMALL


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FAKE_CALLS", str(tmp_path / "calls"))
    program = (sys.executable, str(Path(__file__).parents[1] / "study" / "fake_telbench.py"))
    monkeypatch.setattr("telbench.harness.executors.process.PROGRAM", program)
    file = tmp_path / "small.yaml"
    file.write_text(yaml.safe_dump(SMALL))
    return file


def call(study: Path, *more: str) -> int:
    return cli.main(["kd", "study", str(study), "--out", str(study.parent / "out"), *more])


def document(captured: pytest.CaptureFixture[str]) -> dict[str, Any]:
    return json.loads(captured.readouterr().out)


def test_a_dry_run_shows_the_graph_and_writes_nothing(study: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert call(study, "--dry-run", "--json") == 0
    told = document(capfd)
    assert not (study.parent / "out").exists()
    assert {each["state"] for each in told["artefacts"]} == {"to make"}
    estimate = told["estimate"]
    assert estimate["to_make"] == estimate["of_unknown_time"] == len(told["artefacts"])
    assert estimate["seconds"] is None
    assert estimate["tokens"] == sum(each["tokens"] for each in told["artefacts"])
    assert call(study, "--dry-run") == 0
    assert "time unknown until something is made" in capfd.readouterr().out


def test_a_dry_run_says_whom_vllm_answers_for(study: Path, capfd: pytest.CaptureFixture[str]) -> None:
    gkd = {"algorithms": {"gkd": {"rollout": {"engine": "vllm"}}}}
    factors = {**SMALL["factors"], "algorithm": ["vanilla_kd", "gkd"]}
    study.write_text(yaml.safe_dump({**SMALL, **gkd, "factors": factors}))
    assert call(study, "--dry-run", "--json") == 0
    asked = {each["label"] for each in document(capfd)["artefacts"] if each["rollout_engine"] == "vllm"}
    assert asked
    assert all("gkd" in label for label in asked)
    assert call(study, "--dry-run") == 0
    assert capfd.readouterr().out.count("(asks the student by vllm)") == len(asked)


def test_a_study_is_made_and_told_and_then_found(study: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert call(study, "--jobs", "2") == 0
    printed = capfd.readouterr()
    assert "/runs/* --study" in printed.out
    assert "/16" not in printed.out
    assert "about" in printed.err
    assert call(study, "--dry-run", "--json") == 0
    told = document(capfd)
    assert told["estimate"]["to_make"] == 0
    assert {each["state"] for each in told["artefacts"]} == {"done"}
    assert all(each["cpu_seconds"] > 0 for each in told["artefacts"])
    assert call(study, "--json") == 0
    assert [each["label"] for each in document(capfd)["artefacts"]] == [each["label"] for each in told["artefacts"]]


def test_a_failure_is_told_at_the_end_with_its_exit_code(
    study: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_FAIL", "sft-teacher")
    assert call(study) == InputError.exit_code
    out = capfd.readouterr().out
    assert "FAILED sft-teacher" in out
    assert "no such data: name another" in out
    assert "not made for want of it: cache-teacher-sft" in out
    monkeypatch.delenv("FAKE_FAIL")
    assert call(study) == 0


def test_what_a_training_warned_of_is_told_at_the_end_and_whenever_the_study_is_found_made(
    study: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_ODD", "student-same-dskd-t0")
    for _ in range(2):
        assert call(study) == 0
        told = [line for line in capfd.readouterr().out.splitlines() if line.startswith("look at")]
        assert told == ["look at student-same-dskd-t0-s0-seed0: the teacher held it back"]


def test_seeds_and_engine_can_be_given_by_flag(study: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert call(study, "--dry-run", "--json", "--seeds", "1,2") == 0
    labels = [each["label"] for each in document(capfd)["artefacts"]]
    assert [label for label in labels if label.startswith("student-same-dskd-t0")] == [
        "student-same-dskd-t0-s0-seed1",
        "student-same-dskd-t0-s0-seed2",
    ]
    study.write_text(yaml.safe_dump({**SMALL, "anchors": ["student_alone"]}))
    for seeds, told in (("1", False), ("1,2", True)):
        assert call(study, "--dry-run", "--json", "--seeds", seeds) == 0
        assert any("alone-* " in line and "--average-seeds" in line for line in document(capfd)["next"]) is told
    assert call(study, "--seeds", "one") == InputError.exit_code
    assert "argument --seeds: 'one' is no whole number" in capfd.readouterr().err


def test_a_folder_of_something_else_is_refused(study: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (study.parent / "out").mkdir()
    (study.parent / "out" / "thesis.tex").touch()
    assert call(study) == InputError.exit_code
    assert "holds no study" in capfd.readouterr().err


def test_an_unknown_study_is_one_line(study: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["kd", "study", "nanno"]) == InputError.exit_code
    assert "a preset (nano, nano-long, demo, real-small)" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"metrics": "token_f1,rouge_l"}, "unknown metric 'rouge_l': did you mean rougeL"),
        ({"encoder": "/nowhere/encoder"}, "/nowhere/encoder"),
        ({"judge": ["opnai:gpt@http://localhost:1/v1"]}, "no kind of judge 'opnai'"),
    ],
)
def test_what_no_run_could_measure_is_refused_before_anything_is_trained(
    study: Path, capfd: pytest.CaptureFixture[str], wrong: dict[str, Any], told: str
) -> None:
    study.write_text(yaml.safe_dump({**SMALL, "evaluation": wrong}))
    for more in ((), ("--dry-run",)):
        assert call(study, *more) == InputError.exit_code
        assert told in " ".join(capfd.readouterr().err.split())
    assert not (study.parent / "calls").exists()


@pytest.mark.parametrize("devices", ["gpu:0", "cuda:x", "cuda:0,cuda:0"])
def test_devices_that_are_none_are_refused(devices: str) -> None:
    with pytest.raises(InputError, match="--devices"):
        slots_of(devices.split(","), None)


def test_a_logger_or_an_executor_that_cannot_be_had_is_refused_before_anything_is_made(
    study: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("wandb", "submitit"):
        monkeypatch.setitem(sys.modules, name, None)
    for words, told in (
        (["--log", "wandb"], "--log wandb needs the package 'wandb'"),
        (["--log", "wandbb"], "did you mean wandb"),
        (["--executor", "slurm"], "--executor slurm needs the package 'submitit'"),
        (["--executor", "ray", "--devices", "cuda:0"], "ray places GPUs by --executor-options"),
    ):
        assert call(study, *words) == InputError.exit_code
        assert told in " ".join(capfd.readouterr().err.split())
    assert not (study.parent / "out").exists()


def test_jobs_share_the_processors_and_exclude_devices() -> None:
    assert len(slots_of((), 3)) == 3
    assert all(int(slot["OMP_NUM_THREADS"]) >= 1 for slot in slots_of((), 3))
    with pytest.raises(InputError, match="--jobs is for processors"):
        slots_of(("cuda:0",), 2)


def test_every_artefact_has_a_command_that_its_parser_takes(tmp_path: Path) -> None:
    """Dry: settings files are read as the commands read them, flags parsed as telbench parses them."""
    from telbench.harness.cli.main import Options
    from telbench.kd.commands.base import BaseRequest

    asked = {
        "judge": ["local:x"],
        "encoder": "enc",
        "limit": 5,
        "options": {"a": "b"},
        "top_p": 0.5,
        "judge_deadline": 7,
    }
    changes = {"evaluation": asked}
    settings = read_settings(StudySettings, merged(read_yaml_of("nano"), changes), "study")
    graph = build_graph(settings, Sources({}, "d", "e"))
    folder = StudyFolder(tmp_path / "study", graph)
    folder.create()
    for each in graph:
        folder.write_settings(each)
        words = folder.command(each)
        parser = Options(prog=f"telbench {words[0]}", allow_abbrev=False)
        configure(words[0], parser)
        args = parser.parse_args(words[1:])
        assert str(args.out) == str(folder.path(each))
        if each.kind in {"sft", "student"}:
            made_by = read_settings(TrainingSettings, read_yaml(args.config), each.label)
            assert str(folder.root) in made_by.student
            assert (made_by.teacher_cache is not None) == ("cache" in each.inputs)
        elif each.kind == "base":
            assert (
                read_settings(BaseRequest, read_yaml(args.config), each.label).scratch
                == settings.scratch[each.settings["name"]]
            )
        elif each.kind == "run":
            found = settings_of(args, EvalSettings)
            own = {"model": str(folder.path(graph.artefacts[each.inputs["model"]])), "out": args.out}
            # All that a run has to set, nothing lost and nothing made up on the way.
            assert found == changed(settings.evaluation, name=each.settings["name"], **own)
            assert (found.judging.specs, found.sampling.top_p, found.judging.deadline) == (("local:x",), 0.5, 7)


def read_yaml_of(preset: str) -> dict[str, Any]:
    import telbench.kd.study.settings as module

    return read_yaml(Path(module.__file__ or "").parent / "presets" / f"{preset}.yaml")


def configure(command: str, parser: Any) -> None:
    import importlib

    module, _ = cli.COMMANDS[command]
    importlib.import_module(module, "telbench.harness").configure(parser)


def test_all_presets_can_be_read() -> None:
    assert PRESETS == ("nano", "nano-long", "demo", "real-small")
    models = {"student": {"both": "a"}, "teacher": {"same": "b", "different": "c"}}
    real = {"real-small": models}
    assert tuple(read_study(name, real.get(name)).name for name in PRESETS) == PRESETS


def test_the_preset_of_real_models_asks_for_their_folders_and_takes_them_by_flag(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["kd", "study", "real-small", "--dry-run"]) == InputError.exit_code
    assert "no student for vocabulary 'same'" in capfd.readouterr().err
    assert cli.main(["kd", "study", "real-small", "--student", "s", "--dry-run"]) == InputError.exit_code
    assert "by --teacher-same DIR" in capfd.readouterr().err
    settings = read_study(
        "real-small", models_of(StudyOptions("x", student="s", teacher_same="t", teacher_different="u"))
    )
    assert settings.models.student.of("different") == "s"
    assert (settings.models.teacher.of("same"), settings.models.teacher.of("different")) == ("t", "u")
    graph = build_graph(settings, Sources({"s": "a", "t": "b", "u": "c"}, "d", "e"))
    assert {each.label for each in graph if each.kind == "run"} == {
        "run-same-vanilla_kd-t1-s0-seed0",
        "run-same-dskd-t1-s0-seed0",
        "run-different-dskd-t1-s0-seed0",
        "run-sft-teacher-same",
        "run-base-student",
        "run-alone-student-seed0",
        "run-sft-teacher-different",
    }


def test_a_model_given_by_flag_replaces_its_half_or_both(tmp_path: Path) -> None:
    file = tmp_path / "study.yaml"
    file.write_text(yaml.safe_dump({"name": "s", "models": {"student": {"both": "a"}, "teacher": {"both": "b"}}}))
    changed_half = read_study(str(file), models_of(StudyOptions(str(file), teacher_different="c")))
    assert [changed_half.models.teacher.of(half) for half in ("same", "different")] == ["b", "c"]
    changed_both = read_study(str(file), models_of(StudyOptions(str(file), student="d")))
    assert [changed_both.models.student.of(half) for half in ("same", "different")] == ["d", "d"]
    assert read_study(str(file), models_of(StudyOptions(str(file)))).models.student.both == "a"


def test_the_demo_gets_a_slice_from_the_base_student_to_the_teachers(study: Path) -> None:
    made = make_slice(study.parent / "slice", Reporter(), seed=3)
    assert [one.name for one in made] == [
        "base-student",
        "alone-student-seed3",
        "same-vanilla_kd-t1-s0-seed3",
        "same-dskd-t1-s0-seed3",
        "different-dskd-t1-s0-seed3",
        "sft-teacher-same",
        "sft-teacher-different",
    ]
    assert all(one.made_now and Path(one.run).is_dir() and Path(one.checkpoint).is_dir() for one in made)
    assert not any(one.made_now for one in make_slice(study.parent / "slice", Reporter(), seed=3))


def test_a_slice_that_cannot_be_made_names_the_log(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_FAIL", "base-teacher-digits")
    with pytest.raises(TelbenchError, match=r"base-teacher-digits could not be made: .*name another .see .*log"):
        make_slice(study.parent / "slice", Reporter())
