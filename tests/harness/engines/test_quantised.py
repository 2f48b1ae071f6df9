"""Quantised checkpoints, made here by rounding to nearest: engines unpack them to the weights that they stand for."""

from __future__ import annotations

import json
import shutil
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from telbench.harness.checkpoint import open_checkpoint
from telbench.harness.engines import transformers as hf
from telbench.harness.engines import vllm
from telbench.harness.engines.contract import Continuation, EngineSettings
from telbench.harness.formats import parameters

pytestmark = pytest.mark.slow
GROUP = 32
# The order in which AWQ keeps eight numbers of four bits.
AWQ_ORDER = (0, 2, 4, 6, 1, 3, 5, 7)
CONFIGS: dict[str, dict[str, Any]] = {
    "gptq": {"bits": 4, "group_size": GROUP, "desc_act": False, "sym": True, "checkpoint_format": "gptq"},
    "awq": {"bits": 4, "group_size": GROUP, "version": "gemm", "zero_point": True},
    "fp8": {"activation_scheme": "dynamic", "fmt": "e4m3", "weight_block_size": [32, 32]},
}
TEXTS = [Continuation(str(start), list(range(start, start + 40)), 1) for start in (10, 60, 110, 200)]


def words(nibbles: Any) -> Any:
    """Eight numbers of four bits, the last dimension, as one of 32."""
    import torch

    total = torch.stack([nibbles[..., place].long() << (4 * place) for place in range(8)]).sum(0)
    return torch.where(total < 2**31, total, total - 2**32).to(torch.int32).contiguous()


def packed(method: str, weight: Any) -> tuple[dict[str, Any], Any]:
    """The tensors that stand for a weight (outputs x inputs), and what they stand for."""
    import torch

    outputs, inputs = weight.shape
    if method == "fp8":
        blocks = weight.reshape(outputs // 32, 32, inputs // 32, 32)
        scale = blocks.abs().amax((1, 3)) / 448
        wide = scale.repeat_interleave(32, 0).repeat_interleave(32, 1)
        rounded = (weight / wide).to(torch.float8_e4m3fn)
        return {"weight": rounded, "weight_scale_inv": scale}, rounded.float() * wide
    groups = weight.reshape(outputs, inputs // GROUP, GROUP)
    scale = (groups.abs().amax(2) / 7).half()
    rounded = (groups / scale.float()[..., None]).round().clamp(-8, 7).reshape(outputs, inputs)
    meant = rounded * scale.float().repeat_interleave(GROUP, 1)
    nibbles = (rounded + 8).to(torch.int32).t()
    zeros, scales = torch.full((inputs // GROUP, outputs // 8, 8), 8), scale.t().contiguous()
    if method == "gptq":
        weights = words(nibbles.reshape(inputs // 8, 8, outputs).transpose(1, 2))
        index = (torch.arange(inputs) // GROUP).to(torch.int32)
        return {"qweight": weights, "qzeros": words(zeros - 1), "scales": scales, "g_idx": index}, meant
    weights = words(nibbles.reshape(inputs, outputs // 8, 8)[..., AWQ_ORDER])
    return {"qweight": weights, "qzeros": words(zeros), "scales": scales}, meant


def quantise(method: str, source: Path, folder: Path) -> tuple[Path, Path]:
    """The checkpoint quantised, and a plain one of the weights that the quantised stand for."""
    from safetensors.torch import load_file, save_file

    weights = load_file(source / "model.safetensors")
    kept, plain = dict(weights), dict(weights)
    for name in [name for name in weights if name.endswith("_proj.weight")]:
        tensors, plain[name] = packed(method, kept.pop(name))
        kept |= {name.replace("weight", part): tensor for part, tensor in tensors.items()}
    for kind, tensors in (("packed", kept), ("plain", plain)):
        shutil.copytree(source, folder / kind)
        save_file(tensors, folder / kind / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((source / "config.json").read_text())
    config["quantization_config"] = {"quant_method": method, **CONFIGS[method]}
    (folder / "packed" / "config.json").write_text(json.dumps(config))
    return folder / "packed", folder / "plain"


def likelihoods(engine: Any, folder: Path) -> dict[str, float]:
    settings = EngineSettings(checkpoint=open_checkpoint(str(folder)), max_model_len=64, dtype="bfloat16")
    with closing(engine.open_engine(settings)) as opened:
        return dict(opened.log_likelihoods(TEXTS))


@pytest.mark.parametrize(("method", "engine"), [("gptq", vllm), ("awq", vllm), ("fp8", hf)])
def test_a_quantised_checkpoint_is_the_model_that_it_stands_for(
    method: str, engine: Any, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    if engine is vllm:
        pytest.importorskip("vllm")
    quantised, plain = quantise(method, tiny_checkpoint, tmp_path)
    expected, original = likelihoods(hf, plain), likelihoods(hf, tiny_checkpoint)
    found = likelihoods(engine, quantised)
    assert found.keys() == expected.keys()
    error = max(abs(found[key] - expected[key]) for key in expected)
    rounding = max(abs(original[key] - expected[key]) for key in expected)
    assert error < rounding / 2
    assert parameters(open_checkpoint(str(quantised))) == parameters(open_checkpoint(str(tiny_checkpoint)))
