"""One metric's statistics, with those of runs that did not change from the store.

A number is kept where it depends on two runs alone: the tests of a pair, and a comparison with the baseline before any
correction. What rests on all runs (ranks, corrections, verdicts) is made each time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from ....metrics.contract import Metric
from ...compare.pairwise import ClusterBy, Comparison, measure_columns
from ...compare.ranking import Posthoc, pair_numbers, rank_columns
from ...compare.scored import Scored
from ...statistics.clusters import Documents, Summed, summed_up
from ...statistics.corpus import CorpusDifference
from ...statistics.paired import McNemar, PairedDifference, Power
from ...statistics.skew import Carrier
from ..store import Kept, Part, Store, digest_of
from .columns import RunColumns
from .standings import Measured

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Found = tuple[Comparison, Summed] | None

_KIND = "pairs"
# Columns of runs whose pairs are kept beside those of the board at hand.
_FORMER = 64
_NUMBERS = 4


def measured(
    metric: Metric,
    runs: Sequence[RunColumns],
    names: Sequence[str],
    *,
    by: ClusterBy,
    posthoc: Posthoc,
    store: Store | None = None,
    rows: str = "runs",
) -> Measured:
    """What ``telbench compare`` says of the metric, before verdicts; the first run is the baseline.

    ``rows`` is what the runs are called: boards of runs and of recipes keep their numbers apart.
    """
    import numpy as np

    columns, clusters = [run.scored(metric.name) for run in runs], runs[0].documents(by)
    scored = np.array([column.present for column in columns])
    everywhere = np.asarray(scored.all(axis=0))
    if store is None or not store.lasting or not _keepable(metric):
        former = None
    else:
        former = _Former(store, metric, columns, clusters, everywhere, (posthoc, rows))
    ranking = None
    if len(runs) > 2 and everywhere.any():
        # Pages show no interval of a pair, and most of a ranking's time would go into them.
        ranked = partial(rank_columns, columns, metric, names, clusters, posthoc=posthoc, intervals=False)
        ranking = ranked(known=None if former is None else former.numbers)
    found: list[Found] = [None] * len(runs)
    if (scored[1:] & scored[0]).any():
        whole = metric.level != "corpus" or all(map(_counted, columns))
        found = _compared(metric, columns, names, clusters, former.compared if former is not None and whole else {})
    if former is not None:
        former.keep(None if ranking is None else pair_numbers(ranking), found)
    there = [each for each in found if each is not None]
    return Measured(tuple(each for each, _ in there), ranking, tuple(data for _, data in there))


def _compared(
    metric: Metric,
    columns: Sequence[Scored],
    names: Sequence[str],
    clusters: Documents,
    known: Mapping[int, Found],
) -> list[Found]:
    """Comparisons with the first run, by place; None for itself and where no item can be paired."""
    lacking = [place for place in range(1, len(columns)) if place not in known]
    found: list[Found] = [None] * len(columns)
    for place, each in known.items():
        found[place] = each
    if lacking:
        # Names of runs may be alike; places are not.
        places = list(map(str, lacking))
        chosen = [columns[0], *(columns[place] for place in lacking)]
        for each in measure_columns(metric, chosen, ["", *places], clusters):
            found[int(each[0].run)] = each
    return [each and (replace(each[0], run=name), each[1]) for each, name in zip(found, names, strict=True)]


class _Former:
    """What earlier builds computed of one metric on the same items, by the columns of the runs."""

    def __init__(
        self,
        store: Store,
        metric: Metric,
        columns: Sequence[Scored],
        clusters: Documents,
        everywhere: NDArray[np.bool_],
        board: tuple[str, str],
    ) -> None:
        import numpy as np

        self._store = store
        self._key = [
            [metric.name, metric.signature, metric.higher_is_better, metric.level, list(metric.range)],
            digest_of(clusters.numbers, everywhere),
            list(clusters.names),
            list(board),
        ]
        self._own = [_digest(column) for column in columns]
        held = store.get(_KIND, *self._key)
        self._held = held if held is not None else Kept({"columns": [], "compared": {}}, {})
        before: dict[str, int] = {name: place for place, name in enumerate(self._held.told["columns"])}
        self._places = [before.get(name, -1) for name in self._own]
        first, second = np.triu_indices(len(columns), 1)
        self.numbers = np.full((_NUMBERS, len(first)), np.nan)
        if "numbers" in self._held.arrays:
            places = np.array(self._places)
            one, other = places[first], places[second]
            there = (one >= 0) & (other >= 0)
            self.numbers[:, there] = self._held.arrays["numbers"][:, one[there], other[there]]
        self.compared: dict[int, Found] = {}
        for place in range(1, len(columns)):
            told = self._held.told["compared"].get(self._pair(place))
            if told is not None:
                self.compared[place] = _found(told, self._held.arrays)

    def keep(self, numbers: NDArray[np.float64] | None, found: Sequence[Found]) -> None:
        """Keep what was found of these columns, and some of what was known of others."""
        import numpy as np

        fresh = any(place not in self.compared for place in range(1, len(found)))
        if not fresh and (numbers is None or not np.isnan(self.numbers).any()):
            return
        count, held = len(self._own), self._held
        others = [name for name in held.told["columns"] if name not in set(self._own)][:_FORMER]
        known = [*self._places, *(held.told["columns"].index(name) for name in others)]
        table = np.full((_NUMBERS, len(known), len(known)), np.nan)
        if "numbers" in held.arrays:
            there = [place for place, before in enumerate(known) if before >= 0]
            chosen = [known[place] for place in there]
            table[:, np.array(there)[:, None], np.array(there)] = held.arrays["numbers"][
                :, np.array(chosen)[:, None], np.array(chosen)
            ]
        if numbers is not None:
            first, second = np.triu_indices(count, 1)
            table[:, first, second] = numbers
        told: dict[str, Any] = {}
        arrays: dict[str, Any] = {"numbers": table}
        for place in range(1, count):
            told[self._pair(place)] = _told(found[place], arrays)
        former = [key for key in held.told["compared"] if key not in told]
        for key in former[:_FORMER]:
            told[key] = _told(_found(held.told["compared"][key], held.arrays), arrays)
        self._store.put(Part({"columns": [*self._own, *others], "compared": told}, arrays), _KIND, *self._key)

    def _pair(self, place: int) -> str:
        return f"{self._own[place]} {self._own[0]}"


def _keepable(metric: Metric) -> bool:
    """Is all that computes the metric's statistics in the code that parts are made with?"""
    module = getattr(getattr(metric.aggregate, "func", metric.aggregate), "__module__", "")
    return metric.level != "corpus" or str(module).startswith("telbench.")


