"""BERTScore: equal to the bert-score package, and safe where it is not."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from telbench.metrics.base import Resources, Sample
from telbench.metrics.contract import check_metric
from telbench.metrics.embedding.bertscore import best_match, idf_weights
from telbench.metrics.embedding.encoder import open_encoder
from telbench.metrics.registry import metrics_named

from .conftest import PREDICTIONS, REFERENCES

NAMES = ("bertscore_precision", "bertscore_recall", "bertscore")


def samples(predictions: list[str] = PREDICTIONS) -> list[Sample]:
    pairs = zip(predictions, REFERENCES, strict=True)
    return [Sample(str(index), one, (other,)) for index, (one, other) in enumerate(pairs)]


def oracle(folder: Path, references: list, layers: int, *, idf: bool = False) -> list[list[float]]:
    """(precision, recall, F1) of each prediction by the bert-score package."""
    bert_score = pytest.importorskip("bert_score")
    parts = bert_score.score(
        PREDICTIONS, references, model_type=str(folder), num_layers=layers, idf=idf, device="cpu", nthreads=0
    )
    return [list(row) for row in zip(*(part.tolist() for part in parts), strict=True)]


@pytest.mark.parametrize("layer", [1, 2])
def test_all_three_values_equal_bert_score_on_every_layer(bert: Path, layer: int) -> None:
    metrics = metrics_named(NAMES, Resources(bert, layer))
    ours = [[score.value for score in scores] for scores in zip(*(m.score(samples()) for m in metrics), strict=True)]
    for row, expected in zip(ours, oracle(bert, REFERENCES, layer), strict=True):
        assert row == pytest.approx(expected, abs=1e-5)


def test_class_and_separator_tokens_are_not_counted(bert: Path) -> None:
    (embedded,) = open_encoder(bert).embed(["AMF"], keep=False).values()
    assert (embedded.counted[0], embedded.counted[-1]) == (0, 0)
    assert set(embedded.counted.tolist()[1:-1]) == {1}


def test_the_default_layer_is_the_last_and_named_in_the_signature(bert: Path) -> None:
    (default,), (last,) = (
        metrics_named(["bertscore"], Resources(bert)),
        metrics_named(["bertscore"], Resources(bert, 2)),
    )
    assert default.signature == last.signature
    assert "|idf:no|layer:2|v1" in default.signature


def test_idf_weights_equal_bert_score(bert: Path) -> None:
    encoder = open_encoder(bert)
    embedded = encoder.embed(REFERENCES, keep=True)
    weights = idf_weights([embedded[text] for text in REFERENCES])
    ours = best_match(encoder, samples(), weights)
    for row, expected in zip(ours, oracle(bert, REFERENCES, 2, idf=True), strict=True):
        assert row == pytest.approx(expected, abs=1e-5)


def test_several_references_give_the_best_of_each_value_as_bert_score_does(bert: Path) -> None:
    groups = [[reference, REFERENCES[0]] for reference in REFERENCES]
    pairs = zip(PREDICTIONS, groups, strict=True)
    ours = best_match(open_encoder(bert), [Sample("x", one, tuple(some)) for one, some in pairs])
    for row, expected in zip(ours, oracle(bert, groups, 2), strict=True):
        assert row == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("answer", ["", " \n"])
def test_an_empty_answer_is_wrong_and_counted_as_empty(bert: Path, answer: str) -> None:
    (metric,) = metrics_named(["bertscore"], Resources(bert))
    (score,) = metric.score([Sample("x", answer, (REFERENCES[0],))])
    assert (score.value, score.reason) == (0.0, "empty answer")


def test_empty_references_are_no_references(bert: Path) -> None:
    (metric,) = metrics_named(["bertscore"], Resources(bert))
    (score,) = metric.score([Sample("x", "AMF", (" ",))])
    assert (score.value, score.reason) == (None, "no reference")


def test_a_tokenizer_without_a_limit_and_a_text_beyond_the_encoder_are_cut(bert: Path, tmp_path: Path) -> None:
    folder = tmp_path / "unlimited"
    shutil.copytree(bert, folder)
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    settings.pop("model_max_length")
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    embedded = open_encoder(folder).embed(["the AMF and the UE " * 100], keep=False)
    assert [text.tokens.shape for text in embedded.values()] == [(64, 32)]


@pytest.mark.parametrize("name", [*NAMES, "answer_similarity", "answer_relevance"])
def test_every_embedding_metric_keeps_the_contract_with_an_encoder(bert: Path, name: str) -> None:
    (metric,) = metrics_named([name], Resources(bert))
    assert check_metric(metric) == []


@pytest.mark.parametrize("name", [*NAMES, "answer_similarity", "answer_relevance"])
def test_without_an_encoder_every_value_is_missing_with_the_way_out(name: str) -> None:
    (metric,) = metrics_named([name])
    (score,) = metric.score([Sample("x", "AMF", ("AMF",), question="Which?")])
    assert (score.value, score.reason) == (None, "no encoder: pass --encoder FOLDER")
