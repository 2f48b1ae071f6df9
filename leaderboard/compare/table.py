"""Comparisons as text: the warnings that matter first, then a table that people can read."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from ...harness.cli.tables import columns, number
from ...metrics.contract import Metric
from ..runs.loaded import LoadedRun
from ..statistics.factorial import Effect, Study
from ..statistics.paired import FEW_CLUSTERS
from ..statistics.skew import carriers_text
from .pairwise import ALPHA, FEW_DOCUMENTS, Comparison
from .ranking import CAPTIONS, Ranking
from .readings import doubts
from .seeds import SeedEffect

CLUSTERS = {"source_document": "source documents", "category": "categories", "item": "items"}
# A reader learns from a p-value down to here that it is small.
_SMALL_P = 0.001
# A line names so many pairs of runs; the rest are counted.
_NAMED = 3
# Differences are rounded to so many decimals before they are tested.
_MOST_DIGITS = 9


def distinct_names(runs: Sequence[LoadedRun]) -> list[str]:
    """Names of runs for a table: the models', or the folders' where those repeat, or numbered."""
    for names in ([run.name for run in runs], [run.path.resolve().name for run in runs]):
        if len(set(names)) == len(names):
            return names
    return [f"{run.name} #{index}" for index, run in enumerate(runs, start=1)]


def warning_lines(runs: Sequence[LoadedRun], names: Sequence[str], compared: Sequence[Comparison]) -> list[str]:
    """What a reader should know before the numbers."""
    lines = []
    whole = [each for each in compared if each.stratum is None]
    for each in whole:
        if "sign_conflict" in each.items.flags:
            lines.append(
                f"WARNING: {each.metric} of {each.run}: mean ({number(each.items.delta, 1)}) and ranks (rank-biserial "
                f"{number(each.items.rank_biserial, 1)}) point in opposite directions: many small changes one way, few "
                "large ones the other"
            )
    carried = [each for each in whole if each.items.carriers]
    lines += [
        f"note: {each.metric} of {each.run}: {carriers_text(each.items.carriers, each.items.clusters)}"
        for each in carried[:_NAMED]
    ]
    if len(carried) > _NAMED:
        lines.append(f"note: few documents carry the spread of {len(carried) - _NAMED} rows more (carriers in --json)")
    if few := sorted({each.metric for each in whole if "few_clusters" in each.items.flags}):
        effective = min(each.items.effective_clusters for each in whole if each.metric in few)
        lines.append(
            f"WARNING: {effective:.1f} effective source documents: no claim can be made from so few; --cluster item "
            "would take items of one document for independent"
        )
    for metric in dict.fromkeys(each.metric for each in whole):
        entries = [(name, run.header["metrics"].get(metric, {})) for run, name in zip(runs, names, strict=True)]
        lines += [f"WARNING: {doubt}" for doubt in doubts(metric, entries)]
    for run, name in zip(runs, names, strict=True):
        if over := (run.header.get("judge") or {}).get("over_cap"):
            lines.append(f"WARNING: judges gave no verdict on many items of {name} in {', '.join(over)}")
    lines += _formats(runs, names)
    lost = {
        f"{each.metric} of {each.run}": sum(each.unpaired.values())
        for each in whole
        if sum(each.unpaired.values()) > 0.01 * (each.n + sum(each.unpaired.values()))
    }
    if lost:
        told = ", ".join(f"{name} ({count})" for name, count in list(lost.items())[:4])
        lines.append(f"note: items without a score on one side are left out: {told}{' …' if len(lost) > 4 else ''}")
    elsewhere = [name for name, run in zip(names, runs, strict=True) if run.made_elsewhere]
    if elsewhere and len(elsewhere) < len(runs):
        lines.append(
            f"note: answers of {', '.join(elsewhere)} were made elsewhere: their prompts and decoding are not checked"
        )
    return lines


def _formats(runs: Sequence[LoadedRun], names: Sequence[str]) -> list[str]:
    """One warning where the models were computed in different number formats, as far as that is known."""
    computed: dict[str, list[str]] = {}
    for run, name in zip(runs, names, strict=True):
        if dtype := run.header["generation"].get("dtype"):
            computed.setdefault(dtype, []).append(name)
    if len(computed) < 2:
        return []
    told = "; ".join(
        f"{dtype}: {', '.join(each[:4])}{' …' if len(each) > 4 else ''}" for dtype, each in computed.items()
    )
    return [
        f"WARNING: other number formats ({told}): a part of the difference may be rounding; --dtype sets one for all"
    ]


def table_lines(
    runs: Sequence[LoadedRun],
    names: Sequence[str],
    metrics: Sequence[Metric],
    compared: Sequence[Comparison],
    cluster: str,
    primary: Collection[str] = (),
) -> list[str]:
    """A row a metric for two runs; a table a metric, with a row a run, for more; all categories in one table."""
    data = runs[0].header["data"]
    lines = [f"{data['name']} {data['split']}: {data['n']} items"]
    found = {(each.metric, each.run): each for each in compared if each.stratum is None}
    others = list(zip(runs[1:], names[1:], strict=True))
    if len(runs) == 2:
        rows = [
            _row(runs[0], runs[1], metric, found.get((metric.name, names[1])), _title(metric)) for metric in metrics
        ]
        lines += _table(["metric", names[0], names[1]], rows)
    else:
        for metric in metrics:
            rows = [_row(runs[0], run, metric, found.get((metric.name, name)), name) for run, name in others]
            lines += ["", _title(metric), *_table(["run", names[0], "run"], rows)]
    strata = [each for each in compared if each.stratum is not None]
    if strata:
        lines += ["", *_categories(runs, names, metrics, strata)]
    count = max(each.items.clusters for each in compared)
    lines.append(
        f"difference = run minus {names[0]}, + better, - worse; interval and p by the sign-flip test over {count} "
        f"{CLUSTERS[cluster]}"
    )
    lines.append(
        f"p: Holm over {_families(compared, primary)}; the interval is at the level at which Holm decides on its row, "
        "so it holds 0 where no difference is shown; r: rank-biserial; p alone, 95 % intervals alone, q in --json"
    )
    return lines


def _families(compared: Sequence[Comparison], primary: Collection[str]) -> str:
    """Which rows are corrected together, in words; those with too few documents are no test."""
    compared = [each for each in compared if each.verdict != FEW_DOCUMENTS]
    sizes = {
        (first, whole): sum((each.metric in primary, each.stratum is None) == (first, whole) for each in compared)
        for first in (True, False)
        for whole in (True, False)
    }
    names = {(True, True): "primary", (False, True): "other" if sizes[True, True] else "", (True, False): "primary "
             "category", (False, False): "other category" if sizes[True, False] else "category"}  # fmt: skip
    return (
        ", ".join(
            f"{size} {(names[key] + ' ').lstrip()}row{'' if size == 1 else 's'}" for key, size in sizes.items() if size
        )
        or "no row"
    )


def _categories(
    runs: Sequence[LoadedRun], names: Sequence[str], metrics: Sequence[Metric], strata: Sequence[Comparison]
) -> list[str]:
    """All categories in one table."""
    by_name, places = {metric.name: metric for metric in metrics}, {name: place for place, name in enumerate(names)}
    heads = ["category", "metric", *(["run"] if len(runs) > 2 else []), names[0], names[1] if len(runs) == 2 else "run"]
    rows = []
    for each in sorted(strata, key=lambda each: (str(each.stratum), list(by_name).index(each.metric))):
        metric = by_name[each.metric]
        labels = [str(each.stratum), _title(metric), *([each.run] if len(runs) > 2 else [])]
        rows.append(_row(runs[0], runs[places[each.run]], metric, each, *labels))
    return _table(heads, rows)


def _title(metric: Metric) -> str:
    return metric.name + ("" if metric.higher_is_better else " (lower is better)")


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    heads = [*heads, "difference", "p", "r", "wins/ties/losses", "n", "verdict"]
    sides = "<" * (len(heads) - 8) + ">>>>>>><"
    return columns([heads, *rows], sides)


def _row(base: LoadedRun, run: LoadedRun, metric: Metric, each: Comparison | None, *labels: str) -> list[str]:
    if each is None:
        return [*labels, "N/A", "N/A", "N/A", "", "", "", "0", "no item has a score in both"]
    entries = [side.header["metrics"][metric.name] for side in (base, run)]
    width, record = entries[0]["range"][1], each.items
    return [
        *labels,
        _value_text(each.values[1], entries[0], width),
        _value_text(each.values[0], entries[1], width),
        difference_text(each.delta, each.ci_verdict, width),
        "" if each.verdict == FEW_DOCUMENTS else p_value(each.p_verdict),
        number(record.rank_biserial, 1) if record.rank_biserial is not None else "",
        f"{record.wins}/{record.ties}/{record.losses}",
        str(each.n),
        each.told,
    ]


def difference_text(delta: float, interval: tuple[float, float] | None, width: float | None) -> str:
    """A difference with its interval, in as many digits as it takes to see that 0 is not in it.

    >>> difference_text(-0.0091, (-0.0187, -0.0003), 1), difference_text(0.004, (-0.0002, 0.0082), 1)
    ('-0.0091 [-0.0187, -0.0003]', '+0.004 [0.000, 0.008]')
    """
    if interval is None:
        return _signed(delta, width)
    digits = 3 if width is not None and width <= 1 else 1
    inner = max(interval[0], -interval[1])
    while inner > 0 and digits < _MOST_DIGITS and round(inner, digits) == 0:
        digits += 1
    shown = [f"{round(value, digits) + 0.0:.{digits}f}" for value in (delta, *interval)]
    sign = "" if shown[0].startswith("-") else "+"
    return f"{sign}{shown[0]} [{shown[1]}, {shown[2]}]"


def _value_text(value: float, entry: Mapping[str, Any], width: float | None) -> str:
    """A value, with the calibrated position beside it where the metric's scale says little by itself."""
    calibrated = (entry.get("calibration") or {}).get("value")
    return number(value, width) + ("" if calibrated is None else f" (cal. {number(calibrated, 1)})")


