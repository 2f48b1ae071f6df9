"""Architectures whose numbers vLLM replaces in a loaded engine, tied and with an output layer of their own."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from telbench.harness.checkpoint import open_checkpoint
from telbench.harness.engines import vllm as vllm_module
from telbench.harness.engines.contract import Continuation, Engine, EngineSettings, Request, Sampling
from telbench.harness.engines.vllm import SharedVllm, open_engine
from telbench.harness.engines.vllm_arguments import IN_PLACE

SIZES = {
    "hidden_size": 128,
    "intermediate_size": 256,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "bos_token_id": 0,
    "eos_token_id": 1,
    "pad_token_id": 0,
}
WINDOW = {"head_dim": 32, "query_pre_attn_scalar": 32, "sliding_window": 64}
# Name of the configuration in transformers, and what it needs beside the sizes. Those that pass belong to `IN_PLACE`.
# Olmo 2 and SmolLM 3 pass with an output layer of their own, and not with a tied one (vLLM 0.32).
CONFIGS: dict[str, tuple[str, dict[str, Any]]] = {
    "LlamaForCausalLM": ("LlamaConfig", {}),
    "Qwen2ForCausalLM": ("Qwen2Config", {}),
    "MistralForCausalLM": ("MistralConfig", {"sliding_window": None, "head_dim": 32}),
    "Qwen3ForCausalLM": ("Qwen3Config", {"head_dim": 32}),
    "Phi3ForCausalLM": ("Phi3Config", {}),
    "Gemma3ForCausalLM": ("Gemma3TextConfig", WINDOW),
    "Gemma2ForCausalLM": ("Gemma2Config", WINDOW),
    "GemmaForCausalLM": ("GemmaConfig", {"head_dim": 32}),
    "GraniteForCausalLM": ("GraniteConfig", {}),
}
VOCABULARY = 300


def saved(architecture: str, seed: int, folder: Path, tokenizer: Path, *, tied: bool) -> Path:
    """A checkpoint with numbers drawn by the seed."""
    import torch
    import transformers

    config, more = CONFIGS[architecture]
    sizes = {**SIZES, **more, "vocab_size": VOCABULARY, "tie_word_embeddings": tied}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = getattr(transformers, architecture)(getattr(transformers, config)(**sizes)).to(torch.float32)
        with torch.no_grad():
            # Norms begin as ones in all checkpoints: they have to differ too.
            for parameter in model.parameters():
                parameter.add_(0.05 * torch.randn(parameter.shape))
    model.save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(tokenizer / name, folder)
    return folder


def answered(engine: Engine) -> tuple[list[Any], list[Any]]:
    """Greedy answers and log-likelihoods, by key."""
    asked = [Request(f"q{n}", f"q{n}", (), [5 + (37 * n + 11 * at) % 290 for at in range(9 + n)]) for n in range(4)]
    texts = [Continuation(f"t{n}", [5 + (53 * n + 7 * at) % 290 for at in range(12 + n)], 5) for n in range(4)]
    completions = engine.generate(asked, Sampling(max_tokens=8))
    return sorted((each.key, each.token_ids) for each in completions), sorted(engine.log_likelihoods(texts))


def test_every_architecture_that_is_put_in_place_is_tried() -> None:
    assert set(CONFIGS) == IN_PLACE


@pytest.mark.slow
@pytest.mark.parametrize("tied", [False, True], ids=["own-head", "tied"])
@pytest.mark.parametrize("architecture", sorted(CONFIGS))
def test_numbers_put_in_place_answer_as_an_engine_started_with_them(
    architecture: str, tied: bool, tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("vllm")
    if architecture == "Gemma2ForCausalLM" and not tied:
        pytest.skip("vLLM loads no Gemma 2 with an output layer of its own")
    transformers = pytest.importorskip("transformers")
    if not hasattr(transformers, architecture):
        pytest.skip(f"this transformers has no {architecture}")
    folders = [saved(architecture, seed, tmp_path / str(seed), tiny_checkpoint, tied=tied) for seed in (1, 2)]
    every = [EngineSettings(checkpoint=open_checkpoint(str(each)), max_model_len=64) for each in folders]
    started: list[str] = []
    found = vllm_module._llm_class

    def counted(*, on_cpu: bool) -> Any:
        made = found(on_cpu=on_cpu)
        return lambda **arguments: (started.append(Path(arguments["model"]).name), made(**arguments))[1]

    monkeypatch.setattr(vllm_module, "_llm_class", counted)
    first, second, again = _in_turn(every)
    assert started == ["1"]
    with closing(open_engine(every[1])) as fresh:
        assert answered(fresh) == second
    assert first == again
    assert first[1] != second[1]


def _in_turn(every: Sequence[EngineSettings]) -> list[tuple[list[Any], list[Any]]]:
    """What one engine answers with the first's numbers, the second's, and the first's again."""
    with closing(SharedVllm(every)) as shared:
        return [answered(shared.open(settings)) for settings in (*every, every[0])]
