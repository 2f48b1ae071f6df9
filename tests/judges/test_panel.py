"""A panel asks each judge once, keeps what it said, and tells a missing verdict from a bad one."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from telbench.errors import EngineError
from telbench.judges.chat import ChatReply
from telbench.judges.contract import JudgeTask, judge_request, request_key
from telbench.judges.panel import JudgePanel, MemoryLedger
from telbench.judges.records import LONGEST_REPLY, recorded_reading, recorded_verdict
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


@pytest.mark.parametrize("text", ["", "I'm sorry, no.", '{"rating": 5}', '{"reasons": ["x"], "score": 9}', "{"])
def test_a_bad_verdict_is_asked_for_once_more_with_its_fault_and_never_again(text):
    judge = ScriptedJudge("judge", lambda _prompt: ChatReply("", text, "stop"))
    ledger = MemoryLedger()
    verdicts = [JudgePanel([judge], ledger).judgements(task("N2"))[0].verdict for _ in range(3)]
    verdict = verdicts[0]
    assert isinstance(verdict, Missing)
    assert set(verdicts) == {verdict}
    first, again = judge.requests
    assert again.key == first.key
    assert again.messages[:1] == first.messages
    assert again.messages[1] == {"role": "assistant", "content": text or "(no text)"}
    assert verdict.detail.rstrip(".") in again.messages[2]["content"]
    assert "score" in again.messages[2]["content"].splitlines()[-1]


class SecondThought(ScriptedJudge):
    """Says ``first``, and what a script says once its fault was named."""

    def __init__(self, first: ChatReply, second: Callable[[str], ChatReply]) -> None:
        super().__init__("judge", second)
        self._first = first

    def ask(self, requests):
        for request in requests:
            if len(request.messages) > 1:
                yield from super().ask([request])
            else:
                self.requests.append(request)
                yield replace(self._first, key=request.key, prompt_tokens=7)


def test_a_verdict_at_the_second_attempt_counts_as_a_repair_and_both_replies_are_kept_and_counted():
    judge, ledger = SecondThought(ChatReply("", "Four. <|im_end|>", "stop"), giving(4)), MemoryLedger()
    panel = JudgePanel([judge], ledger)
    panel.ask(lambda: [task("N2"), task("N2")])
    (found,) = panel.judgements(task("N2"))
    assert found.verdict == RubricScore(4, ("so",))
    record = json.loads(json.dumps(ledger.get(found.key)))
    assert record["first"]["text"] == "Four. <|im_end|>"
    assert record["first"]["missing"]["reason"] == "malformed"
    assert record["repaired"] == ["asked again"]
    assert recorded_reading(RUBRIC, record).repairs == ("asked again",)
    tally = panel.tallies["judge"]
    assert (tally.asked, tally.prompts, tally.prompt_tokens) == (2, 1, 17)
    assert tally.repaired == {"asked again": 1, "any": 1}
    # A copied mark of a turn does not end the judge's own turn.
    assert "<|im_end|>" not in judge.requests[1].messages[1]["content"]


def test_a_second_attempt_that_fails_leaves_the_reply_and_is_made_by_the_next_process():
    failing = SecondThought(ChatReply("", "Four.", "stop"), lambda _: ChatReply("", error="status 500"))
    ledger = MemoryLedger()
    panel = JudgePanel([failing], ledger)
    for _ in range(2):
        verdict = panel.judgements(task("N2"))[0].verdict
        assert isinstance(verdict, Missing)
        assert verdict.reason == "malformed"
    assert len(failing.requests) == 2
    mending = SecondThought(ChatReply("", error="not asked"), giving(4))
    assert JudgePanel([mending], ledger).judgements(task("N2"))[0].verdict == RubricScore(4, ("so",))
    assert len(mending.requests) == 1


def test_a_verdict_in_the_trace_reads_the_same_from_its_record():
    said = ChatReply("", "", "stop", reasoning='{"reasons": ["so"], "score": 4}')
    judge, ledger = ScriptedJudge("judge", lambda _prompt: said), MemoryLedger()
    (found,) = JudgePanel([judge], ledger).judgements(task("N2"))
    record = json.loads(json.dumps(ledger.get(found.key)))
    assert recorded_reading(RUBRIC, record).verdict == found.verdict == RubricScore(4, ("so",))
    assert recorded_reading(RUBRIC, record).repairs == ("in the trace",)


def test_a_filter_is_not_asked_again():
    judge = ScriptedJudge("judge", lambda _prompt: ChatReply("", "", "content_filter"))
    assert isinstance(JudgePanel([judge]).judgements(task("N2"))[0].verdict, Missing)
    assert len(judge.requests) == 1


def test_a_retry_asks_only_for_what_has_no_verdict_once_a_process():
    ledger = MemoryLedger()
    shy = ScriptedJudge("judge", lambda prompt: ChatReply("", "no", "stop") if "N3" in prompt else giving(4)(prompt))
    tasks = [task("N2"), task("N3")]
    JudgePanel([shy], ledger).ask(lambda: tasks)
    kind = ScriptedJudge("judge", giving(5))
    panel = JudgePanel([kind], ledger, retry=True)
    assert [found.verdict for (found,) in panel.judge_all(tasks)] == [RubricScore(4, ("so",)), RubricScore(5, ("so",))]
    assert len(kind.requests) == 1
    stubborn = ScriptedJudge("judge", lambda _prompt: ChatReply("", "no", "stop"))
    other = JudgePanel([stubborn], MemoryLedger(), retry=True)
    for _ in range(3):
        other.judge_all([task("N9")])
    assert len(stubborn.requests) == 2


@pytest.mark.parametrize("valid", [True, False])
def test_an_endless_reply_is_kept_within_bounds_and_reads_the_same(valid: bool):
    text = json.dumps({"reasons": ["r" * 200_000], "score": 4}) + ("" if valid else '{"score": 5}')
    ledger = MemoryLedger()
    (found,) = JudgePanel([ScriptedJudge("judge", lambda _prompt: ChatReply("", text, "stop"))], ledger).judgements(
        task("N2")
    )
    assert isinstance(found.verdict, RubricScore) == valid
    record = json.loads(json.dumps(ledger.get(found.key)))
    assert len(json.dumps(record)) < 3 * LONGEST_REPLY
    assert recorded_verdict(RUBRIC, record) == found.verdict
    assert record["reply"]["cut"] == len(text)


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