def _signed(value: float, width: float | None) -> str:
    text = number(value, width)
    return text if text.startswith("-") else f"+{text}"


def p_value(p: float) -> str:
    """A p-value as it is printed: never rounded to 0.05 from above.

    >>> p_value(0.0312), p_value(1e-9), p_value(1.0), p_value(0.05003)
    ('0.031', '<0.001', '1.000', '0.05003')
    """
    if p < _SMALL_P:
        return f"<{_SMALL_P}"
    digits = 3
    while p > ALPHA and round(p, digits) <= ALPHA and digits < _MOST_DIGITS:
        digits += 1
    return f"{p:.{digits}f}"


def ranking_lines(rankings: Sequence[Ranking]) -> list[str]:
    """For each metric: ranks that each run may have, and letters that unseparated runs share."""
    lines: list[str] = []
    for each in rankings:
        result = each.friedman
        agreement = f"; Kendall's W {result.kendall_w:.3f}, Friedman p {p_value(result.p_f)}"
        if each.few_clusters:
            agreement = (
                f" ({each.effective_clusters:.1f} effective source documents, it takes {FEW_CLUSTERS:.0f}: one group)"
            )
        lines += ["", f"{each.metric}: ranks of {len(each.names)} runs in {each.blocks} blocks{agreement}"]
        rows: list[Sequence[str]] = [("rank", "run", "mean", "mean rank", "group")]
        for index in each.order:
            low, high = each.ranges[index]
            rank = str(low) if low == high else f"{low}-{high}"
            mean = f"{each.means[index]:.3f}"
            rows.append((rank, each.names[index], mean, f"{result.mean_ranks[index]:.2f}", each.letters[index]))
        lines += columns(rows, "<<>><")
        if each.conflicts:
            pairs = ", ".join(f"{each.names[one]} over {each.names[other]}" for one, other in each.conflicts[:_NAMED])
            more = len(each.conflicts) - _NAMED
            pairs += f" and {more} pairs more" if more > 0 else ""
            mean = each.posthoc == "mean"
            words = "signed ranks say the opposite" if mean else "WARNING: by the mean it is the other way round"
            lines.append(f"{words}: {pairs}")
        lines.append(CAPTIONS[each.posthoc])
        if each.critical_difference is not None:
            lines.append(f"critical difference of mean ranks: {each.critical_difference:.3f}")
    return lines


