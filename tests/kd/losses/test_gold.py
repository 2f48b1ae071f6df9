"""GOLD against TRL's own loss, in value and gradient: small random cases, and two real tokenizers."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from telbench.errors import InputError
from telbench.kd.losses import chunked_terms as through
from telbench.kd.losses import gold as module
from telbench.kd.losses.chunked_head import Projected
from telbench.kd.losses.divergences import Divergence, ForwardKL, GeneralisedJSD, ReverseKL
from telbench.kd.losses.gold import Shares, gold
from telbench.kd.losses.heads import Head
from telbench.kd.losses.mixture import Mixture, Pairs, SharedIds
from telbench.kd.vocabulary.alignment import Span, spans_of, tokens_of

WIDE, WIDTH = torch.float64, 6
# TRL's number of each divergence.
BETAS: list[tuple[Divergence, float]] = [(ForwardKL(), 0.0), (ReverseKL(), 1.0), (GeneralisedJSD(0.3), 0.3)]


def side(rows: int, tokens: int, *, width: int = WIDTH) -> Projected:
    weight = (torch.randn(tokens, width, dtype=WIDE) / 2).requires_grad_()
    return Projected(torch.randn(rows, width, dtype=WIDE).requires_grad_(), Head(weight))


def cut(rows: int, length: int) -> list[int]:
    """Where each of so many tokens ends in a text of that length; the last is its end of sequence."""
    inner = torch.randperm(length - 1)[: rows - 2].sort().values + 1
    return [*inner.tolist(), length, length]


def runs_by_ends(ours: list[int], theirs: list[int]) -> list[Span]:
    """By looking at every end that both have, written another way than `spans_of`."""
    found: list[Span] = []
    starts = [0, 0]
    for end in sorted({*ours} & {*theirs}):
        for turn in range(2 if end == ours[-1] else 1):
            places = [[k for k, each in enumerate(side) if each == end][turn] for side in (ours, theirs)]
            found.append((starts[0], places[0], starts[1], places[1]))
            starts = [place + 1 for place in places]
    return found


def pairs_of(spans: list[Span] | tuple[Span, ...], rows: int) -> Pairs:
    first, last, other, end = torch.tensor(spans).reshape(-1, 4).unbind(1)
    return Pairs(last, end, rows, (first, other))


def of_trl(
    beta: float, maps: tuple[dict[str, int], dict[str, int]], shares: tuple[float | None, float | None] = (None, None)
) -> Any:
    pytest.importorskip("trl")
    from trl.experimental.gold.gold_trainer import ULDLoss

    config: Any = SimpleNamespace(
        uld_crossentropy_weight=0.0, uld_distillation_weight=1.0, uld_student_temperature=1.5,
        uld_teacher_temperature=1.5, uld_skip_student_eos=False, uld_skip_teacher_eos=False, use_extended_uld=True,
        uld_token_merge_strategy="bayesian", uld_use_hybrid_loss=True, uld_hybrid_matched_weight=shares[0],
        uld_hybrid_unmatched_weight=shares[1], beta=beta,
    )  # fmt: skip
    tokenizers = [SimpleNamespace(get_vocab=lambda known=known: known) for known in maps]
    return ULDLoss(config, student_tokenizer=tokenizers[1], teacher_tokenizer=tokenizers[0])


def by_trl(loss: Any, sides: list[Projected], said: list[Tensor], ends: list[list[int]]) -> Tensor:
    """Its loss of one item: a prompt of one token, then the answer; the last position predicts nothing."""
    logits, labels, offsets = [], [], []
    for each, ids, reached in zip(sides, said, ends, strict=True):
        rows = each.hidden @ each.head.weight.T + (0 if each.head.bias is None else each.head.bias)
        logits.append(torch.cat([rows, rows.new_zeros(1, rows.shape[1])])[None])
        labels.append(torch.cat([torch.tensor([-100]), ids])[None])
        spans = [(0, 0), *zip([0, *reached[:-1]], reached, strict=True)]
        offsets.append(torch.tensor(spans)[None])
    ids = [each.clamp_min(0) for each in labels]
    return loss(
        logits[0], logits[1].detach(), labels[0], labels[1], ids[0], ids[1],
        student_byte_offsets=offsets[0], teacher_byte_offsets=offsets[1],
    )  # fmt: skip


def vocabularies(tokens: tuple[int, int], common: int) -> tuple[dict[str, int], dict[str, int], SharedIds]:
    """Maps (teacher's, student's) with so many texts in common, under other ids."""
    theirs, ours = torch.randperm(tokens[0]).tolist(), torch.randperm(tokens[1]).tolist()
    maps = [
        {(f"both{k}" if k < common else f"{who}{k}"): index for k, index in enumerate(order)}
        for who, order in (("t", theirs), ("s", ours))
    ]
    return maps[0], maps[1], SharedIds(torch.tensor(theirs[:common]), torch.tensor(ours[:common]))


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize(("divergence", "beta"), BETAS)
def test_values_and_gradients_are_those_of_trl(seed: int, divergence: Divergence, beta: float) -> None:
    torch.manual_seed(seed)
    teacher_map, student_map, shared = vocabularies((17, 13), 9)
    sides, ends = [side(7, 13), side(5, 17)], [cut(7, 12), cut(5, 12)]
    # TRL takes probabilities below 1e-8 for that: runs of three rows at most stay above it.
    while any(last - first > 2 or end - other > 2 for first, last, other, end in runs_by_ends(*ends)):
        ends = [cut(7, 12), cut(5, 12)]
    said = [torch.randint(13, (7,)), torch.randint(17, (5,))]
    shares = (None, None) if seed % 2 else (0.7, 0.2)
    expected = by_trl(of_trl(beta, (teacher_map, student_map), shares), sides, said, ends)
    expected.backward()
    wanted = [sides[0].hidden.grad, sides[0].head.weight.grad]
    sides[0].hidden.grad = sides[0].head.weight.grad = None
    spans = runs_by_ends(*ends)
    mixture = Mixture(rate=1.0, divergence=divergence, temperature=1.5)
    found = gold(
        sides[0],
        sides[1],
        (said[0], said[1]),
        pairs_of(spans, 7),
        shared,
        1.0,
        1 / len(spans),
        mixture,
        Shares(*shares),
    )
    assert found.total.item() == pytest.approx(expected.item(), rel=1e-6)
    found.total.backward()
    for mine, other in zip([sides[0].hidden.grad, sides[0].head.weight.grad], wanted, strict=True):
        assert mine is not None
        assert other is not None
        assert torch.allclose(mine, other, rtol=1e-6, atol=1e-9)
    assert sides[1].hidden.grad is None


def texts() -> list[str]:
    return [
        "The AMF terminates NAS signalling (N1) and handles registration.",
        "PFCP runs over UDP port 8805; accuracy is ±1.5 µs at −90 dBm, naïve reuse ≥ 2.",
        "日本 5G NR 🛰 n78",
    ]


@pytest.mark.parametrize("text", texts())
def test_two_real_tokenizers_give_what_trl_gives(text: str) -> None:
    from transformers import AutoTokenizer

    pytest.importorskip("trl")
    from trl.experimental.gold.gold_trainer import ULDLoss
    from trl.experimental.utils import encode_with_byte_offsets

    places = [Path.home() / ".cache/telbench-models" / name for name in ("smollm2", "qwen")]
    if not all(place.is_dir() for place in places):
        pytest.skip("SmolLM2 and Qwen are not here")
    torch.manual_seed(3)
    tokenizers = [AutoTokenizer.from_pretrained(place) for place in places]
    sides, said, ends = [], [], []
    for tokenizer in tokenizers:
        ((ids, offsets),) = encode_with_byte_offsets(tokenizer.backend_tokenizer, [text], add_special_tokens=False)
        spoken = torch.tensor([*ids, tokenizer.eos_token_id])
        columns, rows = max(tokenizer.get_vocab().values()) + 1, len(spoken)
        # What is said is about as likely as all else together, so that no merged probability is where TRL cuts off.
        weight = torch.zeros(columns, rows, dtype=WIDE)
        weight[spoken, torch.arange(rows)] = 18.0
        hidden = (torch.eye(rows, dtype=WIDE) + torch.randn(rows, rows, dtype=WIDE) / 50).requires_grad_()
        bias = (torch.randn(columns, dtype=WIDE) / 2).requires_grad_()
        sides.append(Projected(hidden, Head(weight.requires_grad_(), bias)))
        said.append(spoken)
        ends.append([*(end for _, end in offsets), len(text.encode())])
    tokens = [tokens_of(tokenizer, text) for tokenizer in tokenizers]
    spans = spans_of(tokens[0], tokens[1])
    groups = ULDLoss._align_by_byte_offsets(*([(0, end) for end in reached] for reached in ends))
    theirs = [(one[0], one[-1], two[0], two[-1]) for one, two in zip(*groups, strict=True)]
    assert list(spans) == theirs
    loss = of_trl(0.5, (tokenizers[1].get_vocab(), tokenizers[0].get_vocab()))
    expected = by_trl(loss, sides, said, ends)
    expected.backward()
    bias = sides[0].head.bias
    assert bias is not None
    asked = [sides[0].hidden, sides[0].head.weight, bias]
    wanted = [each.grad for each in asked]
    for each in asked:
        each.grad = None
    theirs_first = sorted(loss._teacher_matched_ids)
    shared = SharedIds(torch.tensor(theirs_first), loss.mapping_tensor[torch.tensor(theirs_first)])
    mixture = Mixture(rate=1.0, divergence=GeneralisedJSD(0.5), temperature=1.5)
    pairs = pairs_of(spans, len(said[0]))
    found = gold(sides[0], sides[1], (said[0], said[1]), pairs, shared, 1.0, 1 / len(spans), mixture)
    assert found.total.item() == pytest.approx(expected.item(), rel=1e-6)
    found.total.backward()
    for each, other in zip(asked, wanted, strict=True):
        assert each.grad is not None
        assert other is not None
        assert torch.allclose(each.grad, other, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("most", [1, 3, 1000])
def test_parts_change_nothing_and_labels_count_beside(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    _, _, shared = vocabularies((17, 13), 9)
    student, teacher = side(14, 13), side(10, 17)
    ours, theirs = [cut(7, 12), cut(7, 15)], [cut(5, 12), cut(5, 15)]
    spans = [*runs_by_ends(ours[0], theirs[0])]
    # The first run of the second item has no partner.
    spans += [(a + 7, b + 7, c + 5, d + 5) for a, b, c, d in runs_by_ends(ours[1], theirs[1])[1:]]
    said = torch.randint(13, (14,)), torch.randint(17, (10,))
    mixture = Mixture(rate=0.4, divergence=ReverseKL(), temperature=2.0, t2_scale=True)
    asked: list[int] = []
    parts = through.chunked_terms

    def counted(student: Projected, cuts: Any, term: Any) -> Any:
        asked.append(len(cuts))
        return parts(student, cuts, term)

    monkeypatch.setattr(module, "chunked_terms", counted)
    monkeypatch.setattr(module, "rows_at_once", lambda head: most)
    found = gold(student, teacher, said, pairs_of(spans, 14), shared, 0.05, 0.1, mixture)
    assert asked == [len(spans) if most == 1 else asked[0]]
    assert most != 1000 or asked == [1]
    found.total.backward()
    # By hand, run by run.
    q, p = ((each.hidden @ each.head.weight.T / 2).log_softmax(-1) for each in (student, teacher))
    expected = torch.zeros((), dtype=WIDE)
    rest_q = [k for k in range(13) if k not in shared.student.tolist()]
    rest_p = [k for k in range(17) if k not in shared.teacher.tolist()]
    for first, last, other, end in spans:
        ahead = sum((q[k, said[0][k]] for k in range(first, last)), torch.zeros((), dtype=WIDE))
        before = sum((p[k, said[1][k]] for k in range(other, end)), torch.zeros((), dtype=WIDE))
        mine, other_p = (q[last] + ahead).exp(), (p[end] + before).exp().detach()
        one, two = mine[shared.student], other_p[shared.teacher]
        direct = (one * (one.log() - two.log())).sum()
        ranked = torch.zeros(8, dtype=WIDE)
        ranked[: len(rest_q)] += mine[rest_q].sort(descending=True).values
        ranked[: len(rest_p)] -= other_p[rest_p].sort(descending=True).values
        expected = expected + 4 * (9 / 17 * direct + 8 / 17 * ranked.abs().sum())
    labels = torch.nn.functional.cross_entropy(student.hidden @ student.head.weight.T, said[0], reduction="sum")
    whole = 0.05 * 0.6 * labels + 0.1 * 0.4 * expected
    assert found.total.item() == pytest.approx(whole.item())
    assert found.sums["kd"].item() == pytest.approx(expected.item())
    mine = student.hidden.grad
    assert mine is not None
    assert torch.allclose(mine, torch.autograd.grad(whole, student.hidden)[0])


def test_equal_models_of_one_vocabulary_are_no_distance_apart_and_runs_are_needed() -> None:
    torch.manual_seed(1)
    model = side(6, 13)
    every = SharedIds.all(13, torch.device("cpu"))
    said = torch.randint(13, (2, 6))
    spans = [(k, k, k, k) for k in range(6)]
    mixture = Mixture(rate=1.0, temperature=1.0)
    found = gold(model, model, (said[0], said[1]), pairs_of(spans, 6), every, 0.1, 0.1, mixture)
    assert found.total.item() == pytest.approx(0, abs=1e-12)
    with pytest.raises(InputError, match="pair them as spans"):
        gold(model, model, (said[0], said[1]), Pairs.all(6, torch.device("cpu")), every, 0.1, 0.1, mixture)


def test_no_run_at_all_leaves_the_labels() -> None:
    torch.manual_seed(1)
    student, teacher = side(4, 13), side(3, 17)
    _, _, shared = vocabularies((17, 13), 9)
    said = torch.randint(13, (4,)), torch.randint(17, (3,))
    found = gold(student, teacher, said, pairs_of([], 4), shared, 0.25, 1.0, Mixture(rate=0.5))
    labels = torch.nn.functional.cross_entropy(student.hidden @ student.head.weight.T, said[0])
    assert found.total.item() == pytest.approx(0.5 * labels.item())
    found.total.backward()
    assert student.hidden.grad is not None
