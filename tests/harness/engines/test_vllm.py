"""The vLLM engine: failures of one request and of the whole, memory, two engines in one process."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from telbench.errors import EngineError, InputError
from telbench.harness.checkpoint import open_checkpoint
from telbench.harness.engines.contract import (
    Completion,
    Continuation,
    EngineInfo,
    EngineSettings,
    Request,
    Sampling,
    request_seed,
)
from telbench.harness.engines.vllm import VllmEngine, open_engine
from telbench.harness.engines.vllm_arguments import CACHE_SPACE, GIB, cache_bytes

REQUESTS = [Request(key, "", (), [5, 6, 7]) for key in ("a", "b", "c")]
LLAMA_1B = {
    "hidden_size": 2048,
    "num_hidden_layers": 16,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "head_dim": 64,
    "max_position_embeddings": 131072,
    "dtype": "bfloat16",
}


class ScriptedLLM:
    """Stands for `vllm.LLM`: answers in the order of ``finish``, one a step, and can refuse prompts or die."""

    def __init__(self, *, refuse: Sequence[int] = (), die_after: int | None = None, reason: str = "stop") -> None:
        self.llm_engine = self
        self.engine_core = self
        self.refuse, self.die_after, self.reason = refuse, die_after, reason
        self.count, self.queue, self.aborted, self.steps = 0, [], [], 0

    def enqueue(self, prompts: list[dict[str, list[int]]], params: list[Any], **_: Any) -> list[str]:
        if any(len(prompt["prompt_token_ids"]) in self.refuse for prompt in prompts):
            raise ValueError("The decoder prompt is longer than the maximum model length\nof 512.")
        ids = [str(self.count + index) for index in range(len(prompts))]
        self.count += len(prompts)
        self.queue += ids
        return [f"{each}-1a2b3c4d" for each in ids]

    def step(self) -> list[Any]:
        if self.steps == self.die_after:
            raise RuntimeError("engine core died\nwith a long trace")
        self.steps += 1
        answer = SimpleNamespace(text="x", token_ids=[9], finish_reason=self.reason)
        return [
            SimpleNamespace(request_id=self.queue.pop(), finished=True, outputs=[answer], prompt_token_ids=[5, 6, 7])
        ]

    def abort_request(self, ids: list[str]) -> None:
        self.aborted += ids
        if self.die_after is not None:
            raise RuntimeError("cannot reach the dead core")

    def shutdown(self) -> None:
        if self.die_after is not None:
            raise RuntimeError("cannot shut the dead core down")


def engine_with(llm: ScriptedLLM) -> VllmEngine:
    pytest.importorskip("vllm")
    return VllmEngine(llm, EngineInfo("vllm", "0"))


def outcome(found: Sequence[Completion]) -> dict[str, str]:
    return {each.key: each.finish_reason for each in found}


@pytest.mark.slow
def test_completions_find_their_requests_whatever_the_order() -> None:
    found = list(engine_with(ScriptedLLM()).generate(REQUESTS, Sampling()))
    assert [each.key for each in found] == ["c", "b", "a"]


@pytest.mark.slow
def test_a_prompt_that_vllm_refuses_is_an_error_of_its_own() -> None:
    requests = [REQUESTS[0], Request("long", "", (), [5] * 999), REQUESTS[1]]
    found = list(engine_with(ScriptedLLM(refuse=[999])).generate(requests, Sampling()))
    assert outcome(found) == {"long": "error", "a": "stop", "b": "stop"}
    error = next(each.error for each in found if each.key == "long")
    assert error is not None
    assert "999 tokens" in error
    assert "\n" not in error


@pytest.mark.slow
@pytest.mark.parametrize("reason", ["abort", "error"])
def test_a_request_that_vllm_gives_up_is_no_answer(reason: str) -> None:
    found = list(engine_with(ScriptedLLM(reason=reason)).generate(REQUESTS, Sampling()))
    assert set(outcome(found).values()) == {"error"}


@pytest.mark.slow
def test_an_engine_that_dies_raises_one_line_and_keeps_what_was_finished() -> None:
    found = []
    llm = ScriptedLLM(die_after=1)
    with pytest.raises(EngineError, match="engine core died") as caught, closing(engine_with(llm)) as engine:
        found.extend(each.key for each in engine.generate(REQUESTS, Sampling()))
    assert "\n" not in str(caught.value)
    assert llm.steps == 1


@pytest.mark.slow
def test_a_caller_that_stops_reading_leaves_no_request_behind() -> None:
    llm = ScriptedLLM()
    completions = engine_with(llm).generate(REQUESTS, Sampling())
    next(completions)
    completions.close()  # pyright: ignore[reportAttributeAccessIssue]
    assert sorted(llm.aborted) == ["0", "1"]


def test_seeds_differ_by_prompt_and_by_run() -> None:
    seeds = {request_seed(seed, key) for seed in range(20) for key in "abcdefghij"}
    assert len(seeds) == 200
    assert request_seed(3, "a") == request_seed(3, "a")


def test_the_cache_takes_what_the_model_needs() -> None:
    # 16 layers x 2 x 8 heads x 64 numbers x 2 bytes = 32 KiB a token.
    sequence = (8192 + 2 * 128) * 32 * 1024
    assert cache_bytes(LLAMA_1B, 8192, "auto", 64 * GIB) == 4 * sequence
    assert cache_bytes(LLAMA_1B, 8192, "float32", 64 * GIB) == 8 * sequence
    assert cache_bytes({"text_config": LLAMA_1B}, 8192, "bfloat16", 64 * GIB) == 4 * sequence
    assert cache_bytes(LLAMA_1B, None, "auto", 64 * GIB) > 16 * GIB


def test_the_cache_is_a_gibibyte_where_that_is_enough_and_a_sequence_where_memory_is_short() -> None:
    assert cache_bytes(LLAMA_1B, 300, "auto", 64 * GIB) == GIB
    assert cache_bytes(LLAMA_1B, 8192, "auto", GIB) == GIB // 2
    assert cache_bytes(LLAMA_1B, 65536, "auto", GIB) == (65536 + 256) * 32 * 1024
    gpt2 = {"n_embd": 768, "n_layer": 12, "n_head": 12, "n_positions": 1024, "dtype": "float32"}
    assert cache_bytes(gpt2, 2 << 20, "auto", 0) == ((2 << 20) + 256) * 12 * 2 * 768 * 4
    assert cache_bytes({"model_type": "unheard"}, 100, "auto", 64 * GIB) == GIB


def resident_mib() -> float:
    import os

    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def wide_checkpoint(folder: Path, like: Path) -> None:
    """A checkpoint whose cache takes 512 KiB a token, more than vLLM's usual GiB for a window of 4,096."""
    from transformers import AutoConfig, LlamaForCausalLM

    shutil.copytree(like, folder)
    config = AutoConfig.from_pretrained(like)
    config.update({"num_hidden_layers": 16, "num_attention_heads": 16, "num_key_value_heads": 16, "head_dim": 256})
    config.update({"max_position_embeddings": 4096})
    LlamaForCausalLM(config).save_pretrained(folder)


