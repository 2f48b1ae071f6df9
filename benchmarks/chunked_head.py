"""One distillation step's loss through the output heads: peak memory and time, chunked against dense.

Run: ``python benchmarks/chunked_head.py [--rows N] [--tokens V] [--hidden D] [--threads T] [--repeats R]``. Both ways
compute half cross-entropy and half forward KL at temperature 2 for the same random rows and heads, with gradients for
the student's rows and head, each in a process of its own. Memory is that process's peak resident memory over what it
held before the step; time is the smallest of the repeats, as CPU seconds of the process and as wall seconds. Loss and
gradients are compared.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

WAYS = ("dense", "chunked")
MEMORY_LIMIT, TIME_LIMIT = 0.25, 1.3


def step(way: str, tensors: Any) -> Any:
    """Loss with gradient of one way."""
    import torch
    from torch.nn.functional import cross_entropy, kl_div, log_softmax

    from telbench.kd.losses.chunked_head import Projected
    from telbench.kd.losses.heads import Head
    from telbench.kd.losses.token_kd import vanilla_kd

    hidden, head, teacher_hidden, teacher_head, labels = tensors
    if way == "chunked":
        student, teacher = Projected(hidden, Head(head)), Projected(teacher_hidden, Head(teacher_head))
        return vanilla_kd(student, teacher, labels, 1 / len(labels)).total
    logits = hidden @ head.T
    with torch.no_grad():
        wanted = log_softmax(teacher_hidden @ teacher_head.T / 2, -1)
    distance = kl_div(log_softmax(logits / 2, -1), wanted, reduction="batchmean", log_target=True)
    return 0.5 * cross_entropy(logits, labels) + 0.5 * distance


def measure(way: str, options: argparse.Namespace, answers: Path) -> None:
    """Child: the step ``repeats`` times, then a JSON line about it."""
    import torch
    from safetensors.torch import save_file

    torch.set_num_threads(options.threads)
    draw = torch.Generator().manual_seed(0)
    hidden, teacher_hidden = (torch.randn(options.rows, options.hidden, generator=draw) for _ in range(2))
    head, teacher_head = (
        torch.randn(options.tokens, options.hidden, generator=draw) / options.hidden**0.5 for _ in range(2)
    )
    labels = torch.randint(options.tokens, (options.rows,), generator=draw)
    tensors = (hidden.requires_grad_(), head.requires_grad_(), teacher_hidden, teacher_head, labels)
    # Libraries are loaded and threads started before anything is counted.
    step(way, (hidden[:16], head[:64], teacher_hidden[:16], teacher_head[:64], labels[:16] % 64)).backward()
    hidden.grad = head.grad = None
    before = _resident()
    times = []
    loss = torch.zeros(())
    for _ in range(options.repeats):
        hidden.grad = head.grad = None
        started, cpu = time.perf_counter(), time.process_time()
        loss = step(way, tensors)
        loss.backward()
        times.append((time.process_time() - cpu, time.perf_counter() - started))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    assert hidden.grad is not None
    assert head.grad is not None
    save_file({"loss": loss.detach(), "hidden": hidden.grad, "head": head.grad}, answers)
    measured = {"bytes": peak - before, "cpu": min(times)[0], "wall": min(wall for _, wall in times)}
    print(json.dumps(measured))


def _resident() -> int:
    """Resident bytes of this process now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def main(options: argparse.Namespace) -> None:
    """Measure both ways, compare their answers, print the ratios."""
    from safetensors.torch import load_file

    measured, answers = {}, {}
    with tempfile.TemporaryDirectory() as folder:
        for way in WAYS:
            path = Path(folder) / way
            command = [sys.executable, __file__, *sys.argv[1:], "--way", way, "--answers", str(path)]
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=1800)
            assert done.returncode == 0, done.stderr
            measured[way] = json.loads(done.stdout.splitlines()[-1])
            answers[way] = load_file(path)
            print(
                f"{way:8} {measured[way]['bytes'] / 2**20:>8.0f} MiB over baseline, "
                f"{measured[way]['cpu']:>6.1f} CPU s, {measured[way]['wall']:>6.1f} s",
                flush=True,
            )
    for name, exact in answers["dense"].items():
        apart = (answers["chunked"][name] - exact).abs().max() / exact.abs().max()
        print(f"{name}: largest difference {apart:.1e} of the largest value")
        assert apart < 1e-5, name
    memory, cpu = (measured["chunked"][key] / measured["dense"][key] for key in ("bytes", "cpu"))
    print(f"memory {memory:.1%} of dense (at most {MEMORY_LIMIT:.0%}), CPU time {cpu:.2f} times (at most {TIME_LIMIT})")


def arguments() -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(
        description="Chunked against dense: memory and time of one distillation step's loss."
    )
    sizes = {"rows": 4096, "tokens": 131_072, "hidden": 256, "threads": 2, "repeats": 2}
    for name, value in sizes.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--answers", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    asked = arguments()
    if asked.way:
        measure(asked.way, asked, asked.answers)
    else:
        main(asked)
