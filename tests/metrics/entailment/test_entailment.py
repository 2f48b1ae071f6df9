"""Entailment models: labels are read and never guessed, long texts are counted, and one trained here tells facts."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from telbench.errors import InputError
from telbench.harness.cli.main import main
from telbench.harness.datasets.items import Item
from telbench.harness.datasets.loading import load_whole
from telbench.harness.datasets.settings import DataSettings
from telbench.metrics.check import check_metric
from telbench.metrics.contract import Resources, Sample, metrics_named
from telbench.metrics.entailment.model import EntailmentModel, entailment_resources, labels_of, open_entailment
from telbench.metrics.worth.measure import measure

from .tiny import train_entailment

FEW = tuple(
    Item(f"q{k}", f"What is {name}?", (f"The {name} serves {k} cells.", f"{k} cells have the {name}."))
    for k, name in enumerate(("AMF", "SMF", "UPF", "PCF"), 2)
)


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that learned next to nothing, with a window of 32 tokens."""
    return train_entailment(tmp_path_factory.mktemp("nli") / "tiny", FEW, 1, hidden=32, window=32)


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    open_entailment.cache_clear()
    yield
    open_entailment.cache_clear()


def with_labels(folder: Path, place: Path, labels: dict[str, str] | None) -> Path:
    copy = place / "copy"
    shutil.copytree(folder, copy)
    config = json.loads((copy / "config.json").read_text())
    config.pop("id2label", None)
    config.pop("label2id", None)
    (copy / "config.json").write_text(json.dumps(config | ({"id2label": labels} if labels else {})))
    return copy


@pytest.mark.parametrize(
    ("labels", "places"),
    [
        ({"0": "contradiction", "1": "entailment", "2": "neutral"}, (1, 0)),
        ({0: "ENTAILMENT", 1: "NEUTRAL", 2: "CONTRADICTION"}, (0, 2)),
        ({"0": "entailment", "1": "not_entailment"}, (0, None)),
        ({"0": "not entailment", "1": "Entails"}, (1, None)),
    ],
)
def test_places_are_read_from_the_labels(labels: dict[Any, str], places: tuple[int, int | None]) -> None:
    assert labels_of(labels, "config.json") == places


@pytest.mark.parametrize(
    "labels",
    [
        {},
        {"0": "LABEL_0", "1": "LABEL_1", "2": "LABEL_2"},
        {"0": "entailment"},
        {"0": "entailment", "1": "entailment"},
        {"0": "positive", "1": "negative"},
    ],
)
def test_labels_that_do_not_say_which_is_entailment_are_refused_in_a_line(labels: dict[Any, str]) -> None:
    with pytest.raises(InputError, match=r"^config.json: the labels are .*id2label has to name 'entailment'") as error:
        labels_of(labels, "config.json")
    assert "\n" not in str(error.value)


def test_the_same_weights_with_labels_in_another_order_give_the_other_value(tiny: Path, tmp_path: Path) -> None:
    swapped = with_labels(tiny, tmp_path, {"0": "entailment", "1": "contradiction", "2": "neutral"})
    pair = ("The AMF serves 2 cells.", "2 cells have the AMF.")
    usual, other = EntailmentModel(tiny).verdicts([pair])[pair], EntailmentModel(swapped).verdicts([pair])[pair]
    assert usual.contradiction is not None
    assert other[:2] == pytest.approx((usual.contradiction, usual.entailment), abs=1e-6)


def test_values_are_the_softmax_of_the_models_own_outputs(tiny: Path) -> None:
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny)
    model = AutoModelForSequenceClassification.from_pretrained(tiny).eval()
    answer, reference, question = "2 cells have it.", "The AMF serves 2 cells.", "What is the AMF?"
    expected = []
    for one, other in ((reference, answer), (answer, reference)):
        with torch.inference_mode():
            read = tokenizer(f"{question} {one}", f"{question} {other}", return_tensors="pt")
            expected.append(torch.softmax(model(**read).logits[0], -1).tolist())
    entails, contradicts = metrics_named(["entailment"], Resources(nli=tiny))
    sample = Sample("a", answer, (reference,), question)
    assert entails.score([sample])[0].value == pytest.approx((expected[0][1] + expected[1][1]) / 2, abs=1e-6)
    assert contradicts.score([sample])[0].value == pytest.approx((expected[0][0] + expected[1][0]) / 2, abs=1e-6)
    # Both metrics ask the same pairs: the second finds them answered.
    assert open_entailment(tiny).asked == 2


def test_the_best_reference_counts_and_many_pairs_give_what_each_alone_gives(tiny: Path) -> None:
    (metric,) = metrics_named(["nli_entailment"], Resources(nli=tiny))
    samples = [Sample(item.id, item.references[1], item.references, item.question) for item in FEW]
    alone = []
    for sample in samples:
        open_entailment(tiny)._known.clear()
        each = [metric.score([Sample("x", sample.prediction, (text,), sample.question)]) for text in sample.references]
        alone.append(max(scores[0].value or 0 for scores in each))
    open_entailment(tiny)._known.clear()
    assert [score.value for score in metric.score(samples)] == pytest.approx(alone, abs=1e-6)


def test_an_empty_answer_says_nothing_and_a_missing_reference_is_missing(tiny: Path) -> None:
    for name in ("nli_entailment", "nli_contradiction"):
        (metric,) = metrics_named([name], Resources(nli=tiny))
        empty, blank, none = metric.score([Sample("a", " ", ("x",)), Sample("b", "x", (" ",)), Sample("c", "x", ())])
        assert (empty.value, empty.reason) == (0.0, "empty answer")
        assert (blank.value, blank.reason) == (None, "no reference")
        assert none.value is None


