"""Edits of many pairs side by side: the numbers of sacrebleu's TER, whatever stands beside a pair."""

from __future__ import annotations

import random
from collections import defaultdict
from typing import Any

import pytest
from sacrebleu.metrics.lib_ter import translation_edit_rate

from telbench.metrics.ngram.edits import many, shifts
from telbench.metrics.ngram.edits.shifts import Search, as_symbols, finished

Pair = tuple[list[str], list[str]]


def shuffled_blocks(rng: random.Random, words: int, vocabulary: int) -> Pair:
    """A reference, and a hypothesis of its parts in another order with some words wrong, missing or too many."""
    reference = [str(rng.randrange(vocabulary)) for _ in range(words)]
    cuts = sorted(rng.randrange(words + 1) for _ in range(3))
    parts = [reference[a:b] for a, b in zip([0, *cuts], [*cuts, words], strict=True)]
    rng.shuffle(parts)
    hypothesis = [word for part in parts for word in part]
    for _ in range(rng.randrange(1 + words // 4)):
        place = rng.randrange(len(hypothesis) + 1)
        hypothesis[place : place + rng.randrange(3)] = rng.choices("0123456789abc", k=rng.randrange(3))
    return hypothesis, reference


def pairs_of_all_sizes(rng: random.Random, count: int) -> list[Pair]:
    sizes = [1, 3, 12, 24, 25, 26, 40, 64, 65, 90]
    return [shuffled_blocks(rng, rng.choice(sizes), rng.choice([2, 9, 60])) for _ in range(count)]


def turned(rng: random.Random, words: int) -> Pair:
    """The beam binds: most words are farther from their places than it reaches."""
    reference = [rng.choice("abcdefghijkl") for _ in range(words)]
    cut = rng.randrange(words)
    return [*reference[cut:], *reference[:cut], *"z" * rng.randrange(30)], reference


def one_by_one(pairs: list[Pair]) -> list[int]:
    return [finished(Search(*as_symbols(*pair))) for pair in pairs]


def test_many_pairs_have_the_edits_of_sacrebleu() -> None:
    # The package takes seconds for long pairs.
    rng = random.Random(1)
    pairs = [shuffled_blocks(rng, size, rng.choice([5, 30])) for size in [*range(1, 28), 20, 25, 40, 52]]
    assert many.edits(pairs) == [translation_edit_rate(*pair)[0] for pair in pairs]


def test_side_by_side_and_one_by_one_agree_on_thousands(monkeypatch: pytest.MonkeyPatch) -> None:
    # With a limit of 1 the last pair goes side by side with nobody.
    monkeypatch.setattr(many, "FEW", 1)
    for seed in range(3):
        pairs = pairs_of_all_sizes(random.Random(seed), 250)
        assert many.edits(pairs) == one_by_one(pairs)


def test_every_round_makes_the_same_shift(monkeypatch: pytest.MonkeyPatch) -> None:
    # Ties between shifts seldom show in the number of edits.
    monkeypatch.setattr(many, "FEW", 1)
    best, tried = shifts._best, many._SideBySide.tried
    alone: list[str] = []
    together: dict[int, list[str]] = defaultdict(list)

    def seen_alone(*arguments: Any) -> Any:
        found = best(*arguments)
        alone.append(found[0] if found else "")
        return found

    def seen_together(self: Any, lanes: Any, found: Any) -> Any:
        made, on = tried(self, lanes, found)
        for lane in made:
            together[lane.place].append(lane.search.current)
        return made, on

    monkeypatch.setattr(shifts, "_best", seen_alone)
    monkeypatch.setattr(many._SideBySide, "tried", seen_together)
    rng = random.Random(8)
    pairs = [*pairs_of_all_sizes(rng, 200), *(turned(rng, rng.randrange(60, 150)) for _ in range(100))]
    many.edits(pairs)
    alone.clear()
    for place, pair in enumerate(pairs):
        finished(Search(*as_symbols(*pair)))
        assert [text for text in alone if text] == together[place]
        alone.clear()


def test_pairs_that_cannot_go_side_by_side_stand_among_them() -> None:
    rng = random.Random(2)
    pairs = pairs_of_all_sizes(rng, 60)
    odd: list[Pair] = [
        ([], ["a"]),
        (["a"], []),
        ([], []),
        (["x", "b"], [str(rng.randrange(40)) for _ in range(140)]),  # a band wider than a word of bits
        shuffled_blocks(rng, 500, 300),  # far longer than the others
        (["a", "b"], ["a", "b"]),
    ]
    for place, pair in enumerate(odd):
        pairs.insert(7 * place, pair)
    assert many.edits(pairs) == one_by_one(pairs)


def test_the_limit_of_shifts_tried_ends_a_search_at_the_same_round() -> None:
    rng = random.Random(3)
    pairs = [shuffled_blocks(rng, 24, 4) for _ in range(30)]
    expected = [translation_edit_rate(*pair)[0] for pair in pairs]
    assert many.edits(pairs) == expected == one_by_one(pairs)
    # The limit binds here: without it there are fewer edits.
    unlimited = [finished(Search(*as_symbols(*pair), left=10**9)) for pair in pairs]
    assert sum(unlimited) < sum(expected)


def test_a_search_ended_alone_goes_on_where_it_stood(monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = pairs_of_all_sizes(random.Random(5), 80)
    expected = one_by_one(pairs)
    for few in (2, 10, 30, 79):
        monkeypatch.setattr(many, "FEW", few)
        assert many.edits(pairs) == expected


def test_texts_beyond_the_bound_go_in_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = pairs_of_all_sizes(random.Random(6), 120)
    expected, sizes = one_by_one(pairs), []
    together = many._edits
    monkeypatch.setattr(many, "_WORDS", 2_000)
    monkeypatch.setattr(many, "_edits", lambda searches: sizes.append(len(searches)) or together(searches))
    assert many.edits(pairs) == expected
    assert len(sizes) > 3
    assert sum(sizes) == len(pairs)
