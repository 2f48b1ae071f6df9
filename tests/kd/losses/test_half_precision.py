"""Every algorithm in half precision is that of float32, with heads whose singular values decay as real ones' do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from telbench.kd.losses import dual_space_v2, heads
from telbench.kd.losses.chunked_head import Labels as GoldLabels
from telbench.kd.losses.chunked_head import Projected, chunked_loss, likeliest
from telbench.kd.losses.dual_space import CrossModelAttention, LinearProjectors, Stream, dskd, dskd_cma
from telbench.kd.losses.dual_space_v2 import Aligned, Computed, LogitIdentity, agreement, dskd_v2, token_map
from telbench.kd.losses.heads import Head
from telbench.kd.losses.mixture import Loss, Pairs, SharedIds
from telbench.kd.losses.token_kd import simple_ctkd, supervised, uld_kd, vanilla_kd

CPU = torch.device("cpu")
STUDENT, TEACHER, OURS, THEIRS, ROWS = 96, 128, 700, 900, 64
MODELS = Path.home() / ".cache" / "telbench-models"


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(7)


def decaying(tokens: int, width: int, power: float = 1.5) -> Tensor:
    """A head whose singular values fall as a power of 1/k, in no axis' direction."""
    values = torch.randn(tokens, width) / torch.arange(1, width + 1) ** power
    values = values @ torch.linalg.qr(torch.randn(width, width))[0]
    return values * (0.1 / values.std())


class Case:
    """A student in float32 and a teacher in bfloat16, with one vocabulary or two; every third row is unaligned."""

    def __init__(self, *, one: bool) -> None:
        theirs = OURS if one else THEIRS
        # Numbers that bfloat16 holds, so that float32 has the same teacher.
        self.taught = (2 * torch.randn(ROWS, TEACHER)).bfloat16()
        self.teacher_weight = decaying(theirs, TEACHER).bfloat16()
        self.hidden, self.weight = 2 * torch.randn(ROWS, STUDENT), decaying(OURS, STUDENT)
        self.labels = torch.randint(OURS, (ROWS,))
        self.embedded = torch.randn(ROWS, 2 * STUDENT), torch.randn(ROWS, 2 * TEACHER)
        self.items = torch.arange(ROWS) // 8
        self.shared = SharedIds(torch.randperm(theirs)[:600], torch.randperm(OURS)[:600])
        rows = [row for row in range(ROWS) if row % 3]
        self.pairs = Pairs.all(ROWS, CPU) if one else Pairs.of(rows, rows, ROWS, CPU)
        self.linear = LinearProjectors(STUDENT, TEACHER)
        self.attention = CrossModelAttention(STUDENT, TEACHER)
        heads = Head(self.weight), Head(self.teacher_weight)
        self.identity = LogitIdentity(*heads, None if one else self.shared)
        self.aligned = Aligned(self.pairs, None if one else token_map(self.shared, theirs))

    def rows(self) -> tuple[Projected, Projected]:
        student = Projected(self.hidden.detach().requires_grad_(), Head(self.weight.detach().requires_grad_()))
        return student, Projected(self.taught, Head(self.teacher_weight))


Way = Callable[[Case, Projected, Projected], Loss]
PER = 1 / ROWS
WAYS: dict[str, tuple[bool, Way, str]] = {
    "sft": (True, lambda case, mine, theirs: supervised(mine, case.labels, PER), ""),
    "vanilla_kd": (True, lambda case, mine, theirs: vanilla_kd(mine, theirs, case.labels, PER), ""),
    "uld": (False, lambda case, mine, theirs: uld_kd(mine, theirs, case.labels, case.pairs, PER), ""),
    "simple_ctkd": (
        False,
        lambda case, mine, theirs: simple_ctkd(mine, theirs, case.labels, case.pairs, case.shared, PER, PER),
        "",
    ),
    "dskd": (True, lambda case, mine, theirs: dskd(mine, theirs, case.labels, case.linear, PER), "linear"),
    "dskd_cma": (
        False,
        lambda case, mine, theirs: dskd_cma(
            Stream(mine, case.labels, case.embedded[0], case.items),
            Stream(theirs, case.labels, case.embedded[1], case.items),
            case.attention,
            PER,
        ),
        "attention",
    ),
    "dskd_v2": (
        True,
        lambda case, mine, theirs: dskd_v2(mine, theirs, case.labels, case.identity, case.aligned, PER),
        "identity",
    ),
    "dskd_v2 between vocabularies": (
        False,
        lambda case, mine, theirs: dskd_v2(mine, theirs, case.labels, case.identity, case.aligned, PER),
        "identity",
    ),
}


