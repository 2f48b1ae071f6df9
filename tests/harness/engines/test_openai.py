"""The engine that asks an OpenAI-compatible server: against a scripted one, and against vLLM's own."""

from __future__ import annotations

import json
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from telbench.errors import InputError
from telbench.harness.engines.contract import Completion, Continuation, Request, Sampling
from telbench.harness.engines.openai import open_engine

from ...scripted_server import ScriptedServer, Step, completion_body, echo
from ...vllm_server import VllmServer

QUESTIONS = (
    "What is a gNB?",
    "Which layer is RRC?",
    "What does AMF stand for?",
    "Which interface connects the O-DU and the O-RU?",
    "What is N2?",
    "Name the 5G core function for sessions.",
    "How long is a radio frame?",
    "What does HARQ do?",
)


def request(key: str, text: str) -> Request:
    return Request(key, f"item-{key}", ({"role": "user", "content": text},))


def generate(server: ScriptedServer, requests: list[Request], **sampling: Any) -> list[Completion]:
    with closing(open_engine(model="scripted", base_url=server.base_url)) as engine:
        return list(engine.generate(requests, Sampling(**sampling)))


def test_each_request_gets_its_completion_with_tokens_counted(scripted_server: ScriptedServer):
    completions = generate(scripted_server, [request(f"k{number}", f"q{number}") for number in range(20)])
    expected = [Completion(f"k{n}", f"Q{n}", prompt_tokens=3, completion_tokens=2) for n in range(20)]
    assert sorted(completions, key=lambda completion: completion.key) == sorted(expected, key=lambda c: c.key)


def test_sampling_reaches_the_server(scripted_server: ScriptedServer):
    generate(scripted_server, [request("k", "q")], max_tokens=7, temperature=0.5, top_p=0.9, seed=3, stop=("\n\n",))
    assert scripted_server.requests == [
        {
            "model": "scripted",
            "messages": [{"role": "user", "content": "q"}],
            "max_tokens": 7,
            "temperature": 0.5,
            "top_p": 0.9,
            "seed": 3,
            "stop": ["\n\n"],
        }
    ]


def test_what_narrows_a_draw_and_the_templates_variables_reach_the_server(scripted_server: ScriptedServer):
    scripted_server.models = [{"id": "scripted", "owned_by": "vllm", "root": "org/model", "created": 17}]
    variables = {"enable_thinking": False}
    opened = open_engine(model="scripted", base_url=scripted_server.base_url, chat_template_kwargs=variables)
    with closing(opened) as engine:
        list(engine.generate([request("k", "q")], Sampling(temperature=1, top_k=5, min_p=0.1, repetition_penalty=1.2)))
    asked = {"top_k": 5, "min_p": 0.1, "repetition_penalty": 1.2, "chat_template_kwargs": variables}
    assert scripted_server.requests[0].items() >= asked.items()


def test_a_vllm_server_is_told_to_leave_the_checkpoints_own_sampling_off(scripted_server: ScriptedServer):
    scripted_server.models = [{"id": "scripted", "owned_by": "vllm", "root": "org/model", "created": 17}]
    with closing(open_engine(model="scripted", base_url=scripted_server.base_url)) as engine:
        list(engine.generate([request("k", "q")], Sampling()))
        assert engine.info.settings["server_model"] == "org/model"
    assert scripted_server.requests[0]["repetition_penalty"] == 1.0


@pytest.mark.parametrize(
    ("given", "reason", "error"),
    [
        ("stop", "stop", None),
        (None, "stop", None),
        ("length", "length", None),
        ("content_filter", "error", "the server ended the answer with finish_reason 'content_filter'"),
        ("tool_calls", "error", "the server ended the answer with finish_reason 'tool_calls'"),
    ],
)
def test_finish_reasons_are_mapped(scripted_server: ScriptedServer, given: str | None, reason: str, error: str | None):
    scripted_server.script = lambda *_: Step(body=completion_body("text", finish_reason=given))
    (completion,) = generate(scripted_server, [request("k", "q")])
    assert (completion.finish_reason, completion.error) == (reason, error)
    assert completion.text == ("" if error else "text")


