"""Claim: for each further item, scoring given answers takes at most 300 bytes beyond the item and answer themselves.

Run: ``python benchmarks/replay_memory.py [ITEMS ...]`` (Linux). For each size it writes a data file (open questions
with a context, ten from each source document) and a predictions file into a scratch folder. One process loads both and
holds them: its resident memory is what items and answers take themselves. Another makes the whole run with the default
metrics: its peak is what telbench takes. Between the last two sizes the peak may grow by ``ALLOWED`` bytes an item more
than what is held grows; where it grows by more, the exit code is 1. What an item takes beyond is its prompt's key and
its place in the journal; sums of metric statistics (344 bytes with the default metrics) are kept for each document, and
once more while resamples are drawn. What does not depend on the number of items (libraries, text caches, a chunk of
samples being scored) is in the peaks and not in the growth.
"""

from __future__ import annotations

import gc
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SIZES = (1_000, 10_000, 100_000)
WORDS = [
    "the",
    "gNB",
    "sends",
    "RRC",
    "UE",
    "AMF",
    "session",
    "QoS",
    "flow",
    "handover",
    "cell",
    "beam",
    "of",
    "in",
    "a",
]
CONTEXT_WORDS, ANSWER_WORDS = 150, 20
# Bytes an item beyond the items and the answers.
ALLOWED = 300


def write_files(folder: Path, items: int) -> tuple[Path, Path]:
    """A data file and a predictions file of so many items; ten items share a source document."""
    draw = random.Random(items)
    data, answers = folder / "data.jsonl", folder / "answers.jsonl"
    with data.open("w") as questions, answers.open("w") as predictions:
        for index in range(items):
            item = {
                "id": f"item-{index}",
                "question": f"{_text(draw, 10)} {index}?",
                "references": [_text(draw, ANSWER_WORDS)],
                "context": _text(draw, CONTEXT_WORDS),
                "source_document": f"document-{index // 10}",
            }
            questions.write(json.dumps(item) + "\n")
            predictions.write(json.dumps({"id": item["id"], "prediction": _text(draw, ANSWER_WORDS)}) + "\n")
    return data, answers


def _text(draw: random.Random, words: int) -> str:
    return " ".join(draw.choices(WORDS, k=words))


def in_own_process(task: str, *arguments: str) -> dict[str, float]:
    """What ``task`` of this script measured in a process of its own."""
    done = subprocess.run([sys.executable, __file__, task, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def hold(data: str, answers: str) -> None:
    """Child: load items and answers, print the resident memory while both are held."""
    from telbench.harness.datasets.loading import load_dataset
    from telbench.harness.engines.replay import read_answers

    dataset = load_dataset(data)
    predictions = read_answers(Path(answers), [item.id for item in dataset.items])
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    assert len(dataset.items) == len(predictions.texts)
    print(json.dumps({"bytes": pages * resource.getpagesize()}))


def score(arguments: list[str]) -> None:
    """Child: score, then print the own peak."""
    from telbench.harness.cli.main import main

    started = time.perf_counter()
    code = main(["score", *arguments])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"bytes": peak, "seconds": time.perf_counter() - started}))
    sys.exit(code)


def main(sizes: list[int]) -> int:
    """Print a line a size, then the growth between the last two; 1 where it exceeds the bound."""
    rows: list[tuple[int, float, float]] = []
    print(f"{'items':>8} {'files MB':>9} {'held MB':>8} {'peak MB':>8} {'seconds':>8}")
    for items in sizes:
        with tempfile.TemporaryDirectory() as name:
            data, answers = write_files(Path(name), items)
            size = data.stat().st_size + answers.stat().st_size
            held = in_own_process("--hold", str(data), str(answers))["bytes"]
            run = in_own_process("--score", str(answers), "--data", str(data), "--out", str(Path(name) / "run"))
        rows.append((items, held, run["bytes"]))
        print(
            f"{items:>8} {size / 1e6:>9.1f} {held / 1e6:>8.1f} {run['bytes'] / 1e6:>8.1f} {run['seconds']:>8.1f}",
            flush=True,
        )
    if len(rows) < 2:
        return 0
    (fewer, held_low, low), (more, held_high, high) = rows[-2:]
    own, grown = ((end - start) / (more - fewer) for start, end in ((held_low, held_high), (low, high)))
    print(
        f"from {fewer} to {more} items: items and answers take {own:.0f} bytes an item, the whole run's peak grows by "
        f"{grown:.0f}: {grown - own:.0f} beyond them (allowed {ALLOWED})"
    )
    return int(grown - own > ALLOWED)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--hold"]:
        hold(*sys.argv[2:])
    elif sys.argv[1:2] == ["--score"]:
        score(sys.argv[2:])
    else:
        sys.exit(main([int(each) for each in sys.argv[1:]] or list(SIZES)))