def apart(one: Tensor, other: Tensor) -> float:
    found, exact = one.detach().double(), other.detach().double()
    return float((found - exact).norm() / exact.norm().clamp_min(1e-9))


def both(name: str) -> tuple[tuple[Loss, list[Tensor]], tuple[Loss, list[Tensor]]]:
    """Loss and gradients of rows, head and projectors: in half precision, in float32."""
    one, way, projector = WAYS[name]
    case = Case(one=one)
    made: list[tuple[Loss, list[Tensor]]] = []
    for half in (True, False):
        mine, theirs = case.rows()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=half):
            loss = way(case, mine, theirs)
        moved = [mine.hidden, mine.head.weight]
        moved += [*getattr(case, projector).parameters()] if projector else []
        made.append((loss, list(torch.autograd.grad(loss.total, moved, allow_unused=True))))
    return made[0], made[1]


@pytest.mark.parametrize("name", WAYS)
def test_loss_terms_and_gradients_are_those_of_float32(name: str) -> None:
    (found, slopes), (exact, wanted) = both(name)
    assert apart(found.total, exact.total) < 1e-3
    for term, value in exact.sums.items():
        assert found.sums[term].item() == pytest.approx(value.item(), rel=3e-3, abs=1e-3), term
    for one, other in zip(slopes, wanted, strict=True):
        # ULD's gradient is made of signs, which may turn; that of a bias is a sum of what nearly cancels.
        assert apart(one, other) < (1e-2 if name == "uld" or one.dim() == 1 else 4e-3)


def _rounded_inverse(self: LogitIdentity, student: Head, teacher: Head) -> Tensor:
    ours, theirs = self._weights(student, teacher, torch.float32)
    return (ours.T @ theirs @ self.teacher_inverse).float()


