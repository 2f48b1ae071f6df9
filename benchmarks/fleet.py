"""Claim: checkpoints on data sets in one command cost a third of single commands, or of lm-eval's, or less.

1. ``telbench eval --model C1 … C8 --data D1 D2`` with vLLM against the 16 single commands: CPU and wall seconds of
   processes with their children. The checkpoints are copies of MODEL with noise on their weights. Every run's
   ``samples.jsonl`` is compared with that of its single command, byte for byte.
2. The same against ``lm_eval --model vllm``, one command a checkpoint with both sets as its tasks, in the manner of
   `lm_eval_peer.py`: the same prompts as texts, number format, window, length of answers and stops. Compared are
   answers that are the same text and the options' log-likelihoods. Only with ``--peer PYTHON``.
3. ``--adapters N`` LoRA adapters of MODEL in one command, against merging each into the base, saving and evaluating it.

Of the single commands ``--alone N`` are run, spread over the checkpoints, and the others are counted as their mean:
each starts Python and vLLM anew, so that they differ little. Shared cores make wall seconds noisy; the load of the
machine is printed beside them. Exits with 1 where a ratio of CPU seconds is below its bar (3, 3, 5), a file differs, or
an answer differs from lm-eval's by more than one item in twenty.

    python benchmarks/fleet.py MODEL --data-dir DATA [--checkpoints 8] [--items 20] [--peer PYTHON] [--adapters 20]
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from lm_eval_peer import METRICS, Cost, asked_of_ours, asked_of_peer, documents, drawn, read_lines, timed
from safetensors.torch import load_file, save_file

from telbench.harness.engines.vllm_arguments import CPU_ENVIRONMENT

SETS = tuple(METRICS)
BARS = {"single commands": 3.0, "lm-eval": 3.0, "merge and load": 5.0}
# Of the standard deviation of each matrix: answers differ, and are no noise.
NOISE = 0.02


@dataclass
class Spent:
    """Commands of one kind: those that were run, and how many there would be."""

    whole: int
    costs: list[Cost] = field(default_factory=list)

    def total(self) -> Cost:
        """Of all, those that were not run as the mean of those that were."""
        share = self.whole / len(self.costs)
        return Cost(sum(each.cpu for each in self.costs) * share, sum(each.wall for each in self.costs) * share)


def copies(model: Path, folder: Path, count: int) -> list[Path]:
    """Checkpoints of the model's frame, the first with its own weights."""
    made = []
    for place in range(count):
        target = folder / f"copy-{place}"
        shutil.copytree(model, target, ignore=shutil.ignore_patterns("*.safetensors"))
        draws = torch.Generator().manual_seed(place)
        for file in model.glob("*.safetensors"):
            weights = load_file(file)
            if place:
                weights = {name: _noisy(one, draws) for name, one in weights.items()}
            save_file(weights, target / file.name, metadata={"format": "pt"})
        made.append(target)
    return made


def _noisy(one: torch.Tensor, draws: torch.Generator) -> torch.Tensor:
    if one.ndim < 2:
        return one
    wide = one.float()
    return (wide + NOISE * wide.std() * torch.randn(wide.shape, generator=draws)).to(one.dtype)