@pytest.mark.parametrize("content", [None, ""])
def test_empty_content_is_an_empty_answer_not_an_error(scripted_server: ScriptedServer, content: str | None):
    scripted_server.script = lambda *_: Step(body=completion_body(content))
    (completion,) = generate(scripted_server, [request("k", "q")])
    assert (completion.text, completion.finish_reason, completion.error) == ("", "stop", None)


def test_a_failed_request_is_an_error_of_its_own(scripted_server: ScriptedServer):
    def script(number: int, asked: dict[str, Any]) -> Step:
        return Step(400, b'{"error": "too long"}') if "long" in str(asked["messages"]) else echo(number, asked)

    scripted_server.script = script
    completions = generate(scripted_server, [request("a", "long"), request("b", "short")])
    by_key = {completion.key: completion for completion in completions}
    assert by_key["a"] == Completion("a", "", "error", error="status 400: too long")
    assert by_key["b"].text == "SHORT"


def test_greedy_repetitions_are_asked_once_and_answered_each(scripted_server: ScriptedServer):
    same = [request("k", "q")] * 3
    assert [completion.text for completion in generate(scripted_server, same)] == ["Q"] * 3
    assert len(scripted_server.requests) == 1


def test_one_key_with_two_texts_is_asked_twice(scripted_server: ScriptedServer):
    completions = generate(scripted_server, [request("k", "a"), request("k", "b")])
    assert sorted(completion.text for completion in completions) == ["A", "B"]


def test_sampled_repetitions_are_asked_each(scripted_server: ScriptedServer):
    generate(scripted_server, [request("k", "q")] * 3, temperature=1.0)
    assert len(scripted_server.requests) == 3


def test_the_identity_names_server_and_model_but_no_key(
    scripted_server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-test-0123456789abcdef")
    with closing(open_engine(model="scripted", base_url=f"{scripted_server.base_url}/")) as engine:
        assert (engine.info.name, engine.info.settings["base_url"]) == ("openai", scripted_server.base_url)
        assert (engine.info.settings["model"], engine.info.settings["server_model"]) == ("scripted", "scripted")
        assert "0123456789" not in repr(engine.info) + repr(engine)
        json.dumps(dict(engine.info.settings))


def test_log_likelihoods_are_not_offered(scripted_server: ScriptedServer):
    with (
        closing(open_engine(model="scripted", base_url=scripted_server.base_url)) as engine,
        pytest.raises(NotImplementedError, match="--no-chat-template"),
    ):
        list(engine.log_likelihoods([Continuation("k", [1, 2], 1)]))


def test_no_base_url_is_an_input_error():
    with pytest.raises(InputError, match="--base-url"):
        open_engine(model="m", base_url="")


def test_a_missing_package_says_which_extra(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "openai", None)
    with pytest.raises(InputError, match=r"\[judge\]"):
        open_engine(model="m", base_url="http://127.0.0.1:1/v1")


def greedy_by_transformers(checkpoint: Path, max_tokens: int) -> dict[str, str]:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    model: Any = AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.float32)
    answers = {}
    for question in QUESTIONS:
        prompt = tokenizer.apply_chat_template(
            [{"role": "user", "content": question}], add_generation_prompt=True, return_dict=False, return_tensors="pt"
        )
        output = model.generate(
            prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=max_tokens, do_sample=False
        )
        answers[question] = tokenizer.decode(output[0, prompt.shape[1] :], skip_special_tokens=True)
    return answers


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_greedy_answers_of_a_vllm_server_are_those_of_transformers(
    tiny_checkpoint: Path, vllm_server: VllmServer, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    expected = greedy_by_transformers(tiny_checkpoint, 24)
    assert len(set(expected.values())) == len(QUESTIONS)
    url = vllm_server.base_url
    with closing(open_engine(model="tiny", base_url=url)) as engine:
        completions = list(engine.generate([request(text, text) for text in QUESTIONS], Sampling(max_tokens=24)))
    with closing(open_engine(model="other", base_url=url)) as other, pytest.raises(InputError) as caught:
        list(other.generate([request("k", "q")], Sampling()))
    assert {completion.key: completion.text for completion in completions} == expected
    assert engine.info.settings["server_model"] == str(vllm_server.checkpoint)
    assert {completion.finish_reason for completion in completions} <= {"stop", "length"}
    assert all(completion.prompt_tokens > 0 for completion in completions)
    assert "has no model 'other' (status 404): it offers tiny" in str(caught.value)
