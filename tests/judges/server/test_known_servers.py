"""Servers that people judge with, each as a script that takes, ignores and refuses what the real one does."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from telbench.judges.panel import JudgePanel
from telbench.judges.server.capabilities import Capabilities
from telbench.judges.server.options import ServedOptions
from telbench.judges.verdicts import RubricScore

from ...scripted_server import ScriptedServer, Step, completion_body
from .served_judges import LOGPROBS, PROBE_REPLY, SCORE, asked, is_probe, judge_for, tasks

KEY = "sk-test-0123456789abcdef"


def refusing(status: int, body: Any) -> Step:
    return Step(status, json.dumps(body).encode())


def google(request: dict[str, Any]) -> Step | None:
    unknown = next((name for name in ("seed", "logprobs", "top_logprobs") if name in request), None)
    told = f'Invalid JSON payload received. Unknown name "{unknown}": Cannot find field.'
    return refusing(400, [{"error": {"code": 400, "message": told, "status": "INVALID_ARGUMENT"}}]) if unknown else None


def litellm(request: dict[str, Any]) -> Step | None:
    unknown = [name for name in ("seed", "logprobs", "top_logprobs") if name in request]
    told = f"litellm.UnsupportedParamsError: bedrock does not support parameters: {unknown}, for model=x"
    return refusing(400, {"error": {"message": told, "type": "None", "param": None}}) if unknown else None


def sglang(request: dict[str, Any]) -> Step | None:
    asked_for = sum(len(message["content"]) for message in request["messages"]) // 4 + request.get("max_tokens", 0)
    told = f"Requested token count exceeds the model's maximum context length of 3000 tokens. You requested {asked_for}"
    return refusing(400, {"object": "error", "message": told, "code": 400}) if asked_for > 3000 else None


def lm_studio(request: dict[str, Any]) -> Step | None:
    form = request.get("response_format", {}).get("type", "text")
    return (
        refusing(400, {"error": f"'response_format.type' must be 'json_schema' or 'text', not {form}"})
        if (form not in {"json_schema", "text"})
        else None
    )


def o_series(request: dict[str, Any]) -> Step | None:
    for name, told in (
        ("max_tokens", "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."),
        ("temperature", "Unsupported value: 'temperature' does not support 0 with this model."),
        ("logprobs", "You are not allowed to request logprobs from this model"),
    ):
        if name in request:
            return refusing(403 if name == "logprobs" else 400, {"error": {"message": told, "param": name}})
    return None


@dataclass(frozen=True)
class Known:
    """What a server refuses, whether it holds replies to a schema and tells log-probabilities, and what comes of it."""

    expected: Capabilities
    refuses: Callable[[dict[str, Any]], Step | None] = lambda request: None
    holds: bool = True
    tells: bool = True
    lists: dict[str, Any] = field(default_factory=dict)
    options: ServedOptions = field(default_factory=ServedOptions)


SERVERS: dict[str, Known] = {
    "OpenAI": Known(Capabilities()),
    "OpenAI, a model that thinks": Known(
        Capabilities(log_probabilities=False, temperature=False, limit="max_completion_tokens"), o_series, tells=False
    ),
    "Azure": Known(Capabilities(), options=ServedOptions(key_header="api-key", query={"api-version": "2024-10-21"})),
    "Anthropic": Known(Capabilities("asked", log_probabilities=False), holds=False, tells=False),
    "Google": Known(Capabilities(log_probabilities=False, seed=False), google, tells=False),
    "LiteLLM": Known(Capabilities(log_probabilities=False, seed=False), litellm, tells=False),
    "vLLM": Known(Capabilities(), lists={"owned_by": "vllm", "root": "/models/x", "max_model_len": 8192}),
    "SGLang": Known(Capabilities(), sglang, lists={"owned_by": "sglang", "max_model_len": 3000}),
    "Ollama": Known(Capabilities(log_probabilities=False), tells=False, lists={"owned_by": "library"}),
    "LM Studio": Known(Capabilities(log_probabilities=False), lm_studio, tells=False),
    "llama.cpp": Known(Capabilities(), lists={"owned_by": "llamacpp", "meta": {"n_params": 135_000_000}}),
}


@pytest.mark.parametrize("name", SERVERS)
def test_a_known_server_judges(scripted_server: ScriptedServer, monkeypatch: pytest.MonkeyPatch, name: str):
    known = SERVERS[name]
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    scripted_server.models = [{"id": "scripted", **known.lists}]

    def script(number: int, request: dict[str, Any]) -> Step:
        headers, path = scripted_server.headers[number], scripted_server.paths[number]
        if known.options.key_header and ("authorization" in headers or headers.get("api-key") != KEY):
            return refusing(401, {"error": {"code": "401", "message": "Access denied"}})
        if known.options.query and not path.endswith("?api-version=2024-10-21"):
            return refusing(404, {"error": {"code": "404", "message": "Resource not found"}})
        if refusal := known.refuses(request):
            return refusal
        text = PROBE_REPLY if is_probe(request) else SCORE
        if not known.holds:
            text = f"Here is my verdict:\n```json\n{SCORE}\n```"
        return Step(body=completion_body(text, logprobs=LOGPROBS if known.tells and request.get("logprobs") else None))

    scripted_server.script = script
    judge = judge_for(scripted_server, options=known.options)
    assert judge.capabilities == known.expected
    panel = JudgePanel([judge])
    panel.ask(lambda: tasks(4))
    assert all(isinstance(panel.known(task)[0].verdict, RubricScore) for task in tasks(4))
    assert len(asked(scripted_server)) == 4
