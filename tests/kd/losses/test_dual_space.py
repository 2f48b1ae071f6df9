"""Dual-space losses against dense definitions, and which term moves which weights."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from telbench.errors import InputError
from telbench.kd.losses import dual_space
from telbench.kd.losses.chunked_head import Projected
from telbench.kd.losses.dual_space import CrossModelAttention, LinearProjectors, Scale, Stream, dskd, dskd_cma, embedded
from telbench.kd.losses.heads import Head
from telbench.kd.losses.mixture import Loss, Mixture

from .gradient_routing import passes, reached

STUDENT, TEACHER = 5, 8
WIDE = torch.float64


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(4)


def model(rows: int, width: int, tokens: int) -> Projected:
    hidden = torch.randn(rows, width, dtype=WIDE).requires_grad_()
    return Projected(hidden, Head(torch.randn(tokens, width, dtype=WIDE).requires_grad_()))


def kl(teacher: Tensor, student: Tensor, temperature: float = 2.0) -> Tensor:
    p, q = ((logits / temperature).softmax(-1) for logits in (teacher, student))
    return (p * (p.log() - q.log())).sum(-1)


class OneVocabulary:
    """Two models, projectors, labels."""

    def __init__(self) -> None:
        self.student, self.teacher = model(6, STUDENT, 17), model(6, TEACHER, 17)
        self.labels = torch.randint(17, (6,))
        self.projectors = LinearProjectors(STUDENT, TEACHER).double()

    def loss(self, mixture: Mixture | None = None) -> Loss:
        return dskd(self.student, self.teacher, self.labels, self.projectors, 1 / 6, mixture)

    def terms(self) -> dict[str, Tensor]:
        """The four terms written out, each with its own gradient."""
        student, teacher = self.student.head.weight, self.teacher.head.weight.detach()
        z_s, z_t = self.student.hidden @ student.T, self.teacher.hidden.detach() @ teacher.T
        z_ts = self.projectors.t2s(self.teacher.hidden.detach()) @ student.detach().T
        z_st = self.projectors.s2t(self.student.hidden) @ teacher.T
        return {
            "ce": cross_entropy(z_s, self.labels),
            "t2s_kd": kl(z_ts.detach(), z_s).mean(),
            "t2s_ce": cross_entropy(z_ts, self.labels),
            "s2t": kl(z_t, z_st).mean(),
        }

    def tensors(self) -> dict[str, Tensor]:
        return {
            "body": self.student.hidden,
            "head": self.student.head.weight,
            "teacher": self.teacher.hidden,
            "teacher head": self.teacher.head.weight,
            "t2s": self.projectors.t2s.weight,
            "s2t": self.projectors.s2t.weight,
        }


def test_the_loss_of_one_vocabulary_and_its_gradients_are_those_of_the_four_terms() -> None:
    case = OneVocabulary()
    terms = case.terms()
    expected = 0.5 * terms["ce"] + 0.5 * (terms["t2s_kd"] + terms["t2s_ce"] + terms["s2t"])
    found = case.loss()
    assert found.total.item() == pytest.approx(expected.item())
    for name, term in terms.items():
        assert found.sums[name].item() == pytest.approx(6 * term.item())
    trained = [case.student.hidden, case.student.head.weight, *case.projectors.parameters()]
    ours, theirs = (torch.autograd.grad(total, trained) for total in (found.total, expected))
    for one, other in zip(ours, theirs, strict=True):
        assert torch.allclose(one, other)


# The rate leaves one of the two terms that share a pass: 0 the labels', 1 the teacher's.
@pytest.mark.parametrize(
    ("given", "rate", "moved"),
    [
        ("labels and target", 0.0, {"body", "head"}),
        ("labels and target", 1.0, {"body", "head"}),
        ("labels", 0.5, {"t2s"}),
        ("target", 0.5, {"body", "s2t"}),
    ],
    ids=["ce", "t2s_kd", "t2s_ce", "s2t"],
)
def test_each_term_of_one_vocabulary_moves_exactly_what_it_should(
    given: str, rate: float, moved: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    case = OneVocabulary()
    made = passes(dual_space, lambda: case.loss(Mixture(rate=rate)), monkeypatch)
    assert reached(made[given], case.tensors()) == moved


class TwoVocabularies:
    """Two items: three and two rows of the student, two and four of the teacher."""

    def __init__(self, scale: Scale = "item") -> None:
        ours, theirs = nn.Embedding(17, STUDENT, dtype=WIDE), nn.Embedding(23, TEACHER, dtype=WIDE)
        self.student = self._stream(ours, 17, [0, 0, 0, 1, 1])
        self.teacher = self._stream(theirs, 23, [0, 0, 1, 1, 1, 1])
        self.embeddings = ours, theirs
        self.attention = CrossModelAttention(STUDENT, TEACHER, scale).double()

    @staticmethod
    def _stream(embedding: nn.Embedding, tokens: int, items: list[int]) -> Stream:
        inputs, labels = torch.randint(tokens, (2, len(items)))
        rows = model(len(items), embedding.embedding_dim, tokens)
        return Stream(rows, labels, embedded(embedding, inputs, labels), torch.tensor(items))

    def loss(self, mixture: Mixture | None = None) -> Loss:
        return dskd_cma(self.student, self.teacher, self.attention, 1 / 5, mixture)

    def tensors(self) -> dict[str, Tensor]:
        return {
            "body": self.student.rows.hidden,
            "head": self.student.rows.head.weight,
            "teacher": self.teacher.rows.hidden,
            "teacher head": self.teacher.rows.head.weight,
            "embedding": self.embeddings[0].weight,
            "teacher embedding": self.embeddings[1].weight,
            "t2s": self.attention.t2s.weight,
            "s2t": self.attention.s2t.weight,
            "query": self.attention.query.weight,
        }


@pytest.mark.parametrize(
    ("given", "rate", "moved"),
    [
        ("labels and target", 0.0, {"body", "head"}),
        ("labels and target", 1.0, {"body", "head"}),
        ("labels", 0.5, {"t2s", "query"}),
        ("target", 0.5, {"body", "s2t", "query"}),
    ],
    ids=["ce", "t2s_kd", "t2s_ce", "s2t"],
)
def test_each_term_of_cross_model_attention_moves_exactly_what_it_should(
    given: str, rate: float, moved: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    case = TwoVocabularies()
    everywhere_right(case)
    made = passes(dual_space, lambda: case.loss(Mixture(rate=rate)), monkeypatch)
    assert reached(made[given], case.tensors()) == moved


def everywhere_right(case: TwoVocabularies) -> None:
    """Make the projected teacher's likeliest tokens the labels, so that t2s_kd counts every row."""
    t2s, _ = case.attention(case.student, case.teacher)
    case.student.labels.copy_((t2s @ case.student.rows.head.weight.T).argmax(-1))


