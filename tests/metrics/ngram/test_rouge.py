"""ROUGE: tokens, the common subsequence, and hand-worked scores."""

from __future__ import annotations

from itertools import product

import pytest
from rouge_score.rouge_scorer import RougeScorer

from telbench.metrics.contract import Metric, Sample, metrics_named
from telbench.metrics.ngram.rouge import StemCodes, common_subsequence, rouge1, rouge2, rouge_l, rouge_tokens


def value(metric: Metric, prediction: str, *references: str) -> float | None:
    return metric.score([Sample("x", prediction, references)])[0].value


def table_length(left: str, right: str) -> int:
    """Longest common subsequence by the textbook table."""
    above = [0] * (len(right) + 1)
    for a in left:
        row = [0]
        for column, b in enumerate(right):
            row.append(above[column] + 1 if a == b else max(above[column + 1], row[-1]))
        above = row
    return above[-1]


def test_common_subsequence_equals_the_table_for_all_short_strings() -> None:
    texts = ["".join(letters) for size in range(5) for letters in product("abc", repeat=size)]
    for left, right in product(texts, repeat=2):
        assert common_subsequence(left, right) == table_length(left, right)


def test_codes_of_words_skip_surrogates_and_begin_anew_where_they_are_many() -> None:
    codes = StemCodes(str.split)
    text = " ".join(f"w{number}" for number in range(60_000))
    assert len(codes.text(text)) == 60_000
    assert not any(0xD800 <= ord(code) <= 0xDFFF for code in codes.text(text))
    assert min(codes.text(text)) > " "
    assert not codes.full
    codes.update({str(number): "x" for number in range(250_001)})
    assert codes.full
    # Words alike but for their stem have one code, and a word without a stem has none.
    assert codes.text("procedure procedures") == 2 * codes.text("procedure")


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("The UE's handovers", ("the", "ue", "s", "handov")),
        ("5G-NR (Rel.17)", ("5g", "nr", "rel", "17")),
        ("naïve 中文", ("na", "ve")),
        ("running runs ran", ("run", "run", "ran")),
        ("", ()),
    ],
)
def test_tokens_are_lowered_ascii_runs_stemmed(text: str, tokens: tuple[str, ...]) -> None:
    assert rouge_tokens(text) == tokens


def test_the_example_of_the_rouge_paper() -> None:
    # Lin (2004), section 3.1: S1 is the reference; ROUGE-2 cannot tell S2 from S3, ROUGE-L is 3/4 and 2/4.
    reference, second, third = "police killed the gunman", "police kill the gunman", "the gunman kill police"
    assert value(rouge2, third, reference) == pytest.approx(1 / 3)
    assert value(rouge_l, third, reference) == pytest.approx(2 / 4)
    # With stemming "killed" is "kill", so S2 repeats the reference here.
    assert value(rouge_l, second, reference) == 1.0
    assert value(rouge_l, "police ends the gunman", reference) == pytest.approx(3 / 4)


def test_each_measure_takes_its_own_best_reference() -> None:
    references = ("c b a", "a b x y z")
    assert value(rouge1, "a b c", *references) == 1.0
    assert value(rouge2, "a b c", *references) == pytest.approx(2 * (1 / 2) * (1 / 4) / (1 / 2 + 1 / 4))


@pytest.mark.parametrize("metric", [rouge1, rouge2, rouge_l])
@pytest.mark.parametrize(("prediction", "reference"), [("", "UPF"), ("UPF", ""), ("", ""), ("中文", "中文")])
def test_without_tokens_the_score_is_zero(metric: Metric, prediction: str, reference: str) -> None:
    assert value(metric, prediction, reference) == 0.0


def test_rouge_lsum_is_that_of_the_package_and_rouge_l_where_there_is_one_line() -> None:
    peer = RougeScorer(["rougeLsum"], use_stemmer=True)
    lines = ("The AMF handles registration.", "Mobility of a UE is handled too.", "It selects an SMF, and no UPF.")
    texts = ["\n".join(lines), "\n".join(reversed(lines)), lines[0], "", "It selects\n\nthe AMF\nof a UE"]
    summaries, sequences = metrics_named(["rougeLsum", "rougeL"])
    for answer in texts:
        for reference in filter(None, texts):
            sample = Sample("x", answer, (reference,))
            wanted = peer.score(reference, answer)["rougeLsum"].fmeasure
            assert summaries.score([sample])[0].value == pytest.approx(wanted, abs=1e-12)
            if "\n" not in answer + reference:
                assert summaries.score([sample])[0].value == pytest.approx(sequences.score([sample])[0].value)
    # Lines in another order keep their words.
    (swapped,) = summaries.score([Sample("x", texts[1], (texts[0],))])
    assert swapped.value == 1.0
    assert (sequences.score([Sample("x", texts[1], (texts[0],))])[0].value or 1) < 0.7
    best = summaries.score([Sample("x", lines[0], ("nothing here", lines[0]))])[0].value
    assert best == 1.0
    assert summaries.cut("characters").score([Sample("x", "接入功能", ("接入",))])[0].value == pytest.approx(2 / 3)
