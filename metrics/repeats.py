"""Several answers to one question: what they are worth together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from itertools import combinations
from math import comb


def pass_at_k(n: int, right: int, k: int) -> float:
    """Probability that one of ``k`` answers, drawn from the ``n`` without putting back, is right.

    The unbiased estimator of Chen et al. 2021 (arXiv:2107.03374).

    >>> pass_at_k(4, 1, 1), pass_at_k(4, 1, 2), pass_at_k(4, 2, 3)
    (0.25, 0.5, 1.0)
    """
    return 1 - comb(n - right, k) / comb(n, k)


def majority(said: Sequence[Hashable | None], values: Sequence[float]) -> float:
    """The value of what most answers say; None has said nothing and has no vote. Equal votes share the win.

    >>> majority(["a", "b", "a", None], [1, 0, 1, 0]), majority(["a", "b"], [1, 0]), majority([None, None], [0, 0])
    (1.0, 0.5, 0.0)
    """
    votes = Counter(each for each in said if each is not None)
    if not votes:
        return 0.0
    most = max(votes.values())
    worth = dict(zip(said, values, strict=True))
    winners = [worth[each] for each, count in votes.items() if count == most]
    return sum(winners) / len(winners)


def agreement(said: Sequence[Hashable | None]) -> float:
    """Share of the pairs of answers that say the same; answers that say nothing agree with none.

    >>> agreement(["a", "a", "b"]), agreement([None, None])
    (0.3333333333333333, 0.0)
    """
    pairs = list(combinations(said, 2))
    return sum(one is not None and one == other for one, other in pairs) / len(pairs)


def powers(n: int) -> tuple[int, ...]:
    """The powers of two up to ``n``, and ``n``.

    >>> powers(1), powers(8), powers(10)
    ((1,), (1, 2, 4, 8), (1, 2, 4, 8, 10))
    """
    return tuple(sorted({n, *(1 << step for step in range(n.bit_length()))}))
