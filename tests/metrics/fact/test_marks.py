"""Marks in an answer."""

from __future__ import annotations

from telbench.metrics.contract import Sample
from telbench.metrics.fact.marks import pieces
from telbench.metrics.fact.relations.findings import Finding
from telbench.metrics.fact.scores import facts_of


def test_the_pieces_are_the_answer() -> None:
    answer = "\u202e It runs over UDP\0, port 38412 or 2152 😀, not TCP."
    (found,) = facts_of(Sample("i", answer, ("SCTP, port 38412",), question="What carries NGAP?"))
    told = list(pieces(answer, found))
    assert "".join(piece.text for piece in told) == answer
    assert [(piece.text, piece.status) for piece in told if piece.status] == [
        ("UDP", "contradicted"),
        ("2152", "contradicted"),
    ]


def test_a_contradiction_is_marked_where_spans_overlap() -> None:
    found = [
        Finding("quantity", "a", "agreed", ((0, 4), (2, 6))),
        Finding("entity", "b", "contradicted", ((0, 2),)),
        Finding("entity", "c", "contradicted", ((4, 400),)),
    ]
    assert [tuple(piece) for piece in pieces("abcdef", found)] == [("ab", "contradicted"), ("cdef", "agreed")]
