"""Names to plugins: entry points are listed without loading anything, and loaded on use."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from telbench.errors import InputError, TelbenchError

from .contract import Metric, MetricRecipe, Resources

GROUP = "telbench.metrics"
FAMILIES = {
    "ngram": ("exact_match", "token_f1", "rouge1", "rouge2", "rougeL", "bleu", "chrf", "ter"),
    "choice": ("choice_accuracy", "choice_likelihood"),
    "embedding": ("bertscore", "answer_similarity", "answer_relevance"),
    "judged": ("factual_correctness", "faithfulness", "answer_correctness", "rubric_score"),
    "likelihood": ("reference_likelihood", "reference_perplexity", "reference_bits_per_byte", "judge_likelihood"),
    "refusal": ("refusal_accuracy", "over_refusal"),
}
# Metrics of several families under one name.
SUITES = {
    "telbench14": (
        *("exact_match", "token_f1", "bleu", "chrf", "rouge1", "rouge2", "rougeL"),
        *FAMILIES["embedding"],
        *FAMILIES["judged"],
    ),
}


@cache
def listed(group: str) -> dict[str, EntryPoint]:
    """Entry points of a group by name, none loaded; a name that two packages claim is refused.

    Raises:
        InputError: if two distributions register the same name.
    """
    found: dict[str, EntryPoint] = {}
    for point in sorted(entry_points(group=group), key=lambda point: point.name):
        other = found.get(point.name)
        if other is not None and other.value != point.value:
            raise InputError(
                f"two plugins register '{point.name}' in {group}: {other.value} and {point.value}; uninstall one"
            )
        found[point.name] = point
    return found


def load(group: str, name: str) -> Any:
    """The plugin of that name, imported now.

    Raises:
        InputError: if the name is unknown (near names are suggested) or its import fails.
    """
    points = listed(group)
    if name not in points:
        kind = group.rpartition(".")[2].rstrip("s")
        near = difflib.get_close_matches(name, points, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(points)}"
        raise InputError(f"unknown {kind} '{name}': {hint}")
    try:
        return points[name].load()
    except TelbenchError:
        raise
    except Exception as error:
        # Importing runs whatever the plugin's author wrote.
        problem = f"{type(error).__name__}: {error}"
        raise InputError(f"plugin '{name}' ({points[name].value}) cannot be loaded: {problem}") from error


def metrics_named(names: Iterable[str], resources: Resources | None = None) -> list[Metric]:
    """Metrics by name, family or suite, in the order asked for, each once; recipes are built with the resources.

    Raises:
        InputError: for an unknown name, a plugin that is no `Metric` or one of another name, or an unusable resource.
    """
    groups = {**FAMILIES, **SUITES}
    wanted = list(dict.fromkeys(single for name in names for single in groups.get(name, (name,))))
    loaded = []
    for name in wanted:
        plugin = load(GROUP, name)
        if isinstance(plugin, MetricRecipe):
            plugin = plugin.build(resources or Resources())
        if not isinstance(plugin, Metric):
            raise InputError(
                f"plugin '{name}' is not a telbench Metric but a {type(plugin).__name__}: make it with @metric"
            )
        if plugin.name != name:
            raise InputError(f"plugin '{name}' holds the metric '{plugin.name}': register it under its own name")
        loaded.append(plugin)
    return loaded
