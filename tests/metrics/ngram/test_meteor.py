"""METEOR: worked examples with a small lexicon, parity with nltk where WordNet is, a reason where it is not."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from telbench.errors import InputError
from telbench.metrics.contract import Resources, Sample
from telbench.metrics.ngram import meteor as module
from telbench.metrics.ngram.meteor import NO_WORDNET, best_meteor, installed_wordnet, meteor, tokens

WORDS = ("the", "a", "gNB", "sends", "transmits", "message", "messages", "phone", "not", "starts", "begins", ".", ",")


@dataclass(frozen=True)
class Lemma:
    """What nltk's METEOR asks of a lemma."""

    word: str

    def name(self) -> str:
        return self.word


@dataclass(frozen=True)
class Synset:
    """What nltk's METEOR asks of a synset."""

    words: tuple[str, ...]

    def lemmas(self) -> list[Lemma]:
        return [Lemma(word) for word in self.words]


class Lexicon:
    """A WordNet of two synsets, which knows words with and without an s, and no stems."""

    def synsets(self, word: str) -> list[Synset]:
        return [
            Synset(senses) for senses in (("send", "transmit"), ("car", "automobile")) if word.rstrip("s") in senses
        ]


def test_exact_words_stems_and_synonyms_match_and_one_chunk_costs_least():
    # 4 of 4 words match in 1 chunk: F = 1, penalty 0.5 (1/4)^3.
    sample = Sample("a", "The gNB transmits messages", ("the gNB sends message",))
    assert best_meteor(sample, Lexicon()) == pytest.approx(1 - 0.5 / 64)
    # Without the synonym 3 of 4 match in 2 chunks.
    other = Sample("b", "The gNB broadcasts messages", ("the gNB sends message",))
    assert best_meteor(other, Lexicon()) == pytest.approx(0.75 * (1 - 0.5 * (2 / 3) ** 3))


def test_synonyms_are_those_of_words_and_not_of_their_stems():
    from nltk.translate.meteor_score import meteor_score

    # The stem automobil is in no lexicon: nltk alone finds 2 of 4 matches less.
    sample = Sample("a", "the cars stop here", ("the automobiles stop here",))
    assert best_meteor(sample, Lexicon()) == pytest.approx(1 - 0.5 / 64)
    lexicon: Any = Lexicon()
    alone = meteor_score([tokens(sample.references[0])], tokens(sample.prediction), wordnet=lexicon)
    assert alone == pytest.approx(0.75 * (1 - 0.5 * (2 / 3) ** 3))
    assert best_meteor(Sample("b", "car", ("automobile",)), Lexicon()) == pytest.approx(0.5)
    # Names of several words are no match of one.
    assert best_meteor(Sample("c", "bus", ("automobile",)), Lexicon()) == 0


def test_the_best_reference_counts_and_an_empty_answer_scores_zero():
    sample = Sample("a", "the gNB sends", ("bananas", "the gNB sends", "sends"))
    assert best_meteor(sample, Lexicon()) == pytest.approx(1 - 0.5 / 27)
    assert best_meteor(Sample("b", "", ("the gNB",)), Lexicon()) == 0


def test_words_and_marks_are_told_apart_without_further_data():
    assert tokens("O-RU's 7.2x: µs, 基站!?") == ["O", "-", "RU", "'", "s", "7", ".", "2x", ":", "µs", ",", "基站", "!?"]


def test_tokens_are_those_of_nltks_wordpunct_tokenizer():
    from nltk.tokenize import wordpunct_tokenize

    for text in ("O-RU's 7.2x: µs, 基站!?", "3GPP TS 38.331 (Rel-16);\n-90 dBm", "", "📡 naïve_x"):
        assert tokens(text) == wordpunct_tokenize(text)


def test_without_wordnet_every_value_is_missing_with_the_way_to_get_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "installed_wordnet", lambda: None)
    built = meteor.build(Resources())
    score = built.score([Sample("a", "x", ("x",))])[0]
    assert (score.value, score.reason) == (None, NO_WORDNET)
    assert "python -m nltk.downloader" in NO_WORDNET
    assert "NLTK_DATA" in NO_WORDNET
    assert built.signature.endswith("|wordnet:none|v2")


def test_no_folder_with_wordnet_is_none_and_a_garbled_one_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    import nltk
    from nltk.corpus import WordNetCorpusReader
    from nltk.corpus.util import LazyCorpusLoader

    monkeypatch.setattr(nltk.data, "path", [str(tmp_path)])
    monkeypatch.setattr("nltk.corpus.wordnet", LazyCorpusLoader("wordnet", WordNetCorpusReader, None))
    assert installed_wordnet() is None
    (tmp_path / "corpora" / "wordnet").mkdir(parents=True)
    with pytest.raises(InputError, match=r"WordNet data cannot be read .*download it again"):
        installed_wordnet()


def test_values_equal_nltks_on_words_that_are_their_own_stems_or_have_no_synonym_here():
    if installed_wordnet() is None:
        pytest.skip(NO_WORDNET)
    from nltk.tokenize import wordpunct_tokenize
    from nltk.translate.meteor_score import single_meteor_score

    rng = random.Random(5)

    def text() -> str:
        return " ".join(rng.choices(WORDS, k=rng.randrange(9)))

    samples = [Sample(str(k), text(), tuple(text() or "x" for _ in range(1 + k % 3))) for k in range(200)]
    expected = [
        max(
            single_meteor_score(wordpunct_tokenize(reference), wordpunct_tokenize(sample.prediction))
            for reference in sample.references
        )
        for sample in samples
    ]
    assert [score.value for score in meteor.build(Resources()).score(samples)] == pytest.approx(expected, abs=1e-12)
    assert len(set(expected)) > 50
