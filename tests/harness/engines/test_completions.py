"""Texts continued by a server, and likelihoods from prompts that it repeats: a scripted one, and vLLM's own."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from telbench.errors import EngineError, InputError
from telbench.harness.cli.main import main
from telbench.harness.engines.contract import Continuation, Request, Sampling
from telbench.harness.engines.openai import OpenAIEngine, open_engine
from telbench.harness.prompts.plain import text_continuation
from telbench.harness.runs.folder import read_run, read_samples
from telbench.harness.runs.settings import eval_settings

from ...scripted_engine import run, write_items
from ...scripted_server import ScriptedServer, Step
from ...vllm_server import VllmServer


def opened(server: ScriptedServer) -> OpenAIEngine:
    return open_engine(model="scripted", base_url=server.base_url, completions=True)


def chance(token: str) -> float:
    """A log-probability that tells which token it is of."""
    return -sum(map(ord, token)) / 1000


def repeats(cut: Callable[[str], Sequence[str]]) -> Callable[[int, dict[str, Any]], Step]:
    """A server that cuts texts so, and repeats a prompt with the log-probabilities of its tokens."""

    def script(_: int, asked: dict[str, Any]) -> Step:
        prompt = asked["prompt"]
        tokens = [*(cut(prompt) if isinstance(prompt, str) else map(chr, prompt)), "!"]
        values = [None, *map(chance, tokens[1:])]
        usage = {"prompt_tokens": len(tokens) - 1, "completion_tokens": 1}
        told = {"tokens": tokens, "token_logprobs": values, "text_offset": [0] * len(tokens)}
        choice = {"index": 0, "text": "".join(tokens), "finish_reason": "length", "logprobs": told}
        return Step(body=json.dumps({"choices": [choice], "usage": usage}).encode())

    return script


def words(text: str) -> list[str]:
    return re.findall(r" ?\w+|\W", text)


def test_texts_and_token_ids_go_to_the_endpoint_of_texts(scripted_server: ScriptedServer) -> None:
    def script(_: int, asked: dict[str, Any]) -> Step:
        choice = {"text": f" {asked['prompt']}", "finish_reason": "stop"}
        return Step(body=json.dumps({"choices": [choice], "usage": {"prompt_tokens": 4}}).encode())

    scripted_server.script = script
    asked = [Request("text", "", (), (), "Q: a?\nA:"), Request("ids", "", (), [5, 6]), Request("again", "", (), [5, 6])]
    with closing(opened(scripted_server)) as engine:
        found = {each.key: each for each in engine.generate(asked, Sampling(max_tokens=5, stop=("\n\n",)))}
        assert engine.info.settings["endpoint"] == "completions"
    assert {key: each.text for key, each in found.items()} == {
        "text": " Q: a?\nA:",
        "ids": " [5, 6]",
        "again": " [5, 6]",
    }
    assert set(scripted_server.paths) == {"/v1/completions"}
    assert sorted(map(str, (each["prompt"] for each in scripted_server.requests))) == [
        "Q: a?\nA:",
        "[5, 6]",
        "[5, 6]",
    ]
    assert all("messages" not in each and each["stop"] == ["\n\n"] for each in scripted_server.requests)


def test_an_answer_that_is_no_text_is_an_error_of_its_own(scripted_server: ScriptedServer) -> None:
    scripted_server.script = lambda *_: Step(body=b'{"choices": [{"text": 7}]}')
    with closing(opened(scripted_server)) as engine:
        (found,) = engine.generate([Request("k", "", (), (), "a")], Sampling())
    assert found.error is not None
    assert "not text" in found.error


def test_likelihoods_are_sums_over_the_tokens_of_the_answer(scripted_server: ScriptedServer) -> None:
    scripted_server.script = repeats(words)
    texts = [text_continuation("option", "Which one?\nAnswer:", answer) for answer in ("the AMF", "SMF")]
    ids = [Continuation("ids", [3, 4, 5, 6], 2), Continuation("all", [3, 4], 0)]
    with closing(opened(scripted_server)) as engine:
        found = dict(engine.log_likelihoods([*texts, *ids]))
    assert found == pytest.approx(
        {
            texts[0].key: chance(" the") + chance(" AMF"),
            texts[1].key: chance(" SMF"),
            "ids": chance(chr(5)) + chance(chr(6)),
            # The first token of all has no probability.
            "all": chance(chr(4)),
        },
        abs=1e-12,
    )
    assert not engine.notes


def test_an_answer_whose_tokens_reach_into_the_prompt_has_no_value_and_is_told_of(
    scripted_server: ScriptedServer,
) -> None:
    # A vocabulary with a token for the colon and the word after it.
    scripted_server.script = repeats(lambda text: re.findall(r": AMF| ?\w+|\W", text))
    texts = [text_continuation("option", "Which?\nAnswer:", answer) for answer in ("AMF", "SMF")]
    with closing(opened(scripted_server)) as engine:
        assert dict(engine.log_likelihoods(texts)) == {texts[1].key: pytest.approx(chance(" SMF"))}
        assert [note for note in engine.notes if note.startswith("1 of 2 likelihoods have no value: a token")]


def without_echo(_: int, asked: dict[str, Any]) -> Step:
    told = {"tokens": [" so"], "token_logprobs": [-0.5]}
    choice = {"text": " so", "finish_reason": "length", "logprobs": told}
    return Step(body=json.dumps({"choices": [choice], "usage": {"prompt_tokens": 6}}).encode())


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (without_echo, "takes no 'echo'"),
        (lambda *_: Step(400, b'{"error": {"message": "Only no echo is supported"}}'), "takes no 'echo'"),
        (lambda *_: Step(404, b'{"error": {"message": "no such page"}}'), "no such page"),
    ],
)
def test_a_server_that_repeats_no_prompts_is_told_of_in_one_line(
    scripted_server: ScriptedServer, script: Any, reason: str
) -> None:
    scripted_server.script = script
    with closing(opened(scripted_server)) as engine, pytest.raises(NotImplementedError, match=reason) as caught:
        list(engine.log_likelihoods([text_continuation("option", "Which?", "one")]))
    assert "\n" not in str(caught.value)
    assert scripted_server.base_url in str(caught.value)


def test_a_text_that_is_refused_has_no_value_and_one_that_fails_is_asked_again(scripted_server: ScriptedServer) -> None:
    answer, texts = (
        repeats(words),
        [text_continuation("option", "Which?", answer) for answer in ("one", "far too long")],
    )
    status = 400
    scripted_server.script = lambda number, asked: (
        Step(status, b'{"error": {"message": "sorry"}}') if "long" in str(asked["prompt"]) else answer(number, asked)
    )
    with closing(opened(scripted_server)) as engine:
        assert list(dict(engine.log_likelihoods(texts))) == [texts[0].key]
        status = 500
        with pytest.raises(EngineError, match="a likelihood failed: status 500"):
            list(engine.log_likelihoods(texts))


def test_marks_of_traces_are_kept_by_vllm_and_other_servers_are_refused(scripted_server: ScriptedServer) -> None:
    scripted_server.script = lambda *_: Step(body=b'{"choices": [{"text": "a", "finish_reason": "stop"}]}')
    sampling = Sampling(marks=("[/THINK]", "[THINK]"))
    with closing(opened(scripted_server)) as engine, pytest.raises(InputError, match=r"special tokens.*--tokenizer"):
        list(engine.generate([Request("k", "", (), [5])], sampling))
    scripted_server.models = [{"id": "scripted", "owned_by": "vllm", "root": "org/model", "created": 17}]
    with closing(opened(scripted_server)) as engine:
        list(engine.generate([Request("k", "", (), [5])], sampling))
    assert scripted_server.requests[-1]["skip_special_tokens"] is False


def test_a_chat_is_asked_for_no_likelihoods_and_a_line_says_what_would_give_them(
    scripted_server: ScriptedServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "data.jsonl"
    file.write_text(json.dumps({"id": "a", "question": "Which?", "choices": ["AMF", "SMF"], "answer": 0}) + "\n")
    asked = ["eval", "--model", "scripted", "--engine", "openai", "--base-url", scripted_server.base_url]
    asked += ["--data", str(file), "--out", str(tmp_path / "run")]
    assert main(asked) == 0
    told = " ".join(capsys.readouterr().err.split())
    assert "a chat tells no likelihoods" in told
    assert set(scripted_server.paths) == {"/v1/chat/completions"}
    assert read_run(tmp_path / "run")["metrics"]["choice_likelihood"]["n_missing"] == 1


def test_references_need_the_tokenizer_for_their_end_and_say_so(
    scripted_server: ScriptedServer, tmp_path: Path
) -> None:
    scripted_server.script = repeats(words)
    settings = eval_settings(
        model="scripted",
        engine="openai",
        base_url=scripted_server.base_url,
        chat_template=False,
        data=str(write_items(tmp_path / "data.jsonl", 2)),
        metrics=("reference_likelihood",),
        out=tmp_path / "run",
    )
    metric = run(settings).header["metrics"]["reference_likelihood"]
    assert (metric["value"], metric["n_missing"]) == (None, 2)
    assert "--tokenizer" in next(iter(metric["missing"]))


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        (["--chat-template", "x.j2"], "openai with --tokenizer"),
        (["--tokenizer", "nowhere"], "--tokenizer nowhere has no config.json"),
        (["--engine", "transformers", "--base-url", "", "--tokenizer", "x"], "--tokenizer belongs to --engine openai"),
    ],
)
def test_options_that_do_not_belong_together_are_refused(
    more: list[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["eval", "--model", "m", "--engine", "openai", "--base-url", "http://127.0.0.1:9/v1"]
    assert main([*asked, "--data", "telecom-nano", *more]) == 2
    assert expected in capsys.readouterr().err


METRICS = "choice_accuracy,choice_likelihood,choice_letter_likelihood,token_f1,reference_likelihood"
SCORES = ("option_scores", "letter_scores", "reference_scores")


def likelihoods(samples: list[dict[str, Any]], name: str) -> list[float]:
    """All numbers of one kind, in their order."""
    found = []
    for sample in samples:
        for value in sample.get(name) or ():
            found.append(value[0] if isinstance(value, list) else value)
    return found


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_served_base_model_has_the_values_of_the_local_engine(
    vllm_server: VllmServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Answers are equal; likelihoods to five decimals: the server works on other prompts together."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    file = tmp_path / "data.jsonl"
    rows: list[dict[str, Any]] = [
        {"id": f"c{n}", "question": f"Which function is {n}?", "choices": ["AMF", "the SMF", "µ 核"], "answer": n % 3}
        for n in range(6)
    ]
    rows += [
        {"id": f"o{n}", "question": f"What is {n}?", "context": "The gNB. " * n, "references": [f"It is the gNB {n}."]}
        for n in range(6)
    ]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    folder = vllm_server.checkpoint
    asked = ["--data", str(file), "--max-tokens", "8", "--metrics", METRICS, "--no-cache"]
    served = ["--engine", "openai", "--model", "tiny", "--base-url", vllm_server.base_url]
    ways = {
        "local, chat": ["--model", str(folder), "--engine", "vllm", "--dtype", "float32"],
        "local, plain": ["--model", str(folder), "--engine", "vllm", "--dtype", "float32", "--no-chat-template"],
        "ids, chat": [*served, "--tokenizer", str(folder)],
        "ids, plain": [*served, "--tokenizer", str(folder), "--no-chat-template"],
        "text, plain": [*served, "--no-chat-template"],
    }
    found = {}
    for number, (name, way) in enumerate(ways.items()):
        out = tmp_path / str(number)
        assert main(["eval", *way, *asked, "--out", str(out)]) == 0
        found[name] = list(read_samples(out))
    largest = 0.0
    for name in ("ids, chat", "ids, plain", "text, plain"):
        local = found[f"local, {name.split(', ')[1]}"]
        for one, other in zip(local, found[name], strict=True):
            assert one["prediction"] == other["prediction"]
        for kind in SCORES:
            expected, values = likelihoods(local, kind), likelihoods(found[name], kind)
            if name.startswith("text") and kind == "reference_scores":
                assert not values
                continue
            assert len(expected) == len(values) == (6 if kind == "reference_scores" else 18)
            assert values == pytest.approx(expected, abs=1e-5)
            largest = max(largest, *(abs(a - b) for a, b in zip(expected, values, strict=True)))
    assert math.isfinite(largest)
    # Another template is another prompt: were both read alike, this would compare nothing.
    assert likelihoods(found["ids, chat"], "letter_scores") != likelihoods(found["ids, plain"], "letter_scores")
