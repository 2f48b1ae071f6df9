"""The facts of a reference held against an answer: told, contradicted or left out, each with its place there."""

from __future__ import annotations

from collections.abc import Sequence

from .comparisons import comparison_findings
from .names import entity_findings
from .near_copies import near_copy_findings
from .reading.reading import Reading
from .relations.findings import Finding, Places
from .relations.grades import grade_findings
from .relations.needs import need_findings
from .relations.outcomes import outcome_findings
from .relations.pairings import pairing_findings
from .relations.roles import role_findings
from .relations.sequence import sequence_findings
from .relations.trends import trend_findings
from .relations.voices import voice_findings
from .relations.ways import way_findings
from .sides import side_findings
from .singles import single_findings
from .statements import statement_findings
from .swaps import swap_findings
from .values import quantity_findings, unit_findings


def findings(reference: Reading, answer: Reading, question: Reading) -> tuple[Finding, ...]:
    """What the answer makes of each fact of the reference that the question does not give.

    >>> from .reading.reading import read
    >>> [(f.kind, f.fact, f.status) for f in findings(read("SCTP, port 38412"), read("port 2152"), read("Which port?"))]
    [('quantity', '38412', 'contradicted'), ('entity', 'SCTP', 'omitted')]
    """
    ways = (*way_findings(reference, answer), *role_findings(reference, answer, question))
    straight = bool(ways) and all(each.status != "contradicted" for each in ways)
    straight = straight and any(each.status == "agreed" for each in ways)
    voices = () if any(each.status == "contradicted" for each in ways) else voice_findings(reference, answer)
    trends = tuple(trend_findings(reference, answer, question))
    trending = any(each.status == "agreed" for each in trends)
    found = (
        *quantity_findings(reference, answer, question),
        *unit_findings(reference, answer, question),
        *single_findings(reference, answer, question),
        *entity_findings(reference, answer, question),
        *side_findings(reference, answer, question, straight=straight, trending=trending),
        *comparison_findings(reference, answer),
        *ways,
        *voices,
        *trends,
        *sequence_findings(reference, answer, question),
        *pairing_findings(reference, answer),
        *need_findings(reference, answer),
        *outcome_findings(reference, answer, question),
        *statement_findings(reference, answer, question),
    )
    found = (*found, *grade_findings(reference, answer, found))
    seen = [place for each in found if each.status == "contradicted" for place in each.places]
    copies = (*near_copy_findings(reference, answer), *swap_findings(reference, answer))
    return (*found, *(each for each in copies if not _overlap(each.places, seen)))


def _overlap(places: Places, seen: Sequence[tuple[int, int]]) -> bool:
    """Does any of these places touch one of those?"""
    return any(start < other_end and other < end for start, end in places for other, other_end in seen)
