"""ROUGE, BLEU, chrF and TER against rouge-score and sacrebleu: invented and real texts, sentences and corpora."""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from rouge_score.rouge_scorer import RougeScorer
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF
from sacrebleu.metrics.ter import TER

from telbench.metrics.contract import Metric, Sample, metrics_named

TOLERANCE = 1e-9
ROUGE = ("rouge1", "rouge2", "rougeL")
CORPUS: dict[str, tuple[Callable[[], BLEU | CHRF | TER], Callable[[], BLEU | CHRF | TER]]] = {
    "bleu": (lambda: BLEU(effective_order=True), BLEU),
    "chrf": (CHRF, CHRF),
    "ter": (TER, TER),
}
PIECES = [
    *"abcdeABC.,-'512 \n\t&<>/()",
    *"éßİΣς中文日本語क्षि",
    "🙂👩‍👩‍👧",
    "e\u0301\u0327",
    "\0",
    "\u00a0",
    "\u2028",
    "\ud800",
    "<skipped>",
    "-\n",
    "&quot;",
    "&amp;lt;",
    " running ",
    " the ",
    " handovers ",
    " 3.5 GHz, ",
]


def invented_text(rng: random.Random) -> str:
    """A text of one of the kinds that break scorers."""
    kind = rng.random()
    if kind < 0.04:
        return ""
    if kind < 0.07:
        return rng.choice([" ", "\n \t", "\u3000"])
    if kind < 0.5:
        return "".join(rng.choice(PIECES) for _ in range(rng.randrange(60)))
    words = [f"w{index}" for index in range(rng.choice([1, 2, 4, 10, 40]))]
    return " ".join(rng.choice(words) for _ in range(rng.choice([1, 3, 8, 20, 30])))


def rearranged(rng: random.Random, text: str) -> str:
    """The words of a text after a few moves and losses."""
    words = text.split(" ")
    for _ in range(rng.randrange(4)):
        start, goal = rng.randrange(len(words)), rng.randrange(len(words))
        block = words[start : start + rng.randrange(1, 6)]
        rest = words[:start] + words[start + len(block) :]
        words = rest[:goal] + block + rest[goal + rng.randrange(2) :] or [""]
    return " ".join(words)


def invented(seed: int, number: int) -> list[Sample]:
    """Samples with one to four references."""
    rng = random.Random(seed)
    samples = []
    for index in range(number):
        references = tuple(invented_text(rng) for _ in range(rng.choice([1, 1, 2, 3, 4])))
        prediction = rearranged(rng, references[0]) if rng.random() < 0.4 else invented_text(rng)
        samples.append(Sample(str(index), prediction, references))
    return samples


def long_answers(folder: Path) -> list[Sample]:
    """MM-TelcoBench: a candidate answer against the two others."""
    with (folder / "mm-telcobench" / "LONG_TelcoBench.csv").open(encoding="utf-8", newline="") as file:
        rows = [[row[f"Candidate Answer {number}"] for number in (1, 2, 3)] for row in csv.DictReader(file)]
    return [Sample(str(index), row[0], (row[1], row[2])) for index, row in enumerate(rows)]


def short_answers(folder: Path) -> list[Sample]:
    """TeleQuAD: the answer to a question's neighbour in the same paragraph, and the right answer in its context."""
    document = json.loads((folder / "telequad" / "TeleQuAD-v4-full.json").read_text(encoding="utf-8"))
    samples = []
    for paragraph in (paragraph for entry in document["data"] for paragraph in entry["paragraphs"]):
        answers = [
            tuple(a["text"] for a in question["answers"]) for question in paragraph["qas"] if question["answers"]
        ]
        for left, right in pairwise(answers):
            samples.append(Sample(str(len(samples)), left[0], right))
    return samples


