"""Bad input to ``telbench eval`` and ``score``: one line, exit code 2, nothing left behind; odd input works."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from telbench.harness.cli.main import main

ROWS = [{"id": f"q{n}", "question": f"Which timer is T30{n}?", "references": [f"T30{n}"]} for n in range(3)]
HOSTILE = "red\x1b[31m \u202eright\x07 \ud800 [bold]x[/bold] \u2028 \0 \U0001f600 %s {x}"
SHOULD_NOT_PRINT = set("\x1b\u202e\x07\ud800\u2028\0")


def jsonl(rows: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with three items in data.jsonl, right answers in p.jsonl, and a cache of its own."""
    (tmp_path / "data.jsonl").write_text(jsonl(ROWS))
    (tmp_path / "p.jsonl").write_text(jsonl([{"id": row["id"], "prediction": row["references"][0]} for row in ROWS]))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TELBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("TELBENCH_DATA", raising=False)
    monkeypatch.delenv("TELBENCH_DEBUG", raising=False)
    return tmp_path


Complaint = Callable[..., str]


@pytest.fixture
def complaint(capfd: pytest.CaptureFixture[str]) -> Complaint:
    """Run the command; it must end with code 2, with nothing on stdout and one line of complaint, which is returned."""

    def run(command: str, *arguments: str) -> str:
        capfd.readouterr()
        assert main([command, *arguments]) == 2
        captured = capfd.readouterr()
        assert captured.out == ""
        lines = captured.err.splitlines()
        mine = [line for line in lines if line.startswith(f"telbench {command}: ")]
        assert mine == lines[-1:]
        assert "Traceback" not in captured.err
        assert "internal error" not in mine[0]
        return mine[0]

    return run


# These files leave out more items than are allowed unasked.
INCOMPLETE = ("--missing-cap", "1")


