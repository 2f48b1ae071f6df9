"""A LoRA adapter on its base: both engines answer as the merged model does, and neither as the base."""

from __future__ import annotations

import importlib.util
import json
import shutil
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from telbench.errors import InputError
from telbench.harness.adapter import ADAPTER_CONFIG, ADAPTER_WEIGHTS, open_model
from telbench.harness.checkpoint import check_safetensors
from telbench.harness.engines import transformers as hf
from telbench.harness.engines import vllm
from telbench.harness.engines.contract import Completion, Continuation, EngineSettings, Request, Sampling
from telbench.harness.runs.settings import eval_settings
from telbench.harness.tokenizing import load_tokenizer

from ...scripted_engine import run, write_items

pytestmark = pytest.mark.slow
TEXT = "The gNB sends the RRC message to the UE. Which interface connects the O-DU and the O-RU?"


@pytest.fixture(scope="module")
def adapter(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Matrices of rank 12, of 4 in one place, on every linear layer, wide enough to change each answer."""
    import torch

    peft = pytest.importorskip("peft")
    from transformers import AutoModelForCausalLM

    folder = tmp_path_factory.mktemp("adapter") / "tuned"
    model = AutoModelForCausalLM.from_pretrained(tiny_checkpoint)
    config = peft.LoraConfig(r=12, lora_alpha=30, target_modules="all-linear", rank_pattern={"o_proj": 4})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(11)
        wrapped = peft.get_peft_model(model, config)
        for name, weight in wrapped.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(weight, std=0.1)
    wrapped.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def merged(adapter: Path, tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same by hand: W + alpha / r x B A."""
    import torch
    from safetensors.torch import load_file, save_file

    folder = tmp_path_factory.mktemp("merged") / "merged"
    shutil.copytree(tiny_checkpoint, folder)
    weights, matrices = load_file(folder / "model.safetensors"), load_file(adapter / ADAPTER_WEIGHTS)
    alpha = json.loads((adapter / ADAPTER_CONFIG).read_text())["lora_alpha"]
    firsts = [name for name in matrices if name.endswith("lora_A.weight")]
    assert len(firsts) == 2 * 7
    for name in firsts:
        own = name.removeprefix("base_model.model.").replace(".lora_A.weight", ".weight")
        first, second = matrices[name].double(), matrices[name.replace("lora_A", "lora_B")].double()
        assert len(first) == (4 if "o_proj" in name else 12)
        weights[own] = (weights[own].double() + alpha / len(first) * second @ first).to(torch.float32)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


@pytest.fixture(scope="module")
def requests(tiny_checkpoint: Path) -> list[Request]:
    ids = load_tokenizer(tiny_checkpoint)(TEXT * 2, add_special_tokens=False)["input_ids"]
    return [Request(str(size), "", (), ids[size : 2 * size + 3]) for size in (1, 4, 9, 20)]


def settings(folder: Path) -> EngineSettings:
    return EngineSettings(checkpoint=open_model(str(folder)), max_model_len=256)


def answers(engine: Any, requests: list[Request]) -> tuple[dict[str, Completion], dict[str, float]]:
    completions = {each.key: each for each in engine.generate(requests, Sampling(max_tokens=16))}
    scored = engine.log_likelihoods([Continuation(each.key, each.token_ids, 1) for each in requests])
    return completions, dict(scored)


def test_both_engines_answer_as_the_merged_model(
    adapter: Path, merged: Path, tiny_checkpoint: Path, requests: list[Request]
) -> None:
    with closing(hf.open_engine(settings(merged))) as engine:
        texts, likelihoods = answers(engine, requests)
    with closing(hf.open_engine(settings(tiny_checkpoint))) as engine:
        assert all(found != texts[key] for key, found in answers(engine, requests)[0].items())
    for kind in (hf, vllm) if importlib.util.find_spec("vllm") else (hf,):
        with closing(kind.open_engine(settings(adapter))) as engine:
            found, scores = answers(engine, requests)
        assert found == texts
        assert scores == pytest.approx(likelihoods, abs=1e-3)


def test_a_run_of_an_adapter_tells_its_base_and_counts_both(
    adapter: Path, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    asked = {"engine": "transformers", "data": str(write_items(tmp_path / "data.jsonl", 2)), "max_tokens": 4}
    more = {"metrics": ("token_f1",), "cache": False, "out": tmp_path / "run", "engine_option": {"batch_tokens": 64}}
    header = run(eval_settings(model=str(adapter), **asked, **more)).header
    model = {name: header["model"][name] for name in ("name", "path", "base", "quantization")}
    assert model == {"name": "tuned", "path": str(adapter), "base": str(tiny_checkpoint), "quantization": None}
    both = check_safetensors(tiny_checkpoint / "model.safetensors") + check_safetensors(adapter / ADAPTER_WEIGHTS)
    assert header["model"]["parameters"] == both
    assert header["generation"]["options"] == {"batch_tokens": 64}
    # An option that changes no answer finds the finished run again; another base would not.
    again = {**more, "engine_option": {"batch_tokens": 32}}
    assert run(eval_settings(model=str(adapter), base=str(tiny_checkpoint), **asked, **again)).reused


@pytest.mark.parametrize("change", ["lacks", "has"])
def test_an_adapter_whose_tensors_are_others_is_refused(adapter: Path, tmp_path: Path, change: str) -> None:
    from safetensors.torch import load_file, save_file

    shutil.copytree(adapter, tmp_path / "tuned")
    matrices = load_file(tmp_path / "tuned" / ADAPTER_WEIGHTS)
    name = next(name for name in sorted(matrices) if "lora_B" in name)
    if change == "lacks":
        del matrices[name]
    else:
        matrices[name.replace("layers.0", "layers.7")] = matrices[name].clone()
    save_file(matrices, tmp_path / "tuned" / ADAPTER_WEIGHTS)
    with pytest.raises(InputError, match=f"{change}.* the tensor") as caught:
        hf.open_engine(settings(tmp_path / "tuned"))
    assert "\n" not in str(caught.value)
