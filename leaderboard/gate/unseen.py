"""What a pass would overlook: documents that failed and are not in the sample, or too few of them.

A metric that passes by the sign-flip test passes only if it would also pass with failures that chance hid
(`statistics.skew`). Else the gate says that it cannot tell, and why.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..statistics.clusters import Summed
from ..statistics.skew import carriers_text, documents_for, named_carriers, unseen, with_one_lost


@dataclass(frozen=True)
class Overlooked:
    """What speaks against a pass: ``p`` of the test that does not reject, ``reason``, and a ``flag`` for machines.

    ``documents`` without a failure would settle it; None where no number is known.
    """

    p: float
    reason: str
    flag: str
    documents: int | None


def overlooked(
    data: Summed, documents: Sequence[str], loss: float | None, margin: float, alpha: float
) -> Overlooked | None:
    """Why a metric that passes by the sign-flip test should not, or None.

    ``documents`` are the names of those in ``data``; ``loss`` is what one loses that fails. Where the metric has no
    worst value (None) nobody can say what failures cost that are not seen. Then those that are seen stand for them.
    """
    if data.dominated:
        largest = loss or max(0.0, -float((data.sums / data.sizes).min()))
        if (p := with_one_lost(data, margin, largest)) > alpha:
            told = carriers_text(named_carriers(data, documents), data.groups)
            more = f"one more of that kind may put the drop beyond the margin of {margin:g}"
            return Overlooked(p, f"{told}; {more}", "dominated", None)
    if not loss or (p := unseen(data, margin, loss)) <= alpha:
        return None
    needed = documents_for(margin, loss, alpha, min(0.0, data.mean))
    reason = (
        f"{data.groups} documents are too few to rule out failures that they do not show: up to "
        f"{1 - alpha ** (1 / data.groups):.1%} of documents may fail and none be among them, and one that fails loses "
        f"{loss:.3g}"
    )
    if needed is not None and needed > data.groups:
        reason += f"; a margin of {margin:g} takes about {needed:,} documents"
    return Overlooked(p, reason, "unseen_failures", needed)
