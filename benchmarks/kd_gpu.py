"""The distillation head and whole training steps on one GPU, in one run: time, TFLOP/s, memory, gradient error.

Run: ``python benchmarks/kd_gpu.py [--tiny] [--limit SECONDS] [--parts head,steps] [--out FILE]``. Prints a JSON line a
finding as it goes, and stops starting new ones when the time is nearly up. ``--tiny`` takes small sizes: it runs on a
processor too, where it shows that the script works and no speed.

Head: half cross-entropy, half forward KL at temperature 2, value and gradients for rows and head; a student 2,048 wide,
a teacher 4,096 wide with bfloat16 weights, 128,256 tokens. Steps: a student of 1.2 B with float32 weights under
bfloat16 autocast, a teacher of 3.6 B in bfloat16, 8 x 1,024 tokens, random weights. Model FLOP utilisation counts 6
operations a student's weight and token, and 2 a teacher's, against the dense bfloat16 rate of an H100 (989 TFLOP/s).
Targets: the head at 4,096 rows in at most 1.15 times the dense bfloat16 time, at 16,384 rows in at most a quarter of
its memory, gradients within 3e-3 of float32 products; vanilla KD and DSKD within 1.25 times teacher forward and SFT
step; vanilla KD at least 1.5 times as fast as TRL's trainer. Where they are installed, Liger's losses stand beside the
head, TRL's trainer beside a step of forward KL, and vLLM beside ``generate`` for a student's answers.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from gpu_findings import CUDA, DEVICE, Teller, apart, clean, half, measured, profiled, tf32
from kd_gpu_peers import liger_heads, rollouts, trl
from kd_gpu_steps import steps
from torch import Tensor

Gradients = tuple[Tensor, Tensor, Tensor]
Loss = Callable[[Tensor, Tensor], Tensor]


class HeadCase:
    """Random rows and heads whose singular values decay a little, as those of real heads do."""

    def __init__(self, rows: int, tiny: bool) -> None:
        tokens, student, teacher = (2000, 64, 128) if tiny else (128_256, 2048, 4096)
        torch.manual_seed(0)
        decay = [torch.arange(1, width + 1, device=DEVICE).pow(-0.3) for width in (student, teacher)]
        self.weight = torch.randn(tokens, student, device=DEVICE) * 0.2 * decay[0]
        self.teacher_weight = (torch.randn(tokens, teacher, device=DEVICE) * 0.2 * decay[1]).bfloat16()
        self.hidden = 2 * torch.randn(rows, student, device=DEVICE)
        self.teacher_hidden = (2 * torch.randn(rows, teacher, device=DEVICE)).bfloat16()
        self.labels = torch.randint(tokens, (rows,), device=DEVICE)
        self.tflop = (3 * student + teacher) * 2 * rows * tokens / 1e12

    def gradients(self, loss: Loss) -> Gradients:
        """Loss, and its gradients for rows and head."""
        hidden, weight = self.hidden.detach().requires_grad_(), self.weight.detach().requires_grad_()
        total = loss(hidden, weight)
        total.backward()
        assert hidden.grad is not None
        assert weight.grad is not None
        return total.detach(), hidden.grad, weight.grad

    def telbench(self, divergence: str = "forward_kl", chunk: int | None = None, fused: bool = False) -> Loss:
        """The loss as the trainer asks for it."""
        from telbench.kd.losses.chunked_head import Labels, Projected, Target, chunked_loss
        from telbench.kd.losses.divergences import divergence_named
        from telbench.kd.losses.heads import Head

        def loss(hidden: Tensor, weight: Tensor) -> Tensor:
            each = 0.5 / len(hidden)
            teacher = Projected(self.teacher_hidden, Head(self.teacher_weight))
            target = Target(teacher, divergence_named(divergence), each, 2.0)
            head, labels = Head(weight, fused=fused), Labels(self.labels, each)
            return chunked_loss(hidden, head, labels=labels, target=target, chunk_rows=chunk).total

        return loss

    def dense(self, *, wide: bool) -> Loss:
        """The same with tensors of all rows and tokens, products in float32 or bfloat16."""
        from torch.nn.functional import cross_entropy

        def loss(hidden: Tensor, weight: Tensor) -> Tensor:
            if wide:
                logits = hidden @ weight.T
                with torch.no_grad():
                    given = self.teacher_hidden.float() @ self.teacher_weight.float().T
            else:
                logits = (hidden.bfloat16() @ weight.bfloat16().T).float()
                with torch.no_grad():
                    given = (self.teacher_hidden @ self.teacher_weight.T).float()
            p, q = ((values / 2).log_softmax(-1) for values in (given, logits))
            return (cross_entropy(logits, self.labels, reduction="sum") + (p.exp() * (p - q)).sum()) / 2 / len(hidden)

        return loss


class HeadTable:
    """Ways to the same loss and gradients, each against the first."""

    def __init__(self, teller: Teller, case: HeadCase) -> None:
        self.case = case
        self._teller = teller
        self._exact: Gradients | None = None

    def told(self, way: str, loss: Loss, around: Callable[[], Any], seconds: float = 5) -> None:
        """One finding."""
        rows = len(self.case.hidden)
        with self._teller.part("head", seconds, way=way, rows=rows) as go:
            if not go:
                return

            def work() -> Gradients:
                with around():
                    return self.case.gradients(loss)

            begun = time.perf_counter()
            found = work()
            first = round(time.perf_counter() - begun, 1)
            self._exact = self._exact or found
            names = ("loss", "rows", "head")
            errors = {name: apart(one, two) for name, one, two in zip(names, found, self._exact, strict=True)}
            del found
            cost = measured(work, 3)
            rate = round(self.case.tflop / cost["ms"] * 1e3, 1)
            self._teller.say("head", way=way, rows=rows, **cost, tflops=rate, errors=errors, first_s=first)


def head(teller: Teller, tiny: bool) -> None:
    """All ways at three numbers of rows."""
    for rows in (64, 128) if tiny else (1024, 4096, 16_384):
        table = HeadTable(teller, HeadCase(rows, tiny))
        case = table.case
        table.told("telbench, float32", case.telbench(), nullcontext)
        table.told("telbench, bf16", case.telbench(), half)
        table.told("telbench, bf16, compiled", case.telbench(fused=True), half, 20)
        table.told("dense, bf16", case.dense(wide=False), nullcontext)
        table.told("telbench, TF32", case.telbench(), lambda: tf32(True))
        for way, loss in liger_heads(teller, case):
            table.told(way, loss, nullcontext, 20)
        if rows <= 4096:
            table.told("dense, float32", case.dense(wide=True), nullcontext)
        del table, case
        clean()


def sweep(teller: Teller, tiny: bool) -> None:
    """Sizes of chunks and divergences, and where the time goes."""
    case = HeadCase(128 if tiny else 4096, tiny)
    table = HeadTable(teller, case)
    table.told("telbench, float32", case.telbench(), nullcontext)
    for chunk in (32, 64) if tiny else (512, 1024, 4096):
        table.told(f"telbench, bf16, chunks of {chunk}", case.telbench(chunk=chunk), half)
    for name in ("reverse_kl", "generalised_jsd", "adaptive_kl"):
        table = HeadTable(teller, case)
        table.told(f"telbench, float32, {name}", case.telbench(name), nullcontext)
        table.told(f"telbench, bf16, {name}", case.telbench(name), half)
        table.told(f"telbench, bf16, {name}, compiled", case.telbench(name, fused=True), half, 20)
    for fused in (False, True):
        with teller.part("profile of the head", 8, compiled=fused) as go, half():
            if go:
                loss = case.telbench(fused=fused)
                teller.say("profile of the head", compiled=fused, **profiled(lambda loss=loss: case.gradients(loss)))


def right(teller: Teller, tiny: bool) -> None:
    """Losses and gradients in bfloat16 against float32, for heads whose singular values decay."""
    from telbench.kd.losses.chunked_head import Projected
    from telbench.kd.losses.dual_space import LinearProjectors, dskd
    from telbench.kd.losses.dual_space_v2 import Aligned, LogitIdentity, dskd_v2
    from telbench.kd.losses.heads import Head
    from telbench.kd.losses.mixture import Pairs
    from telbench.kd.losses.token_kd import vanilla_kd

    tokens, ours, theirs, rows = (2000, 64, 128, 64) if tiny else (32_000, 512, 1024, 512)
    for decay in (0.0, 0.5, 1.0):
        torch.manual_seed(0)
        weights = [decaying(tokens, width, decay) for width in (ours, theirs)]
        hidden, taught = 2 * torch.randn(rows, ours, device=DEVICE), 2 * torch.randn(rows, theirs, device=DEVICE)
        labels = torch.randint(tokens, (rows,), device=DEVICE)
        teacher = Projected(taught.bfloat16(), Head(weights[1].bfloat16()))
        plain = LinearProjectors(ours, theirs).to(DEVICE)
        identity = LogitIdentity(Head(weights[0]), teacher.head).to(DEVICE)
        every = Aligned(Pairs.all(rows, DEVICE))
        cases: list[tuple[str, Any, tuple[Any, ...]]] = [
            ("vanilla_kd", vanilla_kd, (teacher, labels, 1 / rows)),
            ("dskd", dskd, (teacher, labels, plain, 1 / rows)),
            ("dskd_v2", dskd_v2, (teacher, labels, identity, every, 1 / rows, 1 / rows)),
        ]
        for name, loss, rest in cases:
            with teller.part("bf16 against float32", 3, algorithm=name, decay=decay) as go:
                if not go:
                    return
                trained = [*rest[2].parameters()] if name != "vanilla_kd" else []
                found = []
                for around in (half, nullcontext):
                    mine = Projected(hidden.detach().requires_grad_(), Head(weights[0].detach().requires_grad_()))
                    with around():
                        made = loss(mine, *rest)
                    moved = [mine.hidden, mine.head.weight, *trained]
                    found.append((made, torch.autograd.grad(made.total, moved)))
                (low, slopes), (exact, wanted) = found
                sums = {key: [float(low.sums[key]) / rows, float(exact.sums[key]) / rows] for key in low.sums}
                errors = [apart(one, two) for one, two in zip(slopes, wanted, strict=True)]
                facts = {"loss": apart(low.total, exact.total), "gradients": errors, "sums": sums}
                teller.say("bf16 against float32", algorithm=name, decay=decay, **facts)


def decaying(tokens: int, width: int, decay: float) -> Tensor:
    """A head (tokens, width) whose singular values fall as k to the power of -decay, in no axis' direction."""
    values = torch.randn(tokens, width, device=DEVICE) * torch.arange(1, width + 1, device=DEVICE).pow(-decay)
    values = values @ torch.linalg.qr(torch.randn(width, width, device=DEVICE))[0]
    return values * (0.05 / values.std())


PARTS: dict[str, Callable[[Teller, bool], None]] = {
    "head": head,
    "right": right,
    "steps": steps,
    "trl": trl,
    "rollouts": rollouts,
    "sweep": sweep,
}


def main() -> None:
    """The parts that were asked for, in this order."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tiny", action="store_true", help="small sizes, to see that the script works")
    parser.add_argument("--limit", type=float, default=240, metavar="S", help="seconds in which all should end")
    parser.add_argument("--parts", default=",".join(PARTS), help=f"of {', '.join(PARTS)} (default: all)")
    parser.add_argument("--out", type=Path, help="file for the findings too")
    options = parser.parse_args()
    teller = Teller(options.out, options.limit)
    name = torch.cuda.get_device_name() if CUDA else "processor"
    teller.say("machine", device=name, torch=torch.__version__, tiny=options.tiny)
    for part in options.parts.split(","):
        with teller.part(part, 5) as go:
            if go:
                PARTS[part](teller, options.tiny)
    teller.say("end")


if __name__ == "__main__":
    main()
