"""The judge behind vLLM's own server, which holds replies to a JSON schema."""

from __future__ import annotations

import json
from contextlib import closing

import pytest

from telbench.judges.chat import ChatRequest
from telbench.judges.contract import JudgeTask
from telbench.judges.panel import JudgePanel, MemoryLedger
from telbench.judges.rubric import load_rubric
from telbench.judges.schemas import score_alternatives
from telbench.judges.server.capabilities import Capabilities
from telbench.judges.server.served import ServedJudge, served_judge
from telbench.judges.verdicts import Missing, RubricScore

from ...vllm_server import VllmServer

SCHEMA = {
    "type": "object",
    "properties": {"supported": {"type": "boolean"}, "score": {"type": "integer", "minimum": 1, "maximum": 5}},
    "required": ["supported", "score"],
    "additionalProperties": False,
}


def small_questions(count: int) -> list[ChatRequest]:
    schema = {"name": "small", "strict": True, "schema": SCHEMA}
    body = {
        "temperature": 0.0,
        "max_tokens": 64,
        "response_format": {"type": "json_schema", "json_schema": schema},
        "logprobs": True,
        "top_logprobs": 20,
    }
    return [ChatRequest(str(n), ({"role": "user", "content": f"Is answer {n} right?"},), body) for n in range(count)]


def check_small_replies(judge: ServedJudge) -> None:
    replies = list(judge.ask(small_questions(12)))
    assert sorted(int(reply.key) for reply in replies) == list(range(12))
    for reply in replies:
        assert (reply.error, reply.finish_reason) == (None, "stop")
        value = json.loads(reply.text)
        assert set(value) == {"supported", "score"}
        assert isinstance(value["supported"], bool)
        assert value["score"] in {1, 2, 3, 4, 5}
        chances = score_alternatives(reply.logprobs or {})
        assert chances is not None
        # Of the twenty, those of single bytes may read the same.
        assert str(value["score"]) in chances
        assert len(chances) > 5


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_vllm_server_enforces_the_schema_and_gives_log_probabilities(
    vllm_server: VllmServer, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    memory = MemoryLedger()
    with closing(served_judge("tiny", vllm_server.base_url, memory=memory)) as judge:
        assert judge.capabilities == Capabilities()
        facts = judge.identity.facts
        assert (facts["schema"], facts["owned_by"]) == ("enforced", "vllm")
        assert facts["root"] == str(vllm_server.checkpoint)
        check_small_replies(judge)
    rubric = load_rubric("rubric_score")
    tasks = [JudgeTask(rubric, {field: f"{field} {n}" for field in rubric.fields}, str(n)) for n in range(2)]
    with closing(served_judge("tiny", vllm_server.base_url, memory=memory)) as again:
        assert again.identity == judge.identity
        panel = JudgePanel([again])
        panel.ask(lambda: tasks)
    for task in tasks:
        verdict = panel.known(task)[0].verdict
        # Random weights may write on to the token limit, but nothing outside the schema.
        assert isinstance(verdict, RubricScore) or (isinstance(verdict, Missing) and verdict.reason == "truncated")
