"""An instruct teacher and a base student of its family: other renderings, rows without a partner."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from telbench.kd.train.distiller import Distiller

from .trainings import Train, losses, settings


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