def score(*arguments: str) -> list[str]:
    return ["p.jsonl", "--data", "data.jsonl", "--metrics", "token_f1", "--out", "run", *arguments]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "the file is empty"),
        (jsonl(ROWS)[:-9], "line 3: the JSON is truncated"),
        (
            '{"id": "a", "question": "Größe?", "references": ["x"]}'.encode("latin-1"),
            "byte 0xf6 at offset 27 is not UTF-8",
        ),
        (jsonl(ROWS).encode("utf-16"), "the file is UTF-16: save it as UTF-8"),
        (jsonl([{"id": "a", "question": "q"}]), "no item can be used (no reference: 1)"),
        (jsonl([*ROWS, ROWS[0]]), "line 4: id 'q0' is that of line 1 too"),
        ("[1]", "line 1: an object is expected"),
        ("[" * 50_000, "nested too deeply"),
        ('{"id": "a", "question": "q", "references": [{"a": 1}]}', "'references' must be text"),
        ('{"id": "a", "question": "q", "references": ["x"], "meta": {"x": NaN}}', "NaN is no JSON number"),
    ],
)
def test_a_faulty_data_file_is_one_line(content: str | bytes, said: str, place: Path, complaint: Complaint) -> None:
    (place / "bad.jsonl").write_bytes(content.encode() if isinstance(content, str) else content)
    line = complaint("score", *score("--data", "bad.jsonl"))
    assert said in line
    assert "bad.jsonl" in line
    assert not (place / "run").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--data", "telecom-nan"], "did you mean telecom-nano"),
        (["--data", "none.jsonl"], "none.jsonl: cannot be read: No such file"),
        (["--data", "."], "the ending '' is unknown"),
        (["--data", "x\0y.jsonl"], "x\\x00y.jsonl: cannot be read"),
        (["--data", "telequad"], "say where with --data-dir DIR or TELBENCH_DATA"),
        (["--data", "telequad", "--data-dir", "nowhere"], "nowhere: no such folder"),
        (["--split", "tset"], "has no split 'tset': there are test (3), and all"),
        (["--map", "nonsense"], "--map 'nonsense': write NAME=VALUE,NAME=VALUE"),
        (["--map", "qestion=question"], "did you mean 'question'?"),
        (["--map", "question=Q"], "has no column 'Q'"),
        (["--map", "question=id,question=id"], "'question' is given twice"),
        (["--option", "a=b"], "a file takes no option 'a'"),
        (["--limit", "0"], "argument --limit: 0 is not at least 1"),
        (["--limit", "-1"], "argument --limit: -1 is not at least 1"),
        (["--limit", "1.5"], "'1.5' is no whole number"),
        (["--metrics", "tokenf1"], "unknown metric 'tokenf1': did you mean token_f1?"),
        (["--metrics", "nonsense"], "unknown metric 'nonsense': known: "),
        (["--context", "opn"], "invalid choice: 'opn'"),
        (["--seed", "-1"], "-1 is not between 0 and 4294967295"),
        (["--out", "data.jsonl"], "cannot make the run folder data.jsonl"),
        (["--out", "data.jsonl/x"], "cannot make the run folder data.jsonl/x"),
        (["--out", "."], "is no run folder"),
    ],
)
def test_a_wrong_choice_is_one_line(arguments: list[str], said: str, place: Path, complaint: Complaint) -> None:
    assert said in complaint("score", *score(*arguments))
    assert not (place / "run").exists()


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("none.jsonl", None, "none.jsonl: no such file"),
        ("empty.jsonl", "", "the file is empty"),
        ("few.txt", "a\n", "lines: 1, items of the data: 3"),
        ("x.xlsx", "PK", "the ending '.xlsx' is none of those of answers"),
        ("z.jsonl", '{"id": "z", "prediction": "x"}', "no answer's id is the id of an item"),
        ("null.jsonl", '{"id": "q0", "prediction": null}', "every answer to an item of the data is null"),
    ],
)
def test_faulty_answers_are_one_line(
    name: str, content: str | None, said: str, place: Path, complaint: Complaint
) -> None:
    if content is not None:
        (place / name).write_text(content)
    assert said in complaint("score", name, *score()[1:])
    assert not (place / "run").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--max-tokens", "0"], "argument --max-tokens: 0 is not between 1 and 1000000"),
        (["--max-tokens", "-5"], "-5 is not between"),
        (["--temperature", "x"], "'x' is no number"),
        (["--temperature", "nan"], "nan is not between 0 and 5"),
        (["--top-p", "2"], "2 is not between"),
        (["--max-in-flight", "0"], "0 is not between 1 and 1000"),
        (["--deadline", "-1"], "-1 is not between"),
        (["--deadline", "inf"], "inf is not between"),
        (["--max-model-len", "0"], "0 is not at least 1"),
        (["--dtype", "int3"], "invalid choice: 'int3'"),
        (["--engine", "vlm"], "unknown engine 'vlm': did you mean vllm?"),
        (["--engine", "transformers"], "needs --model with the folder of a checkpoint"),
        (["--engine", "transformers", "--model", "org/name"], "a hub id needs --online"),
        (["--engine", "transformers", "--model", "data.jsonl"], "data.jsonl is a file"),
        (["--engine", "transformers", "--model", "."], "no readable config.json"),
        (["--engine", "openai", "--model", "m"], "--base-url says where it is"),
        (["--engine", "replay"], "needs --answers FILE"),
    ],
)
def test_a_wrong_option_of_eval_is_one_line(
    arguments: list[str], said: str, complaint: Complaint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert said in complaint("eval", "--data", "data.jsonl", *arguments)


def samples(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "samples.jsonl").read_text("utf-8").split("\n") if line]


