"""What the columns, verdicts and words of a report mean: those that occur in the report at hand, in plain words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ...harness.cli.tables import Block, Grid, Words
from ..statistics.clusters import FEW_CARRIERS
from ..statistics.paired import FEW_CLUSTERS, FEW_ITEMS
from .answer import Compared

SIGN_CONFLICT = "mean and ranks point in opposite directions: many small changes one way, few large ones the other"
# Their words are those of the board's glossary (leaderboard/site/terms.py).
COLUMNS: dict[str, str] = {
    "metric": "what is measured; telbench metrics show NAME says how",
    "category": "the part of the questions that the row is about",
    "rank": "the ranks that a run may have: 1 + the runs shown to be better, up to all minus those shown to be worse",
    "run": "the run that the row is about",
    "score": "the run's score on the items that all runs have",
    "group": "runs that share a letter are not shown to differ; runs without a letter in common are",
    "mean rank": "the mean place of the run within a source document, 1 for the best",
    "difference": "{run} minus {base}, item by item, averaged; in brackets the differences that the data do not rule "
    "out, for all tested rows together",
    "p": "how often runs that are equally good would differ so much by chance, corrected for the number of rows; 0.05 "
    "or less is taken as shown",
    "verdict": "what may be claimed; each is told below",
    "sees": "the smallest true difference that the row would have shown in four cases of five; what is smaller may "
    "well stay unseen, and more source documents see more",
    "calibrated": "where the first run's score and this one's lie between unrelated texts (0) and right ones (1)",
    "r": "rank-biserial correlation: +1 where every item that differs is better, -1 where every one is worse",
    "wins/ties/losses": "items on which the run is better, equal and worse",
    "n": "items with a score in both runs",
    "recipe": "all that was set in a training but its seed",
    "over seeds": "the mean effect over training seeds: whether the recipe is better, not only these checkpoints",
    "by seed": "the effect with each training seed",
    "contrast": "what is changed: main (a factor by itself), interaction (one factor depends on another), simple and "
    "within (a factor where others are held)",
    "effect": "the mean change of an item's score, + is better",
    "p Wilcoxon": "the same by the signed-rank test",
}
VERDICTS: dict[str, str] = {
    "better": "a gain is shown, after correction for all rows",
    "worse": "a loss is shown, after correction for all rows",
    "better, mixed": "the mean gain is shown, though most items lose: few large gains outweigh many small losses",
    "worse, mixed": "the mean loss is shown, though most items gain: few large losses outweigh many small gains",
    "not shown": "no difference is shown, which does not mean that there is none: sees tells how large one could have "
    "stayed unseen",
    "identical": "every item has the same score in both runs",
    "too few": f"fewer than {FEW_CLUSTERS:.0f} effective source documents, or fewer than so many rows take, or "
    f"fewer than {FEW_ITEMS} items that differ: nothing is claimed, whatever the numbers look like",
    "base": "the run that all others are held against",
    "no pair": "no item has a score in this run and in the first",
}
FLAGS: dict[str, str] = {
    "identical": "every item has the same score in both runs",
    "sign_conflict": SIGN_CONFLICT,
    "few_items": f"fewer than {FEW_ITEMS} items differ",
    "few_clusters": f"the documents say as much as fewer than {FEW_CLUSTERS:.0f} equal ones",
    "many_ties": "more than half of the items have the same score in both runs",
    "dominated": f"fewer than {FEW_CARRIERS:.0f} documents carry the difference: with others it could differ",
    "unseen_failures": "so few documents could miss those that fail: what they would lose may exceed the margin",
}
# Found anywhere in the text of a report.
PHRASES: dict[str, str] = {
    "sign-flip test": "if the runs were equally good, each document's difference could as well have the other sign; "
    "the test counts how seldom flipped signs give so large a difference",
    "source documents": "items of one document belong together and are drawn and flipped as a whole",
    "of equal size": "documents of unequal size tell less than as many of equal size",
    "effective source documents": "as many documents of equal size would say as much as these do",
    "Holm": "Holm's correction: with many rows some look different by chance; it keeps the risk of any false claim "
    "among all of them at 5 %",
    "lower is better": "a smaller score is the better one, so a positive difference is a loss",
    "so that - is better": "a smaller score is the better one in these metrics, so a negative difference is a gain",
    "tied": "no difference between these runs is shown",
    "Kendall's W": "how much the documents agree on the order of the runs, from 0 to 1",
    "Friedman p": "how often runs that are all equally good would be ordered so alike by chance",
    "critical difference": "mean ranks that are closer than this are not shown to differ",
    "signed ranks say the opposite": "one run is a little better on most items and much worse on a few",
}


def explained(found: Compared, blocks: Sequence[Block]) -> list[Block]:
    """A line for each column, verdict, flag and term of art in these blocks, with the runs' own names."""
    flags: dict[str, list[str]] = {}
    for each in found.pairs:
        for flag in each.items.flags:
            flags.setdefault(flag, []).append(each.metric)
    run = found.names[1] if len(found.names) == 2 else "the run"
    lines = meanings(blocks, COLUMNS, VERDICTS, PHRASES)
    heads = next((block.heads for block in blocks if isinstance(block, Grid)), ())
    if len(found.names) == 2 and len(heads) > 2:
        lines.insert(1, f"{heads[1]}, {heads[2]}: scores on the items that both runs have")
    lines += [
        f"flag {flag} ({', '.join(dict.fromkeys(metrics))}): {FLAGS[flag]}"
        for flag, metrics in flags.items()
        if flag in FLAGS
    ]
    told = [line.replace("{run}", run).replace("{base}", found.names[0]) for line in lines]
    return [Words("what this means", "title"), *map(Words, told)]


def meanings(
    blocks: Sequence[Block], columns: Mapping[str, str], verdicts: Mapping[str, str], phrases: Mapping[str, str]
) -> list[str]:
    """``word: meaning`` for the heads of tables, the words in their verdict columns, and the phrases in any text."""
    heads = {head for block in blocks if isinstance(block, Grid) for head in block.heads}
    cells = {
        cell for block in blocks if isinstance(block, Grid)
        for place, head in enumerate(block.heads) if head == "verdict" for row in block.rows for cell in [row[place]]
    }  # fmt: skip
    texts = "\n".join(block.text for block in blocks if isinstance(block, Words))
    return [
        *(f"{word}: {meaning}" for word, meaning in columns.items() if word in heads),
        *(f"{word}: {meaning}" for word, meaning in verdicts.items() if word in cells),
        *(f"{word}: {meaning}" for word, meaning in phrases.items() if word in texts),
    ]
