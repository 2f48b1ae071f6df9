"""The words of the board and what they mean: tips in the tables, and the glossary of the method page."""

from __future__ import annotations

from dataclasses import dataclass

from ..compare.explain import SIGN_CONFLICT

# How metric families are called, in the order in which they are shown.
FAMILIES = {
    "ngram": "n-gram",
    "choice": "multiple choice",
    "embedding": "embedding",
    "judged": "judged",
    "likelihood": "likelihood",
    "refusal": "refusal",
    "fact": "fact",
    "entailment": "entailment",
    "parsed": "read as a value",
}


@dataclass(frozen=True)
class Term:
    """A word as a heading, and its meaning in a sentence or two."""

    title: str
    meaning: str


TERMS: dict[str, Term] = {
    "rank-range": Term(
        "Rank range",
        "The ranks that a system may have: 1 + the systems shown to be better, up to all minus those shown to be "
        "worse, after correction. Systems that are not separated share ranks.",
    ),
    "score": Term(
        "Score",
        "The metric over all items of the run: a mean for item metrics, the corpus score for BLEU and its like.",
    ),
    "interval": Term(
        "95 % interval",
        "Where the score would lie on questions like these: a bootstrap over documents. Two intervals that overlap "
        "do not mean that two systems are equal: the paired difference decides.",
    ),
    "calibrated": Term(
        "Calibrated value",
        "Where the score of an embedding metric lies between unrelated texts (0) and right ones (1) of the same data. "
        "The raw value depends on the encoder and says little by itself; answers closer to the reference than its own "
        "second wording lie above 1.",
    ),
    "near-miss": Term(
        "Near miss",
        "A reference with one fact made wrong by rule: a number, unit, name, negation or direction. The number is the "
        "chance that the metric puts a right text above one. Below 0.6 the metric is marked as blind to facts.",
    ),
    "difference": Term(
        "Difference to the baseline",
        "Mean paired difference over items, turned so that + is better, with its interval and p-value from the cluster "
        "sign-flip test, corrected by Holm over the systems of all tables: it holds 0 where nothing is claimed.",
    ),
    "group": Term(
        "Group",
        "Systems that share a letter are not separated by the corrected pairwise tests; systems without a letter in "
        "common are. Against the baseline it is the verdict's own test.",
    ),
    "right": Term(
        "Right",
        "Share of all questions whose answer is right: by the first of choice accuracy (1), a judge's answer or "
        "factual correctness (0.5 or more) and token F1 (0.5 or more) that the run has, or because it holds a whole "
        "reference.",
    ),
    "words": Term("Words", "Mean number of words of an answer."),
    "parameters": Term("Size", "Number of parameters of the checkpoint."),
    "speed": Term(
        "Speed",
        "Generated tokens a second of the whole run on the machine that made it; not known where answers came from a "
        "cache, an earlier attempt or a file.",
    ),
    "cost": Term("Cost", "US dollars for 1,000 answers, as it was told when the answers were scored (--cost)."),
    "missing": Term(
        "Missing", "Share of items without a score. Missing scores have a reason and are never counted as 0."
    ),
    "items": Term("Items", "Questions with a score."),
    "clusters": Term(
        "Effective clusters",
        "Items of one source document belong together. As many documents of equal size would tell as much as these do.",
    ),
    "detectable": Term(
        "Detectable difference",
        "The smallest true difference to the baseline that these items find in four cases of five (power 80 %, "
        "two-sided at 0.05, corrected): the median over the systems. What is smaller may well stay unseen.",
    ),
    "alpha": Term("α", "The chance of any false claim within a family of tests, held by Holm's correction."),
    "hashes": Term("Hashes", "SHA-256 of the items: systems with other items are not ranked together."),
    "spread": Term(
        "Spread of seeds",
        "The lowest and the highest score of one recipe's trainings. It is not in the interval of the score, which is "
        "about these trainings on other questions.",
    ),
    "over-seeds": Term(
        "Difference over seeds",
        "What is said of the recipe as such: every seed is a training, and a t test over seeds that both recipes have "
        "asks whether other trainings would differ, too. Corrected by Holm over the recipes of a metric.",
    ),
    "error-kinds": Term(
        "Kinds of error",
        "Wrong answers sorted by plain rules on their words, the first that applies. The rules sort for a reader, they "
        "do not judge.",
    ),
    "overall": Term(
        "Overall",
        "The mean over families of metrics of the mean of their metrics, item by item: 0 is an answer that is worth "
        "nothing, 1 a right one. Embedding metrics count by their calibration, others by the bounds of their range. A "
        "metric counts on an item where every ranked system has it, and where the baseline has it. Ranks and tests are "
        "of this one score; ranks of metrics are never averaged.",
    ),
    "sign-conflict": Term("Sign conflict", f"{SIGN_CONFLICT.capitalize()}."),
}
