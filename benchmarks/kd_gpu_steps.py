"""Steps of the trainer's own pieces for `kd_gpu`: a student of 1.2 B, a teacher of 3.6 B, 8 x 1,024 tokens."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from gpu_findings import CUDA, DEVICE, Teller, profiled

# Dense bfloat16 operations a second of an H100, as its maker tells.
PEAK = 989e12
# Width, layers, inner width, heads, heads of keys, tied.
STUDENT, TEACHER = (2048, 16, 8192, 32, 8, True), (3072, 28, 8192, 24, 8, False)
TINY_STUDENT, TINY_TEACHER = (64, 2, 128, 4, 2, True), (128, 2, 256, 4, 2, False)


def llama(shape: tuple[int, int, int, int, int, bool], tokens: int, dtype: torch.dtype) -> Any:
    """A Llama with random weights on the device."""
    from transformers import LlamaConfig, LlamaForCausalLM

    width, layers, inner, heads, keys, tied = shape
    config = LlamaConfig(
        vocab_size=tokens, hidden_size=width, intermediate_size=inner, num_hidden_layers=layers,
        num_attention_heads=heads, num_key_value_heads=keys, max_position_embeddings=8192, tie_word_embeddings=tied,
    )  # fmt: skip
    torch.manual_seed(0)
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with DEVICE:
            return LlamaForCausalLM(config)
    finally:
        torch.set_default_dtype(before)


def items(count: int, length: int, answer: int, tokens: int) -> list[Any]:
    """Items of one length, both models reading the same tokens."""
    from telbench.kd.batches import Example
    from telbench.kd.teacher.rows import TeacherExample
    from telbench.kd.train.examples import PairedExample

    draw = random.Random(0)
    found = []
    for number in range(count):
        ids = tuple(draw.randrange(5, tokens) for _ in range(length + 1))
        example = Example(ids, length + 1 - answer)
        rows = tuple((row, row) for row in range(answer))
        found.append(PairedExample(str(number), example, TeacherExample(str(number), example), rows))
    return found


class Training:
    """One training's pieces, put together as the trainer does."""

    def __init__(
        self,
        algorithm: str,
        precision: str,
        teacher: Any,
        shape: Any,
        tokens: int,
        compiled: bool = False,
        method: dict[str, Any] | None = None,
    ) -> None:
        from accelerate import Accelerator
        from accelerate.state import AcceleratorState

        from telbench.kd.settings import MethodSettings, OptimiserSettings
        from telbench.kd.train.compiling import compile_models
        from telbench.kd.train.distiller import Distiller
        from telbench.kd.train.optimisation import adamw_over
        from telbench.kd.vocabulary.link import VocabularyLink

        self.method = MethodSettings(algorithm=algorithm, **(method or {}))
        self.teacher = None if algorithm == "sft" else teacher
        self.link = None if algorithm == "sft" else VocabularyLink(tokens)
        self.student = llama(shape, tokens, torch.float32)
        distiller = Distiller(self.student, self.method, self.teacher, self.link)
        optimizer = adamw_over(distiller.student, distiller.projectors, OptimiserSettings(), self.method.projector_rate)
        if compiled:
            compile_models(distiller, teacher)
        AcceleratorState._reset_state(True)
        self.accelerator = Accelerator(mixed_precision=precision)
        self.module, self.optimizer = self.accelerator.prepare(distiller, optimizer)
        self.module.train()

    def step(self, examples: list[Any]) -> dict[str, float]:
        """One optimizer step; milliseconds when each station was reached by the processor, not by the GPU."""
        from telbench.kd.train.distiller import Denominators, make_micro_batch
        from telbench.kd.train.examples import taught

        begun = time.perf_counter()
        reached: dict[str, float] = {}

        def station(name: str) -> None:
            reached[name] = round((time.perf_counter() - begun) * 1e3, 1)

        micro = make_micro_batch(examples, 0, self.method.objective, self.link, DEVICE)
        if self.teacher is not None:
            micro = replace(micro, teacher_rows=self.teacher.rows(taught(examples)).to(DEVICE))
        station("teacher")
        self.optimizer.zero_grad(set_to_none=True)
        loss, _ = self.module(micro, Denominators(micro.batch.n_labels, len(micro.pairs)))
        station("forward")
        self.accelerator.backward(loss)
        norm: Any = self.accelerator.clip_grad_norm_(self.module.parameters(), 1.0)
        station("backward")
        self.optimizer.step()
        reached["loss"], reached["norm"] = round(float(loss.detach()), 6), round(float(norm), 4)
        if CUDA:
            torch.cuda.synchronize()
        station("all")
        return reached


