"""What a request leaves open, answered by the data: which items, which metrics, which book, which resources."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from ...metrics.contract import Resources
from ...metrics.embedding.encoder import encoder_resources
from ..datasets.items import DataSet
from ..prompts.build import Book

if TYPE_CHECKING:
    from .settings import EvalSettings


def default_metrics(dataset: DataSet) -> tuple[str, ...]:
    """Choice metrics where items have options, n-gram metrics where they are open, refusals where some ought to be."""
    choices = [bool(item.choices) for item in dataset.items]
    refusal = () if all(item.answerable for item in dataset.items) else ("refusal",)
    return (("choice",) if any(choices) else ()) + (() if all(choices) else ("ngram",)) + refusal


def asked_metrics(dataset: DataSet, settings: EvalSettings) -> tuple[str, ...]:
    """The data's default metrics, and those that an encoder or a judge was given for."""
    extra = (("embedding",) if settings.metrics.encoder else ()) + (("judged",) if settings.judging.specs else ())
    return default_metrics(dataset) + extra


def default_book(dataset: DataSet) -> Book:
    """What the data set means (``meta.book``), else open where any item has a context."""
    meant = {str(item.meta.get("book")) for item in dataset.items if item.meta.get("book")}
    if meant == {"closed"}:
        return "closed"
    return "open" if any(item.context for item in dataset.items) else "closed"


def encoder_resources_of(settings: EvalSettings, dataset: DataSet) -> Resources:
    """The encoder that the settings name, with the texts that idf weights come from where they are wanted."""
    resources = encoder_resources(settings.metrics.encoder, settings.metrics.encoder_layer)
    if not settings.metrics.encoder_idf:
        return resources
    # As bert-score counts: a reference of two items, or one that an item has twice over, is two documents.
    return replace(resources, idf_corpus=tuple(text for item in dataset.items for text in item.references))
