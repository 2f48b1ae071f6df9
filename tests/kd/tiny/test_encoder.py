"""The demonstration encoder: the loss of the paper, the same weights from the same seed, a folder that others read."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path
from typing import Any

import pytest
import torch

from telbench.errors import InputError, TelbenchError
from telbench.harness.datasets.items import DataSet, Item
from telbench.harness.datasets.loading import load_dataset
from telbench.kd.checkpoints import made_with
from telbench.kd.tiny.encoder import (
    ContrastSettings,
    EncoderRecipe,
    EncoderShape,
    build_encoder,
    contrast_batches,
    fact_pairs,
    info_nce,
    make_encoder,
    sentence_vectors,
    train_contrast,
    train_lowercase_bpe,
)
from telbench.metrics.contract import Resources, Sample, metrics_named
from telbench.metrics.ngram.squad import token_f1

SHAPE = EncoderShape(hidden=32, layers=1, heads=2, inner=48, window=64)


def micro(**changes: Any) -> EncoderRecipe:
    settings = {"epochs": 3, "batch_size": 4, **changes}
    return EncoderRecipe(SHAPE, ContrastSettings(**settings), vocabulary=400)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, facts: DataSet) -> Path:
    place = tmp_path_factory.mktemp("made") / "encoder"
    make_encoder(place, micro(epochs=12, learning_rate=5e-3), facts)
    return place


def test_the_loss_is_the_formula_summed_by_hand() -> None:
    torch.manual_seed(0)
    left, right = (torch.nn.functional.normalize(torch.randn(5, 8), dim=-1) for _ in range(2))
    total = 0.0
    for one, other in ((left, right), (right, left)):
        for i in range(5):
            weights = [math.exp(float(one[i] @ other[j]) / 0.1) for j in range(5)]
            total -= math.log(weights[i] / sum(weights)) / 5
    assert info_nce(left, right, 0.1).item() == pytest.approx(total / 2, rel=1e-5)


def test_a_batch_never_holds_two_pairs_of_one_fact_and_an_epoch_holds_all() -> None:
    facts = [[(f"{fact}", f"{fact}.{k}") for k in range(1 + fact % 4)] for fact in range(11)]
    batches = list(contrast_batches(facts, 4, random.Random(0)))
    assert all(len({left for left, _ in batch}) == len(batch) <= 4 for batch in batches)
    seen = [pair for batch in batches for pair in batch]
    assert len(set(seen)) == len(seen)
    # Only a pair that would have stood alone is missing.
    assert sum(map(len, facts)) - len(seen) <= 4


def test_pairs_are_questions_with_both_wordings_and_the_wordings_with_each_other() -> None:
    items = [Item(f"q{k}", f"Q{k}", ("A", "B"), source_document="fact") for k in range(3)]
    other = Item("x", "X", ("C",), source_document="other")
    pairs = fact_pairs(DataSet("d", "train", (*items, Item("y", "Y", ()), other)))
    assert pairs == [[("A", "B"), ("Q0", "B"), ("Q1", "A"), ("Q2", "B")], [("X", "C")]]


def test_padding_and_neighbours_do_not_change_a_sentence_vector(facts: DataSet) -> None:
    texts = [item.references[0] for item in facts.items[::3]]
    tokenizer = train_lowercase_bpe(texts, 400, SHAPE.window)
    model = build_encoder(SHAPE, tokenizer, 0).eval()
    with torch.inference_mode():
        together = sentence_vectors(model, tokenizer, texts)
        alone = torch.cat([sentence_vectors(model, tokenizer, [text]) for text in texts])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("text", ["≥ 10 µs", "naïve 电信 📡", "PDU-session (5G)!"])
def test_the_tokenizer_loses_nothing_but_case(text: str) -> None:
    tokenizer = train_lowercase_bpe(["the amf and the smf"] * 3, 300, 64)
    ids = tokenizer(text)["input_ids"]
    assert tokenizer.convert_ids_to_tokens([ids[0], ids[-1]]) == ["[CLS]", "[SEP]"]
    # NFKC writes the micro sign as the Greek letter.
    assert str(tokenizer.decode(ids, skip_special_tokens=True)).strip() == text.lower().replace("µ", "μ")


def test_the_same_recipe_gives_the_same_weights_and_tokenizer_to_the_bit(tmp_path: Path, facts: DataSet) -> None:
    for name in ("one", "two"):
        make_encoder(tmp_path / name, micro(), facts)
        torch.rand(3)
    for name in ("model.safetensors", "tokenizer.json", "config.json", "modules.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_a_finished_encoder_is_recognised_and_another_recipe_is_not(folder: Path, facts: DataSet) -> None:
    assert made_with(folder, micro(epochs=12, learning_rate=5e-3).origin(facts).settings_sha256)
    assert not made_with(folder, micro(seed=1).origin(facts).settings_sha256)


def test_the_folder_says_that_it_is_a_demonstration_encoder(folder: Path) -> None:
    assert "A **demonstration encoder**" in (folder / "README.md").read_text()
    note = json.loads((folder / "telbench.json").read_text())
    assert note["factors"]["algorithm"] == "infonce"
    assert len((folder / "training.jsonl").read_text().splitlines()) == note["training"]["steps"]


def test_sentence_transformers_transformers_and_our_metric_read_the_same_vectors(folder: Path, facts: DataSet) -> None:
    library = pytest.importorskip("sentence_transformers")
    from transformers import AutoModel, AutoTokenizer

    texts = [facts.items[0].question, facts.items[0].references[0]]
    theirs = library.SentenceTransformer(str(folder), device="cpu").encode(texts)
    model, loading = AutoModel.from_pretrained(folder, output_loading_info=True)
    assert not loading["missing_keys"]
    with torch.inference_mode():
        ours = sentence_vectors(model.eval(), AutoTokenizer.from_pretrained(folder), texts).numpy()
    assert theirs == pytest.approx(ours, abs=1e-5)
    assert (theirs**2).sum(axis=1) == pytest.approx(1, abs=1e-5)
    metrics = metrics_named(["answer_similarity", "bertscore"], Resources(folder))
    similarity, tokens = (metric.score([Sample("x", texts[0], (texts[1],))])[0].value for metric in metrics)
    assert similarity == pytest.approx(float(ours[0] @ ours[1]), abs=1e-5)
    assert tokens is not None


def test_training_brings_a_question_closer_to_its_answer_than_to_others(folder: Path, facts: DataSet) -> None:
    library = pytest.importorskip("sentence_transformers")
    model = library.SentenceTransformer(str(folder), device="cpu")
    questions = model.encode([item.question for item in facts.items[::3]])
    answers = model.encode([item.references[0] for item in facts.items[::3]])
    assert ((questions @ answers.T).argmax(axis=1) == range(len(questions))).mean() >= 0.75


def test_a_loss_that_is_no_number_stops_with_one_line(facts: DataSet) -> None:
    tokenizer = train_lowercase_bpe(["the amf"] * 3, 300, 64)
    model = build_encoder(SHAPE, tokenizer, 0)
    with torch.no_grad():
        model.embeddings.word_embeddings.weight.fill_(float("nan"))
    with pytest.raises(TelbenchError, match=r"training stopped at step 1: the loss is nan.*lower the learning rate"):
        train_contrast(model, tokenizer, fact_pairs(facts), ContrastSettings(epochs=1))


def test_a_single_fact_has_nothing_to_contrast_with(facts: DataSet) -> None:
    tokenizer = train_lowercase_bpe(["the amf"] * 3, 300, 64)
    with pytest.raises(InputError, match="nothing to contrast"):
        train_contrast(build_encoder(SHAPE, tokenizer, 0), tokenizer, fact_pairs(facts)[:1], ContrastSettings())


def test_settings_that_cannot_be_trained_with_are_refused() -> None:
    with pytest.raises(InputError, match="temperature is 0: it must be positive"):
        ContrastSettings(temperature=0)


@pytest.mark.slow
def test_the_demo_encoder_finds_the_answers_to_questions_it_never_saw(tmp_path: Path) -> None:
    """Far above a random encoder and above common words, on the 327 test questions of telecom-nano."""
    from transformers import AutoModel, AutoTokenizer

    test = load_dataset("telecom-nano", split="test").items
    make_encoder(tmp_path / "trained", EncoderRecipe(), load_dataset("telecom-nano", split="train"))
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "trained")

    def found_first(model: Any) -> float:
        with torch.inference_mode():
            questions = sentence_vectors(model.eval(), tokenizer, [item.question for item in test])
            wordings = [sentence_vectors(model, tokenizer, [item.references[k] for item in test]) for k in (0, 1)]
        best = torch.maximum(*(questions @ wording.T for wording in wordings)).argmax(dim=1)
        return (best == torch.arange(len(test))).float().mean().item()

    trained = found_first(AutoModel.from_pretrained(tmp_path / "trained"))
    random_one = found_first(build_encoder(EncoderShape(), tokenizer, 0))
    common = [
        [score.value or 0.0 for score in token_f1.score([Sample("x", item.question, o.references) for o in test])]
        for item in test[::10]
    ]
    by_words = sum(max(range(len(row)), key=row.__getitem__) == 10 * k for k, row in enumerate(common)) / len(common)
    assert trained > 0.7
    assert trained > by_words + 0.1
    assert random_one < 0.3
