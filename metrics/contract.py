"""The metric contract: a sample goes in, a value or a reasoned absence comes out; and metrics by name.

A metric is a record (`Metric`) around one scoring function. Item metrics are averaged over items; corpus metrics
(BLEU, chrF, TER) also give *additive sufficient statistics* per item, so that any resample of items has its corpus
score by summing rows: intervals, paired tests and the board need nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from operator import is_
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from telbench.errors import InputError, TelbenchError
from telbench.registry import load

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..judges.contract import JudgeTask
    from ..judges.likelihood import JudgedText
    from ..judges.panel import JudgePanel
    from .anchors import Anchors

Family = Literal["ngram", "choice", "embedding", "judged", "likelihood", "refusal", "fact", "entailment", "parsed"]
Level = Literal["item", "corpus"]
# How n-gram metrics cut texts: words of the Latin script, words of any script, or characters where no spaces stand.
Segmentation = Literal["words", "unicode-words", "characters"]
NO_REFERENCE_SCORES = "no likelihoods of references from this engine"
NOT_FINITE, NOT_APPLICABLE = "not a finite number", "not applicable"
# Lowest and highest value, None where there is no bound.
Range = tuple[float | None, float | None]


@dataclass(frozen=True, slots=True)
class Sample:
    """One item with what a checkpoint answered.

    ``answer`` holds the 0-based indices of the right choices in the order of ``choices``; ``shown_choices`` is the
    permutation in which the prompt listed them (``shown_choices[k]`` is the index of the choice behind letter ``k``);
    ``option_scores`` is the log-likelihood of each choice's text under the checkpoint, in the order of ``choices``, and
    ``letter_scores`` that of each choice's label after the prompt that lists them;
    ``reference_scores`` are (summed log-likelihood, number of tokens) of each reference under the checkpoint itself, in
    the order of ``references``; where there are none, ``no_reference_scores`` says why. ``answerable`` is False for
    questions that ought to be refused: they have no references. ``passages`` are the parts that a context came in.
    ``form`` is what the answer is to be read as (`telbench.metrics.parsed.forms`), None for free text; ``labels`` are
    those that an answer may name, of questions that have a label for an answer.
    """

    item_id: str
    prediction: str
    references: tuple[str, ...] = ()
    question: str = ""
    context: str | None = None
    choices: tuple[str, ...] = ()
    answer: tuple[int, ...] = ()
    shown_choices: tuple[int, ...] = ()
    option_scores: tuple[float, ...] | None = None
    letter_scores: tuple[float, ...] | None = None
    reference_scores: tuple[tuple[float, int], ...] | None = None
    no_reference_scores: str = NO_REFERENCE_SCORES
    answerable: bool = True
    cluster_id: str | None = None
    category: str | None = None
    passages: tuple[str, ...] = ()
    form: str | None = None
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ItemScore:
    """The score of one sample: a finite ``value``, or None with the ``reason`` why there is none.

    ``stats`` are the additive sufficient statistics of corpus metrics (fixed length for a metric). ``judgements`` are
    the keys of the judges' records that the score rests on. ``judge_failed``: there is no value because a judge gave no
    verdict, which is not the same as a metric that does not apply. ``repeats`` are the values by each time that judges
    were asked, where they were asked several times, and None where one of them has none.
    """

    value: float | None
    reason: str | None = None
    stats: tuple[float, ...] | None = None
    judgements: tuple[str, ...] = ()
    judge_failed: bool = False
    repeats: tuple[float | None, ...] = ()


# Why a sample has no score, by what the metric needs of it; None where it has what is needed.
_LACKING: Mapping[str, Callable[[Sample], str | None]] = {
    "references": lambda sample: None if sample.references else "no reference",
    "context": lambda sample: None if sample.context else "no context",
    "choices": lambda sample: None if sample.choices and sample.answer else "no choices",
    "option_scores": lambda sample: "no option likelihoods from this engine" if sample.option_scores is None else None,
    "letter_scores": lambda sample: "no label likelihoods from this engine" if sample.letter_scores is None else None,
    "reference_scores": lambda sample: sample.no_reference_scores if sample.reference_scores is None else None,
}
NEEDS = frozenset({*_LACKING, "encoder", "judge", "nli"})


def missing(reason: str) -> ItemScore:
    """A score that is absent, with its reason; counted, never read as 0."""
    return ItemScore(None, reason)


class Trial(NamedTuple):
    """A reference with a right and a wrong answer, to try a metric on that reads references of one form alone."""

    reference: str
    right: str
    wrong: str


@dataclass(frozen=True)
class Metric:
    """A named score and how to compute it.

    ``score_batch`` maps samples to scores, one each, in order. ``aggregate`` turns summed statistics (B, k) into B
    corpus scores; it is given exactly for ``level="corpus"``. ``statistics`` is that k: where it is told, a run whose
    items have another number of them is refused. ``options`` are the settings that change the value: they make the
    signature, together with ``version`` (raise it when the same input gives another value). ``judge_tasks`` tells what
    judges have to be asked for a sample, so that a whole run's questions can be put to them at once before it is
    scored; ``judge_texts`` likewise of which texts they have to tell the likelihood. ``calibrate`` tells for a data
    set, whatever was answered, which values an unrelated and a right answer have. ``chance`` is the value that guessing
    has on a sample. ``readings`` gives the value under other readings of the answers, by their names, from the value,
    the number of scores and the counted reasons of those that have a value. ``variants`` are the forms of the metric,
    each with a signature of its own, for texts that have to be cut otherwise than into words. ``says`` is what an
    answer comes to, None where that is nothing: for metrics of right and wrong it tells which answers agree.
    ``trial`` is what `checked` tries the metric on, where a sentence is no reference for it.
    """

    name: str
    family: Family
    range: Range
    higher_is_better: bool
    needs: frozenset[str]
    level: Level
    description: str
    score_batch: Callable[[Sequence[Sample]], Sequence[ItemScore]]
    aggregate: Callable[[NDArray[np.float64]], NDArray[np.float64]] | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    version: int = 1
    judge_tasks: Callable[[Sample], Sequence[JudgeTask]] | None = None
    judge_texts: Callable[[Sample], Sequence[JudgedText]] | None = None
    calibrate: Callable[[Sequence[Sample]], Anchors] | None = None
    chance: Callable[[Sample], float] | None = None
    readings: Callable[[float, int, Mapping[str, int]], Mapping[str, float]] | None = None
    variants: Mapping[Segmentation, Metric] = field(default_factory=dict)
    says: Callable[[Sample], Hashable | None] | None = None
    statistics: int | None = None
    trial: Trial | None = None

    @property
    def judged(self) -> bool:
        """Does the metric put questions or texts to judges?"""
        return self.judge_tasks is not None or self.judge_texts is not None

    @property
    def signature(self) -> str:
        """What identifies the value: name, options in order, version; as ``bleu|smooth:exp|tok:13a|v1``."""
        parts = [self.name, *(f"{key}:{self.options[key]}" for key in sorted(self.options)), f"v{self.version}"]
        return "|".join(parts)

    def cut(self, segmentation: Segmentation) -> Metric:
        """The form of the metric for such texts: the metric itself where it has no other."""
        form = self.variants.get(segmentation)
        return self if form is None else replace(form, variants=self.variants)

    def signed(self, signature: str) -> Metric:
        """The form that a run's scores carry the signature of; the metric itself where it is none of them."""
        forms = (self, *map(self.cut, self.variants))
        return next((form for form in forms if form.signature == signature), self)

    def score(self, samples: Sequence[Sample]) -> list[ItemScore]:
        """Score samples, in plain finite floats: what a sample lacks, and what is no number, is a reasoned absence.

        Raises:
            TelbenchError: when the metric would end the program. Its other exceptions are passed on.
        """
        asked = [lacking for need, lacking in _LACKING.items() if need in self.needs]
        lacks = [[reason for lacking in asked if (reason := lacking(sample)) is not None] for sample in samples]
        present = [sample for sample, reasons in zip(samples, lacks, strict=True) if not reasons]
        try:
            given = list(self.score_batch(present)) if present else []
        except SystemExit as stop:
            raise TelbenchError(f"metric '{self.name}' would end the program (SystemExit: {stop})") from stop
        scores = []
        for score, _ in zip(given, present, strict=True):
            # Plugins return whatever their libraries do: numpy's numbers, NaN, infinity.
            value = None if score.value is None else float(score.value)
            stats = None if score.stats is None else tuple(map(float, score.stats))
            if value is None:
                scores.append(replace(score, reason=score.reason or NOT_APPLICABLE))
            elif self.level == "corpus" and not stats:
                scores.append(missing("no corpus statistics"))
            elif all(map(math.isfinite, (value, *(stats or ())))):
                given_stats = score.stats if isinstance(score.stats, tuple) else (None,)
                plain = value is score.value and (stats is None or all(map(is_, stats, given_stats)))
                scores.append(score if plain else replace(score, value=value, stats=stats))
            else:
                scores.append(missing(NOT_FINITE))
        found = iter(scores)
        return [missing(reasons[0]) if reasons else next(found) for reasons in lacks]


