"""What is said of one judge's server: how it is reached, where its key goes, and who may not get it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from telbench.errors import InputError
from telbench.harness.cli.main import main
from telbench.harness.judging.open import open_panel
from telbench.harness.judging.settings import JudgeSettings
from telbench.judges.panel import JudgePanel
from telbench.judges.server.options import ServedOptions, options_given, served_options
from telbench.judges.spec import parse_judge
from telbench.judges.verdicts import RubricScore

from ...scripted_server import ScriptedServer, Step
from .served_judges import KEY, asked, capable, judge_for, scores, tasks

OTHER_KEY = "sk-other-9876543210fedcba"


@pytest.fixture
def second_server(scripted_server: ScriptedServer) -> Iterator[ScriptedServer]:
    server = ScriptedServer()
    server.script = capable(scores)
    try:
        yield server
    finally:
        server.close()


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TELBENCH_CACHE", str(tmp_path / "cache"))


def judge_file(folder: Path, name: str = "judge.yaml", **given: Any) -> str:
    file = folder / name
    file.write_text(json.dumps(given))
    return str(file)


def test_headers_query_and_further_fields_reach_the_server(scripted_server: ScriptedServer):
    scripted_server.script = capable(scores)
    options = ServedOptions(
        headers={"X-Team": "nlp"},
        query={"api-version": "2024-10-21"},
        body={"reasoning_effort": "low", "chat_template_kwargs": {"enable_thinking": False}},
        reply_tokens=9000,
    )
    judge = judge_for(scripted_server, options=options)
    assert isinstance(JudgePanel([judge]).judgements(tasks(1)[0])[0].verdict, RubricScore)
    (request,) = asked(scripted_server)
    assert request["reasoning_effort"] == "low"
    assert request["chat_template_kwargs"] == {"enable_thinking": False}
    assert request["max_tokens"] == 9000
    assert {headers["x-team"] for headers in scripted_server.headers} == {"nlp"}
    assert set(scripted_server.paths) == {"/v1/chat/completions?api-version=2024-10-21"}
    # All of it makes another judge.
    plain = judge_for(scripted_server)
    assert plain.identity.fingerprint != judge.identity.fingerprint
    assert judge.identity.facts["body"] == {
        "reasoning_effort": "low",
        "chat_template_kwargs": {"enable_thinking": False},
    }


def test_a_key_of_another_variable_goes_into_the_header_that_is_named(
    scripted_server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("JUDGE_KEY", OTHER_KEY)
    scripted_server.script = capable(scores)
    for header, sent in (("", f"Bearer {OTHER_KEY}"), ("api-key", OTHER_KEY)):
        scripted_server.headers.clear()
        judge_for(scripted_server, options=ServedOptions(key_variable="JUDGE_KEY", key_header=header))
        (headers,) = scripted_server.headers
        assert headers[header or "authorization"] == sent
        assert KEY not in str(headers)
        assert ("authorization" in headers) == (not header)
    scripted_server.headers.clear()
    judge_for(scripted_server, options=ServedOptions(key_variable="none"))
    assert not any(key in str(scripted_server.headers) for key in (KEY, OTHER_KEY))


def test_a_refused_key_names_its_own_variable(scripted_server: ScriptedServer, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("JUDGE_KEY", OTHER_KEY)
    scripted_server.script = lambda *_: Step(401, b"{}")
    with pytest.raises(InputError, match="JUDGE_KEY holds a key that the server does not accept"):
        judge_for(scripted_server, options=ServedOptions(key_variable="JUDGE_KEY"))


@pytest.mark.parametrize("header", ["", "api-key"])
def test_a_redirect_takes_no_key_to_another_host(
    scripted_server: ScriptedServer, second_server: ScriptedServer, monkeypatch: pytest.MonkeyPatch, header: str
):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    away = {"Location": f"{second_server.base_url}/chat/completions"}
    scripted_server.script = lambda *_: Step(307, b"", away)
    options = ServedOptions(key_header=header)
    with contextlib.suppress(InputError):
        judge_for(scripted_server, options=options, attempts=1)
    assert scripted_server.headers[0][header or "authorization"].endswith(KEY)
    assert KEY not in str(second_server.headers)


def test_two_hosts_do_not_share_a_key(
    scripted_server: ScriptedServer, second_server: ScriptedServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    scripted_server.script = capable(scores)
    second = second_server.base_url.replace("127.0.0.1", "localhost")
    specs = (f"openai:scripted@{scripted_server.base_url}", f"openai:scripted@{second}")
    # Without a key there is nothing to keep.
    assert open_panel(JudgeSettings(specs=specs)) is not None
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with pytest.raises(InputError, match="would both get the key of OPENAI_API_KEY"):
        open_panel(JudgeSettings(specs=specs))
    monkeypatch.setenv("JUDGE_KEY", OTHER_KEY)
    second_server.headers.clear()
    own = judge_file(tmp_path, url=second, model="scripted", key_variable="JUDGE_KEY")
    panel = open_panel(JudgeSettings(specs=(specs[0], own)))
    assert panel is not None
    assert KEY not in str(second_server.headers)
    panel.ask(lambda: tasks(2))
    assert KEY not in str(second_server.headers)
    assert OTHER_KEY not in str(scripted_server.headers)


def test_the_candidates_host_and_the_judges_do_not_share_a_key(
    scripted_server: ScriptedServer,
    second_server: ScriptedServer,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
):
    scripted_server.script = capable(scores)
    items = tmp_path / "items.jsonl"
    items.write_text('{"id": "q", "question": "Which node?", "references": ["the AMF"]}\n')
    second = second_server.base_url.replace("127.0.0.1", "localhost")
    words = ["eval", "--engine", "openai", "--model", "scripted", "--base-url", second, "--data", str(items)]
    words += ["--split", "all", "--metrics", "token_f1,rubric_score", "--out", str(tmp_path / "run")]
    words += ["--judge", f"openai:scripted@{scripted_server.base_url}"]
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    assert main(words) == 2
    assert "localhost and 127.0.0.1 would both get the key of OPENAI_API_KEY" in capsys.readouterr().err
    monkeypatch.setenv("JUDGE_KEY", OTHER_KEY)
    scripted_server.headers.clear()
    assert main([*words, "--judge-option", "key_variable=JUDGE_KEY"]) == 0
    assert KEY not in str(scripted_server.headers)
    written = "".join(file.read_text() for file in (tmp_path / "run").iterdir() if file.suffix != ".lock")
    assert not any(key in written for key in (KEY, OTHER_KEY))


def test_a_file_names_a_judge_and_flags_come_before_it(scripted_server: ScriptedServer, tmp_path: Path):
    scripted_server.script = capable(scores)
    file = judge_file(
        tmp_path,
        url=scripted_server.base_url,
        model="scripted",
        reply_tokens=4000,
        body={"top_p": 1, "reasoning": "low"},
    )
    spec = parse_judge(file)
    assert (spec.model, spec.place) == ("scripted", scripted_server.base_url)
    panel = open_panel(JudgeSettings(specs=(file,), options=("body.reasoning=high", "reply_tokens=5000")))
    assert panel is not None
    panel.ask(lambda: tasks(1))
    (request,) = asked(scripted_server)
    assert (request["max_tokens"], request["reasoning"], request["top_p"]) == (5000, "high", 1)


def test_values_are_json_or_text():
    assert options_given(["query.api-version=2024", 'body.stop=["a"]', "attempt_seconds=3"]) == {
        "query": {"api-version": "2024"},
        "body": {"stop": ["a"]},
        "attempt_seconds": 3,
    }


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (["reply_token=3"], "did you mean 'reply_tokens'"),
        (["reasoning_effort=low"], "body.reasoning_effort"),
        (["reply_tokens"], "write KEY=VALUE"),
        (["reply_tokens=many"], "reply_tokens must be a whole number"),
        (["reply_tokens=3"], "between 64 and"),
        (["body.a=1", "body.a=2"], "given twice"),
        (["body.max_tokens=5"], "say reply_tokens=N"),
        (["headers.Authorization=Bearer hidden"], "looks like a secret"),
        (["query.key=hidden"], "looks like a secret"),
        (["body.api_key=hidden"], "looks like a secret"),
        (["headers.X Y=1"], "no name of a header"),
        (["headers.X=é"], "no header can hold"),
    ],
)
def test_an_option_that_cannot_be_is_one_line_without_its_secret(texts: list[str], said: str):
    with pytest.raises(InputError, match=said) as caught:
        served_options("", {}, options_given(texts))
    assert "\n" not in str(caught.value)
    assert "hidden" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"model": "m"}, "lacks 'url'"),
        ({"url": "http://h/v1"}, "lacks 'model'"),
        ({"url": "http://h/v1?x=1", "model": "m"}, "query.NAME=VALUE"),
        ({"url": "http://h/v1", "model": "m", "reply_token": 3}, "unknown key 'reply_token'"),
        ({"url": "http://h/v1", "model": "m", "headers": {"x-api-key": "hidden"}}, "looks like a secret"),
    ],
)
def test_a_file_that_cannot_be_is_one_line(tmp_path: Path, given: dict[str, Any], said: str):
    with pytest.raises(InputError, match=said) as caught:
        open_panel(JudgeSettings(specs=(judge_file(tmp_path, **given),)))
    assert "hidden" not in str(caught.value)


def test_a_missing_file_and_options_without_a_server_are_one_line(tmp_path: Path):
    with pytest.raises(InputError, match=r"cannot read .*none\.yaml"):
        open_panel(JudgeSettings(specs=(str(tmp_path / "none.yaml"),)))
    with pytest.raises(InputError, match="for judges behind a server"):
        open_panel(JudgeSettings(specs=(f"local:{tmp_path}",), options=("reply_tokens=500",)))
