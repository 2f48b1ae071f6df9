"""Cosines of sentence embeddings, against the same mean computed by hand and sentence-transformers' own."""

from __future__ import annotations

from pathlib import Path

import pytest

from telbench.metrics.contract import Resources, Sample, metrics_named

from .conftest import PREDICTIONS, REFERENCES


def by_hand(folder: Path, left: str, right: str) -> float:
    """Cosine of the means of the last hidden states, one text at a time."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()
    with torch.inference_mode():
        means = [model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0].mean(0) for text in (left, right)]
    return float(torch.cosine_similarity(means[0], means[1], dim=0))


def test_similarity_is_the_cosine_of_mean_token_embeddings(bert: Path) -> None:
    (metric,) = metrics_named(["answer_similarity"], Resources(bert))
    pairs = list(zip(PREDICTIONS, REFERENCES, strict=True))
    scores = metric.score([Sample("x", one, (other,)) for one, other in pairs])
    assert [score.value for score in scores] == pytest.approx([by_hand(bert, *pair) for pair in pairs], abs=1e-5)
    assert "|pooling:mean|" in metric.signature


def test_the_best_reference_counts(bert: Path) -> None:
    (metric,) = metrics_named(["answer_similarity"], Resources(bert))
    (score,) = metric.score([Sample("x", REFERENCES[1], (REFERENCES[0], REFERENCES[1], ""))])
    assert score.value == pytest.approx(1, abs=1e-5)


def test_relevance_compares_with_the_question_and_needs_one(bert: Path) -> None:
    (metric,) = metrics_named(["answer_relevance"], Resources(bert))
    question = "Which function handles registration?"
    asked, silent, lacking = metric.score(
        [Sample("a", PREDICTIONS[0], question=question), Sample("b", "", question=question), Sample("c", "AMF")]
    )
    assert asked.value == pytest.approx(by_hand(bert, question, PREDICTIONS[0]), abs=1e-5)
    assert (silent.value, silent.reason) == (0.0, "empty answer")
    assert (lacking.value, lacking.reason) == (None, "no question")


def test_a_sentence_transformers_folder_pools_in_its_own_way(bert: Path, tmp_path: Path) -> None:
    library = pytest.importorskip("sentence_transformers")
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

    folder = tmp_path / "cls"
    word = Transformer(str(bert))
    library.SentenceTransformer(modules=[word, Pooling(32, pooling_mode="cls")], device="cpu").save(str(folder))
    (metric,) = metrics_named(["answer_similarity"], Resources(folder))
    (score,) = metric.score([Sample("x", PREDICTIONS[0], (REFERENCES[0],))])
    left, right = library.SentenceTransformer(str(folder), device="cpu").encode([PREDICTIONS[0], REFERENCES[0]])
    expected = float(left @ right / (left @ left) ** 0.5 / (right @ right) ** 0.5)
    assert score.value == pytest.approx(expected, abs=1e-5)
    assert "|pooling:sentence-transformers|" in metric.signature
    (tokens,) = metrics_named(["bertscore"], Resources(folder))
    assert tokens.score([Sample("x", "AMF", ("AMF",))])[0].value == pytest.approx(1, abs=1e-5)


def with_prompts(bert: Path, folder: Path, prompts: dict[str, str]) -> Path:
    library = pytest.importorskip("sentence_transformers")
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

    modules = [Transformer(str(bert)), Pooling(32, pooling_mode="mean")]
    library.SentenceTransformer(modules=modules, device="cpu", prompts=prompts).save(str(folder))
    return folder


def test_a_question_is_a_query_and_an_answer_a_document_where_the_encoder_has_prompts(
    bert: Path, tmp_path: Path
) -> None:
    prompts = {"query": "Which UE: ", "document": "The SMF manages "}
    folder, library = with_prompts(bert, tmp_path / "prompts", prompts), pytest.importorskip("sentence_transformers")
    relevance, similarity = metrics_named(["answer_relevance", "answer_similarity"], Resources(folder))
    question, answer = "Which function handles registration?", PREDICTIONS[0]
    model = library.SentenceTransformer(str(folder), device="cpu")

    def cosine(left, right) -> float:
        return float(left @ right / (left @ left) ** 0.5 / (right @ right) ** 0.5)

    expected = cosine(model.encode_query([question])[0], model.encode_document([answer])[0])
    (score,) = relevance.score([Sample("x", answer, question=question)])
    assert score.value == pytest.approx(expected, abs=1e-5)
    assert score.value != pytest.approx(cosine(*model.encode([question, answer])), abs=1e-3)
    assert relevance.signature.endswith("|pooling:sentence-transformers|prompts:query-document|v1")
    # Two answers are neither query nor document to one another.
    (alike,) = similarity.score([Sample("x", answer, (REFERENCES[0],))])
    assert alike.value == pytest.approx(cosine(*model.encode([answer, REFERENCES[0]])), abs=1e-5)
    assert "prompts" not in similarity.signature


def test_an_encoder_without_prompts_keeps_its_signature(bert: Path, tmp_path: Path) -> None:
    folder = with_prompts(bert, tmp_path / "none", {})
    (metric,) = metrics_named(["answer_relevance"], Resources(folder))
    assert metric.signature.endswith("|pooling:sentence-transformers|v1")


@pytest.mark.parametrize("name", ["bertscore", "answer_similarity", "answer_relevance"])
def test_texts_beyond_the_encoders_window_are_counted_and_told(bert: Path, name: str) -> None:
    (metric,) = metrics_named([name], Resources(bert))
    long = "the AMF and the UE " * 40
    (answer, other, neither) = metric.score(
        [
            Sample("a", long, (REFERENCES[0],), question="Which?"),
            Sample("b", "The AMF.", (long,), question=long),
            # Many characters, but few enough tokens.
            Sample("c", "registration mobility " * 14, (REFERENCES[0],), question="Which?"),
        ]
    )
    assert [answer.reason, other.reason, neither.reason] == ["longer than the encoder reads"] * 2 + [None]
    assert answer.value is not None
