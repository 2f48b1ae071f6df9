"""The number format is that of config.json, or of most weights; every engine and device takes the same."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import pytest

from telbench.harness.checkpoint import Checkpoint, open_checkpoint
from telbench.harness.engines import transformers, vllm
from telbench.harness.engines.contract import EngineSettings
from telbench.harness.formats import number_format


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
