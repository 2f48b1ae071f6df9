"""A candidate is made once, whole, and the same however often its making is cut short or split up."""

from __future__ import annotations

import errno
import json
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from telbench.config import merged, read_settings
from telbench.errors import InputError, TelbenchError
from telbench.harness.adapter import open_model
from telbench.harness.checkpoint import open_checkpoint
from telbench.harness.cli.terminal import Reporter
from telbench.kd.settings import TrainingSettings
from telbench.kd.train import dev_loss, writing
from telbench.kd.train import state as training_state
from telbench.kd.train.candidate import Candidate, train_candidate
from telbench.kd.train.dev_loss import DevSplit
from telbench.kd.train.distiller import Distiller
from telbench.kd.train.trainer import Trainer

Train = Callable[..., Candidate]
WEIGHTS = "model.safetensors"


@pytest.fixture
def train(models: Path, tmp_path: Path) -> Train:
    def run(out: str = "made", *, fresh: bool = False, **changes: Any) -> Candidate:
        return train_candidate(settings(models, **changes), tmp_path / out, Reporter(), fresh=fresh)

    return run


def settings(models: Path, student: str = "student", **changes: Any) -> TrainingSettings:
    """Two epochs of four steps on sixteen items."""
    given: dict[str, Any] = {
        "student": student if os.sep in student else str(models / student),
        "data": {"data": str(models / "facts.jsonl"), "max_length": 96},
        "optimiser": {"epochs": 2, "batch_size": 4, "learning_rate": 3e-3},
    }
    if changes.get("method", {}).get("algorithm", "sft") != "sft":
        given["teacher"] = str(models / "teacher")
    return read_settings(TrainingSettings, merged(given, changes), "test")


def records(candidate: Candidate) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (candidate.path / "training.jsonl").read_text().splitlines()]


def losses(candidate: Candidate) -> list[float]:
    return [record["loss"] for record in records(candidate) if "loss" in record]


def weights(candidate: Candidate) -> bytes:
    return (candidate.path / WEIGHTS).read_bytes()


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


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"method": {"algorithm": "dskd_v2"}, "student": "other"},
        {"method": {"algorithm": "gkd", "max_new_tokens": 3}},
        {"lora": {"rank": 2, "dropout": 0.2}},
    ],
    ids=["sft", "projectors", "own answers", "dropout"],
)
@pytest.mark.parametrize("cut_at", [0, 3, 6])
def test_a_training_cut_short_at_any_step_ends_with_the_same_bits(
    train: Train, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], cut_at: int
) -> None:
    whole = train("whole", keeping={"save_every": 2, "keep": "last"}, **changes)
    step = Trainer._step

    def cut(self: Trainer, planned: Any, *rest: Any) -> None:
        if planned.number == cut_at:
            raise SystemExit
        step(self, planned, *rest)

    with monkeypatch.context() as patched:
        patched.setattr(Trainer, "_step", cut)
        with pytest.raises(SystemExit):
            train("cut", keeping={"save_every": 2, "keep": "last"}, **changes)
    resumed = train("cut", keeping={"save_every": 2, "keep": "last"}, **changes)
    assert weights(resumed) == weights(whole)
    assert losses(resumed) == losses(whole)


