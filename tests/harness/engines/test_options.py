"""``--engine-option``: read as JSON, refused by name, in the identity where answers depend on it, and really passed."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from telbench.errors import InputError
from telbench.harness.checkpoint import Checkpoint, open_checkpoint
from telbench.harness.engines import loading, transformers, vllm, vllm_arguments
from telbench.harness.engines.contract import EngineSettings
from telbench.harness.engines.options import fields_of, parsed_options, words_of

ENGINES = [transformers, vllm]
NAMES = ["transformers", "vllm"]


@pytest.fixture(autouse=True)
def no_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a GPU nor an installed engine is asked for."""
    for engine in ENGINES:
        monkeypatch.setattr(engine, "device_kind", lambda: "cuda")
        monkeypatch.setattr(engine, "package_version", lambda *names: "x 1")


def described(engine: Any, **options: Any) -> Mapping[str, Any]:
    return engine.describe(EngineSettings(options=options)).settings


def complaint(engine: Any, **options: Any) -> str:
    with pytest.raises(InputError) as caught:
        described(engine, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_values_are_json_where_they_are_and_text_where_not() -> None:
    given = {"a": "2", "b": "0.5", "c": "true", "d": "fp8", "e": '{"x": [1]}', "f": "None", "g": 3, "h": '"2"'}
    expected = {"a": 2, "b": 0.5, "c": True, "d": "fp8", "e": {"x": [1]}, "f": None, "g": 3, "h": "2"}
    assert parsed_options(given, "engine", (), {}) == expected


@pytest.mark.parametrize(
    ("engine", "name", "near"),
    [
        (transformers, "devicemap", "did you mean 'device_map'?"),
        (transformers, "attn_implementatio", "did you mean 'attn_implementation'?"),
        (vllm, "tensor_paralel_size", "did you mean 'tensor_parallel_size'?"),
        (vllm, "zzz", "see the arguments of vLLM"),
    ],
)
def test_an_unknown_name_is_refused_with_the_near_one(engine: Any, name: str, near: str) -> None:
    if engine is vllm and not vllm_arguments.engine_arguments():
        pytest.skip("vllm is not installed")
    line = complaint(engine, **{name: "1"})
    assert name in line
    assert near in line


@pytest.mark.parametrize(
    ("engine", "name", "flag"),
    [
        (transformers, "dtype", "--dtype"),
        (transformers, "revision", "--revision"),
        *((vllm, name, flag) for name, flag in vllm_arguments.OWN.items()),
    ],
)
def test_what_telbench_sets_is_refused_with_its_flag(engine: Any, name: str, flag: str) -> None:
    assert complaint(engine, **{name: "1"}) == f"--engine-option {name}: telbench sets it: use {flag}"


def test_all_that_is_named_here_is_an_argument_of_vllm() -> None:
    known = vllm_arguments.engine_arguments()
    if not known:
        pytest.skip("vllm is not installed")
    # Names of other versions than the installed one.
    assert set(vllm_arguments.OWN) - known <= {"model_weights"}
    assert vllm_arguments.SAME_ANSWERS - known <= {"swap_space"}
    assert set(vllm_arguments.CPU_OPTIONS) <= known


def test_the_fields_are_those_of_the_class_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "some_engine").mkdir()
    (tmp_path / "some_engine" / "__init__.py").write_text("raise SystemExit('it is not imported')")
    (tmp_path / "some_engine" / "args.py").write_text("class Args:\n    model: str\n    seed: int = 0\n    other = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert fields_of("some_engine", "args.py", "Args") == {"model", "seed"}
    assert fields_of("some_engine", "args.py", "Nobody") == frozenset()
    assert fields_of("no_such_package", "x.py", "X") == frozenset()


def test_what_changes_numbers_is_in_the_identity_and_what_does_not_is_not() -> None:
    assert described(vllm) == {"device": "cuda"}
    assert described(vllm, gpu_memory_utilization="0.5", max_num_seqs="4", tensor_parallel_size="2") == described(vllm)
    assert described(vllm, kv_cache_dtype="fp8", max_num_seqs="4")["options"] == {"kv_cache_dtype": "fp8"}
    assert described(vllm, quantization="fp8") != described(vllm)
    assert described(transformers, device_map="auto", batch_tokens="64") == described(transformers)
    assert described(transformers, attn_implementation="eager")["options"] == {"attn_implementation": "eager"}


def quantised(method: str) -> Checkpoint:
    return Checkpoint(Path("/models/packed"), "packed", {"quantization_config": {"quant_method": method}}, ())


@pytest.mark.parametrize(
    ("method", "told"),
    [
        ("gptq", "needs optimum and gptqmodel for it (pip install optimum gptqmodel), or take --engine vllm"),
        ("compressed-tensors", "needs compressed_tensors for it (pip install compressed-tensors), or take"),
        ("bitsandbytes", "needs bitsandbytes for it (pip install bitsandbytes)"),
        ("fp8", "needs kernels for it (pip install kernels), or take --engine vllm"),
    ],
)
def test_a_quantisation_whose_package_is_missing_is_refused_at_once(
    method: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError) as caught:
        transformers.describe(EngineSettings(checkpoint=quantised(method)))
    assert str(caught.value).startswith(f"/models/packed is quantised by {method}: transformers {told}")


def test_without_a_gpu_transformers_unpacks_fp8_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(transformers, "device_kind", lambda: "cpu")
    assert transformers.describe(EngineSettings(checkpoint=quantised("fp8"), dtype="bfloat16")).dtype == "bfloat16"


def test_a_model_that_finds_no_room_on_the_gpu_is_told_in_one_line_with_the_cure() -> None:
    torch = pytest.importorskip("torch")

    class Crowded:
        def __init__(self, error: Exception) -> None:
            self.error = error

        def to(self, device: str) -> None:
            raise self.error

    checkpoint = Checkpoint(Path("/models/large"), "large", {}, ())
    for error in (
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 502.00 MiB. GPU 0 has\na total"),
        RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be reported later"),
    ):
        with pytest.raises(InputError) as caught:
            loading.placed(Crowded(error), "cuda", checkpoint)
        assert str(caught.value).startswith("/models/large finds no room on the GPU: CUDA")
        assert "--engine-option device_map=auto" in str(caught.value)
        assert "\n" not in str(caught.value)
    with pytest.raises(RuntimeError, match="no such device"):
        loading.placed(Crowded(RuntimeError("no such device")), "cuda", checkpoint)


def test_asking_for_8_bits_needs_the_package_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert "needs bitsandbytes" in complaint(transformers, load_in_8bit="true")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    assert described(transformers, load_in_8bit="true")["options"] == {"load_in_8bit": True}


def test_what_vllm_cannot_unpack_is_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vllm_arguments, "words_of", lambda *place: frozenset({"gptq", "fp8"}))
    vllm.describe(EngineSettings(checkpoint=quantised("gptq"), dtype="float16"))
    vllm.describe(EngineSettings(checkpoint=quantised("auto-round"), dtype="float16"))
    with pytest.raises(InputError, match="which the installed vLLM does not know: take --engine transformers"):
        vllm.describe(EngineSettings(checkpoint=quantised("hqq"), dtype="float16"))


