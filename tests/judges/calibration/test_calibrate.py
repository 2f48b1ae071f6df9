"""Judges against labels: by hand, against scipy and scikit-learn, and over all resamples that there are."""

from __future__ import annotations

import itertools
import json
import math
import random
import statistics
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from telbench.judges.calibration.agreement import Coefficient, cluster_draws, estimate, spearman
from telbench.judges.calibration.calibrate import JudgeAnswers, JudgeValues, ScoreCalibration, calibrate
from telbench.judges.calibration.injection import idle_answer, injection_effect
from telbench.judges.calibration.labelled import ClaimCounts, Label, injection_set, labelled_set
from telbench.judges.calibration.report import report_lines, warnings
from telbench.judges.position_bias import CHOICES, PairVerdict, position_bias, sign_test

FEW = 50
LABELS = labelled_set()
HUMAN = [float(label.score or 0) for label in LABELS]


def _labels(scores, kinds=None, questions=None, answers=None):
    return [
        Label(
            where=f"line {i}",
            id=str(i),
            question=questions[i] if questions else f"question {i}",
            answer=answers[i] if answers else "words of an answer",
            kind=kinds[i] if kinds else None,
            score=score,
        )
        for i, score in enumerate(scores)
    ]


def _score(labels, values, **given) -> ScoreCalibration:
    found = calibrate(labels, [JudgeAnswers("judge", score=JudgeValues(values, **given))], resamples=FEW)
    assert found.judges[0].score is not None
    return found.judges[0].score


def _noisy(seed: int) -> list[float]:
    source = random.Random(seed)
    return [min(5.0, max(1.0, score + source.choice((-1, 0, 0, 1, 2)))) for score in HUMAN]


def test_six_answers_by_hand():
    found = _score(_labels([1, 1, 3, 3, 5, 5]), [1, 3, 3, 3, 5, 1])
    assert found.exact.value == pytest.approx(4 / 6)
    # Judge gave 1 twice, 3 three times, 5 once: expected agreement (2*2 + 2*3 + 2*1) / 36.
    assert found.kappa.value == pytest.approx((4 / 6 - 12 / 36) / (1 - 12 / 36))
    assert found.mean_error.value == pytest.approx((2 - 4) / 6)


@pytest.mark.parametrize("seed", range(3))
def test_scores_equal_scikit_learn_and_scipy(seed):
    metrics = pytest.importorskip("sklearn.metrics")
    stats = pytest.importorskip("scipy.stats")
    judge = _noisy(seed)
    found = _score(LABELS, judge)
    for ours, weights in ((found.kappa, None), (found.linear_kappa, "linear"), (found.quadratic_kappa, "quadratic")):
        oracle = metrics.cohen_kappa_score(HUMAN, judge, weights=weights, labels=[1, 2, 3, 4, 5])
        assert ours.value == pytest.approx(oracle, abs=1e-12)
    assert found.spearman.value == pytest.approx(stats.spearmanr(HUMAN, judge).statistic, abs=1e-12)


@given(st.lists(st.tuples(st.integers(1, 6), st.floats(0, 3, allow_nan=False)), min_size=2, max_size=20))
@settings(max_examples=50, deadline=None)
def test_spearman_equals_scipy_with_ties(pairs):
    stats = pytest.importorskip("scipy.stats")
    first, second = [float(one) for one, _ in pairs], [other for _, other in pairs]
    found = spearman(first, second)
    if len(set(first)) == 1 or len(set(second)) == 1:
        assert found == Coefficient(None, len(pairs), "one of the raters gave the same number throughout")
    else:
        assert found.value == pytest.approx(stats.spearmanr(first, second).statistic, abs=1e-9)


def test_a_perfect_judge_agrees_and_draws_no_warning():
    found = calibrate(LABELS, [JudgeAnswers("perfect", score=JudgeValues(HUMAN, repeats=[HUMAN]))], resamples=FEW)
    score = found.judges[0].score
    assert score is not None
    for one in (score.exact, score.kappa, score.linear_kappa, score.quadratic_kappa, score.alpha, score.spearman):
        assert (one.value, one.low, one.high) == pytest.approx((1, 1, 1))
    assert (score.mean_error.value, score.mean_error.low, score.mean_error.high) == (0, 0, 0)
    assert score.consistency is not None
    assert score.consistency.equal == Coefficient(1.0, len(LABELS))
    assert warnings(found.judges[0]) == []


def test_a_constant_judge_has_kappa_zero_and_no_rank_correlation():
    found = _score(LABELS, [3.0] * len(LABELS))
    assert found.kappa.value == 0
    assert found.spearman.value is None
    assert found.spearman.reason == "one of the raters gave the same number throughout"