def check_rouge(samples: Sequence[Sample]) -> None:
    """Every ROUGE value is the package's."""
    peer = RougeScorer(list(ROUGE), use_stemmer=True)
    ours = [[score.value for score in metric.score(samples)] for metric in metrics_named(ROUGE)]
    for sample, *values in zip(samples, *ours, strict=True):
        wanted = peer.score_multi(list(sample.references), sample.prediction)
        assert values == pytest.approx([wanted[name].fmeasure for name in ROUGE], abs=TOLERANCE), sample


def check_corpus_metric(name: str, samples: Sequence[Sample]) -> None:
    """Every sentence score, and the corpus score of all samples, is sacrebleu's."""
    (metric,) = metrics_named([name])
    make_sentence, make_corpus = CORPUS[name]
    sentence = make_sentence()
    scores = metric.score(samples)
    for sample, score in zip(samples, scores, strict=True):
        wanted = sentence.sentence_score(sample.prediction, list(sample.references)).score
        assert score.value == pytest.approx(wanted, abs=TOLERANCE), sample
    check_corpus(metric, make_corpus(), samples)


def check_corpus(metric: Metric, peer: BLEU | CHRF | TER, samples: Sequence[Sample]) -> None:
    """The corpus score from summed statistics is the peer's from texts."""
    assert metric.aggregate is not None
    rows = np.array([score.stats for score in metric.score(samples)])
    width = max(len(sample.references) for sample in samples)
    streams = [[dict(enumerate(sample.references)).get(rank) for sample in samples] for rank in range(width)]
    wanted = peer.corpus_score([sample.prediction for sample in samples], streams)  # type: ignore[arg-type]
    assert metric.aggregate(rows.sum(axis=0, keepdims=True))[0] == pytest.approx(wanted.score, abs=TOLERANCE)


def test_rouge_of_invented_texts() -> None:
    check_rouge(invented(1, 2_000))


@pytest.mark.parametrize(("name", "number"), [("bleu", 2_000), ("chrf", 2_000), ("ter", 300)])
def test_corpus_metrics_of_invented_texts(name: str, number: int) -> None:
    check_corpus_metric(name, invented(2, number))


@pytest.mark.parametrize("name", CORPUS)
def test_a_corpus_where_nothing_matches(name: str) -> None:
    check_corpus_metric(name, [Sample("x", "a b", ("c d e",)), Sample("y", "", ("f",)), Sample("z", "g", ("",))])


def test_rouge_of_real_long_answers(shared_data: Path) -> None:
    check_rouge(random.Random(3).sample(long_answers(shared_data), 250))


@pytest.mark.parametrize(("name", "number"), [("bleu", 600), ("chrf", 600), ("ter", 12)])
def test_corpus_metrics_of_real_long_answers(shared_data: Path, name: str, number: int) -> None:
    samples = long_answers(shared_data)
    if name == "ter":  # the peer's time grows steeply with the length; the slow test takes all
        samples = [sample for sample in samples if len(" ".join(sample.references).split()) < 80]
    check_corpus_metric(name, random.Random(4).sample(samples, number))


def test_rouge_of_real_short_answers(shared_data: Path) -> None:
    check_rouge(random.Random(5).sample(short_answers(shared_data), 600))


@pytest.mark.parametrize(("name", "number"), [("bleu", 600), ("chrf", 600), ("ter", 400)])
def test_corpus_metrics_of_real_short_answers(shared_data: Path, name: str, number: int) -> None:
    check_corpus_metric(name, random.Random(6).sample(short_answers(shared_data), number))


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_many_more_samples(shared_data: Path) -> None:
    check_rouge(invented(7, 10_000))
    check_rouge(long_answers(shared_data))
    for name, inventions, long in (("bleu", 10_000, 2_000), ("chrf", 10_000, 2_000), ("ter", 3_000, 100)):
        check_corpus_metric(name, invented(8, inventions))
        check_corpus_metric(name, random.Random(9).sample(long_answers(shared_data), long))
        check_corpus_metric(name, short_answers(shared_data)[: 2 * long])
