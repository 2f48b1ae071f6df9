"""What a plan starts from: the differences of two pilot runs, the scores of one with an assumption, or assumptions."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from telbench.errors import IncomparableError, InputError

from ...metrics.contract import Metric
from ...metrics.intervals import aggregate, statistics_matrix, summed
from ..compare.seeds import SEED, Recipe, average_seeds, without_seed, word
from ..gate.evidence import evidence_of, scored
from ..runs.foreign import AS_IT_IS, Reading
from ..runs.loaded import LoadedRun, as_of_one_judge, notes_of, require_alike, shared_metrics
from ..runs.sources import open_runs, require_used
from ..statistics.clusters import FEW_CLUSTERS, Summed, clustered, summed_up
from ..statistics.corpus import difference_sums
from ..statistics.paired import FEW_ITEMS, TIE_DECIMALS
from .components import Component, Components, components_of
from .panels import judge_columns

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Basis = Literal["two runs", "one run", "assumptions"]


@dataclass(frozen=True)
class Assumptions:
    """What is taken for granted where no pilot tells it.

    ``sd``: standard deviation of one item's difference, in the metric's unit; ``icc``: correlation of the differences
    within documents; ``correlation``: of the two runs' scores of one item; ``seed_sd``: of a training seed's effect.
    """

    sd: float | None = None
    icc: float | None = None
    correlation: float | None = None
    seed_sd: float | None = None


@dataclass(frozen=True)
class Judges:
    """What a panel adds to the variance of a difference: each judge's own effect, and what single verdicts vary by."""

    judge: Component
    verdict: Component


@dataclass(frozen=True)
class Pilot:
    """What is known of the differences in one metric.

    ``sample`` holds their sums by document (of scores brought to the scale of differences, where there is one run).
    ``spread`` is the cluster-robust standard error of the mean difference times the root of the number of items: as a
    check has it. ``freedom`` says how well it is known, in degrees of freedom; None where it was assumed. ``differ``
    counts the items with other scores in the two runs, where those are known; ``judges`` is there for judged metrics.
    ``loss`` is what a document loses that gets the worst answers (`skew.failing_loss`), where two runs tell.
    """

    metric: str
    basis: Basis
    sample: Summed
    spread: float | None
    freedom: float | None
    components: Components
    seeds: int
    delta: float | None = None
    differ: int | None = None
    judges: Judges | None = None
    loss: float | None = None

    @property
    def few(self) -> str | None:
        """Why nothing can be planned from so little; None where it can."""
        if self.sample.effective_groups < FEW_CLUSTERS:
            told = f"{self.sample.effective_groups:.1f} equal documents, it takes {FEW_CLUSTERS:.0f}"
            return f"the pilot says as much as {told}"
        if self.differ is not None and self.differ < FEW_ITEMS:
            return f"too few items differ: {self.differ} of {self.sample.n}, it takes {FEW_ITEMS}"
        return None if self.spread is not None else "no bound can be told of the pilot"

    @property
    def standard_error(self) -> float | None:
        """Of the mean difference of these items."""
        return None if self.spread is None else self.spread / math.sqrt(self.sample.n)

    @property
    def typical(self) -> float:
        """Items of the document that an item is of, on average: sum of squared sizes / sum of sizes."""
        return float((self.sample.sizes**2).sum() / self.sample.sizes.sum())


@dataclass(frozen=True)
class Arms:
    """The models of the pilot, baseline first, as one run each; ``recipes`` hold their seeds."""

    runs: list[LoadedRun]
    recipes: list[Recipe]
    metrics: list[Metric]
    notes: list[str]


def arms_of(
    paths: Sequence[Path],
    reading: Reading = AS_IT_IS,
    wanted: Collection[str] | None = None,
    *,
    same_judge: bool = False,
) -> Arms:
    """The runs by model; those that differ in their training seed alone are one. ``wanted`` metrics will be used.

    ``same_judge``: the user asserts that one judge judged them all (`as_of_one_judge`).

    Raises:
        InputError: for more than two models. IncomparableError: for runs that were not measured alike.
    """
    runs = open_runs(paths, reading)
    require_used(reading, runs)
    require_alike(runs)
    if same_judge:
        runs = as_of_one_judge(runs)
    metrics = shared_metrics(runs, wanted)
    factors = [{name: word(value) for name, value in run.header.get("factors", {}).items()} for run in runs]
    seeded = [tuple(sorted(without_seed(each).items())) for each in factors if SEED in each]
    recipes = average_seeds(runs) if len(set(seeded)) < len(seeded) else [Recipe(run, {}) for run in runs]
    if len(recipes) > 2:
        raise InputError(
            f"these are runs of {len(recipes)} models: a plan needs one or two, the baseline first; several runs of a "
            "model count as one where they differ in their training seed alone"
        )
    return Arms([recipe.run for recipe in recipes], recipes, metrics, notes_of(runs))