def test_cross_model_attention_is_the_formula_item_by_item() -> None:
    case = TwoVocabularies()
    attention = case.attention
    t2s, s2t = attention(case.student, case.teacher)
    for item in (0, 1):
        ours, theirs = (stream.items == item for stream in (case.student, case.teacher))
        e_s, e_t = case.student.embeddings[ours], case.teacher.embeddings[theirs]
        h_t, said = case.teacher.rows.hidden[theirs], e_t[:, TEACHER:]
        scores = attention.query(e_s) @ (e_t / e_t.std()).T / math.sqrt(2 * TEACHER)
        expected = scores.softmax(-1) @ attention.t2s(h_t / h_t.std() + said / said.std())
        assert torch.allclose(t2s[ours], expected)
        back = scores.T.softmax(-1) @ attention.s2t(case.student.rows.hidden[ours])
        assert torch.allclose(s2t[theirs], back)


def test_scaling_by_batch_takes_one_deviation_over_all_rows() -> None:
    case = TwoVocabularies("batch")
    ours = case.student.items == 0
    theirs = case.teacher.items == 0
    e_t, h_t = case.teacher.embeddings, case.teacher.rows.hidden
    said = e_t[:, TEACHER:]
    scores = case.attention.query(case.student.embeddings[ours]) @ (e_t / e_t.std())[theirs].T / math.sqrt(2 * TEACHER)
    values = case.attention.t2s((h_t / h_t.std() + said / said.std())[theirs])
    assert torch.allclose(case.attention(case.student, case.teacher)[0][ours], scores.softmax(-1) @ values)


