"""Likelihood of answers under judges: asked once, kept, and missing where a judge cannot tell."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pytest

from telbench.judges.chat import ChatReply, ChatRequest
from telbench.judges.contract import JudgeIdentity
from telbench.judges.likelihood import LikelihoodRequest
from telbench.judges.panel import JudgePanel, MemoryLedger
from telbench.metrics.check import check_metric
from telbench.metrics.contract import ItemScore, Resources, Sample
from telbench.metrics.judged.likelihood import judge_likelihood


class ReplyingJudge:
    """A judge that only replies."""

    def __init__(self, name: str = "server") -> None:
        self.identity = JudgeIdentity(name, f"{name}-1", False, False)

    def ask(self, requests: Iterable[ChatRequest]) -> Iterator[ChatReply]:
        raise AssertionError("nothing is to be asked")

    def close(self) -> None:
        pass


class LetterJudge:
    """A model of words as tokens: every letter costs ``per_letter`` nats; texts beyond ``window`` words go unscored."""

    def __init__(self, name: str = "letters", per_letter: float = -0.5, window: int = 6) -> None:
        self.identity = JudgeIdentity(name, name, False, True)
        self.per_letter = per_letter
        self.window = window
        self.asked: list[LikelihoodRequest] = []

    def ask(self, requests: Iterable[ChatRequest]) -> Iterator[ChatReply]:
        raise AssertionError("nothing is to be asked")

    def log_likelihoods(self, requests: Iterable[LikelihoodRequest]) -> Iterator[tuple[str, float, int]]:
        for request in requests:
            self.asked.append(request)
            words = request.continuation.split()
            if words and len(words) <= self.window:
                yield request.key, self.per_letter * sum(map(len, words)), len(words)

    def close(self) -> None:
        pass


def score(panel: JudgePanel | None, *predictions: str) -> list[ItemScore]:
    samples = [Sample(str(k), text, question="What is a gNB?", context="C.") for k, text in enumerate(predictions)]
    return judge_likelihood.build(Resources(judge=panel)).score(samples)


def test_the_value_is_a_token_and_depends_on_the_answer_only_through_the_judge():
    judge = LetterJudge()
    scores = score(JudgePanel([judge]), "a base station", "no")
    assert [each.value for each in scores] == pytest.approx([-0.5 * 12 / 3, -0.5 * 2])
    assert [request.messages[0]["content"] for request in judge.asked] == [
        "Answer the telecom question.\nContext: C.\nQuestion: What is a gNB?"
    ] * 2


def test_equal_answers_are_asked_once_and_kept_ones_never_again():
    judge, ledger = LetterJudge(), MemoryLedger()
    first = score(JudgePanel([judge], ledger), "yes", "yes", "no")
    assert len(judge.asked) == 3 - 1
    assert score(JudgePanel([judge], ledger), "yes", "no") == [first[0], first[2]]
    assert len(judge.asked) == 2
    assert ledger.get(first[0].judgements[0]) == {
        "item_id": "1",
        "judge": "letters",
        "log_likelihood": -1.5,
        "tokens": 1,
    }


def test_what_a_judge_cannot_score_is_missing_counted_as_its_failure_and_not_asked_again():
    judge, ledger = LetterJudge(window=2), MemoryLedger()
    for _ in range(2):
        (found,) = score(JudgePanel([judge], ledger), "far too long an answer")
        assert (found.value, found.judge_failed) == (None, True)
        assert found.reason == "the judge could not score the answer: it does not fit the judge's window"
    assert len(judge.asked) == 1


def test_a_panel_gives_the_mean_of_those_that_can_and_nothing_where_one_of_them_fails():
    panel = JudgePanel([LetterJudge("one"), ReplyingJudge(), LetterJudge("two", per_letter=-1.0, window=2)])
    scores = score(panel, "ab", "a b c")
    assert [each.value for each in scores] == [pytest.approx(-1.5), None]
    assert len(scores[0].judgements) == 2
    assert judge_likelihood.build(Resources(judge=panel)).signature == "judge_likelihood|end:no|judge:one+two|v2"


@pytest.mark.parametrize(
    ("panel", "reason"),
    [
        (None, "no judge: pass --judge local:CHECKPOINT or openai:MODEL@URL"),
        (JudgePanel([ReplyingJudge()]), "judge gives no likelihoods"),
    ],
)
def test_without_a_judge_that_can_there_is_no_value(panel: JudgePanel | None, reason: str):
    assert [(each.value, each.reason) for each in score(panel, "yes")] == [(None, reason)]


def test_an_empty_answer_has_no_tokens_to_average():
    (found,) = score(JudgePanel([LetterJudge()]), " \n")
    assert (found.value, found.reason, found.judge_failed) == (None, "empty answer", False)


def test_the_contract_is_kept():
    assert check_metric(judge_likelihood.build(Resources(judge=JudgePanel([LetterJudge(window=9999)])))) == []