def pilot_of(metric: Metric, arms: Arms, assumed: Assumptions, *, alpha: float, max_missing: float) -> Pilot:
    """The pilot of a metric.

    Raises:
        IncomparableError: where too few items have a score. InputError: for one run without an assumption.
    """
    if len(arms.runs) == 2:
        return _of_differences(metric, arms, assumed, alpha, max_missing)
    return _of_scores(metric, arms, assumed)


def assumed_pilot(metric: str, assumed: Assumptions, items: int, documents: int) -> Pilot:
    """A pilot that nobody made: documents as equal as can be, and the spread that was assumed.

    Raises:
        InputError: for what is not assumed, or more documents than items.
    """
    import numpy as np

    if assumed.sd is None:
        raise InputError("a plan without runs needs --sd, the standard deviation of one item's difference: see --help")
    if documents > items:
        raise InputError(f"--documents {documents}: there are more than the {items} items")
    icc = assumed.icc
    if items > documents and icc is None:
        raise InputError("items that share a document need --icc, the correlation of their differences (0 if none)")
    share = Component(icc, reason=None if icc is not None else "not assumed")
    total = assumed.sd**2
    document = Component(None if icc is None else icc * total, reason=share.reason)
    unknown = Component(None, reason="not assumed")
    within = total if icc is None else (1 - icc) * total
    components = Components(
        document, Component(within), unknown, _assumed_seed(unknown, assumed), share, "assumed", True
    )
    least, more = divmod(items, documents)
    sample = summed_up(np.zeros(documents), np.repeat([least + 1.0, float(least)], [more, documents - more]))
    pilot = Pilot(metric, "assumptions", sample, None, None, components, 1)
    return replace(pilot, spread=assumed.sd * math.sqrt(1 + (pilot.typical - 1) * (icc or 0.0)))


def freedom_of(sample: Summed) -> float | None:
    """How well the spread is known, as degrees of freedom of a chi-squared variable; None for fewer than two documents.

    Matches the variance that the documents' squared residuals show (Satterthwaite 1946; for other than normal
    differences Bonett 2006 does the same with their kurtosis), and is never above the effective number of documents
    less one, since a small pilot often misses the few large ones.
    """
    if sample.groups < 2:
        return None
    squares = (sample.sums - sample.sizes * sample.mean) ** 2
    varied = sample.groups / (sample.groups - 1) * float(((squares - squares.mean()) ** 2).sum())
    most = sample.effective_groups - 1
    return min(most, 2 * float(squares.sum()) ** 2 / varied) if varied > 0 else most


def _of_differences(metric: Metric, arms: Arms, assumed: Assumptions, alpha: float, max_missing: float) -> Pilot:
    base, ours = arms.runs
    found = evidence_of(metric, ours, base, margin=None, alpha=alpha, max_missing=max_missing)
    names, seeds = _matched(arms)
    columns = [_differences(metric, found.items, *pair) for pair in seeds] if len(seeds) > 1 else [found.differences]
    if metric.level == "corpus":
        components = _none_of_corpus(metric)
    else:
        components = _components(columns, found.clusters, _why_one_seed(arms))
    components = replace(components, replicate=_assumed_seed(components.replicate, assumed))
    return Pilot(
        metric.name,
        "two runs",
        found.data,
        found.spread,
        freedom_of(found.data),
        components,
        len(names) or 1,
        found.delta,
        int((found.differences != 0).sum()),
        _judges(metric, arms, found.items, found.clusters),
        found.loss,
    )


