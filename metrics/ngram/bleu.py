"""BLEU (Papineni et al., 2002), equal to sacrebleu with its defaults: 13a tokens, exponential smoothing, mixed case.

Its form for scripts without spaces has the tokens of sacrebleu's ``zh``, and kana and South East Asian characters too.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from functools import cache, partial
from itertools import count
from typing import TYPE_CHECKING

from ..contract import ItemScore, Metric, Sample
from .overlap import shared_ngrams
from .segmentation import zh_apart
from .text_cache import TextCache

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from sacrebleu.tokenizers.tokenizer_re import TokenizerRegexp

ORDER = 4

# Codes start above the space and the line feed, which pad windows.
_FIRST_CODE = 33
_VOCABULARY_LIMIT = 250_000
# All ASCII punctuation but the apostrophe, comma, dash and point.
_SIGN = re.compile(r"([!-&(-+/:-@\[-`{-~])")
_NEEDS_RULES = re.compile(r"[.,]|[0-9]-")
_ENTITIES = (("&quot;", '"'), ("&amp;", "&"), ("&lt;", "<"), ("&gt;", ">"))


@cache
def _regexp_tokenizer() -> TokenizerRegexp:
    from sacrebleu.tokenizers.tokenizer_re import TokenizerRegexp

    return TokenizerRegexp()


def word_tokens(word: str) -> list[str]:
    """13a tokens of a word (a text without white space, entities resolved).

    The signs that always stand alone are split off here; sacrebleu's regular expressions, which take fifty times
    longer, see only what they could change: points and commas other than a last one, and dashes after a digit.

    >>> word_tokens("(eNB/gNB),"), word_tokens("38.331-f10,v1.")
    (['(', 'eNB', '/', 'gNB', ')', ','], ['38.331', '-', 'f10', ',', 'v1', '.'])
    """
    if word.isalnum():
        return [word]
    tokens = []
    for piece in _SIGN.split(word):
        stem = piece[:-1] if piece.endswith((".", ",")) else piece
        if _NEEDS_RULES.search(stem):
            tokens += _regexp_tokenizer()(f" {piece} ").split()
        else:
            tokens += [part for part in (stem, piece[len(stem) :]) if part]
    return tokens


class TokenCodes(dict[str, str]):
    """Texts as strings with one code point a 13a token; equal tokens have equal code points.

    After entities and line ends are resolved, no rule of 13a looks across white space: words are tokenised one by one
    and remembered (the mapping is from word to codes), which spares four regular expressions over every text.

    >>> codes = TokenCodes()
    >>> len(codes.text("eNB (5G) at 3.5 GHz.")), codes.text("GHz 5G") == codes.text("GHz") + codes.text("5G")
    (8, True)
    """

    def __init__(self) -> None:
        """An empty vocabulary."""
        super().__init__()
        self._tokens: dict[str, str] = {}
        self._next = count(_FIRST_CODE)
        self.text = TextCache(self._text)

    def __missing__(self, word: str) -> str:
        """Codes of a word not met before."""
        codes = "".join([self.code(token) for token in word_tokens(word)])
        self[word] = codes
        return codes

    def code(self, token: str) -> str:
        """The code point of a token."""
        return self._tokens.get(token) or self._tokens.setdefault(token, chr(next(self._next)))

    @property
    def full(self) -> bool:
        """Whether to start anew, so that memory stays bounded."""
        return len(self) > _VOCABULARY_LIMIT

    def _text(self, text: str) -> str:
        """Codes of a whole text."""
        text = text.rstrip().replace("<skipped>", "").replace("-\n", "").replace("\n", " ")
        if "&" in text:
            for entity, character in _ENTITIES:
                text = text.replace(entity, character)
        return "".join(map(self.__getitem__, text.split()))


class CharacterCodes(TokenCodes):
    """The same for tokens of the form for scripts without spaces.

    >>> codes = CharacterCodes()
    >>> len(codes.text("UE向gNB发送3.5 GHz。"))
    8
    """

    def _text(self, text: str) -> str:
        words = zh_apart(text.strip()).split()
        if not words:
            return ""
        # `zh`, unlike 13a, puts no space at the ends of a line: a full stop after a last digit stays with it.
        first, last = words[0], words[-1]
        if len(words) == 1:
            return self._tokens_of(first)
        inner = "".join(map(self.__getitem__, words[1:-1]))
        return self._tokens_of(f"{first} ") + inner + self._tokens_of(f" {last}")

    def _tokens_of(self, piece: str) -> str:
        return "".join([self.code(token) for token in _regexp_tokenizer()(piece).split()])


_CODES: dict[type[TokenCodes], TokenCodes] = {}  # those in use: all samples share them


def bleu_scores(stats: NDArray[np.float64], *, effective_order: bool = False) -> NDArray[np.float64]:
    """Scores (B,) in 0..100 from statistics (B, 10): lengths of prediction and reference, 4 shared, 4 predicted counts.

    The k-th order without a match counts as 1 / 2^k matches. With ``effective_order`` the mean is over the orders that
    the prediction reaches (sentences); without it, an order not reached makes the score 0 (corpora).
    """
    import numpy as np

    predicted_length, reference_length = stats[:, 0], stats[:, 1]
    shared, predicted = stats[:, 2 : 2 + ORDER], stats[:, 2 + ORDER :]
    some = np.maximum(predicted_length, 1)
    brevity = np.where(predicted_length < reference_length, np.exp(1 - reference_length / some), 1.0)

    reached = predicted > 0
    unmatched = reached & (shared == 0)
    matches = np.where(unmatched, 0.5 ** np.cumsum(unmatched, axis=1), shared)
    logs = np.log(np.where(reached, 100 * matches / np.maximum(predicted, 1), 1.0)).sum(axis=1)
    if effective_order:
        scores = np.exp(logs / np.maximum(reached.sum(axis=1), 1))
    else:
        scores = np.where(reached.all(axis=1), np.exp(logs / ORDER), 0.0)
    return np.where(shared.any(axis=1), brevity * scores, 0.0)


def _closest_length(length: int, references: Sequence[str]) -> int:
    """Length of the reference closest in length; the shorter of two equally close ones."""
    if len(references) == 1:
        return len(references[0])
    return min((abs(length - len(reference)), len(reference)) for reference in references)[1]


def _score_batch(kind: type[TokenCodes], samples: Sequence[Sample]) -> list[ItemScore]:
    """Statistics and sentence scores of all samples."""
    import numpy as np

    if not samples:
        return []
    codes = _CODES.get(kind)
    if codes is None or codes.full:
        codes = _CODES[kind] = kind()
    predictions = [codes.text(sample.prediction) for sample in samples]
    references = [[codes.text(text) for text in sample.references] for sample in samples]

    stats = np.zeros((len(samples), 2 + 2 * ORDER))
    lengths = np.array([len(text) for text in predictions])
    stats[:, 0] = lengths
    stats[:, 1] = [_closest_length(len(text), wanted) for text, wanted in zip(predictions, references, strict=True)]
    stats[:, 2 : 2 + ORDER] = shared_ngrams(
        [(text, *wanted) for text, wanted in zip(predictions, references, strict=True)], ORDER
    )
    stats[:, 2 + ORDER :] = np.maximum(lengths[:, None] - np.arange(ORDER), 0)
    values = bleu_scores(stats, effective_order=True).tolist()
    return [ItemScore(value, None, tuple(row)) for value, row in zip(values, stats.tolist(), strict=True)]


_by_words = Metric(
    name="bleu",
    family="ngram",
    range=(0, 100),
    higher_is_better=True,
    needs=frozenset({"references"}),
    level="corpus",
    description="Geometric mean of word n-gram precisions (1 to 4), brevity penalty; corpus score from summed counts.",
    score_batch=partial(_score_batch, TokenCodes),
    aggregate=bleu_scores,
    statistics=2 + 2 * ORDER,
    options={"case": "mixed", "eff": "item", "smooth": "exp", "tok": "13a"},
)
_by_characters = replace(
    _by_words,
    description="Geometric mean of n-gram precisions (1 to 4) of words and, where a script has no spaces, characters.",
    score_batch=partial(_score_batch, CharacterCodes),
    options={**_by_words.options, "tok": "zh-characters"},
)
bleu = replace(_by_words, variants={"characters": _by_characters})
