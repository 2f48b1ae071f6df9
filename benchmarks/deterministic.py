"""Claim: with ``--deterministic`` an item's answer and likelihood hang on nothing but the item, to the last bit.

    python benchmarks/deterministic.py --model CKPT [--engine vllm] [--items 200] [--dtype bfloat16]

Asks a real checkpoint the same questions of TeleQuAD without their contexts, and takes the likelihood of their
references: in one run, by replicas that each have a share in reversed order, killed with SIGKILL part of the way and
resumed. Each is compared with the first, item by item. The usual mode, where batches are made of what is there, is
asked alike, and with another size of batch. Prints how many items differ, the CPU seconds of each and the seconds that
the engine was at work once it was loaded; exits with 1 if ``--deterministic`` let any item differ. With vLLM it is also
asked with another limit of tokens a step: then a long prompt is read in parts and may be rounded otherwise, so that
option belongs to a run's identity, and what differs there counts for nothing.

On a GPU ``--batch-invariant`` asks the usual mode with vLLM's batch-invariant kernels too, ``--together N`` makes N
runs at once, and ``--engine-option`` gives each its share of the GPU.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

# What changes the size of a batch in the usual mode, and in the deterministic one that of a step, which is not promised
# to change nothing.
BATCHES = {"vllm": "max_num_seqs=8", "transformers": "batch_tokens=1024"}
STEPS = {"vllm": "max_num_batched_tokens=64"}

# Text of the answer, log-likelihood of each reference.
Answer = tuple[str, tuple[float, ...]]


@dataclass(frozen=True)
class Way:
    """One way of asking all rows: a run a part, with further options and environment, killed after so many answers."""

    mode: str
    label: str
    parts: Sequence[Sequence[dict[str, Any]]]
    options: Sequence[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    kill_at: int = 0
    promised: bool = False


@dataclass(frozen=True)
class Bench:
    """Where runs are made, with which options that all have."""

    folder: Path
    options: Sequence[str]

    def asked(self, way: Way) -> _Answers:
        """All answers by item, and what they cost."""
        found: dict[str, Answer] = {}
        processor = engine = 0.0
        for number, part in enumerate(way.parts):
            out, seconds = self._run(f"{way.mode}-{way.label}-{number}".replace(" ", "-"), part, way)
            processor += seconds
            engine += json.loads((out / "run.json").read_text(encoding="utf-8"))["seconds"]["generate"]
            for line in (out / "samples.jsonl").open(encoding="utf-8"):
                sample = json.loads(line)
                likelihoods = tuple(value for value, _ in sample["reference_scores"] or ())
                found[sample["item_id"]] = (sample["prediction"], likelihoods)
        return _Answers(found, processor, engine)

    def _run(self, name: str, rows: Sequence[dict[str, Any]], way: Way) -> tuple[Path, float]:
        """A run on these rows, begun anew where it was killed: its folder, CPU seconds of all its processes."""
        data, out = self.folder / f"{name}.jsonl", self.folder / name
        data.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        command = [sys.executable, "-m", "telbench", "eval", *self.options, *way.options]
        command += ["--data", str(data), "--out", str(out)]
        environment = {**os.environ, **way.environment}
        spent = _killed(command, environment, out / "completions.jsonl", way.kill_at) if way.kill_at else 0.0
        with (self.folder / f"{name}.txt").open("wb") as told:
            process = subprocess.Popen(command, stdout=told, stderr=told, env=environment)
            code, seconds = _ended(process)
        if code:
            lines = (self.folder / f"{name}.txt").read_text(encoding="utf-8", errors="replace").strip().splitlines()
            raise RuntimeError(f"{way.mode}, {way.label} ended with {code}: {(lines or ['nothing was said'])[-1]}")
        return out, spent + seconds


def _ended(process: subprocess.Popen[bytes]) -> tuple[int, float]:
    """Exit code and CPU seconds of the process and of those that it waited for."""
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode, used.ru_utime + used.ru_stime


@dataclass(frozen=True)
class _Answers:
    """Answers by item; CPU seconds, and seconds of a loaded engine."""

    by_item: dict[str, Answer]
    processor: float
    engine: float

    def differing(self, others: _Answers) -> tuple[int, int, float]:
        """Items with another text, with another likelihood, and the largest difference of likelihoods."""
        pairs = [(answer, others.by_item[item]) for item, answer in self.by_item.items()]
        texts = sum(one[0] != other[0] for one, other in pairs)
        gaps = [abs(a - b) for one, other in pairs for a, b in zip(one[1], other[1], strict=True)]
        return texts, sum(one[1] != other[1] for one, other in pairs), max(gaps, default=0.0)


def _killed(command: Sequence[str], environment: Mapping[str, str], journal: Path, after: int) -> float:
    """Start the command, kill all its processes once the journal has so many answers; CPU seconds until then."""
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(command, stdout=quiet, stderr=quiet, env=environment, start_new_session=True)
    while process.poll() is None and (not journal.is_file() or journal.read_bytes().count(b"\n") <= after):
        time.sleep(0.2)
    if process.returncode is not None:
        raise RuntimeError("the run ended before it could be killed")
    os.killpg(process.pid, signal.SIGKILL)
    return _ended(process)[1]


def questions(data: str, count: int) -> list[dict[str, Any]]:
    """The first questions of a data set's test split, each with its references and nothing else."""
    from telbench.harness.datasets.loading import load_dataset

    items = load_dataset(data, split="test").items[:count]
    return [{"id": item.id, "question": item.question, "references": list(item.references)} for item in items]


