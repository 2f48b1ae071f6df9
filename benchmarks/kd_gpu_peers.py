"""Others beside telbench for `kd_gpu`: Liger's fused losses, TRL's distillation trainer, vLLM against ``generate``.

Each is skipped with one line where its package is not installed, and its losses are held against telbench's.
"""

from __future__ import annotations

import importlib
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import torch
from gpu_findings import CUDA, DEVICE, Teller
from kd_gpu_steps import STUDENT, TEACHER, TINY_STUDENT, TINY_TEACHER, Training, items, llama
from torch import Tensor

# TRL's training step against telbench's on the same models and batch.
TRL_TARGET = 1.5
Loss = Callable[[Tensor, Tensor], Tensor]


def there(teller: Teller, what: str, module: str) -> Any:
    """A module of another package; None, and a line, where it cannot be imported."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        teller.say(what, skipped=f"{module} cannot be imported: {error}")
        return None


def liger_heads(teller: Teller, case: Any) -> Iterator[tuple[str, Loss]]:
    """Liger's ways to the loss of `HeadCase`: half cross-entropy, half forward KL at temperature 2, in bfloat16.

    ``chunked_loss`` is plain torch and does both with one product of the student's; the fused kernels need Triton, and
    are two losses with a product each.
    """
    chunked = there(teller, "head, Liger's chunked loss", "liger_kernel.chunked_loss.jsd_loss")
    if chunked is not None:
        both = chunked.LigerFusedLinearJSDLoss(beta=0.0, temperature=2.0, compiled=CUDA)
        yield "Liger, chunked JSD", halves(case, lambda *rows: both(*rows, case.labels))
    entropy = there(teller, "head, Liger's kernels", "liger_kernel.transformers.fused_linear_cross_entropy")
    if entropy is not None:
        jsd = importlib.import_module("liger_kernel.transformers.fused_linear_jsd")
        hard = entropy.LigerFusedLinearCrossEntropyLoss(accum_dtype=torch.float32)
        soft = jsd.LigerFusedLinearJSD(jsd_beta=0.0, temperature=2.0, accum_dtype=torch.float32)

        def fused(hidden: Tensor, weight: Tensor, *teacher: Tensor) -> Tensor:
            return (hard(weight, hidden, case.labels) + soft(hidden, weight, *teacher, case.labels)) / 2

        yield "Liger, fused kernels", halves(case, fused)


def halves(case: Any, loss: Callable[..., Tensor]) -> Loss:
    """The loss of the case's rows and heads, all of them bfloat16; gradients flow back to what they were."""

    def asked(hidden: Tensor, weight: Tensor) -> Tensor:
        return loss(hidden.bfloat16(), weight.bfloat16(), case.teacher_hidden, case.teacher_weight)

    return asked


def trl(teller: Teller, tiny: bool) -> None:
    """A step of forward KL over the answers by TRL's trainer and by telbench's: the same weights, batch and optimizer.

    One after the other: each has the card to itself.
    """
    if there(teller, "step beside TRL", "trl") is None:
        return
    tokens, batch, length = (2000, 2, 64) if tiny else (128_256, 8, 1024)
    shapes = (TINY_STUDENT, TINY_TEACHER) if tiny else (STUDENT, TEACHER)
    for answer in (8, 32) if tiny else (48, 512):
        examples = items(batch, length, answer, tokens)
        found: dict[str, tuple[list[float], float]] = {}
        for whose, steps in (("TRL", trl_steps), ("telbench", own_steps)):
            facts = {"whose": whose, "answer_rows": batch * answer}
            with teller.part("step beside TRL", 40, **facts) as go:
                if not go:
                    return
                losses, ms = found[whose] = steps(shapes, tokens, examples)
                teller.say("step beside TRL", **facts, ms=ms, losses=losses, GiB=peak())
        if len(found) == 2:
            (theirs, slower), (ours, faster) = found["TRL"], found["telbench"]
            apart = max(abs(one - two) / abs(two) for one, two in zip(ours, theirs, strict=True))
            told = {"faster": round(slower / faster, 2), "target": TRL_TARGET, "losses_apart": float(f"{apart:.1e}")}
            teller.say("telbench against TRL", answer_rows=batch * answer, **told)


def trl_steps(shapes: Any, tokens: int, examples: list[Any]) -> tuple[list[float], float]:
    """Losses and milliseconds of TRL's steps."""
    from kd_step import trl_step

    teacher, student = llama(shapes[1], tokens, torch.bfloat16).eval(), llama(shapes[0], tokens, torch.float32)
    with tempfile.TemporaryDirectory() as scratch:
        return turns(trl_step(student, teacher, examples, 5e-4, Path(scratch), half=True))


