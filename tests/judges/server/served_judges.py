"""Scripted servers that can judge, and judges and tasks for them."""

from __future__ import annotations

import json
from typing import Any

from telbench.judges.contract import JudgeTask
from telbench.judges.rubric import load_rubric
from telbench.judges.server.capabilities import PROBE_QUESTION
from telbench.judges.server.served import ServedJudge, served_judge

from ...scripted_server import Script, ScriptedServer, Step, completion_body

KEY = "sk-test-0123456789abcdef"
PROBE_REPLY = json.dumps({"word": "interface-7Qx4", "list": ["a"], "sure": True, "score": 3})
LOGPROBS = {"content": [{"token": "{", "logprob": -0.1, "top_logprobs": [{"token": "{", "logprob": -0.1}]}]}
SCORE = json.dumps({"reasons": ["It names the interface."], "score": 4})
CLAIMS = json.dumps({"claims": [{"claim": "c", "reason": "r", "verdict": "TP"}]})


def is_probe(request: dict[str, Any]) -> bool:
    return request["messages"][-1]["content"] == PROBE_QUESTION


def capable(answer: Script) -> Script:
    """A server that enforces schemas and gives log-probabilities; ``answer`` is asked all but the probe."""
    count = iter(range(10**6))

    def script(_: int, request: dict[str, Any]) -> Step:
        if is_probe(request):
            return Step(body=completion_body(PROBE_REPLY, logprobs=LOGPROBS))
        return answer(next(count), request)

    return script


def scores(*_: Any) -> Step:
    return Step(body=completion_body(SCORE))


def judge_for(server: ScriptedServer, **settings: Any) -> ServedJudge:
    defaults = {"deadline": 60.0, "backoff": 0.02, "jitter_seed": 1}
    return served_judge("scripted", server.base_url, **{**defaults, **settings})


def tasks(count: int, rubric: str = "rubric_score") -> list[JudgeTask]:
    loaded = load_rubric(rubric)
    return [
        JudgeTask(loaded, {field: f"{field} number {n}" for field in loaded.fields}, f"item-{n}") for n in range(count)
    ]


def asked(server: ScriptedServer) -> list[dict[str, Any]]:
    return [request for request in server.requests if not is_probe(request)]


def number_of(request: dict[str, Any]) -> int:
    return int(request["messages"][0]["content"].rpartition("answer number ")[2].split()[0])