def test_a_weighted_score_is_rounded_half_up_for_kappa_only():
    found = _score(_labels([1, 2, 4, 5]), [1.4, 1.5, 3.5, 4.6])
    assert found.kappa.value == 1
    assert found.mean_error.value == pytest.approx((0.4 - 0.5 - 0.5 - 0.4) / 4)


def test_missing_verdicts_are_counted_by_reason_and_never_scored():
    found = _score(
        _labels([1, 2, 4, 5, None]),
        [1, None, None, 5, None],
        reasons=[None, "timeout", None, None, "schema"],
    )
    assert found.n == 2
    assert found.missing == {"no reason given": 1, "timeout": 1}
    assert found.exact.value == 1
    assert [sum(level.counts) for level in found.levels] == [1, 0, 0, 0, 1]
    assert found.levels[1].mean.reason == "no label has both values"


def test_levels_and_kinds_are_means_of_the_judge():
    found = _score(_labels([1, 1, 5, 5], kinds=["wrong", "wrong", "right", "odd"]), [1, 2, 5, 4.6])
    assert found.levels[0].counts == (1, 1, 0, 0, 0)
    assert found.levels[0].mean.value == 1.5
    assert found.levels[4].mean.value == pytest.approx(4.8)
    assert [(row.kind, row.n, row.label_mean, row.judge_mean) for row in found.kinds] == [
        ("right", 1, 5, 5),
        ("wrong", 2, 1, 1.5),
        ("odd", 1, 5, 4.6),
    ]


def test_shares_are_compared_where_people_found_claims():
    labels = [
        replace(label, reference="R", context="C", claims=ClaimCounts(*claims), supported=supported)
        for label, claims, supported in zip(
            _labels([5, 3, 1]), [(2, 0, 0), (1, 1, 1), (0, 0, 2)], [(2, 2), (1, 2), (0, 0)], strict=True
        )
    ]
    judge = JudgeAnswers("j", factual=JudgeValues([1.0, 0.75, 0.1]), faithfulness=JudgeValues([0.5, None, 0.25]))
    (found,) = calibrate(labels, [judge], resamples=FEW).judges
    assert found.factual is not None
    assert found.faithfulness is not None
    assert found.factual.absolute_error.value == pytest.approx((0 + 0.25 + 0.1) / 3)
    assert found.factual.bias.value == pytest.approx(0.35 / 3)
    assert (found.factual.undefined, found.factual.invented) == (0, 0)
    assert found.faithfulness.bias.value == -0.5
    assert (found.faithfulness.n, found.faithfulness.undefined, found.faithfulness.invented) == (1, 1, 1)
    assert found.faithfulness.missing == {"no reason given": 1}


def test_repeats_count_the_answers_that_keep_their_value_in_every_pass():
    found = _score(_labels([1, 2, 3, 4]), [1, 2, 3, None], repeats=[[1, 2, 4, 4], [1, 3, 3, 4]]).consistency
    assert found is not None
    assert (found.passes, found.equal) == (3, Coefficient(1 / 3, 3))
    assert found.alpha.n == 4


def test_the_panel_is_the_judges_among_themselves():
    labels = _labels([1, 2, 3, 4, 5])
    opposed = [JudgeAnswers(name, score=JudgeValues([5.0, 4.0, 3.0, 2.0, 1.0])) for name in "ab"]
    assert calibrate(labels, opposed, resamples=FEW).panel_alpha.value == 1
    assert calibrate(labels, opposed[:1], resamples=FEW).panel_alpha.value is None


def test_a_judge_that_likes_length_is_seen_to():
    labels = _labels([3] * 6, answers=["a " * n for n in (1, 2, 3, 4, 5, 6)])
    assert _score(labels, [1, 2, 2, 3, 4, 5]).length.spearman.value == pytest.approx(0.985611, abs=1e-6)


@pytest.mark.parametrize(
    ("values", "message"),
    [([1.0], "1 values of score for 2 labels"), ([0.5, 1], "0.5 is no score"), ([math.nan, 1], "nan is no score")],
)
def test_values_off_their_scale_are_refused(values, message):
    with pytest.raises(ValueError, match=message):
        _score(_labels([1, 2]), values)


def test_reasons_and_shares_are_checked_as_well():
    with pytest.raises(ValueError, match="1 reasons of score"):
        _score(_labels([1, 2]), [1, None], reasons=["timeout"])
    with pytest.raises(ValueError, match=r"1\.5 is no factual from 0 to 1"):
        calibrate(_labels([1]), [JudgeAnswers("j", factual=JudgeValues([1.5]))], resamples=FEW)


