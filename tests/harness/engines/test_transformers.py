"""The transformers engine alone: batches, memory, seeds, decoding; its answers are checked against plain loops."""

from __future__ import annotations

import json
import shutil
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from telbench.errors import EngineError, InputError
from telbench.harness.checkpoint import open_checkpoint
from telbench.harness.engines import decoding
from telbench.harness.engines.contract import Completion, Continuation, EngineSettings, Request, Sampling
from telbench.harness.engines.stopping import GrowingAnswer
from telbench.harness.engines.transformers import TransformersEngine, length_batches, open_engine

from ...checkpoints import save_tokenizer

TEXT = "The gNB sends the RRC message to the UE. Which interface connects the O-DU and the O-RU? 7-2x is its split."


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Any:
    pytest.importorskip("transformers")
    from transformers import AutoTokenizer

    folder = tmp_path_factory.mktemp("tokenizer")
    save_tokenizer(folder)
    return AutoTokenizer.from_pretrained(folder)


@pytest.fixture(scope="module")
def engine(tiny_checkpoint: Path) -> Iterator[TransformersEngine]:
    with closing(open_engine(EngineSettings(checkpoint=open_checkpoint(str(tiny_checkpoint))))) as opened:
        yield opened


@pytest.fixture(scope="module")
def requests(tokenizer: Any) -> list[Request]:
    ids = tokenizer(TEXT * 3, add_special_tokens=False)["input_ids"]
    return [Request(f"r{size}", "", (), ids[size : 2 * size]) for size in (1, 2, 3, 8, 21, 40, 77)]


def by_key(completions: Iterator[Completion]) -> dict[str, Completion]:
    return {each.key: each for each in completions}


def grown(tokenizer: Any, text: str, *, ends: frozenset[int] = frozenset(), stops: tuple[str, ...] = ()) -> Any:
    answer = GrowingAnswer(tokenizer, (), ends, stops)
    for token in tokenizer(text, add_special_tokens=False)["input_ids"]:
        answer.push(token)
    return answer


@pytest.mark.parametrize("text", ["plain", " spaces  kept ", "Prüfstand 😀 核心网 ¿", "e\u0301 \u200d", "\0\n\t"])
def test_text_of_several_tokens_a_character_is_decoded_whole(tokenizer: Any, text: str) -> None:
    assert grown(tokenizer, text).text == text


def test_of_a_character_cut_off_in_the_middle_nothing_is_shown(tokenizer: Any) -> None:
    answer = GrowingAnswer(tokenizer, (), frozenset(), ())
    for token in tokenizer("ab😀", add_special_tokens=False)["input_ids"][:-1]:
        answer.push(token)
    assert answer.text == "ab"
    assert len(answer.tokens) == 5


def test_bytes_that_are_no_character_do_not_stop_decoding(tokenizer: Any) -> None:
    continuation_byte = tokenizer("核", add_special_tokens=False)["input_ids"][1]
    letter = tokenizer("a", add_special_tokens=False)["input_ids"][0]
    answer = GrowingAnswer(tokenizer, (), frozenset(), ())
    for token in [continuation_byte, continuation_byte, letter, continuation_byte, letter, letter]:
        answer.push(token)
    assert answer.text.endswith("aa")


def test_special_tokens_are_not_shown(tokenizer: Any) -> None:
    assert grown(tokenizer, "a<|user|>b").text == "ab"


def test_the_end_token_counts_but_is_not_shown_and_nothing_follows_it(tokenizer: Any) -> None:
    end = tokenizer.convert_tokens_to_ids("c")
    answer = grown(tokenizer, "abcba", ends=frozenset({end}))
    assert (answer.text, answer.finish_reason, answer.tokens[-1], len(answer.tokens)) == ("ab", "stop", end, 3)


@pytest.mark.parametrize(
    ("text", "stops", "expected"),
    [
        ("one two three", ("two",), "one "),
        ("one two three", ("three", "two", "one"), ""),
        ("aXbc", ("bc", "Xbc"), "aX"),
        ("a\n\nb\nQuestion:", ("\nQuestion:", "\n\n"), "a"),
        ("ends with sto", ("stop",), "ends with sto"),
        ("abab", ("abab",), ""),
        ("核心网", ("心",), "核"),
    ],
)
def test_an_answer_ends_before_the_stop_string_that_is_complete_first(
    tokenizer: Any, text: str, stops: tuple[str, ...], expected: str
) -> None:
    answer = grown(tokenizer, text, stops=stops)
    assert answer.text == expected
    assert answer.ended == (expected != text)


