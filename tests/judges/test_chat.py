"""Reading a server's answer."""

from __future__ import annotations

import json

import pytest

from telbench.judges.chat import ChatReply, MalformedAnswerError, read_reply

from ..scripted_server import completion_body


def test_a_completion_gives_text_reason_usage_model_and_logprobs():
    logprobs = {"content": [{"token": "A", "logprob": -0.5, "top_logprobs": []}]}
    reply = read_reply("k", completion_body("Answer", finish_reason="length", logprobs=logprobs))
    assert reply == ChatReply("k", "Answer", "length", 3, 2, logprobs, "scripted")


def test_absent_content_is_the_empty_text():
    assert read_reply("k", completion_body(None)).text == ""


def test_content_in_parts_is_joined():
    body = {"choices": [{"message": {"content": [{"type": "text", "text": "a"}, {"type": "image"}, {"text": "b"}]}}]}
    assert read_reply("k", json.dumps(body).encode()).text == "ab"


def test_missing_usage_is_none_not_zero():
    reply = read_reply("k", b'{"choices": [{"message": {"content": "x"}}], "usage": {"prompt_tokens": null}}')
    assert (reply.prompt_tokens, reply.completion_tokens) == (None, None)


def test_lone_surrogates_become_text_that_can_be_written():
    body = b'{"choices": [{"message": {"content": "a\\ud800b \\ud83d\\ude00"}}]}'
    assert read_reply("k", body).text.encode() == "a\ufffdb \U0001f600".encode()


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "not valid JSON"),
        (b'{"choices": [{"mess', "not valid JSON"),
        (b"\xff\xfe\xfa", "not valid JSON"),
        (b"[" * 200_000, "not valid JSON"),
        (b"<html></html>", "not valid JSON"),
        (b'{"choices": [{"message": {"content": "x"}, "logprobs": NaN}]}', "NaN is not JSON"),
        (b"[1]", "not a JSON object"),
        (b"{}", "no choices"),
        (b'{"choices": []}', "no choices"),
        (b'{"choices": {"0": 1}}', "no choices"),
        (b'{"choices": [{"text": "x"}]}', "no message"),
        (b'{"choices": [{"message": {"content": 7}}]}', "not text"),
        (b'{"error": {"message": "upstream is down"}}', "upstream is down"),
        (b'{"error": "upstream is down"}', "upstream is down"),
    ],
)
def test_what_is_no_completion_is_refused_with_the_reason(body: bytes, reason: str):
    with pytest.raises(MalformedAnswerError, match=reason):
        read_reply("k", body)


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
def test_a_trace_that_the_server_keeps_apart_stays_apart(name: str) -> None:
    message = {"content": "B", name: "A? No. \ud800"}
    reply = read_reply("k", json.dumps({"choices": [{"message": message}]}).encode())
    assert (reply.text, reply.reasoning) == ("B", "A? No. \ufffd")
    for absent in (None, "", {"tokens": 3}):
        body = {"choices": [{"message": {"content": "B", name: absent}}]}
        assert read_reply("k", json.dumps(body).encode()).reasoning is None
