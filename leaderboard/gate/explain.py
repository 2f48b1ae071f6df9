"""What the columns, verdicts, flags and terms of a gate mean: those that occur in the one at hand, in plain words."""

from __future__ import annotations

from collections.abc import Sequence

from ...harness.cli.tables import Block, Words
from ..compare.explain import FLAGS, PHRASES
from .gate import Gate

COLUMNS: dict[str, str] = {
    "role": "primary metrics have to prove that they did not drop by more than the margin; guardrails, and primary "
    "metrics within a category, fail only where a drop beyond their budget is proven",
    "baseline, candidate": "the scores on the items that both runs have; an item that the candidate did not answer "
    "counts as the worst answer",
    "difference": "candidate minus baseline, item by item, averaged, and turned so that + is better in every metric",
    "bounds": "the true difference is above the first, with the confidence asked for, and below the second",
    "margin, budget": "the largest drop to accept: the margin of a primary metric, the budget of others",
    "n": "items with a score in both runs",
}
VERDICTS: dict[str, str] = {
    "PASS": "of a primary metric: any drop is smaller than the margin; of a guardrail: no drop is shown",
    "PASS_SMALL_DROP": "a drop is shown, and it is not shown to be too large",
    "INCONCLUSIVE": "too little to tell: neither a drop is shown nor that any drop is small enough",
    "FAIL": "a drop is shown that may exceed the margin, or that exceeds the budget",
    "FAIL_HARD": "a drop is shown that exceeds the margin",
}
# Looked for in the lines that are printed.
TERMS: dict[str, str] = {
    "effective source documents": PHRASES["effective source documents"],
    "80 % power": "so large a true drop is found in four cases of five; what is smaller may well stay unseen",
    "adjusted p": "how often chance alone gives so large a drop, corrected for the metrics of the same role",
    "all of them together": "many guardrails are as many chances of a false alarm; Holm's correction keeps the risk of "
    "any at the error rate",
    "at this baseline": "this look decides at levels of its own, so that the error rates hold over all looks at the "
    "baseline; what earlier looks lost of them is gone, what they did not use is in the levels of this one",
    "exit code": "0 no regression, 1 regression, 2 bad input, 3 inconclusive where that is to fail, 4 not comparable",
}


def explained_gates(gates: Sequence[Gate], lines: Sequence[str]) -> list[Block]:
    """``word: meaning`` for the columns, and for the verdicts, flags and terms that the gates and their lines have."""
    metrics = [each for gate in gates for each in gate.metrics]
    text, verdicts = "\n".join(lines), {each.verdict for each in metrics}
    flags = {flag: dict.fromkeys(each.title for each in metrics if flag in each.flags) for flag in FLAGS}
    told = [
        *(f"{word}: {meaning}" for word, meaning in COLUMNS.items()),
        *(f"{word}: {meaning}" for word, meaning in VERDICTS.items() if word in verdicts),
        *(f"{word}: {meaning}" for word, meaning in TERMS.items() if word in text),
        *(f"flag {flag} ({', '.join(names)}): {FLAGS[flag]}" for flag, names in flags.items() if names),
    ]
    return [Words("what this means", "title"), *map(Words, told)]
