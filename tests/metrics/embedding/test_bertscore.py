"""BERTScore: equal to the bert-score package, and safe where it is not."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from telbench.metrics.check import check_metric
from telbench.metrics.contract import Resources, Sample, metrics_named
from telbench.metrics.embedding.bertscore import best_match, idf_weights
from telbench.metrics.embedding.encoder import open_encoder

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
    ours = best_match(encoder, samples(), idf_weights(encoder.token_ids(REFERENCES)))
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


def idf_options(folder: Path, corpus: list[str]) -> Resources:
    return Resources(folder, 1, idf_corpus=tuple(corpus))


@pytest.mark.parametrize("repeats", [1, 3])
def test_the_idf_metrics_equal_bert_score_that_counts_a_repeated_reference_again(bert: Path, repeats: int) -> None:
    groups = [[reference, *REFERENCES[:1] * repeats] for reference in REFERENCES]
    metrics = metrics_named(NAMES, idf_options(bert, [text for group in groups for text in group]))
    given = [Sample("x", one, tuple(some)) for one, some in zip(PREDICTIONS, groups, strict=True)]
    ours = [[score.value for score in scores] for scores in zip(*(m.score(given) for m in metrics), strict=True)]
    for row, expected in zip(ours, oracle(bert, groups, 1, idf=True), strict=True):
        assert row == pytest.approx(expected, abs=1e-5)


def test_idf_weights_are_of_the_whole_corpus_whatever_is_scored_together(bert: Path) -> None:
    (metric,) = metrics_named(["bertscore"], idf_options(bert, REFERENCES))
    together = [score.value for score in metric.score(samples())]
    alone = [metric.score([sample])[0].value for sample in samples()]
    assert alone == pytest.approx(together, abs=1e-6)


def test_another_idf_corpus_is_another_signature_and_its_order_is_none(bert: Path) -> None:
    corpora = (REFERENCES, REFERENCES[::-1], REFERENCES[1:], [*REFERENCES, REFERENCES[0]])
    (first, reordered, fewer, repeated) = (
        metrics_named(["bertscore"], idf_options(bert, corpus))[0].signature for corpus in corpora
    )
    assert first == reordered
    assert len({first, fewer, repeated}) == 3
    assert "|idf:references-" in first


def test_a_reference_whose_tokens_are_in_every_reference_has_no_idf_value(bert: Path) -> None:
    (metric,) = metrics_named(["bertscore"], idf_options(bert, ["the AMF"]))
    (score,) = metric.score([Sample("x", "the AMF", ("the AMF",))])
    assert (score.value, score.reason) == (None, "no token of the reference counts")


def test_token_ids_are_read_without_encoding(bert: Path) -> None:
    encoder = open_encoder(bert)
    assert len(encoder.token_ids(REFERENCES)) == len(REFERENCES)
    assert encoder.encoded == 0


def test_every_inner_layer_of_a_roberta_is_its_hidden_state(tmp_path: Path, bert: Path) -> None:
    """The layers above are not computed, and back again for the sentence."""
    import torch
    from transformers import AutoTokenizer, RobertaConfig, RobertaModel

    tokenizer = AutoTokenizer.from_pretrained(bert)
    tokenizer.save_pretrained(tmp_path)
    torch.manual_seed(0)
    config = RobertaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=3,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=66,
        pad_token_id=tokenizer.pad_token_id,
    )
    model = RobertaModel(config).eval()
    model.save_pretrained(tmp_path)
    with torch.inference_mode():
        states = model(**tokenizer(REFERENCES[0], return_tensors="pt"), output_hidden_states=True).hidden_states
    for layer, state in enumerate(states):
        encoder = open_encoder(tmp_path, layer)
        tokens = encoder.embed([REFERENCES[0]], keep=False)[REFERENCES[0]].tokens
        wanted = torch.nn.functional.normalize(state[0], dim=-1)
        assert torch.from_numpy(tokens).allclose(wanted, atol=1e-5)
        sentence = encoder.embed([REFERENCES[0]], keep=False, sentences=True)[REFERENCES[0]].sentence
        mean = torch.nn.functional.normalize(states[-1][0].mean(0), dim=-1)
        assert torch.from_numpy(sentence).allclose(mean, atol=1e-5)


def test_texts_of_all_lengths_are_batched_without_changing_their_embeddings(
    bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [" ".join(["the AMF handles"] * count) for count in range(1, 15)] + ["", "AMF"]
    whole = open_encoder(bert).embed(texts, keep=False)
    for budget in (1, 40, 100):
        monkeypatch.setattr("telbench.metrics.embedding.encoder.BATCH_TOKENS", budget)
        open_encoder.cache_clear()
        parts = open_encoder(bert).embed(texts, keep=False)
        for text in texts:
            assert parts[text].tokens == pytest.approx(whole[text].tokens, abs=1e-5)


MINILM = Path.home() / ".cache" / "telbench-models" / "minilm"


@pytest.mark.slow
@pytest.mark.skipif(not MINILM.is_dir(), reason="all-MiniLM-L6-v2 is not in ~/.cache/telbench-models/minilm")
def test_with_a_real_encoder_values_are_those_of_bert_score_without_padding_and_not_those_of_its_batches() -> None:
    library = pytest.importorskip("bert_score")
    references = [REFERENCES[place % 4] + " It is so." * (place % 3) for place in range(24)]
    answers = [("38412", "Yes", "-90 dBm", "???", "TCP", "five")[place % 6] for place in range(24)]
    samples = [Sample(str(k), one, (other,)) for k, (one, other) in enumerate(zip(answers, references, strict=True))]
    ours = [
        [score.value for score in metric.score(samples)]
        for metric in metrics_named(["bertscore_precision", "bertscore_recall"], Resources(MINILM))
    ]
    for size, near in ((1, True), (64, False)):
        theirs = library.score(answers, references, model_type=str(MINILM), num_layers=6, batch_size=size)
        apart = max(
            abs((one or 0) - other)
            for mine, peer in zip(ours, theirs, strict=False)
            for one, other in zip(mine, peer.tolist(), strict=True)
        )
        assert (apart < 1e-5) is near, (size, apart)
