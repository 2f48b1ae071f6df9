"""A candidate is made once and whole, and refused before anything is spent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from telbench.config import merged
from telbench.errors import InputError, TelbenchError
from telbench.harness.checkpoint import open_checkpoint
from telbench.kd.train.trainer import Trainer

from .trainings import WEIGHTS, Train, records, settings


@pytest.mark.parametrize(
    ("student", "algorithm"),
    [
        *(("student", name) for name in ("vanilla_kd", "dskd", "dskd_cma", "dskd_v2", "simple_ctkd", "uld", "gkd")),
        *(("other", name) for name in ("dskd_cma", "dskd_v2", "simple_ctkd", "uld")),
    ],
)
def test_every_algorithm_makes_an_ordinary_checkpoint_that_knows_its_factors(
    train: Train, student: str, algorithm: str
) -> None:
    made = train(student=student, method={"algorithm": algorithm, "max_new_tokens": 4}, optimiser={"epochs": 1})
    checkpoint = open_checkpoint(str(made.path))
    vocabulary = "same" if student == "student" else "different"
    assert checkpoint.factors == {
        "algorithm": algorithm,
        "student_sft": False,
        "teacher_sft": False,
        "vocabulary": vocabulary,
        "seed": 0,
    }
    names = set(load_file(made.path / WEIGHTS))
    # Neither the teacher nor the projectors are in it.
    assert not any("projector" in name or "teacher" in name for name in names)
    assert (made.path / "loss.png").read_bytes()[:4] == b"\x89PNG"
    assert not made.path.with_name("made.training").exists()


def test_the_same_settings_find_the_checkpoint_and_others_refuse_it(train: Train) -> None:
    first = train()
    again = train()
    assert not again.made_now
    assert again.origin == train().origin
    assert again.origin.settings_sha256 == first.origin.settings_sha256
    with pytest.raises(InputError, match="made by other settings: choose another --out, or pass --fresh"):
        train(optimiser={"seed": 1})
    assert train(optimiser={"seed": 1}, fresh=True).made_now


def test_a_folder_that_is_not_ours_is_never_replaced(train: Train, tmp_path: Path) -> None:
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "thesis.txt").write_text("years of work")
    for fresh in (False, True):
        with pytest.raises(InputError, match="was not made by telbench"):
            train(fresh=fresh)


def test_a_begun_training_with_other_settings_is_refused(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Trainer.train

    def stop(self: Trainer, meter: Any) -> Any:
        whole(self, meter)
        raise SystemExit

    with monkeypatch.context() as patched:
        patched.setattr(Trainer, "train", stop)
        with pytest.raises(SystemExit):
            train()
    with pytest.raises(InputError, match="training with other settings"):
        train(optimiser={"seed": 5})


def test_a_loss_that_is_no_number_stops_with_the_last_good_state(train: Train) -> None:
    with pytest.raises(TelbenchError, match=r"stopped at step \d: the .* is (nan|inf); lower the learning rate"):
        train(optimiser={"learning_rate": 1e30})


def test_training_ends_with_the_step_that_reaches_the_token_budget(train: Train) -> None:
    whole = train("whole", keeping={"keep": "last"})
    tokens = [record["tokens"] for record in records(whole) if "tokens" in record]
    made = train("cut", optimiser={"max_tokens": tokens[4] - 1})
    assert made.origin.training["step"] == 5
    assert made.origin.training["tokens"] == tokens[4]


def test_vanilla_distillation_between_vocabularies_is_refused_or_recorded(train: Train) -> None:
    with pytest.raises(InputError, match=r"vanilla_kd is refused between teacher and other.*use alm, dskd_cma"):
        train(student="other", method={"algorithm": "vanilla_kd"})
    made = train(student="other", method={"algorithm": "vanilla_kd", "naive_id_kd": True})
    assert made.origin.factors["naive_id_kd"] is True
    assert made.origin.factors["vocabulary"] == "different"


def test_a_dev_split_that_shares_items_with_training_is_refused(train: Train) -> None:
    with pytest.raises(InputError, match="is in the training split and in the dev split"):
        train(data={"dev_split": "all"})


def test_items_beyond_the_window_are_told_and_none_left_is_refused(
    train: Train, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(InputError, match=r"nothing to train on.*16 items too long for the student"):
        train(data={"max_length": 8})


def test_limits_bound_the_dev_split_too(train: Train) -> None:
    def looked_at(out: str, **data: Any) -> int:
        made = train(out, data=data, optimiser={"epochs": 1})
        return made.origin.data["dev"]["n"]

    every = looked_at("every")
    assert looked_at("limited", limit=4) == 4
    assert looked_at("dev", dev_limit=2) == 2
    assert looked_at("both", limit=6, dev_limit=3) == 3
    assert every > 6


def test_what_a_training_cuts_and_what_looks_cost_is_told_beforehand(models: Path, tmp_path: Path) -> None:
    from telbench.kd.train.prepare import identify, prepare
    from telbench.kd.train.report import told_beforehand

    rows = [
        {"id": f"{split}{k}", "question": f"Which {k}?", "references": [f"{k}"], "context": "x " * size, "split": split}
        for split, count in (("train", 8), ("dev", 4))
        for k, size in zip(range(count), (2, 400) * count, strict=False)
    ]
    file = tmp_path / "contexts.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))

    def told(**changes: Any) -> list[str]:
        data = {"data": str(file), "context": "open", "max_length": 96}
        return told_beforehand(prepare(identify(settings(models, **merged({"data": data}, changes)))))

    cut = [line for line in told() if "is cut to fit" in line]
    assert cut == [
        f"split {split}: the context of {half} of {2 * half} items is cut to fit: raise --max-length (now 96), as far "
        "as the models' windows reach"
        for split, half in (("train", 4), ("dev", 2))
    ]
    # Half as many tokens, forward only: a sixth of the training's time.
    (cost,) = (line for line in told() if line.startswith("looking at"))
    assert "(4 items, " in cost
    assert ", 2 times) adds about 1" in cost
    assert "--dev-limit N" in cost
    assert not any(
        "looking" in line
        for line in told(data={"dev_limit": 1}, optimiser={"epochs": 5}, keeping={"evaluate_every": 10})
    )
