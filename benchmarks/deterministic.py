"""Claim: with ``--deterministic`` an item's answer and likelihood hang on nothing but the item, to the last bit.

    python benchmarks/deterministic.py --model CKPT [--engine vllm] [--items 200] [--dtype bfloat16]

Asks a real checkpoint the same questions of TeleQuAD without their contexts, and takes the likelihood of their
references: in one run, by replicas that each have a share in reversed order, killed with SIGKILL part of the way and
resumed, and (vLLM) with another limit of tokens a step. Each is compared with the first, item by item. The usual mode,
where batches are made of what is there, is asked alike, and with another size of batch. Prints how many items differ
and the CPU seconds of each; exits with 1 if ``--deterministic`` let any item differ.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# What changes the size of a batch in the usual mode, and of a step in the deterministic one.
BATCHES = {"vllm": "max_num_seqs=8", "transformers": "batch_tokens=1024"}
STEPS = {"vllm": "max_num_batched_tokens=64"}

# Text of the answer, log-likelihood of each reference.
Answer = tuple[str, tuple[float, ...]]


@dataclass
class Bench:
    """Where runs are made, of which model, and what was spent on them."""

    folder: Path
    options: Sequence[str]
    rows: Sequence[dict[str, Any]]
    made: int = 0

    def run(self, rows: Sequence[dict[str, Any]], more: Sequence[str], *, kill_at: int = 0) -> tuple[Path, float]:
        """A run on these rows, begun anew where it was killed after so many answers: its folder, CPU seconds."""
        self.made += 1
        data, out = self.folder / f"{self.made}.jsonl", self.folder / f"run-{self.made}"
        data.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        command = [sys.executable, "-m", "telbench", "eval", *self.options, *more]
        command += ["--data", str(data), "--out", str(out)]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        if kill_at:
            _killed(command, out / "completions.jsonl", kill_at)
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return out, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    def answers(self, parts: Iterable[Sequence[dict[str, Any]]], more: Sequence[str], **how: int) -> _Answers:
        """All answers by item, of one run a part."""
        found: dict[str, Answer] = {}
        spent = 0.0
        for part in parts:
            out, seconds = self.run(part, more, **how)
            spent += seconds
            for line in (out / "samples.jsonl").open(encoding="utf-8"):
                sample = json.loads(line)
                likelihoods = tuple(value for value, _ in sample["reference_scores"] or ())
                found[sample["item_id"]] = (sample["prediction"], likelihoods)
        assert len(found) == len(self.rows)
        return _Answers(found, spent)


@dataclass
class _Answers:
    by_item: dict[str, Answer]
    seconds: float

    def differing(self, others: _Answers) -> tuple[int, int, float]:
        """Items with another text, with another likelihood, and the largest difference of likelihoods."""
        pairs = [(answer, others.by_item[item]) for item, answer in self.by_item.items()]
        texts = sum(one[0] != other[0] for one, other in pairs)
        gaps = [abs(a - b) for one, other in pairs for a, b in zip(one[1], other[1], strict=True)]
        return texts, sum(one[1] != other[1] for one, other in pairs), max(gaps, default=0.0)


def _killed(command: Sequence[str], journal: Path, after: int) -> None:
    """Start the command and kill all its processes once the journal has so many answers."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    while process.poll() is None and (not journal.is_file() or journal.read_bytes().count(b"\n") <= after):
        time.sleep(0.2)
    assert process.poll() is None, "the run ended before it could be killed"
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def questions(count: int) -> list[dict[str, Any]]:
    """The first questions of TeleQuAD's test split."""
    from telbench.harness.datasets.loading import load_dataset

    items = load_dataset("telequad", split="test").items[:count]
    return [{"id": item.id, "question": item.question, "references": list(item.references)} for item in items]


def compare(bench: Bench, engine: str, mode: Sequence[str], replicas: int) -> bool:
    """Print a line for each way of asking; True where no item differs from the first."""
    rows = bench.rows
    # As many runs of this list backwards as there are replicas, each with its share of the items.
    shares = [rows[::-1][place::replicas] for place in range(replicas)]
    ways: list[tuple[str, list[Sequence[dict[str, Any]]], list[str], int]] = [
        (f"{replicas} replicas, reversed", shares, [], 0)
    ]
    if mode:
        ways.append(("killed and resumed", [rows], [], len(rows) // 3))
    sizes = STEPS if mode else BATCHES
    if engine in sizes:
        ways.append((sizes[engine], [rows], ["--engine-option", sizes[engine]], 0))
    name = " ".join(mode) or "usual"
    first = bench.answers([rows], mode)
    print(f"{name:<16} {'one run':<28} {first.seconds:>8.1f} s CPU", flush=True)
    same = True
    for label, parts, more, kill_at in ways:
        found = bench.answers(parts, [*mode, *more], kill_at=kill_at)
        texts, likelihoods, gap = first.differing(found)
        same = same and not texts and not likelihoods
        told = f"{texts} texts and {likelihoods} likelihoods differ, by {gap:.1e} at most"
        print(f"{name:<16} {label:<28} {found.seconds:>8.1f} s CPU   {told}", flush=True)
    return same


def main() -> int:
    """Compare both modes; 1 where the deterministic one let anything differ."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--model", required=True)
    parser.add_argument("--engine", choices=sorted(BATCHES), default="vllm")
    parser.add_argument("--items", type=int, default=200)
    parser.add_argument("--max-tokens", type=int, default=24)
    parser.add_argument("--replicas", type=int, default=2)
    parser.add_argument("--dtype", default="auto")
    asked = parser.parse_args()
    options = ["--model", asked.model, "--engine", asked.engine, "--dtype", asked.dtype, "--no-cache"]
    options += ["--max-tokens", str(asked.max_tokens), "--metrics", "token_f1,reference_likelihood"]
    rows = questions(asked.items)
    print(f"{asked.engine}, {Path(asked.model).name}, {asked.dtype}, {len(rows)} items, {asked.max_tokens} tokens each")
    with tempfile.TemporaryDirectory() as name:
        bench = Bench(Path(name), options, rows)
        same = compare(bench, asked.engine, ["--deterministic"], asked.replicas)
        compare(bench, asked.engine, [], asked.replicas)
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
