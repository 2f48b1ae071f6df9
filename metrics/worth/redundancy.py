"""Which metrics say the same: rank correlations over a spread of answers, and groups that are one voice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

# Metrics of one voice rank the answers alike: each pair of them at least so.
ONE_VOICE = 0.9
# A correlation over fewer answers says nothing.
_FEW = 10


def rank_correlations(values: Mapping[str, Sequence[float | None]]) -> dict[tuple[str, str], float]:
    """Spearman's rho of each pair of metrics over the answers that both have a value on; higher is better in all.

    A metric without spread, or with too few values in common, has no correlation. Source: Spearman, *The proof and
    measurement of association between two things*, 1904; ties have mean ranks.
    """
    import numpy as np
    from scipy.stats import rankdata

    names, found = list(values), {}
    columns = {name: np.array([np.nan if each is None else each for each in values[name]], float) for name in names}
    for place, one in enumerate(names):
        for other in names[place + 1 :]:
            both = np.isfinite(columns[one]) & np.isfinite(columns[other])
            if both.sum() < _FEW:
                continue
            ranks = [rankdata(columns[name][both]) for name in (one, other)]
            if min(float(each.std()) for each in ranks) > 0:
                found[one, other] = float(np.corrcoef(*ranks)[0, 1])
    return found


def voices(names: Sequence[str], correlations: Mapping[tuple[str, str], float]) -> list[list[str]]:
    """Groups of metrics in which every pair correlates by `ONE_VOICE` or more, as complete linkage makes them.

    Every name stands in one group, in the order of the names. A pair without correlation is no voice together.
    """
    import numpy as np
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import squareform

    if len(names) < 2:
        return [[name] for name in names]
    distance = np.ones((len(names), len(names)))
    np.fill_diagonal(distance, 0)
    places = {name: place for place, name in enumerate(names)}
    for (one, other), rho in correlations.items():
        if one in places and other in places:
            row, column = places[one], places[other]
            distance[row, column] = distance[column, row] = 1 - rho
    # Rounding errors must not part what correlates by the bound itself.
    numbers = fcluster(linkage(squareform(distance, checks=False), "complete"), 1 - ONE_VOICE + 1e-9, "distance")
    groups: dict[int, list[str]] = {}
    for name, number in zip(names, numbers.tolist(), strict=True):
        groups.setdefault(number, []).append(name)
    return list(groups.values())