def seed_lines(effects: Sequence[SeedEffect]) -> list[str]:
    """Recipes against the first with training seeds as the unit, beside the tables that have items as theirs."""
    rows: list[Sequence[str]] = [("metric", "recipe", "over seeds", "p", "by seed")]
    for each in effects:
        recipe = each.effect
        told = "" if recipe.effect is None else _signed(recipe.effect, 1)
        if recipe.effect is not None and recipe.ci_low is not None and recipe.ci_high is not None:
            told = difference_text(recipe.effect, (recipe.ci_low, recipe.ci_high), 1)
        by_seed = ", ".join(f"{seed}: {_signed(value, 1)}" for seed, value in each.by_seed.items())
        p = "" if each.p_adjusted is None else p_value(each.p_adjusted)
        if each.effect.method.startswith("sign"):
            told += f" ({each.effect.reason})"
        rows.append((each.metric, each.recipe, told, p, by_seed or "no seed in both"))
    return [
        "",
        "the recipes as such (every seed is a training; t over matched seeds, Holm over recipes within a metric, "
        "intervals at its levels):",
        *columns(rows, "<<>><"),
    ]


def study_lines(studies: Mapping[str, Study]) -> list[str]:
    """For each metric: what each factor does, what depends on what, and what can be said of recipes."""
    lines: list[str] = []
    for name, study in studies.items():
        factors = "; ".join(f"{factor}: {', '.join(levels)}" for factor, levels in study.factors.items())
        lines += ["", f"study of {name} ({factors})"]
        rows: list[Sequence[str]] = [("contrast", "effect", "p", "p Wilcoxon", "n", "over seeds")]
        rows += [_effect_row(effect) for effect in (*study.main, *study.interactions, *study.simple, *study.within)]
        lines += columns(rows, "<>>>><")
        lines += [f"left out: {words}" for words in study.omitted]
        lines.append(f"effect, p: {study.estimands[0]}; over seeds: {study.estimands[1]}")
        lines.append(
            "p, intervals: Holm within main effects and interactions, simple effects, and each factor within the others"
        )
    return lines


def _effect_row(effect: Effect) -> Sequence[str]:
    record, recipe = effect.items, effect.recipe
    if recipe.p is None:
        seeds = recipe.reason or ""
    elif recipe.ci_low is None:
        seeds = f"{number(recipe.effect, 1)}, p {p_value(recipe.p)}, {recipe.seeds} seeds: {recipe.reason}"
    else:
        low, high = number(recipe.ci_low, 1), number(recipe.ci_high, 1)
        seeds = f"{number(recipe.effect, 1)} [{low}, {high}], p {p_value(recipe.p)}, {recipe.seeds} seeds"
    return (
        f"{effect.kind}  {effect.contrast}",
        difference_text(record.delta, effect.ci_adjusted, 1),
        p_value(effect.p_adjusted),
        p_value(effect.p_wilcoxon_adjusted),
        str(record.n),
        seeds,
    )