def test_control_c_ends_after_a_saved_step_and_the_same_command_goes_on(
    train: Train, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    whole = train("whole")
    step = Trainer._step

    def interrupted(self: Trainer, planned: Any, *rest: Any) -> None:
        if planned.number == 2:
            os.kill(os.getpid(), signal.SIGINT)
        step(self, planned, *rest)

    with monkeypatch.context() as patched:
        patched.setattr(Trainer, "_step", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train("cut")
    assert "the same command goes on from" in capfd.readouterr().err
    assert weights(train("cut")) == weights(whole)
    assert "going on after step 3 of 8" in capfd.readouterr().err


def test_a_full_disk_is_one_line_and_the_state_before_goes_on(
    train: Train, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    whole = train("whole")

    written: list[Path] = []

    def second_time_full(tensors: Any, file: Path) -> None:
        written.append(file)
        if sum(each.name == training_state.OPTIMIZER for each in written) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        save_file(tensors, file)

    with monkeypatch.context() as patched:
        patched.setattr("safetensors.torch.save_file", second_time_full)
        with pytest.raises(InputError, match=r"the disk is full.*the state saved before is kept"):
            train("cut")
    assert [folder.name for folder in (tmp_path / "cut.training").glob("s*-*")] == ["step-00000004"]
    assert weights(train("cut")) == weights(whole)


def test_parts_of_a_step_do_not_change_its_loss(train: Train) -> None:
    method = {"algorithm": "dskd_v2"}
    whole = train("whole", student="other", method=method)
    for size in (1, 3):
        parts = train(f"parts-{size}", student="other", method=method, optimiser={"micro_batch_size": size})
        assert losses(parts) == pytest.approx(losses(whole), rel=2e-5)


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


def test_the_best_step_by_the_dev_split_is_kept_and_the_last_beside_it(
    train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripted = iter([3.0, 1.0, 2.0, 4.0])
    monkeypatch.setattr(DevSplit, "loss", lambda *_: next(scripted))
    made = train(keeping={"evaluate_every": 2})
    assert made.origin.training["kept_step"] == 4
    assert made.origin.training["best"] == {"step": 4, "loss": 1.0}
    monkeypatch.setattr(DevSplit, "loss", lambda *_: 1.0)
    last = train("last", keeping={"evaluate_every": 2, "keep": "last"})
    assert (made.path / "last" / WEIGHTS).read_bytes() == weights(last) != weights(made)
    assert not (last.path / "last").exists()
    open_checkpoint(str(made.path / "last"))


def test_the_dev_loss_is_that_of_the_saved_checkpoint(train: Train, models: Path) -> None:
    from transformers import AutoModelForCausalLM

    made = train(optimiser={"epochs": 1})
    model = AutoModelForCausalLM.from_pretrained(made.path)
    assert made.origin.training["best"]["loss"] == pytest.approx(dev_loss_of(model, models), rel=1e-5)


def test_a_kill_while_looking_at_the_dev_split_loses_neither_the_epoch_nor_the_batches_looked_at(
    train: Train, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    changes = {"optimiser": {"epochs": 2, "micro_batch_size": 1}}
    whole = train("whole", **changes)
    monkeypatch.setattr(dev_loss, "EVERY_SECONDS", 0.0)
    plain, looked, steps = Distiller.forward, [0], [0]

    def counted(self: Distiller, micro: Any, over: Any = None, asked: Any = "loss") -> Any:
        looked[0] += asked == "cross_entropy"
        steps[0] += asked == "loss"
        return plain(self, micro, over, asked)

    def killed(self: Distiller, *asked: Any) -> Any:
        if looked[0] == 2:
            raise SystemExit
        return counted(self, *asked)

    with monkeypatch.context() as patched:
        patched.setattr(Distiller, "forward", killed)
        with pytest.raises(SystemExit):
            train("cut", **changes)
    assert steps == [16]
    looked, steps = [0], [0]
    monkeypatch.setattr(Distiller, "forward", counted)
    resumed = train("cut", **changes)
    assert "going on after step 4 of 8" in capfd.readouterr().err
    dev = sum("dev_loss" in record for record in records(whole))
    items = whole.origin.data["dev"]["n"]
    assert (steps, looked) == ([16], [dev * items - 2])
    assert weights(resumed) == weights(whole)
    kept = [{name: value for name, value in record.items() if name != "seconds"} for record in records(resumed)]
    assert kept == [{name: value for name, value in record.items() if name != "seconds"} for record in records(whole)]
    assert resumed.origin.training["last_loss"] == whole.origin.training["last_loss"]


def test_a_loss_that_is_no_number_stops_with_the_last_good_state(train: Train) -> None:
    with pytest.raises(TelbenchError, match=r"stopped at step \d: the .* is (nan|inf); lower the learning rate"):
        train(optimiser={"learning_rate": 1e30})


def test_adapters_are_merged_and_only_they_have_been_trained(train: Train, models: Path) -> None:
    made = train(lora={"rank": 2})
    before, after = (load_file(folder / WEIGHTS) for folder in (models / "student", made.path))
    assert before.keys() == after.keys()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed
    assert all("proj" in name for name in changed)
    assert made.origin.training["trained_parameters"] < made.origin.training["parameters"] / 2


def update(folder: Path) -> dict[str, torch.Tensor]:
    """What an adapter adds to each weight that it sits on, from its own file."""
    config = json.loads((folder / "adapter_config.json").read_text())
    stored = load_file(folder / "adapter_model.safetensors")
    found = {}
    for name, value in stored.items():
        if name.endswith("lora_A.weight"):
            plain = name.removeprefix("base_model.model.").replace("lora_A.weight", "weight")
            found[plain] = stored[name.replace("lora_A", "lora_B")] @ value * (config["lora_alpha"] / config["r"])
    return found


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_merging_loses_nothing_of_a_small_update_and_the_adapter_lies_beside_it(
    train: Train, models: Path, precision: str
) -> None:
    made = train(lora={"rank": 2}, optimiser={"precision": precision, "learning_rate": 1e-5})
    before, after = (load_file(folder / WEIGHTS) for folder in (models / "student", made.path))
    added = update(made.path / "adapter")
    assert {name for name in before if not torch.equal(before[name], after[name])} == set(added)
    for name, wanted in added.items():
        lost = float((after[name] - before[name] - wanted).norm() / wanted.norm())
        # What is left is the rounding of a float32 sum.
        assert lost < 0.02
        assert after[name].dtype == torch.float32
    assert open_model(str(made.path / "adapter")).adapter == made.path / "adapter"


def dev_loss_of(model: Any, models: Path) -> float:
    from telbench.kd.train.prepare import identify, prepare

    total, count = 0.0, 0
    for example in prepare(identify(settings(models))).texts.dev_examples:
        ids = torch.tensor([example.student.ids])
        with torch.no_grad():
            chances = model(ids).logits[0].double().log_softmax(-1)
        for place in range(example.student.start, ids.shape[1]):
            total, count = total - float(chances[place - 1, ids[0, place]]), count + 1
    return total / count


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_note_has_the_dev_loss_of_what_is_saved(train: Train, models: Path, dtype: str) -> None:
    from transformers import AutoModelForCausalLM

    made = train(lora={"rank": 2}, keeping={"save": "merged", "save_dtype": dtype}, optimiser={"precision": "bf16"})
    assert {str(weight.dtype) for weight in load_file(made.path / WEIGHTS).values()} == {f"torch.{dtype}"}
    assert not (made.path / "adapter").exists()
    model = AutoModelForCausalLM.from_pretrained(made.path, dtype="auto")
    saved = made.origin.training["saved"]
    assert saved == {"dtype": dtype, "dev_loss": pytest.approx(dev_loss_of(model, models), rel=3e-3)}
    # The trained one computed in half precision: it is another number.
    assert saved["dev_loss"] != made.origin.training["best"]["loss"]


def test_rounding_that_undoes_the_training_is_told(
    train: Train, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(writing, "WORSE", -1.0)
    made = train(keeping={"save_dtype": "bfloat16"})
    told = capfd.readouterr().err
    assert "as it is saved in bfloat16 the model loses" in told
    assert "--save-dtype float32" in made.origin.training["warnings"][-1] in told.replace("\n", " ")


def test_an_adapter_alone_is_a_checkpoint_that_is_found_again(
    train: Train, models: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    changes: dict[str, Any] = {"lora": {"rank": 2}, "keeping": {"save": "adapter"}}
    made = train(**changes)
    assert not (made.path / WEIGHTS).exists()
    opened = open_model(str(made.path))
    assert (opened.path, opened.adapter) == (models / "student", made.path)
    assert opened.factors["algorithm"] == "sft"
    assert not train(**changes).made_now
    with pytest.raises(InputError, match="made by other settings"):
        train(lora={"rank": 2})
    with pytest.raises(InputError, match="save: adapter is for LoRA"):
        train("other", keeping={"save": "adapter"})


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


def test_own_answers_have_no_labels_and_come_at_steps_the_seed_alone_decides(train: Train) -> None:
    method = {"algorithm": "gkd", "max_new_tokens": 3, "student_share": 0.5}
    made = train(method=method)
    own = [record["own_answers"] for record in records(made) if "loss" in record]
    assert set(own) == {True, False}
    assert own == [record["own_answers"] for record in records(train("again", method=method)) if "loss" in record]
    never = train("never", method={**method, "student_share": 0.0})
    assert losses(never) == losses(train("vanilla", method={"algorithm": "vanilla_kd"}))


def test_the_labels_of_the_data_say_nothing_about_an_answer_of_the_students_own(train: Train) -> None:
    method = {"algorithm": "gkd", "max_new_tokens": 3, "student_share": 0.5, "kd_rate": 0.25}
    steps = [record for record in records(train(method=method)) if "loss" in record]
    own = [record for record in steps if record["own_answers"]]
    given = [record for record in steps if not record["own_answers"]]
    assert own
    assert given
    # The record has both terms unweighted, a token.
    for record in own:
        assert record["loss"] == pytest.approx(record["kd"], rel=1e-5)
        assert record["ce"] > 1
    for record in given:
        assert record["loss"] == pytest.approx(0.75 * record["ce"] + 0.25 * record["kd"], rel=1e-5)


def test_trainings_of_two_precisions_in_one_process_are_what_they_are_alone(train: Train) -> None:
    exact = train("one")
    half = train("half", optimiser={"precision": "bf16"})
    again = train("two")
    assert weights(exact) == weights(again) != weights(half)
    assert losses(half) == pytest.approx(losses(exact), rel=2e-2)
    assert losses(half) != losses(exact)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_tf32_without_a_gpu_is_refused_in_one_line(train: Train, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="use fp32 or bf16"):
        train(optimiser={"precision": "tf32"})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("student", ["student", "other"], ids=["one vocabulary", "two vocabularies"])
def test_parts_of_a_step_share_what_they_have_in_common(
    train: Train, monkeypatch: pytest.MonkeyPatch, student: str
) -> None:
    from telbench.kd.losses.dual_space_v2 import Aligned, LogitIdentity

    calls = {"likeliest": 0, "s2t": 0}

    def counted(kind: type, name: str) -> None:
        plain = getattr(kind, name)

        def count(*arguments: Any) -> Any:
            calls[name] += 1
            return plain(*arguments)

        monkeypatch.setattr(kind, name, count)

    counted(Aligned, "likeliest")
    counted(LogitIdentity, "s2t")
    once = {
        "student": student,
        "method": {"algorithm": "dskd_v2"},
        "keeping": {"keep": "last"},
        "data": {"dev_split": "none"},
    }
    one_step = {"epochs": 1, "max_tokens": 1}
    whole = train("whole", **once, optimiser=one_step)
    assert calls == {"likeliest": 1, "s2t": 1}
    parts = train("parts", **once, optimiser=one_step | {"micro_batch_size": 1})
    assert calls == {"likeliest": 1 + 4, "s2t": 1 + 1}
    assert losses(parts) == pytest.approx(losses(whole), rel=1e-5)


@pytest.fixture(scope="module")
def base(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The teacher's vocabulary without its chat template, another end of answers, and a [PAD] of its own."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = tmp_path_factory.mktemp("rendered") / "base"
    tokenizer = AutoTokenizer.from_pretrained(models / "student")
    tokenizer.chat_template = None
    tokenizer.eos_token = tokenizer.bos_token
    tokenizer.add_special_tokens({"pad_token": "[PAD]"})
    model = AutoModelForCausalLM.from_pretrained(models / "student")
    # The new row is drawn at random.
    torch.manual_seed(0)
    model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("algorithm", ["vanilla_kd", "dskd", "dskd_cma", "dskd_v2", "simple_ctkd", "uld", "gkd"])
def test_an_instruct_teacher_teaches_a_base_student_of_its_family(
    train: Train, base: Path, algorithm: str, capfd: pytest.CaptureFixture[str]
) -> None:
    made = train(student=str(base), method={"algorithm": algorithm, "max_new_tokens": 4}, optimiser={"epochs": 1})
    assert made.origin.factors["vocabulary"] == "same"
    # A step on own answers of one token has no row with a partner.
    assert all(value >= 0 for value in losses(made))
    assert sum(losses(made)) > 0
    told = "render answers differently" in capfd.readouterr().err.replace("\n", " ")
    assert told == (algorithm not in {"dskd_cma", "uld"})


@pytest.mark.parametrize("rate", [1.0, 0.25])
def test_rows_without_a_partner_learn_from_their_labels_alone(models: Path, base: Path, rate: float) -> None:
    """Vanilla distillation by hand, from both models' own logits."""
    from telbench.harness.engines.transformers import load_model
    from telbench.kd.teacher.rows import LiveTeacher
    from telbench.kd.train.distiller import Denominators, make_micro_batch
    from telbench.kd.train.examples import taught
    from telbench.kd.train.prepare import identify, prepare
    from telbench.kd.train.writing import student_of

    method = {"algorithm": "vanilla_kd", "kd_rate": rate, "temperature": 1.5}
    prepared = prepare(identify(settings(models, student=str(base), method=method)))
    assert prepared.teacher is not None
    assert prepared.link is not None
    student, teacher = student_of(prepared), load_model(prepared.teacher.checkpoint, "float32")
    live = LiveTeacher(teacher)
    distiller = Distiller(student, prepared.settings.method, live, prepared.link)
    examples = prepared.texts.examples[:3]
    micro = make_micro_batch(examples, 0, distiller.objective, prepared.link, "cpu")
    micro = replace(micro, teacher_rows=live.rows(taught(examples)))
    labels = sum(each.rows for each in examples)
    found, _ = distiller(micro, Denominators(labels, len(micro.pairs)))
    expected, columns = torch.zeros(()), prepared.link.columns
    for each in examples:
        assert each.teacher is not None
        ours, theirs = each.student, each.teacher.example
        logits = student(torch.tensor([ours.ids[:-1]])).logits[0, ours.start - 1 :, :columns]
        other = teacher(torch.tensor([theirs.ids[:-1]])).logits[0, theirs.start - 1 :, :columns].detach()
        expected = expected + (1 - rate) * torch.nn.functional.cross_entropy(
            logits, torch.tensor(ours.ids[ours.start :]), reduction="sum"
        )
        for row, partner in each.aligned:
            p, q = ((side / 1.5).log_softmax(-1) for side in (other[partner], logits[row]))
            expected = expected + rate * (p.exp() * (p - q)).sum()
    assert 0 < len(micro.pairs) < labels
    assert found.item() == pytest.approx(expected.item() / labels, rel=1e-5)
    weight = student.get_input_embeddings().weight
    ours, by_hand = torch.autograd.grad(found, weight)[0], torch.autograd.grad(expected / labels, weight)[0]
    assert torch.allclose(ours, by_hand, atol=1e-6)


def test_memory_that_runs_out_is_one_line_and_a_smaller_part_goes_on_from_the_state(
    train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, plain = train("whole"), Distiller.forward

    def runs_out(self: Distiller, micro: Any, *asked: Any) -> Any:
        if len(micro.examples) > 2 and self.full:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return plain(self, micro, *asked)

    step = Trainer._step

    def later(self: Trainer, planned: Any, *rest: Any) -> None:
        self._distiller.full = planned.number == 5
        step(self, planned, *rest)

    monkeypatch.setattr(Distiller, "forward", runs_out)
    monkeypatch.setattr(Distiller, "full", False, raising=False)
    monkeypatch.setattr(Trainer, "_step", later)
    wanted = r"^out of memory at step 6 with 4 items at once: lower it by --micro-batch-size 2 .*, or "
    with pytest.raises(TelbenchError, match=wanted + r"--gradient-checkpointing.*the state of step 5 is kept"):
        train("cut", keeping={"save_every": 1})
    # What the machine has room for may change on the way; the steps are the same to rounding.
    changed = {"micro_batch_size": 2, "gradient_checkpointing": True, "threads": 2}
    resumed = train("cut", optimiser=changed, keeping={"save_every": 1})
    assert losses(resumed) == pytest.approx(losses(whole), rel=1e-4)
    assert not train("cut").made_now
    with pytest.raises(InputError, match="made by other settings"):
        train("cut", optimiser={"batch_size": 8})


def test_a_refused_training_leaves_no_folder_and_one_that_failed_later_keeps_its_state(
    train: Train, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="has no split"):
        train("refused", data={"dev_split": "nope"})
    with pytest.raises(TelbenchError, match="stopped at step"):
        train("diverged", optimiser={"learning_rate": 1e30})
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(TelbenchError, match="stopped at step"):
        train("later", optimiser={"learning_rate": 1e30}, keeping={"save_every": 1})
    assert [each.name for each in tmp_path.iterdir()] == ["later.training"]


def test_a_process_that_joins_a_training_has_random_numbers_of_its_own(tmp_path: Path) -> None:
    folder = tmp_path / "step-00000003"
    folder.mkdir()
    training_state.save_rng(folder, 0)
    drawn = []
    for rank in (1, 2, 1, 0):
        training_state.load_rng(folder, rank)
        drawn.append(float(torch.rand(())))
    assert drawn[0] == drawn[2] != drawn[1]
    assert drawn[3] not in drawn[:3]


def test_auto_finds_the_largest_part_and_changes_nothing_else(
    train: Train, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def two(run: Callable[[int], None], most: int, device: Any, held: int) -> int:
        assert most == 4
        assert held > 0
        run(1)
        run(4)
        return 2

    monkeypatch.setattr("telbench.kd.train.fitting.largest_that_fits", two)
    changes: dict[str, Any] = {"student": "other", "method": {"algorithm": "dskd_v2"}}
    by_hand = train("two", optimiser={"micro_batch_size": 2}, **changes)
    found = train("auto", optimiser={"micro_batch_size": "auto"}, **changes)
    assert "2 of 4 items go through at once" in capfd.readouterr().err
    assert weights(found) == weights(by_hand)
    assert found.origin.training["items_at_once"] == 2


def test_auto_on_this_machine_takes_all_of_a_small_step(train: Train) -> None:
    made = train(optimiser={"micro_batch_size": "auto"}, lora={"rank": 2, "dropout": 0.2})
    assert made.origin.training["items_at_once"] == 4
    assert weights(made) == weights(train("plain", lora={"rank": 2, "dropout": 0.2}))


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


@pytest.mark.parametrize("algorithm", ["vanilla_kd", "dskd", "gkd", "dskd_v2", "simple_ctkd"])
def test_a_part_in_which_no_row_has_a_partner_learns_from_its_labels(models: Path, base: Path, algorithm: str) -> None:
    from telbench.harness.engines.transformers import load_model
    from telbench.kd.losses.mixture import Pairs
    from telbench.kd.teacher.rows import LiveTeacher
    from telbench.kd.train.distiller import Denominators, make_micro_batch
    from telbench.kd.train.examples import taught
    from telbench.kd.train.prepare import identify, prepare
    from telbench.kd.train.writing import student_of

    prepared = prepare(identify(settings(models, student=str(base), method={"algorithm": algorithm})))
    assert prepared.teacher is not None
    live = LiveTeacher(load_model(prepared.teacher.checkpoint, "float32"))
    distiller = Distiller(student_of(prepared), prepared.settings.method, live, prepared.link)
    examples = prepared.texts.examples[:2]
    micro = make_micro_batch(examples, 0, distiller.objective, prepared.link, "cpu")
    none = torch.empty(0, dtype=torch.long)
    micro = replace(micro, teacher_rows=live.rows(taught(examples)), pairs=Pairs(none, none, micro.pairs.student_rows))
    labels = sum(each.rows for each in examples)
    gold, _ = distiller(micro, None, "cross_entropy")
    for own in (False, True) if algorithm == "gkd" else (False,):
        found, _ = distiller(replace(micro, own=own), Denominators(labels, 0))
        found.backward()
        expected = 0.0 if own else 0.5 * gold.item() / labels
        assert found.item() == pytest.approx(expected, rel=1e-2)
