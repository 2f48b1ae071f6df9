"""Claim: `telbench eval --adaptive` says what the full run says in at least 95 % of pairs, and asks a part of it.

Made models: right-or-wrong scores on questions in clauses of TeleQuAD's sizes. An item's difficulty is common to both
models (0.5 of the variance), and what they differ by is correlated within clauses (0.05). The candidate is unchanged,
or better by 0.03, 0.1 or 0.2 in truth. Counts how often a difference is claimed, how often the verdict is another than
that of `telbench compare` on all items, how often the interval misses the mean of all items at any look, and the share
of the items that is asked. Exits with 1 where an unchanged model is called different in more than 5 %, or the verdict
or the interval is wrong in more than 5 %, plus 3.5 standard errors.

With ``--mmlu-pro FOLDER``: real models. The folder holds the files ``eval_results/model_outputs_MODEL_5shots.zip`` of
TIGER-AI-Lab/MMLU-Pro on GitHub; every pair of models is one comparison, each in an order of its own. Documents are the
sources of the questions, then there are none. A last row shows what asking whole sources would take. ``--margin X``:
the gate's verdicts instead.

    python benchmarks/adaptive_error.py [--repeats 2000] [--mmlu-pro FOLDER] [--margin X]
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
from gate_error import clauses
from numpy.typing import NDArray

from telbench.harness.adaptive.candidate import Candidate, Finished
from telbench.harness.adaptive.order import looks
from telbench.harness.adaptive.place import Documents
from telbench.harness.adaptive.sequence import MOST, ODDS
from telbench.leaderboard.statistics import sign_flip
from telbench.leaderboard.statistics.clusters import clustered
from telbench.leaderboard.statistics.paired import FEW_ITEMS

ALPHA = 0.05
Scores = NDArray[np.float64]
Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class Outcome:
    """What one comparison came to: the full run's verdict, the adaptive one's, and at which share of the items."""

    full: str
    said: str | None
    share: float
    held: bool

    @property
    def agrees(self) -> bool:
        """Is it the verdict of the full run? What is not settled is asked whole, and so agrees."""
        return self.said in (None, self.full)


def full_verdict(differences: Scores, documents: Numbers, margin: float | None) -> str:
    """What `telbench compare` says of all items, or with a margin the gate by its bounds."""
    data = clustered(differences, documents)
    shown = int((differences != 0).sum()) >= FEW_ITEMS
    if margin is None:
        small = shown and float(sign_flip.two_sided(data.sums)) <= ALPHA
        return ("better" if data.mean > 0 else "worse") if small else "no difference"
    if float(sign_flip.tail(data.sums + margin * data.sizes, float((data.sums + margin * data.sizes).sum()))) < ALPHA:
        return "not worse"
    dropped = shown and float(sign_flip.tail(-data.sums, float(-data.sums.sum()))) <= ALPHA
    return "worse" if dropped else "inconclusive"


def compared(base: Scores, other: Scores, documents: Numbers, order: Numbers, margin: float | None) -> Outcome:
    """One comparison, asked in this order as an adaptive run does."""
    candidate = Candidate([Finished("base", "", base[order])], Documents(documents[order]), margin, ALPHA)
    total, done, held, mean = len(base), 0, True, float(other.mean())
    for upto in looks(total):
        given = other[order[done:upto]]
        candidate.add(given, given)
        done = upto
        if candidate.settled or done == total:
            break
    low, high = candidate.interval() if done < total else (mean, mean)
    held = low - 1e-9 <= mean <= high + 1e-9
    said = candidate.beside()[0].verdict if done < total else None
    return Outcome(full_verdict(other - base, documents, margin), said, done / total, held)


def whole_documents(base: Scores, other: Scores, documents: Numbers, draw: np.random.Generator) -> Outcome:
    """The same with whole documents, drawn by their size without replacement: the mean of each is one bet.

    A document of m items then has the expectation of one item of those left. The true critical difference is given
    away, and nothing is known beforehand; both only matter little where documents are few.
    """
    difference, sizes = other - base, np.bincount(documents).astype(float)
    data = clustered(difference, documents)
    means = np.bincount(documents, weights=difference) / sizes
    order = np.argsort(draw.exponential(size=len(sizes)) / sizes)
    weights, total, shown = sizes[order], sizes.sum(), 2 * (data.standard_error or 0.0)
    sides = [(1 + means[order]) / 2, (1 - means[order]) / 2]

    def above(side: Scores, mean: float) -> bool:
        n = len(side)
        sums = np.cumsum(side * weights[:n])
        left = (total * mean - sums + side * weights[:n]) / (total - np.cumsum(weights[:n]) + weights[:n])
        if total * mean < sums[-1] or left[-1] > 1:
            return total * mean < sums[-1]
        centre = (1 + np.cumsum(side)) / (np.arange(n) + 2)
        variance = np.concatenate([[0.25], np.cumsum((side - centre) ** 2)[:-1] + 0.25]) / np.arange(1, n + 1)
        stakes = np.sqrt(2 * math.log(2 / ALPHA) / (np.asarray(ODDS)[:, None] * len(sizes) * variance))
        won = np.cumsum(np.log1p(np.minimum(stakes, MOST / np.maximum(left, 1e-9)) * (side - left)), axis=1)
        return float(np.logaddexp.reduce(won, axis=0).max()) - math.log(len(ODDS)) >= math.log(2 / ALPHA)

    full = full_verdict(difference, documents, None)
    for n in range(1, len(sizes)):
        rises, falls = (side[:n] for side in sides)
        for said, settled in (
            ("better", above(rises, (1 + shown) / 2)),
            ("worse", above(falls, (1 + shown) / 2)),
            ("no difference", above(rises, (1 - shown) / 2) and above(falls, (1 - shown) / 2)),
        ):
            if settled:
                return Outcome(full, said, float(weights[:n].sum() / total), True)
    return Outcome(full, None, 1.0, True)


def told(name: str, outcomes: Sequence[Outcome]) -> bool:
    """Print a row; does it keep what is promised?"""
    repeats = len(outcomes)
    shares = np.array([each.share for each in outcomes])
    settled = np.array([each.said is not None for each in outcomes])
    other = 1 - np.mean([each.agrees for each in outcomes])
    missed = 1 - np.mean([each.held for each in outcomes])
    claims = np.mean([(each.said or each.full) in ("better", "worse") for each in outcomes])
    cells = (
        claims,
        other,
        missed,
        shares.mean(),
        np.median(shares),
        (settled & (shares <= 0.25)).mean(),
        settled.mean(),
    )
    print(f"| {name} | {repeats} | " + " | ".join(f"{100 * each:.1f}" for each in cells) + " |", flush=True)
    limit = ALPHA + 3.5 * math.sqrt(ALPHA * (1 - ALPHA) / repeats)
    return bool(max(other, missed) <= limit and ("unchanged" not in name or claims <= limit))


def made(sizes: Numbers, gain: float, repeats: int, draw: np.random.Generator) -> Iterator[tuple[Scores, Scores]]:
    """Scores of a baseline and a candidate that is better by ``gain`` in truth."""
    documents = np.repeat(np.arange(len(sizes)), sizes)
    shift = sign_flip.normal_quantile(0.5 + gain) if gain else 0.0
    for _ in range(repeats):
        common = math.sqrt(0.5) * draw.normal(size=len(documents))
        own = [
            math.sqrt(0.5 * 0.05) * draw.normal(size=len(sizes))[documents]
            + math.sqrt(0.5 * 0.95) * draw.normal(size=len(documents))
            for _ in range(2)
        ]
        yield (common + own[0] > 0).astype(float), (common + own[1] + shift > 0).astype(float)


def read_mmlu_pro(folder: Path) -> tuple[Scores, Numbers]:
    """(right or wrong by model and question, number of each question's source) of the files of whole models."""
    rows, sources = dict[str, dict[int, float]](), dict[int, str]()
    for file in sorted(folder.rglob("model_outputs_*.zip")):
        try:
            packed = zipfile.ZipFile(file)
        except zipfile.BadZipFile:
            continue
        with packed:
            name = next(each for each in packed.namelist() if each.endswith("json") and "MACOSX" not in each)
            answers = [each for each in json.loads(packed.read(name)) if isinstance(each, dict)]
        if len(answers) < 12_000:
            continue
        rows[file.stem] = {each["question_id"]: float(each.get("pred") == each["answer"]) for each in answers}
        sources |= {each["question_id"]: each["src"] for each in answers}
    ids = sorted(set[int].intersection(*(set(row) for row in rows.values())))
    _, numbers = np.unique([sources[each] for each in ids], return_inverse=True)
    print(f"{len(rows)} models, {len(ids)} questions of {numbers.max() + 1} sources", flush=True)
    return np.array([[row[each] for each in ids] for row in rows.values()]), numbers


def main() -> int:
    """Simulate, or read, and print; 0 when what is promised is kept."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repeats", type=int, default=2000)
    parser.add_argument("--mmlu-pro", type=Path)
    parser.add_argument("--margin", type=float)
    options = parser.parse_args()
    draw = np.random.default_rng(19)
    print(
        "| comparison | how many | called different | other verdict than all items | interval missed the mean "
        "| items asked | median | settled by a quarter | settled before the end |\n" + "|---" * 9 + "|"
    )
    fine = True
    if options.mmlu_pro is not None:
        scores, sources = read_mmlu_pro(options.mmlu_pro)
        for name, documents in (("sources", sources), ("no documents", np.arange(len(sources)))):
            outcomes = [
                compared(scores[a], scores[b], documents, draw.permutation(len(sources)), options.margin)
                for a, b in combinations(range(len(scores)), 2)
            ]
            fine = told(f"MMLU-Pro, {name}", outcomes) and fine
        if options.margin is None:
            pairs = combinations(range(len(scores)), 2)
            told("MMLU-Pro, whole sources", [whole_documents(scores[a], scores[b], sources, draw) for a, b in pairs])
        return 0 if fine else 1
    for times in (1, 4):
        sizes = np.tile(clauses(1), times)
        documents = np.repeat(np.arange(len(sizes)), sizes)
        for gain in (0.0, 0.03, 0.1, 0.2):
            outcomes = [
                compared(base, other, documents, draw.permutation(len(documents)), options.margin)
                for base, other in made(sizes, gain, options.repeats, draw)
            ]
            name = "unchanged" if not gain else f"better by {gain:g}"
            fine = told(f"{len(documents):,} in {len(sizes)} clauses, {name}", outcomes) and fine
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
