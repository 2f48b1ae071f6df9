"""The cache of work done once a text."""

from __future__ import annotations

from telbench.metrics.ngram.text_cache import TextCache


def test_a_text_met_again_is_not_computed_again() -> None:
    calls: list[str] = []
    cache = TextCache(lambda text: calls.append(text) or len(text))
    assert [cache("ab"), cache("ab"), cache("c")] == [2, 2, 1]
    assert calls == ["ab", "c"]


def test_what_is_kept_never_exceeds_the_budget_in_characters() -> None:
    cache = TextCache(len, budget=50)
    for size in range(200):
        assert cache("x" * size) == size
        assert len(cache) <= 50
    assert len(cache) == 0  # the last one alone is larger than the budget


def test_the_oldest_text_is_forgotten_first() -> None:
    calls: list[str] = []
    cache = TextCache(lambda text: calls.append(text) or text, budget=4)
    for text in ("a", "b", "c", "b", "a"):
        cache(text)
    assert calls == ["a", "b", "c", "a"]
