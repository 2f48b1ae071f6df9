"""The metric contract: a sample goes in, a value or a reasoned absence comes out.

A metric is a record (`Metric`) around one scoring function. Item metrics are averaged over items; corpus metrics
(BLEU, chrF, TER) also give *additive sufficient statistics* per item, so that any resample of items has its corpus
score by summing rows: intervals, paired tests and the board need nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..judges.contract import JudgeTask
    from ..judges.likelihood import JudgedText
    from ..judges.panel import JudgePanel
    from .anchors import Anchors

Family = Literal["ngram", "choice", "embedding", "judged", "likelihood", "refusal"]
Level = Literal["item", "corpus"]
NO_REFERENCE_SCORES = "no likelihoods of references from this engine"
# Lowest and highest value, None where there is no bound.
Range = tuple[float | None, float | None]
NEEDS = frozenset({"references", "context", "choices", "option_scores", "reference_scores", "encoder", "judge"})


@dataclass(frozen=True, slots=True)
class Sample:
    """One item with what a checkpoint answered.

    ``answer`` holds the 0-based indices of the right choices in the order of ``choices``; ``shown_choices`` is the
    permutation in which the prompt listed them (``shown_choices[k]`` is the index of the choice behind letter ``k``);
    ``option_scores`` is the log-likelihood of each choice's text under the checkpoint, in the order of ``choices``;
    ``reference_scores`` are (summed log-likelihood, number of tokens) of each reference under the checkpoint itself, in
    the order of ``references``; where there are none, ``no_reference_scores`` says why. ``answerable`` is False for
    questions that ought to be refused: they have no references.
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
    reference_scores: tuple[tuple[float, int], ...] | None = None
    no_reference_scores: str = NO_REFERENCE_SCORES
    answerable: bool = True
    cluster_id: str | None = None
    category: str | None = None


@dataclass(frozen=True, slots=True)
class ItemScore:
    """The score of one sample: a finite ``value``, or None with the ``reason`` why there is none.

    ``stats`` are the additive sufficient statistics of corpus metrics (fixed length for a metric). ``judgements`` are
    the keys of the judges' records that the score rests on. ``judge_failed``: there is no value because a judge gave no
    verdict, which is not the same as a metric that does not apply.
    """

    value: float | None
    reason: str | None = None
    stats: tuple[float, ...] | None = None
    judgements: tuple[str, ...] = ()
    judge_failed: bool = False


def missing(reason: str) -> ItemScore:
    """A score that is absent, with its reason; counted, never read as 0."""
    return ItemScore(None, reason)


@dataclass(frozen=True)
class Metric:
    """A named score and how to compute it.

    ``score_batch`` maps samples to scores, one each, in order. ``aggregate`` turns summed statistics (B, k) into B
    corpus scores; it is given exactly for ``level="corpus"``. ``options`` are the settings that change the value: they
    make the signature, together with ``version`` (raise it when the same input gives another value). ``judge_tasks``
    tells what judges have to be asked for a sample, so that a whole run's questions can be put to them at once before
    it is scored; ``judge_texts`` likewise of which texts they have to tell the likelihood. ``calibrate`` tells for a
    data set, whatever was answered, which values an unrelated and a right answer have.
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

    @property
    def judged(self) -> bool:
        """Does the metric put questions or texts to judges?"""
        return self.judge_tasks is not None or self.judge_texts is not None

    @property
    def signature(self) -> str:
        """What identifies the value: name, options in order, version; as ``bleu|smooth:exp|tok:13a|v1``."""
        parts = [self.name, *(f"{key}:{self.options[key]}" for key in sorted(self.options)), f"v{self.version}"]
        return "|".join(parts)

    def score(self, samples: Sequence[Sample]) -> list[ItemScore]:
        """Score samples; what a sample lacks gives a reasoned absence, and NaN or infinity never leaves here."""
        scores: list[ItemScore | None] = [self._lack(sample) for sample in samples]
        present = [index for index, score in enumerate(scores) if score is None]
        if not present:
            return [score for score in scores if score is not None]
        for index, score in zip(present, self.score_batch([samples[i] for i in present]), strict=True):
            finite = score.value is None or math.isfinite(score.value)
            scores[index] = score if finite else missing("not a finite number")
        return [score for score in scores if score is not None]

    def _lack(self, sample: Sample) -> ItemScore | None:
        if "references" in self.needs and not sample.references:
            return missing("no reference")
        if "context" in self.needs and not sample.context:
            return missing("no context")
        if "choices" in self.needs and not (sample.choices and sample.answer):
            return missing("no choices")
        if "option_scores" in self.needs and sample.option_scores is None:
            return missing("no option likelihoods from this engine")
        if "reference_scores" in self.needs and sample.reference_scores is None:
            return missing(sample.no_reference_scores)
        return None


@dataclass(frozen=True)
class Resources:
    """What metrics need beside the samples; ``absent`` and ``no_judge`` say in the words of the scores why it lacks.

    ``layer`` is the encoder's layer that token embeddings come from (0 is below the first), None for the last.
    ``rubrics`` are files of the user's own, by the name of the rubric that each stands in for.
    ``idf_corpus`` holds the texts whose inverse document frequencies weight BERTScore's tokens, None for no weights.
    """

    encoder: Path | None = None
    layer: int | None = None
    absent: str = "no encoder: pass --encoder FOLDER"
    judge: JudgePanel | None = None
    no_judge: str = "no judge: pass --judge local:CHECKPOINT or openai:MODEL@URL"
    rubrics: Mapping[str, Path] = field(default_factory=dict)
    idf_corpus: tuple[str, ...] | None = None


@dataclass(frozen=True)
class MetricRecipe:
    """A metric that cannot be made before its resources are known; registered in place of a `Metric`.

    ``build`` gives a metric of the same name whatever is absent: then all its scores are missing with the reason.
    """

    name: str
    family: Family
    range: Range
    needs: frozenset[str]
    build: Callable[[Resources], Metric]


def metric(
    *,
    name: str,
    family: Family,
    range: Range,  # noqa: A002 - the field's own word, part of the plugin contract
    needs: Iterable[str] = (),
    higher_is_better: bool = True,
    options: Mapping[str, str] | None = None,
    version: int = 1,
) -> Callable[[Callable[[Sample], float | None]], Metric]:
    """Make an item metric of a function from a sample to a value (None where the metric does not apply).

    >>> @metric(name="brevity", family="ngram", range=(0, 1))
    ... def brevity(sample):
    ...     "One over the number of words."
    ...     return 1 / max(1, len(sample.prediction.split()))
    >>> brevity.signature, brevity.score([Sample("a", "one two")])[0].value
    ('brevity|v1', 0.5)
    """

    def wrap(function: Callable[[Sample], float | None]) -> Metric:
        def score_batch(samples: Sequence[Sample]) -> list[ItemScore]:
            values = [function(sample) for sample in samples]
            return [missing("not applicable") if value is None else ItemScore(float(value)) for value in values]

        return Metric(
            name=name,
            family=family,
            range=range,
            higher_is_better=higher_is_better,
            needs=frozenset(needs),
            level="item",
            description=(function.__doc__ or "").strip(),
            score_batch=score_batch,
            options=dict(options or {}),
            version=version,
        )

    return wrap
