"""The judge behind a server: what it can do, and what becomes of a task whatever the server does."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from telbench.harness.journal import RecordStore
from telbench.judges.capabilities import PROBE_QUESTION, Capabilities, plainer, read_capabilities
from telbench.judges.errors import EngineError, InputError
from telbench.judges.judge import JudgeTask
from telbench.judges.panel import JudgePanel, MemoryLedger
from telbench.judges.rubric import load_rubric
from telbench.judges.served import ServedJudge, open_judge, served_judge
from telbench.judges.spec import parse_judge
from telbench.judges.verdicts import ClaimVerdicts, Missing, RubricScore

from ..scripted_server import Script, ScriptedServer, Step, completion_body

KEY = "sk-test-0123456789abcdef"
PROBE_REPLY = json.dumps({"word": "interface-7Qx4", "list": ["a"], "sure": True, "score": 3})
LOGPROBS = {"content": [{"token": "{", "logprob": -0.1, "top_logprobs": [{"token": "{", "logprob": -0.1}]}]}
SCORE = json.dumps({"reasons": ["It names the interface."], "score": 4})
CLAIMS = json.dumps({"claims": [{"claim": "c", "reason": "r", "verdict": "TP"}]})


def is_probe(request: dict[str, Any]) -> bool:
    return request["messages"][-1]["content"] == PROBE_QUESTION


def capable(answer: Script) -> Script:
    """A server that enforces schemas and gives log-probabilities; ``answer`` is asked all but the probe."""
    count = iter(range(10**6))

    def script(_: int, request: dict[str, Any]) -> Step:
        if is_probe(request):
            return Step(body=completion_body(PROBE_REPLY, logprobs=LOGPROBS))
        return answer(next(count), request)

    return script


def scores(*_: Any) -> Step:
    return Step(body=completion_body(SCORE))


def judge_for(server: ScriptedServer, **settings: Any) -> ServedJudge:
    defaults = {"deadline": 60.0, "backoff": 0.02, "jitter_seed": 1}
    return served_judge("scripted", server.base_url, **{**defaults, **settings})


def tasks(count: int, rubric: str = "rubric_score") -> list[JudgeTask]:
    loaded = load_rubric(rubric)
    return [
        JudgeTask(loaded, {field: f"{field} number {n}" for field in loaded.fields}, f"item-{n}") for n in range(count)
    ]


def asked(server: ScriptedServer) -> list[dict[str, Any]]:
    return [request for request in server.requests if not is_probe(request)]


def number_of(request: dict[str, Any]) -> int:
    return int(request["messages"][-1]["content"].rpartition("answer number ")[2].split()[0])


def test_a_server_that_can_do_everything_is_asked_for_everything(scripted_server: ScriptedServer):
    scripted_server.models = [{"id": "scripted", "root": "org/judge-7b", "owned_by": "acme"}]
    scripted_server.script = capable(scores)
    judge = judge_for(scripted_server)
    assert judge.identity.name == "scripted"
    assert judge.identity.enforced
    assert judge.identity.log_probabilities
    facts = {
        "base_url": scripted_server.base_url,
        "model": "scripted",
        "root": "org/judge-7b",
        "owned_by": "acme",
        "schema": "enforced",
        "log_probabilities": True,
    }
    assert facts.items() <= judge.identity.facts.items()
    (task,) = tasks(1)
    (judgement,) = JudgePanel([judge]).judgements(task)
    assert judgement.verdict == RubricScore(4, ("It names the interface.",))
    (request,) = asked(scripted_server)
    assert request["response_format"]["json_schema"]["schema"] == task.rubric.schema
    assert (request["logprobs"], request["top_logprobs"], request["temperature"], request["seed"]) == (True, 20, 0.0, 0)
    assert len(scripted_server.requests) == 2


def test_a_specification_opens_its_judge(scripted_server: ScriptedServer):
    scripted_server.script = capable(scores)
    spec = parse_judge(f"openai:scripted@{scripted_server.base_url}/")
    assert open_judge(spec).identity == judge_for(scripted_server).identity


def refuses(*words: str) -> Callable[[dict[str, Any]], str | None]:
    def refusal(request: dict[str, Any]) -> str | None:
        # The prompt holds the schema too.
        parameters = json.dumps({name: value for name, value in request.items() if name != "messages"})
        return next((word for word in words if word in parameters), None)

    return refusal


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["logprobs"], Capabilities(log_probabilities=False)),
        (["minLength"], Capabilities("shape")),
        (["json_schema"], Capabilities("json_object")),
        (["response_format"], Capabilities("asked")),
        (["temperature"], Capabilities(temperature=False)),
        (['"seed"'], Capabilities(seed=False)),
        (['"max_tokens"'], Capabilities(limit="max_completion_tokens")),
        (
            ["response_format", "logprobs", "temperature", '"seed"', '"max_tokens"'],
            Capabilities("asked", False, False, False, "max_completion_tokens"),
        ),
    ],
    ids=["logprobs", "bounds", "json_schema", "response_format", "temperature", "seed", "max_tokens", "all"],
)
@pytest.mark.parametrize("status", [400, 422])
def test_what_a_server_refuses_by_name_is_left_out(
    scripted_server: ScriptedServer, words: list[str], expected: Capabilities, status: int
):
    refusal = refuses(*words)

    def script(_: int, request: dict[str, Any]) -> Step:
        if word := refusal(request):
            named = {'"max_tokens"': "Use 'max_completion_tokens' instead", "minLength": "invalid schema: minLength"}
            return Step(status, json.dumps({"error": {"message": f"unsupported: {named.get(word, word)}"}}).encode())
        if is_probe(request):
            return Step(body=completion_body(PROBE_REPLY, logprobs=LOGPROBS if request.get("logprobs") else None))
        return Step(body=completion_body(SCORE))

    scripted_server.script = script
    judge = judge_for(scripted_server)
    assert judge.capabilities == expected
    (judgement,) = JudgePanel([judge]).judgements(tasks(1)[0])
    assert isinstance(judgement.verdict, RubricScore)


def test_refusals_that_name_nothing_end_at_the_plainest_request(scripted_server: ScriptedServer):
    def script(_: int, request: dict[str, Any]) -> Step:
        plain = set(request) == {"model", "messages", "max_completion_tokens"}
        return Step(body=completion_body("hello")) if plain else Step(400, b"{}")

    scripted_server.script = script
    judge = judge_for(scripted_server)
    assert judge.capabilities == Capabilities("asked", False, False, False, "max_completion_tokens")
    assert (judge.identity.enforced, judge.identity.facts["schema"]) == (False, "asked")


@pytest.mark.parametrize(
    "text",
    ["hello", "", SCORE, '{"greeting": "hello"}', PROBE_REPLY.replace("3", "9"), PROBE_REPLY[:-5], "[" * 100_000],
    ids=["words", "empty", "another object", "the question's object", "out of bounds", "cut", "deep"],
)
def test_a_schema_that_is_taken_and_ignored_is_not_enforced(scripted_server: ScriptedServer, text: str):
    scripted_server.script = lambda *_: Step(body=completion_body(text, logprobs=LOGPROBS))
    judge = judge_for(scripted_server)
    assert judge.identity.facts["schema"] == "asked"
    assert not judge.identity.enforced


@pytest.mark.parametrize("logprobs", [None, {"content": []}, {"content": [{"token": "{", "logprob": -1}]}])
def test_log_probabilities_that_do_not_come_do_not_count(scripted_server: ScriptedServer, logprobs: Any):
    scripted_server.script = lambda *_: Step(body=completion_body(PROBE_REPLY, logprobs=logprobs))
    assert judge_for(scripted_server).capabilities == Capabilities(log_probabilities=False)


@pytest.mark.parametrize(
    ("step", "said"),
    [
        (Step(401, b"{}"), "OPENAI_API_KEY is not set"),
        (Step(404, b"{}"), "check the model name 'scripted'"),
        (Step(400, b'{"error": {"message": "no credit"}}'), "does not answer even a tiny question: status 400: no"),
        (Step(500, b"<html>oops</html>"), "does not answer even a tiny question: status 500 (after 5 attempts)"),
        (Step(reset=True), "the connection broke"),
        (Step(delay=30), "no answer within 1 s"),
    ],
    ids=["key", "model", "refusal", "failure", "reset", "stall"],
)
def test_a_server_that_fails_at_the_probe_is_one_line(scripted_server: ScriptedServer, step: Step, said: str):
    scripted_server.script = lambda *_: step
    with pytest.raises(InputError) as caught:
        judge_for(scripted_server, deadline=1.0, backoff=0.001)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_identity_tells_servers_models_and_enforcement_apart(scripted_server: ScriptedServer):
    scripted_server.script = capable(scores)
    prints = [judge_for(scripted_server).identity.fingerprint]
    assert judge_for(scripted_server).identity.fingerprint == prints[0]
    scripted_server.models = [{"id": "scripted", "root": "other weights"}]
    prints.append(judge_for(scripted_server).identity.fingerprint)
    prints.append(served_judge("other", scripted_server.base_url).identity.fingerprint)
    scripted_server.script = lambda *_: Step(body=completion_body("no schema"))
    prints.append(judge_for(scripted_server).identity.fingerprint)
    assert len(set(prints)) == 4


def test_what_was_found_is_remembered_and_a_full_ledger_needs_no_server(scripted_server: ScriptedServer):
    scripted_server.script = capable(scores)
    memory, ledger = MemoryLedger(), MemoryLedger()
    first = JudgePanel([judge_for(scripted_server, memory=memory)], ledger)
    before = [first.judgements(task) for task in tasks(3)]
    scripted_server.close()
    again = JudgePanel([judge_for(scripted_server, memory=memory)], ledger)
    again.ask(lambda: tasks(3))
    assert [again.judgements(task) for task in tasks(3)] == before
    assert again.counters.asked.total() == 0


def test_what_was_remembered_is_checked_before_a_new_question(scripted_server: ScriptedServer):
    scripted_server.script = capable(scores)
    memory, ledger = MemoryLedger(), MemoryLedger()
    JudgePanel([judge_for(scripted_server, memory=memory)], ledger).judgements(tasks(1)[0])
    JudgePanel([judge_for(scripted_server, memory=memory)], ledger).ask(lambda: tasks(5))
    assert len(asked(scripted_server)) == 5
    assert len(scripted_server.requests) == 7


@pytest.mark.parametrize("change", ["weights", "refused", "ignored"])
def test_a_server_that_changed_is_told_and_found_anew_by_the_same_command(scripted_server: ScriptedServer, change: str):
    scripted_server.script = capable(scores)
    memory = MemoryLedger()
    old = judge_for(scripted_server, memory=memory).identity
    if change == "weights":
        scripted_server.models = [{"id": "scripted", "root": "new", "owned_by": "test"}]
    elif change == "refused":
        refused = refuses("json_schema")
        scripted_server.script = lambda _, request: (
            Step(400, b'{"error": "json_schema is off"}') if refused(request) else Step(body=completion_body("{}"))
        )
    else:
        scripted_server.script = lambda *_: Step(body=completion_body("hello", logprobs=LOGPROBS))
    judge = judge_for(scripted_server, memory=memory)
    assert judge.identity == old
    with pytest.raises(InputError, match="repeat the command"):
        JudgePanel([judge]).ask(lambda: tasks(3))
    assert not asked(scripted_server)
    assert judge_for(scripted_server, memory=memory).identity.fingerprint != old.fingerprint


@pytest.mark.parametrize("record", [None, 3, {}, {"schema": "full"}, {"schema": "no"}, {"more": 1}, {"seed": "yes"}])
def test_a_record_that_holds_no_capabilities_is_not_trusted(record: object):
    found = read_capabilities(record)
    assert found is None or found == Capabilities()


def test_every_ladder_ends():
    tried, steps = Capabilities(), 0
    while (less := plainer(tried, "")) is not None:
        tried, steps = less, steps + 1
    assert steps == 7


# Faults: what the server does with one task of six, and what becomes of it. The others have their verdicts.
FAULTS: dict[str, tuple[Step, str | None, str]] = {
    "server error": (Step(500, b"<html>oops</html>"), "error", "status 500 (after 3 attempts)"),
    "stall": (Step(delay=30), "timeout", "no answer within 2 s"),
    "truncated body": (Step(body=completion_body(SCORE)[:60]), "error", "not valid JSON"),
    "NaN in the body": (Step(body=completion_body(SCORE).replace(b'"created": 0', b'"created": NaN')), "error", "NaN"),
    "reset": (Step(reset=True), "error", "the connection broke"),
    "refused request": (Step(400, b'{"error": {"message": "too long"}}'), "error", "status 400: too long"),
    "filtered prompt": (
        Step(400, b'{"error": {"code": "content_filter", "message": "policy"}}'),
        "content_filter",
        "content_filter: policy",
    ),
    "filtered answer": (Step(body=completion_body("", finish_reason="content_filter")), "content_filter", "filtered"),
    "refusal": (Step(body=completion_body("I'm sorry, I cannot judge that.")), "refusal", "I'm sorry"),
    "empty": (Step(body=completion_body("")), "empty", "no text"),
    "no content": (Step(body=completion_body(None)), "empty", "no text"),
    "cut answer": (Step(body=completion_body(SCORE[:20], finish_reason="length")), "truncated", "token limit"),
    "wrong schema": (Step(body=completion_body('{"score": 4}')), "schema", "lacks reasons"),
    "off the scale": (Step(body=completion_body(SCORE.replace("4", "7"))), "schema", "from 1 to 5"),
    "half a verdict": (Step(body=completion_body(SCORE[:-6])), "malformed", "not one JSON object"),
    "NaN score": (Step(body=completion_body(SCORE.replace("4", "NaN"))), "malformed", "NaN"),
    "words": (Step(body=completion_body("Four of five, I would say.")), "malformed", "not one JSON object"),
    "error page": (Step(body=b"<!doctype html><html>login</html>"), "error", "not valid JSON"),
    "error as success": (Step(body=b'{"error": {"message": "upstream is down"}}'), "error", "upstream is down"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_missing_with_its_reason_and_never_a_score(scripted_server: ScriptedServer, fault: str):
    step, reason, detail = FAULTS[fault]
    scripted_server.script = capable(lambda n, request: step if number_of(request) == 3 else scores())
    panel = JudgePanel([judge_for(scripted_server, attempts=3, deadline=2.0, max_in_flight=4)])
    panel.ask(lambda: tasks(6))
    verdicts = [panel.known(task)[0].verdict for task in tasks(6)]
    missing = verdicts.pop(3)
    assert isinstance(missing, Missing)
    assert missing.reason == reason
    assert detail in missing.detail
    assert all(isinstance(verdict, RubricScore) and verdict.score == 4 for verdict in verdicts)
    record = panel.ledger.get(panel.keys(tasks(6)[3])[0])
    assert record is not None
    assert record["verdict"] is None
    assert record["missing"]["reason"] == reason


@pytest.mark.parametrize("headers", [{}, {"Retry-After": "0.3"}], ids=["bare", "retry-after"])
def test_a_burst_of_429_costs_time_and_no_verdict(scripted_server: ScriptedServer, headers: dict[str, str]):
    scripted_server.script = capable(lambda number, _: Step(429, b"{}", headers) if number < 12 else scores())
    panel = JudgePanel([judge_for(scripted_server, max_in_flight=8)])
    panel.ask(lambda: tasks(20))
    assert all(isinstance(panel.known(task)[0].verdict, RubricScore) for task in tasks(20))
    assert panel.counters.asked["scripted"] == 20
    assert len(asked(scripted_server)) == 32


def test_a_reply_that_trickles_in_is_whole_or_a_timeout(scripted_server: ScriptedServer):
    scripted_server.script = capable(
        lambda _, request: Step(body=completion_body(SCORE), trickle=30.0 if number_of(request) == 3 else 0.3)
    )
    panel = JudgePanel([judge_for(scripted_server, deadline=2.0)])
    panel.ask(lambda: tasks(6))
    verdicts = [panel.known(task)[0].verdict for task in tasks(6)]
    assert verdicts.pop(3) == Missing("timeout", "no answer within 2 s")
    assert all(isinstance(verdict, RubricScore) for verdict in verdicts)


def test_failures_are_asked_again_and_verdicts_are_not(scripted_server: ScriptedServer):
    scripted_server.script = capable(
        lambda number, _: Step(500, b"") if number == 2 else Step(body=completion_body("no verdict"))
    )
    ledger = MemoryLedger()
    JudgePanel([judge_for(scripted_server, attempts=1, max_in_flight=1)], ledger).ask(lambda: tasks(5))
    scripted_server.script = capable(scores)
    again = JudgePanel([judge_for(scripted_server)], ledger)
    again.ask(lambda: tasks(5))
    assert again.counters.asked["scripted"] == 1
    found = Counter(type(again.known(task)[0].verdict).__name__ for task in tasks(5))
    # What a judge said stands, good or bad.
    assert found == {"Missing": 4, "RubricScore": 1}


def test_equal_prompts_are_asked_once(scripted_server: ScriptedServer):
    scripted_server.script = capable(lambda *_: Step(body=completion_body(CLAIMS), delay=0.05))
    panel = JudgePanel([judge_for(scripted_server)])
    panel.ask(lambda: [task for task in tasks(4, "factual_correctness") for _ in range(3)])
    assert len(asked(scripted_server)) == 4
    assert all(isinstance(panel.known(task)[0].verdict, ClaimVerdicts) for task in tasks(4, "factual_correctness"))


def test_a_server_that_dies_half_way_leaves_its_answers_and_the_rest_for_the_next(scripted_server: ScriptedServer):
    scripted_server.script = capable(lambda number, _: Step(stop_listening=True) if number == 20 else scores())
    scripted_server.models = None
    memory, ledger = MemoryLedger(), MemoryLedger()
    panel = JudgePanel([judge_for(scripted_server, memory=memory, max_in_flight=4, deadline=1.0)], ledger)
    with pytest.raises(EngineError, match="has gone"):
        panel.ask(lambda: tasks(60))
    answered = [
        number for number, task in enumerate(tasks(60)) if isinstance(panel.known(task)[0].verdict, RubricScore)
    ]
    assert 15 <= len(answered) < 60
    port = int(scripted_server.base_url.removesuffix("/v1").rpartition(":")[2])
    revived = ScriptedServer(port)
    try:
        revived.script, revived.models = capable(scores), None
        JudgePanel([judge_for(revived, memory=memory)], ledger).ask(lambda: tasks(60))
        assert sorted(map(number_of, asked(revived))) == sorted(set(range(60)) - set(answered))
    finally:
        revived.close()


def test_the_key_is_sent_and_written_nowhere(
    scripted_server: ScriptedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    caplog.set_level(logging.DEBUG)
    bad = Step(400, b'{"error": {"message": "not with %s"}}' % KEY.encode())
    scripted_server.script = capable(lambda _, request: bad if number_of(request) == 1 else scores())
    with RecordStore(tmp_path / "judgements.jsonl") as ledger, RecordStore(tmp_path / "memory.jsonl") as memory:
        judge = judge_for(scripted_server, memory=memory)
        panel = JudgePanel([judge], ledger)
        panel.ask(lambda: tasks(3))
    assert {headers["authorization"] for headers in scripted_server.headers} == {f"Bearer {KEY}"}
    written = "".join(file.read_text() for file in tmp_path.iterdir())
    assert "not with ***" in written
    shown = [written, caplog.text, repr(judge.identity), repr(vars(judge)), repr(panel.counters)]
    assert not any("0123456789" in text for text in shown)


WORKER = """
import sys
from pathlib import Path
from telbench.harness.journal import RecordStore
from telbench.judges.judge import JudgeTask
from telbench.judges.panel import JudgePanel
from telbench.judges.rubric import load_rubric
from telbench.judges.served import served_judge

