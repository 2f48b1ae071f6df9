"""What form an item's answer has, as its ``meta.form`` says, and the metrics that read it."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Any

from telbench.config import near_name
from telbench.errors import InputError

from ..contract import ItemScore, Metric, Sample, Trial

FORMS: Mapping[str, tuple[str, ...]] = {
    "number": ("numeric_match",),
    "label": ("label_match",),
    "labels": ("label_match", "label_f1"),
    "yaml": ("yaml_match", "yaml_f1", "yaml_paths_f1", "yaml_parsed"),
    "table": ("table_match", "table_f1"),
}
# Forms whose references lose their meaning with their line breaks.
KEEP_LINES = frozenset({"yaml", "table"})


def form_of(meta: Mapping[str, Any]) -> str | None:
    """The form that an item names; None for free text.

    Raises:
        InputError: for a form that there is not.

    >>> form_of({"form": "number"}), form_of({})
    ('number', None)
    """
    form = meta.get("form")
    if form is None or (isinstance(form, str) and form in FORMS):
        return form
    raise InputError(f"meta.form {form!r}: {near_name(str(form), FORMS)} (forms: {', '.join(FORMS)})")


def misfit(sample: Sample, *forms: str) -> str | None:
    """Why a metric of these forms says nothing of a sample: its answer is to be read as something else.

    >>> misfit(Sample("a", "", form="number"), "label", "labels"), misfit(Sample("a", ""), "label")
    ('the answer is to be read as a number', None)
    """
    return None if sample.form in (None, *forms) else f"the answer is to be read as a {sample.form}"


def form_metrics(metas: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    """The metrics of these items' forms, each once; a set's own ``meta.metrics`` come after those of its form.

    >>> form_metrics([{"form": "number", "metrics": ["gsma_telemath"]}, {}])
    ('numeric_match', 'gsma_telemath')
    """
    named: dict[str, None] = {}
    for meta in metas:
        form = form_of(meta)
        if form is not None:
            named |= dict.fromkeys((*FORMS[form], *meta.get("metrics", ())))
    return tuple(named)


def value_metric(
    name: str,
    description: str,
    score: Callable[[Sample], ItemScore],
    options: Mapping[str, str],
    *,
    says: Callable[[Sample], Hashable | None] | None = None,
    chance: Callable[[Sample], float] | None = None,
    trial: Trial | None = None,
) -> Metric:
    """A metric of this family: from 0 to 1, item by item, of a value that is read out of the answer."""
    return Metric(
        name=name,
        family="parsed",
        range=(0, 1),
        higher_is_better=True,
        needs=frozenset({"references"}),
        level="item",
        description=description,
        score_batch=lambda samples: [score(sample) for sample in samples],
        options=options,
        says=says,
        chance=chance,
        trial=trial,
    )
