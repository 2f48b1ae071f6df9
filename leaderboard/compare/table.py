"""Comparisons as text: the warnings that matter first, then a table that people can read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...harness.cli.tables import columns, number
from ...metrics.contract import Metric
from ..runs.loaded import LoadedRun
from ..statistics.factorial import Effect, Study
from .pairwise import Comparison
from .ranking import CAPTIONS, Ranking
from .readings import doubts
from .seeds import SeedEffect

CLUSTERS = {"source_document": "source documents", "category": "categories", "item": "items"}
# A reader learns from a p-value down to here that it is small.
_SMALL_P = 0.001


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
) -> list[str]:
    """A row a metric for two runs; a table a run for more."""
    data = runs[0].header["data"]
    lines = [f"{data['name']} {data['split']}: {data['n']} items, 95 % intervals"]
    strata = list(dict.fromkeys(each.stratum for each in compared))
    for run, name in zip(runs[1:], names[1:], strict=True):
        for stratum in strata:
            mine = [each for each in compared if each.run == name and each.stratum == stratum]
            if not mine:
                continue
            if stratum is not None:
                lines += ["", f"{name}, category {stratum}"]
            elif len(runs) > 2:
                lines += ["", name]
            lines += _table(runs[0], run, (names[0], name), metrics, mine)
    count = max(each.items.clusters for each in compared)
    lines.append(
        f"difference = run minus {names[0]}, + better, - worse; interval and p by the sign-flip test over {count} "
        f"{CLUSTERS[cluster]}"
    )
    correction = f"Holm over {len(runs) - 1} runs within a metric" if len(runs) > 2 else "one comparison a metric"
    lines.append(
        f"p: {correction}; r: rank-biserial; over all {len(compared)} rows q (Benjamini-Hochberg) is in --json"
    )
    return lines


def _table(
    base: LoadedRun, run: LoadedRun, names: tuple[str, str], metrics: Sequence[Metric], mine: Sequence[Comparison]
) -> list[str]:
    rows: list[Sequence[str]] = [("metric", *names, "difference", "p", "r", "wins/ties/losses", "n", "verdict")]
    by_name = {each.metric: each for each in mine}
    for metric in metrics:
        title = metric.name + ("" if metric.higher_is_better else " (lower is better)")
        entries = [side.header["metrics"][metric.name] for side in (base, run)]
        each = by_name.get(metric.name)
        if each is None:
            rows.append((title, "N/A", "N/A", "N/A", "", "", "", "0", "no item has a score in both"))
            continue
        width = entries[0]["range"][1]
        interval = each.interval
        bounds = "" if interval is None else f" [{number(interval[0], width)}, {number(interval[1], width)}]"
        record = each.items
        rows.append(
            (
                title,
                _value_text(each.values[1], entries[0], width),
                _value_text(each.values[0], entries[1], width),
                f"{_signed(each.delta, width)}{bounds}",
                p_value(each.p_adjusted),
                number(record.rank_biserial, 1) if record.rank_biserial is not None else "",
                f"{record.wins}/{record.ties}/{record.losses}",
                str(each.n),
                each.verdict,
            )
        )
    return columns(rows, "<>>>>>>><")


def _value_text(value: float, entry: Mapping[str, Any], width: float | None) -> str:
    """A value, with the calibrated position beside it where the metric's scale says little by itself."""
    calibrated = (entry.get("calibration") or {}).get("value")
    return number(value, width) + ("" if calibrated is None else f" (cal. {number(calibrated, 1)})")


def _signed(value: float, width: float | None) -> str:
    text = number(value, width)
    return text if text.startswith("-") else f"+{text}"


def p_value(p: float) -> str:
    """A p-value as it is printed.

    >>> p_value(0.0312), p_value(1e-9), p_value(1.0)
    ('0.031', '<0.001', '1.000')
    """
    return f"<{_SMALL_P}" if p < _SMALL_P else f"{p:.3f}"


def ranking_lines(rankings: Sequence[Ranking]) -> list[str]:
    """For each metric: ranks that each run may have, and letters that unseparated runs share."""
    lines: list[str] = []
    for each in rankings:
        result = each.friedman
        lines += [
            "",
            f"{each.metric}: ranks of {len(each.names)} runs in {each.blocks} blocks; Kendall's W "
            f"{result.kendall_w:.3f}, Friedman p {p_value(result.p_f)}",
        ]
        rows: list[Sequence[str]] = [("rank", "run", "mean", "mean rank", "group")]
        for index in each.order:
            low, high = each.ranges[index]
            rank = str(low) if low == high else f"{low}-{high}"
            mean = f"{each.means[index]:.3f}"
            rows.append((rank, each.names[index], mean, f"{result.mean_ranks[index]:.2f}", each.letters[index]))
        lines += columns(rows, "<<>><")
        lines.append(CAPTIONS[each.posthoc])
        if each.critical_difference is not None:
            lines.append(f"critical difference of mean ranks: {each.critical_difference:.3f}")
    return lines


def seed_lines(effects: Sequence[SeedEffect]) -> list[str]:
    """Recipes against the first with training seeds as the unit, beside the tables that have items as theirs."""
    if not effects:
        return []
    rows: list[Sequence[str]] = [("metric", "recipe", "over seeds", "p", "by seed")]
    for each in effects:
        recipe = each.effect
        told = "" if recipe.effect is None else _signed(recipe.effect, 1)
        if recipe.ci_low is not None:
            told += f" [{number(recipe.ci_low, 1)}, {number(recipe.ci_high, 1)}]"
        by_seed = ", ".join(f"{seed}: {_signed(value, 1)}" for seed, value in each.by_seed.items())
        p = "" if each.p_adjusted is None else p_value(each.p_adjusted)
        rows.append((each.metric, each.recipe, told, p, by_seed or "no seed in both"))
    return [
        "",
        "the recipes as such (every seed is a training; t over matched seeds, Holm over recipes within a metric):",
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
        lines.append("p: Holm within main effects and interactions, simple effects, and each factor within the others")
    return lines


def _effect_row(effect: Effect) -> Sequence[str]:
    record, recipe = effect.items, effect.recipe
    interval = "" if record.ci_low is None else f" [{number(record.ci_low, 1)}, {number(record.ci_high, 1)}]"
    if recipe.p is None:
        seeds = recipe.reason or ""
    else:
        low, high = number(recipe.ci_low, 1), number(recipe.ci_high, 1)
        seeds = f"{number(recipe.effect, 1)} [{low}, {high}], p {p_value(recipe.p)}, {recipe.seeds} seeds"
    return (
        f"{effect.kind}  {effect.contrast}",
        _signed(record.delta, 1) + interval,
        p_value(effect.p_adjusted),
        p_value(effect.p_wilcoxon_adjusted),
        str(record.n),
        seeds,
    )