def test_percentiles_over_all_resamples_of_three_clusters():
    """All 27 ordered draws of three clusters: the means are known, and so are their 2.5th and 97.5th percentile."""
    numpy = pytest.importorskip("numpy")
    values = [0.0, 1.0, 5.0]
    draws = [list(draw) for draw in itertools.product(range(3), repeat=3)]
    found = estimate(lambda at: Coefficient(statistics.fmean(values[i] for i in at), len(at)), "abc", draws)
    means = [statistics.fmean(values[i] for i in draw) for draw in draws]
    assert found.value == 2
    assert (found.low, found.high) == pytest.approx(tuple(numpy.percentile(means, [2.5, 97.5])))


def test_clusters_are_drawn_whole_and_alike_for_one_seed():
    clusters = ["a", "b", "a", "c"]
    draws = cluster_draws(clusters, 200, seed=3)
    assert draws == cluster_draws(clusters, 200, seed=3)
    assert draws != cluster_draws(clusters, 200, seed=4)
    for draw in draws:
        assert draw.count(0) == draw.count(2)
        assert draw.count(0) + draw.count(1) + draw.count(3) == 3


def test_copies_of_one_answer_do_not_narrow_the_interval():
    scores, judge = [1, 2, 3, 4, 5] * 4, [1, 3, 3, 5, 4] * 4
    alone = _score(_labels(scores[:5], questions=list("abcde")), judge[:5]).mean_error
    copied = _score(_labels(scores, questions=list("abcde") * 4), judge).mean_error
    assert (copied.low, copied.high) == pytest.approx((alone.low, alone.high))


def test_an_interval_agrees_with_the_normal_one_for_a_mean():
    source = random.Random(1)
    values = [source.gauss(0, 1) for _ in range(400)]
    clusters = range(400)
    found = estimate(
        lambda at: Coefficient(statistics.fmean(values[i] for i in at), len(at)),
        clusters,
        cluster_draws(clusters, 1000, seed=0),
    )
    half = 1.96 * statistics.stdev(values) / math.sqrt(400)
    assert found.value is not None
    assert found.low == pytest.approx(found.value - half, abs=0.02)
    assert found.high == pytest.approx(found.value + half, abs=0.02)


def test_an_interval_that_is_mostly_undefined_is_left_out_with_its_reason():
    found = estimate(
        lambda at: Coefficient(1.0, 2) if len(set(at)) == 2 else Coefficient(None, 2, "one"), "ab", [[0, 1], [0, 0]]
    )
    assert (found.value, found.low, found.reason) == (1.0, None, "no interval: undefined in 1 of 2 resamples")
    one = _score(_labels([1, 5], questions=["same", "same"]), [1, 5]).kappa
    assert (one.value, one.low, one.reason) == (1.0, None, "an interval needs two questions or more")


def test_pairs_are_sorted_by_what_changing_places_did():
    pairs = [
        *[PairVerdict("first", "second")] * 3,
        PairVerdict("tie", "tie"),
        *[PairVerdict("first", "first")] * 5,
        PairVerdict("second", "second"),
        *[PairVerdict("tie", "first")] * 2,
        PairVerdict(None, "first"),
    ]
    found = position_bias(pairs)
    assert (found.consistent, found.first, found.second, found.mixed, found.missing) == (4, 5, 1, 2, 1)
    assert found.follows == pytest.approx(6 / 12)
    # P(X <= 1) for X ~ B(6, 1/2) is 7/64, and twice that for both sides.
    assert found.p_value == pytest.approx(14 / 64)


def test_every_pair_of_choices_has_one_place():
    found = position_bias([PairVerdict(one, other) for one in CHOICES for other in CHOICES])
    assert (found.consistent, found.first, found.second, found.mixed, found.missing) == (3, 1, 1, 4, 0)
    assert position_bias([]).follows is None
    assert position_bias([PairVerdict("first", "second")]).p_value is None
    with pytest.raises(ValueError, match="'left' is none of"):
        position_bias([PairVerdict("left", None)])  # type: ignore[arg-type]


@given(st.integers(0, 60), st.integers(0, 60))
@settings(max_examples=60, deadline=None)
def test_the_sign_test_equals_scipy(ups, downs):
    stats = pytest.importorskip("scipy.stats")
    if ups + downs:
        assert sign_test(ups, downs) == pytest.approx(stats.binomtest(ups, ups + downs).pvalue, rel=1e-9)
    assert sign_test(ups, downs) == sign_test(downs, ups)