@dataclass(frozen=True)
class Resources:
    """What metrics need beside the samples; ``absent``, ``no_judge`` and ``no_nli`` say why it lacks, as scores do.

    ``layer`` is the encoder's layer that token embeddings come from (0 is below the first), None for the last.
    ``rubrics`` are files of the user's own, by the name of the rubric that each stands in for. ``joint``: claims,
    faithfulness and score are asked for in one reply.
    ``idf_corpus`` holds the texts whose inverse document frequencies weight BERTScore's tokens, None for no weights.
    ``segmentation`` is how n-gram metrics cut texts, as the run's references want it. ``nli`` is the folder of an
    entailment model.
    """

    encoder: Path | None = None
    layer: int | None = None
    absent: str = "no encoder: pass --encoder FOLDER"
    judge: JudgePanel | None = None
    no_judge: str = "no judge: pass --judge local:CHECKPOINT or openai:MODEL@URL"
    rubrics: Mapping[str, Path] = field(default_factory=dict)
    joint: bool = False
    idf_corpus: tuple[str, ...] | None = None
    segmentation: Segmentation = "words"
    nli: Path | None = None
    no_nli: str = "no entailment model: pass --nli FOLDER"


@dataclass(frozen=True)
class MetricRecipe:
    """A metric that cannot be made before its resources are known; registered in place of a `Metric`.

    ``build`` gives a metric of the same name whatever is absent: then all its scores are missing with the reason.
    ``recorded`` is the value that one judge's record gives, where its verdict is all that the metric reads.
    """

    name: str
    family: Family
    range: Range
    needs: frozenset[str]
    build: Callable[[Resources], Metric]
    recorded: Callable[[Mapping[str, Any]], float | None] | None = None


