"""The client against a server that misbehaves as told."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Iterator
from email.utils import formatdate
from typing import Any

import pytest

from telbench.errors import EngineError, InputError
from telbench.judges.chat import ChatReply, ChatRequest
from telbench.judges.server.client import STREAK, ChatClient
from telbench.judges.server.settings import ServerSettings

from ...scripted_server import ScriptedServer, Step, completion_body, echo

KEY = "sk-test-0123456789abcdef"


def client_for(server: ScriptedServer, **settings: Any) -> ChatClient:
    defaults = {"deadline": 10.0, "backoff": 0.02, "jitter_seed": 1}
    return ChatClient(ServerSettings(server.base_url, "scripted", **{**defaults, **settings}))


def questions(count: int) -> list[ChatRequest]:
    return [ChatRequest(str(number), ({"role": "user", "content": f"q{number}"},)) for number in range(count)]


def ask_one(client: ChatClient) -> ChatReply:
    (reply,) = client.ask(questions(1))
    return reply


def chat_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "telbench-chat"]


def test_every_request_is_answered_exactly_once(scripted_server: ScriptedServer):
    client = client_for(scripted_server)
    replies = list(client.ask(questions(300)))
    assert sorted(int(reply.key) for reply in replies) == list(range(300))
    assert all(reply.text == f"Q{reply.key}" and reply.error is None for reply in replies)
    assert {(reply.prompt_tokens, reply.completion_tokens) for reply in replies} == {(3, 2)}
    assert len(scripted_server.requests) == 300
    assert not chat_threads()


def test_no_more_requests_are_open_than_allowed(scripted_server: ScriptedServer):
    scripted_server.script = lambda *_: Step(delay=0.01)
    assert len(list(client_for(scripted_server, max_in_flight=4).ask(questions(60)))) == 60
    assert 3 <= scripted_server.most_open <= 4


def test_requests_are_read_as_answers_come_in_not_all_at_once(scripted_server: ScriptedServer):
    read = 0

    def source() -> Iterator[ChatRequest]:
        nonlocal read
        for question in questions(10_000):
            read += 1
            yield question

    replies = client_for(scripted_server, max_in_flight=4).ask(source())
    next(replies)
    replies.close()  # type: ignore[attr-defined]
    assert read < 1000


def test_further_body_fields_reach_the_server(scripted_server: ScriptedServer):
    body = {"response_format": {"type": "json_object"}, "logprobs": True, "temperature": 0.0}
    list(client_for(scripted_server).ask([ChatRequest("k", ({"role": "user", "content": "é"},), body)]))
    assert scripted_server.requests == [
        {"model": "scripted", "messages": [{"role": "user", "content": "é"}], **body},
    ]


def test_the_server_learns_nothing_about_the_machine(scripted_server: ScriptedServer):
    ask_one(client_for(scripted_server))
    assert not set(scripted_server.headers[0]) & {
        "x-stainless-os",
        "x-stainless-arch",
        "x-stainless-runtime",
        "x-stainless-runtime-version",
    }


@pytest.mark.parametrize("date", [False, True], ids=["seconds", "date"])
def test_a_burst_of_429_waits_as_told_and_then_succeeds(scripted_server: ScriptedServer, date: bool):
    def script(number: int, request: dict[str, Any]) -> Step:
        if number < 4:
            # A date has whole seconds only.
            return Step(429, b"{}", {"Retry-After": formatdate(time.time() + 2, usegmt=True) if date else "0.5"})
        return echo(number, request)

    scripted_server.script = script
    client = client_for(scripted_server, max_in_flight=4)
    began = time.monotonic()
    replies = list(client.ask(questions(12)))
    assert {reply.error for reply in replies} == {None}
    assert scripted_server.times[4] - scripted_server.times[3] >= 0.45
    assert 0.5 <= time.monotonic() - began < 6
    assert len(scripted_server.requests) == 16


def test_an_overload_lowers_the_number_in_flight_once_and_success_raises_it(scripted_server: ScriptedServer):
    all_open = threading.Barrier(8)

    def script(number: int, request: dict[str, Any]) -> Step:
        if number >= 8:
            return echo(number, request)
        all_open.wait(5)
        return Step(429, b"{}")

    scripted_server.script = script
    client = client_for(scripted_server, max_in_flight=40)
    list(client.ask(questions(8)))
    # One cut by a quarter for the burst of eight, half a slot for each of the eight successes; what was won before the
    # last of the burst came is lost again.
    assert 40 * 0.75 + 6 * 0.5 <= client.limit <= 40 * 0.75 + 8 * 0.5
    list(client.ask(questions(20)))
    assert client.limit == 40


def test_a_wait_beyond_the_deadline_is_not_waited_for(scripted_server: ScriptedServer):
    scripted_server.script = lambda *_: Step(429, b'{"error": {"message": "quota"}}', {"Retry-After": "3600"})
    began = time.monotonic()
    reply = ask_one(client_for(scripted_server))
    assert reply.error == "status 429: quota; the server asks to wait 3600 s"
    assert time.monotonic() - began < 3


@pytest.mark.parametrize(
    "bad",
    [
        Step(500, b"oops"),
        Step(503, b"{}"),
        Step(408, b"{}"),
        Step(409, b"{}"),
        Step(body=completion_body("x")[:40]),
        Step(body=b'{"object": "chat.completion"}'),
        Step(body=b'{"choices": [{"message": {"content": "x"}, "score": NaN}]}'),
        Step(reset=True),
    ],
    ids=["500", "503", "408", "409", "truncated", "no choices", "NaN", "reset"],
)
def test_a_failure_of_the_server_is_repeated(scripted_server: ScriptedServer, bad: Step):
    scripted_server.script = lambda number, request: bad if number < 2 else echo(number, request)
    client = client_for(scripted_server)
    assert ask_one(client).text == "Q0"
    assert len(scripted_server.requests) == 3


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (Step(500, b'{"error": {"message": "out of memory"}}'), "status 500: out of memory (after 3 attempts)"),
        (Step(body=b'{"choices": [{"mess'), "the answer is not valid JSON"),
        (Step(body=b"{}"), "the answer has no choices"),
        (Step(body=b'{"choices": [{"message": NaN}]}'), "NaN is not JSON"),
        (Step(reset=True), "the connection broke"),
    ],
    ids=["500", "truncated", "no choices", "NaN", "reset"],
)
def test_a_failure_that_stays_is_an_error_of_its_request(scripted_server: ScriptedServer, bad: Step, reason: str):
    scripted_server.script = lambda number, request: (
        bad if request["messages"][0]["content"] == "q3" else echo(number, request)
    )
    replies = {reply.key: reply for reply in client_for(scripted_server, attempts=3).ask(questions(6))}
    assert reason in (replies.pop("3").error or "")
    assert {reply.error for reply in replies.values()} == {None}


def test_a_stall_past_the_deadline_is_an_error_of_its_request(scripted_server: ScriptedServer):
    def script(number: int, request: dict[str, Any]) -> Step:
        return Step(delay=30) if request["messages"][0]["content"] == "q1" else echo(number, request)

    scripted_server.script = script
    began = time.monotonic()
    replies = {reply.key: reply for reply in client_for(scripted_server, deadline=1.0).ask(questions(3))}
    assert (replies["1"].error, replies["1"].timed_out) == ("no answer within 1 s", True)
    assert (replies["0"].error, replies["0"].timed_out) == (None, False)
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("status", [400, 422])
def test_a_refused_request_is_an_error_at_once(scripted_server: ScriptedServer, status: int):
    body = b'{"error": {"message": "maximum context length is 512 tokens"}}'
    scripted_server.script = lambda *_: Step(status, body)
    client = client_for(scripted_server)
    assert ask_one(client).error == f"status {status}: maximum context length is 512 tokens"
    assert len(scripted_server.requests) == 1


def test_a_request_that_cannot_be_written_is_an_error_of_its_own(scripted_server: ScriptedServer):
    requests = [ChatRequest("bad", ({"role": "user", "content": "\ud800"},)), *questions(1)]
    replies = {reply.key: reply for reply in client_for(scripted_server).ask(requests)}
    assert "cannot be written" in (replies["bad"].error or "")
    assert replies["0"].text == "Q0"


def test_a_server_that_refuses_every_request_ends_the_run(scripted_server: ScriptedServer):
    scripted_server.script = lambda *_: Step(400, b'{"error": {"message": "unsupported parameter: seed"}}')
    with pytest.raises(InputError, match="refuses every request: status 400: unsupported parameter: seed"):
        list(client_for(scripted_server, max_in_flight=4).ask(questions(500)))
    assert len(scripted_server.requests) < 100


def test_failures_in_a_row_end_the_run_and_are_left_for_the_next(scripted_server: ScriptedServer):
    scripted_server.script = lambda number, request: echo(number, request) if number < 30 else Step(500, b"")
    got: list[ChatReply] = []
    with pytest.raises(EngineError, match=f"{STREAK} requests in a row failed, the last with: status 500"):
        got.extend(client_for(scripted_server, attempts=1, max_in_flight=4).ask(questions(500)))
    assert len(got) >= 26
    # Failures before a last good answer, which may come late, count as single ones; they are fewer than a row.
    assert sum(reply.error is not None for reply in got) < STREAK


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_is_one_line_that_names_the_variable(scripted_server: ScriptedServer, status: int):
    scripted_server.script = lambda *_: Step(status, b'{"error": {"message": "Incorrect API key provided"}}')
    with pytest.raises(InputError) as caught:
        list(client_for(scripted_server).ask(questions(50)))
    message = str(caught.value)
    assert f"{scripted_server.base_url} answered with status {status}" in message
    assert "OPENAI_API_KEY is not set" in message
    assert "\n" not in message
    assert not chat_threads()


def test_403_is_about_the_request_where_others_pass(scripted_server: ScriptedServer):
    def script(number: int, request: dict[str, Any]) -> Step:
        return Step(403, b'{"error": "flagged"}') if number == 5 else echo(number, request)

    scripted_server.script = script
    replies = list(client_for(scripted_server, max_in_flight=1).ask(questions(10)))
    assert [reply.error for reply in replies if reply.error] == ["status 403: flagged"]


def test_an_unknown_model_lists_what_the_server_offers(scripted_server: ScriptedServer):
    scripted_server.models = [{"id": f"model-{number}"} for number in range(7)]
    scripted_server.script = lambda *_: Step(404, b'{"error": {"message": "The model does not exist"}}')
    with pytest.raises(InputError) as caught:
        list(client_for(scripted_server).ask(questions(5)))
    assert "has no model 'scripted' (status 404): it offers model-0, model-1" in str(caught.value)
    assert str(caught.value).endswith("model-4 and 2 more")


def test_404_without_a_list_of_models_says_what_to_check(scripted_server: ScriptedServer):
    scripted_server.models = None
    scripted_server.script = lambda *_: Step(404, b"<html>nothing here</html>")
    with pytest.raises(InputError, match=r"status 404: check the model name 'scripted' and the base URL.*/v1"):
        list(client_for(scripted_server).ask(questions(5)))


def test_an_unreachable_server_is_an_input_error():
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{bound.getsockname()[1]}/v1"
        client = ChatClient(ServerSettings(url, "m", backoff=0.01))
        began = time.monotonic()
        with pytest.raises(InputError) as caught:
            list(client.ask(questions(1000)))
    assert f"{url} cannot be reached" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert time.monotonic() - began < 5


def test_a_server_that_dies_ends_the_run_and_keeps_what_was_finished(scripted_server: ScriptedServer):
    def script(number: int, request: dict[str, Any]) -> Step:
        step = echo(number, request)
        return Step(stop_listening=True) if number == 40 else step

    scripted_server.script = script
    got: list[ChatReply] = []
    with pytest.raises(EngineError, match="has gone: no connection"):
        got.extend(client_for(scripted_server, max_in_flight=4, deadline=1.0).ask(questions(1000)))
    assert len(got) >= 30
    assert all(reply.error is None for reply in got)
    assert not chat_threads()


def test_the_key_is_sent_and_shown_nowhere(
    scripted_server: ScriptedServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setenv("OPENAI_API_KEY", f" {KEY}\n")
    caplog.set_level(logging.DEBUG)
    client = client_for(scripted_server)
    answers = [
        Step(400, b'{"error": {"message": "bad request for key %s"}}' % KEY.encode()),
        Step(401, b'{"error": {"message": "Incorrect API key provided: %s"}}' % KEY.encode()),
    ]
    scripted_server.script = lambda number, _: answers[number]
    reply = ask_one(client)
    with pytest.raises(InputError) as caught:
        ask_one(client)
    assert scripted_server.headers[0]["authorization"] == f"Bearer {KEY}"
    shown = [repr(client), repr(client.settings), repr(reply), str(caught.value), repr(caught.value), caplog.text]
    assert not any(KEY in text or "0123456789" in text for text in shown)
    assert reply.error == "status 400: bad request for key ***"


def test_a_key_that_no_header_can_hold_is_refused_without_showing_it(
    scripted_server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-sécret one")
    with pytest.raises(InputError, match="OPENAI_API_KEY") as caught:
        client_for(scripted_server)
    assert "cret" not in str(caught.value).replace("secret", "")


def test_closing_the_generator_early_cancels_and_ends_the_thread(scripted_server: ScriptedServer):
    scripted_server.script = lambda number, request: Step(delay=20) if number else echo(number, request)
    replies = client_for(scripted_server, deadline=60).ask(questions(100))
    assert next(replies).text.startswith("Q")
    assert chat_threads()
    began = time.monotonic()
    replies.close()  # type: ignore[attr-defined]
    assert time.monotonic() - began < 3
    assert not chat_threads()


def test_closing_the_client_ends_what_is_open(scripted_server: ScriptedServer):
    scripted_server.script = lambda number, request: Step(delay=20) if number else echo(number, request)
    client = client_for(scripted_server, deadline=60)
    replies = client.ask(questions(100))
    next(replies)
    client.close()
    assert not chat_threads()
    assert list(replies) == []


def test_an_error_in_the_source_of_requests_comes_out(scripted_server: ScriptedServer):
    def source() -> Iterator[ChatRequest]:
        yield from questions(3)
        raise RuntimeError("the disk is gone")

    with pytest.raises(RuntimeError, match="the disk is gone"):
        list(client_for(scripted_server).ask(source()))
    assert not chat_threads()


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("", "--base-url"),
        ("127.0.0.1:8000/v1", "http://"),
        ("ftp://host/v1", "http://"),
        ("http://", "name a host"),
        ("http://host:port/v1", "no URL"),
        ("http://user:secret@host/v1", "leave it out"),
        ("http://host/v1?key=secret", "no \\?"),
    ],
)
def test_a_base_url_that_cannot_be_is_refused_without_showing_secrets(url: str, said: str):
    with pytest.raises(InputError, match=said) as caught:
        ServerSettings(url, "m")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "settings",
    [{"max_in_flight": 0}, {"max_in_flight": 5000}, {"deadline": 0.0}, {"deadline": float("nan")}, {"attempts": 0}],
)
def test_settings_that_cannot_be_are_refused(settings: dict[str, Any]):
    with pytest.raises(InputError):
        ServerSettings("http://127.0.0.1:1/v1", "m", **settings)
