"""A comparison as a report: the answer, the warnings that matter, then tables that people can read."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from ...harness.cli.tables import Block, Grid, Words, difference_text, number, p_value
from ...metrics.contract import Metric
from ..runs.loaded import LENGTH_FACTOR, LoadedRun, lengths_differ
from ..statistics.factorial import Effect
from ..statistics.paired import FEW_CLUSTERS
from ..statistics.skew import carriers_text
from .answer import Compared, leader_sentences, seeds_sentence, seeds_text, study_sentence
from .lengths import LengthEffect, length_warning
from .pairwise import ALPHA, FEW_DOCUMENTS, OPPOSITE, SHORT, Comparison, verdicts_told
from .ranking import CAPTIONS
from .readings import doubts

_WARNING = "WARNING: "
_LOWER = " (lower)"
CLUSTERS = {"source_document": "source documents", "category": "categories", "item": "items"}
# A line names so many pairs of runs; the rest are counted.
_NAMED = 3
# Longer names of runs are told once, above the table.
_LONGEST_HEAD = 12
# What a row says of its pair of runs, and what of it narrow lines do without, first to last.
_FIGURES = ("difference", "p", "verdict", "sees", "calibrated", "r", "wins/ties/losses", "n")
_RANKED = ("rank", "run", "score", "group", "mean rank")
_SPARE = ("mean rank", "r", "wins/ties/losses", "n", "group", "p", "calibrated", "sees")


def distinct_names(runs: Sequence[LoadedRun]) -> list[str]:
    """Names of runs for a table: the models', with the folders' where those repeat, or numbered."""
    names = [run.name for run in runs]
    folders = [f"{run.name} ({run.path.resolve().name})" if names.count(run.name) > 1 else run.name for run in runs]
    for told in (names, folders):
        if len(set(told)) == len(told):
            return told
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
    first = runs[0]
    for run, name in zip(runs[1:], names[1:], strict=True):
        if lengths_differ(first, run):
            measured = [each.metric for each in whole if each.run == name]
            lines.append(f"WARNING: {length_warning(first, run, (names[0], name), measured)}")
    entries = {
        metric: [(name, run.header["metrics"].get(metric, {})) for run, name in zip(runs, names, strict=True)]
        for metric in dict.fromkeys(each.metric for each in whole)
    }
    lines += [f"WARNING: {doubt}" for doubt in doubts(entries)]
    for run, name in zip(runs, names, strict=True):
        if over := (run.header.get("judge") or {}).get("over_cap"):
            lines.append(f"WARNING: judges gave no verdict on many items of {name} in {', '.join(over)}")
    computed: dict[str, list[str]] = {}
    for run, name in zip(runs, names, strict=True):
        if dtype := run.header["generation"].get("dtype"):
            computed.setdefault(dtype, []).append(name)
    if len(computed) > 1:
        told = "; ".join(
            f"{dtype}: {', '.join(each[:4])}{' …' if len(each) > 4 else ''}" for dtype, each in computed.items()
        )
        lines.append(
            f"WARNING: other number formats ({told}): a part of the difference may be rounding; --dtype sets one for "
            "all"
        )
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


def sentences(found: Compared) -> list[str]:
    """Sentences: who is better or worse than the first run, or who leads; the one that counts is the first.

    What a study's factors do comes first, then metrics that decide, then others, then categories. Differences are
    those of the values, run minus first run: a gain is negative where lower is better.
    """
    measured = {each.metric for each in found.pairs}
    metrics = [metric for metric in found.metrics if metric.name in measured]
    told = [study_sentence(name, study) for name, study in found.studies.items()]
    families: dict[str, list[Comparison]] = {"primary ": [], "": [], "other ": [], "category": []}
    for each in found.pairs:
        whole = "" if not found.primary else "primary " if each.metric in found.primary else "other "
        families[whole if each.stratum is None else "category"].append(each)
    for family, rows in families.items():
        if not rows:
            continue
        if family in ("", "primary ") and len(found.runs) == 2:
            told.append(f"{verdicts_told(rows, found.names, metrics, f'{family}metrics')}.")
        elif family != "category" and len(found.runs) > 2:
            told += leader_sentences(found, family, {each.metric for each in rows})
        else:
            head = f"Within categories ({len(rows)} rows)" if family == "category" else f"Other metrics ({len(rows)})"
            told.append(f"{head}: {verdicts_told(rows, found.names, metrics)}.")
    return [*told, *([seeds_sentence(found)] if found.seeds else [])]


def report(found: Compared) -> list[Block]:
    """The answer, warnings, then tables: a row a metric for two runs, a table a metric with a row a run for more.

    All categories stand in one table. Differences are those of the values that stand beside them, run minus first run.
    """
    data, two = found.runs[0].header["data"], len(found.runs) == 2
    documents = max(each.items.clusters for each in found.pairs)
    drawn = f"{documents:,} {CLUSTERS.get(found.cluster, 'clusters')}"
    told = f"{data['name']} {data['split']}: {data['n']:,} items"
    fits = max(map(len, found.names)) <= _LONGEST_HEAD and not {*found.names} & {"metric", "category", *_FIGURES}
    heads = tuple(found.names) if two and fits else ("base", "run")
    if heads != tuple(found.names):
        told += f"; base is {found.names[0]}" + (f", run is {found.names[1]}" if two else "")
    blocks: list[Block] = [Words(text, "answer") for text in sentences(found)]
    blocks += [Words(note, "warning") for note in found.notes]
    for line in warning_lines(found.runs, found.names, found.pairs):
        text = line.removeprefix(_WARNING)
        blocks.append(Words(text, "note" if text == line else "warning"))
    whole = {(each.metric, each.run): each for each in found.pairs if each.stratum is None}
    compared = [metric for metric in found.metrics if any(name == metric.name for name, _ in whole)]
    if two:
        rows = [
            (
                metric.name + _LOWER * (not metric.higher_is_better),
                *_cells(whole[metric.name, found.names[1]], metric, found, values=True),
            )
            for metric in compared
        ]
        blocks += [Words(told, "title"), _grid(("metric", *heads), "<>>", rows)]
    else:
        blocks.append(Words(told, "title"))
        for metric in compared:
            blocks += _ranked(found, metric, {run: each for (name, run), each in whole.items() if name == metric.name})
        blocks += [Words(told) for told in dict.fromkeys(CAPTIONS[each.posthoc] for each in found.rankings)]
    if found.lengths:
        blocks += _at_equal_length(found, found.lengths)
    if len(whole) < len(found.pairs):
        blocks += [Words("within categories", "title"), _categories(found, compared, heads)]
    blocks += [*(_seeds(found) if found.seeds else ()), *(_studies(found) if found.studies else ())]
    if lost := [metric.name for metric in found.metrics if metric not in compared]:
        blocks.append(Words(f"not compared, as no item has a score in both: {', '.join(lost)}"))
    lower = ", ".join(metric.name for metric in compared if not metric.higher_is_better)
    method = f"difference: run minus {found.names[0]}{f', so that - is better in {lower}' if lower else ''}"
    if any(each.p_verdict < 1 or each.ci_verdict for each in found.pairs):
        method += (
            f"; interval and p by the sign-flip test over {drawn}, Holm over {_families(found.pairs, found.primary)}: "
            "the interval holds 0 where no difference is shown; sees: the true difference that the row would have "
            "shown in 4 cases of 5"
        )
    return [*blocks, Words(f"{method}. --explain tells more, --json everything")]


def _grid(heads: Sequence[str], sides: str, rows: Sequence[Sequence[str]]) -> Grid:
    """Rows under these heads and those of the figures of a pair; columns without any text are left out."""
    heads, sides = (*heads, *_FIGURES), sides + ">><>>>>>"
    kept = [place for place in range(len(heads)) if any(row[place] for row in rows)]
    cells = tuple(tuple(row[place] for place in kept) for row in rows)
    return Grid(tuple(heads[place] for place in kept), cells, "".join(sides[place] for place in kept), _SPARE)


def _cells(each: Comparison | None, metric: Metric, found: Compared, *, values: bool = False) -> tuple[str, ...]:
    """The figures of a pair of runs, after the two values where these are asked for."""
    if each is None:
        return ("",) * (len(_FIGURES) + 2 * values)
    record, width = each.items, metric.range[1]
    pair = (found.runs[0], found.runs[list(found.names).index(each.run)])
    scales = [(run.header["metrics"][metric.name].get("calibration") or {}).get("value") for run in pair]
    spread = each.ci_verdict and each.ci_verdict[1] - each.ci_verdict[0]
    return (
        *((number(each.values[1], width, spread), number(each.values[0], width, spread)) if values else ()),
        difference_text(each.delta, each.ci_verdict, width, higher_is_better=metric.higher_is_better),
        "" if each.verdict == FEW_DOCUMENTS else p_value(each.p_verdict),
        SHORT[each.verdict] + (", mixed" if each.verdict.endswith(OPPOSITE) else ""),
        f"{each.detectable:.2g}" if each.detectable else "",
        "" if scales == [None, None] else f"{number(scales[0], 1)}, {number(scales[1], 1)}",
        number(record.rank_biserial, 1) if record.rank_biserial is not None else "",
        f"{record.wins}/{record.ties}/{record.losses}",
        str(each.n),
    )


def _ranked(found: Compared, metric: Metric, rows: Mapping[str, Comparison]) -> list[Block]:
    """One metric of three runs or more: a row a run, best first, with its ranks and how it stands to the first."""
    ranking = next((each for each in found.rankings if each.metric == metric.name), None)
    title = metric.name + ("" if metric.higher_is_better else " (lower is better)")
    # The narrowest interval of a difference tells how near values are told apart.
    spread = min((each.ci_verdict[1] - each.ci_verdict[0] for each in rows.values() if each.ci_verdict), default=None)
    if ranking is None:
        table = [("", name, number(rows[name].values[0], metric.range[1], spread), "", "",
                  *_cells(rows[name], metric, found))
                 for name in found.names[1:] if name in rows]  # fmt: skip
        return [Words(f"{title}: no item has a score in all runs, so nothing is ranked", "title"),
                _grid(_RANKED, "<<><>", table)]  # fmt: skip
    result, table = ranking.friedman, []
    for place in ranking.order:
        name, (low, high) = ranking.names[place], ranking.ranges[place]
        figures = _cells(rows.get(name), metric, found)
        if not place:
            figures = ("", "", "base", *figures[3:])
        elif name not in rows:
            figures = ("", "", "no pair", *figures[3:])
        table.append((
            str(low) if low == high else f"{low}-{high}", name, number(ranking.means[place], metric.range[1], spread),
            ranking.letters[place], f"{result.mean_ranks[place]:.2f}", *figures,
        ))  # fmt: skip
    blocks_of = f"{ranking.blocks:,} {CLUSTERS.get(found.cluster, 'clusters')}"
    told = f"{title}: {blocks_of}, Kendall's W {result.kendall_w:.3f}, Friedman p {p_value(result.p_f)}"
    if ranking.few_clusters:
        told = (
            f"{title}: {ranking.effective_clusters:.1f} effective source documents, it takes {FEW_CLUSTERS:.0f}: one "
            "group"
        )
    if ranking.critical_difference is not None:
        told += f", critical difference of mean ranks {ranking.critical_difference:.3f}"
    grid = _grid(_RANKED, "<<><>", table)
    if ranking.posthoc != "mean":
        # What was tested is shown.
        grid = replace(grid, spare=_SPARE[1:])
    blocks: list[Block] = [Words(told, "title"), grid]
    if ranking.conflicts:
        pairs = [f"{ranking.names[one]} over {ranking.names[other]}" for one, other in ranking.conflicts]
        more = f" and {len(pairs) - _NAMED} pairs more" if len(pairs) > _NAMED else ""
        mean = ranking.posthoc == "mean"
        words = "signed ranks say the opposite" if mean else "by the mean it is the other way round"
        blocks.append(Words(f"{words}: {', '.join(pairs[:_NAMED])}{more}", "note" if mean else "warning"))
    return blocks


def _at_equal_length(found: Compared, effects: Sequence[LengthEffect]) -> list[Block]:
    """The differences where both answers have as many words, beside the raw ones."""
    rows = []
    for each in effects:
        metric = next(metric for metric in found.metrics if metric.name == each.metric)
        width, turned = metric.range[1], 1 if metric.higher_is_better else -1
        ends = sorted(turned * end for end in each.interval) if each.interval else None
        adjusted = each.reason or difference_text(
            turned * (each.adjusted or 0.0), (ends[0], ends[1]) if ends else None, width,
            higher_is_better=metric.higher_is_better,
        )  # fmt: skip
        doubled = number(each.doubled, width) + "*" * (each.p_doubled <= ALPHA)
        name, p = each.metric + _LOWER * (not metric.higher_is_better), "" if each.p is None else p_value(each.p)
        rows.append((name, each.run, number(each.raw, width), adjusted, p, doubled, f"{each.near}/{each.n}"))
    heads = ("metric", "run", "raw", "at equal length", "p", "twice the words", "like")
    told = (
        "at equal length: the mean difference where both answers have as many words (regression on the logarithm of "
        f"their ratio, errors by cluster, 95 %, not corrected); like: items within a factor of {LENGTH_FACTOR}; "
        "* moves with length"
    )
    grid = Grid(heads, tuple(rows), "<<>>>>>", ("like", "p"))
    return [Words("at equal length", "title"), grid, Words(told)]


def _categories(found: Compared, compared: Sequence[Metric], heads: Sequence[str]) -> Grid:
    """All categories: within each metric a row a category, or one a category and run."""
    strata = [each for each in found.pairs if each.stratum is not None]
    many, rows = len(found.runs) > 2, list[tuple[str, ...]]()
    empty = ("",) * (len(_FIGURES) + 2)
    for metric in compared:
        deep = "  " * (len(compared) > 1)
        rows += [(metric.name + _LOWER * (not metric.higher_is_better), *empty)] if deep else []
        for stratum in sorted({str(each.stratum) for each in strata if each.metric == metric.name}):
            mine = [each for each in strata if each.metric == metric.name and each.stratum == stratum]
            rows += [(deep + stratum, *empty)] if many else []
            rows += [(f"{deep}  {each.run}" if many else deep + stratum, *_cells(each, metric, found, values=True))
                     for each in mine]  # fmt: skip
    return _grid(("category", *heads), "<>>", rows)


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


def _seeds(found: Compared) -> list[Block]:
    """Recipes against the first with training seeds as the unit, beside the tables that have items as theirs."""
    rows = []
    for each in found.seeds:
        told = seeds_text(found, each)
        if each.effect.method.startswith("sign"):
            told += f" ({each.effect.reason})"
        sign = 1 if next(metric for metric in found.metrics if metric.name == each.metric).higher_is_better else -1
        by_seed = ", ".join(f"{seed}: {difference_text(sign * value, None, 1)}" for seed, value in each.by_seed.items())
        p = "" if each.p_adjusted is None else p_value(each.p_adjusted)
        rows.append((each.metric, each.recipe, told, p, by_seed or "no seed in both"))
    title = (
        "the recipes as such (every seed is a training; t over matched seeds, Holm over recipes within a metric, "
        "intervals at its levels)"
    )
    heads = ("metric", "recipe", "over seeds", "p", "by seed")
    return [Words(title, "title"), Grid(heads, tuple(rows), "<<>><", ("by seed",))]


def _studies(found: Compared) -> list[Block]:
    """For each metric: what each factor does, what depends on what, and what can be said of recipes."""
    blocks: list[Block] = []
    for name, study in found.studies.items():
        factors = "; ".join(f"{factor}: {', '.join(levels)}" for factor, levels in study.factors.items())
        effects = (*study.main, *study.interactions, *study.simple, *study.within)
        heads = ("contrast", "effect", "p", "p Wilcoxon", "n", "over seeds")
        grid = Grid(heads, tuple(map(_effect_row, effects)), "<>>>><")
        blocks += [Words(f"study of {name} ({factors})", "title"), grid]
        blocks += [Words(f"left out: {words}") for words in study.omitted]
        blocks.append(Words(f"effect, p: {study.estimands[0]}; over seeds: {study.estimands[1]}"))
    told = "p, intervals: Holm within main effects and interactions, simple effects, and each factor within the others"
    return [*blocks, Words(f"+ is better; {told}")]


def _effect_row(effect: Effect) -> tuple[str, ...]:
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
