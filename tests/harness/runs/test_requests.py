"""What engines are asked: lengths of answers by the data, letters by the order of the data."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from telbench.harness.cli.main import main
from telbench.harness.datasets.items import Item
from telbench.harness.prompts.build import INSTRUCTIONS
from telbench.harness.runs.evaluate import evaluate
from telbench.harness.runs.folder import read_run, read_samples
from telbench.harness.runs.requests import answer_tokens, too_short
from telbench.harness.runs.settings import eval_settings

from ...scripted_engine import NotedReporter, Script, use, write_items

OPTIONS = ("UDP", "TCP", "SCTP", "QUIC")


def choice_file(folder: Path, count: int = 100) -> tuple[Path, list[int]]:
    """A data file of choices and the right options."""
    right = [random.Random(n).randrange(4) for n in range(count)]
    rows = [{"id": f"q{n}", "question": f"Which {n}?", "choices": OPTIONS, "answer": right[n]} for n in range(count)]
    data = folder / "data.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return data, right


def accuracy(folder: Path, rows: list[dict], data: Path, *more: str) -> float:
    file = folder / "answers.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    out = folder / f"run{len(list(folder.iterdir()))}"
    asked = ["--data", str(data), "--metrics", "choice_accuracy", "--out", str(out), *more]
    assert main(["score", str(file), *asked]) == 0
    return read_run(out)["metrics"]["choice_accuracy"]["value"]


@pytest.mark.parametrize(
    "label", [lambda place: "ABCD"[place], lambda place: str(place + 1), lambda place: f"({'abcd'[place]})"]
)
def test_letters_of_answers_made_elsewhere_mean_the_order_of_the_data(tmp_path: Path, label) -> None:
    data, right = choice_file(tmp_path)
    rows = [{"id": f"q{n}", "prediction": label(place)} for n, place in enumerate(right)]
    assert accuracy(tmp_path, rows, data) == 1.0
    # As telbench's own prompts show them, they would be other options.
    assert accuracy(tmp_path, rows, data, "--shown-order", "seed") < 0.5


def test_the_files_own_order_is_what_its_letters_mean(tmp_path: Path) -> None:
    data, right = choice_file(tmp_path, 40)
    rows = []
    for n, place in enumerate(right):
        shown = random.Random(n + 99).sample(range(4), 4)
        rows.append({"id": f"q{n}", "prediction": "ABCD"[shown.index(place)], "shown_choices": shown})
    assert accuracy(tmp_path, rows, data) == 1.0


def test_a_runs_own_samples_score_as_the_run_did(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, _ = choice_file(tmp_path, 40)
    use(monkeypatch, Script(answer=lambda request: "The answer is B."))
    settings = eval_settings(model="m", data=str(data), metrics=("choice_accuracy",), out=tmp_path / "made")
    made = evaluate(settings, NotedReporter())
    monkeypatch.undo()
    assert 0 < made.header["metrics"]["choice_accuracy"]["value"] < 1
    again = accuracy(tmp_path, list(read_samples(made.path)), data)
    assert again == made.header["metrics"]["choice_accuracy"]["value"]


def test_an_order_of_another_number_of_options_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, _ = choice_file(tmp_path, 1)
    file = tmp_path / "a.jsonl"
    file.write_text(json.dumps({"id": "q0", "prediction": "A", "shown_choices": [1, 0]}))
    assert main(["score", str(file), "--data", str(data), "--out", str(tmp_path / "run")]) == 2
    assert "'shown_choices' of 2 options, the item has 4" in capsys.readouterr().err


def test_one_file_may_hold_items_and_answers(tmp_path: Path) -> None:
    rows = [
        {"key": n, "question": f"Which {n}?", "choices": OPTIONS, "answer": 1, "model_outputs": "B" if n else "C"}
        for n in range(4)
    ]
    file = tmp_path / "both.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    out = tmp_path / "run"
    asked = ["--data", str(file), "--map", "id=key,prediction=model_outputs", "--metrics", "choice_accuracy"]
    assert main(["score", str(file), *asked, "--out", str(out)]) == 0
    assert read_run(out)["metrics"]["choice_accuracy"]["value"] == 0.75


@pytest.mark.parametrize(
    ("option", "said"),
    [
        (["--shown-order", "seed"], "--shown-order belongs to --engine replay"),
        (["--missing-cap", "0.5"], "--missing-cap belongs to --engine replay"),
        (["--map", "prediction=x"], "belongs to --engine replay"),
    ],
)
def test_what_only_files_of_answers_have_is_refused_elsewhere(
    option: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["eval", "--engine", "openai", "--model", "m", "--base-url", "http://127.0.0.1:9", *option]
    assert main(asked) == 2
    assert said in capsys.readouterr().err


def open_items(*lengths: int) -> list[Item]:
    return [Item(f"q{n}", "?", references=("x" * 9000, "y" * length)) for n, length in enumerate(lengths)]


def test_answers_may_be_as_long_as_nearly_all_references_of_the_data() -> None:
    assert answer_tokens(open_items(*[30] * 20)) == 128
    assert answer_tokens(open_items(*[30] * 19, 2000)) == 128
    assert answer_tokens(open_items(*[30] * 10, *[1400] * 10)) == 512
    assert answer_tokens(open_items(*[90_000] * 4)) == 2048
    assert answer_tokens([Item("q", "?", references=("x" * 5000,), choices=("x" * 5000, "y"), answer=(0,))]) == 128
    assert answer_tokens([]) == 128


def test_references_longer_than_allowed_are_told_and_the_default_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = write_items(tmp_path / "data.jsonl", references=["word " * 400])
    use(monkeypatch, Script())
    for asked, length, told in (({}, 1024, False), ({"max_tokens": 100}, 100, True)):
        reporter = NotedReporter()
        settings = eval_settings(
            model="m", data=str(data), metrics=("token_f1",), out=tmp_path / f"run{length}", **asked
        )
        header = evaluate(settings, reporter).header
        assert header["generation"]["max_tokens"] == length
        assert (
            any("8 of 8 items have only references longer than --max-tokens 100" in note for note in reporter.notes)
            == told
        )
    assert too_short(open_items(400, 401), 100) == 1


def test_answers_to_no_item_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, _ = choice_file(tmp_path, 4)
    rows = [{"id": f"q{n}", "prediction": "A"} for n in (*range(4), "x", "y")]
    accuracy(tmp_path, rows, data)
    assert "2 answers of the file are to no item of the data (the first: 'qx')" in capsys.readouterr().err
    accuracy(tmp_path, rows[:4], data)
    assert "to no item" not in capsys.readouterr().err


def test_labels_are_scored_after_the_very_prompt_that_is_asked(tiny_checkpoint: Path, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    data, right = choice_file(tmp_path, 6)
    out = tmp_path / "run"
    asked = ["--data", str(data), "--metrics", "choice_letter_likelihood", "--engine", "transformers", "--no-cache"]
    assert main(["eval", "--model", str(tiny_checkpoint), *asked, "--max-tokens", "4", "--out", str(out)]) == 0
    tokenizer = transformers.AutoTokenizer.from_pretrained(tiny_checkpoint)
    model = transformers.AutoModelForCausalLM.from_pretrained(tiny_checkpoint)
    for line, place in zip(read_samples(out), right, strict=True):
        options = "\n".join(f"{'ABCD'[k]}. {OPTIONS[index]}" for k, index in enumerate(line["shown_choices"]))
        content = f"{INSTRUCTIONS['choices']}\nQuestion: {line['question']}\n{options}"
        ids = tokenizer.apply_chat_template(
            [{"role": "user", "content": content}], add_generation_prompt=True, return_dict=False
        )
        with torch.inference_mode():
            chances = model(torch.tensor([ids])).logits[0, -1].log_softmax(-1)
        labels = [tokenizer.encode(letter, add_special_tokens=False)[0] for letter in "ABCD"]
        wanted = [float(chances[labels[line["shown_choices"].index(index)]]) for index in range(4)]
        assert line["letter_scores"] == pytest.approx(wanted, abs=1e-4)
        assert line["scores"]["choice_letter_likelihood"] == float(wanted.index(max(wanted)) == place)
