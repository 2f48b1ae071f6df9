"""What killed an engine is told in one line: found in what its processes wrote, with the option that mends it."""

from __future__ import annotations

import contextlib
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Literal

import pytest

from telbench.harness.engines.causes import Overheard, cause_of, explained, root_error, told_during

WRAPPED = "RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}"
DEAD = "EngineDeadError: EngineCore encountered an issue. See stack trace (above) for the root cause."


def log(*errors: str, who: str = "(EngineCore_DP0 pid=8742) ", place: str = "core.py:1510") -> str:
    """A log as vLLM writes it: warnings, a trace of each error before the next, and what Python adds at the end."""
    lines = ["(MainProcess pid=1) WARNING 11-27 04:42:31 [cpu.py:224] Triton is not installed.", "Loading:   0%| 0/1"]
    front = f"{who}ERROR 11-27 04:42:54 [{place}] "
    lines.append(f"{front}EngineCore failed to start.")
    for error in errors:
        lines += [f"{front}Traceback (most recent call last):", f'{front}  File "core.py", line 1482, in run']
        lines += [f"{front}    raise ValueError(", f"{front}           ^^^", f"{front}{error}", f"{front}"]
        lines.append(f"{front}The above exception was the direct cause of the following exception:")
    lines += ["Process EngineCore:", "Traceback (most recent call last):", '  File "x.py"', f"{errors[-1]}"]
    return "\n".join(lines)


# As the source of vLLM 0.32 and torch 2.13 words them.
MESSAGES = {
    "a GPU that others use": (
        "ValueError: Free memory on device cuda:0 (10.1/79.2 GiB) on startup is less than desired GPU memory "
        "utilization (0.92, 72.86 GiB). Decrease GPU memory utilization or reduce GPU memory used by other processes.",
        "gpu_memory_utilization=0.11 ",
    ),
    "a machine that others use": (
        "ValueError: Available memory on node 0 (1.2/23.5 GiB) on startup is less than desired CPU memory utilization "
        "(0.92, 21.6 GiB). On the CPU backend, the `--gpu-memory-utilization` flag controls the fraction of CPU memory",
        "gpu_memory_utilization=0.1",
    ),
    "no room for one prompt": (
        "ValueError: To serve at least one request with the model's max seq len (131072), (16.0 GiB KV cache is "
        "needed, which is larger than the available KV cache memory (3.1 GiB). Based on the available memory",
        "lower --max-model-len",
    ),
    "no room for a cache": ("ValueError: No available memory for the cache blocks. Try increasing", "=0.95"),
    "no memory at warm-up": (
        "RuntimeError: CUDA out of memory occurred when warming up sampler with 1024 dummy requests. Please try "
        "lowering `max_num_seqs` or `gpu_memory_utilization` when initializing the engine.",
        "max_num_seqs=64 works",
    ),
    "no memory on the GPU": (
        "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79.18",
        "enforce_eager=true",
    ),
    "no memory in the machine": (
        "RuntimeError: [enforce fail at alloc_cpu.cpp:124] err == 0. DefaultCPUAllocator: can't allocate memory: you",
        "--dtype bfloat16",
    ),
    "no FlashInfer": ("ModuleNotFoundError: No module named 'flashinfer'", "VLLM_USE_FLASHINFER_SAMPLER=0"),
    "a FlashInfer without a compiler": (
        "RuntimeError: Could not find nvcc and default cuda_home='/usr/local/cuda' doesn't exist",
        "VLLM_USE_FLASHINFER_SAMPLER=0",
    ),
}


@pytest.mark.parametrize("message", MESSAGES)
@pytest.mark.parametrize("wrapper", [WRAPPED, DEAD], ids=["start", "midst"])
def test_the_root_cause_and_its_cure_take_the_place_of_the_wrapper(message: str, wrapper: str) -> None:
    error, cure = MESSAGES[message]
    told = explained(wrapper, log(error, "RuntimeError: Worker failed with error 'x', please check the stack trace"))
    assert told.startswith(error[:300].rstrip("."))
    assert cure in told
    assert "root cause" not in told
    assert "\n" not in told


def test_an_error_of_this_process_gets_its_cure_without_a_log() -> None:
    error, cure = MESSAGES["no room for a cache"]
    assert cure in explained(error, "")
    assert explained("ValueError: something else", log("KeyError: 'unrelated'")) == "ValueError: something else"


@pytest.mark.parametrize(
    ("told", "share"),
    [
        ("Free memory on device cuda:0 (14.06/139.8 GiB) on startup", "0.09"),
        ("Free memory on device cuda:0 (60.0/80.0 GiB) on startup", "0.67"),
        ("Free memory on device cuda:0 (0.1/80.0 GiB) on startup", "0.01"),
        ("Free memory on device cuda:0 on startup", "0.5"),
    ],
)
def test_the_share_that_is_named_fits_into_what_others_leave(told: str, share: str) -> None:
    error = f"ValueError: {told} is less than desired GPU memory utilization (0.92, 72.8 GiB)."
    assert f"gpu_memory_utilization={share} takes" in explained(error, "")


