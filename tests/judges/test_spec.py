"""How judges are named on the command line."""

from __future__ import annotations

import pytest

from telbench.errors import InputError
from telbench.judges.spec import JudgeSpec, parse_judge, parse_judges


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("openai:gpt@https://host/v1", JudgeSpec("openai", "gpt", "https://host/v1")),
        ("openai:org/m:7b@int4@http://[::1]:8000/v1/", JudgeSpec("openai", "org/m:7b@int4", "http://[::1]:8000/v1")),
        ("local:/models/judge@2", JudgeSpec("local", "/models/judge@2")),
        (" local:C:\\models ", JudgeSpec("local", "C:\\models")),
    ],
)
def test_a_judge_is_kind_model_and_place(text: str, spec: JudgeSpec):
    assert parse_judge(text) == spec
    assert parse_judge(str(spec)) == spec


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "names no kind of judge"),
        ("gpt-4", "names no kind of judge: write local:CHECKPOINT or openai:MODEL@URL"),
        ("opnai:m@http://host/v1", "no kind of judge 'opnai': did you mean 'openai:'?"),
        ("Local:m", "did you mean 'local:'?"),
        ("http://host/v1", "no kind of judge 'http': write local:CHECKPOINT or openai:MODEL@URL"),
        ("local:", "names no model"),
        ("openai:gpt", "names no server: write openai:MODEL@URL"),
        ("openai:gpt@", "names no server"),
        ("openai:@http://host/v1", "names no model"),
        ("openai:gpt@host/v1", "must start with http://"),
        ("openai:gpt@http://host/v1?k=1", "no ?"),
    ],
)
def test_what_names_no_judge_is_refused_with_a_way_out(text: str, said: str):
    with pytest.raises(InputError) as caught:
        parse_judge(text)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "openai:gpt@http://user:hidden@host/v1",
        "openai:http://user:hidden@host/v1",
        "openai:http://user:hidden@",
        "http://user:hidden@host/v1",
        "opnai:gpt@http://user:hidden@host/v1",
    ],
)
def test_a_password_in_the_url_is_refused_without_showing_it(text: str):
    with pytest.raises(InputError) as caught:
        parse_judge(text)
    assert "hidden" not in str(caught.value)


def test_several_judges_keep_their_order_and_none_comes_twice():
    texts = ["local:b", "openai:m@http://h/v1", "openai:n@http://h/v1"]
    assert [str(spec) for spec in parse_judges(texts)] == texts
    with pytest.raises(InputError, match="openai:m@http://h/v1 is given twice"):
        parse_judges(["openai:m@http://h/v1", "local:b", "openai:m@http://h/v1/"])
