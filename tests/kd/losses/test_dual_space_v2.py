"""Version 2: the projector changes no logit at first, only aligned and agreeing rows count, each term moves its own."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from telbench.kd.losses import dual_space_v2
from telbench.kd.losses.chunked_head import Projected
from telbench.kd.losses.dual_space_v2 import Aligned, LogitIdentity, agreement, dskd_v2, token_map
from telbench.kd.losses.heads import Head
from telbench.kd.losses.mixture import Loss, Mixture, Pairs, SharedIds

from .gradient_routing import passes, reached

CPU = torch.device("cpu")
STUDENT, TEACHER, WIDE = 5, 4, torch.float64


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(12)


def model(rows: int, width: int, tokens: int) -> Projected:
    hidden = torch.randn(rows, width, dtype=WIDE).requires_grad_()
    return Projected(hidden, Head(torch.randn(tokens, width, dtype=WIDE).requires_grad_()))


def kl(teacher: Tensor, student: Tensor) -> Tensor:
    p, q = ((logits / 2).softmax(-1) for logits in (teacher, student))
    return (p * (p.log() - q.log())).sum(-1)


def test_the_projector_is_that_of_the_pseudo_inverse() -> None:
    student, teacher = model(3, STUDENT, 17).head, model(3, TEACHER, 17).head
    projector = LogitIdentity(student, teacher)
    w_s, w_t = student.weight.detach(), teacher.weight.detach()
    assert torch.allclose(projector.t2s, w_t.T @ torch.linalg.pinv(w_s.T))
    assert torch.allclose(projector.s2t(student, teacher), w_s.T @ torch.linalg.pinv(w_t.T))


def test_a_wide_enough_student_sees_the_teachers_own_logits_at_first() -> None:
    # The teacher's logits lie in the span of the student's head when both heads are that of few tokens.
    student, teacher = model(3, 9, 6).head, model(3, 12, 6)
    projector = LogitIdentity(student, teacher.head)
    seen = projector(teacher.hidden) @ student.weight.T
    assert torch.allclose(seen, teacher.hidden @ teacher.head.weight.T)


def test_scales_of_the_logits_are_part_of_the_identity() -> None:
    weight = torch.randn(6, 9, dtype=WIDE)
    student, teacher = Head(weight, scale=0.5), Head(torch.randn(6, 12, dtype=WIDE), scale=3.0)
    hidden = torch.randn(2, 12, dtype=WIDE)
    seen = student.logits(LogitIdentity(student, teacher)(hidden))
    assert torch.allclose(seen, teacher.logits(hidden))


def test_different_vocabularies_are_identified_over_their_shared_tokens() -> None:
    student, teacher = model(3, STUDENT, 17).head, model(3, TEACHER, 23).head
    shared = SharedIds(teacher=torch.randperm(23)[:12], student=torch.randperm(17)[:12])
    projector = LogitIdentity(student, teacher, shared)
    w_s, w_t = student.weight.detach()[shared.student], teacher.weight.detach()[shared.teacher]
    assert torch.allclose(projector.t2s, w_t.T @ torch.linalg.pinv(w_s.T))
    assert torch.allclose(projector.s2t(student, teacher), w_s.T @ torch.linalg.pinv(w_t.T))


def test_the_way_back_follows_the_students_head_and_is_not_trained() -> None:
    student, teacher = model(3, STUDENT, 17).head, model(3, TEACHER, 17).head
    projector = LogitIdentity(student, teacher)
    before = projector.s2t(student, teacher)
    with torch.no_grad():
        student.weight.mul_(2)
    assert torch.allclose(projector.s2t(student, teacher), 2 * before)
    assert not before.requires_grad
    assert [name for name, _ in projector.named_parameters()] == ["t2s"]
    assert list(projector.state_dict()) == ["t2s"]


class Crossed:
    """Two vocabularies, six and seven rows, four of them aligned; the student lacks some of the teacher's tokens."""

    def __init__(self) -> None:
        self.student, self.teacher = model(6, STUDENT, 17), model(7, TEACHER, 23)
        self.labels = torch.randint(17, (6,))
        self.shared = SharedIds(teacher=torch.arange(16), student=torch.randperm(17)[:16])
        self.ours, self.theirs = [0, 2, 3, 5], [1, 2, 4, 6]
        self.aligned = Aligned(Pairs.of(self.ours, self.theirs, 6, CPU), token_map(self.shared, 23))
        self.projector = LogitIdentity(self.student.head, self.teacher.head, self.shared)
        with torch.no_grad():
            # The third aligned row's likeliest token is one that the student does not have.
            self.teacher.hidden[4] = 9 * self.teacher.head.weight[20]

    def loss(self, **options: Any) -> Loss:
        return dskd_v2(self.student, self.teacher, self.labels, self.projector, self.aligned, 1 / 6, **options)

    def parts(self) -> tuple[dict[str, Tensor], Tensor, Tensor]:
        """The terms by hand, rows known, rows agreeing."""
        w_s, w_t = self.student.head.weight, self.teacher.head.weight.detach()
        taught = self.teacher.hidden.detach()[self.theirs]
        z_s, z_t = self.student.hidden @ w_s.T, taught @ w_t.T
        wanted = self.aligned.token_map
        assert wanted is not None
        said = wanted[z_t.argmax(-1)]
        known = said >= 0
        z_ts = taught @ self.projector.t2s @ w_s.detach().T
        agree = (z_ts.argmax(-1) == said) & known
        over = [w_s.detach()[self.shared.student], w_t[self.shared.teacher]]
        z_st = self.student.hidden[self.ours] @ (over[0].T @ torch.linalg.pinv(over[1].T)) @ w_t.T
        terms = {
            "ce": cross_entropy(z_s, self.labels),
            "t2s_kd": kl(z_ts.detach(), z_s[self.ours]),
            "t2s_ce": cross_entropy(z_ts[known], said[known], reduction="sum") / 3,
            "s2t": kl(z_t, z_st)[known].sum() / 3,
        }
        return terms, known, agree

    def tensors(self) -> dict[str, Tensor]:
        return {
            "body": self.student.hidden,
            "head": self.student.head.weight,
            "teacher": self.teacher.hidden,
            "teacher head": self.teacher.head.weight,
            "t2s": self.projector.t2s,
        }