def test_a_wrong_value_of_an_argument_is_told_with_what_is_wrong_about_it() -> None:
    pydantic = pytest.importorskip("pydantic")
    model = pydantic.create_model(
        "CacheConfig",
        cache_dtype=(Literal["auto", "fp8"], "auto"),
        gpu_memory_utilization=(float, pydantic.Field(0.9, gt=0, le=1)),
    )
    for given, told in (
        ({"cache_dtype": "fp9"}, "cache_dtype: Input should be 'auto' or 'fp8'"),
        ({"gpu_memory_utilization": 2}, "gpu_memory_utilization: Input should be less than or equal to 1"),
    ):
        with pytest.raises(pydantic.ValidationError) as caught:
            model(**given)
        assert cause_of(caught.value) == f"ValidationError: {told}"


def test_memory_for_log_probabilities_of_prompts_has_a_cure_of_its_own() -> None:
    error, _ = MESSAGES["no memory on the GPU"]
    trace = log(error).replace("in run", "in _get_prompt_logprobs_dict")
    assert "max_num_batched_tokens=2048" in explained(DEAD, trace)


def test_the_first_error_counts_whatever_other_processes_write_between() -> None:
    front = "(Worker_TP{} pid={}) ERROR 11-27 04:42:54 [multiproc_executor.py:9] "
    one, two = front.format(0, 11), front.format(1, 12)
    mixed = [
        f"{one}Traceback (most recent call last):",
        f"{two}Traceback (most recent call last):",
        f'{one}  File "x"',
        f'{two}  File "y"',
        f"{two}torch.AcceleratorError: CUDA error: an illegal memory access was encountered",
        f"{one}RuntimeError: NCCL error",
    ]
    assert root_error("\n".join(mixed)).startswith("torch.AcceleratorError: CUDA error")


def test_what_was_only_warned_of_is_no_cause() -> None:
    warned = log("ImportError: optional").replace("ERROR", "WARNING").partition("Process EngineCore")[0]
    assert root_error(warned) == ""
    assert explained(WRAPPED, warned) == WRAPPED


def test_a_process_that_was_killed_left_no_trace_but_its_exit_code() -> None:
    line = "(EngineCore pid=8) ERROR 11-27 04:42:58 [m.py:3] Worker proc VllmWorker-0 died unexpectedly (exit code: -9)"
    told = explained(WRAPPED, f"{line}, shutting down executor.")
    assert told.startswith("Worker proc VllmWorker-0 died unexpectedly (exit code: -9): the machine's memory ran out")
    assert "memory ran out" in explained(WRAPPED.replace("{}", "{'EngineCore_DP0': -9}"), "")


def test_only_what_is_written_from_now_on_is_heard(tmp_path: Path) -> None:
    saved = os.dup(2)
    with (tmp_path / "log.txt").open("ab", buffering=0) as stream:
        os.dup2(stream.fileno(), 2)
        try:
            os.write(2, b"before\n")
            heard = Overheard()
            os.write(2, b"after\n")
            assert heard.text() == "after\n"
        finally:
            os.dup2(saved, 2)
            os.close(saved)


def test_a_terminal_or_a_pipe_is_not_read() -> None:
    saved, (read, write) = os.dup(2), os.pipe()
    os.dup2(write, 2)
    try:
        assert Overheard().text() == ""
    finally:
        os.dup2(saved, 2)
        for each in (saved, read, write):
            os.close(each)


@pytest.mark.slow
def test_a_core_that_really_dies_in_its_own_process_tells_why(tiny_checkpoint: Path, tmp_path: Path) -> None:
    """In a child, as vLLM reads its environment once."""
    pytest.importorskip("vllm")
    script = f"""
from pathlib import Path
from telbench.errors import InputError
from telbench.harness.adapter import open_model
from telbench.harness.cli.terminal import Reporter
from telbench.harness.engines import contract, vllm

if __name__ == "__main__":
    checkpoint = open_model({str(tiny_checkpoint)!r})
    options = {{"kv_cache_memory_bytes": 1000}}
    try:
        with Reporter().quiet(Path({str(tmp_path / "log.txt")!r})):
            vllm.open_engine(contract.EngineSettings(checkpoint=checkpoint, max_model_len=64, options=options))
    except InputError as error:
        Path({str(tmp_path / "told")!r}).write_text(str(error))
"""
    (tmp_path / "start.py").write_text(script)
    environment = {**os.environ, "VLLM_ENABLE_V1_MULTIPROCESSING": "1"}
    subprocess.run([sys.executable, str(tmp_path / "start.py")], env=environment, check=True, timeout=300)
    told = (tmp_path / "told").read_text()
    assert "ValueError: No available memory for the cache blocks" in told
    assert "a larger kv_cache_memory_bytes" in told
    assert "\n" not in told


def test_what_vllm_logs_during_a_piece_of_work_is_kept_and_not_shown(capfd: pytest.CaptureFixture[str]) -> None:
    logger = logging.getLogger("vllm")
    shown = logging.StreamHandler()
    logger.addHandler(shown)
    try:
        told = told_during(lambda: logging.getLogger("vllm.loader").warning("%s: Failed to load weights", "Linear"))
        with contextlib.suppress(RuntimeError):
            told_during(lambda: (_ for _ in ()).throw(RuntimeError))
        logger.warning("seen again")
    finally:
        logger.removeHandler(shown)
    assert "Linear: Failed to load weights" in told
    assert capfd.readouterr().err == "seen again\n"
