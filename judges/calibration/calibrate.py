"""How well judges agree with the labels of a set of answers.

Rubric scores are compared on the scale from 1 to 5: kappa, alpha and exact agreement take the judge's score rounded
half up (a probability-weighted score is no whole number), errors and rank correlation take it as it is.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from ..position_bias import PairVerdict, PositionBias, position_bias
from ..schemas import SCORES
from .agreement import (
    RESAMPLES,
    Coefficient,
    CoefficientEstimate,
    LengthBias,
    cluster_draws,
    cohen_kappa,
    estimate,
    krippendorff_alpha,
    length_bias,
    mean_of,
    percent_agreement,
    spearman,
)
from .diagnostic import NO_REASON, DiagnosticRow, diagnostic_rows
from .labelled import KINDS, Label

Measure = Literal["score", "factual", "faithfulness"]
MEASURES: tuple[Measure, ...] = ("score", "factual", "faithfulness")
UNPAIRED = "no label has both values"

_Numbers = Sequence[float | None]
_Draws = Sequence[Sequence[int]]


@dataclass(frozen=True, slots=True)
class JudgeValues:
    """What a judge said of every label, in their order, on one measure.

    ``values``: scores from 1 to 5, or shares from 0 to 1; None where there is nothing, and then ``reasons`` (empty, or
    one a label) says why. ``repeats``: what it said when the same was asked again.
    """

    values: _Numbers
    reasons: Sequence[str | None] = ()
    repeats: Sequence[_Numbers] = ()


@dataclass(frozen=True, slots=True)
class JudgeAnswers:
    """All that one judge said: on the measures that it was asked for, and on pairs of answers in both orders."""

    judge: str
    score: JudgeValues | None = None
    factual: JudgeValues | None = None
    faithfulness: JudgeValues | None = None
    pairs: Sequence[PairVerdict] = ()


@dataclass(frozen=True, slots=True)
class Level:
    """What the judge gave to the answers labelled ``label``: how often 1 to 5, and the mean."""

    label: int
    counts: tuple[int, ...]
    mean: CoefficientEstimate


@dataclass(frozen=True, slots=True)
class KindRow:
    """Answers of one kind: how many the judge scored, and both mean scores over these."""

    kind: str
    n: int
    label_mean: float | None
    judge_mean: float | None


@dataclass(frozen=True, slots=True)
class Consistency:
    """How far a judge agrees with itself over ``passes`` passes.

    ``equal``: share of the labels, judged in every pass, that got equal values; ``alpha``: Krippendorff's over passes.
    """

    passes: int
    equal: Coefficient
    alpha: Coefficient


@dataclass(frozen=True, slots=True)
class ScoreCalibration:
    """A judge's rubric scores against the labels; ``mean_error`` is judge minus label in points of the scale."""

    n: int
    missing: Mapping[str, int]
    exact: CoefficientEstimate
    kappa: CoefficientEstimate
    linear_kappa: CoefficientEstimate
    quadratic_kappa: CoefficientEstimate
    alpha: CoefficientEstimate
    spearman: CoefficientEstimate
    mean_error: CoefficientEstimate
    length: LengthBias
    levels: tuple[Level, ...]
    kinds: tuple[KindRow, ...]
    consistency: Consistency | None


@dataclass(frozen=True, slots=True)
class ShareCalibration:
    """A judge's shares (0 to 1) against the labels: mean absolute error, and bias (judge minus label).

    ``undefined`` labels have no share, as the answer makes no claim; to ``invented`` of them the judge gave one.
    """

    n: int
    missing: Mapping[str, int]
    undefined: int
    invented: int
    absolute_error: CoefficientEstimate
    bias: CoefficientEstimate
    consistency: Consistency | None


@dataclass(frozen=True, slots=True)
class JudgeCalibration:
    """One judge's record; a part that was not asked for is None, and ``diagnostic`` is empty."""

    judge: str
    diagnostic: tuple[DiagnosticRow, ...]
    score: ScoreCalibration | None
    factual: ShareCalibration | None
    faithfulness: ShareCalibration | None
    position: PositionBias | None