def test_batches_hold_every_index_once_and_stay_within_their_tokens() -> None:
    lengths = [5, 900, 17, 17, 3, 250, 40, 0, 1]
    batches = length_batches(lengths, 300, 10)
    assert Counter(index for batch in batches for index in batch) == Counter(range(len(lengths)))
    assert all(len(batch) == 1 or len(batch) * (max(lengths[i] for i in batch) + 10) <= 300 for batch in batches)


@pytest.mark.slow
def test_a_prompt_alone_is_answered_as_in_a_mixed_batch(engine: TransformersEngine, requests: list[Request]) -> None:
    sampling = Sampling(max_tokens=16)
    together = by_key(engine.generate(requests, sampling))
    for request in requests:
        assert next(engine.generate([request], sampling)) == together[request.key]


@pytest.mark.slow
def test_greedy_answers_are_those_of_a_loop_without_batch_cache_and_padding(
    engine: TransformersEngine, requests: list[Request], tiny_checkpoint: Path
) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(tiny_checkpoint)
    found = by_key(engine.generate(requests, Sampling(max_tokens=12)))
    for request in requests:
        ids = list(request.token_ids)
        for _ in range(12):
            with torch.no_grad():
                ids.append(int(model(torch.tensor([ids])).logits[0, -1].argmax()))
            if ids[-1] == model.config.eos_token_id:
                break
        assert found[request.key].token_ids == tuple(ids[len(request.token_ids) :])


@pytest.mark.slow
def test_an_answer_is_handed_on_in_the_step_that_ends_it(
    engine: TransformersEngine, requests: list[Request], monkeypatch: pytest.MonkeyPatch
) -> None:
    sampling = Sampling(max_tokens=16, stop=("e", "st", "a"))
    expected = by_key(engine.generate(requests, sampling))
    lengths = sorted({each.completion_tokens for each in expected.values()})
    assert len(lengths) > 2
    gate, push = threading.Event(), decoding._Push.__call__

    def held(self: Any, input_ids: Any, scores: Any, **more: Any) -> Any:
        found = push(self, input_ids, scores, **more)
        if found.sum() > 0:
            assert gate.wait(60)
        return found

    monkeypatch.setattr(decoding._Push, "__call__", held)
    stream = engine.generate(requests, sampling)
    # No step follows the first that ended an answer until that answer is here.
    first = next(stream)
    assert first.completion_tokens == lengths[0]
    gate.set()
    assert by_key(iter([first, *stream])) == expected


@pytest.mark.slow
def test_one_at_a_time_no_prompt_shares_a_batch(
    tiny_checkpoint: Path, requests: list[Request], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = EngineSettings(checkpoint=open_checkpoint(str(tiny_checkpoint)), deterministic=True)
    with closing(open_engine(settings)) as engine:
        sizes, real = [], engine._model.generate

        def counted(**options: Any) -> Any:
            sizes.append(len(options["input_ids"]))
            return real(**options)

        monkeypatch.setattr(engine._model, "generate", counted)
        assert len(list(engine.generate(requests, Sampling(max_tokens=2)))) == len(requests)
        assert sizes == [1] * len(requests)
        assert engine.info.settings["deterministic"]


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["bfloat16", None])
def test_the_number_format_of_the_caller_is_that_of_the_batch(
    engine: TransformersEngine, requests: list[Request], monkeypatch: pytest.MonkeyPatch, dtype: str | None
) -> None:
    import torch

    found, real = [], engine._model.generate

    def noted(**options: Any) -> Any:
        found.append(torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else None)
        return real(**options)

    monkeypatch.setattr(engine._model, "generate", noted)
    with torch.autocast("cpu", getattr(torch, dtype or "bfloat16"), enabled=dtype is not None):
        list(engine.generate(requests[:1], Sampling(max_tokens=2)))
    assert found == [dtype and torch.bfloat16]