def test_the_case_has_rows_of_every_kind() -> None:
    case = Crossed()
    _, known, agree = case.parts()
    assert known.tolist() == [True, True, False, True]
    assert 0 < int(agree.sum()) < int(known.sum())
    assert agreement(case.student.head, case.teacher, case.projector, case.aligned) == (int(agree.sum()), 3)


def test_the_loss_is_its_terms_over_aligned_rows_with_t2s_kd_averaged_over_those_that_agree() -> None:
    case = Crossed()
    terms, _, agree = case.parts()
    distil = terms["t2s_kd"][agree].mean() + terms["t2s_ce"] + terms["s2t"]
    expected = 0.5 * terms["ce"] + 0.5 * distil
    found = case.loss()
    assert found.total.item() == pytest.approx(expected.item())
    trained = [case.student.hidden, case.student.head.weight, case.projector.t2s]
    for one, other in zip(
        torch.autograd.grad(found.total, trained), torch.autograd.grad(expected, trained), strict=True
    ):
        assert torch.allclose(one, other)


def test_above_the_highest_share_every_row_with_a_likeliest_token_counts() -> None:
    case = Crossed()
    terms, known, _ = case.parts()
    expected = 0.5 * terms["ce"] + 0.5 * (terms["t2s_kd"][known].mean() + terms["t2s_ce"] + terms["s2t"])
    assert case.loss(highest_share=0.0).total.item() == pytest.approx(expected.item())
    # A share that is the highest one is not above it.
    both = [case.loss(share=0.5, highest_share=highest).total.item() for highest in (0.5, 0.499, 1.0, 0.0)]
    assert both[0] == both[2] != both[1] == both[3]