@dataclass(frozen=True, slots=True)
class Calibration:
    """The record of one or several judges on one set of labels.

    ``panel_alpha`` is Krippendorff's ordinal alpha of the judges' rubric scores among themselves, without the labels.
    """

    labels: int
    questions: int
    resamples: int
    seed: int
    judges: tuple[JudgeCalibration, ...]
    panel_alpha: CoefficientEstimate

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, without NaN."""
        return asdict(self)


def calibrate(
    labels: Sequence[Label], judges: Sequence[JudgeAnswers], seed: int = 0, resamples: int = RESAMPLES
) -> Calibration:
    """Agreement of judges with labels, with 95 % intervals by bootstrap over questions.

    Raises ValueError for lists of another length than ``labels``, and for values off their scale.
    """
    for judge in judges:
        _check_scales(judge, len(labels))
    clusters = [label.cluster for label in labels]
    draws = cluster_draws(clusters, resamples, seed)
    panel = [_rounded(judge.score.values) for judge in judges if judge.score is not None]
    return Calibration(
        labels=len(labels),
        questions=len(set(clusters)),
        resamples=resamples,
        seed=seed,
        judges=tuple(_calibrate_one(labels, judge, clusters, draws, seed) for judge in judges),
        panel_alpha=_panel_alpha(panel, clusters, draws),
    )


def _calibrate_one(
    labels: Sequence[Label], judge: JudgeAnswers, clusters: Sequence[str], draws: _Draws, seed: int
) -> JudgeCalibration:
    given, scored = judge.score, any(label.score is not None for label in labels)
    diagnostic: tuple[DiagnosticRow, ...] = ()
    if given is not None:
        diagnostic = diagnostic_rows(labels, given.values, given.reasons, seed=seed, resamples=len(draws))
    labelled: dict[Measure, _Numbers] = {
        "factual": [label.factual for label in labels],
        "faithfulness": [label.faithfulness for label in labels],
    }

    def share(measure: Measure, given: JudgeValues | None) -> ShareCalibration | None:
        return None if given is None else _share_calibration(labelled[measure], given, clusters, draws)

    return JudgeCalibration(
        judge=judge.judge,
        diagnostic=diagnostic,
        score=None if given is None or not scored else _score_calibration(labels, given, clusters, draws),
        factual=share("factual", judge.factual),
        faithfulness=share("faithfulness", judge.faithfulness),
        position=position_bias(judge.pairs) if judge.pairs else None,
    )


def _score_calibration(
    labels: Sequence[Label], given: JudgeValues, clusters: Sequence[str], draws: _Draws
) -> ScoreCalibration:
    labelled = [label.score for label in labels]
    exact, rounded = given.values, _rounded(given.values)

    def both(statistic: Callable[[Any, Any], Coefficient], judge: _Numbers) -> CoefficientEstimate:
        return estimate(lambda at: statistic([labelled[i] for i in at], [judge[i] for i in at]), clusters, draws)

    scored = [i for i, score in enumerate(labelled) if score is not None]
    bias = length_bias(
        [exact[i] for i in scored],
        [score for score in labelled if score is not None],
        [labels[i].words for i in scored],
    )
    return ScoreCalibration(
        n=bias.n,
        missing=_missing(labelled, given),
        exact=both(percent_agreement, rounded),
        kappa=both(lambda one, other: cohen_kappa(one, other, "none", SCORES), rounded),
        linear_kappa=both(lambda one, other: cohen_kappa(one, other, "linear", SCORES), rounded),
        quadratic_kappa=both(lambda one, other: cohen_kappa(one, other, "quadratic", SCORES), rounded),
        alpha=both(lambda one, other: krippendorff_alpha([one, other], "ordinal"), rounded),
        spearman=both(spearman, exact),
        mean_error=both(_mean_error, exact),
        length=bias,
        levels=tuple(_level(score, labelled, exact, clusters, draws) for score in SCORES),
        kinds=_kinds(labels, exact),
        consistency=_consistency(given, "ordinal"),
    )


def _share_calibration(
    labelled: _Numbers, given: JudgeValues, clusters: Sequence[str], draws: _Draws
) -> ShareCalibration:
    def both(statistic: Callable[[_Numbers, _Numbers], Coefficient]) -> CoefficientEstimate:
        return estimate(lambda at: statistic([labelled[i] for i in at], [given.values[i] for i in at]), clusters, draws)

    undefined = [i for i, share in enumerate(labelled) if share is None]
    absolute = both(_absolute_error)
    return ShareCalibration(
        n=absolute.n,
        missing=_missing(labelled, given),
        undefined=len(undefined),
        invented=sum(given.values[i] is not None for i in undefined),
        absolute_error=absolute,
        bias=both(_mean_error),
        consistency=_consistency(given, "interval"),
    )


def _panel_alpha(panel: Sequence[_Numbers], clusters: Sequence[str], draws: _Draws) -> CoefficientEstimate:
    if len(panel) < 2:
        return CoefficientEstimate(None, None, None, 0, "a panel is two judges or more with rubric scores")
    return estimate(lambda at: krippendorff_alpha([[row[i] for i in at] for row in panel], "ordinal"), clusters, draws)


def _level(score: int, labelled: _Numbers, judge: _Numbers, clusters: Sequence[str], draws: _Draws) -> Level:
    def mean(at: Sequence[int]) -> Coefficient:
        return mean_of([value for i in at if labelled[i] == score and (value := judge[i]) is not None], UNPAIRED)

    counts = Counter(value for value, true in zip(_rounded(judge), labelled, strict=True) if true == score)
    return Level(score, tuple(counts[given] for given in SCORES), estimate(mean, clusters, draws))


def _kinds(labels: Sequence[Label], judge: _Numbers) -> tuple[KindRow, ...]:
    rows = []
    present = dict.fromkeys(label.kind for label in labels if label.kind is not None)
    for kind in [*(kind for kind in KINDS if kind in present), *(kind for kind in present if kind not in KINDS)]:
        pairs = [
            (label.score, value)
            for label, value in zip(labels, judge, strict=True)
            if label.kind == kind and label.score is not None and value is not None
        ]
        truth = mean_of([score for score, _ in pairs], UNPAIRED)
        given = mean_of([value for _, value in pairs], UNPAIRED)
        rows.append(KindRow(kind, len(pairs), truth.value, given.value))
    return tuple(rows)


def _consistency(given: JudgeValues, level: Literal["ordinal", "interval"]) -> Consistency | None:
    if not given.repeats:
        return None
    passes = [given.values, *given.repeats]
    units = [values for values in zip(*passes, strict=True) if None not in values]
    equal = Coefficient(None, 0, "no label was judged in every pass")
    if units:
        equal = Coefficient(sum(len(set(values)) == 1 for values in units) / len(units), len(units))
    return Consistency(len(passes), equal, krippendorff_alpha(passes, level))


def _missing(labelled: _Numbers, given: JudgeValues) -> dict[str, int]:
    reasons = given.reasons or [None] * len(labelled)
    rows = zip(labelled, given.values, reasons, strict=True)
    counts = Counter(reason or NO_REASON for label, value, reason in rows if label is not None and value is None)
    return dict(sorted(counts.items()))


def _mean_error(labelled: _Numbers, judge: _Numbers) -> Coefficient:
    return mean_of(_errors(labelled, judge), UNPAIRED)


def _absolute_error(labelled: _Numbers, judge: _Numbers) -> Coefficient:
    return mean_of([abs(error) for error in _errors(labelled, judge)], UNPAIRED)


def _errors(labelled: _Numbers, judge: _Numbers) -> list[float]:
    pairs = zip(labelled, judge, strict=True)
    return [given - true for true, given in pairs if true is not None and given is not None]


def _rounded(values: _Numbers) -> list[int | None]:
    return [None if value is None else math.floor(value + 0.5) for value in values]


def _check_scales(judge: JudgeAnswers, n: int) -> None:
    for measure in MEASURES:
        given: JudgeValues | None = getattr(judge, measure)
        if given is None:
            continue
        low, high = (SCORES[0], SCORES[-1]) if measure == "score" else (0, 1)
        for values in (given.values, *given.repeats):
            if len(values) != n:
                raise ValueError(f"{judge.judge}: {len(values)} values of {measure} for {n} labels")
            # NaN fails the comparison.
            if off := [value for value in values if value is not None and not low <= value <= high]:
                raise ValueError(f"{judge.judge}: {off[0]!r} is no {measure} from {low} to {high}")
        if given.reasons and len(given.reasons) != n:
            raise ValueError(f"{judge.judge}: {len(given.reasons)} reasons of {measure} for {n} labels")