def test_the_quantisations_of_vllm_are_read_from_its_source() -> None:
    known = words_of("vllm", "model_executor/layers/quantization/__init__.py", "QuantizationMethods")
    if not known:
        pytest.skip("vllm is not installed")
    assert {"awq", "gptq", "fp8", "compressed-tensors"} <= known


def test_the_words_of_a_literal_are_read_from_a_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "some_words").mkdir()
    (tmp_path / "some_words" / "__init__.py").write_text('Reason = Literal["stop", "length"]\nOther = "x"\n')
    monkeypatch.syspath_prepend(tmp_path)
    assert words_of("some_words", "__init__.py", "Reason") == {"stop", "length"}
    assert words_of("some_words", "__init__.py", "Nobody") == frozenset()


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"use_dora": True}, "use_dora"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save"),
        ({"bias": "all"}, "bias"),
        ({}, "--dtype bfloat16"),
    ],
)
def test_an_adapter_that_vllm_cannot_load_is_refused_at_once(change: dict[str, Any], told: str, tmp_path: Path) -> None:
    config = {"peft_type": "LORA", "r": 8, "bias": "none", "modules_to_save": None, **change}
    (tmp_path / "adapter_config.json").write_text(json.dumps(config))
    checkpoint = Checkpoint(Path("base"), "tuned", {"dtype": "float32"}, (), adapter=tmp_path)
    with pytest.raises(InputError, match=told):
        vllm.describe(EngineSettings(checkpoint=checkpoint))
    if not change:
        assert vllm.describe(EngineSettings(checkpoint=checkpoint, dtype="bfloat16")).dtype == "bfloat16"


