"""What servers refuse, in the words and shapes that they refuse it in: that alone is left out or lowered."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from telbench.errors import InputError
from telbench.judges.panel import JudgePanel, MemoryLedger
from telbench.judges.schemas import SCHEMAS
from telbench.judges.server.capabilities import PROBE_SCHEMA, Capabilities
from telbench.judges.server.options import ServedOptions
from telbench.judges.verdicts import RubricScore

from ...scripted_server import ScriptedServer, Step, completion_body
from .served_judges import LOGPROBS, PROBE_REPLY, SCORE, asked, capable, is_probe, judge_for, number_of, scores, tasks

Refuses = Callable[[dict[str, Any]], bool]


def has(*names: str) -> Refuses:
    return lambda request: any(name in request for name in names)


def more_alternatives_than(most: int) -> Refuses:
    return lambda request: request.get("top_logprobs", 0) > most


def schema_holds(word: str) -> Refuses:
    return lambda request: f'"{word}"' in json.dumps(request.get("response_format"))


def extra(field: str) -> dict[str, Any]:
    return {"type": "extra_forbidden", "loc": ["body", field], "msg": "Extra inputs are not permitted", "input": 0}


# Who says so: the status, the body, what it refuses, and what is left of a server that can do everything.
REFUSALS: dict[str, tuple[int, Any, Refuses, Capabilities]] = {
    "OpenAI, no right to log-probabilities": (
        403,
        {
            "error": {
                "message": "You are not allowed to request logprobs from this model",
                "type": "invalid_request_error",
            }
        },
        has("logprobs"),
        Capabilities(log_probabilities=False),
    ),
    "OpenAI, the other limit": (
        400,
        {
            "error": {
                "message": "Unsupported parameter: 'max_tokens' is not supported with this model. Use "
                "'max_completion_tokens' instead.",
                "param": "max_tokens",
                "code": "unsupported_parameter",
            }
        },
        has("max_tokens"),
        Capabilities(limit="max_completion_tokens"),
    ),
    "OpenAI, only the usual temperature, named apart": (
        400,
        {"error": {"message": "Unsupported value: only the default (1) is supported.", "param": "temperature"}},
        has("temperature"),
        Capabilities(temperature=False),
    ),
    "Mistral, a field in a message's detail": (
        422,
        {"object": "error", "message": {"detail": [extra("seed")]}, "type": "invalid_request_error", "code": None},
        has("seed"),
        Capabilities(seed=False),
    ),
    "FastAPI, two fields at once": (
        422,
        {"detail": [extra("seed"), extra("logprobs"), extra("top_logprobs")]},
        has("seed", "logprobs"),
        Capabilities(seed=False, log_probabilities=False),
    ),
    "FastAPI, a text": (
        400,
        {"detail": "response_format is not supported"},
        has("response_format"),
        Capabilities("asked"),
    ),
    "a bare text": (422, "seed is unknown", has("seed"), Capabilities(seed=False)),
    "a page that is not there": (
        404,
        {"error": "no logprobs here"},
        has("logprobs"),
        Capabilities(log_probabilities=False),
    ),
    "at most five alternatives": (
        422,
        {"detail": [{"loc": ["body", "top_logprobs"], "msg": "Input should be less than or equal to 5"}]},
        more_alternatives_than(5),
        Capabilities(alternatives=5),
    ),
    "vLLM, at most five alternatives": (
        400,
        {"error": {"message": "Requested sample logprobs of 20, which is greater than max allowed: 5"}},
        more_alternatives_than(5),
        Capabilities(alternatives=5),
    ),
    "too many alternatives, who knows how many": (
        400,
        {"error": {"message": "top_logprobs exceeds the maximum"}},
        more_alternatives_than(8),
        Capabilities(alternatives=5),
    ),
    "Google, a list": (
        400,
        [{"error": {"code": 400, "message": 'Invalid JSON payload received. Unknown name "seed": Cannot find field.'}}],
        has("seed"),
        Capabilities(seed=False),
    ),
    "LiteLLM": (
        400,
        {
            "error": {
                "message": "litellm.UnsupportedParamsError: x does not support parameters: ['seed']",
                "code": "400",
            }
        },
        has("seed"),
        Capabilities(seed=False),
    ),
    "a keyword of the schema": (
        400,
        {"error": {"message": "Invalid schema for response_format: 'maxLength' is not permitted."}},
        schema_holds("maxLength"),
        Capabilities(without=("maxLength",)),
    ),
    "an ordinary word that is a keyword": (
        400,
        {"error": {"message": "json_schema.strict: Extra inputs are not permitted"}},
        schema_holds("strict"),
        Capabilities(without=("strict",)),
    ),
    "any limit": (
        400,
        {"error": {"message": "max_tokens and max_completion_tokens are not supported"}},
        has("max_tokens", "max_completion_tokens"),
        Capabilities(limit="none"),
    ),
}


@pytest.mark.parametrize("who", REFUSALS)
def test_exactly_what_is_refused_is_left_out_or_lowered(scripted_server: ScriptedServer, who: str):
    status, body, refuses, expected = REFUSALS[who]

    def script(_: int, request: dict[str, Any]) -> Step:
        if refuses(request):
            return Step(status, json.dumps(body).encode())
        if is_probe(request):
            return Step(body=completion_body(PROBE_REPLY, logprobs=LOGPROBS if request.get("logprobs") else None))
        return scores()

    scripted_server.script = script
    judge = judge_for(scripted_server)
    assert judge.capabilities == expected
    (judgement,) = JudgePanel([judge]).judgements(tasks(1)[0])
    assert isinstance(judgement.verdict, RubricScore)
    (request,) = asked(scripted_server)
    kept = {"temperature", "seed", "logprobs", "top_logprobs", "response_format"}
    lacking = {
        *(("temperature",) if not expected.temperature else ()),
        *(("seed",) if not expected.seed else ()),
        *(("logprobs", "top_logprobs") if not expected.log_probabilities else ()),
        *(("response_format",) if expected.schema == "asked" else ()),
    }
    assert kept & request.keys() == kept - lacking
    # The way down is short: what the words name goes first.
    assert len(scripted_server.requests) <= 5


def test_the_probe_has_every_keyword_of_the_verdicts_schemas():
    def keywords(value: Any) -> set[str]:
        if isinstance(value, list):
            return set().union(*map(keywords, value))
        if not isinstance(value, dict):
            return set()
        named = value.get("properties", {})
        return {*value} | set().union(*map(keywords, [*named.values(), value.get("items")]))

    assert set().union(*map(keywords, SCHEMAS.values())) <= keywords(dict(PROBE_SCHEMA))


QUOTA = {"error": {"message": "You exceeded your quota.", "type": "insufficient_quota", "code": "insufficient_quota"}}
HOPELESS: dict[str, tuple[Step, str]] = {
    "no credit": (Step(429, json.dumps(QUOTA).encode()), "the account behind OPENAI_API_KEY has nothing left"),
    "no balance": (
        Step(400, b'{"error": {"message": "Your credit balance is too low to access the API."}}'),
        "has nothing left",
    ),
    "payment": (Step(402, b'{"error": {"message": "Payment required"}}'), "has nothing left"),
    "no model, by 400": (
        Step(400, b'{"error": {"message": "Invalid model name passed in model=scripted. Call /v1/models"}}'),
        "check the model name 'scripted'",
    ),
    "no model, by 404": (Step(404, b'{"error": {"message": "model not found, try pulling it"}}'), "'scripted'"),
    "no right": (Step(403, b'{"error": "forbidden"}'), "OPENAI_API_KEY is not set"),
}


@pytest.mark.parametrize("fault", HOPELESS)
@pytest.mark.parametrize("later", [False, True], ids=["at once", "after the probe"])
def test_what_no_question_can_pass_is_one_line_and_few_calls(scripted_server: ScriptedServer, fault: str, later: bool):
    step, said = HOPELESS[fault]
    scripted_server.script = capable(lambda *_: step) if later else lambda *_: step
    began = time.monotonic()
    with pytest.raises(InputError, match=said) as caught:
        JudgePanel([judge_for(scripted_server, max_in_flight=4)]).ask(lambda: tasks(200))
    assert "\n" not in str(caught.value)
    assert len(scripted_server.requests) <= 1 + 4 * 2 * later + later
    assert time.monotonic() - began < 20


def test_credit_that_ends_in_the_middle_ends_the_run_and_keeps_what_is_there(scripted_server: ScriptedServer):
    step = HOPELESS["no credit"][0]
    scripted_server.script = capable(lambda number, _: step if number >= 10 else scores())
    panel = JudgePanel([judge_for(scripted_server, max_in_flight=2)])
    with pytest.raises(InputError, match="what is finished is kept"):
        panel.ask(lambda: tasks(300))
    assert sum(isinstance(panel.known(task)[0].verdict, RubricScore) for task in tasks(300)) == 10
    assert len(asked(scripted_server)) < 20


def test_a_field_of_the_users_own_that_is_refused_is_named_at_once(scripted_server: ScriptedServer):
    body = b'{"error": {"message": "Unrecognized request argument supplied: reasoning_effort"}}'
    scripted_server.script = lambda _, request: Step(400, body) if "reasoning_effort" in request else scores()
    with pytest.raises(InputError, match=r"refuses body\.reasoning_effort: status 400"):
        judge_for(scripted_server, options=ServedOptions(body={"reasoning_effort": "low"}))
    assert len(scripted_server.requests) == 1


def test_a_dead_proxy_is_named_at_once(scripted_server: ScriptedServer, monkeypatch: pytest.MonkeyPatch):
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        dead = f"127.0.0.1:{bound.getsockname()[1]}"
    monkeypatch.setenv("http_proxy", f"http://user:hidden@{dead}")
    began = time.monotonic()
    with pytest.raises(InputError, match=f"cannot be reached through the proxy {dead}") as caught:
        judge_for(scripted_server)
    assert "hidden" not in str(caught.value)
    assert time.monotonic() - began < 20
    assert not scripted_server.requests


def cut_probes(server: ScriptedServer, how_many: int) -> None:
    """The first probes are cut at their limit, all else is answered."""
    count = iter(range(10**6))

    def script(_: int, request: dict[str, Any]) -> Step:
        if is_probe(request) and next(count) < how_many:
            return Step(body=completion_body("", finish_reason="length"))
        return Step(body=completion_body(PROBE_REPLY if is_probe(request) else SCORE, logprobs=LOGPROBS))

    server.script = script


def test_a_probe_that_is_cut_is_asked_with_more_room(scripted_server: ScriptedServer):
    cut_probes(scripted_server, 2)
    judge = judge_for(scripted_server, options=ServedOptions(reply_tokens=8000))
    assert judge.capabilities == Capabilities()
    assert [request["max_tokens"] for request in scripted_server.requests] == [1024, 4096, 8000]


def test_what_a_bad_first_probe_recorded_is_mended_by_a_later_one(scripted_server: ScriptedServer):
    cut_probes(scripted_server, 2)
    memory = MemoryLedger()
    first = judge_for(scripted_server, memory=memory)
    assert first.capabilities == Capabilities("asked", False)
    second = judge_for(scripted_server, memory=memory)
    assert second.capabilities == Capabilities()
    # And stays.
    third = judge_for(scripted_server, memory=memory)
    assert third.identity == second.identity
    assert len(scripted_server.requests) == 3


def test_a_bad_first_probe_and_no_server_leave_the_judge_that_was(scripted_server: ScriptedServer):
    cut_probes(scripted_server, 99)
    memory = MemoryLedger()
    first = judge_for(scripted_server, memory=memory)
    assert judge_for(scripted_server, memory=memory).identity == first.identity
    scripted_server.close()
    assert judge_for(scripted_server, memory=memory, backoff=0.001).identity == first.identity


def test_fresh_finds_out_anew(scripted_server: ScriptedServer):
    memory = MemoryLedger()
    scripted_server.script = lambda *_: Step(body=completion_body("no schema", logprobs=LOGPROBS))
    assert judge_for(scripted_server, memory=memory).capabilities == Capabilities("asked")
    scripted_server.script = capable(scores)
    assert judge_for(scripted_server, memory=memory).capabilities == Capabilities("asked")
    assert judge_for(scripted_server, memory=memory, fresh=True).capabilities == Capabilities()
    assert judge_for(scripted_server, memory=memory).capabilities == Capabilities()


def windowed(window: int) -> Callable[[int, dict[str, Any]], Step]:
    """A server that refuses prompt and reply which do not fit together, at four bytes a token."""

    def script(_: int, request: dict[str, Any]) -> Step:
        prompt = sum(len(message["content"].encode()) for message in request["messages"]) // 4
        wanted = request.get("max_tokens", 0)
        if prompt + wanted > window:
            told = f"This model's maximum context length is {window} tokens and your request has {prompt} input tokens"
            return Step(
                400, json.dumps({"error": {"message": f"'max_tokens' is too large: {wanted}. {told}"}}).encode()
            )
        if is_probe(request):
            return Step(body=completion_body(PROBE_REPLY, logprobs=LOGPROBS))
        return scores()

    return script


def test_a_reply_is_asked_to_fit_the_window_that_the_server_lists(scripted_server: ScriptedServer):
    scripted_server.models = [{"id": "scripted", "owned_by": "vllm", "max_model_len": 2600}]
    scripted_server.script = windowed(2600)
    judge = judge_for(scripted_server, options=ServedOptions(reply_tokens=8000))
    panel = JudgePanel([judge])
    panel.ask(lambda: tasks(30))
    assert all(isinstance(panel.known(task)[0].verdict, RubricScore) for task in tasks(30))
    assert len(asked(scripted_server)) == 30
    assert all(256 <= request["max_tokens"] < 2600 for request in asked(scripted_server))
    assert judge.identity.facts["max_model_len"] == 2600


def test_a_request_that_is_too_long_with_its_reply_is_asked_without_a_limit(scripted_server: ScriptedServer):
    fits, tight = windowed(10_000), windowed(2100)
    scripted_server.script = lambda number, request: (
        tight if not is_probe(request) and number_of(request) == 3 else fits
    )(number, request)
    panel = JudgePanel([judge_for(scripted_server)])
    panel.ask(lambda: tasks(6))
    assert all(isinstance(panel.known(task)[0].verdict, RubricScore) for task in tasks(6))
    assert [number_of(request) for request in asked(scripted_server) if "max_tokens" not in request] == [3]


def test_a_stalled_attempt_leaves_time_for_another(scripted_server: ScriptedServer):
    scripted_server.script = capable(lambda number, _: replace(scores(), delay=60.0 if number == 0 else 0.0))
    judge = judge_for(scripted_server, deadline=60.0, options=ServedOptions(attempt_seconds=1.0))
    began = time.monotonic()
    (judgement,) = JudgePanel([judge]).judgements(tasks(1)[0])
    assert isinstance(judgement.verdict, RubricScore)
    assert time.monotonic() - began < 30
