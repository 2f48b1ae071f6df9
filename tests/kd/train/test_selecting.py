"""The step that answers choose, and trainings that end when no look is better: the same bits after any kill."""

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
from telbench.kd.selection import score
from telbench.kd.selection.score import DevAnswers, selecting_metric
from telbench.kd.settings import TrainingSettings
from telbench.kd.train import trainer
from telbench.kd.train.candidate import Candidate, train_candidate
from telbench.kd.train.dev_loss import DevSplit
from telbench.kd.train.trainer import Trainer

Train = Callable[..., Candidate]
# Characters are alike long before words are.
BY_ANSWERS = {"select": "chrf", "select_max_tokens": 24, "evaluate_every": 15}


@pytest.fixture
def train(models: Path, tmp_path: Path) -> Train:
    def run(out: str = "made", **changes: Any) -> Candidate:
        return train_candidate(settings(models, **changes), tmp_path / out, Reporter())

    return run


def settings(models: Path, **changes: Any) -> TrainingSettings:
    given: dict[str, Any] = {
        "student": str(models / "student"),
        "data": {"data": str(models / "facts.jsonl"), "max_length": 96},
        "optimiser": {"epochs": 15, "batch_size": 4, "learning_rate": 1e-2},
    }
    return read_settings(TrainingSettings, merged(given, changes), "test")