def _of_scores(metric: Metric, arms: Arms, assumed: Assumptions) -> Pilot:
    import numpy as np

    (run,) = arms.runs
    if assumed.correlation is None and assumed.sd is None:
        raise InputError(
            "one run does not tell how two models differ: name a second, or assume --correlation (of the two models' "
            "scores of one item; 0.5 is careful for models of one family) or --sd"
        )
    sides = scored(run, metric)
    items = [item for item in run.clusters if sides.get(item) is not None]
    if not items:
        raise IncomparableError(f"{metric.name}: no item of {run.path} has a score")
    clusters = [run.clusters[item] for item in items]
    values = np.array([sides[item] for item in items], np.float64)
    by_item = clustered(values, clusters)
    sums, sizes, deviation = by_item.sums, by_item.sizes, by_item.deviation
    if assumed.sd is not None:
        if not deviation:
            raise InputError(
                f"{metric.name}: all scores of {run.path} are the same: make a plan from assumptions alone"
            )
        factor = assumed.sd / deviation
    else:
        factor = math.sqrt(2 * (1 - (assumed.correlation or 0.0)))
    if metric.level == "corpus":
        (found,) = summed([statistics_matrix(metric, [run.scores[metric.name][item] for item in items])], clusters)
        rows, score = found.by_cluster, partial(aggregate, metric)
        sizes, total = rows[:, -1], rows.sum(axis=0)
        # Each document against its share of the whole: what sets it apart from a run without differences.
        apart = difference_sums(rows, sizes[:, None] * (total / total[-1]), score)
        sums = apart + sizes * float(score(total[None])[0])
        components = _none_of_corpus(metric)
    else:
        seeds = arms.recipes[0].seeds
        columns = [_column(metric, items, each) * factor for each in seeds.values()] if len(seeds) > 1 else []
        components = _components(columns or [values * factor], clusters, _why_one_seed(arms))
        # Seeds of one model: their effect on its scores is not that on a difference of two.
        components = replace(components, replicate=_assumed_seed(Component(None, reason=_ONE_MODEL), assumed))
    data = summed_up(sums * factor, sizes)
    error = data.standard_error
    return Pilot(
        metric.name,
        "one run",
        data,
        None if error is None else error * math.sqrt(data.n),
        freedom_of(data),
        components,
        max(1, len(arms.recipes[0].seeds)),
    )


def _judges(metric: Metric, arms: Arms, items: Sequence[str], clusters: Sequence[str]) -> Judges | None:
    """What the judges of two models' runs add, by what each of them says of the same items."""
    if metric.family != "judged":
        return None
    import numpy as np

    sides: list[dict[str, NDArray[np.float64]]] = []
    for recipe in arms.recipes:
        by_seed = []
        for run in recipe.seeds.values() or (recipe.run,):
            found = judge_columns(metric, run, items)
            if isinstance(found, str):
                unknown = Component(None, reason=found)
                return Judges(unknown, unknown)
            by_seed.append(found)
        sides.append({name: np.mean([each[name] for each in by_seed], axis=0) for name in by_seed[0]})
    base, ours = sides
    parts = _components([ours[name] - base[name] for name in ours if name in base], clusters, "one judge only", "judge")
    return Judges(parts.replicate, parts.rest)


_ONE_MODEL = "one model only: how a seed changes the difference of two is not seen"


def _components(
    columns: Sequence[NDArray[np.float64]], clusters: Sequence[str], few: str, replicate: str = "seed"
) -> Components:
    import numpy as np

    values = np.stack(columns, axis=1)
    whole = ~np.isnan(values).any(axis=1)
    names = np.array(clusters, dtype=object)[whole]
    return components_of(values[whole], np.unique(names, return_inverse=True)[1], replicate, few)


def _matched(arms: Arms) -> tuple[list[str], list[tuple[LoadedRun, LoadedRun]]]:
    """Seeds that both models have, and their runs (candidate, baseline)."""
    base, ours = (recipe.seeds for recipe in arms.recipes)
    names = sorted(name for name in base if name and name in ours)
    return names, [(ours[name], base[name]) for name in names]


def _why_one_seed(arms: Arms) -> str:
    if any(len(recipe.seeds) > 1 for recipe in arms.recipes):
        return "the models have no two seeds in common"
    return "one training seed a model"


def _differences(metric: Metric, items: Sequence[str], ours: LoadedRun, base: LoadedRun) -> NDArray[np.float64]:
    import numpy as np

    sign = 1.0 if metric.higher_is_better else -1.0
    return np.round(sign * (_column(metric, items, ours) - _column(metric, items, base)), TIE_DECIMALS) + 0.0


def _column(metric: Metric, items: Sequence[str], run: LoadedRun) -> NDArray[np.float64]:
    """Scores of these items; NaN where there is none."""
    import numpy as np

    sides = scored(run, metric)
    values = [sides.get(item) for item in items]
    return np.array([np.nan if value is None else value for value in values], np.float64)


def _none_of_corpus(metric: Metric) -> Components:
    unknown = Component(None, reason=f"{metric.name} is a score of the whole, items have no part of their own in it")
    return Components(unknown, unknown, unknown, unknown, unknown, "none", True)


def _assumed_seed(known: Component, assumed: Assumptions) -> Component:
    return known if assumed.seed_sd is None else Component(assumed.seed_sd**2)
