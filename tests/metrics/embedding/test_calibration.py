"""Anchors of a similarity: pairs that are what they claim, numbers against their definitions, computed once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pytest

from telbench.harness.datasets.loading import load_whole
from telbench.harness.datasets.settings import DataSettings
from telbench.judges.calibration.agreement import rank_auc
from telbench.metrics.anchors import Anchors, Distribution
from telbench.metrics.contract import Resources, Sample, metrics_named
from telbench.metrics.embedding import calibration
from telbench.metrics.embedding.calibration import (
    Kind,
    Pair,
    calibrated,
    calibrated_by,
    find_anchors,
    match_pairs_of,
    near_miss_pairs_of,
    null_pairs_of,
    overlapping_coefficient,
)
from telbench.metrics.embedding.encoder import open_encoder
from telbench.metrics.intervals import Estimate

from .conftest import REFERENCES


def items(count: int, documents: int, references: int = 2) -> list[Sample]:
    return [
        Sample(
            f"i{k}",
            "",
            tuple(f"item {k} wording {r}" for r in range(references)),
            f"question {k}",
            cluster_id=f"document {k % documents}",
        )
        for k in range(count)
    ]


def number_of(text: str) -> int:
    return int(text.split()[1])


def by_words(pairs: Sequence[Pair]) -> list[float]:
    """Share of common words, as a stand-in for an encoder."""
    return [len({*left.split()} & {*right.split()}) / len({*left.split()} | {*right.split()}) for left, right in pairs]


@pytest.mark.parametrize("kind", list(Kind))
def test_a_null_pair_is_of_two_items_from_two_documents_and_none_comes_twice(kind: Kind) -> None:
    pairs = null_pairs_of(items(30, 3), kind)
    assert all(number_of(left) % 3 != number_of(right) % 3 for left, right in pairs)
    assert all(left.startswith("question" if kind is Kind.QUESTION else "item") for left, _ in pairs)
    both = [(number_of(left), number_of(right)) for left, right in pairs]
    distinct = set(both) if kind is Kind.QUESTION else {frozenset(pair) for pair in both}
    assert len(distinct) == len(pairs) > 200
    assert {number_of(left) for left, _ in pairs} == set(range(30))


def test_items_of_a_single_document_are_paired_with_one_another() -> None:
    assert len(null_pairs_of(items(6, 1), Kind.REFERENCES)) == 15


def test_pairs_are_bounded_and_drawn_with_the_seed() -> None:
    samples = items(200, 50)
    first, again, other = (null_pairs_of(samples, Kind.REFERENCES, seed, most=300) for seed in (0, 0, 1))
    assert len(first) == 300
    assert first == again != other


def test_items_that_share_a_reference_are_no_null_pair() -> None:
    samples = [Sample(f"q{k}", "", ("The AMF.",), cluster_id=str(k)) for k in range(5)]
    samples.append(Sample("x", "", ("the amf.", "The SMF."), cluster_id="x"))
    assert null_pairs_of(samples, Kind.REFERENCES) == []


def test_a_match_pair_is_two_references_of_one_item_or_a_question_with_its_own() -> None:
    for left, right in match_pairs_of(items(10, 2), Kind.REFERENCES):
        assert number_of(left) == number_of(right)
        assert left != right
    pairs = match_pairs_of(items(10, 2, references=1), Kind.QUESTION)
    assert [number_of(left) for left, _ in pairs] == [number_of(right) for _, right in pairs]
    assert len(pairs) == 10


def test_a_fact_asked_in_four_wordings_counts_once_as_a_match() -> None:
    samples = [Sample(f"q{k}", "", ("one", "two"), cluster_id="fact") for k in range(40)]
    assert len(match_pairs_of(samples, Kind.REFERENCES)) <= 2


def test_overlap_of_two_normal_samples_is_near_that_of_the_normals() -> None:
    left = [NormalDist(0, 1).inv_cdf((k + 0.5) / 2000) for k in range(2000)]
    for shift in (0.0, 0.5, 1.0, 2.0):
        expected = NormalDist(0, 1).overlap(NormalDist(shift, 1))
        assert overlapping_coefficient(left, [value + shift for value in left]) == pytest.approx(expected, abs=0.02)


def test_overlap_of_distributions_apart_is_0_and_of_a_constant_unknown() -> None:
    values = list(np.linspace(0, 1, 50))
    assert overlapping_coefficient(values, [value + 100 for value in values]) == pytest.approx(0, abs=1e-9)
    assert overlapping_coefficient(values, [0.5] * 9) is None


def test_auc_equals_the_count_over_all_pairs() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        high, low = (rng.integers(0, 6, size=rng.integers(1, 30)).tolist() for _ in range(2))
        counted = sum((a > b) + (a == b) / 2 for a in high for b in low) / (len(high) * len(low))
        assert rank_auc(high, low) == pytest.approx(counted, abs=1e-12)


def test_anchors_describe_both_distributions() -> None:
    samples = items(12, 4)
    anchors = find_anchors(by_words, samples, Kind.REFERENCES)
    null = by_words(null_pairs_of(samples, Kind.REFERENCES))
    assert anchors.null is not None
    assert anchors.match is not None
    assert (anchors.null.n, anchors.null.mean) == (len(null), pytest.approx(float(np.mean(null))))
    assert anchors.null.sd == pytest.approx(float(np.std(null, ddof=1)))
    assert anchors.null.p95 == pytest.approx(float(np.quantile(null, 0.95)))
    assert (anchors.upper, anchors.upper_from) == (anchors.match.mean, "two references of one item")
    assert anchors.auc == rank_auc(by_words(match_pairs_of(samples, Kind.REFERENCES)), null)
    assert anchors.position(anchors.null.mean) == pytest.approx(0)
    assert anchors.position(anchors.match.mean) == pytest.approx(1)


def test_without_a_second_reference_identical_text_is_the_upper_anchor_and_it_says_so() -> None:
    anchors = find_anchors(by_words, items(12, 4, references=1), Kind.REFERENCES)
    assert (anchors.match, anchors.match_missing) == (None, "fewer than two items have two references")
    assert (anchors.upper, anchors.upper_from) == (1.0, "identical text")
    assert (anchors.overlap, anchors.auc) == (None, None)
    assert anchors.position(1.0) == pytest.approx(1)


def test_a_single_item_has_no_null_and_no_position() -> None:
    anchors = find_anchors(by_words, items(1, 1), Kind.REFERENCES)
    assert (anchors.null, anchors.null_missing) == (None, "fewer than two pairs of different items")
    assert anchors.position(0.7) is None


def test_an_encoder_that_tells_nothing_apart_gives_no_position() -> None:
    anchors = find_anchors(lambda pairs: [0.9] * len(pairs), items(12, 4), Kind.REFERENCES)
    assert anchors.auc == 0.5
    assert anchors.position(0.95) is None


def test_interval_endpoints_are_mapped_as_the_value_is() -> None:
    null, match = Distribution(9, 0.2, 0.1, 0, 0.2, 0.4), Distribution(9, 0.6, 0.1, 0.5, 0.6, 0.7)
    anchors = Anchors(null, None, match, None, 0.6, "two references of one item", 0.1, 0.9)
    found = calibrated(Estimate(0.4, 0.3, 0.7, "some", 9, 0), anchors).to_dict()
    assert [found[key] for key in ("value", "ci_low", "ci_high")] == pytest.approx([0.5, 0.25, 1.25])
    assert found["null"]["mean"] == 0.2
    absent = calibrated(Estimate(0.4, None, None, None, 9, 0), anchors)
    assert (absent.ci_low, absent.ci_high) == (None, None)


def test_anchors_are_computed_once_for_data_and_metric(cache: Path) -> None:
    asked: list[int] = []

    def counted(pairs: Sequence[Pair]) -> list[float]:
        asked.append(len(pairs))
        return by_words(pairs)

    samples = items(12, 4)
    first = calibrated_by(counted, Kind.REFERENCES, ["mine"])(samples)
    calls = len(asked)
    assert calibrated_by(counted, Kind.REFERENCES, ["mine"])(samples) == first
    assert len(asked) == calls
    for other, data in ((["another encoder"], samples), (["mine"], samples[1:])):
        calibrated_by(counted, Kind.REFERENCES, other)(data)
        assert len(asked) > calls
        calls = len(asked)
    for path in (cache / "calibrations").iterdir():
        path.write_text('{"null": 3}')
    assert calibrated_by(counted, Kind.REFERENCES, ["mine"])(samples) == first
    assert len(asked) > calls


def test_values_that_are_no_number_are_left_out() -> None:
    anchors = find_anchors(lambda pairs: [math.nan, *[0.5] * (len(pairs) - 1)], items(4, 4), Kind.REFERENCES)
    assert anchors.null is not None
    assert (anchors.null.n, anchors.null.mean) == (5, 0.5)


@pytest.mark.parametrize("name", ["bertscore", "answer_similarity", "answer_relevance"])
def test_anchors_of_an_encoder_metric_are_what_the_metric_gives_to_the_pairs(
    bert: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calibration, "CHUNK", 2)
    (metric,) = metrics_named([name], Resources(bert))
    samples = [
        Sample(str(k), "", (text, f"The UE and {text}"), "Which?", cluster_id=str(k))
        for k, text in enumerate(REFERENCES)
    ]
    assert metric.calibrate is not None
    anchors = metric.calibrate(samples)
    kind = Kind.QUESTION if name == "answer_relevance" else Kind.REFERENCES
    for found, pairs in ((anchors.null, null_pairs_of(samples, kind)), (anchors.match, match_pairs_of(samples, kind))):
        scores = metric.score([Sample("x", left, (right,), right) for left, right in pairs])
        assert found is not None
        assert found.n == len(pairs)
        assert found.mean == pytest.approx(sum(score.value or 0 for score in scores) / len(scores), abs=1e-5)


@pytest.mark.parametrize("name", ["bertscore", "answer_similarity", "answer_relevance"])
def test_a_second_checkpoint_finds_its_anchors_without_encoding(bert: Path, name: str) -> None:
    samples = [Sample(str(k), "", (text,), "Which?", cluster_id=str(k)) for k, text in enumerate(REFERENCES)]
    found = []
    for _ in range(2):
        open_encoder.cache_clear()
        (metric,) = metrics_named([name], Resources(bert))
        assert metric.calibrate is not None
        found.append(metric.calibrate(samples))
    assert found[0] == found[1]
    assert open_encoder(bert).encoded == 0


def facts(count: int, references: int = 2) -> list[Sample]:
    wordings = ("The timer runs for {} ms.", "Its length is {} milliseconds by default.")
    return [
        Sample(
            f"i{k}", "", tuple(text.format(100 + k) for text in wordings[:references]), "How long?", cluster_id=str(k)
        )
        for k in range(count)
    ]


def test_a_near_miss_is_a_reference_of_the_item_with_one_fact_made_wrong() -> None:
    samples = facts(20)
    own = {text: sample for sample in samples for text in sample.references}
    pairs = near_miss_pairs_of(samples, Kind.REFERENCES)
    assert len(pairs) == 20
    for right, wrong in pairs:
        assert wrong not in own[right].references
        assert 1 <= len({*right.split()} ^ {*wrong.split()}) <= 2
    assert {left for left, _ in near_miss_pairs_of(samples, Kind.QUESTION)} == {"How long?"}
    assert near_miss_pairs_of(samples, Kind.REFERENCES) == pairs


def test_a_similarity_of_words_puts_wrong_facts_above_right_texts_and_a_reader_of_numbers_does_not() -> None:
    def by_numbers(pairs: Sequence[Pair]) -> list[float]:
        def numbers(text: str) -> tuple[str, ...]:
            return tuple(word for word in text.replace(".", "").split() if word[0].isdigit() or word in ("ms", "s"))

        return [float(numbers(left)[:1] == numbers(right)[:1] and "not" not in left + right) for left, right in pairs]

    blind = find_anchors(by_words, facts(40), Kind.REFERENCES)
    assert blind.near_miss_auc == 0.0
    assert blind.right_from == "two references of one item"
    assert blind.near_miss is not None
    assert blind.match is not None
    assert blind.near_miss.mean > blind.match.mean
    only_numbers = [sample for sample in facts(200) if sample]
    seeing = find_anchors(by_numbers, only_numbers, Kind.REFERENCES)
    # Wrong units are beyond a reader of numbers.
    assert (seeing.near_miss_auc or 0) > 0.6


def test_without_a_second_reference_right_texts_are_restated_by_rule_and_it_says_so() -> None:
    anchors = find_anchors(by_words, facts(20, references=1), Kind.REFERENCES)
    assert anchors.right_from == "reference in other words, by rule"
    assert anchors.near_miss_auc == 0.5
    assert (anchors.upper_from, anchors.match) == ("identical text", None)


def test_a_few_near_misses_say_nothing_of_a_metric() -> None:
    anchors = find_anchors(by_words, facts(9), Kind.REFERENCES)
    assert (anchors.near_miss_auc, anchors.right_from) == (None, None)
    assert anchors.near_miss_missing == "fewer than 10 right texts or near misses"


MINILM = Path.home() / ".cache" / "telbench-models" / "minilm"


@pytest.mark.slow
@pytest.mark.skipif(not MINILM.is_dir(), reason="all-MiniLM-L6-v2 is not in ~/.cache/telbench-models/minilm")
def test_a_real_encoder_prefers_wrong_facts_though_it_tells_unrelated_texts_apart() -> None:
    """On telecom-nano: the other reference against a reference with one wrong number, name or negation."""
    items_of = load_whole(DataSettings(data="telecom-nano")).split("test").items
    samples = [
        Sample(item.id, "", item.references, item.question, cluster_id=item.source_document) for item in items_of
    ]
    for metric in metrics_named(["bertscore", "answer_similarity"], Resources(MINILM)):
        assert metric.calibrate is not None
        anchors = metric.calibrate(samples)
        assert (anchors.auc or 0) > 0.98
        assert (anchors.near_miss_auc or 1) < 0.5


def test_without_an_encoder_there_is_nothing_to_calibrate() -> None:
    assert [metric.calibrate for metric in metrics_named(["embedding"])] == [None] * 3
