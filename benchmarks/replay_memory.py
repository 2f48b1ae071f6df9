"""Peak memory of scoring given answers, by number of items: it may grow by the items and answers, by little more.

Run: ``python benchmarks/replay_memory.py [ITEMS ...]``. For each size it writes a data file (open questions with a
context) and a predictions file into a scratch folder, scores them in a process of its own and prints the peak resident
memory of that process beside the bytes of both files.
"""

from __future__ import annotations

import json
import random
import resource
import subprocess
import sys
import tempfile
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
METRICS = "ngram"


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


def peak_of_scoring(data: Path, answers: Path, out: Path) -> tuple[int, float]:
    """Peak resident bytes and seconds of one ``telbench score`` in its own process."""
    command = [sys.executable, __file__, "--score", str(answers), "--data", str(data), "--out", str(out)]
    done = subprocess.run([*command, "--metrics", METRICS], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    measured = json.loads(done.stdout.splitlines()[-1])
    return measured["peak_bytes"], measured["seconds"]


def score(arguments: list[str]) -> None:
    """Child: score, then print the own peak."""
    import time

    from telbench.harness.cli import main

    started = time.perf_counter()
    code = main(["score", *arguments])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(json.dumps({"peak_bytes": peak, "seconds": time.perf_counter() - started}))
    sys.exit(code)


def main(sizes: list[int]) -> None:
    """Print a line a size, then the growth between the last two against the growth of their files."""
    rows = []
    print(f"{'items':>8} {'files MB':>9} {'peak MB':>8} {'peak/files':>10} {'seconds':>8}")
    for items in sizes:
        with tempfile.TemporaryDirectory() as name:
            data, answers = write_files(Path(name), items)
            size = data.stat().st_size + answers.stat().st_size
            peak, seconds = peak_of_scoring(data, answers, Path(name) / "run")
        rows.append((items, size, peak))
        print(f"{items:>8} {size / 1e6:>9.1f} {peak / 1e6:>8.1f} {peak / size:>10.2f} {seconds:>8.1f}", flush=True)
    if len(rows) > 1:
        (fewer, small, low), (more, large, high) = rows[-2:]
        growth, files = high - low, large - small
        per_item = growth / (more - fewer)
        ratio = growth / files
        print(
            f"from {fewer} to {more} items: {growth / 1e6:.1f} MB more memory for {files / 1e6:.1f} MB more of files",
            end="",
        )
        print(f" (ratio {ratio:.2f}, {per_item:.0f} bytes an item)")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--score"]:
        score(sys.argv[2:])
    else:
        main([int(each) for each in sys.argv[1:]] or list(SIZES))
