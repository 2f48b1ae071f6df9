"""What metrics are made with: encoder, judges, and the way in which n-gram metrics cut texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ...metrics.contract import Metric, Resources, metrics_named
from ...metrics.embedding.encoder import encoder_resources
from ..cli.terminal import Reporter
from ..datasets.items import DataSet
from .settings import EvalSettings


def resources_of(settings: EvalSettings, dataset: DataSet) -> Resources:
    """The judges and the encoder that the settings name."""
    resources, panel = Resources(), None
    if settings.judging.specs or settings.judging.rubrics:
        # All of judges: a run without them starts without it.
        from ..judging.open import METRIC_RUBRICS, open_panel, refuse_unused

        panel = open_panel(settings.judging, settings.sampling.seed)
        refuse_unused(settings.judging.rubrics, METRIC_RUBRICS, "a run")
    if settings.metrics.encoder:
        resources = encoder_resources(settings.metrics.encoder, settings.metrics.encoder_layer)
    if settings.metrics.encoder_idf:
        # As bert-score counts: a reference of two items, or one that an item has twice over, is two documents.
        resources = replace(resources, idf_corpus=tuple(text for item in dataset.items for text in item.references))
    if settings.metrics.nli:
        from ...metrics.entailment.model import entailment_resources

        resources = entailment_resources(settings.metrics.nli, resources)
    return replace(resources, judge=panel, rubrics=settings.judging.rubrics)


def cut(
    whole: DataSet, names: Sequence[str], resources: Resources, settings: EvalSettings, reporter: Reporter
) -> tuple[Metric, ...]:
    """The metrics in the form that the scripts of the references need, or that the user asks for."""
    from ...metrics.ngram.scripts import scripts_of, segmentation_note

    asked = settings.metrics.segmentation
    scripts = scripts_of([text for item in whole.items for text in item.references])
    used = scripts.needed if asked == "auto" else asked
    metrics = tuple(metrics_named(names, replace(resources, segmentation=used)))
    if told := segmentation_note(scripts, used, metrics):
        reporter.note(told)
    return metrics
