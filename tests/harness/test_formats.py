"""The number format is that of config.json, or of most weights; every engine and device takes the same."""

from __future__ import annotations

import json
import math
import struct
from pathlib import Path
from typing import Any

import pytest

from telbench.harness.checkpoint import BITS, Checkpoint, open_checkpoint
from telbench.harness.engines import transformers, vllm
from telbench.harness.engines.contract import EngineSettings
from telbench.harness.formats import number_format, parameters, quantisation


def checkpoint(**config: Any) -> Checkpoint:
    return Checkpoint(Path(), "", config, ())


@pytest.mark.parametrize(
    ("config", "format_"),
    [
        ({"dtype": "float32"}, "float32"),
        ({"torch_dtype": "bfloat16"}, "bfloat16"),
        ({"torch_dtype": "torch.float16"}, "float16"),
        ({"text_config": {"dtype": "bfloat16"}}, "bfloat16"),
        ({"dtype": "float32", "text_config": {"dtype": "bfloat16"}}, "float32"),
        ({"dtype": None, "torch_dtype": "float16"}, "float16"),
        ({"dtype": "float64"}, "auto"),
        ({"dtype": 7, "text_config": "x"}, "auto"),
    ],
)
def test_auto_is_what_the_configuration_says(config: dict[str, Any], format_: str) -> None:
    assert number_format(checkpoint(**config)) == format_
    assert number_format(checkpoint(**config), "bfloat16") == "bfloat16"


def test_a_silent_configuration_leaves_it_to_the_weights(tmp_path: Path) -> None:
    header = {
        "norm": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]},
        "wide": {"dtype": "BF16", "shape": [3], "data_offsets": [8, 14]},
        "packed": {"dtype": "U8", "shape": [99], "data_offsets": [14, 113]},
    }
    text = json.dumps(header).encode()
    (tmp_path / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + bytes(113))
    assert number_format(Checkpoint(tmp_path, "", {}, (tmp_path / "model.safetensors",))) == "bfloat16"


@pytest.mark.parametrize("engine", [transformers, vllm], ids=["transformers", "vllm"])
@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_a_float32_checkpoint_is_float32_on_every_engine_and_device(
    tiny_checkpoint: Path, engine: Any, device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "device_kind", lambda: device)
    monkeypatch.setattr(engine, "package_version", lambda *names: "x 1")
    opened = open_checkpoint(str(tiny_checkpoint))
    assert engine.describe(EngineSettings(checkpoint=opened)).dtype == "float32"
    assert engine.describe(EngineSettings(checkpoint=opened, dtype="bfloat16")).dtype == "bfloat16"


def packed(folder: Path, quantization: dict[str, Any], **tensors: tuple[str, list[int]]) -> Checkpoint:
    """A checkpoint of tensors of zeros; two underscores stand for a dot."""
    header, end = {}, 0
    for name, (kind, shape) in tensors.items():
        size = math.prod(shape) * BITS[kind] // 8
        header[name.replace("__", ".")] = {"dtype": kind, "shape": shape, "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(header).encode()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + bytes(end))
    return Checkpoint(folder, "", {"quantization_config": quantization}, (folder / "model.safetensors",))


# A layer of 64 inputs and 32 outputs, and a norm of 64, as each method keeps them.
NORM = {"norm__weight": ("BF16", [64])}
LAYERS: dict[str, tuple[dict[str, Any], dict[str, tuple[str, list[int]]]]] = {
    "gptq in 4 bits": (
        {"quant_method": "gptq", "bits": 4},
        {
            "p__qweight": ("I32", [8, 32]),
            "p__qzeros": ("I32", [2, 4]),
            "p__scales": ("F16", [2, 32]),
            "p__g_idx": ("I32", [64]),
        },
    ),
    "gptq in 8 bits": ({"quant_method": "gptq", "bits": 8}, {"p__qweight": ("I32", [16, 32])}),
    "awq": ({"quant_method": "awq", "bits": 4}, {"p__qweight": ("I32", [64, 4]), "p__scales": ("F16", [2, 32])}),
    "fp8": ({"quant_method": "fp8"}, {"p__weight": ("F8_E4M3", [32, 64]), "p__weight_scale_inv": ("F32", [1, 1])}),
    "compressed-tensors, not packed": (
        {"quant_method": "compressed-tensors"},
        {"p__weight": ("I8", [32, 64]), "p__weight_scale": ("BF16", [32, 1])},
    ),
    "compressed-tensors, packed": (
        {"quant_method": "compressed-tensors", "config_groups": {"a": {"weights": {"num_bits": 4}}}},
        {"p__weight_packed": ("I32", [32, 8]), "p__weight_scale": ("BF16", [32, 1]), "p__weight_shape": ("I64", [2])},
    ),
    "bitsandbytes in 4 bits": (
        {"quant_method": "bitsandbytes", "load_in_4bit": True},
        {"p__weight": ("U8", [1024, 1]), "p__weight__absmax": ("F32", [32]), "p__weight__quant_map": ("F32", [16])},
    ),
    "bitsandbytes in 8 bits": ({"load_in_8bit": True}, {"p__weight": ("I8", [32, 64]), "p__SCB": ("F32", [32])}),
}


@pytest.mark.parametrize("layer", LAYERS)
def test_packed_weights_are_counted_one_by_one(layer: str, tmp_path: Path) -> None:
    quantization, tensors = LAYERS[layer]
    opened = packed(tmp_path, quantization, **tensors, **NORM)
    assert parameters(opened) == 64 * 32 + 64
    assert quantisation(opened) == layer.split(maxsplit=1)[0].rstrip(",")


def test_what_packs_in_an_unknown_way_has_no_count(tmp_path: Path) -> None:
    assert parameters(packed(tmp_path, {"quant_method": "hqq"}, **NORM)) is None
    mixed = {"a": {"weights": {"num_bits": 4}}, "b": {"weights": {"num_bits": 8}}}
    quantization = {"quant_method": "compressed-tensors", "config_groups": mixed}
    assert parameters(packed(tmp_path, quantization, p__weight_packed=("I32", [32, 8]))) is None


def test_weights_that_are_not_packed_are_all_counted(tmp_path: Path) -> None:
    opened = packed(tmp_path, {}, p__scales=("F32", [3]), p__qweight=("I32", [5]))
    assert (quantisation(opened), parameters(opened)) == ("", 8)