@pytest.mark.parametrize("engine", ENGINES, ids=NAMES)
def test_one_at_a_time_is_in_the_identity_and_excludes_what_it_sets(engine: Any) -> None:
    assert engine.describe(EngineSettings(deterministic=True)).settings == {"device": "cuda", "deterministic": True}
    name = "batch_tokens" if engine is transformers else "max_num_seqs"
    with pytest.raises(InputError, match=f"{name}: telbench sets it: use either it or --deterministic"):
        engine.describe(EngineSettings(deterministic=True, options={name: "2"}))


def test_one_at_a_time_all_that_could_change_a_bit_is_in_the_identity() -> None:
    def identity(engine: Any, **options: Any) -> Any:
        return engine.describe(EngineSettings(deterministic=True, options=options)).settings.get("options", {})

    # A GPU showed it: a prompt that is read in two parts got another likelihood.
    assert identity(vllm, max_num_batched_tokens="64", gpu_memory_utilization="0.5") == {"max_num_batched_tokens": 64}
    assert identity(vllm, enforce_eager="true") == {"enforce_eager": True}
    assert identity(vllm, kv_cache_memory_bytes="1000", disable_log_stats="true") == {}
    assert identity(transformers, device_map="auto") == {"device_map": "auto"}


@pytest.mark.parametrize("size", ["0", "-1", "2.5", "many", "true"])
def test_a_batch_has_a_whole_number_of_tokens(size: str) -> None:
    assert "whole number from 1" in complaint(transformers, batch_tokens=size)


def test_options_reach_from_pretrained(tiny_checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    library = pytest.importorskip("transformers")
    asked: dict[str, Any] = {}

    def from_pretrained(path: Any, **arguments: Any) -> Any:
        asked.update(arguments)
        return SimpleNamespace(), {}

    monkeypatch.setattr(library.AutoModelForCausalLM, "from_pretrained", from_pretrained)
    options = {"load_in_8bit": True, "max_memory": {"0": "20GiB", "cpu": "9GiB"}, "attn_implementation": "eager"}
    loading.load_model(open_checkpoint(str(tiny_checkpoint)), "float32", options)
    assert asked["quantization_config"].load_in_8bit
    assert asked["max_memory"] == {0: "20GiB", "cpu": "9GiB"}
    assert asked["attn_implementation"] == "eager"
    assert "load_in_8bit" not in asked


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_options_reach_vllm_and_are_recorded(
    tiny_checkpoint: Path, device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, Any] = {}

    def opened(**arguments: Any) -> Any:
        asked.update(arguments)
        config = SimpleNamespace(model_config=SimpleNamespace(dtype="torch.float32"))
        return SimpleNamespace(llm_engine=SimpleNamespace(vllm_config=config))

    module = ModuleType("vllm")
    monkeypatch.setattr(module, "LLM", opened, raising=False)
    monkeypatch.setitem(sys.modules, "vllm", module)
    monkeypatch.setattr(vllm, "device_kind", lambda: device)
    monkeypatch.setattr(vllm, "require_whole", lambda checkpoint: None)
    monkeypatch.setattr(vllm_arguments, "engine_arguments", frozenset)
    options = {"gpu_memory_utilization": "0.5", "kv_cache_dtype": "fp8", "kv_cache_memory_bytes": "1000"}
    settings = EngineSettings(checkpoint=open_checkpoint(str(tiny_checkpoint)), seed=3, options=options)
    engine = vllm.open_engine(settings)
    given = {"gpu_memory_utilization": 0.5, "kv_cache_dtype": "fp8", "kv_cache_memory_bytes": 1000}
    expected = given if device == "cuda" else {"enforce_eager": True, **given}
    assert {name: asked[name] for name in expected} == expected
    assert (asked["dtype"], asked["seed"], "enforce_eager" in asked) == ("float32", 3, device == "cpu")
    assert engine.info.settings == {"device": device, "options": expected}
    vllm.open_engine(replace(settings, options={}, deterministic=True))
    assert (asked["max_num_seqs"], asked["enable_prefix_caching"]) == (1, False)
