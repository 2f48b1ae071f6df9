"""BLEU: the paper's examples, tokens, and statistics that add up."""

from __future__ import annotations

import numpy as np
import pytest
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a

from telbench.metrics.contract import Sample
from telbench.metrics.ngram.bleu import TokenCodes, bleu, bleu_scores


def stats(prediction: str, *references: str) -> list[float]:
    (score,) = bleu.score([Sample("x", prediction, references)])
    assert score.stats is not None
    return list(score.stats)


REFERENCES = (
    "It is a guide to action that ensures that the military will forever heed Party commands",
    "It is the guiding principle which guarantees the military forces always being under the command of the Party",
    "It is the practical guide for the army always to heed the directions of the party",
)


def test_modified_precisions_of_the_bleu_paper() -> None:
    # Papineni et al. (2002), section 2.1: 17/18 and 10/17 for candidate 1, 8/14 and 1/13 for candidate 2.
    first = "It is a guide to action which ensures that the military always obeys the commands of the party"
    second = "It is to insure the troops forever hearing the activity guidebook that party direct"
    _, _, one, two, _, _, ones, twos, _, _ = stats(first, *REFERENCES)
    assert (one, ones, two, twos) == (17, 18, 10, 17)
    _, _, one, two, _, _, ones, twos, _, _ = stats(second, *REFERENCES)
    assert (one, ones, two, twos) == (8, 14, 1, 13)


def test_a_repeated_word_counts_as_often_as_in_one_reference() -> None:
    row = stats("the the the the the the the", "the cat is on the mat", "there is a cat on the mat")
    assert (row[2], row[6]) == (2, 7)


def test_the_reference_length_is_the_closest_then_the_shorter() -> None:
    assert stats("a b c d", "a b", "a b c d e f")[1] == 2
    assert stats("a b c d", "a b c d e f", "a b")[1] == 2
    assert stats("a b c d", "a", "a b c d e")[1] == 5


@pytest.mark.parametrize(
    "text",
    [
        "3.5 GHz, 100-MHz wide.",
        "a.b,c .5, 5. ,x",
        "x &amp;lt; y &quot;z&quot; &",
        "line-\nbreak\nnext",
        "<skipped> a<skipped>b",
        "tab\tseparated\u00a0space\u3000wide",
        "don't (e.g.) 5-6 --- ... ,,, 1,000.00 x=y",
        "中文，测试。🙂e\u0301\0\ud800",
        "trailing-\n",
    ],
)
def test_tokens_are_those_of_13a(text: str) -> None:
    codes = TokenCodes()
    expected = Tokenizer13a()(text.rstrip()).split()
    assert len(codes.text(text)) == len(expected)
    assert codes.text(text) == "".join(codes.text(token) for token in expected)


def test_a_full_vocabulary_starts_anew_without_changing_values(monkeypatch: pytest.MonkeyPatch) -> None:
    sample = Sample("x", "the gNB sends it", ("the gNB sent it",))
    before = bleu.score([sample])
    monkeypatch.setattr("telbench.metrics.ngram.bleu._VOCABULARY_LIMIT", 0)
    assert bleu.score([sample]) == before == bleu.score([sample])


def test_rows_of_statistics_are_scored_independently() -> None:
    rng = np.random.default_rng(0)
    samples = [Sample(str(i), " ".join(rng.choice(list("abcd"), 6)), ("a b c d a b c",)) for i in range(20)]
    rows = np.array([score.stats for score in bleu.score(samples)])
    resamples = np.stack([rows[rng.integers(0, 20, 20)].sum(axis=0) for _ in range(50)] + [np.zeros(10)])
    together = bleu_scores(resamples)
    assert together.shape == (51,)
    assert together.tolist() == [bleu_scores(row[None])[0] for row in resamples]
    peer = BLEU()
    for row, score in zip(resamples.astype(int).tolist(), together, strict=True):
        assert peer._compute_score_from_stats(row).score == pytest.approx(score, abs=1e-9)


def test_no_samples_give_no_scores() -> None:
    assert bleu.score([]) == []