def _counted(column: Scored) -> bool:
    """Are a corpus score's statistics whole numbers? The last bits of other sums depend on what is summed along."""
    import numpy as np

    rows = column.statistics
    return rows is not None and bool((np.isnan(rows) | (rows == np.rint(rows))).all())


def _digest(column: Scored) -> str:
    told = [column.run, sorted(column.reasons.items())]
    arrays = [column.values, *([] if column.statistics is None else [column.statistics])]
    return digest_of(*arrays, told=told)


def _told(found: Found, arrays: dict[str, Any]) -> Any:
    """A comparison as it is kept; its sums, beside it, are one of the arrays."""
    import numpy as np

    if found is None:
        return []
    each, data = found
    place = f"sums {len(arrays)}"
    arrays[place] = np.array([data.sums, data.sizes])
    return [each, place]


def _found(told: Any, arrays: Mapping[str, NDArray[np.float64]]) -> Found:
    if not told:
        return None
    record, place = told
    sums, sizes = arrays[place]
    items = record["items"]
    mcnemar, corpus = items["mcnemar"], record["corpus"]
    paired = PairedDifference(
        **{
            **items,
            "power": Power(**items["power"]),
            "mcnemar": None if mcnemar is None else McNemar(**mcnemar),
            "flags": tuple(items["flags"]),
            "carriers": tuple(Carrier(**each) for each in items["carriers"]),
        }
    )
    one, other = record["values"]
    comparison = Comparison(
        **{
            **record,
            "values": (one, other),
            "items": paired,
            "corpus": None if corpus is None else CorpusDifference(**corpus),
            "ci_verdict": None,
        }
    )
    return comparison, summed_up(sums, sizes)