@pytest.mark.slow
def test_a_reader_that_goes_away_ends_the_batch(engine: TransformersEngine, requests: list[Request]) -> None:
    stream = engine.generate(requests, Sampling(max_tokens=400, stop=("e",)))
    next(stream)
    del stream
    assert not [thread for thread in threading.enumerate() if thread.name == "generate"]


@pytest.mark.slow
def test_an_answer_that_ended_before_memory_ran_out_is_not_made_again(
    engine: TransformersEngine, requests: list[Request], monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    sampling = Sampling(max_tokens=16, stop=("e", "st", "a"))
    expected = by_key(engine.generate(requests, sampling))
    asked, push = [], decoding._Push.__call__

    def cramped(self: Any, input_ids: Any, scores: Any, **more: Any) -> Any:
        found = push(self, input_ids, scores, **more)
        if len(found) == len(requests) and found.sum() > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        if self not in asked:
            asked.append(self)
        return found

    monkeypatch.setattr(decoding._Push, "__call__", cramped)
    found = list(engine.generate(requests, sampling))
    assert by_key(iter(found)) == expected
    assert sum(len(each._done) for each in asked[1:]) < len(requests)


@pytest.mark.slow
def test_when_memory_runs_out_the_batch_is_halved_until_it_fits(
    engine: TransformersEngine, requests: list[Request], monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    sampling = Sampling(max_tokens=8)
    expected = by_key(engine.generate(requests, sampling))
    real, tried = engine._model.generate, []

    def cramped(**options: Any) -> Any:
        tried.append(len(options["input_ids"]))
        if tried[-1] > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(**options)

    monkeypatch.setattr(engine._model, "generate", cramped)
    assert by_key(engine.generate(requests, sampling)) == expected
    assert tried[0] == len(requests)
    assert max(tried[-2:]) <= 2


@pytest.mark.slow
@pytest.mark.parametrize(
    "message", ["CUDA", "[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory"]
)
def test_one_prompt_that_is_too_large_fails_alone(
    engine: TransformersEngine, requests: list[Request], monkeypatch: pytest.MonkeyPatch, message: str
) -> None:
    import torch

    real = engine._model.generate

    def cramped(**options: Any) -> Any:
        if options["input_ids"].shape[1] > 50:
            raise torch.OutOfMemoryError(message) if message == "CUDA" else RuntimeError(message)
        return real(**options)

    monkeypatch.setattr(engine._model, "generate", cramped)
    found = by_key(engine.generate(requests, Sampling(max_tokens=4)))
    assert [key for key, each in found.items() if each.finish_reason == "error"] == ["r77"]
    assert (found["r77"].error or "").startswith("out of memory on one prompt of 77 tokens: lower --max-model-len")


@pytest.mark.slow
def test_scoring_is_halved_too_when_memory_runs_out(
    engine: TransformersEngine, requests: list[Request], monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    wanted = [Continuation(each.key, each.token_ids, 1) for each in requests if len(each.token_ids) > 1]
    expected = dict(engine.log_likelihoods(wanted))
    real = engine._forward_scores

    def cramped(batch: list[Continuation]) -> Any:
        if len(batch) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(batch)

    monkeypatch.setattr(engine, "_forward_scores", cramped)
    assert dict(engine.log_likelihoods(wanted)) == pytest.approx(expected, abs=1e-4)


@pytest.mark.slow
def test_a_package_that_only_generating_misses_is_told_as_wrong_input(
    engine: TransformersEngine, requests: list[Request], monkeypatch: pytest.MonkeyPatch
) -> None:
    def lacking(*_: Any, **__: Any) -> Any:
        raise ImportError("finegrained-fp8 kernel unavailable: `kernels` is not installed\nand more")

    monkeypatch.setattr(engine._model, "generate", lacking)
    monkeypatch.setattr(engine, "_forward_scores", lacking)
    for ask in (
        lambda: list(engine.generate(requests, Sampling(max_tokens=4))),
        lambda: list(engine.log_likelihoods([Continuation("a", [1, 2, 3], 1)])),
    ):
        with pytest.raises(InputError, match="cannot run this checkpoint here: finegrained-fp8 kernel") as caught:
            ask()
        assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_a_failure_that_is_not_memory_stops_the_engine_in_one_line(
    engine: TransformersEngine, requests: list[Request], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(**_: Any) -> Any:
        raise RuntimeError("the kernel failed\nat a long trace")

    monkeypatch.setattr(engine._model, "generate", broken)
    with pytest.raises(EngineError) as caught:
        list(engine.generate(requests, Sampling(max_tokens=4)))
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_drawn_answers_depend_on_seed_and_prompt_alone(engine: TransformersEngine, requests: list[Request]) -> None:
    sampling = Sampling(max_tokens=12, temperature=1.0, seed=3)
    together = by_key(engine.generate(requests, sampling))
    resumed = by_key(engine.generate(requests[::-2], sampling))
    assert resumed == {key: together[key] for key in resumed}
    assert by_key(engine.generate(requests, Sampling(max_tokens=12, temperature=1.0, seed=4))) != together
    twin = [Request(key, "", (), requests[3].token_ids) for key in "abcdef"]
    assert len({each.token_ids for each in engine.generate(twin, sampling)}) > 1


@pytest.mark.slow
def test_draws_have_the_probabilities_of_the_model(engine: TransformersEngine, requests: list[Request]) -> None:
    import torch

    # Wide logits: this leaves several likely tokens, and none of those that share the logit 0.
    temperature, top_p, count = 0.8, 0.6, 2000
    ids = list(requests[3].token_ids)
    with torch.no_grad():
        logits = engine._model(torch.tensor([ids])).logits[0, -1].double()
    ordered = sorted(((float(p), t) for t, p in enumerate(torch.softmax(logits / temperature, 0))), reverse=True)
    nucleus: dict[int, float] = {}
    for probability, token in ordered:
        if sum(nucleus.values()) >= top_p:
            break
        nucleus[token] = probability
    held = sum(nucleus.values())
    twins = [Request(f"{n}", "", (), ids) for n in range(count)]
    drawn = Counter(
        each.token_ids[0]
        for each in engine.generate(twins, Sampling(max_tokens=1, temperature=temperature, top_p=top_p))
    )
    assert len(nucleus) > 2
    assert len(set(nucleus.values())) == len(nucleus)
    assert set(drawn) <= set(nucleus)
    for token, probability in nucleus.items():
        expected = probability / held
        assert drawn[token] / count == pytest.approx(expected, abs=5 * (expected * (1 - expected) / count) ** 0.5)


@pytest.mark.slow
@pytest.mark.parametrize(
    "change",
    [{"hidden_size": 96}, {"num_hidden_layers": 3}, {"model_type": "nobody-knows", "architectures": ["Nobody"]}],
    ids=["misshapen", "incomplete", "unknown"],
)
def test_a_checkpoint_that_does_not_load_is_one_line_of_input_error(
    tiny_checkpoint: Path, tmp_path: Path, change: dict[str, Any]
) -> None:
    folder = tmp_path / "broken"
    shutil.copytree(tiny_checkpoint, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **change}))
    with pytest.raises(InputError) as caught:
        open_engine(EngineSettings(checkpoint=open_checkpoint(str(folder))))
    assert "\n" not in str(caught.value)
    assert str(folder) in str(caught.value)


def test_a_tokenizer_that_does_not_load_is_one_line_of_input_error(tiny_checkpoint: Path, tmp_path: Path) -> None:
    folder = tmp_path / "broken"
    shutil.copytree(tiny_checkpoint, folder)
    (folder / "tokenizer.json").write_text("{}")
    with pytest.raises(InputError, match="the tokenizer cannot be loaded") as caught:
        open_engine(EngineSettings(checkpoint=open_checkpoint(str(folder))))
    assert "\n" not in str(caught.value)
    assert str(folder) in str(caught.value)


@pytest.mark.slow
def test_tied_embeddings_are_no_missing_weights(tiny_checkpoint: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    folder = tmp_path / "tied"
    shutil.copytree(tiny_checkpoint, folder)
    model = AutoModelForCausalLM.from_pretrained(tiny_checkpoint)
    model.config.tie_word_embeddings = True
    model.tie_weights()
    model.save_pretrained(folder)
    open_engine(EngineSettings(checkpoint=open_checkpoint(str(folder)))).close()


@pytest.mark.slow
def test_a_closed_engine_can_be_closed_again(tiny_checkpoint: Path) -> None:
    engine = open_engine(EngineSettings(checkpoint=open_checkpoint(str(tiny_checkpoint))))
    engine.close()
    engine.close()
