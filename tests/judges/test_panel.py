"""A panel asks each judge once, keeps what it said, and tells a missing verdict from a bad one."""

from __future__ import annotations

import json

import pytest

from telbench.errors import EngineError
from telbench.judges.chat import ChatReply
from telbench.judges.contract import JudgeTask, judge_request, request_key
from telbench.judges.panel import JudgePanel, MemoryLedger, recorded_verdict
from telbench.judges.rubric import load_rubric
from telbench.judges.verdicts import Missing, RubricScore

from ..scripted_judge import ScriptedJudge, giving

RUBRIC = load_rubric("rubric_score")


def task(answer: str, item: str = "a") -> JudgeTask:
    return JudgeTask(RUBRIC, {"question": "q?", "reference": "N2", "answer": answer}, item)


def test_each_judge_is_asked_and_its_verdict_is_read():
    panel = JudgePanel([ScriptedJudge("strict", giving(2)), ScriptedJudge("kind", giving(5))])
    strict, kind = panel.judgements(task("N2"))
    assert (strict.judge, strict.verdict) == ("strict", RubricScore(2, ("so",)))
    assert (kind.judge, kind.verdict) == ("kind", RubricScore(5, ("so",)))
    assert panel.name == "strict+kind"


def test_equal_tasks_are_asked_once_and_known_ones_never():
    judge = ScriptedJudge("judge", giving(4))
    ledger, seen = MemoryLedger(), []
    panel = JudgePanel([judge], ledger)
    panel.ask(lambda: [task("N2", "a"), task("N2", "b"), task("N3", "c")], seen.append)
    assert len(judge.requests) == 2
    assert seen == ["judge"] * 3
    again = JudgePanel([judge], ledger)
    again.ask(lambda: [task("N2"), task("N3")])
    assert again.judgements(task("N2"))[0].verdict == RubricScore(4, ("so",))
    assert len(judge.requests) == 2
    assert (again.tallies["judge"].asked, again.tallies["judge"].prompts) == (0, 1)


def test_a_judge_with_nothing_to_answer_is_never_opened():
    def refuse(_prompt: str) -> ChatReply:
        raise AssertionError("asked")

    panel = JudgePanel([ScriptedJudge("judge", refuse)])
    panel.ask(list)


def test_no_reply_is_missing_and_asked_again_by_the_next_process_only():
    replies = iter(
        [ChatReply("", error="no answer within 9 s", timed_out=True), ChatReply("", '{"reasons": ["so"], "score": 3}')]
    )
    judge = ScriptedJudge("judge", lambda _prompt: next(replies))
    ledger = MemoryLedger()
    panel = JudgePanel([judge], ledger)
    for _ in range(2):
        verdict = panel.judgements(task("N2"))[0].verdict
        assert isinstance(verdict, Missing)
        assert verdict.reason == "timeout"
    assert len(judge.requests) == 1
    assert panel.tallies["judge"].missing == {"timeout": 1}
    # The record says it by the reason: its reply is kept without the field.
    (record,) = (ledger.get(request.key) for request in judge.requests)
    assert record is not None
    assert "timed_out" not in record["reply"]
    assert record["missing"] == {"reason": "timeout", "detail": "no answer within 9 s"}
    assert JudgePanel([judge], ledger).judgements(task("N2"))[0].verdict == RubricScore(3, ("so",))


@pytest.mark.parametrize("text", ["", "I'm sorry, no.", '{"score": 5}', '{"reasons": ["x"], "score": 9}', "{"])
def test_a_bad_verdict_is_missing_and_not_asked_again(text):
    judge = ScriptedJudge("judge", lambda _prompt: ChatReply("", text, "stop"))
    ledger = MemoryLedger()
    for _ in range(2):
        assert isinstance(JudgePanel([judge], ledger).judgements(task("N2"))[0].verdict, Missing)
    assert len(judge.requests) == 1


def test_what_was_answered_before_a_judge_died_is_kept():
    count = iter(range(9))

    def answer(prompt: str) -> ChatReply:
        if next(count) == 2:
            raise EngineError("gone")
        return giving(1)(prompt)

    judge, ledger = ScriptedJudge("judge", answer), MemoryLedger()
    tasks = [task(f"N{index}") for index in range(4)]
    with pytest.raises(EngineError):
        JudgePanel([judge], ledger).ask(lambda: tasks)
    JudgePanel([judge], ledger).ask(lambda: tasks)
    assert len(judge.requests) == 3 + 2


def test_the_score_is_weighted_by_probability_from_the_record_as_from_the_reply():
    text = '{"reasons": ["so"], "score": 4}'
    top = [{"token": "5", "logprob": -1.0}, {"token": "4", "logprob": -0.5}]
    content = [
        {"token": '{"reasons": ["so"], "score": ', "logprob": 0.0, "top_logprobs": []},
        {"token": "4", "logprob": -0.5, "top_logprobs": top},
        {"token": "}", "logprob": 0.0, "top_logprobs": []},
    ]
    judge = ScriptedJudge("judge", lambda _prompt: ChatReply("", text, "stop", logprobs={"content": content}))
    ledger = MemoryLedger()
    (first,) = JudgePanel([judge], ledger).judgements(task("N2"))
    record = json.loads(json.dumps(ledger.get(first.key)))
    assert "logprobs" not in record["reply"]
    assert recorded_verdict(RUBRIC, record) == first.verdict
    assert isinstance(first.verdict, RubricScore)
    assert first.verdict.weighted is not None
    assert 4.0 < first.verdict.weighted < 5.0


def test_a_judge_that_enforces_gets_the_schema_and_another_only_the_prompt():
    enforced = judge_request(task("N2"), ScriptedJudge("a", giving(1)).identity)
    asked = judge_request(task("N2"), ScriptedJudge("a", giving(1), enforced=False).identity)
    assert enforced.body["response_format"]["json_schema"]["schema"] == RUBRIC.schema
    assert "response_format" not in asked.body
    assert enforced.key != asked.key


MESSAGES = [{"role": "user", "content": "judge this"}]
SCHEMA = {"properties": {"reasons": {}, "score": {}}}
BODY = {"temperature": 0, "max_tokens": 9, "response_format": SCHEMA}


def test_the_order_of_parameters_does_not_change_the_key():
    turned = dict(reversed(list(BODY.items())))
    assert request_key("judge@sha", MESSAGES, turned) == request_key("judge@sha", MESSAGES, BODY)


@pytest.mark.parametrize(
    ("judge", "content", "body"),
    [
        ("judge@other", "judge this", BODY),
        ("judge@sha", "judge that", BODY),
        ("judge@sha", "judge this", {**BODY, "temperature": 1}),
        ("judge@sha", "judge this", {name: BODY[name] for name in ("temperature", "response_format")}),
        ("judge@sha", "judge this", {**BODY, "response_format": None}),
        ("judge@sha", "judge this", {**BODY, "response_format": {"properties": {"score": {}, "reasons": {}}}}),
    ],
)
def test_judge_prompt_parameters_and_schema_each_change_the_key(judge, content, body):
    changed = request_key(judge, [{"role": "user", "content": content}], body)
    assert changed != request_key("judge@sha", MESSAGES, BODY)


def test_a_record_that_is_no_record_is_missing():
    for record in (None, {}, {"reply": None}, {"reply": {"text": None}}):
        assert isinstance(recorded_verdict(RUBRIC, record), Missing)