def test_a_null_answer_is_an_error_of_its_item_and_no_zero(place: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (place / "p.jsonl").write_text('{"id": "q0", "prediction": null}\n{"id": "q1", "prediction": "T301"}\n')
    assert main(["score", *score("--json", *INCOMPLETE)]) == 0
    header = json.loads(capfd.readouterr().out)
    assert (header["counts"]["ok"], header["counts"]["error"]) == (1, 2)
    assert header["metrics"]["token_f1"]["value"] == 1.0
    assert header["metrics"]["token_f1"]["n_missing"] == 2
    assert [sample["scores"]["token_f1"] for sample in samples(place / "run")] == [None, 1.0, None]
    assert samples(place / "run")[0]["error"] == "the file's answer is null"


def test_a_run_with_a_missing_answer_can_be_scored_with_more_metrics(
    place: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (place / "p.jsonl").write_text('{"id": "q1", "prediction": "T301"}\n')
    for metrics in ("token_f1", "token_f1,exact_match"):
        assert main(["score", *score("--metrics", metrics, "--json", *INCOMPLETE)]) == 0
        assert len(json.loads(capfd.readouterr().out)["metrics"]) == 1 + metrics.count(",")


def test_fields_of_a_megabyte_nul_and_emoji_work(place: Path, capfd: pytest.CaptureFixture[str]) -> None:
    big = "word " * 200_000
    long = {"id": "q0", "question": big, "references": [big]}
    odd = {"id": "q1", "question": "\0?", "references": ["\U0001f600\0x"]}
    (place / "data.jsonl").write_text(jsonl([long, odd]))
    (place / "p.jsonl").write_text(
        jsonl([{"id": "q0", "prediction": big}, {"id": "q1", "prediction": "\U0001f600\0x"}])
    )
    assert main(["score", *score("--metrics", "token_f1,exact_match", "--json")]) == 0
    header = json.loads(capfd.readouterr().out)
    assert [entry["value"] for entry in header["metrics"].values()] == [1.0, 1.0]


def test_hostile_text_is_scored_and_printed_as_escapes(place: Path, capfd: pytest.CaptureFixture[str]) -> None:
    row = {"question": HOSTILE, "references": [HOSTILE], "source_document": HOSTILE, "category": HOSTILE}
    (place / "data.jsonl").write_text(
        jsonl([{"id": f"{HOSTILE}{n}", **row} for n in range(2)] + [{**ROWS[0], "id": ""}])
    )
    (place / "p.jsonl").write_text(jsonl([{"id": f"{HOSTILE}{n}", "prediction": HOSTILE} for n in range(2)]))
    for more in (INCOMPLETE, (*INCOMPLETE, "--json")):
        assert main(["score", *score("--metrics", "ngram", "--name", f"{HOSTILE}\udcff".replace("\0", ""), *more)]) == 0
        captured = capfd.readouterr()
        assert not (set(captured.out) | set(captured.err)) & SHOULD_NOT_PRINT
    assert json.loads(captured.out)["metrics"]["exact_match"]["value"] == 1.0
    assert len(samples(place / "run")) == 3
    json.loads((place / "run" / "run.json").read_text("utf-8"))


def test_hostile_text_in_an_error_is_printed_as_escapes(place: Path, complaint: Complaint) -> None:
    (place / "p.jsonl").write_text(jsonl([{"id": HOSTILE, "prediction": "x"}]))
    line = complaint("score", *score())
    assert not set(line) & SHOULD_NOT_PRINT
    assert "red\\x1b[31m" in line
    assert "red\\x1b[31m" in complaint("score", *score("--split", HOSTILE))
    assert "red\\x1b[31m" in complaint("score", *score("--out", f"data.jsonl/{HOSTILE}"))


def test_an_id_of_a_megabyte_does_not_flood_the_terminal(place: Path, complaint: Complaint) -> None:
    (place / "data.jsonl").write_text(jsonl([{**ROWS[0], "id": "x" * 10**6}] * 2))
    assert len(complaint("score", *score())) < 2100


def model_folder(source: Path, name: str) -> Path:
    return Path(shutil.copytree(source, Path(name)))


def configured(folder: Path, **values: Any) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **values}))


def with_added_token(folder: Path) -> None:
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    tokenizer["added_tokens"].append({"id": 300, "content": "Which", "special": True, **flags})
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))


def without_tensor(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    del tensors["lm_head.weight"]
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})


UNREADABLE: dict[str, tuple[Callable[[Path], object], str]] = {
    "tokenizer half JSON": (lambda f: (f / "tokenizer.json").write_text('{"x": '), "the tokenizer cannot be loaded"),
    "tokenizer of other JSON": (lambda f: (f / "tokenizer.json").write_text("{}"), "the tokenizer cannot be loaded"),
    "tokenizer not UTF-8": (lambda f: (f / "tokenizer.json").write_bytes(b"\xff"), "the tokenizer cannot be loaded"),
    "tokenizer of another model": (with_added_token, "gives token 300, its config.json has vocab_size 300"),
    "template of wrong syntax": (lambda f: (f / "chat_template.jinja").write_text("{% for %}"), "--no-chat-template"),
    "template that refuses": (
        lambda f: (f / "chat_template.jinja").write_text("{{ raise_exception('no') }}"),
        "--no-chat-template",
    ),
    "template without the question": (
        lambda f: (f / "chat_template.jinja").write_text("hello"),
        "the chat template leaves out the question",
    ),
    "unknown architecture": (lambda f: configured(f, model_type="lamma"), "does not know the architecture 'lamma'"),
    "text for a number": (lambda f: configured(f, hidden_size="big"), "config.json cannot be used"),
    "custom code that is not there": (
        lambda f: configured(f, auto_map={"AutoConfig": "configuration_x.X"}),
        "config.json cannot be used",
    ),
    "no question fits": (lambda f: configured(f, max_position_embeddings=40), "no question of data test fits"),
}  # fmt: skip
UNLOADABLE: dict[str, tuple[Callable[[Path], object], str]] = {
    "other width": (lambda f: configured(f, intermediate_size=96), "has another shape in the weights"),
    "more layers": (lambda f: configured(f, num_hidden_layers=3), "is missing from the weights"),
    "a tensor missing": (without_tensor, "the tensor lm_head.weight that config.json asks for is missing"),
    "no causal model": (lambda f: configured(f, model_type="t5"), "transformers cannot load"),
}


