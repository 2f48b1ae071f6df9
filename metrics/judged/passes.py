"""What asking a judge again adds to the uncertainty of a mean: passes that are lenient or strict as a whole.

Each repeat of all verdicts is a pass. A value y of item i in pass k is taken for

    y_ik = m + item_i + pass_k + rest_ik

and m is what is estimated: the mean over the items of all documents of the judge's expected score, over all passes that
it might make. The bootstrap over documents has the variance of item and of rest in it, since both move from item to
item. What moves all items of a pass together, pass_k, it cannot see. Its variance is estimated from the means of the
passes, less what rest alone would make of them. Source: the two-way random effects model without replication (Searle,
Casella and McCulloch, Variance Components, 1992), with cluster-robust sums for the documents.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..contract import ItemScore

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class PassSpread:
    """What the passes tell: the standard error that they add to the mean, and what an item's values vary by.

    ``error`` has ``freedom`` degrees of freedom. ``within`` is the standard deviation of one verdict's value about its
    item's mean, over ``items``; all None where fewer than two items have a value in every pass.
    """

    repeats: int
    error: float | None
    within: float | None
    items: int

    @property
    def freedom(self) -> int:
        """Degrees of freedom of ``error``."""
        return self.repeats - 1

    def entry(self) -> dict[str, Any]:
        """The header's entry."""
        return {"n": self.repeats, "error": self.error, "sd_within_items": self.within, "items": self.items}


class PassSums:
    """How far each pass lies from the items' means, summed by cluster as scores come; item order as `ClusterSums`."""

    def __init__(self, repeats: int, groups: int, membership: NDArray[np.intp]) -> None:
        """Nothing added yet; ``membership`` is the number of each item's cluster."""
        import numpy as np

        self._repeats, self._membership, self._seen = repeats, membership, 0
        self._sums = np.zeros((groups, repeats))
        self._counts = np.zeros(groups)
        self._squares, self._judged = 0.0, 0

    def add(self, scores: Sequence[ItemScore]) -> None:
        """Count the next items. Those that no judge was asked about move with no pass; those without a value in some
        pass are left out.
        """
        import numpy as np

        places = self._membership[self._seen : self._seen + len(scores)]
        self._seen += len(scores)
        for place, score in zip(places, scores, strict=True):
            if score.value is None:
                continue
            if score.repeats:
                values = [value for value in score.repeats if value is not None]
                if len(values) < self._repeats:
                    continue
                apart = np.array(values) - sum(values) / len(values)
                self._sums[place] += apart
                self._squares += float(apart @ apart)
                self._judged += 1
            self._counts[place] += 1

    def spread(self) -> PassSpread:
        """What the passes add; see the head of this module."""
        import numpy as np

        count, groups, freedom = self._counts.sum(), int((self._counts > 0).sum()), self._repeats - 1
        if self._judged < 2 or groups < 2:
            return PassSpread(self._repeats, None, None, self._judged)
        apart = self._sums.sum(axis=0) / count
        rest = self._sums - np.outer(self._counts, apart)
        by_chance = groups / (groups - 1) * float((rest**2).sum()) / count**2
        variance = max(0.0, (float(apart @ apart) - by_chance) / freedom)
        within = np.sqrt(self._squares / (self._judged * freedom))
        return PassSpread(self._repeats, float(np.sqrt(variance / self._repeats)), float(within), self._judged)
