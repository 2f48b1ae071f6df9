"""Who a served judge is: its server, what that says of itself, and what it is asked; and when its weights moved."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from telbench.errors import InputError
from telbench.harness.judging.open import open_panel
from telbench.harness.judging.settings import JudgeSettings
from telbench.judges.panel import MemoryLedger
from telbench.judges.server.options import ServedOptions
from telbench.judges.server.probing import weights_moved

from ...scripted_server import ScriptedServer, Step, completion_body
from .served_judges import PROBE_REPLY, capable, is_probe, judge_for, scores, tasks

KNOWN = [-0.1, -0.2, -0.3]


@pytest.fixture
def second_server(scripted_server: ScriptedServer) -> Iterator[ScriptedServer]:
    server = ScriptedServer()
    try:
        yield server
    finally:
        server.close()


def telling(chances: list[float], state: str | None = None) -> Any:
    """A capable server whose probe's reply has these log-probabilities, if any, and which calls its state so."""

    def script(_: int, request: dict[str, Any]) -> Step:
        if not is_probe(request):
            return scores()
        content = [
            {"token": token, "logprob": chance, "top_logprobs": [{"token": token, "logprob": chance}]}
            for token, chance in zip(("{", '"word"', ":"), chances, strict=False)
        ]
        body = json.loads(completion_body(PROBE_REPLY, logprobs={"content": content} if chances else None))
        return Step(body=json.dumps({**body, "system_fingerprint": state}).encode())

    return script


def test_two_servers_of_one_name_are_two_judges_and_counted_apart(
    scripted_server: ScriptedServer, second_server: ScriptedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("TELBENCH_CACHE", str(tmp_path / "cache"))
    for server in (scripted_server, second_server):
        server.script = capable(scores)
    specs = tuple(f"openai:scripted@{server.base_url}" for server in (scripted_server, second_server))
    panel = open_panel(JudgeSettings(specs=specs))
    assert panel is not None
    first, second = (identity.name for identity in panel.identities)
    assert first != second
    assert {first.partition("@")[0], second.partition("@")[0]} == {"scripted"}
    panel.ask(lambda: tasks(3))
    panel.judge_all(tasks(3))
    assert {name: tally.prompts for name, tally in panel.tallies.items()} == {first: 3, second: 3}


def test_one_judge_named_in_two_ways_has_one_vote(
    scripted_server: ScriptedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("TELBENCH_CACHE", str(tmp_path / "cache"))
    scripted_server.script = capable(scores)
    file = tmp_path / "judge.yaml"
    file.write_text(f"url: {scripted_server.base_url}\nmodel: scripted\n")
    with pytest.raises(InputError, match="again: one judge has one vote"):
        open_panel(JudgeSettings(specs=(str(file), f"openai:scripted@{scripted_server.base_url}")))


def listing(**facts: Any) -> dict[str, Any]:
    return {"models": [{"id": "scripted", **facts}]}


@pytest.mark.parametrize(
    "change",
    [
        listing(root="org/other"),
        listing(max_model_len=4096),
        listing(meta={"n_params": 7_000_000_000}),
        {"script": telling([-0.1, -0.2, -0.3], "fp_other")},
        {"options": ServedOptions(reply_tokens=4096)},
        {"options": ServedOptions(query={"api-version": "1"})},
        {"options": ServedOptions(body={"reasoning_effort": "high"})},
    ],
    ids=["root", "window", "weights", "system_fingerprint", "reply_tokens", "query", "body"],
)
def test_what_the_server_says_and_is_asked_is_the_judge(scripted_server: ScriptedServer, change: dict[str, Any]):
    scripted_server.models = listing(root="org/judge")["models"]
    scripted_server.script = telling([-0.1, -0.2, -0.3], "fp_one")
    before = judge_for(scripted_server).identity
    assert judge_for(scripted_server).identity == before
    scripted_server.models = change.get("models", scripted_server.models)
    scripted_server.script = change.get("script", scripted_server.script)
    after = judge_for(scripted_server, options=change.get("options", ServedOptions())).identity
    assert before.name != after.name


@pytest.mark.parametrize(
    ("before", "chances", "state", "said"),
    [
        (KNOWN, KNOWN, "fp_one", None),
        (KNOWN, [-0.15, -0.21, -0.25], "fp_one", None),
        (KNOWN, [-0.1, -2.2, -0.3], "fp_one", "moved by 0.67 on average, by up to 2.00"),
        (KNOWN, KNOWN, "fp_two", None),
        ([], [], "fp_two", "the server calls its state fp_two, and called it fp_one"),
    ],
    ids=["same", "rounding", "other weights", "other state of the same weights", "other state, who knows"],
)
def test_a_canary_warns_when_the_weights_behind_a_name_changed(
    scripted_server: ScriptedServer, before: list[float], chances: list[float], state: str, said: str | None
):
    scripted_server.script = telling(before, "fp_one")
    memory = MemoryLedger()
    first = judge_for(scripted_server, memory=memory)
    scripted_server.script = telling(chances, state)
    second = judge_for(scripted_server, memory=memory)
    list(second.ask([]))
    assert second.identity == first.identity
    if said is None:
        assert second.notes == []
    else:
        (note,) = second.notes
        assert said in note
        assert "--fresh" in note


def test_another_first_token_and_no_log_probabilities_are_told_apart():
    assert weights_moved((("{", -0.1),), (("[", -0.1),)) is not None
    assert weights_moved((("{", -0.1),), ()) is None
    assert weights_moved((), (("{", -0.1),)) is None
