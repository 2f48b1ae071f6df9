"""The judge behind a server: what it can do, and what becomes of a task whatever the server does."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from telbench.errors import InputError
from telbench.judges.panel import JudgePanel, MemoryLedger
from telbench.judges.server.capabilities import Capabilities, plainer, read_capabilities
from telbench.judges.server.served import served_judge
from telbench.judges.spec import JudgeOptions, open_judge, parse_judge
from telbench.judges.verdicts import RubricScore

from ...scripted_server import ScriptedServer, Step, completion_body
from .served_judges import LOGPROBS, PROBE_REPLY, SCORE, asked, capable, is_probe, judge_for, scores, tasks


def test_a_server_that_can_do_everything_is_asked_for_everything(scripted_server: ScriptedServer):
    scripted_server.models = [{"id": "scripted", "root": "org/judge-7b", "owned_by": "acme"}]
    scripted_server.script = capable(scores)
    judge = judge_for(scripted_server)
    assert judge.identity.name == f"scripted@{judge.identity.fingerprint[:8]}"
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
    assert open_judge(spec, JudgeOptions()).identity == judge_for(scripted_server).identity


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
        (["minLength"], Capabilities(without=("minLength",))),
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
@pytest.mark.parametrize("status", [400, 403, 404, 422])
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
    assert all(tally.asked == 0 for tally in again.tallies.values())


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
    assert steps == 8