def metric(
    *,
    name: str,
    family: Family,
    range: Range,  # noqa: A002 - the field's own word, part of the plugin contract
    needs: Iterable[str] = (),
    higher_is_better: bool = True,
    options: Mapping[str, str] | None = None,
    version: int = 1,
    says: Callable[[Sample], Hashable | None] | None = None,
) -> Callable[[Callable[[Sample], float | None]], Metric]:
    """Make an item metric of a function from a sample to a value (None where the metric does not apply).

    >>> @metric(name="brevity", family="ngram", range=(0, 1))
    ... def brevity(sample):
    ...     "One over the number of words."
    ...     return 1 / max(1, len(sample.prediction.split()))
    >>> brevity.signature, brevity.score([Sample("a", "one two")])[0].value
    ('brevity|v1', 0.5)
    """
    return lambda function: Metric(
        name=name,
        family=family,
        range=range,
        higher_is_better=higher_is_better,
        needs=frozenset(needs),
        level="item",
        description=(function.__doc__ or "").strip(),
        score_batch=lambda samples: [
            missing(NOT_APPLICABLE) if value is None else ItemScore(float(value)) for value in map(function, samples)
        ],
        options=dict(options or {}),
        version=version,
        says=says,
    )


GROUP = "telbench.metrics"
FAMILIES = {
    "ngram": ("exact_match", "token_f1", "rouge1", "rouge2", "rougeL", "bleu", "chrf", "ter"),
    "choice": ("choice_accuracy", "choice_likelihood"),
    "embedding": ("bertscore", "answer_similarity", "answer_relevance"),
    "judged": ("factual_correctness", "faithfulness", "answer_correctness", "rubric_score"),
    "likelihood": ("reference_likelihood", "reference_perplexity", "reference_bits_per_byte", "judge_likelihood"),
    "refusal": ("refusal_accuracy", "over_refusal"),
    "fact": (
        *("fact_agreement", "fact_contradiction", "fact_omission"),
        *("quantity_agreement", "entity_agreement", "polarity_agreement"),
    ),
    "entailment": ("nli_entailment", "nli_contradiction"),
    "parsed": (
        *("numeric_match", "label_match", "label_f1", "table_match", "table_f1"),
        *("yaml_match", "yaml_f1", "yaml_paths_f1", "yaml_parsed"),
    ),
}
# Metrics of several families under one name.
SUITES = {
    "telbench14": (
        *("exact_match", "token_f1", "bleu", "chrf", "rouge1", "rouge2", "rougeL"),
        *FAMILIES["embedding"],
        *FAMILIES["judged"],
    ),
}
SUITES["telbench16"] = (*SUITES["telbench14"], "fact_agreement", "fact_contradiction")


def metrics_named(names: Iterable[str], resources: Resources | None = None) -> list[Metric]:
    """Metrics by name, family or suite, in the order asked for, each once, made with the resources.

    Raises:
        InputError: for an unknown name, a plugin that is no `Metric` or one of another name, or an unusable resource.
    """
    groups = {**FAMILIES, **SUITES}
    wanted = list(dict.fromkeys(single for name in names for single in groups.get(name, (name,))))
    resources = resources or Resources()
    loaded = []
    for name in wanted:
        plugin = load(GROUP, name)
        if isinstance(plugin, MetricRecipe):
            plugin = plugin.build(resources)
        if not isinstance(plugin, Metric):
            raise InputError(
                f"plugin '{name}' is not a telbench Metric but a {type(plugin).__name__}: make it with @metric"
            )
        if plugin.name != name:
            raise InputError(f"plugin '{name}' holds the metric '{plugin.name}': register it under its own name")
        loaded.append(plugin if resources.segmentation == "words" else plugin.cut(resources.segmentation))
    return loaded
