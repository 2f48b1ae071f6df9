"""Encoders: found or reasonably absent, identified by content, asked for each reference once."""

from __future__ import annotations

import json
import shutil
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from telbench.errors import InputError
from telbench.harness.cli.main import main
from telbench.harness.commands.score import configure, run
from telbench.metrics.contract import Resources, Sample, metrics_named
from telbench.metrics.embedding.encoder import TextEncoder, encoder_resources, open_encoder
from telbench.metrics.embedding.store import Embedded, EmbeddingStore

from .conftest import PREDICTIONS, REFERENCES


@pytest.fixture
def encoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every text that goes through an encoder."""
    seen: list[str] = []
    original = TextEncoder._token_vectors

    def counted(self: TextEncoder, texts: list[str]) -> dict[str, Embedded]:
        seen.extend(texts)
        return original(self, texts)

    monkeypatch.setattr(TextEncoder, "_token_vectors", counted)
    return seen


def score_all(folder: Path, predictions: list[str]) -> list[float | None]:
    """Every embedding metric as a new process computes it: nothing in memory."""
    open_encoder.cache_clear()
    samples = [
        Sample("x", one, (other,), question="Which function?")
        for one, other in zip(predictions, REFERENCES, strict=True)
    ]
    metrics = metrics_named(["embedding"], Resources(folder))
    return [score.value for metric in metrics for score in metric.score(samples)]


def test_a_second_checkpoint_encodes_no_reference_again(bert: Path, encoded: list[str]) -> None:
    score_all(bert, PREDICTIONS)
    assert sorted(encoded) == sorted({*PREDICTIONS, *REFERENCES, "Which function?"})
    encoded.clear()
    others = ["The AMF.", "The UPF.", "An ng-eNB.", "30 kHz"]
    score_all(bert, others)
    assert sorted(encoded) == sorted(others)


def test_values_from_the_disk_equal_those_computed(bert: Path) -> None:
    assert score_all(bert, PREDICTIONS) == pytest.approx(score_all(bert, PREDICTIONS), abs=1e-6)


def test_a_cache_that_cannot_be_written_changes_nothing(
    bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = score_all(bert, PREDICTIONS)
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TELBENCH_CACHE", str(tmp_path / "file" / "cache"))
    assert score_all(bert, PREDICTIONS) == pytest.approx(expected, abs=1e-6)


def test_a_damaged_cache_file_is_computed_again(bert: Path, cache: Path) -> None:
    expected = score_all(bert, PREDICTIONS)
    for path in (cache / "embeddings").rglob("*.safetensors"):
        path.write_bytes(path.read_bytes()[:40])
    assert score_all(bert, PREDICTIONS) == pytest.approx(expected, abs=1e-6)


def test_memory_stays_within_its_bound(bert: Path, tmp_path: Path) -> None:
    texts = open_encoder(bert).embed(REFERENCES, keep=False)
    size = max(embedded.nbytes for embedded in texts.values())
    store = EmbeddingStore(tmp_path, memory_bytes=2 * size)
    for text, embedded in texts.items():
        store.put({text: embedded}, on_disk=False)
    held = [store.get(text, on_disk=False) for text in REFERENCES]
    assert sum(one.nbytes for one in held if one) <= 2 * size
    assert held[0] is None
    assert held[-1] is not None


def test_the_signature_follows_the_content_not_the_place(bert: Path, tmp_path: Path) -> None:
    same, other = tmp_path / "same", tmp_path / "other"
    shutil.copytree(bert, same)
    shutil.copytree(bert, other)
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps(config | {"layer_norm_eps": 1e-6}))
    first, second, third = (open_encoder(folder).sha256 for folder in (bert, same, other))
    assert first == second != third


def test_a_layer_the_encoder_lacks_is_refused(bert: Path) -> None:
    with pytest.raises(InputError, match=r"layer 3: the encoder .* has layers 0 to 2"):
        metrics_named(["bertscore"], Resources(bert, 3))


def test_a_folder_without_an_encoder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no config\.json"):
        encoder_resources(str(tmp_path))
    with pytest.raises(InputError, match="no such folder"):
        encoder_resources(str(tmp_path / "absent"))


def test_a_hub_id_is_found_in_the_local_cache_only(bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    absent = encoder_resources("acme/telecom-encoder")
    assert absent.encoder is None
    assert "hf download acme/telecom-encoder" in absent.absent
    repository = tmp_path / "models--acme--telecom-encoder"
    shutil.copytree(bert, repository / "snapshots" / "abc")
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("abc")
    assert encoder_resources("acme/telecom-encoder").encoder == repository / "snapshots" / "abc"


def test_the_command_scores_with_the_encoder_it_is_given(
    bert: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    import argparse

    rows = [
        {"id": str(index), "question": "Which?", "references": [text], "answerable": True}
        for index, text in enumerate(REFERENCES)
    ]
    (tmp_path / "data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    answers = [{"id": str(index), "prediction": text} for index, text in enumerate(PREDICTIONS)]
    (tmp_path / "answers.jsonl").write_text("".join(json.dumps(row) + "\n" for row in answers))
    parser = argparse.ArgumentParser()
    configure(parser)
    for extra in ([], ["--encoder", str(bert), "--encoder-layer", "1"]):
        words = [str(tmp_path / "answers.jsonl"), "--data", str(tmp_path / "data.jsonl"), "--metrics", "embedding"]
        args = parser.parse_args([*words, "--out", str(tmp_path / f"run{len(extra)}"), "--json", *extra])
        args.command_line = ["telbench", "score", *words]
        assert run(args) == 0
        metrics = json.loads(capfd.readouterr().out)["metrics"]
        if extra:
            assert 0 < metrics["bertscore"]["value"] <= 1
            assert "layer:1" in metrics["bertscore"]["signature"]
        else:
            assert metrics["bertscore"]["value"] is None
            assert metrics["bertscore"]["missing"] == {"no encoder: pass --encoder FOLDER": 4}


def write_answers(folder: Path) -> tuple[Path, Path]:
    """Data with two wordings a reference from four documents, and answers to them."""
    rows = [
        {
            "id": str(index),
            "question": f"Which one is {index}?",
            "references": [text, f"The UE and {text}"],
            "source_document": f"TS {index}",
        }
        for index, text in enumerate(REFERENCES)
    ]
    (folder / "data.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    answers = [{"id": str(index), "prediction": text} for index, text in enumerate(PREDICTIONS)]
    (folder / "answers.jsonl").write_text("".join(json.dumps(row) + "\n" for row in answers))
    return folder / "data.jsonl", folder / "answers.jsonl"


def score_run(folder: Path, encoder: Path, *more: str, metrics: str = "embedding") -> dict[str, Any]:
    """The header of ``telbench score`` as a new process makes it."""
    data, answers = write_answers(folder)
    words = ["score", str(answers), "--data", str(data), "--metrics", metrics, "--encoder", str(encoder)]
    open_encoder.cache_clear()
    assert main([*words, *more, "--out", str(folder / "run")]) == 0
    return json.loads((folder / "run" / "run.json").read_text())


def test_the_run_tells_where_each_value_lies_between_unrelated_and_right_texts(
    bert: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    header = score_run(tmp_path, bert)
    schema = json.loads((files("telbench.harness") / "run.schema.json").read_text("utf-8"))
    Draft202012Validator(schema).validate(header)
    for entry in header["metrics"].values():
        found = entry["calibration"]
        low, high = found["null"]["mean"], found["match"]["mean"]
        # This encoder is random: it may find an item's own reference no closer than another's.
        for key in ("value", "ci_low", "ci_high"):
            assert found[key] == (pytest.approx((entry[key] - low) / (high - low)) if high > low else None)
    assert header["metrics"]["answer_relevance"]["calibration"]["upper_from"] == "question and its own reference"
    printed = capfd.readouterr().out
    assert "calibrated: 0 = a reference of another item, 1 = " in printed
    assert "matches above unrelated (AUC): bertscore 0." in printed


def test_scoring_an_unchanged_run_with_more_metrics_encodes_nothing(
    bert: Path, tmp_path: Path, encoded: list[str]
) -> None:
    before = score_run(tmp_path, bert)["metrics"]
    assert encoded
    encoded.clear()
    again = score_run(tmp_path, bert)["metrics"]
    more = score_run(tmp_path, bert, metrics="embedding,token_f1")["metrics"]
    assert (encoded, open_encoder(bert).encoded) == ([], 0)
    assert again == before
    assert {name: more[name] for name in before} == before
    assert more["token_f1"]["value"] is not None


def test_other_encoder_settings_score_an_unchanged_run_anew(bert: Path, tmp_path: Path, encoded: list[str]) -> None:
    plain = score_run(tmp_path, bert)["metrics"]["bertscore"]
    encoded.clear()
    weighted = score_run(tmp_path, bert, "--encoder-idf")["metrics"]["bertscore"]
    assert sorted(encoded) == sorted(PREDICTIONS[:3])
    assert plain["value"] != weighted["value"]
    assert plain["signature"] != weighted["signature"]


def test_an_answer_that_changed_is_encoded_and_the_others_are_not(
    bert: Path, tmp_path: Path, encoded: list[str]
) -> None:
    score_run(tmp_path, bert)
    samples = tmp_path / "run" / "samples.jsonl"
    samples.write_text(samples.read_text().replace("Registration is handled by the AMF.", "another answer"))
    encoded.clear()
    score_run(tmp_path, bert, metrics="embedding,token_f1")
    assert encoded == [PREDICTIONS[0]]


@pytest.mark.parametrize("flag", [["--encoder-idf"], ["--encoder-layer", "1"]])
def test_an_encoder_option_without_an_encoder_is_refused(
    tmp_path: Path, flag: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    data, answers = write_answers(tmp_path)
    assert main(["score", str(answers), "--data", str(data), *flag, "--out", str(tmp_path / "run")]) == 2
    assert f"{flag[0]} needs --encoder with the folder of an encoder" in capfd.readouterr().err


def test_an_absent_hub_id_gives_missing_values_and_the_command_that_fetches_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    score_run(tmp_path, Path("org/another"))
    # With another metric, for a run with the same signatures is finished.
    header = score_run(tmp_path, Path("org/encoder"), metrics="token_f1,embedding")
    for entry in [header["metrics"][name] for name in ("bertscore", "answer_similarity", "answer_relevance")]:
        reason = "encoder org/encoder is neither a folder nor in the local hub cache: hf download org/encoder"
        assert (entry["value"], entry["missing"]) == (None, {reason: 4})
        assert "calibration" not in entry


def test_a_note_of_how_an_encoder_was_made_does_not_change_its_identity(bert: Path, tmp_path: Path) -> None:
    shutil.copytree(bert, tmp_path / "noted")
    (tmp_path / "noted" / "telbench.json").write_text('{"seconds": 3}')
    assert open_encoder(tmp_path / "noted").sha256 == open_encoder(bert).sha256


def test_many_texts_are_few_files_and_read_back_as_they_were(bert: Path, cache: Path) -> None:
    texts = [f"cell {number} of the gNB" for number in range(300)]
    made = open_encoder(bert).embed(texts, keep=True)
    assert len(list((cache / "embeddings").rglob("*.safetensors"))) == 2
    open_encoder.cache_clear()
    encoder = open_encoder(bert)
    for text, embedded in encoder.embed(texts, keep=True).items():
        for name in ("tokens", "ids", "counted", "sentence"):
            assert (getattr(embedded, name) == getattr(made[text], name)).all()
    assert encoder.encoded == 0
