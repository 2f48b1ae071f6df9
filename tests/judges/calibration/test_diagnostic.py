"""Sensitivity, specificity and AUC of a judge: by hand, against statsmodels, and where little is known."""

from __future__ import annotations

import random

import pytest

from telbench.judges.calibration.calibrate import JudgeAnswers, JudgeValues, calibrate
from telbench.judges.calibration.diagnostic import NONE_RIGHT, NONE_WRONG, diagnostic_rows, share_estimate
from telbench.judges.calibration.labelled import Label
from telbench.judges.calibration.report import report_lines, warnings

FEW = 200


def label(number: int, right: bool | None = None, *, score: int | None = None, system: str | None = None) -> Label:
    """A labelled answer; every second one is to the question of the one before."""
    question = f"question {number // 2}"
    return Label("line", str(number), question, "words", item_id=question, right=right, score=score, system=system)


def by_hand() -> tuple[list[Label], list[float | None]]:
    """Of one system 3 of 4 right and 1 of 2 wrong answers are called so, of the other 1 of 1 and 2 of 3."""
    rows = [
        ("fid", True, 5.0),
        ("fid", True, 3.5),
        ("fid", True, 4.0),
        ("fid", True, 3.49),
        ("fid", False, 1.0),
        ("fid", False, 4.0),
        ("gpt4", True, 4.2),
        ("gpt4", False, 2.0),
        ("gpt4", False, 3.0),
        ("gpt4", False, 5.0),
        ("gpt4", False, None),
    ]
    labels = [label(number, right, system=system) for number, (system, right, _) in enumerate(rows)]
    return labels, [score for _, _, score in rows]


def test_rows_are_those_worked_by_hand():
    labels, scores = by_hand()
    found = {
        row.system: row for row in diagnostic_rows(labels, scores, [None] * 10 + ["judge: truncated"], resamples=FEW)
    }
    assert list(found) == [None, "fid", "gpt4"]
    shares = {name: (row.right, row.sensitivity.value, row.wrong, row.specificity.value) for name, row in found.items()}
    assert shares == {None: (5, 0.8, 5, 0.6), "fid": (4, 0.75, 2, 0.5), "gpt4": (1, 1.0, 3, pytest.approx(2 / 3))}
    # fid: 4 pairs with 1.0 are won; 5.0 beats the wrong 4.0, the right 4.0 ties with it.
    assert found["fid"].auc.value == pytest.approx((4 + 1 + 0.5) / 8)
    assert found["gpt4"].auc.value == pytest.approx(2 / 3)
    assert dict(found["gpt4"].missing) == dict(found[None].missing) == {"judge: truncated": 1}
    assert dict(found["fid"].missing) == {}


def test_a_score_tells_right_from_wrong_where_there_is_no_verdict():
    labels = [label(0, score=5), label(1, score=4), label(2, score=3), label(3, score=1), label(4, False, score=5)]
    (row,) = diagnostic_rows(labels, [4.0, 1.0, 4.0, 1.0, 1.0], resamples=FEW)
    assert (row.right, row.wrong) == (2, 3)
    assert (row.sensitivity.value, row.specificity.value) == (0.5, pytest.approx(2 / 3))


@pytest.mark.parametrize(("hits", "n"), [(8, 10), (1, 7), (50, 60), (0, 12), (30, 30)])
def test_with_independent_answers_the_interval_is_wilson_s(hits, n):
    proportion = pytest.importorskip("statsmodels.stats.proportion")
    found = share_estimate([True] * hits + [False] * (n - hits), range(n), "none")
    low, high = proportion.proportion_confint(hits, n, method="wilson")
    assert (found.low, found.high) == (pytest.approx(low, abs=1e-12), pytest.approx(high, abs=1e-12))
    assert found.value == hits / n


def test_answers_that_repeat_one_another_make_no_narrower_interval():
    once = share_estimate([True] * 8 + [False] * 2, range(10), "none")
    five = share_estimate([hit for hit in [True] * 8 + [False] * 2 for _ in range(5)], [i // 5 for i in range(50)], "")
    assert (five.low, five.high) == (pytest.approx(once.low), pytest.approx(once.high))
    # Nothing varies among thirty answers to six questions: six times right, no more is known.
    alike = share_estimate([True] * 30, [i // 5 for i in range(30)], "none")
    assert alike.low == pytest.approx(share_estimate([True] * 6, range(6), "none").low)
    assert alike.low is not None
    assert alike.low < 0.7


def test_the_interval_covers_the_truth_of_answers_that_go_together():
    draw = random.Random(4)
    covered = 0
    for _ in range(400):
        hits, clusters = [], []
        for question in range(40):
            # Of a question's five answers all share its ease: the shares of questions are 0.95 or 0.55.
            ease = draw.choice([0.95, 0.55])
            hits += [draw.random() < ease for _ in range(5)]
            clusters += [question] * 5
        found = share_estimate(hits, clusters, "none")
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= 0.75 <= found.high
    assert covered / 400 >= 0.92


def test_what_nobody_gave_is_absent_with_a_reason():
    only_right = [label(number, True) for number in range(4)]
    (row,) = diagnostic_rows(only_right, [5.0, 4.0, 3.0, None], resamples=FEW)
    assert (row.specificity.value, row.specificity.reason) == (None, NONE_WRONG)
    assert (row.auc.value, row.auc.reason) == (None, NONE_WRONG)
    assert row.sensitivity.n == 3
    (row,) = diagnostic_rows([label(0, False), label(1, False)], [1.0, 1.0], resamples=FEW)
    assert (row.sensitivity.reason, row.auc.reason) == (NONE_RIGHT, NONE_RIGHT)
    assert diagnostic_rows([label(0)], [3.0]) == ()


def test_verdicts_alone_make_a_report_without_agreement():
    labels, scores = by_hand()
    judge = JudgeAnswers("judge", score=JudgeValues(scores, [None] * 10 + ["judge: truncated"]))
    found = calibrate(labels, [judge], resamples=FEW)
    assert found.judges[0].score is None
    lines = report_lines(found)
    assert not any("kappa" in line for line in lines)
    at = lines.index("  right or wrong (a score of 4 or more says right), missing 1 (judge: truncated 1)")
    assert lines[at + 1].split() == ["answers", "of", "right", "wrong", "sensitivity", "specificity", "AUC"]
    assert [line.split()[:4] for line in lines[at + 2 : at + 5]] == [
        ["all", "5", "5", "0.80"],
        ["fid", "4", "2", "0.75"],
        ["gpt4", "1", "3", "1.00"],
    ]
    assert any(text.startswith("score is missing for 1 of 11 answers") for text in warnings(found.judges[0]))


def test_a_judge_that_tells_nothing_apart_is_told_so_and_a_good_one_is_not():
    draw = random.Random(2)
    labels = [label(number, number % 3 > 0) for number in range(120)]
    coin = JudgeAnswers("coin", score=JudgeValues([float(draw.randint(1, 5)) for _ in labels]))
    good = JudgeAnswers(
        "good", score=JudgeValues([4.0 if each.right else float(draw.randint(1, 4)) for each in labels])
    )
    worse = JudgeAnswers(
        "worse", score=JudgeValues([1.0 if each.right else float(draw.randint(1, 4)) for each in labels])
    )
    told = [warnings(judge) for judge in calibrate(labels, [coin, good, worse], resamples=FEW).judges]
    assert [[text for text in texts if "AUC" in text] != [] for texts in told] == [True, False, True]
    assert told[0][0].startswith("does not tell right answers from wrong ones: AUC 0.")
    assert told[2][0].startswith("scores wrong answers above right ones: AUC 0.")