def timed_step(training: Training, examples: list[Any], times: int) -> tuple[float, dict[str, float]]:
    """Milliseconds of the fastest of some steps after two that warm up, and its stations."""
    for _ in range(2):
        training.step(examples)
    told = min((training.step(examples) for _ in range(times)), key=lambda each: each["all"])
    return told["all"], told


def steps(teller: Teller, tiny: bool) -> None:
    """SFT, vanilla KD, DSKD and DSKD v2 at few and many answer rows, plain and compiled."""
    from telbench.kd.teacher.rows import LiveTeacher

    tokens, batch, length = (2000, 2, 64) if tiny else (128_256, 8, 1024)
    shapes = (TINY_STUDENT, TINY_TEACHER) if tiny else (STUDENT, TEACHER)
    teacher = LiveTeacher(llama(shapes[1], tokens, torch.bfloat16))
    few, many = (items(batch, length, answer, tokens) for answer in ((8, 32) if tiny else (48, 512)))
    for compiled in (False, True):
        for examples in (few, many):
            bound = Bound()
            for algorithm in ("sft", "vanilla_kd", "dskd", "dskd_v2"):
                one_step(teller, algorithm, teacher, shapes[0], examples, bound, compiled)


@dataclass
class Bound:
    """Milliseconds of the teacher's forward pass and of an SFT step."""

    teacher: float = 0.0
    fine_tuning: float = 0.0


def one_step(
    teller: Teller, algorithm: str, teacher: Any, shape: Any, examples: list[Any], bound: Bound, compiled: bool
) -> None:
    """One finding, beside teacher's forward and SFT step."""
    from telbench.kd.train.examples import taught

    rows, read = sum(each.rows for each in examples), sum(len(each.student.ids) - 1 for each in examples)
    facts = {"algorithm": algorithm, "answer_rows": rows, "compiled": compiled}
    with teller.part("step", 15 if compiled else 9, **facts) as go:
        if not go:
            return
        training = Training(algorithm, "bf16", teacher, shape, teacher.head.size, compiled)
        begun = time.perf_counter()
        training.step(examples)
        first = round(time.perf_counter() - begun, 1)
        ms, stations = timed_step(training, examples, 4)
        own, others = (sum(each.numel() for each in model.parameters()) for model in (training.student, teacher.model))
        share: dict[str, Any] = {}
        if algorithm == "sft":
            bound.fine_tuning, work = ms, 6 * own * read
            bound.teacher = best(lambda: teacher.rows(taught(examples)), 3)
            share = {"teacher_ms": bound.teacher}
        else:
            work = (6 * own + 2 * others) * read
            share = {"of_teacher_and_sft": round(ms / (bound.teacher + bound.fine_tuning), 3)}
        teller.say(
            "step", **facts, weights=own, ms=ms, tokens_per_s=round(read / ms * 1e3), **share,
            utilisation=round(work / ms * 1e3 / PEAK, 3), first_s=first, stations=stations,
            GiB=round(torch.cuda.max_memory_allocated() / 2**30, 1) if CUDA else None,
        )  # fmt: skip
        if rows > len(examples) * 100 and algorithm != "vanilla_kd":
            found = profiled(lambda: training.step(examples), 16)
            teller.say("profile of a step", **facts, **found)


def best(work: Callable[[], Any], times: int) -> float:
    """Milliseconds of the fastest of some calls after one that warms up."""
    found = []
    for _ in range(times + 1):
        begun = time.perf_counter()
        work()
        if CUDA:
            torch.cuda.synchronize()
        found.append((time.perf_counter() - begun) * 1e3)
    return round(min(found[1:]), 1)
