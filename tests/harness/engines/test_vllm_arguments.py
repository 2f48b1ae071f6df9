"""What is read out of vLLM's log."""

from __future__ import annotations

import pytest

from telbench.harness.engines.vllm_arguments import NOT_LOADED


@pytest.mark.parametrize(
    ("logged", "lost"),
    [
        ("RotaryEmbedding: Failed to load weights", False),
        ("ParallelLMHead: Failed to load weights", False),
        ("Gemma3Model: Failed to load weights\nRotaryEmbedding: Failed to load weights", False),
        ("GemmaModel: Failed to load weights", False),
        ("RotaryEmbedding: Failed to load weights\nGemma3RMSNorm: Failed to load weights", True),
        ("QKVParallelLinear: Failed to load weights", True),
        ("Following weights were not loaded from checkpoint: {'model.norm.weight'}", True),
        ("", False),
    ],
)
def test_a_part_that_kept_its_numbers_is_told_from_one_that_has_none(logged: str, lost: bool) -> None:
    assert bool(NOT_LOADED.search(logged)) == lost
