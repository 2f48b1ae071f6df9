"""Replies kept on disk."""

from __future__ import annotations

import math

import pytest
from telbench.judges.cache import ReplyCache, cache_key
from telbench.judges.chat import ChatReply
from telbench.judges.errors import InputError

MESSAGES = [{"role": "user", "content": "judge this"}]
SCHEMA = {"properties": {"reasons": {}, "score": {}}}
KEY = cache_key("judge@sha", MESSAGES, {"temperature": 0, "max_tokens": 9}, SCHEMA)
REPLY = ChatReply("item", "text \ud83d \u20ac\u2028", "stop", 3, 2, {"content": []}, "served")


def test_the_order_of_parameters_does_not_change_the_key():
    assert cache_key("judge@sha", MESSAGES, {"max_tokens": 9, "temperature": 0}, SCHEMA) == KEY


@pytest.mark.parametrize(
    ("judge", "content", "parameters", "schema"),
    [
        ("judge@other", "judge this", {"temperature": 0, "max_tokens": 9}, SCHEMA),
        ("judge@sha", "judge that", {"temperature": 0, "max_tokens": 9}, SCHEMA),
        ("judge@sha", "judge this", {"temperature": 1, "max_tokens": 9}, SCHEMA),
        ("judge@sha", "judge this", {"temperature": 0}, SCHEMA),
        ("judge@sha", "judge this", {"temperature": 0, "max_tokens": 9}, None),
        ("judge@sha", "judge this", {"temperature": 0, "max_tokens": 9}, {"properties": {"score": {}, "reasons": {}}}),
    ],
)
def test_judge_prompt_parameters_and_schema_each_change_the_key(judge, content, parameters, schema):
    assert cache_key(judge, [{"role": "user", "content": content}], parameters, schema) != KEY


def test_a_kept_reply_is_found_by_the_next_process(tmp_path):
    path = tmp_path / "deep" / "cache.jsonl"
    ReplyCache(path).put(KEY, REPLY)
    found = ReplyCache(path).get(KEY)
    assert found == ChatReply(KEY, REPLY.text, "stop", 3, 2, {"content": []}, "served")
    assert ReplyCache(path).get("another") is None


def test_a_failure_is_not_kept(tmp_path):
    cache = ReplyCache(tmp_path / "cache.jsonl")
    cache.put(KEY, ChatReply("item", error="status 500"))
    assert cache.get(KEY) is None
    assert not cache.path.exists()


def test_a_reply_is_written_once(tmp_path):
    cache = ReplyCache(tmp_path / "cache.jsonl")
    cache.put(KEY, REPLY)
    cache.put(KEY, ChatReply("item", "other"))
    assert len(cache.path.read_text().splitlines()) == 1
    assert len(cache) == 1


@pytest.mark.parametrize("cut", [1, 2, 40, 100])
def test_a_line_cut_by_a_kill_loses_only_itself(tmp_path, cut):
    path = tmp_path / "cache.jsonl"
    cache = ReplyCache(path)
    cache.put("first", REPLY)
    cache.put("second", REPLY)
    path.write_bytes(path.read_bytes()[:-cut])
    after = ReplyCache(path)
    after.put("third", REPLY)
    last = ReplyCache(path)
    assert last.get("first") is not None
    assert last.get("third") is not None
    assert (last.get("second") is None) == (cut > 1)
    assert last.damaged == (cut > 1)


def test_damaged_lines_are_counted_and_passed_over(tmp_path):
    path = tmp_path / "cache.jsonl"
    path.write_bytes(b'\xff\n[]\n{"key": 1}\n\n')
    assert (len(ReplyCache(path)), ReplyCache(path).damaged) == (0, 3)


def test_nan_is_never_written(tmp_path):
    cache = ReplyCache(tmp_path / "cache.jsonl")
    with pytest.raises(ValueError, match="JSON"):
        cache.put(KEY, ChatReply("item", "x", logprobs={"content": math.nan}))
    assert not cache.path.exists()


def test_a_path_that_cannot_hold_a_cache_is_an_input_error(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        ReplyCache(tmp_path)
