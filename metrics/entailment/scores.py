"""Entailment and contradiction between answer and reference, both ways, by a local model."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..contract import ItemScore, Metric, MetricRecipe, Resources, Sample, missing
from .model import EntailmentModel, Verdict, open_entailment

NEEDS = frozenset({"references", "nli"})
EMPTY = "empty answer"
CUT = "longer than the entailment model reads"
NO_CONTRADICTION = "the model of --nli has no label for contradiction"


def best_verdicts(model: EntailmentModel, samples: Sequence[Sample]) -> list[tuple[Verdict, Verdict] | None]:
    """Each sample's verdicts (reference entails answer, answer entails reference) for the reference it is nearest to.

    The question stands before both texts, since a bare *38412* says nothing. None without a reference.
    """
    asked = [
        [((_with(sample, text), _with(sample, sample.prediction))) for text in sample.references if text.strip()]
        if sample.prediction.strip()
        else []
        for sample in samples
    ]
    known = model.verdicts([each for pairs in asked for one, other in pairs for each in ((one, other), (other, one))])
    found: list[tuple[Verdict, Verdict] | None] = []
    for pairs in asked:
        both = [(known[one, other], known[other, one]) for one, other in pairs]
        found.append(max(both, key=lambda each: each[0].entailment + each[1].entailment, default=None))
    return found


def _with(sample: Sample, text: str) -> str:
    return f"{sample.question.strip()} {text.strip()}".strip()


def _entailment_recipe(
    name: str, part: Callable[[Verdict], float | None], description: str, *, higher_is_better: bool
) -> MetricRecipe:
    def build(resources: Resources) -> Metric:
        model = None if resources.nli is None else open_entailment(resources.nli)

        def score_batch(samples: Sequence[Sample]) -> list[ItemScore]:
            if model is None:
                return [missing(resources.no_nli) for _ in samples]
            return [
                _score(sample, both, part) for sample, both in zip(samples, best_verdicts(model, samples), strict=True)
            ]

        return Metric(
            name=name,
            family="entailment",
            range=(0, 1),
            higher_is_better=higher_is_better,
            needs=NEEDS,
            level="item",
            description=description,
            score_batch=score_batch,
            options={"given": "question", "model": model.sha256[:12] if model else "none"},
        )

    return MetricRecipe(name, "entailment", (0, 1), NEEDS, build)


def _score(sample: Sample, both: tuple[Verdict, Verdict] | None, part: Callable[[Verdict], float | None]) -> ItemScore:
    if not any(map(str.strip, sample.references)):
        return missing("no reference")
    if both is None:
        return ItemScore(0.0, EMPTY)
    values = [value for verdict in both if (value := part(verdict)) is not None]
    if len(values) < len(both):
        return missing(NO_CONTRADICTION)
    return ItemScore(sum(values) / len(values), CUT if any(verdict.cut for verdict in both) else None)


nli_entailment = _entailment_recipe(
    "nli_entailment",
    lambda verdict: verdict.entailment,
    "Mean of the probabilities that the reference entails the answer and the answer the reference; the best reference.",
    higher_is_better=True,
)
nli_contradiction = _entailment_recipe(
    "nli_contradiction",
    lambda verdict: verdict.contradiction,
    "Mean of the probabilities that reference and answer contradict each other, read in both directions, for the "
    "reference that nli_entailment is best for.",
    higher_is_better=False,
)
