"""Metrics by name, family or suite: entry points of `telbench.metrics`, loaded on use."""

from __future__ import annotations

from collections.abc import Iterable

from telbench.errors import InputError
from telbench.registry import load

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