@pytest.mark.slow
def test_checkpoints_one_after_the_other_in_one_process_also_after_broken_ones(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One test for all that needs a fresh start of vLLM, as each takes seconds."""
    monkeypatch.delenv(CACHE_SPACE, raising=False)
    settings = EngineSettings(checkpoint=open_checkpoint(str(tiny_checkpoint)), max_model_len=256)
    sampling = Sampling(max_tokens=8)

    def answers(of: EngineSettings) -> list[Completion]:
        with closing(open_engine(of)) as engine:
            list(engine.log_likelihoods([Continuation("x", [5, 6, 7, 8], 2)]))
            return sorted(engine.generate(REQUESTS, sampling), key=lambda each: each.key)

    first = answers(settings)
    resident = [resident_mib()]

    for name, change in (
        ("unknown", {"model_type": "llama", "architectures": ["NobodyKnowsForCausalLM"]}),
        ("misshapen", {"hidden_size": 96}),
        ("incomplete", {"num_hidden_layers": 3}),
    ):
        folder = tmp_path / name
        shutil.copytree(tiny_checkpoint, folder)
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps({**config, **change}))
        with pytest.raises(InputError) as caught:
            open_engine(EngineSettings(checkpoint=open_checkpoint(str(folder)), max_model_len=256))
        assert "\n" not in str(caught.value)
        assert str(folder) in str(caught.value)
        assert "validation error" not in str(caught.value)

    wide_checkpoint(tmp_path / "wide", tiny_checkpoint)
    wide = EngineSettings(checkpoint=open_checkpoint(str(tmp_path / "wide")), max_model_len=4096)
    assert len(answers(wide)) == len(REQUESTS)

    for _ in range(3):
        assert answers(settings) == first
        resident.append(resident_mib())
    # The first rounds warm up allocators; after that nothing of an engine may stay.
    assert resident[-1] - resident[-2] < 64
