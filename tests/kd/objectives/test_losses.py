"""What each record gives its loss (rows, ids, weights, mixture), whom it permits, and what it advises."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from telbench.errors import InputError
from telbench.kd.losses.chunked_head import Projected
from telbench.kd.losses.heads import Head
from telbench.kd.losses.mixture import Mixture, Pairs, SharedIds
from telbench.kd.objectives.contract import (
    DIFFERENT,
    ModelRows,
    Objective,
    Rates,
    Rows,
    Spaces,
    VocabularyFacts,
    objective_named,
)

CPU, WIDE, TOKENS = torch.device("cpu"), torch.float64, 13
ONE = VocabularyFacts(columns=17, shared_text=17)


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(7)


def side(counts: list[int], width: int, tokens: int) -> ModelRows:
    rows = sum(counts)
    hidden = torch.randn(rows, width, dtype=WIDE).requires_grad_()
    read, said = torch.randint(tokens, (2, rows))
    embedding = nn.Embedding(tokens, width, dtype=WIDE)
    head = Head(torch.randn(tokens, width, dtype=WIDE).requires_grad_())
    return ModelRows(Projected(hidden, head), counts, lambda: (read, said), lambda: embedding)


def micro_batch(**changes: Any) -> Rows:
    """Two items of three and two rows, one vocabulary; five answer tokens of ten in the step."""
    made = Rows(
        ours=side([3, 2], 4, TOKENS),
        taught=side([3, 2], 6, TOKENS),
        labels=torch.randint(TOKENS, (5,)),
        pairs=Pairs.all(5, CPU),
        one_vocabulary=True,
        shared=None,
        own=False,
        projectors=None,
        mixture=Mixture(rate=0.25, temperature=1.5),
        per_label=0.1,
        per_pair=0.2,
    )
    return replace(made, **changes)


def logits(side: ModelRows) -> Tensor:
    return side.rows.hidden @ side.rows.head.weight.T


def kl(teacher: Tensor, student: Tensor, temperature: float = 1.5) -> Tensor:
    p, q = ((values / temperature).softmax(-1) for values in (teacher, student))
    return (p * (p.log() - q.log())).sum(-1)


def gold(rows: Rows) -> Tensor:
    return cross_entropy(logits(rows.ours), rows.labels, reduction="sum")


def total(name: str, rows: Rows) -> float:
    return objective_named(name).loss(rows).total.item()


@pytest.mark.parametrize("name", ["sft", "seq_kd"])
def test_supervised_training_is_the_labels_cross_entropy_and_needs_no_teacher(name: str) -> None:
    rows = micro_batch(taught=None)
    assert total(name, rows) == pytest.approx(0.1 * gold(rows).item())


@pytest.mark.parametrize("name", ["vanilla_kd", "gkd"])
def test_vanilla_distillation_mixes_labels_and_teacher_and_drops_labels_of_the_students_own(name: str) -> None:
    rows = micro_batch()
    distance = kl(logits(rows.theirs), logits(rows.ours)).sum().item()
    assert total(name, rows) == pytest.approx(0.1 * (0.75 * gold(rows).item() + 0.25 * distance))
    assert total(name, replace(rows, own=True)) == pytest.approx(0.1 * distance)


@pytest.mark.parametrize("name", ["vanilla_kd", "gkd"])
@pytest.mark.parametrize("own", [False, True])
def test_ids_of_different_vocabularies_are_compared_on_rows_paired_by_index(name: str, own: bool) -> None:
    pairs = Pairs.of([0, 1, 3], [0, 1, 2], 5, CPU)
    rows = micro_batch(taught=side([2, 2], 6, TOKENS), pairs=pairs, one_vocabulary=False, own=own)
    distance = kl(logits(rows.theirs)[[0, 1, 2]], logits(rows.ours)[[0, 1, 3]]).sum().item()
    expected = 0.1 * distance if own else 0.1 * (0.75 * gold(rows).item() + 0.25 * distance)
    assert total(name, rows) == pytest.approx(expected)


def test_simple_ctkd_without_shared_ids_compares_all_of_one_vocabulary_on_the_aligned_rows() -> None:
    rows = micro_batch(pairs=Pairs.of([1, 4], [0, 3], 5, CPU))
    distance = kl(logits(rows.theirs)[[0, 3]], logits(rows.ours)[[1, 4]]).sum().item()
    assert total("simple_ctkd", rows) == pytest.approx(0.1 * 0.75 * gold(rows).item() + 0.2 * 0.25 * distance)


def test_simple_ctkd_compares_the_shared_ids_alone() -> None:
    shared = SharedIds(teacher=torch.tensor([2, 0, 7]), student=torch.tensor([1, 5, 12]))
    rows = micro_batch(shared=shared)
    distance = kl(logits(rows.theirs)[:, shared.teacher], logits(rows.ours)[:, shared.student]).sum().item()
    assert total("simple_ctkd", rows) == pytest.approx(0.1 * 0.75 * gold(rows).item() + 0.2 * 0.25 * distance)


def with_projectors(name: str, options: Any = None, **changes: Any) -> tuple[Objective, Rows]:
    objective, rows = objective_named(name), micro_batch(**changes)
    assert objective.projectors is not None
    spaces = Spaces(rows.student.head, rows.teacher.head, rows.shared, options)
    assert spaces.widths == (4, 6)
    return objective, replace(rows, projectors=objective.projectors(spaces).double(), options=options)


def test_dskd_projects_between_the_widths_of_the_two_models() -> None:
    objective, rows = with_projectors("dskd")
    t2s, s2t = rows.projectors.t2s, rows.projectors.s2t
    assert ((t2s.in_features, t2s.out_features), (s2t.in_features, s2t.out_features)) == ((6, 4), (4, 6))
    seen = t2s(rows.teacher.hidden) @ rows.student.head.weight.T
    back = s2t(rows.student.hidden) @ rows.teacher.head.weight.T
    distance = kl(seen, logits(rows.ours)).sum() + cross_entropy(seen, rows.labels, reduction="sum")
    distance = distance + kl(logits(rows.theirs), back).sum()
    expected = 0.1 * (0.75 * gold(rows) + 0.25 * distance).item()
    assert objective.loss(rows).total.item() == pytest.approx(expected)


@pytest.mark.parametrize("scale", ["item", "batch"])
def test_attention_gets_what_each_model_reads_and_says_item_by_item(scale: Any) -> None:
    from telbench.kd.losses.dual_space import Stream, dskd_cma, embedded

    options = objective_named("dskd_cma").options(attention_scale=scale)
    objective, rows = with_projectors("dskd_cma", options, taught=side([1, 5], 6, TOKENS))
    assert rows.projectors.scale == scale
    streams: list[Any] = []
    for each, items in ((rows.ours, [0, 0, 0, 1, 1]), (rows.theirs, [0, 1, 1, 1, 1, 1])):
        read, said = each.tokens()
        streams.append(Stream(each.rows, said, embedded(each.embedding(), read, said), torch.tensor(items)))
    ours, theirs = streams
    expected = dskd_cma(ours, theirs, rows.projectors, 0.1, rows.mixture).total.item()
    assert objective.loss(rows).total.item() == pytest.approx(expected)


@pytest.mark.parametrize("highest", [0.0, 1.0])
def test_dskd_v2_gets_the_steps_agreement_and_its_limit(highest: float) -> None:
    from telbench.kd.losses.dual_space_v2 import Aligned, agreement, dskd_v2

    options = objective_named("dskd_v2").options(highest_share=highest)
    shared = SharedIds(teacher=torch.tensor([2, 0, 7, 9, 4]), student=torch.tensor([1, 5, 12, 3, 4]))
    for each in (None, shared):
        objective, rows = with_projectors("dskd_v2", options, shared=each, share=0.4, per_shared=0.3)
        assert objective.share is not None
        aligned = Aligned(rows.pairs, rows.projectors.token_map)
        assert (aligned.token_map is None) == (each is None)
        expected = dskd_v2(
            rows.student, rows.teacher, rows.labels, rows.projectors, aligned, 0.1, rows.mixture,
            per_known=0.3, share=0.4, highest_share=highest,
        )  # fmt: skip
        assert objective.loss(rows).total.item() == pytest.approx(expected.total.item())
        # By hand: the likeliest token of the teacher in the student's ids, and of the projected teacher.
        theirs = logits(rows.theirs).argmax(-1).tolist()
        ids = (
            dict(zip(shared.teacher.tolist(), shared.student.tolist(), strict=True))
            if each
            else dict(enumerate(range(TOKENS)))
        )
        said = (rows.projectors(rows.teacher.hidden) @ rows.student.head.weight.T).argmax(-1).tolist()
        known = [token for token in theirs if token in ids]
        agreeing = sum(ids.get(token) == other for token, other in zip(theirs, said, strict=True))
        assert objective.share(rows) == (agreeing, len(known))
        assert agreement(rows.student.head, rows.teacher, rows.projectors, aligned) == (agreeing, len(known))


def test_uld_compares_sorted_probabilities_at_the_mixtures_temperature() -> None:
    from telbench.kd.losses.uld import UniversalLogit

    objective = objective_named("uld")
    assert (objective.temperature, objective.divergence, "divergence" in objective.reads) == (1.0, "uld", False)
    pairs = Pairs.of([0, 3], [0, 1], 5, CPU)
    mixture = Mixture(rate=0.25, divergence=UniversalLogit(), temperature=1.0)
    rows = micro_batch(taught=side([1, 1], 6, 17), pairs=pairs, one_vocabulary=False, mixture=mixture)
    p = logits(rows.theirs).softmax(-1).sort(descending=True).values
    q = logits(rows.ours)[[0, 3]].softmax(-1).sort(descending=True).values
    distance = (p[:, :TOKENS] - q).abs().sum() + p[:, TOKENS:].sum()
    assert objective.loss(rows).total.item() == pytest.approx(0.1 * (0.75 * gold(rows) + 0.25 * distance).item())


@pytest.mark.parametrize("name", ["vanilla_kd", "gkd"])
def test_different_ids_are_compared_only_where_the_user_wants_it(name: str) -> None:
    permits = objective_named(name).permits
    assert permits(ONE).allowed
    assert (
        permits(ONE).why == permits(replace(ONE, naive_id_kd=True)).why == "both heads are cut to their 17 shared ids"
    )
    assert not permits(DIFFERENT).allowed
    found = permits(replace(DIFFERENT, naive_id_kd=True))
    assert found.allowed
    assert "to replicate the literature (--naive-id-kd)" in found.why


@pytest.mark.parametrize("name", ["simple_ctkd", "dskd_v2"])
def test_few_aligned_tokens_are_told_of_from_half_down(name: str) -> None:
    permits = objective_named(name).permits
    assert permits(ONE).why == "tokens of the same text have the same ids"
    assert "but only" not in permits(DIFFERENT).why
    assert "but only" not in permits(replace(DIFFERENT, aligned_ratio=0.5)).why
    few = permits(replace(DIFFERENT, aligned_ratio=0.49))
    assert few.allowed
    assert few.why == "trains on exactly aligned tokens, but only 49% of the answer tokens are aligned"
    assert permits(replace(DIFFERENT, aligned_ratio=0.0, shared_text=0)).allowed is False
    assert permits(ONE).allowed
    assert permits(replace(ONE, shared_text=0)).allowed


@pytest.mark.parametrize("name", ["dskd", "dskd_cma"])
def test_a_projected_teacher_worse_than_its_student_is_told_of(name: str) -> None:
    advice, rates = objective_named(name).advice, Rates(student=1e-4, projectors=2e-3)
    assert advice is not None
    told = advice({"ce": 1.5, "t2s_ce": 1.75}, rates)
    assert told is not None
    assert "worse (1.750 nats) than the student itself (1.500)" in told
    assert "(now 0.002; the student's is 0.0001)" in told
    assert advice({"ce": 1.5, "t2s_ce": 1.5}, rates) is None
    assert advice({"ce": 1.5, "t2s_ce": 1.25}, rates) is None
    assert advice({"ce": 1.5}, rates) is None
    assert advice({"t2s_ce": 1.5}, rates) is None


def test_a_micro_batch_without_teacher_rows_says_so() -> None:
    with pytest.raises(ValueError, match="no teacher rows"):
        _ = micro_batch(taught=None).teacher


@pytest.mark.parametrize("name", ["gold", "gold_on_policy"])
@pytest.mark.parametrize("own", [False, True])
def test_gold_gets_what_both_say_its_runs_and_its_weights(name: str, own: bool) -> None:
    from telbench.kd.losses.gold import Shares, gold

    objective = objective_named(name)
    firsts = torch.tensor([0, 3]), torch.tensor([0, 2])
    pairs = Pairs(torch.tensor([2, 4]), torch.tensor([1, 4]), 5, firsts)
    shared = SharedIds(teacher=torch.tensor([2, 0, 7]), student=torch.tensor([1, 5, 12]))
    options = objective.options(matched_weight=2.0)
    rows = micro_batch(taught=side([2, 3], 6, 17), pairs=pairs, shared=shared, options=options, own=own)
    mixture = replace(rows.mixture, rate=1.0) if own else rows.mixture
    said = rows.labels, rows.theirs.tokens()[1]
    expected = gold(rows.student, rows.teacher, said, pairs, shared, 0.1, 0.2, mixture, Shares(2.0, None))
    assert objective.loss(rows).total.item() == pytest.approx(expected.total.item())
    assert expected.sums["matched"].item() != 0
    with pytest.raises(InputError, match="matched_weight is -1"):
        objective.options(matched_weight=-1.0)


@pytest.mark.parametrize("own", [False, True])
def test_distillm2_is_skewed_towards_each_sides_own_answers(own: bool) -> None:
    objective = objective_named("distillm2")
    rows = micro_batch(own=own, options=objective.options(skew=0.2))
    p, q = ((logits(each) / 1.5).softmax(-1) for each in (rows.theirs, rows.ours))
    first, second = (q, p) if own else (p, q)
    distance = (first * (first.log() - (0.2 * first + 0.8 * second).log())).sum()
    expected = 0.1 * distance if own else 0.1 * (0.75 * gold(rows) + 0.25 * distance)
    assert objective.loss(rows).total.item() == pytest.approx(expected.item())


def test_alm_compares_the_likelihoods_of_runs() -> None:
    from telbench.kd.losses.alm import alm

    objective = objective_named("alm")
    pairs = Pairs(torch.tensor([2, 4]), torch.tensor([1, 4]), 5, (torch.tensor([0, 3]), torch.tensor([0, 2])))
    rows = micro_batch(taught=side([2, 3], 6, 17), pairs=pairs, options=objective.options(tau=3.0))
    said = rows.labels, rows.theirs.tokens()[1]
    expected = alm(rows.student, rows.teacher, said, pairs, 0.1, 0.2, rows.mixture, 3.0)
    assert objective.loss(rows).total.item() == pytest.approx(expected.total.item())
    with pytest.raises(InputError, match="tau is 0"):
        objective.options(tau=0.0)


MIX = {"kd_rate", "divergence", "temperature", "t2_scale"}
READS = {
    "dskd": {*MIX, "projector_learning_rate"},
    "dskd_cma": {*MIX, "projector_learning_rate", "attention_scale"},
    "dskd_v2": {*MIX, "projector_learning_rate", "highest_share"},
    "alm": {"kd_rate"},
    "distillm2": {*(MIX - {"divergence"}), "student_share", "sampling_temperature", "max_new_tokens"},
    "gold": MIX,
    "gold_on_policy": {*MIX, "student_share", "sampling_temperature", "max_new_tokens"},
    "gkd": {*MIX, "naive_id_kd", "student_share", "sampling_temperature", "max_new_tokens"},
    "seq_kd": {"max_new_tokens"},
    "sft": set(),
    "simple_ctkd": MIX,
    "uld": MIX - {"divergence"},
    "vanilla_kd": {*MIX, "naive_id_kd"},
}


@pytest.mark.parametrize("name", READS)
def test_an_algorithm_reads_these_settings_and_only_three_make_up_answers(name: str) -> None:
    objective = objective_named(name)
    assert objective.reads == READS[name]
    assert objective.on_policy == (name in {"distillm2", "gkd", "gold_on_policy"})
    assert objective.temperature == (1.0 if name in {"alm", "distillm2", "uld", "gold", "gold_on_policy"} else 2.0)


def test_projectors_learn_at_the_rates_of_their_papers() -> None:
    rates = {name: objective_named(name).projector_rate for name in ("dskd", "dskd_cma", "dskd_v2", "vanilla_kd")}
    assert rates == {"dskd": 1e-3, "dskd_cma": 1e-3, "dskd_v2": 5e-4, "vanilla_kd": None}