@pytest.mark.parametrize(
    ("given", "rate", "moved"),
    [
        ("labels and target", 0.0, {"body", "head"}),
        ("labels and target", 1.0, {"body", "head"}),
        ("labels", 0.5, {"t2s"}),
        ("target", 0.5, {"body"}),
    ],
    ids=["ce", "t2s_kd", "t2s_ce", "s2t"],
)
def test_each_term_moves_exactly_what_it_should(
    given: str, rate: float, moved: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    case = Crossed()
    made = passes(dual_space_v2, lambda: case.loss(mixture=Mixture(rate=rate)), monkeypatch)
    assert reached(made[given], case.tensors()) == moved


def test_the_whole_steps_share_makes_the_split_into_micro_batches_irrelevant() -> None:
    student, teacher, labels = model(6, STUDENT, 17), model(6, TEACHER, 17), torch.randint(17, (6,))
    projector = LogitIdentity(student.head, teacher.head)
    every = Aligned(Pairs.all(6, CPU))
    agreeing, known = agreement(student.head, teacher, projector, every)
    whole = dskd_v2(student, teacher, labels, projector, every, 1 / 6).total
    total = torch.zeros((), dtype=WIDE)
    for rows in (slice(0, 2), slice(2, 6)):
        ours, theirs = (Projected(side.hidden[rows], side.head) for side in (student, teacher))
        count = rows.stop - rows.start
        total = (
            total
            + dskd_v2(
                ours,
                theirs,
                labels[rows],
                projector,
                Aligned(Pairs.all(count, CPU)),
                1 / 6,
                per_known=1 / known,
                share=agreeing / known,
            ).total
        )
    assert torch.allclose(total, whole)


def test_a_split_step_divides_by_the_known_rows_of_all_its_parts() -> None:
    case = Crossed()
    whole = case.loss().total
    agreeing, known = agreement(case.student.head, case.teacher, case.projector, case.aligned)
    total = torch.zeros((), dtype=WIDE)
    # Of the first part's two aligned rows both are known, of the second's one.
    for ours, theirs, pairs in ((slice(0, 3), slice(0, 3), [0, 1]), (slice(3, 6), slice(3, 7), [2, 3])):
        student, teacher = (
            Projected(side.hidden[rows], side.head) for side, rows in ((case.student, ours), (case.teacher, theirs))
        )
        rows = [[place - part.start for place in places] for part, places in (
            (ours, [case.ours[k] for k in pairs]), (theirs, [case.theirs[k] for k in pairs]))]  # fmt: skip
        aligned = Aligned(Pairs.of(rows[0], rows[1], 3, CPU), case.aligned.token_map)
        total = (
            total
            + dskd_v2(
                student,
                teacher,
                case.labels[ours],
                case.projector,
                aligned,
                1 / 6,
                per_known=1 / known,
                share=agreeing / known,
            ).total
        )
    assert torch.allclose(total, whole)


def test_the_students_first_token_is_a_token_like_any_other() -> None:
    teacher = model(3, TEACHER, 6)
    with torch.no_grad():
        teacher.hidden.copy_(
            9 * torch.linalg.lstsq(teacher.head.weight, torch.eye(6, dtype=WIDE)[:, [4, 1, 2]]).solution.T
        )
        said = (teacher.hidden @ teacher.head.weight.T).argmax(-1)
    shared = SharedIds(teacher=said[:1], student=torch.tensor([0]))
    mapped, known = Aligned(Pairs.all(3, CPU), token_map(shared, 6)).likeliest(teacher)
    assert mapped[0] == 0
    assert known.tolist() == (said == said[0]).tolist()


def test_a_token_that_the_student_lacks_is_mapped_to_minus_one() -> None:
    shared = SharedIds(teacher=torch.tensor([3, 0]), student=torch.tensor([7, 2]))
    assert token_map(shared, 5).tolist() == [2, -1, -1, 7, -1]


def test_the_record_counts_the_rows_of_each_term() -> None:
    case = Crossed()
    terms, known, agree = case.parts()
    sums = case.loss().sums
    assert sums["t2s_kd"].item() == pytest.approx(terms["t2s_kd"][agree].sum().item())
    assert (sums["known"].item(), sums["t2s_agreeing"].item()) == (int(known.sum()), int(agree.sum()))
    assert sums["t2s_ce"].item() == pytest.approx(3 * terms["t2s_ce"].item())
    assert sums["s2t"].item() == pytest.approx(3 * terms["s2t"].item())
    assert sums["ce"].item() == pytest.approx(6 * terms["ce"].item())


def test_without_an_agreeing_row_the_loss_is_finite() -> None:
    student, teacher = model(1, STUDENT, 17), model(1, TEACHER, 17)
    projector = LogitIdentity(student.head, teacher.head)
    with torch.no_grad():
        projector.t2s.neg_()
    loss = dskd_v2(student, teacher, torch.tensor([3]), projector, Aligned(Pairs.all(1, CPU)), 1.0)
    assert loss.sums["t2s_agreeing"].item() == 0
    assert loss.total.isfinite()


def test_without_any_row_whose_likeliest_token_the_student_has_the_labels_alone_teach() -> None:
    student, teacher = model(2, STUDENT, 17), model(2, TEACHER, 17)
    projector = LogitIdentity(student.head, teacher.head)
    aligned = Aligned(Pairs.all(2, CPU), torch.full((17,), -1))
    labels = torch.tensor([3, 5])
    loss = dskd_v2(student, teacher, labels, projector, aligned, 0.5)
    assert loss.sums["known"].item() == 0
    assert loss.total.item() == pytest.approx(
        0.5 * cross_entropy(student.hidden @ student.head.weight.T, labels).item()
    )


def test_a_model_that_teaches_itself_loses_nothing_by_it() -> None:
    student = model(5, STUDENT, 17)
    projector = LogitIdentity(student.head, student.head)
    loss = dskd_v2(
        student,
        student,
        torch.randint(17, (5,)),
        projector,
        Aligned(Pairs.all(5, CPU)),
        0.2,
        Mixture(rate=1.0),
    )
    assert loss.sums["t2s_agreeing"].item() == 5
    assert loss.sums["t2s_kd"].item() == pytest.approx(0, abs=1e-12)
    assert loss.sums["s2t"].item() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("agreeing", [1, 2])
def test_the_share_of_one_call_is_that_of_its_agreeing_among_its_known_rows(agreeing: int) -> None:
    # Of two rows the first alone has its likeliest token in the student's vocabulary, or both have.
    student = model(2, STUDENT, 17)
    projector = LogitIdentity(student.head, student.head)
    said = (student.hidden @ student.head.weight.T).argmax(-1)
    assert said[0] != said[1]
    known = torch.arange(17)
    if agreeing == 1:
        known[said[1]] = -1
    aligned = Aligned(Pairs.all(2, CPU), known)
    assert agreement(student.head, student, projector, aligned) == (agreeing, agreeing)
    left, one, half = (
        dskd_v2(model_of_zeros(student), student, said, projector, aligned, 0.5, share=share).total.item()
        for share in (None, 1.0, 0.5)
    )
    assert left == pytest.approx(one)
    assert left != pytest.approx(half)


def model_of_zeros(like: Projected) -> Projected:
    """A student that holds all tokens equally likely, so that it has something to learn."""
    return Projected(torch.zeros_like(like.hidden), like.head)