@pytest.mark.parametrize("fault", [*UNREADABLE, *UNLOADABLE])
def test_a_checkpoint_that_cannot_be_used_is_one_line(fault: str, tiny_checkpoint: Path, complaint: Complaint) -> None:
    change, said = {**UNREADABLE, **UNLOADABLE}[fault]
    folder = model_folder(tiny_checkpoint, "student")
    change(folder)
    words = ["--model", "student", "--engine", "transformers", "--data", "data.jsonl", "--max-tokens", "8"]
    line = complaint("eval", *words, "--metrics", "token_f1", "--out", "run", "--trust-remote-code")
    assert said in line
    assert "student" in line


def test_json_of_eval_is_one_document_whatever_libraries_print(
    tiny_checkpoint: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from telbench.harness.engines import loading
    from telbench.harness.runs import requests

    for module, name in ((requests, "read_tokenizer"), (loading, "refuse_unfilled")):
        real = getattr(module, name)

        def noisy(*arguments: Any, real: Callable[..., Any] = real) -> Any:
            os.write(1, b"noise of a C library\n")
            print("noise of a Python library")  # noqa: T201
            return real(*arguments)

        monkeypatch.setattr(module, name, noisy)
    words = ["--model", str(tiny_checkpoint), "--engine", "transformers", "--data", "data.jsonl", "--max-tokens", "8"]
    assert main(["eval", *words, "--metrics", "token_f1", "--out", "run", "--json"]) == 0
    header = json.loads(capfd.readouterr().out)
    assert header["counts"]["ok"] == 3


def test_hostile_questions_are_answered(tiny_checkpoint: Path, place: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (place / "data.jsonl").write_text(jsonl([{"id": HOSTILE, "question": HOSTILE, "references": ["x"]}]))
    words = ["--model", str(tiny_checkpoint), "--engine", "transformers", "--data", "data.jsonl", "--max-tokens", "8"]
    assert main(["eval", *words, "--metrics", "token_f1", "--out", "run"]) == 0
    captured = capfd.readouterr()
    assert not (set(captured.out) | set(captured.err)) & SHOULD_NOT_PRINT
    assert samples(place / "run")[0]["status"] == "ok"


VLLM_CASES = """
import json, sys
from telbench.harness.cli.main import main
for name in sys.argv[1:]:
    code = main(["eval", "--engine", "vllm", "--model", name, "--data", "data.jsonl", "--max-tokens", "8",
                 "--metrics", "token_f1", "--out", f"run-{name}"])
    print(f"code {name} {code}", file=sys.stderr, flush=True)
"""


@pytest.mark.slow
def test_vllm_refuses_what_cannot_be_loaded_with_one_line(tiny_checkpoint: Path, place: Path) -> None:
    pytest.importorskip("vllm")
    for number, (change, _) in enumerate(UNLOADABLE.values()):
        change(model_folder(tiny_checkpoint, f"student{number}"))
    model_folder(tiny_checkpoint, "sound")
    names = [*(f"student{number}" for number in range(len(UNLOADABLE))), "sound"]
    done = subprocess.run(
        [sys.executable, "-c", VLLM_CASES, *names], capture_output=True, text=True, cwd=place, timeout=600
    )
    lines = done.stderr.splitlines()
    assert [line for line in lines if line.startswith("code ")] == [
        *(f"code {name} 2" for name in names[:-1]),
        "code sound 0",
    ], done.stderr
    for name in names[:-1]:
        assert len([line for line in lines if line.startswith("telbench eval: ") and name in line]) == 1
    assert "Traceback" not in done.stderr
