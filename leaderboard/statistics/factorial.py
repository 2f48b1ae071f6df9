"""A study's factors: what each of them does, and which of them depend on one another.

Every item is answered by every cell of the study, so an effect is a contrast within items, c_i = sum of w_cell
y_i,cell, and is tested like any paired difference. Weights are those of an orthogonal two-level design: a main effect
is the mean of the higher level's cells minus that of the lower level's, an interaction is half the difference of two
simple effects. Where cells are missing, only those with a partner in every level count.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from telbench.errors import InputError

from . import sign_flip
from .clusters import Documents, clustered, documents
from .multiplicity import family, holm_levels
from .paired import TIE_DECIMALS, PairedDifference, paired_differences
from .recipes import RecipeEffect, matched_seeds

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

ITEMS = "these checkpoints on questions like these (items vary)"
SEEDS = "this recipe (training seeds vary)"


@dataclass(frozen=True)
class ScoredCell:
    """One run of a study: levels of its factors, its training seed, and a score an item (NaN where there is none)."""

    levels: Mapping[str, str]
    seed: str
    scores: NDArray[np.float64]


@dataclass(frozen=True)
class Effect:
    """A contrast of a study.

    ``kind``: main, interaction, simple (a main effect within one level of another factor) or within (within one
    combination of all other factors). ``contrast`` names it in words. ``cells`` is the number of cells that it uses,
    seeds averaged. ``items`` says what is true of these checkpoints, ``recipe`` what can be said of the recipes.
    ``p_adjusted`` and ``p_wilcoxon_adjusted`` are corrected by Holm within ``family``; ``ci_adjusted`` is the interval
    at the level at which Holm decides: it holds 0 where ``p_adjusted`` is above the error rate.
    """

    kind: str
    contrast: str
    factors: tuple[str, ...]
    cells: int
    family: str
    items: PairedDifference
    p_adjusted: float
    p_wilcoxon_adjusted: float
    recipe: RecipeEffect
    ci_adjusted: tuple[float, float] | None = None

    def to_dict(self) -> dict[str, Any]:
        """As a JSON record."""
        return asdict(self)


@dataclass(frozen=True)
class Study:
    """All effects of a study in one metric, positive where the second level is better; ``omitted`` says what is not."""

    factors: Mapping[str, tuple[str, ...]]
    main: tuple[Effect, ...]
    interactions: tuple[Effect, ...]
    simple: tuple[Effect, ...]
    within: tuple[Effect, ...]
    omitted: tuple[str, ...]
    estimands: tuple[str, str] = (ITEMS, SEEDS)

    def to_dict(self) -> dict[str, Any]:
        """As a JSON record."""
        return asdict(self)


@dataclass(frozen=True)
class _Contrast:
    kind: str
    words: str
    factors: tuple[str, ...]
    weights: Mapping[tuple[str, ...], float]


def analyse(
    cells: Sequence[ScoredCell],
    clusters: Sequence[str] | Documents | None,
    *,
    factors: Sequence[str] | None = None,
    higher_is_better: bool = True,
    level: float = 0.95,
    estimates: bool = True,
) -> Study:
    """Main effects and two-way interactions (one family, Holm), simple effects where an interaction is significant, and
    each factor within every combination of the others (a family a factor: the study's own view).

    ``factors`` names those to analyse (default: all that vary). All scores are of the same items in the same order.
    Without ``estimates`` effects have their corrected intervals alone (`paired_differences`).

    Raises:
        InputError: when no factor varies.
    """
    order = _ordered_levels(cells, factors)
    if not order:
        raise InputError("no factor varies between these runs: a study needs two levels of at least one")
    table = _Table(cells, tuple(order), clusters, higher_is_better, level, estimates)
    omitted: list[str] = []
    planned: list[_Contrast] = []
    for name in order:
        for low, high in itertools.combinations(order[name], 2):
            planned += _kept(_main(table, name, low, high), f"{name}: {high} - {low}", omitted)
    for one, other in itertools.combinations(order, 2):
        for first in itertools.combinations(order[one], 2):
            for second in itertools.combinations(order[other], 2):
                words = f"{one} ({first[1]} - {first[0]}) x {other} ({second[1]} - {second[0]})"
                planned += _kept(_interaction(table, (one, *first), (other, *second)), words, omitted)
    effects = table.effects(planned, "main effects and two-way interactions")
    interactions = tuple(effect for effect in effects if effect.kind == "interaction")
    alpha = 1 - level
    depending = [effect.factors for effect in interactions if effect.p_adjusted <= alpha]
    return Study(
        factors=order,
        main=tuple(effect for effect in effects if effect.kind == "main"),
        interactions=interactions,
        simple=table.effects(_simple(table, order, depending), "simple effects"),
        within=tuple(itertools.chain.from_iterable(_within(table, order, name) for name in order)),
        omitted=tuple(omitted),
    )


class _Table:
    """Cells by their levels, seeds averaged, and the contrasts of them."""

    def __init__(
        self,
        cells: Sequence[ScoredCell],
        names: tuple[str, ...],
        clusters: Sequence[str] | Documents | None,
        higher_is_better: bool,
        level: float,
        estimates: bool,
    ) -> None:
        import numpy as np

        self.names = names
        self.level = level
        self._estimates = estimates
        self._clusters = documents(clusters) if isinstance(clusters, Sequence) else clusters
        self._sign = 1.0 if higher_is_better else -1.0
        self._seeds: dict[tuple[str, ...], dict[str, NDArray[np.float64]]] = {}
        for cell in cells:
            key = tuple(cell.levels[name] for name in names)
            runs = self._seeds.setdefault(key, {})
            if cell.seed in runs:
                told = ", ".join(f"{name}={value}" for name, value in zip(names, key, strict=True))
                raise InputError(f"two runs have the same factors and seed ({told}, seed={cell.seed}): name one only")
            runs[cell.seed] = cell.scores
        self.means = {key: np.mean(list(runs.values()), axis=0) for key, runs in self._seeds.items()}

    def effects(self, contrasts: Sequence[_Contrast], name: str) -> tuple[Effect, ...]:
        """The contrasts tested, corrected together."""
        data, names = [], []
        for each in contrasts:
            differences, own = self._differences(each.weights)
            data.append(clustered(differences, own))
            names.append(None if own is None else own.names)
        found = paired_differences(data, names, self.level, estimates=self._estimates)
        adjusted = family(name, [each.p_mean for each in found]).adjusted
        ranked = family(name, [each.p_wilcoxon for each in found]).adjusted
        raw = [each.p_mean for each in found]
        levels = [1 - rate for rate in holm_levels(raw, 1 - self.level)]
        intervals = sign_flip.intervals(data, levels, raw)
        return tuple(
            Effect(
                contrast.kind,
                contrast.words,
                contrast.factors,
                len(contrast.weights),
                name,
                difference,
                1.0 if p is None else p,
                1.0 if p_ranks is None else p_ranks,
                self._over_seeds(contrast.weights),
                interval,
            )
            for contrast, difference, p, p_ranks, interval in zip(
                contrasts, found, adjusted, ranked, intervals, strict=True
            )
        )

    def _differences(self, weights: Mapping[tuple[str, ...], float]) -> tuple[NDArray[np.float64], Documents | None]:
        """The contrast of each item that all its cells have a score on, and the clusters of these items."""
        import numpy as np

        values = self._sign * np.sum([weight * self.means[key] for key, weight in weights.items()], axis=0)
        present = np.isfinite(values)
        if not present.any():
            raise InputError("no item has a score in all cells of a contrast: score the runs with the same --metrics")
        clusters = None if self._clusters is None else self._clusters.of(present)
        return np.round(values[present], TIE_DECIMALS) + 0.0, clusters

    def _over_seeds(self, weights: Mapping[tuple[str, ...], float]) -> RecipeEffect:
        """The contrast once a seed that all its cells have, of the cells' means over items."""
        import numpy as np

        shared = set.intersection(*(set(self._seeds[key]) for key in weights))
        effects = []
        for seed in sorted(shared):
            values = np.sum([weight * self._seeds[key][seed] for key, weight in weights.items()], axis=0)
            effects.append(self._sign * float(np.nanmean(values)))
        return matched_seeds(effects, self.level)


def _ordered_levels(cells: Sequence[ScoredCell], factors: Sequence[str] | None) -> dict[str, tuple[str, ...]]:
    """Factors that vary with their levels in order: false before true, base before the rest, same before different."""
    names = list(dict.fromkeys(itertools.chain.from_iterable(cell.levels for cell in cells)))
    if factors is not None:
        if unknown := [name for name in factors if name not in names]:
            raise InputError(f"no run has the factor '{unknown[0]}': there are {', '.join(names) or 'none'}")
        names = list(factors)
    first = ("false", "base", "no", "none", "same", "kd", "vanilla_kd", "sft")
    found = {}
    for name in names:
        if lacking := next((cell for cell in cells if name not in cell.levels), None):
            raise InputError(f"a run has no factor '{name}' (its factors are {dict(lacking.levels)}): name the factors")
        levels = {cell.levels[name] for cell in cells}
        rank = {level: first.index(level.lower()) if level.lower() in first else len(first) for level in levels}
        found[name] = tuple(sorted(levels, key=lambda level, rank=rank: (rank[level], level)))
    return {name: levels for name, levels in found.items() if len(levels) > 1}


def _kept(contrast: _Contrast | None, words: str, omitted: list[str]) -> list[_Contrast]:
    if contrast is None:
        omitted.append(f"{words}: no cells that differ in this alone")
        return []
    return [contrast]


def _main(table: _Table, name: str, low: str, high: str, given: Mapping[str, str] | None = None) -> _Contrast | None:
    """High minus low, averaged over the combinations of the other factors that have both."""
    position = table.names.index(name)
    given = given or {}
    pairs = []
    for key in table.means:
        held = all(key[table.names.index(factor)] == level for factor, level in given.items())
        partner = (*key[:position], high, *key[position + 1 :])
        if held and key[position] == low and partner in table.means:
            pairs.append((key, partner))
    if not pairs:
        return None
    weights = {}
    for key, partner in pairs:
        weights[key], weights[partner] = -1.0 / len(pairs), 1.0 / len(pairs)
    where = ", ".join(f"{factor} = {level}" for factor, level in given.items())
    words = f"{name}: {high} - {low}" + (f" where {where}" if where else "")
    return _Contrast("simple" if given else "main", words, (name, *given), weights)


def _interaction(table: _Table, one: tuple[str, str, str], other: tuple[str, str, str]) -> _Contrast | None:
    """Half of (effect of one at the other's high level minus that at its low level)."""
    places = table.names.index(one[0]), table.names.index(other[0])
    squares = []
    for key in table.means:
        if (key[places[0]], key[places[1]]) != (one[1], other[1]):
            continue
        corners = {}
        for (i, first), (j, second) in itertools.product(enumerate(one[1:]), enumerate(other[1:])):
            corner = list(key)
            corner[places[0]], corner[places[1]] = first, second
            corners[tuple(corner)] = 1.0 if i == j else -1.0
        if all(corner in table.means for corner in corners):
            squares.append(corners)
    if not squares:
        return None
    weights = {corner: sign / (2 * len(squares)) for corners in squares for corner, sign in corners.items()}
    words = f"{one[0]} ({one[2]} - {one[1]}) x {other[0]} ({other[2]} - {other[1]})"
    return _Contrast("interaction", words, (one[0], other[0]), weights)


def _simple(
    table: _Table, order: Mapping[str, tuple[str, ...]], depending: Sequence[tuple[str, ...]]
) -> list[_Contrast]:
    """Each factor of a significant interaction within each level of the other."""
    wanted = list(dict.fromkeys(itertools.chain.from_iterable(itertools.permutations(pair) for pair in depending)))
    found = []
    for name, other in wanted:
        for low, high in itertools.combinations(order[name], 2):
            found += [_main(table, name, low, high, {other: level}) for level in order[other]]
    return [contrast for contrast in found if contrast is not None]


def _within(table: _Table, order: Mapping[str, tuple[str, ...]], name: str) -> tuple[Effect, ...]:
    """One factor within every combination of the others, corrected within the factor."""
    others = [factor for factor in order if factor != name]
    contrasts = []
    for low, high in itertools.combinations(order[name], 2):
        for combination in itertools.product(*(order[factor] for factor in others)):
            contrast = _main(table, name, low, high, dict(zip(others, combination, strict=True)))
            if contrast is not None:
                contrasts.append(_Contrast("within", contrast.words, contrast.factors, contrast.weights))
    return table.effects(contrasts, f"{name} within each combination of the others")