def test_the_loss_counts_t2s_kd_where_the_projected_teacher_is_right_and_divides_by_the_students_tokens() -> None:
    case = TwoVocabularies()
    everywhere_right(case)
    case.student.labels[1] = (case.student.labels[1] + 1) % 17
    t2s, s2t = case.attention(case.student, case.teacher)
    student, teacher = case.student.rows, case.teacher.rows
    z_s, z_ts = student.hidden @ student.head.weight.T, t2s @ student.head.weight.T
    right = torch.tensor([1.0, 0.0, 1.0, 1.0, 1.0])
    expected = 0.5 * cross_entropy(z_s, case.student.labels, reduction="sum")
    expected += 0.5 * (kl(z_ts, z_s) * right).sum()
    expected += 0.5 * cross_entropy(z_ts, case.student.labels, reduction="sum")
    expected += 0.5 * kl(teacher.hidden @ teacher.head.weight.T, s2t @ teacher.head.weight.T).sum()
    found = case.loss()
    assert found.total.item() == pytest.approx(expected.item() / 5)
    assert found.sums["t2s_right"].item() == 4
    assert found.sums["t2s_kd"].item() == pytest.approx((kl(z_ts, z_s) * right).sum().item())
    assert found.sums["ce"].item() == pytest.approx(5 * cross_entropy(z_s, case.student.labels).item())


def part(stream: Stream, item: int) -> Stream:
    chosen = stream.items == item
    rows = Projected(stream.rows.hidden[chosen], stream.rows.head)
    return Stream(rows, stream.labels[chosen], stream.embeddings[chosen], stream.items[chosen])


def test_splitting_items_into_micro_batches_does_not_change_loss_or_gradients() -> None:
    case = TwoVocabularies()
    whole = case.loss().total
    pieces = [dskd_cma(part(case.student, item), part(case.teacher, item), case.attention, 1 / 5) for item in (0, 1)]
    split = pieces[0].total + pieces[1].total
    trained = [case.student.rows.hidden, case.student.rows.head.weight, *case.attention.parameters()]
    assert torch.allclose(whole, split)
    for one, other in zip(torch.autograd.grad(whole, trained), torch.autograd.grad(split, trained), strict=True):
        assert torch.allclose(one, other)


def test_what_attention_cannot_pair_is_refused() -> None:
    case = TwoVocabularies()
    with pytest.raises(InputError, match="rows in one vocabulary only"):
        dskd_cma(case.student, part(case.teacher, 1), case.attention, 1.0)
    with pytest.raises(InputError, match="rows in one vocabulary only"):
        dskd_cma(part(case.student, 0), case.teacher, case.attention, 1.0)
    narrow = Stream(case.teacher.rows, case.teacher.labels, case.teacher.embeddings[:, :6], case.teacher.items)
    with pytest.raises(InputError, match="3 wide"):
        dskd_cma(case.student, narrow, case.attention, 1.0)


def test_attention_keeps_its_precision_under_autocast() -> None:
    case = TwoVocabularies()

    def single(stream: Stream) -> Stream:
        rows = Projected(stream.rows.hidden.float(), Head(stream.rows.head.weight.float()))
        return Stream(rows, stream.labels, stream.embeddings.float(), stream.items)

    expected = case.attention(case.student, case.teacher)
    narrow = case.attention.float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = narrow(single(case.student), single(case.teacher))
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == torch.float32
        assert torch.allclose(one.double(), other, atol=1e-5)