def own_steps(shapes: Any, tokens: int, examples: list[Any]) -> tuple[list[float], float]:
    """The same of telbench's."""
    from telbench.kd.teacher.rows import LiveTeacher

    teacher, method = LiveTeacher(llama(shapes[1], tokens, torch.bfloat16)), {"kd_rate": 1.0, "temperature": 1.0}
    training = Training("vanilla_kd", "bf16", teacher, shapes[0], tokens, method=method)
    return turns(lambda: training.step(examples)["loss"])


def turns(step: Callable[[], float]) -> tuple[list[float], float]:
    """Losses of six steps, and milliseconds of the fastest after two that warm up."""
    losses, times = [], []
    for _ in range(6):
        begun = time.perf_counter()
        losses.append(round(step(), 5))
        if CUDA:
            torch.cuda.synchronize()
        times.append((time.perf_counter() - begun) * 1e3)
    return losses, round(min(times[2:]), 1)


def peak() -> float | None:
    """GiB at the most."""
    return round(torch.cuda.max_memory_allocated() / 2**30, 1) if CUDA else None


def rollouts(teller: Teller, tiny: bool) -> None:
    """Answers of a student in training: ``generate`` on its float32 weights, and vLLM in float32 and in bfloat16.

    The first answers with the start of the engine, the last ones with a hand-over of weights. The share of greedy
    answers that begin as those of ``generate`` do, and of tokens alike.
    """
    if there(teller, "rollouts", "vllm") is None:
        return
    from telbench.harness.checkpoint import open_checkpoint
    from telbench.harness.engines.contract import Request

    # vLLM's kernels for processors want attention heads of 32 numbers.
    shape = (64, 2, 128, 2, 2, True) if tiny else STUDENT
    tokens, count, prompt, answer = (2000, 8, 24, 8) if tiny else (128_256, 32, 256, 128)
    with saved(shape, tokens) as (student, tokenizer, folder):
        asked = [
            Request(each.item_id, each.item_id, (), each.student.ids[: each.student.start])
            for each in items(count, prompt, 8, tokens)
        ]
        voices(teller, student, tokenizer, open_checkpoint(str(folder)), asked, answer)


def voices(teller: Teller, student: Any, tokenizer: Any, checkpoint: Any, asked: list[Any], answer: int) -> None:
    """The findings of `rollouts` for these prompts; answers have at most so many tokens."""
    from telbench.harness.engines.contract import Sampling
    from telbench.kd.rollout.generate import Generated
    from telbench.kd.rollout.vllm import Asked, VllmRollouts

    longest = max(len(each.token_ids) for each in asked) + answer
    greedy: dict[str, tuple[int, ...]] = {}
    for way in ("generate", "vllm, float32", "vllm, bfloat16"):
        with teller.part("rollouts", 90, way=way) as go:
            if not go:
                return
            how = Asked(checkpoint, "bfloat16" if "bfloat16" in way else "float32", longest, 0.3)
            used = Generated(student, tokenizer) if way == "generate" else VllmRollouts(student, how)
            with closing(used):
                said, seconds, tokens = answered(used, asked, (Sampling(answer), *[Sampling(answer, 1.0)] * 2))
                told = used.told()
            greedy = greedy or said
            alike = sum(a == b for key in said for a, b in zip(said[key], greedy[key], strict=False))
            handed = told.get("seconds", 0.0) / max(1, told.get("handed_over", 1))
            teller.say(
                "rollouts", way=way, engine=told.get("engine", "transformers"), answers=len(asked), tokens=tokens,
                first_s=seconds[0][0], s=seconds[-1][0], cpu_s=seconds[-1][1], of_hand_over_s=round(handed, 3),
                GiB=peak(), begin_alike=round(sum(said[key][:1] == greedy[key][:1] for key in said) / len(asked), 3),
                alike=round(alike / max(1, sum(map(len, greedy.values()))), 3),
            )  # fmt: skip


def answered(
    rollouts: Any, asked: list[Any], samplings: Iterable[Any]
) -> tuple[dict[str, Any], list[tuple[float, float]], int]:
    """The answers to the first of these, (seconds, CPU seconds) of each, tokens of the last; weights go over before."""
    every, seconds = [], []
    for after, sampling in enumerate(samplings):
        begun, used = time.perf_counter(), time.process_time()
        with rollouts.engine(after) as engine:
            every.append({each.key: each.token_ids for each in engine.generate(asked, sampling)})
        seconds.append((round(time.perf_counter() - begun, 2), round(time.process_time() - used, 2)))
    return every[0], seconds, sum(map(len, every[-1].values()))


@contextmanager
def saved(shape: tuple[int, int, int, int, int, bool], tokens: int) -> Iterator[tuple[Any, Any, Path]]:
    """A student with random weights, its tokenizer and its folder."""
    from kd_step import plain_tokenizer

    student = llama(shape, tokens, torch.float32)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "student"
        student.save_pretrained(folder)
        tokenizer = plain_tokenizer()
        tokenizer.save_pretrained(folder)
        yield student.to(DEVICE), tokenizer, folder