def log_of(made: Candidate) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (made.path / "training.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name != "seconds"} for line in lines]


def weights(made: Candidate) -> bytes:
    return (made.path / "model.safetensors").read_bytes()


def test_the_step_with_the_best_answers_is_kept_and_its_score_is_that_of_an_evaluation(
    train: Train, models: Path, tmp_path: Path
) -> None:
    made = train(keeping=BY_ANSWERS)
    looks = {line["step"]: line["dev_chrf"] for line in log_of(made) if "dev_chrf" in line}
    assert sorted(looks) == [15, 30, 45, 60]
    assert len(set(looks.values())) >= 3
    best = made.origin.training["best"]
    assert looks[best["step"]] == best["score"] == max(looks.values()) > 0
    # Of equal ones the first.
    assert best["step"] == next(step for step, value in sorted(looks.items()) if value == best["score"])
    assert made.origin.training["kept_step"] == best["step"]
    assert f"best chrf on split dev: {best['score']:.4f}" in (made.path / "README.md").read_text()

    words = ["eval", "--model", str(made.path), "--data", str(models / "facts.jsonl"), "--split", "dev"]
    words += ["--context", "closed", "--engine", "transformers", "--max-tokens", "24", "--metrics", "chrf"]
    assert main([*words, "--out", str(tmp_path / "run")]) == 0
    header = json.loads((tmp_path / "run" / "run.json").read_text())
    assert header["metrics"]["chrf"]["value"] == pytest.approx(best["score"], abs=1e-9)


@pytest.mark.parametrize(("metric", "kept"), [("ter", 30), ("chrf", 60)])
def test_the_metric_says_whether_more_or_less_is_better(
    train: Train, monkeypatch: pytest.MonkeyPatch, metric: str, kept: int
) -> None:
    by_step = {15: 3.0, 30: 1.0, 45: 2.0, 60: 4.0}
    monkeypatch.setattr(DevAnswers, "score", lambda self, student, work, step, *_: by_step[step])
    made = train(keeping={**BY_ANSWERS, "select": metric})
    assert made.origin.training["kept_step"] == kept
    assert made.origin.training["best"]["score"] == by_step[kept]


def test_asking_for_answers_changes_no_step_of_the_training(train: Train) -> None:
    # With dropout a student that was left as it answers would learn otherwise.
    lora = {"rank": 2, "dropout": 0.3}
    plain = train("plain", keeping={"evaluate_every": 15}, lora=lora)
    asked = train("asked", keeping=BY_ANSWERS, lora=lora)
    assert [line for line in log_of(plain) if "loss" in line] == [line for line in log_of(asked) if "loss" in line]


@pytest.mark.parametrize("after", [0, 1, 5])
def test_a_kill_while_the_student_answers_costs_one_batch_and_changes_no_bit(
    train: Train, monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    monkeypatch.setattr(score, "BATCH", 3)
    whole = train("whole", keeping=BY_ANSWERS)
    answered = DevAnswers._answered
    asked: list[int] = []

    def cut(self: DevAnswers, engine: Any, batch: Any) -> list[str]:
        if len(asked) == after:
            raise SystemExit
        asked.append(1)
        return answered(self, engine, batch)

    with monkeypatch.context() as patched:
        patched.setattr(DevAnswers, "_answered", cut)
        with pytest.raises(SystemExit):
            train("cut", keeping=BY_ANSWERS)

    def counted(self: DevAnswers, engine: Any, batch: Any) -> list[str]:
        asked.append(1)
        return answered(self, engine, batch)

    monkeypatch.setattr(DevAnswers, "_answered", counted)
    resumed = train("cut", keeping=BY_ANSWERS)
    # Four looks at three batches each.
    assert len(asked) == 4 * 3
    assert weights(resumed) == weights(whole)
    assert log_of(resumed) == log_of(whole)


def test_a_training_ends_when_no_look_is_better_and_keeps_the_best(
    train: Train, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    by_step = {2: 3.0, 4: 1.0, 6: 1.5, 8: 1.2, 10: 0.5}
    monkeypatch.setattr(DevSplit, "loss", lambda self, work, step, *_: by_step[step])
    made = train(keeping={"evaluate_every": 2, "patience": 2})
    training = made.origin.training
    assert (training["step"], training["kept_step"], training["ended_early"]) == (8, 4, True)
    assert training["best"] == {"step": 4, "loss": 1.0}
    assert [line["step"] for line in log_of(made) if "loss" in line] == list(range(1, 9))
    assert "ended early at step 8 of 60" in capfd.readouterr().err
    assert "ended early, as 2 looks" in (made.path / "README.md").read_text()
    patient = train("patient", keeping={"evaluate_every": 2, "patience": 2, "save_every": 1})
    assert weights(patient) == weights(made)


def test_a_training_that_had_ended_early_goes_no_step_further_after_a_kill(
    train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(DevSplit, "loss", lambda self, work, step, *_: float(step))
    keeping = {"evaluate_every": 2, "patience": 1}
    whole = train("whole", keeping=keeping)
    saved, seen = trainer.save_progress, []

    def killed(work: Path, progress: Any) -> None:
        saved(work, progress)
        seen.append(progress.step)
        if progress.stale:
            raise SystemExit

    with monkeypatch.context() as patched:
        patched.setattr(trainer, "save_progress", killed)
        with pytest.raises(SystemExit):
            train("cut", keeping=keeping)
    assert seen == [2, 4]
    monkeypatch.setattr(Trainer, "_step", lambda *_: pytest.fail("a step after the end"))
    resumed = train("cut", keeping=keeping)
    assert weights(resumed) == weights(whole)
    assert resumed.origin.training["kept_step"] == 2


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"keeping": {"select": "token_f"}}, "did you mean token_f1"),
        ({"keeping": {"select": "bertscore"}}, "bertscore needs encoder, which trainings have not"),
        ({"keeping": {"select": "rubric_score"}}, "rubric_score needs judge"),
        ({"keeping": {"select": "reference_likelihood"}}, "needs reference_scores"),
        ({"keeping": {"select": "ngram"}}, "ngram is .* metrics: name one"),
        ({"keeping": {"select": "token_f1", "keep": "last"}}, "leave keep: last out"),
        ({"keeping": {"patience": 0}}, "at least 1"),
        ({"keeping": {"patience": 2}, "data": {"dev_split": "none"}}, "look at a dev split"),
        ({"keeping": {"log": ["tensorbord"]}}, "did you mean tensorboard"),
        ({"keeping": {"log": ["mlflow", "mlflow"]}}, "each logger once"),
    ],
)
def test_what_cannot_choose_is_refused(models: Path, changes: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError, match=told):
        settings(models, **changes)


def test_what_chooses_is_part_of_a_trainings_key(train: Train) -> None:
    train(keeping={"evaluate_every": 8}, optimiser={"epochs": 2})
    for keeping in ({"select": "chrf"}, {"patience": 3}):
        with pytest.raises(InputError, match="made by other settings"):
            train(keeping={"evaluate_every": 8, **keeping}, optimiser={"epochs": 2})
    # Where its numbers are shown is none.
    assert not train(keeping={"evaluate_every": 8, "log_project": "other"}, optimiser={"epochs": 2}).made_now
    assert selecting_metric("token_f1").name == "token_f1"