def adapters_of(model: Path, folder: Path, count: int) -> list[Path]:
    """LoRA adapters of rank 8 with matrices drawn by their number."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    made = []
    for place in range(count):
        torch.manual_seed(place)
        base = AutoModelForCausalLM.from_pretrained(model)
        wrapped = get_peft_model(base, LoraConfig(r=8, lora_alpha=16, target_modules=["q_proj", "v_proj"]))
        for name, weight in wrapped.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(weight, std=0.02)
        wrapped.save_pretrained(str(folder / f"adapter-{place}"))
        made.append(folder / f"adapter-{place}")
    return made


MERGE = """
import sys
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer
base, adapter, out = sys.argv[1:]
PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), adapter).merge_and_unload().save_pretrained(out)
AutoTokenizer.from_pretrained(base).save_pretrained(out)
"""


def command(args: argparse.Namespace, models: Sequence[Path], data: Sequence[str], out: Path) -> list[str]:
    """``telbench eval`` of these models on these sets."""
    words = [sys.executable, "-m", "telbench", "eval", "--engine", "vllm", "--split", "all", "--no-cache"]
    words += ["--dtype", args.dtype, "--max-tokens", str(args.max_tokens), "--out", str(out)]
    return [*words, "--model", *map(str, models), "--data", *data]


def samples_of(folder: Path, *names: str) -> Path:
    """The samples of the run below a folder whose name holds these."""
    (found,) = (each for each in folder.glob("*/samples.jsonl") if all(name in each.parent.name for name in names))
    return found


def spread(count: int, whole: int) -> list[int]:
    """``count`` places of ``whole``, the first and the last among them."""
    return sorted({round(place * (whole - 1) / max(1, count - 1)) for place in range(min(count, whole))})


def told(name: str, fleet: Cost, spent: Spent) -> bool:
    """Print a line; is the bar reached, by CPU seconds?"""
    other, bar = spent.total(), BARS[name]
    load = os.getloadavg()[0]
    counted = "" if len(spent.costs) == spent.whole else f" ({len(spent.costs)} of {spent.whole} run)"
    print(f"{name}{counted}: {other.cpu:.0f} s of CPU, {other.wall:.0f} s by the clock; load {load:.1f}")
    by_cpu, by_wall = other.cpu / fleet.cpu, other.wall / fleet.wall
    print(f"  {by_cpu:.2f} times the CPU seconds, {by_wall:.2f} times by the clock (bar {bar:g})", flush=True)
    return other.cpu >= bar * fleet.cpu


def measure_checkpoints(args: argparse.Namespace, folder: Path) -> bool:
    """Parts 1 and 2."""
    models = copies(args.model, folder, args.checkpoints)
    files = {data: drawn(data, args, folder) for data in SETS}
    own = timed(command(args, models, list(files.values()), folder / "fleet"), folder / "fleet.log", {})
    print(f"one command, {len(models)} checkpoints x {len(files)} sets: {own.cpu:.0f} s of CPU, ", end="")
    print(f"{own.wall:.0f} s by the clock; load {os.getloadavg()[0]:.1f}", flush=True)
    pairs = [(model, data) for model in models for data in SETS]
    single, equal = Spent(len(pairs)), 0
    places = spread(args.alone, len(pairs))
    for place in places:
        model, data = pairs[place]
        out = folder / "alone" / f"{model.name}-{data}"
        single.costs.append(timed(command(args, [model], [files[data]], out), folder / "alone.log", {}))
        equal += (out / "samples.jsonl").read_bytes() == samples_of(
            folder / "fleet", f"{model.name}-", data
        ).read_bytes()
    print(f"{equal} of {len(places)} samples.jsonl are those of the single command, byte for byte")
    holds = told("single commands", own, single) and equal == len(places)
    if args.peer:
        holds &= measure_peer(args, models, files, own, folder)
    return holds


def measure_peer(
    args: argparse.Namespace, models: Sequence[Path], files: dict[str, str], own: Cost, folder: Path
) -> bool:
    """Part 2: lm-eval on the same prompts, a command a checkpoint."""
    spent, same, asked, gaps = Spent(len(models)), 0, 0, []
    for place in spread(max(1, args.alone // 2), len(models)):
        model, work = models[place], folder / f"peer-{place}"
        work.mkdir()
        tasks, window = [], 0
        for data in SETS:
            rows, facts = documents(asked_of_ours(str(model), files[data], data, args))
            tasks += asked_of_peer(work, data, rows, facts["generation"])
            window = max(window, facts["window"])
        loaded = f"pretrained={model},dtype={args.dtype},max_model_len={window},add_bos_token=False"
        on_cpu = not torch.cuda.is_available()
        loaded += ",enforce_eager=True,gpu_memory_utilization=0.4" if on_cpu else ""
        words = [args.peer, "-m", "lm_eval", "--model", "vllm", "--model_args", loaded, "--batch_size", "auto"]
        words += ["--tasks", ",".join(tasks), "--include_path", str(work), "--log_samples", "--output_path", str(work)]
        spent.costs.append(timed(words, folder / "peer.log", CPU_ENVIRONMENT if on_cpu else {}))
        ours: dict[str, Any] = {}
        for data in SETS:
            ours = {each["item_id"]: each for each in read_lines(samples_of(folder / "fleet", f"{model.name}-", data))}
            for line in _logged(work, f"{data}_words"):
                asked += 1
                same += ours[line["doc"]["id"]]["prediction"].strip() == line["resps"][0][0].strip()
        for line in _logged(work, f"{SETS[1]}_options"):
            gaps += _gaps(ours[line["doc"]["id"]], line)
    print(f"{same} of {asked} answers are lm-eval's; {sum(gap <= 1e-3 for gap in gaps)} of {len(gaps)} option")
    print(f"  log-likelihoods within 0.001 (largest gap {max(gaps):.2g})")
    return told("lm-eval", own, spent) and same >= 0.95 * asked


def _logged(work: Path, task: str) -> list[dict[str, Any]]:
    return read_lines(next(work.rglob(f"samples_{task}_*.jsonl")))


def _gaps(ours: dict[str, Any], line: dict[str, Any]) -> list[float]:
    theirs = [float(answer[0][0]) for answer in line["resps"]]
    if len(theirs) > len(ours["option_scores"]):
        # The prompt's last white space, which lm-eval counts into each option.
        spaces = theirs.pop()
        theirs = [value - spaces for value in theirs]
    return [abs(one - other) for one, other in zip(ours["option_scores"], theirs, strict=True)]


def measure_adapters(args: argparse.Namespace, folder: Path) -> bool:
    """Part 3."""
    adapters = adapters_of(args.model, folder / "adapters", args.adapters)
    file = drawn(SETS[0], args, folder)
    own = timed(command(args, adapters, [file], folder / "lora"), folder / "lora.log", {})
    print(f"one command, {len(adapters)} adapters: {own.cpu:.0f} s of CPU, {own.wall:.0f} s by the clock", flush=True)
    spent, same, asked = Spent(len(adapters)), 0, 0
    for place in spread(max(1, args.alone // 2), len(adapters)):
        merged = folder / f"merged-{place}"
        words = [sys.executable, "-c", MERGE, str(args.model), str(adapters[place]), str(merged)]
        first = timed(words, folder / "merge.log", {})
        out = folder / "merged-runs" / str(place)
        then = timed(command(args, [merged], [file], out), folder / "merged.log", {})
        spent.costs.append(Cost(first.cpu + then.cpu, first.wall + then.wall))
        theirs = {each["item_id"]: each["prediction"] for each in read_lines(out / "samples.jsonl")}
        for each in read_lines(samples_of(folder / "lora", f"{adapters[place].name}-")):
            asked += 1
            same += each["prediction"] == theirs[each["item_id"]]
    print(f"{same} of {asked} answers are those of the merged weights (float32 sums are rounded in another order)")
    return told("merge and load", own, spent) and same >= 0.95 * asked


def main() -> int:
    """Measure what is asked for; 1 where a claim does not hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, metavar="MODEL", help="folder of a small checkpoint")
    parser.add_argument("--data-dir", required=True)
    parser.add_argument("--peer", metavar="PYTHON", help="interpreter that has lm-eval 0.4.13 and the same vLLM")
    parser.add_argument("--checkpoints", type=int, default=8)
    parser.add_argument("--adapters", type=int, default=20, help="0: none")
    parser.add_argument("--items", type=int, default=20)
    parser.add_argument("--max-tokens", type=int, default=16)
    parser.add_argument("--alone", type=int, default=16, help="single commands that are run, of all there are")
    parser.add_argument("--dtype", default="float32")
    args = parser.parse_args()
    args.model = args.model.resolve()
    holds = True
    with tempfile.TemporaryDirectory() as folder:
        if args.checkpoints:
            holds &= measure_checkpoints(args, Path(folder))
        if args.adapters:
            holds &= measure_adapters(args, Path(folder))
    return int(not holds)


if __name__ == "__main__":
    sys.exit(main())