def test_a_long_premise_is_read_in_parts_and_a_long_hypothesis_is_cut_and_told(tiny: Path) -> None:
    model = open_entailment(tiny)
    short, long = "The AMF.", "The UPF serves 3 cells and it is there. " * 12 + "The PCF serves cells."
    parts, cut = model._parts(long, short) if model._load() is None else ([], True)
    assert len(parts) > 1
    assert not cut
    text = " ".join(model._tokenizer.decode(part["input_ids"]) for part in parts)
    assert "pcf" in text.lower()
    assert all(len(part["input_ids"]) <= 32 for part in parts)
    (metric,) = metrics_named(["nli_entailment"], Resources(nli=tiny))
    (score, fits) = metric.score([Sample("a", long, (short,)), Sample("b", "The PCF.", (short,))])
    assert (score.reason, fits.reason) == ("longer than the entailment model reads", None)
    assert model._parts("word " * 3000, short)[1]


def test_a_model_with_two_labels_has_entailment_and_no_contradiction(tmp_path: Path, tiny: Path) -> None:
    copy = with_labels(tiny, tmp_path, {"0": "not_entailment", "1": "entailment", "2": "neutral"})
    entails, contradicts = metrics_named(["entailment"], Resources(nli=copy))
    sample = Sample("a", "The AMF.", ("The SMF.",))
    assert entails.score([sample])[0].value is not None
    assert contradicts.score([sample])[0].reason == "the model of --nli has no label for contradiction"


def test_what_is_no_entailment_model_is_refused_before_anything_is_asked(tmp_path: Path, tiny: Path) -> None:
    with pytest.raises(InputError, match="no such folder: give the folder of an entailment model"):
        entailment_resources(str(tmp_path / "nowhere"), Resources())
    pickled = with_labels(tiny, tmp_path, {"0": "contradiction", "1": "entailment"})
    (pickled / "model.safetensors").rename(pickled / "pytorch_model.bin")
    with pytest.raises(InputError, match=r"no \*\.safetensors"):
        entailment_resources(str(pickled), Resources())
    found = entailment_resources("org/absent", Resources())
    assert metrics_named(["nli_entailment"], found)[0].score([Sample("a", "x", ("y",))])[0].reason == (
        "entailment model org/absent is neither a folder nor in the local hub cache: hf download org/absent"
    )


@pytest.mark.parametrize("name", ["nli_entailment", "nli_contradiction"])
def test_both_metrics_keep_the_contract_with_a_model(tiny: Path, name: str) -> None:
    (metric,) = metrics_named([name], Resources(nli=tiny))
    # A model that learned nothing tells no right answer from an unrelated one.
    assert not [problem for problem in check_metric(metric) if "is said to be better" not in problem]


def test_the_command_scores_with_the_model_it_is_given(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TELBENCH_CACHE", str(tmp_path / "cache"))
    rows = [{"id": item.id, "question": item.question, "references": item.references} for item in FEW]
    (tmp_path / "data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    answers = [{"id": item.id, "prediction": item.references[1]} for item in FEW]
    (tmp_path / "answers.jsonl").write_text("".join(json.dumps(row) + "\n" for row in answers))
    asked = ["score", str(tmp_path / "answers.jsonl"), "--data", str(tmp_path / "data.jsonl"), "--split", "all"]
    assert main([*asked, "--nli", str(tiny), "--out", str(tmp_path / "run")]) == 0
    header = json.loads((tmp_path / "run" / "run.json").read_text())
    assert header["metrics"]["nli_entailment"]["n"] == 4
    assert header["metrics"]["nli_contradiction"]["higher_is_better"] is False
    assert header["metrics"]["nli_entailment"]["family"] == "entailment"
    bad = with_labels(tiny, tmp_path, {"0": "LABEL_0", "1": "LABEL_1", "2": "LABEL_2"})
    capsys.readouterr()
    assert main([*asked, "--nli", str(bad), "--out", str(tmp_path / "other")]) == 2
    assert "id2label has to name" in capsys.readouterr().err


@pytest.mark.slow
def test_the_check_tries_a_model_in_another_process_too(tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Compiled modules of models crash where another day was set before they were imported."""
    main(["metrics", "check", "nli_entailment", "--nli", str(tiny), "--json"])
    (problems,) = json.loads(capsys.readouterr().out)["problems"].values()
    assert not [problem for problem in problems if "process" in problem]


@pytest.mark.slow
def test_a_model_trained_on_facts_puts_paraphrases_above_wrong_facts(tmp_path: Path) -> None:
    """On the facts that it was trained on; of others a tiny model sees the negations alone."""
    items = [item for item in load_whole(DataSettings(data="telecom-nano")).split("test").items if item.references]
    folder = train_entailment(tmp_path / "nli", items[:120], 6)
    metrics = metrics_named(["entailment"], entailment_resources(str(folder), Resources()))

    def worth(chosen: list[Item]) -> dict[str, Any]:
        samples = [
            Sample(each.id, "", each.references, each.question, cluster_id=each.source_document) for each in chosen
        ]
        return {each.metric.name: each for each in measure(metrics, samples).metrics}

    known, others = worth(items[:120]), worth(items[120:])
    for name in ("nli_entailment", "nli_contradiction"):
        assert (known[name].wrong.auc or 0) > 0.85
        assert (others[name].by_kind["negation"].auc or 0) > 0.8