def ways_of(
    rows: Sequence[dict[str, Any]], engine: str, mode: str, replicas: int, environment: Mapping[str, str]
) -> list[Way]:
    """The ways of asking in one mode; the others are held against the first."""
    alone = mode == "--deterministic"
    options = [mode] if alone else []
    # As many runs of this list backwards as there are replicas, each with its share of the items.
    shares = [rows[::-1][place::replicas] for place in range(replicas)]
    ways = [
        Way(mode, "one run", [rows], options, environment),
        Way(mode, f"{replicas} replicas, reversed", shares, options, environment, promised=alone),
    ]
    if alone:
        ways.append(Way(mode, "killed and resumed", [rows], options, environment, len(rows) // 3, promised=True))
    sizes = STEPS if alone else BATCHES
    if engine in sizes:
        ways.append(Way(mode, sizes[engine], [rows], [*options, "--engine-option", sizes[engine]], environment))
    return ways


def main() -> int:
    """Compare the modes; 1 where the deterministic one let anything differ."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--model", required=True)
    parser.add_argument("--engine", choices=sorted(BATCHES), default="vllm")
    parser.add_argument("--data", default="telequad")
    parser.add_argument("--items", type=int, default=200)
    parser.add_argument("--max-tokens", type=int, default=24)
    parser.add_argument("--replicas", type=int, default=2)
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--batch-invariant", action="store_true")
    parser.add_argument("--together", type=int, default=1)
    parser.add_argument("--engine-option", default="")
    asked = parser.parse_args()
    options = ["--model", asked.model, "--engine", asked.engine, "--dtype", asked.dtype, "--no-cache"]
    options += ["--max-tokens", str(asked.max_tokens), "--metrics", "token_f1,reference_likelihood"]
    options += ["--engine-option", asked.engine_option] if asked.engine_option else []
    rows = questions(asked.data, asked.items)
    modes: dict[str, Mapping[str, str]] = {"--deterministic": {}, "usual": {}}
    if asked.batch_invariant:
        modes["batch-invariant"] = {"VLLM_BATCH_INVARIANT": "1"}
    plans = {
        mode: ways_of(rows, asked.engine, mode, asked.replicas, environment) for mode, environment in modes.items()
    }
    print(f"{asked.engine}, {Path(asked.model).name}, {asked.dtype}, {len(rows)} items, {asked.max_tokens} tokens each")
    same = True
    with tempfile.TemporaryDirectory() as name, ThreadPoolExecutor(asked.together) as pool:
        bench = Bench(Path(name), options)
        asking = {mode: [pool.submit(bench.asked, way) for way in ways] for mode, ways in plans.items()}
        for mode, ways in plans.items():
            first: _Answers | None = None
            for way, future in zip(ways, asking[mode], strict=True):
                label = f"{mode:<16} {way.label:<28}"
                try:
                    found = future.result()
                except RuntimeError as error:
                    print(f"{label} failed: {error}", flush=True)
                    same = same and mode != "--deterministic"
                    continue
                told = f"{label} {found.processor:>8.1f} s CPU {found.engine:>7.1f} s engine"
                if first is None:
                    first = found
                else:
                    texts, likelihoods, gap = first.differing(found)
                    same = same and not (way.promised and (texts or likelihoods))
                    told += f"   {texts} texts and {likelihoods} likelihoods differ, by {gap:.1e} at most"
                print(told, flush=True)
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
