"""What metrics are made with: encoder, judges, and the way in which n-gram metrics cut texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ...metrics.contract import Metric, Resources, metrics_named
from ...metrics.embedding.encoder import encoder_resources
from ..cli.terminal import Reporter
from ..datasets.items import DataSet
from ..judging.settings import JudgeSettings
from .prepared import Prepared
from .settings import EvalSettings

# What open items are scored with beside n-grams, where their references are short, and where they hold facts.
RECALL = ("token_recall", "token_precision", "reference_included")
FACTS = ("fact_agreement", "fact_contradiction", "fact_omission")


def resources_of(settings: EvalSettings, dataset: DataSet) -> Resources:
    """The judges, the encoder and the entailment model that the settings name."""
    asked = settings.metrics
    models = models_of(asked.encoder, asked.encoder_layer, asked.nli)
    judging = replace(settings.judging, anew=settings.fresh)
    resources = with_judges(models, judging, "a run", settings.sampling.seed)
    if resources.judge is not None and settings.engine.engine == "openai":
        from ...judges.server.served import keys_sent, refuse_shared_keys
        from ...judges.server.settings import KEY_VARIABLE

        # The candidate's server gets the key of this variable.
        refuse_shared_keys([(KEY_VARIABLE, settings.engine.base_url), *keys_sent(resources.judge.identities)])
    if asked.encoder_idf:
        # As bert-score counts: a reference of two items, or one that an item has twice over, is two documents.
        resources = replace(resources, idf_corpus=tuple(text for item in dataset.items for text in item.references))
    return resources


def models_of(encoder: str, layer: int | None, nli: str) -> Resources:
    """The encoder and the entailment model of these places; an empty place names none.

    Raises:
        InputError: for a place that holds no usable model.
    """
    resources = encoder_resources(encoder, layer) if encoder else Resources()
    if nli:
        from ...metrics.entailment.model import entailment_resources

        resources = entailment_resources(nli, resources)
    return resources


def with_judges(resources: Resources, judging: JudgeSettings, what: str, seed: int = 0) -> Resources:
    """The resources with the judges and rubrics that are named; ``what`` they are for is told where one is of no use.

    Raises:
        InputError: for a judge that cannot be asked, or a rubric that no metric has.
    """
    if not (judging.specs or judging.rubrics):
        return resources
    # All of judges: a run without them starts without it.
    from ..judging.open import METRIC_RUBRICS, open_panel, refuse_unused

    refuse_unused(judging.rubrics, METRIC_RUBRICS, what)
    return replace(resources, judge=open_panel(judging, seed), rubrics=judging.rubrics, joint=judging.joint)


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


def default_metrics(dataset: DataSet) -> tuple[str, ...]:
    """Choice metrics where items have options, n-gram metrics where they are open, refusals where some ought to be.

    Items whose answers have a form (``meta.form``: a number, a label) have the metrics that read it instead. Open items
    whose references are short have recall and inclusion too, and those whose references hold facts have the fact
    metrics (`are_short`, `hold_facts`).
    """
    from ...metrics.fact.scores import hold_facts
    from ...metrics.ngram.inclusion import are_short
    from ...metrics.parsed.forms import form_metrics

    choices = [bool(item.choices) for item in dataset.items]
    formed = form_metrics(item.meta for item in dataset.items)
    refusal = () if all(item.answerable for item in dataset.items) else ("refusal",)
    open_items = [item for item in dataset.items if not (item.choices or item.meta.get("form"))]
    asked = [(item.question, item.references) for item in open_items if item.references]
    short = RECALL if are_short([references for _, references in asked]) else ()
    facts = FACTS if hold_facts(asked) else ()
    open_ = ("ngram", *short, *facts) if open_items else ()
    return (("choice",) if any(choices) else ()) + formed + open_ + refusal


def asked_metrics(dataset: DataSet, settings: EvalSettings, prepared: Prepared | None = None) -> tuple[str, ...]:
    """The data's default metrics, and those that an encoder, an entailment model or a judge was given for."""
    extra = (("embedding",) if settings.metrics.encoder else ()) + (("judged",) if settings.judging.specs else ())
    extra += ("entailment",) if settings.metrics.nli else ()
    usual = default_metrics
    return (usual(dataset) if prepared is None else prepared.once(id(dataset), lambda: usual(dataset))) + extra
