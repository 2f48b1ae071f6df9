"""What a judge knows, told without people: the right option of a question against a distractor.

Any multiple-choice set has the pairs. The judge sees question and both answers, no reference, in both orders; it should
prefer the right one. A judge that contradicts itself counts as one that tosses a coin.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from telbench.errors import InputError

from ...judges.calibration.agreement import RESAMPLES, CoefficientEstimate, cluster_draws, estimate, mean_of
from ...judges.calibration.preference import AnswerPair, PairOutcome, Preferences
from ..cli.tables import columns
from ..datasets.items import DataSet, Item

WORTH: dict[str | None, float] = {"A": 1.0, "tie": 0.5, "B": 0.0}
ALL = "all"


@dataclass(frozen=True)
class BenchmarkRow:
    """Pairs of one category, by what became of the right answer; ``accuracy`` counts ties as half."""

    category: str
    n: int
    right: int
    ties: int
    wrong: int
    missing: int
    accuracy: CoefficientEstimate

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


def choice_pairs(dataset: DataSet, seed: int = 0) -> tuple[list[AnswerPair], dict[str, Item]]:
    """(Right option, distractor drawn by seed and item) of every question with one right option, and items by id.

    Raises:
        InputError: for a set without such questions.
    """
    pairs: list[AnswerPair] = []
    for item in dataset.items:
        others = [choice for place, choice in enumerate(item.choices) if place not in item.answer]
        if len(item.answer) != 1 or not others:
            continue
        wrong = random.Random(f"distractor:{seed}:{item.id}").choice(others)
        pairs.append(AnswerPair(item.id, item.question, (), item.choices[item.answer[0]], wrong, item.context))
    if not pairs:
        raise InputError(
            f"{dataset.name}, split {dataset.split}, has no multiple-choice question with one right option: choose "
            "another --data, such as teleqna"
        )
    return pairs, {item.id: item for item in dataset.items}


def benchmark_rows(found: Preferences, items: dict[str, Item]) -> list[BenchmarkRow]:
    """All pairs by the panel's majority, then those of each category; intervals resample source documents."""
    groups: dict[str, list[PairOutcome]] = defaultdict(list)
    for pair in found.pairs:
        groups[items[pair.item_id].category or "no category"].append(pair)
    rows = [_row(ALL, found.pairs, items)]
    return rows + ([_row(name, groups[name], items) for name in sorted(groups)] if len(groups) > 1 else [])


def benchmark_lines(found: Preferences, rows: Sequence[BenchmarkRow], dataset: DataSet) -> list[str]:
    """The table for a reader at a terminal."""
    cells = [["", "pairs", "right", "ties", "wrong", "missing", "accuracy", "95 %"]]
    for row in rows:
        of = row.accuracy
        ends = "" if of.low is None or of.high is None else f"[{of.low:.3f}, {of.high:.3f}]"
        counts = [str(each) for each in (row.n, row.right, row.ties, row.wrong, row.missing)]
        cells.append([row.category, *counts, "N/A" if of.value is None else f"{of.value:.3f}", ends])
    first = "N/A" if found.panel.first_share is None else f"{found.panel.first_share:.2f}"
    where = f"{dataset.name}, split {dataset.split}"
    return [
        f"{found.panel.judge} on {where}: rubric {found.rubric}, both orders, no reference",
        *columns(cells, "<>>>>>><"),
        f"{found.panel.order_conflicts} of the ties are order conflicts; verdicts for the answer shown first: {first}",
    ]


def _row(category: str, pairs: Sequence[PairOutcome], items: dict[str, Item]) -> BenchmarkRow:
    said = [pair for pair in pairs if pair.outcome is not None]
    values = [WORTH[pair.outcome] for pair in said]
    clusters = [items[pair.item_id].source_document or pair.item_id for pair in said]
    accuracy = estimate(
        lambda places: mean_of([values[place] for place in places], "no pair has a verdict"),
        clusters,
        cluster_draws(clusters, RESAMPLES, 0) if clusters else [],
    )
    right, ties, wrong = (sum(pair.outcome == which for pair in said) for which in ("A", "tie", "B"))
    return BenchmarkRow(category, len(pairs), right, ties, wrong, len(pairs) - len(said), accuracy)
