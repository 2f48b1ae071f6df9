"""Claim: BERTScore of ten checkpoints that share references takes bert-score 1.8 times our CPU time, or more.

Scores seeded answers of ten made-up checkpoints to 1,000 items whose references are sentences of telecom-nano, with a
random BERT of 6 layers and width 384 made on the spot: `bert_score.score` once a checkpoint, and telbench's metrics as
ten processes would compute them one after another (encoder opened anew each time, references kept on disk). The two
take turns in one process with one thread. The random encoder gives no token a negative best cosine: with a real one
bert-score's values of short answers depend on the padding of their batch (docs/metrics.md), and are equal to ours to
the tolerance with its batch_size=1. Prints CPU seconds, the ratio, the ratio of a single checkpoint with an empty
cache (which must be 1 or more), and the largest difference of any precision, recall or F1; exits with 1 when a ratio or
the difference (1e-5) fails.

    python benchmarks/bertscore_shared.py [--checkpoints 10] [--items 1000]
"""

from __future__ import annotations

import argparse
import math
import os
import random
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

# One thread each, before numpy and torch are imported: CPU seconds then do not depend on who else computes.
os.environ.update(OMP_NUM_THREADS="1", HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false")

import bert_score
import torch

from telbench.harness.datasets.loading import load_dataset
from telbench.kd.tiny.encoder import EncoderShape, build_encoder, train_lowercase_bpe
from telbench.metrics.contract import Resources, Sample, metrics_named
from telbench.metrics.embedding.encoder import open_encoder

SHAPE = EncoderShape(hidden=384, layers=6, heads=12, inner=1536, window=256)
NAMES = ("bertscore_precision", "bertscore_recall", "bertscore")
SHARED_RATIO, SINGLE_RATIO, TOLERANCE = 1.8, 1.0, 1e-5
SINGLES = 3

Values = list[list[float]]


def sentences() -> list[str]:
    """Distinct sentences of telecom-nano's references and contexts, in a seeded order."""
    items = load_dataset("telecom-nano", split="all").items
    texts = [text for item in items for text in (*item.references, *(item.context or "").split(". "))]
    distinct = [text for text in dict.fromkeys(texts) if len(text.split()) > 5]
    return random.Random(0).sample(distinct, len(distinct))


def answers(references: Sequence[str], checkpoint: int) -> list[str]:
    """Each reference with a stretch of words from another one put in place of some of its own."""
    rng = random.Random(f"checkpoint {checkpoint}")
    made = []
    for reference in references:
        words, others = reference.split(), rng.choice(references).split()
        start, length = rng.randrange(len(words)), rng.randint(1, 6)
        made.append(" ".join([*words[:start], *others[:length], *words[start + length :]]))
    return made


def make_encoder(folder: Path, texts: Sequence[str]) -> None:
    """A random BERT of realistic small size with a tokenizer learnt from the texts."""
    tokenizer = train_lowercase_bpe(texts, 6000, SHAPE.window)
    tokenizer.save_pretrained(folder)
    model = build_encoder(SHAPE, tokenizer, seed=0)
    with torch.no_grad():
        for weight in model.parameters():
            # Wider than a training would start: otherwise all tokens look alike and every value is close to 1.
            weight.mul_(4 if weight.dim() > 1 else 1)
    model.save_pretrained(folder)


def ours(folder: Path, predictions: Sequence[str], references: Sequence[str]) -> Values:
    """Precision, recall and F1 as a new process computes them: nothing in memory."""
    open_encoder.cache_clear()
    samples = [
        Sample(str(k), one, (other,)) for k, (one, other) in enumerate(zip(predictions, references, strict=True))
    ]
    columns = [metric.score(samples) for metric in metrics_named(NAMES, Resources(folder))]
    return [
        [float("nan") if score.value is None else score.value for score in row] for row in zip(*columns, strict=True)
    ]


def theirs(folder: Path, predictions: Sequence[str], references: Sequence[str]) -> Values:
    """The same from the bert-score package."""
    parts: Any = bert_score.score(
        list(predictions),
        list(references),
        model_type=str(folder),
        num_layers=SHAPE.layers,
        batch_size=64,
        device="cpu",
    )
    return [list(row) for row in zip(*(part.tolist() for part in parts), strict=True)]


def timed(
    score: Callable[[Path, Sequence[str], Sequence[str]], Values], *given: Path | Sequence[str]
) -> tuple[float, Values]:
    """CPU seconds of the process, and what was computed."""
    start = time.process_time()
    values = score(*given)  # pyright: ignore[reportArgumentType]
    return time.process_time() - start, values


def largest_difference(left: Values, right: Values) -> float:
    """Over all values; infinite when one is no number."""
    gaps = [abs(a - b) for rows in zip(left, right, strict=True) for a, b in zip(*rows, strict=True)]
    return max(float("inf") if math.isnan(gap) else gap for gap in gaps)


def main() -> int:
    """Measure and print; 0 when both ratios and all values hold."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--checkpoints", type=int, default=10)
    parser.add_argument("--items", type=int, default=1000)
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    texts = sentences()
    references = texts[: arguments.items]
    if len(references) < arguments.items:
        parser.error(f"--items {arguments.items}: telecom-nano has {len(references)} sentences")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "encoder"
        make_encoder(folder, texts)
        os.environ["TELBENCH_CACHE"] = str(Path(scratch) / "warm-up")
        for score in (ours, theirs):
            score(folder, texts[:8], texts[1:9])

        total = {"ours": 0.0, "theirs": 0.0}
        single = {"ours": 0.0, "theirs": 0.0}
        worst, f1 = 0.0, list[float]()
        print(f"{len(references):,} items, CPU seconds")
        print(f"{'checkpoint':12} {'bert-score':>10} {'telbench':>10} {'alone':>10}")
        for number in range(arguments.checkpoints):
            given = (folder, answers(references, number), references)
            found: dict[str, tuple[float, Values]] = {}
            alone = None
            for side in ("ours", "theirs") if number % 2 else ("theirs", "ours"):
                os.environ["TELBENCH_CACHE"] = str(Path(scratch) / "shared")
                found[side] = timed(ours if side == "ours" else theirs, *given)
            if number < SINGLES:
                os.environ["TELBENCH_CACHE"] = str(Path(scratch) / f"alone-{number}")
                alone = timed(ours, *given)[0]
                single = {"ours": single["ours"] + alone, "theirs": single["theirs"] + found["theirs"][0]}
            total = {side: total[side] + found[side][0] for side in total}
            f1 += [row[-1] for row in found["ours"][1]]
            worst = max(worst, largest_difference(found["ours"][1], found["theirs"][1]))
            last = "" if alone is None else f"{alone:10.2f}"
            print(f"{number + 1:<12} {found['theirs'][0]:10.2f} {found['ours'][0]:10.2f} {last}", flush=True)
    shared_ratio, single_ratio = (side["theirs"] / side["ours"] for side in (total, single))
    print(f"{'total':12} {total['theirs']:10.2f} {total['ours']:10.2f}")
    print(f"{shared_ratio:.2f}x for {arguments.checkpoints} checkpoints, {single_ratio:.2f}x for one alone")
    print(f"largest difference {worst:.1e}, F1 from {min(f1):.2f} to {max(f1):.2f}")
    return 0 if shared_ratio >= SHARED_RATIO and single_ratio >= SINGLE_RATIO and worst <= TOLERANCE else 1


if __name__ == "__main__":
    sys.exit(main())
