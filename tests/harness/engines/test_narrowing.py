"""What narrows a draw: against plain loops, and against the library's own processors where they are right."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from telbench.harness.checkpoint import open_checkpoint
from telbench.harness.engines.contract import EngineSettings, Request, Sampling
from telbench.harness.engines.transformers import TransformersEngine, open_engine

torch: Any = pytest.importorskip("torch")
from telbench.harness.engines.narrowing import RepetitionPenalty, likeliest  # noqa: E402 - where there is torch


def by_hand(ordered: list[float], min_p: float, top_k: int) -> list[float]:
    kept = [p if p >= min_p * ordered[0] and (not top_k or place < top_k) else 0.0 for place, p in enumerate(ordered)]
    return [p / sum(kept) for p in kept]


@pytest.mark.parametrize("min_p", [0.0, 0.05, 0.5, 1.0])
@pytest.mark.parametrize("top_k", [0, 1, 3, 50])
def test_min_p_and_top_k_keep_what_a_plain_loop_keeps(min_p: float, top_k: int) -> None:
    rows = torch.softmax(torch.randn(4, 20, dtype=torch.double, generator=torch.manual_seed(1)) * 2, -1)
    rows = rows.sort(-1, descending=True).values
    found = likeliest(rows, Sampling(min_p=min_p, top_k=top_k))
    for row, kept in zip(rows.tolist(), found.tolist(), strict=True):
        assert kept == pytest.approx(by_hand(row, min_p, top_k), abs=1e-12)


def test_neutral_settings_change_no_bit() -> None:
    rows = torch.rand(3, 7, dtype=torch.double)
    assert likeliest(rows, Sampling()) is rows


def test_the_penalty_is_that_of_the_library_and_leaves_padding_alone() -> None:
    from transformers import RepetitionPenaltyLogitsProcessor

    scores = torch.randn(2, 9, generator=torch.manual_seed(2))
    ids = torch.tensor([[3, 4, 4, 7], [0, 0, 5, 6]])
    found = RepetitionPenalty([4, 2], Sampling(repetition_penalty=1.3))(ids, scores)
    reference: Any = RepetitionPenaltyLogitsProcessor(1.3)
    assert torch.equal(found[0], reference(ids[:1], scores[:1])[0])
    # The second row is padded with two tokens 0, which the library's own would weaken.
    assert torch.equal(found[1], reference(ids[1:, 2:], scores[1:])[0])
    assert found[1, 0] == scores[1, 0]
    # What has been answered is weakened like the prompt.
    longer = torch.cat([ids, torch.tensor([[8], [2]])], dim=1)
    grown = RepetitionPenalty([4, 2], Sampling(repetition_penalty=1.3))(longer, scores)
    assert torch.equal(grown[1], reference(longer[1:, 2:], scores[1:])[0])


@pytest.fixture(scope="module")
def engine(tiny_checkpoint: Path) -> Iterator[TransformersEngine]:
    with closing(open_engine(EngineSettings(checkpoint=open_checkpoint(str(tiny_checkpoint))))) as opened:
        yield opened


@pytest.fixture(scope="module")
def requests() -> list[Request]:
    return [Request(f"r{size}", "", (), list(range(20, 20 + size))) for size in (1, 5, 30)]


def answers(engine: TransformersEngine, requests: list[Request], **sampling: Any) -> dict[str, tuple[int, ...]]:
    return {each.key: each.token_ids for each in engine.generate(requests, Sampling(max_tokens=16, **sampling))}


def test_one_token_to_draw_from_is_the_greedy_answer(engine: TransformersEngine, requests: list[Request]) -> None:
    greedy = answers(engine, requests)
    assert answers(engine, requests, temperature=2.0, top_k=1) == greedy
    assert answers(engine, requests, temperature=2.0, min_p=1.0) == greedy
    assert answers(engine, requests, temperature=2.0) != greedy


def test_draws_stay_among_the_likeliest(engine: TransformersEngine, requests: list[Request]) -> None:
    ids = list(requests[1].token_ids)
    with torch.no_grad():
        logits = engine._model(torch.tensor([ids])).logits[0, -1]
    best = set(torch.topk(logits, 3).indices.tolist())
    twins = [Request(f"{n}", "", (), ids) for n in range(300)]
    sampling = Sampling(max_tokens=1, temperature=3.0, top_k=3)
    drawn = Counter(each.token_ids[0] for each in engine.generate(twins, sampling))
    assert set(drawn) == best


def test_a_penalty_makes_an_answer_that_does_not_depend_on_its_batch(
    engine: TransformersEngine, requests: list[Request]
) -> None:
    together = answers(engine, requests, repetition_penalty=1.5)
    alone = {name: ids for each in requests for name, ids in answers(engine, [each], repetition_penalty=1.5).items()}
    assert together == alone
    assert together != answers(engine, requests)
