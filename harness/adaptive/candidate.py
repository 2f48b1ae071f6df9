"""One candidate while it is asked: its scores so far, and its place beside each finished run once that is settled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from telbench.errors import InputError

from .place import FEW_DOCUMENTS, Critical, Documents, Verdict, critical, settled, whole_spread
from .sequence import WholeMean

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Finished:
    """A run that is finished: its score of each item in the order of asking, from 0 to 1, 1 being best; NaN is none."""

    name: str
    run_id: str
    scores: NDArray[np.float64]


@dataclass(frozen=True)
class Beside:
    """The candidate beside one finished run, all on the scale from 0 to 1 where a positive difference is better.

    ``base`` is the finished run's mean; ``low`` and ``high`` hold the difference of all items; ``shown`` is how large
    it must be for a comparison of all items to show it. ``verdict`` is None where that is open.
    """

    finished: Finished
    verdict: Verdict | None
    base: float
    low: float
    high: float
    shown: Critical


class Candidate:
    """Takes the scores of a candidate, look by look.

    Items without a score of a finished run are asked, and count nowhere here.

    Args:
        finished: runs on the same items.
        documents: of all items, in the order of asking.
        margin: the drop to accept, from 0 to 1; None for a comparison without one.
        alpha: chance that the interval of the mean ever misses it; and error rate of the comparison.

    Raises:
        InputError: where a comparison of all items could claim nothing.
    """

    def __init__(self, finished: Sequence[Finished], documents: Documents, margin: float | None, alpha: float) -> None:
        import numpy as np

        self._finished, self._margin, self._alpha = tuple(finished), margin, alpha
        self._counted = np.asarray(~np.isnan(np.stack([each.scores for each in finished])).any(axis=0))
        if not self._counted.any():
            raise InputError("no item has a score with every run of --against: score them again")
        _, numbers = np.unique(documents.numbers[self._counted], return_inverse=True)
        self._documents = Documents(numbers)
        if self._documents.effective < FEW_DOCUMENTS:
            raise InputError(
                f"{self._documents.count} source documents tell as much as {self._documents.effective:.1f} of equal "
                f"size, it takes {FEW_DOCUMENTS:.0f}: a comparison of all items could claim nothing; drop --adaptive"
            )
        self._scores = np.stack([each.scores[self._counted] for each in finished])
        self._known = self._scores.mean(axis=0)
        self._lows, self._highs = np.zeros(0), np.zeros(0)
        self._verdicts: list[Verdict | None] = [None] * len(finished)
        self._asked = 0

    @property
    def settled(self) -> bool:
        """Are all places settled?"""
        return None not in self._verdicts

    def add(self, lows: NDArray[np.float64], highs: NDArray[np.float64]) -> None:
        """The next items' scores, from 0 to 1: the least and the most that each can be, equal where it is known.

        A place that was settled once stays so.
        """
        import numpy as np

        counted = self._counted[self._asked : self._asked + len(lows)]
        self._asked += len(lows)
        self._lows = np.concatenate([self._lows, lows[counted]])
        self._highs = np.concatenate([self._highs, highs[counted]])
        mean = self._mean()
        for place, verdict in enumerate(self._verdicts):
            if verdict is None:
                self._verdicts[place] = self._look(place, mean)

    def interval(self) -> tuple[float, float]:
        """Where the mean of all items that count lies."""
        return self._mean().interval()

    def beside(self) -> list[Beside]:
        """The candidate beside each finished run."""
        low, high = self.interval()
        found = []
        for place, finished in enumerate(self._finished):
            base, (differences, known) = float(self._scores[place].mean()), self._differences(place)
            tail = self._alpha / 2 if self._margin is None else self._alpha
            spread = whole_spread(differences, known, self._documents)
            shown = critical(spread, self._documents.effective, tail)
            found.append(Beside(finished, self._verdicts[place], base, low - base, high - base, shown))
        return found

    def _mean(self) -> WholeMean:
        return WholeMean(self._lows, self._highs, self._known, self._alpha)

    def _differences(self, place: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Differences of the items that have a score, and their places among those that count."""
        import numpy as np

        known = np.flatnonzero(self._lows == self._highs)
        return self._lows[known] - self._scores[place][known], known

    def _look(self, place: int, mean: WholeMean) -> Verdict | None:
        differences, known = self._differences(place)
        if len(differences) < 2:
            return None
        return settled(
            mean,
            float(self._scores[place].mean()),
            whole_spread(differences, known, self._documents),
            self._documents.effective,
            int((abs(differences) > 1e-9).sum()),
            self._margin,
            self._alpha,
        )
