"""Whether a judge that compares two answers prefers a place to an answer. Every pair is asked in both orders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Choice = Literal["first", "second", "tie"]
CHOICES: tuple[Choice, ...] = ("first", "second", "tie")


@dataclass(frozen=True, slots=True)
class PairVerdict:
    """Which place won when A stood first (``order_ab``) and when B stood first (``order_ba``); None: no verdict."""

    order_ab: Choice | None
    order_ba: Choice | None


@dataclass(frozen=True, slots=True)
class PositionBias:
    """Pairs by what became of the verdict when the answers changed places.

    ``consistent``: the same answer won twice, or both were ties. ``first``, ``second``: that place won both times.
    ``mixed``: a tie once, a winner once. ``missing``: a verdict is lacking. ``follows`` is the share of the pairs with
    two verdicts in which the place won; ``p_value`` is that of the exact two-sided sign test of ``first`` against
    ``second`` (None where neither place ever won twice).
    """

    consistent: int
    first: int
    second: int
    mixed: int
    missing: int
    follows: float | None
    p_value: float | None


def position_bias(pairs: Sequence[PairVerdict]) -> PositionBias:
    """The position bias of a judge. Raises ValueError for a choice that is none of first, second and tie."""
    for pair in pairs:
        if stray := [c for c in (pair.order_ab, pair.order_ba) if c is not None and c not in CHOICES]:
            raise ValueError(f"{stray[0]!r} is none of {', '.join(CHOICES)}")
    both = [(pair.order_ab, pair.order_ba) for pair in pairs if pair.order_ab is not None and pair.order_ba is not None]
    first, second = both.count(("first", "first")), both.count(("second", "second"))
    consistent = sum(both.count(pair) for pair in (("first", "second"), ("second", "first"), ("tie", "tie")))
    return PositionBias(
        consistent=consistent,
        first=first,
        second=second,
        mixed=len(both) - consistent - first - second,
        missing=len(pairs) - len(both),
        follows=(first + second) / len(both) if both else None,
        p_value=sign_test(first, second) if first + second else None,
    )


def sign_test(ups: int, downs: int) -> float:
    """Exact two-sided p-value of ``ups`` against ``downs`` where both are equally likely; 1 where there are none.

    The tail is summed in integers, so that no count is too large. Source: Dixon and Mood, The Statistical Sign Test,
    1946.

    >>> sign_test(9, 1)
    0.021484375
    """
    n = ups + downs
    tail = ways = 1
    for k in range(min(ups, downs)):
        # C(n, k + 1) from C(n, k): a fresh one every time takes seconds for thousands of pairs.
        ways = ways * (n - k) // (k + 1)
        tail += ways
    return min(1.0, 2 * tail / 2**n)