@pytest.mark.parametrize(
    ("where", "name", "fault"),
    [
        (dual_space_v2, "exact_product", lambda rows, projector: (rows @ projector).float()),
        (LogitIdentity, "s2t", _rounded_inverse),
        (Head, "exact", property(lambda _: False, lambda *_: None)),
    ],
    ids=["product", "inverse", "logits"],
)
def test_rounding_what_projects_would_be_seen(
    where: Any, name: str, fault: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fault that was: autocast reached P_s2t, its product and its logits."""
    with torch.no_grad():
        monkeypatch.setattr(where, name, fault, raising=False)
    with pytest.raises(AssertionError):
        test_loss_terms_and_gradients_are_those_of_float32("dskd_v2")


def test_no_autocast_reaches_what_projects() -> None:
    case = Case(one=True)
    mine, theirs = case.rows()
    outside = (
        case.identity.s2t(mine.head, theirs.head),
        case.identity(case.taught),
        case.linear.t2s(case.taught.float()),
    )
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(case.identity.s2t(mine.head, theirs.head), outside[0])
        assert torch.equal(case.identity(case.taught), outside[1])
        loss = dskd(mine, theirs, case.labels, case.linear, PER)
    loss.total.backward()
    assert case.linear.t2s.weight.grad is not None
    assert outside[2].dtype == torch.float32


def on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Products as a GPU has them: bfloat16 factors, float32 sums."""

    def multiplied(left: Tensor, right: Tensor) -> Tensor:
        with torch.autocast("cpu", enabled=False):
            return left.float() @ right.float() if left.dtype == torch.bfloat16 else left @ right

    monkeypatch.setattr(heads, "_multiplies_halves", lambda device: True)
    for module in (heads, __import__("telbench.kd.losses.chunked_head", fromlist=["product"])):
        monkeypatch.setattr(module, "product", multiplied)


@pytest.mark.parametrize("narrow", [True, False], ids=["weights of bfloat16", "weights of float32"])
def test_exact_products_by_halves_keep_float32s_logits(narrow: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    on_a_gpu(monkeypatch)
    weight = decaying(OURS, STUDENT)
    weight = weight.bfloat16() if narrow else weight
    hidden = torch.randn(ROWS, STUDENT)
    exact = hidden.double() @ weight.double().T
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = Head(weight, exact=True).logits(hidden)
        rounded = Head(weight).logits(hidden)
    assert apart(logits, exact) < 2e-5
    assert apart(rounded, exact) > 1e-3


@pytest.mark.parametrize("name", WAYS)
def test_products_as_a_gpu_has_them_give_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    on_a_gpu(monkeypatch)
    test_loss_terms_and_gradients_are_those_of_float32(name)


def test_exact_gradients_by_halves() -> None:
    with pytest.MonkeyPatch.context() as patch:
        on_a_gpu(patch)
        hidden, weight = torch.randn(ROWS, STUDENT).requires_grad_(), decaying(OURS, STUDENT).requires_grad_()
        labels = GoldLabels(torch.randint(OURS, (ROWS,)), 1.0)
        found: list[tuple[Tensor, ...]] = []
        for half in (True, False):
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=half):
                total = chunked_loss(hidden, Head(weight, exact=True), labels=labels, chunk_rows=9).total
            found.append((total, *torch.autograd.grad(total, [hidden, weight])))
    assert apart(found[0][0], found[1][0]) < 1e-5
    assert max(apart(one, other) for one, other in zip(*found, strict=True)) < 3e-3


def test_what_a_step_knows_already_is_not_computed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    case = Case(one=False)
    mine, theirs = case.rows()
    known = Computed(case.aligned.likeliest(theirs), case.identity.s2t(mine.head, theirs.head))
    rest = (case.labels, case.identity, case.aligned, PER)
    expected = agreement(mine.head, theirs, case.identity, case.aligned), dskd_v2(mine, theirs, *rest).total

    def never(*_: Any) -> Any:
        raise AssertionError("computed again")

    monkeypatch.setattr(Aligned, "likeliest", never)
    monkeypatch.setattr(LogitIdentity, "s2t", never)
    assert agreement(mine.head, theirs, case.identity, case.aligned, known) == expected[0]
    assert torch.equal(dskd_v2(mine, theirs, *rest, computed=known).total, expected[1])


@pytest.mark.slow
def test_real_heads_of_two_families() -> None:
    """SmolLM2 taught by Gemma: the projector that autocast had corrupted."""
    from safetensors import safe_open

    files = [MODELS / name / "model.safetensors" for name in ("smollm2", "gemma3")]
    if not all(file.is_file() for file in files):
        pytest.skip("SmolLM2 and Gemma 3 are not in ~/.cache/telbench-models")
    weights: list[Tensor] = []
    for file in files:
        with safe_open(file, "pt") as stored:
            weights.append(stored.get_tensor("model.embed_tokens.weight")[:20000])
    ours, theirs = weights[0].float(), weights[1].bfloat16()
    draw = torch.randint(20000, (32,))
    hidden, taught = 3 * ours[draw] / ours.std(), (0.3 * theirs[draw] / theirs.float().std()).bfloat16()
    identity = LogitIdentity(Head(ours), Head(theirs))
    found: list[tuple[Loss, tuple[Tensor, ...]]] = []
    for half in (True, False):
        mine = Projected(hidden.detach().requires_grad_(), Head(ours.detach().requires_grad_()))
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=half):
            every = Aligned(Pairs.all(32, CPU))
            loss = dskd_v2(mine, Projected(taught, Head(theirs)), draw, identity, every, 1 / 32)
        found.append((loss, torch.autograd.grad(loss.total, [mine.hidden, mine.head.weight, identity.t2s])))
    (low, slopes), (exact, wanted) = found
    for term, value in exact.sums.items():
        assert low.sums[term].item() == pytest.approx(value.item(), rel=3e-3, abs=1e-3), term
    assert max(apart(one, other) for one, other in zip(slopes, wanted, strict=True)) < 4e-3
    assert torch.equal(likeliest(taught, Head(theirs)), Head(theirs).logits(taught).argmax(-1))