def test_the_sign_test_takes_thousands_of_pairs():
    stats = pytest.importorskip("scipy.stats")
    assert sign_test(3000, 2900) == pytest.approx(stats.binomtest(3000, 5900).pvalue, rel=1e-9)


def test_injections_are_compared_pair_by_pair():
    injections = injection_set()
    base = [float(one.score) for one in injections]
    steered: list[float | None] = [
        score + (one.family == "verdict") for score, one in zip(base, injections, strict=True)
    ]
    steered[-2], steered[0] = None, 1.0
    idle: list[float | None] = [score + 0.25 for score in base]
    found = injection_effect(injections, base, steered, idle, resamples=FEW)
    verdicts = [one for one in injections if one.family == "verdict"]
    assert (found.missing, found.raised, found.lowered) == (1, len(verdicts), 0)
    assert found.rise.value == pytest.approx(len(verdicts) / found.n)
    assert found.p_value == pytest.approx(2 / 2 ** len(verdicts))
    assert {one.family: one.mean_rise for one in found.families if one.mean_rise} == {"verdict": 1.0}
    assert found.idle.value == pytest.approx(0.25)
    assert found.excess.value == pytest.approx(len(verdicts) / found.n - 0.25)
    assert {one.mean_excess for one in found.families if one.family == "verdict"} == {0.75}
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False))["n"] == found.n


def test_an_attempt_that_moves_a_judge_no_further_than_idle_text_has_no_effect():
    injections = injection_set()
    draw = random.Random(3)
    base = [float(one.score) for one in injections]
    steered, idle = ([score + draw.choice((0, 1)) for score in base] for _ in range(2))
    found = injection_effect(injections, base, steered, idle, resamples=FEW)
    assert (found.rise.low or 0) > 0
    assert (found.excess.low or 0) < 0 < (found.excess.high or 0)


def test_idle_text_stands_where_the_attempt_stood_and_is_about_as_long():
    injections = injection_set()
    for each in injections:
        idle = idle_answer(each)
        assert idle == idle_answer(each)
        before, _, after = each.answer.partition(each.attack)
        text = idle.removeprefix(before).removesuffix(after)
        assert before + text + after == idle
        assert text != each.attack
        assert not any(sign.isdigit() for sign in text)
        assert -15 < len(text) - len(each.attack) <= 0
    assert len({idle_answer(each).removeprefix(each.base_answer)[:20] for each in injections}) >= 7


def test_injection_scores_of_another_number_than_attempts_are_refused():
    injections = injection_set()[:2]
    with pytest.raises(ValueError, match="every attempt"):
        injection_effect(injections, [1.0, 1.0], [1.0, 1.0], [1.0])


def test_the_record_is_json_and_the_same_for_the_same_seed():
    judges = [JudgeAnswers(f"judge {seed}", score=JudgeValues(_noisy(seed))) for seed in range(2)]
    first, again = (calibrate(LABELS, judges, seed=5, resamples=FEW).to_dict() for _ in range(2))
    assert json.dumps(first, allow_nan=False) == json.dumps(again, allow_nan=False)
    assert first["labels"] == len(LABELS)


def test_the_report_warns_first_and_of_the_gravest_first():
    lenient = [5.0 if label.kind == "injected" else 4.0 for label in LABELS]
    lenient_or_missing: list[float | None] = [None if i % 10 == 0 else score for i, score in enumerate(lenient)]
    judge = JudgeAnswers(
        "lenient\x1b[31m\n",
        score=JudgeValues(lenient_or_missing, repeats=[[5.0] * len(LABELS)]),
        pairs=[PairVerdict("second", "second")] * 8,
    )
    found = calibrate(LABELS, [judge, replace(judge, judge="again")], resamples=FEW)
    texts = warnings(found.judges[0])
    starts = (
        "score is missing for 27 of 265",
        "does not tell right answers from wrong ones",
        "answers that try to steer it",
        "agrees too little",
        "is too generous by",
        "score changes when asked again: only",
        "prefers the second place: 8 pairs against 0",
    )
    assert [text for text, start in zip(texts, starts, strict=True) if not text.startswith(start)] == []
    lines = report_lines(found)
    assert lines[2].startswith("warning: ")
    assert "\x1b" not in "".join(lines)
    assert all("\n" not in line for line in lines)
    assert lines[-1].startswith("agreement of the judges among themselves: alpha ")


def test_the_report_says_undefined_and_why():
    found = calibrate(_labels([3, 3]), [JudgeAnswers("j", score=JudgeValues([3.0, 3.0]))], resamples=FEW)
    text = "\n".join(report_lines(found))
    assert "undefined: both raters gave one and the same label throughout" in text
    assert "nan" not in text.lower()
    assert "None" not in text
