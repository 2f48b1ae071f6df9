"""An answer cut where its facts stand, so that whoever shows it can mark them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from .relations.findings import Finding, Status


class Piece(NamedTuple):
    """A piece of an answer; ``status`` is that of the fact which stands there, None where none does."""

    text: str
    status: Status | None


def pieces(answer: str, found: Sequence[Finding]) -> Iterator[Piece]:
    """The answer in pieces, in order; together they are the answer. What contradicts is marked before what agrees.

    >>> from .relations.findings import Finding
    >>> [tuple(piece) for piece in pieces("port 2152", [Finding("quantity", "38412", "contradicted", ((5, 9),))])]
    [('port ', None), ('2152', 'contradicted')]
    """
    at = 0
    spans: dict[tuple[int, int], Status] = {
        (start, end): finding.status
        for finding in sorted(found, key=lambda finding: finding.status == "contradicted")
        for start, end in finding.places
    }
    ordered = sorted(spans.items(), key=lambda each: (each[0][0], each[1] != "contradicted", each[0][1]))
    for (start, end), status in ordered:
        if start < at or end > len(answer):
            continue
        if start > at:
            yield Piece(answer[at:start], None)
        yield Piece(answer[start:end], status)
        at = end
    if at < len(answer):
        yield Piece(answer[at:], None)
