"""Batches: submitted once, picked up after a kill, asked anew for what they left, and one line for what cannot be."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from telbench.errors import EngineError, InputError
from telbench.harness.storage import RecordStore
from telbench.judges.chat import ChatReply, ChatRequest
from telbench.judges.panel import JudgePanel
from telbench.judges.server import batch as batch_module
from telbench.judges.server.batch import ROUNDS, Batches
from telbench.judges.server.options import ServedOptions
from telbench.judges.server.served import served_judge
from telbench.judges.server.settings import ServerSettings
from telbench.judges.verdicts import Missing, RubricScore

from ...scripted_batches import BatchServer, answered, batch_server, expired, result
from ...scripted_server import completion_body
from .served_judges import KEY, LOGPROBS, PROBE_REPLY, SCORE, tasks


def probed(_request: dict[str, Any]) -> bytes:
    return completion_body(PROBE_REPLY, logprobs=LOGPROBS)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[BatchServer]:
    with batch_server(monkeypatch, probed, answered(SCORE)) as found:
        yield found


def batches(server: BatchServer, ledger: RecordStore | None = None, patience: float = 5.0, **more: Any) -> Batches:
    settings = ServerSettings(server.base_url, "scripted", backoff=0.02, jitter_seed=1, **more)
    found = Batches(settings, patience=patience, first_look=0.01)
    if ledger is not None:
        found.keep(ledger, lambda line: None)
    return found


def requests(count: int, first: int = 0) -> list[ChatRequest]:
    body = {"temperature": 0.0}
    return [ChatRequest(f"k{n}", ({"role": "user", "content": f"q{n}"},), body) for n in range(first, first + count)]


def asked(server: BatchServer) -> list[str]:
    return [line["body"]["messages"][0]["content"] for line in server.asked]


def by_question(server: BatchServer, name: str) -> str:
    return next(line["body"]["messages"][0]["content"] for line in server.asked[::-1] if line["custom_id"] == name)


def test_a_judge_is_asked_in_one_batch_and_is_the_judge_that_it_is_otherwise(server: BatchServer):
    judge = served_judge("scripted", server.base_url, batch=True)
    assert judge.batches is not None
    panel = JudgePanel([judge])
    panel.ask(lambda: tasks(5))
    assert all(isinstance(panel.known(task)[0].verdict, RubricScore) for task in tasks(5))
    assert server.calls.count("POST /batches") == 1
    # The tiny question alone is asked by itself.
    assert len(server.single) == 1
    line = server.asked[0]
    assert (line["method"], line["url"], line["body"]["model"]) == ("POST", "/v1/chat/completions", "scripted")
    assert line["body"]["response_format"]["type"] == "json_schema"
    (batch,) = server.batches.values()
    assert (batch["endpoint"], batch["completion_window"]) == ("/v1/chat/completions", "24h")
    tally = panel.tallies[judge.identity.name]
    assert (tally.prompt_tokens, tally.batch_prompt_tokens) == (15, 15)
    assert (tally.completion_tokens, tally.batch_completion_tokens) == (10, 10)
    other = served_judge("scripted", server.base_url)
    assert (other.identity.fingerprint, other.identity.name) == (judge.identity.fingerprint, judge.identity.name)
    assert judge.identity.facts["batch"] is True
    judge.close()


def test_a_key_in_a_header_of_its_own_goes_with_every_call_and_no_other_one(
    server: BatchServer, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("OWN_KEY", KEY)
    judge = served_judge(
        "scripted", server.base_url, batch=True, options=ServedOptions(key_variable="OWN_KEY", key_header="api-key")
    )
    JudgePanel([judge]).ask(lambda: tasks(2))
    assert {f"{call.split('/')[1]}" for call in server.calls} >= {"files", "batches"}
    for headers in server.headers:
        assert headers["api-key"] == KEY
        assert "authorization" not in headers
        assert not any(name.startswith("x-stainless-os") for name in headers)


def test_what_single_requests_came_to_is_each_its_own(server: BatchServer):
    def answer(name: str, body: dict[str, Any]) -> dict[str, Any] | None:
        question = body["messages"][0]["content"]
        if question == "q1":
            return result(name, {"error": {"message": "the prompt is too odd"}}, 400)
        if question == "q2":
            return result(name, {"error": {"message": "overloaded"}}, 503) if len(server.batches) == 1 else done(name)
        return done(name)

    def done(name: str) -> dict[str, Any]:
        return result(name, json.loads(completion_body(SCORE)))

    server.answer = answer
    found = {reply.key: reply for reply in batches(server).ask(requests(4))}
    assert [found[f"k{n}"].text for n in (0, 2, 3)] == [SCORE] * 3
    assert found["k1"].status == 400
    assert "the prompt is too odd" in str(found["k1"].error)
    # The one that failed is asked for again, and it alone.
    assert sorted(asked(server)[:4]) == ["q0", "q1", "q2", "q3"]
    assert asked(server)[4:] == ["q2"]
    assert found["k0"].batch


GARBAGE = [b"", b"{", b'{"custom_id": 7}', b'{"custom_id": "nobody", "response": null}', b"\xff\xfe", b"[]", b"null"]


@pytest.mark.parametrize(
    "answer",
    [
        lambda name, body: None,
        lambda name, body: b"not json",
        lambda name, body: result(name, "a text"),
        lambda name, body: result(name, None),
        lambda name, body: result(name, {"choices": []}),
        lambda name, body: {**result(name, {}), "response": 7, "error": "words"},
        lambda name, body: expired(name),
        lambda name, body: result(name, {"error": {"message": "no"}}, 500),
        lambda name, body: result(name, json.loads(completion_body(SCORE)), "200"),  # pyright: ignore[reportArgumentType]
    ],
    ids=["absent", "garbage", "text", "null", "no choice", "odd", "expired", "500", "status as text"],
)
def test_what_stays_without_an_answer_is_told_after_some_batches(server: BatchServer, answer: Any):
    server.answer = answer
    (reply,) = batches(server).ask(requests(1))
    assert f"no answer in {ROUNDS} batches" in str(reply.error)
    assert len(server.batches) == ROUNDS
    assert reply.timed_out is (reply.error is not None and "batch_expired" in reply.error)


def test_lines_that_answer_nothing_are_told_and_the_first_answer_counts(server: BatchServer):
    def twice(name: str, body: dict[str, Any]) -> bytes:
        first, second = (
            json.dumps(result(name, json.loads(completion_body(text)))).encode() for text in ("one", "two")
        )
        return b"\n".join([*GARBAGE, first, second])

    server.answer, told = twice, list[str]()
    asking = batches(server)
    asking.keep(batch_module._Memory(), told.append)
    assert [reply.text for reply in asking.ask(requests(2))] == ["one", "one"]
    assert len(server.batches) == 1
    # Of each request six lines of garbage (the empty one is none) and the second answer.
    assert "14 lines answer nothing that was asked" in told[-1]


@pytest.mark.parametrize("ending", ["expired", "completed"])
def test_what_a_batch_leaves_is_submitted_anew(server: BatchServer, ending: str):
    """An expired batch has what was done by then."""

    def half(name: str, body: dict[str, Any]) -> dict[str, Any]:
        if len(server.batches) == 1 and body["messages"][0]["content"] in {"q1", "q3"}:
            return expired(name)
        return result(name, json.loads(completion_body(SCORE)))

    server.answer, server.endings = half, [ending]
    assert {reply.text for reply in batches(server).ask(requests(4))} == {SCORE}
    assert sorted(asked(server)[4:]) == ["q1", "q3"]


def test_a_batch_that_somebody_cancelled_stops_and_the_same_command_asks_the_rest(server: BatchServer, tmp_path: Path):
    def first(name: str, body: dict[str, Any]) -> dict[str, Any] | None:
        whole = result(name, json.loads(completion_body(SCORE)))
        return whole if body["messages"][0]["content"] == "q0" or len(server.batches) > 1 else None

    server.answer, server.endings = first, ["cancelled"]
    with RecordStore(tmp_path / "batches.jsonl") as ledger:
        found = list[ChatReply]()
        with pytest.raises(EngineError, match="was cancelled"):
            found.extend(batches(server, ledger).ask(requests(3)))
    with RecordStore(tmp_path / "batches.jsonl") as ledger:
        assert len(list(batches(server, ledger).ask(requests(2, 1)))) == 2
    assert sorted(asked(server)[3:]) == ["q1", "q2"]


@pytest.mark.parametrize(
    ("errors", "kind", "told"),
    [
        ({"data": [{"code": "model_not_found", "message": "no such model"}]}, InputError, "no such model"),
        ({"data": [{"code": "token_limit_exceeded", "message": "Enqueued token limit"}]}, EngineError, "Enqueued"),
        (None, InputError, "does not say why"),
        ("words", InputError, "does not say why"),
    ],
)
def test_a_batch_that_is_refused_is_one_line(
    server: BatchServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, errors: Any, kind: Any, told: str
):
    refused = {"status": "failed", "errors": errors}
    with RecordStore(tmp_path / "batches.jsonl") as ledger, monkeypatch.context() as patch:
        patch.setattr(server, "look", lambda batch: batch | refused)
        with pytest.raises(kind, match=told) as caught:
            list(batches(server, ledger).ask(requests(2)))
    assert "\n" not in str(caught.value)
    # The next command submits anew.
    with RecordStore(tmp_path / "batches.jsonl") as ledger:
        assert len(list(batches(server, ledger).ask(requests(2)))) == 2
    assert len(server.batches) == 2


def test_a_server_without_batches_is_one_line_at_once(server: BatchServer):
    server.absent = True
    with pytest.raises(InputError, match=r"has no Batch API \(/files: status 404.*leave --judge-batch out") as caught:
        list(batches(server).ask(requests(2)))
    assert "\n" not in str(caught.value)
    assert server.calls == ["POST /files"]


FAULTS = [(429, b'{"error": {"message": "slow down"}}'), (500, b"<html>"), (200, b"garbage"), (503, b"")]


@pytest.mark.parametrize(
    "place",
    [("POST", "/files"), ("POST", "/batches"), ("GET", "/batches/"), ("GET", "/files/")],
    ids=["upload", "create", "poll", "results"],
)
def test_failures_that_pass_are_waited_for(server: BatchServer, place: tuple[str, str]):
    faults = [fault for fault in FAULTS if not (place == ("GET", "/files/") and fault[0] == 200)]
    server.faults[place] = list(faults)
    assert {reply.text for reply in batches(server, patience=30.0).ask(requests(3))} == {SCORE}
    assert not server.faults[place]
    assert len(server.batches) == 1


def test_a_creation_that_came_through_unseen_is_found_and_not_repeated(server: BatchServer):
    server.created_in_silence = 1
    assert len(list(batches(server).ask(requests(3)))) == 3
    assert len(server.batches) == 1


@pytest.mark.parametrize(
    ("place", "status", "kind", "told"),
    [
        (("POST", "/files"), 500, EngineError, "is broken"),
        (("GET", "/batches/"), 500, EngineError, "picks it up"),
        (("POST", "/files"), 401, InputError, "OPENAI_API_KEY is not set"),
        (("GET", "/batches/"), 401, InputError, "OPENAI_API_KEY is not set"),
        (("POST", "/batches"), 400, InputError, "refuses a batch"),
        (("POST", "/batches"), 405, InputError, "has no Batch API"),
        (("POST", "/files"), 429, EngineError, "is broken"),
    ],
)
def test_failures_that_stay_are_one_line(
    server: BatchServer, place: tuple[str, str], status: int, kind: Any, told: str
):
    server.faults[place] = [(status, b'{"error": {"message": "no"}}')] * 1000
    with pytest.raises(kind, match=told) as caught:
        list(batches(server, patience=0.3).ask(requests(2)))
    assert "\n" not in str(caught.value)


def test_no_credit_is_told_at_once(server: BatchServer):
    told = b'{"error": {"message": "You exceeded your quota", "code": "insufficient_quota"}}'
    server.faults["POST", "/files"] = [(429, told)] * 100
    with pytest.raises(InputError, match="has nothing left"):
        list(batches(server).ask(requests(2)))
    assert len(server.calls) == 1


class Stopped(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("place", ["upload", "create", "created", "poll", "results", "reply"])
def test_a_process_that_ends_anywhere_asks_nothing_twice(
    server: BatchServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
):
    """As after kill -9: nothing is written behind the place, and the next process begins from the files."""
    got: dict[str, str] = {}

    def run() -> None:
        with RecordStore(tmp_path / "batches.jsonl") as ledger:
            asking = batches(server, ledger)
            if place == "created" and not got.get("stopped"):
                monkeypatch.setattr(asking, "_note", stop)
            for reply in asking.ask([request for request in requests(4) if request.key not in got]):
                got[reply.key] = reply.text
                if place == "reply" and len(got) == 2:
                    stop()

    def stop(*_: Any, **__: Any) -> None:
        raise Stopped

    names = {"upload": "upload", "create": "create", "poll": "batch", "results": "lines"}
    with monkeypatch.context() as patch:
        if place in names:
            patch.setattr(batch_module.BatchApi, names[place], stop)
        with pytest.raises(Stopped):
            run()
    got_before = dict(got)
    got["stopped"] = "yes"
    run()
    assert {name: got[name] for name in ("k0", "k1", "k2", "k3")} == dict.fromkeys(("k0", "k1", "k2", "k3"), SCORE)
    assert len(server.batches) == 1
    assert len(asked(server)) == 4
    assert len(got_before) == (2 if place == "reply" else 0)
    # A finished batch is not looked at again.
    before = len(server.calls)
    with RecordStore(tmp_path / "batches.jsonl") as ledger:
        assert len(list(batches(server, ledger).ask(requests(1, 9)))) == 1
    assert [call for call in server.calls[before:] if "batch_0" in call] == []


def test_a_batch_that_the_server_forgot_is_submitted_anew(server: BatchServer, tmp_path: Path):
    with RecordStore(tmp_path / "batches.jsonl") as ledger:
        asking = batches(server, ledger)
        asking._submit(_wanted(asking, requests(2)))
        server.batches.clear()
        assert len(list(asking.ask(requests(2)))) == 2


def _wanted(asking: Batches, given: list[ChatRequest]) -> dict[str, tuple[ChatRequest, dict[str, Any]]]:
    return {batch_module._custom_id(asking._body(request)): (request, asking._body(request)) for request in given}


def test_batches_of_another_server_or_of_other_requests_are_left_alone(server: BatchServer, tmp_path: Path):
    other = BatchServer(probed, answered("other"))
    try:
        with RecordStore(tmp_path / "batches.jsonl") as ledger:
            asking = batches(other, ledger)
            asking._submit(_wanted(asking, requests(2)))
            assert {reply.text for reply in batches(server, ledger).ask(requests(2))} == {SCORE}
            assert not [call for call in other.calls if call.startswith("GET")]
            assert {reply.text for reply in asking.ask(requests(2))} == {"other"}
            assert len(other.batches) == 1
    finally:
        other.close()


def test_many_requests_are_several_batches_that_run_at_once(server: BatchServer, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(batch_module, "MOST_REQUESTS", 3)
    assert len(list(batches(server).ask(requests(7)))) == 7
    creations = [place for place, call in enumerate(server.calls) if call == "POST /batches"]
    assert len(creations) == 3
    assert creations[-1] < min(place for place, call in enumerate(server.calls) if call.startswith("GET"))
    monkeypatch.setattr(batch_module, "MOST_BYTES", 10)
    assert len(list(batches(server).ask(requests(2)))) == 2
    assert len(server.batches) == 5


def test_a_reply_without_a_verdict_is_mended_in_a_second_batch(server: BatchServer):
    server.answer = lambda name, body: result(
        name, json.loads(completion_body(SCORE if len(body["messages"]) > 1 else "Four fifths."))
    )
    judge = served_judge("scripted", server.base_url, batch=True)
    panel = JudgePanel([judge])
    panel.ask(lambda: tasks(3))
    assert not any(isinstance(panel.known(task)[0].verdict, Missing) for task in tasks(3))
    assert len(server.batches) == 2
    assert len({line["custom_id"] for line in server.asked}) == 6


def test_a_request_that_does_not_fit_is_sent_without_a_limit(server: BatchServer):
    def answer(name: str, body: dict[str, Any]) -> dict[str, Any]:
        if "max_tokens" in body:
            return result(name, {"error": {"message": "maximum context length is 100 tokens"}}, 400)
        return result(name, json.loads(completion_body(SCORE)))

    server.answer = answer
    panel = JudgePanel([served_judge("scripted", server.base_url, batch=True)])
    panel.ask(lambda: tasks(2))
    assert not any(isinstance(panel.known(task)[0].verdict, Missing) for task in tasks(2))


def test_how_far_a_batch_is_is_told(server: BatchServer):
    server.looks, told = 3, list[str]()
    asking = batches(server)
    asking.keep(batch_module._Memory(), told.append)
    assert len(list(asking.ask(requests(2)))) == 2
    assert told[0].startswith("batch batch_0: 2 requests submitted to")
    assert told[1] == "batch batch_0: in_progress, 0 of 2 done"
    assert told[-1] == "batch batch_0: completed, 0 requests without an answer"


def test_settings_of_one_judge_reach_the_client(server: BatchServer):
    asking = batches(server, headers={"x-own": "yes"}, query={"api-version": "1"})
    assert len(list(asking.ask([replace(request, body={}) for request in requests(1)]))) == 1
    assert all(headers["x-own"] == "yes" for headers in server.headers)
