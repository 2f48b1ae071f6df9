"""vLLM and transformers answer alike, token for token, and score continuations alike: on two unlike checkpoints."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from telbench.harness.checkpoint import open_checkpoint
from telbench.harness.datasets.items import Item
from telbench.harness.engines import transformers as hf
from telbench.harness.engines import vllm
from telbench.harness.engines.contract import Completion, Continuation, Engine, EngineSettings, Request, Sampling
from telbench.harness.prompts.build import PLAIN_STOPS, PromptSettings, build_prompt, encoder_for, option_continuations
from telbench.harness.prompts.encoder import Encoder
from telbench.harness.prompts.references import reference_continuations
from telbench.harness.tokenizing import load_tokenizer

from ...checkpoints import save_model, save_tokenizer

pytestmark = pytest.mark.slow
WINDOW = 512
LETTER_ENDS = ("Q", "z")
SENTENCES = (
    "The gNB sends the RRC message to the UE over the Uu interface. The AMF handles mobility, the SMF sessions. "
    "Between the O-DU and the O-RU lies the open fronthaul; 7-2x is its split. 3GPP TS 38.331 tells the rest. "
)


@dataclass(frozen=True)
class Pair:
    """The same checkpoint behind both engines."""

    folder: Path
    vllm: Engine
    transformers: Engine
    encoder: Encoder


def save_plain(folder: Path) -> None:
    """No chat template, no BOS, no padding token; letters as end tokens; a vocabulary padded to 320; any bytes."""
    save_tokenizer(folder, chat=False)
    save_model(folder, vocabulary=320, printable_only=False)
    tokenizer = load_tokenizer(folder)
    ends = [tokenizer.eos_token_id, *tokenizer.convert_tokens_to_ids(list(LETTER_ENDS))]
    # What a published checkpoint recommends must not change how the run decodes.
    settings = {"eos_token_id": ends, "repetition_penalty": 1.7, "do_sample": True, "temperature": 0.6, "top_k": 5}
    (folder / "generation_config.json").write_text(json.dumps(settings))


@pytest.fixture(scope="module", params=["chat", "plain"])
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """Both engines on the same checkpoint; one vLLM start for each of the two checkpoints."""
    pytest.importorskip("vllm")
    if request.param == "chat":
        folder = request.getfixturevalue("tiny_checkpoint")
    else:
        folder = tmp_path_factory.mktemp("plain") / "plain-llama"
        save_plain(folder)
    settings = EngineSettings(checkpoint=open_checkpoint(str(folder)), max_model_len=WINDOW)
    engines = vllm.open_engine(settings), hf.open_engine(settings)
    yield Pair(folder, *engines, encoder_for(load_tokenizer(folder), PromptSettings("closed")))
    for engine in engines:
        engine.close()


def requests_of_many_lengths(pair: Pair, budget: int) -> list[Request]:
    """From one token to exactly ``budget``, open and closed book."""
    text = pair.encoder.tokenizer(SENTENCES * 8, add_special_tokens=False)["input_ids"]
    lengths = (1, 2, 3, 5, 17, 64, 65, 127, 128, 129, 200, budget - 1, budget)
    bare = [Request(f"bare-{size}", "", (), text[size : 2 * size] if size < 100 else text[:size]) for size in lengths]
    made = []
    for index, question in enumerate(("What is a gNB?", "Which split is 7-2x?", "", "¿Qué es 核心网? 😀", "Who\0?")):
        item = Item(f"i{index}", question, context=SENTENCES * (1 + 3 * index))
        for book in ("open", "closed"):
            prompt = build_prompt(item, PromptSettings(book), pair.encoder, budget)
            assert prompt.problem is None
            made.append(prompt.request)
    return bare + made


def by_key(completions: Iterator[Completion]) -> dict[str, Completion]:
    found = list(completions)
    assert len({each.key for each in found}) == len(found)
    return {each.key: each for each in found}


@pytest.mark.parametrize("stop", [(), PLAIN_STOPS, ("e", "st", " t"), ("\n",)])
def test_greedy_completions_are_equal_in_tokens_text_and_reason(pair: Pair, stop: tuple[str, ...]) -> None:
    sampling = Sampling(max_tokens=24, stop=stop)
    requests = requests_of_many_lengths(pair, WINDOW - 24)
    expected = by_key(pair.vllm.generate(requests, sampling))
    found = by_key(pair.transformers.generate(requests, sampling))
    assert found == expected
    assert len(expected) == len({request.key for request in requests})
    reasons = {each.finish_reason for each in expected.values()}
    assert reasons <= {"stop", "length"}
    assert "length" in reasons or stop
    assert len({each.text for each in expected.values()}) > len(expected) / 2
    if stop == ("e", "st", " t"):
        assert "stop" in reasons
        assert not any(mark in each.text for each in expected.values() for mark in stop)


@pytest.mark.parametrize("batch_tokens", [1, 600, 5000])
def test_the_batch_size_does_not_change_an_answer(pair: Pair, batch_tokens: int) -> None:
    settings = EngineSettings(checkpoint=open_checkpoint(str(pair.folder)), batch_tokens=batch_tokens)
    sampling = Sampling(max_tokens=8)
    requests = requests_of_many_lengths(pair, WINDOW - 8)
    engine = hf.open_engine(settings)
    assert by_key(engine.generate(requests, sampling)) == by_key(pair.vllm.generate(requests, sampling))
    engine.close()


def test_a_prompt_that_fills_the_window_but_for_the_answer_gets_a_whole_answer(pair: Pair) -> None:
    text = pair.encoder.tokenizer(SENTENCES * 8, add_special_tokens=False)["input_ids"]
    requests = [Request(str(tokens), "", (), text[: WINDOW - tokens]) for tokens in (1, 2, 31)]
    for request in requests:
        sampling = Sampling(max_tokens=int(request.key))
        expected = next(pair.vllm.generate([request], sampling))
        assert expected == next(pair.transformers.generate([request], sampling))
        assert expected.finish_reason in ("length", "stop")
        assert expected.completion_tokens == sampling.max_tokens or expected.finish_reason == "stop"


def test_end_tokens_of_the_generation_configuration_end_an_answer_and_are_not_shown(pair: Pair) -> None:
    if pair.encoder.chat:
        pytest.skip("the chat checkpoint has one end token")
    text = pair.encoder.tokenizer(SENTENCES, add_special_tokens=False)["input_ids"]
    requests = [Request(str(first), "", (), text[first : first + 9]) for first in range(0, len(text) - 9, 2)]
    sampling = Sampling(max_tokens=100)
    found = by_key(pair.transformers.generate(requests, sampling))
    assert found == by_key(pair.vllm.generate(requests, sampling))
    letters = pair.encoder.tokenizer.convert_tokens_to_ids(list(LETTER_ENDS))
    ended = [each for each in found.values() if each.token_ids[-1] in letters]
    assert ended
    assert all(each.finish_reason == "stop" for each in ended)
    assert not any(each.text.endswith(LETTER_ENDS) for each in ended)


def continuations(pair: Pair) -> list[Continuation]:
    choices = ("AMF", "the session management function (SMF)", "A gNB.", "¿核心网? 😀", "7-2x", "e")
    items = [
        Item(f"q{n}", "Which function handles mobility?", context=SENTENCES * n, choices=choices) for n in (0, 1, 2)
    ]
    found = [each for item in items for each in option_continuations(item, PromptSettings("open"), pair.encoder)]
    for item in items:
        settings = PromptSettings("open")
        answered = replace(item, choices=(), references=choices)
        references = reference_continuations(
            answered, build_prompt(answered, settings, pair.encoder, 400), pair.encoder, WINDOW
        )
        assert not isinstance(references, str)
        found += references
    # One that just fits the window, and one of which all but the first token is scored.
    text = pair.encoder.tokenizer(SENTENCES * 8, add_special_tokens=False)["input_ids"]
    return [*found, Continuation("long", text[: WINDOW - 1], WINDOW - 40), Continuation("all", text[:50], 1)]


def direct_log_likelihood(model: Any, each: Continuation) -> float:
    """One sequence, no batch, log-softmax in double precision, token by token."""
    import torch

    with torch.no_grad():
        logits = model(torch.tensor([list(each.token_ids)])).logits[0].double()
    total = 0.0
    for position in range(each.start, len(each.token_ids)):
        row = logits[position - 1]
        total += float(row[each.token_ids[position]] - torch.logsumexp(row, 0))
    return total


def test_log_likelihoods_agree_between_engines_and_with_a_direct_computation(pair: Pair) -> None:
    from transformers import AutoModelForCausalLM

    wanted = continuations(pair)
    model = AutoModelForCausalLM.from_pretrained(pair.folder, dtype="float32")
    expected = {each.key: direct_log_likelihood(model, each) for each in wanted}
    assert len(expected) == len(wanted)
    assert dict(pair.vllm.log_likelihoods(wanted)) == pytest.approx(expected, abs=1e-4)
    assert dict(pair.transformers.log_likelihoods(wanted)) == pytest.approx(expected, abs=1e-4)


def test_a_prompt_that_cannot_be_queued_is_an_error_of_its_own(pair: Pair) -> None:
    text = pair.encoder.tokenizer(SENTENCES * 8, add_special_tokens=False)["input_ids"]
    requests = [
        Request("good", "", (), text[:9]),
        Request("too long", "", (), text[: WINDOW + 3]),
        Request("empty", "", (), []),
        Request("unknown token", "", (), [5, 4000]),
        Request("good too", "", (), text[:30]),
    ]
    found = by_key(pair.vllm.generate(requests, Sampling(max_tokens=4)))
    assert {key for key, each in found.items() if each.finish_reason == "error"} == {
        "too long",
        "empty",
        "unknown token",
    }
    assert all(each.error and "\n" not in each.error for each in found.values() if each.finish_reason == "error")
    theirs = by_key(pair.transformers.generate(requests, Sampling(max_tokens=4)))
    assert {key: theirs[key] for key in ("good", "good too")} == {key: found[key] for key in ("good", "good too")}
    assert {theirs[key].finish_reason for key in ("empty", "unknown token")} == {"error"}
    scored = dict(pair.vllm.log_likelihoods([Continuation("long", text[:WINDOW], 9), Continuation("ok", text[:9], 5)]))
    assert list(scored) == ["ok"]


@pytest.mark.parametrize(
    "narrow",
    [
        {"repetition_penalty": 1.3},
        {"temperature": 1.5, "top_k": 1},
        {"temperature": 1.5, "min_p": 1.0},
    ],
)
def test_what_narrows_a_draw_means_the_same_to_both(pair: Pair, narrow: dict[str, Any]) -> None:
    requests = requests_of_many_lengths(pair, WINDOW - 32)
    sampling = Sampling(max_tokens=16, **narrow)
    one, other = (
        {each.key: each.token_ids for each in engine.generate(requests, sampling)}
        for engine in (pair.vllm, pair.transformers)
    )
    assert one == other