rubric = load_rubric("rubric_score")
tasks = [JudgeTask(rubric, {f: f"{f} number {n}" for f in rubric.fields}, f"item-{n}") for n in range(200)]
folder = Path(sys.argv[2])
with RecordStore(folder / "judgements.jsonl") as ledger, RecordStore(folder / "memory.jsonl") as memory:
    panel = JudgePanel([served_judge("scripted", sys.argv[1], memory=memory, max_in_flight=4)], ledger)
    panel.ask(lambda: tasks)
"""


def test_after_kill_9_the_same_command_asks_nothing_twice(scripted_server: ScriptedServer, tmp_path: Path):
    scripted_server.script = capable(lambda *_: Step(body=completion_body(SCORE), delay=0.02))
    command = [sys.executable, "-c", WORKER, scripted_server.base_url, str(tmp_path)]
    first = subprocess.Popen(command)
    file = tmp_path / "judgements.jsonl"
    limit = time.monotonic() + 60
    while time.monotonic() < limit and (not file.exists() or file.read_bytes().count(b"\n") < 50):
        time.sleep(0.01)
    os.kill(first.pid, signal.SIGKILL)
    first.wait(10)
    with RecordStore(file) as store:
        kept = len(store)
    assert 50 <= kept < 200
    begun = Counter(map(number_of, asked(scripted_server)))
    before = len(asked(scripted_server))
    subprocess.run(command, check=True, timeout=120)
    later = Counter(map(number_of, asked(scripted_server)[before:]))
    assert len(later) == later.total() == 200 - kept
    # Only what was in flight when the process died has been seen by the server before.
    assert (begun & later).total() <= 4
    assert set(begun | later) == set(range(200))
