"""What an answer makes of one fact of its reference: the record that all fact metrics count."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, Protocol

Kind = Literal["quantity", "entity", "polarity", "direction"]
Status = Literal["agreed", "contradicted", "omitted"]
Places = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Finding:
    """A fact of the reference in its own words, and what the answer makes of it.

    ``places`` in the answer: where the fact is told, or what stands there instead; empty where it is left out.
    ``only_if_seen`` marks what is no fact to be told: what the question gives, which can only be contradicted, and
    which of two goes with which, which is seen where both are named.
    """

    kind: Kind
    fact: str
    status: Status
    places: tuple[tuple[int, int], ...] = ()
    only_if_seen: bool = False


class Placed(Protocol):
    """Something with a place in a text."""

    @property
    def start(self) -> int: ...  # noqa: D102
    @property
    def end(self) -> int: ...  # noqa: D102


def places(found: Iterable[Placed]) -> Places:
    """Where these stand."""
    return tuple((each.start, each.end) for each in found)
