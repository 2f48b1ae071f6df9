"""Traces whose marks are special tokens: decoding keeps these marks alone, and no metric sees a trace."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

from telbench.harness.cli.main import main
from telbench.harness.engines.stopping import GrowingAnswer, hidden_tokens
from telbench.harness.runs.folder import read_run, read_samples
from telbench.harness.tokenizing import load_tokenizer

from ...chained_checkpoint import save_chain

TRACE = "The answer is TCP, so (A)."
# A special token that is no mark stands within the answer: it stays out of the text.
ANSWER = ("U", "<|user|>", "D", "P")
HARMONY = ("<|channel|>", "<|message|>", "<|start|>", "<|end|>")
SAYS: dict[str, dict[str, Any]] = {
    "qwen3": {"specials": ("<think>", "</think>"), "says": ("<think>", TRACE, "</think>", *ANSWER)},
    "mistral": {"specials": ("[THINK]", "[/THINK]"), "says": ("[THINK]", TRACE, "[/THINK]", *ANSWER)},
    "openai_gptoss": {
        "specials": HARMONY,
        "words": ("analysis", "assistant", "final"),
        "turn": "<|end|>",
        "says": (
            *("<|channel|>", "analysis", "<|message|>", TRACE),
            *("<|end|>", "<|start|>", "assistant", "<|channel|>", "final", "<|message|>", *ANSWER),
        ),
    },
}
ENGINES = ("transformers", *(["vllm"] if importlib.util.find_spec("vllm") else []))


def made(folder: Path, name: str) -> Path:
    asked = {**SAYS[name], "words": (TRACE, *SAYS[name].get("words", ()))}
    save_chain(folder / name, **asked)
    return folder / name


def scored(model: Path, data: Path, out: Path, engine: str, *more: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    asked = ["--data", str(data), "--engine", engine, "--max-tokens", "24", "--no-cache", "--out", str(out)]
    assert main(["eval", "--model", str(model), *asked, *more]) == 0
    return read_run(out), list(read_samples(out))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Open questions and choices that the answer UDP is right to, or wrong."""
    file = tmp_path / "data.jsonl"
    texts = ("UDP", "It is UDP.", "TCP")
    rows: list[dict[str, Any]] = [
        {"id": f"o{n}", "question": f"Which {n}?", "references": [text]} for n, text in enumerate(texts)
    ]
    rows += [{"id": f"c{n}", "question": "Which?", "choices": ["TCP", "UDP", "SCTP"], "answer": n} for n in range(2)]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
def test_a_trace_between_special_tokens_moves_no_metric(data: Path, tmp_path: Path, engine: str) -> None:
    save_chain(tmp_path / "plain", ANSWER)
    plain, expected = scored(tmp_path / "plain", data, tmp_path / "run-plain", engine)
    assert {line["prediction"] for line in expected} == {"UDP"}
    assert "marks" not in plain["generation"]
    for name in SAYS:
        header, found = scored(made(tmp_path, name), data, tmp_path / f"run-{name}", engine)
        assert {line["reasoning"] for line in found} == {TRACE}
        assert header["counts"]["thought"] == len(found) == 5
        assert header["counts"]["unclosed"] == plain["counts"]["thought"] == 0
        assert header["metrics"] == plain["metrics"]
        for one, other in zip(expected, found, strict=True):
            for field in ("prediction", "scores", "stats", "finish_reason"):
                assert one[field] == other[field]
        assert header["generation"]["marks"] == sorted(SAYS[name]["specials"])
    # What ends an answer is found beyond the mark of a trace, and across a special token that is not shown.
    stopped = scored(tmp_path / "mistral", data, tmp_path / "run-stopped", engine, "--stop", "]UD")[1]
    assert {(line["prediction"], line["reasoning_closed"]) for line in stopped} == {("", False)}


@pytest.mark.slow
def test_marks_that_are_kept_stay_in_answers_where_the_user_wants_traces(data: Path, tmp_path: Path) -> None:
    asked = ["--data", str(data), "--engine", "transformers", "--max-tokens", "24", "--no-cache"]
    for reasoning, tokens, expected in (
        ("none", "24", f"[THINK]{TRACE}[/THINK]UDP"),
        # The trace does not end within two tokens: no answer.
        ("auto", "2", ""),
    ):
        out = tmp_path / reasoning
        more = ["--reasoning", reasoning, "--max-tokens", tokens, "--out", str(out)]
        assert main(["eval", "--model", str(made(tmp_path, "mistral")), *asked, *more]) == 0
        assert {line["prediction"] for line in read_samples(out)} == {expected}
    assert read_run(tmp_path / "auto")["counts"]["unclosed"] == 5


def test_only_the_marks_are_shown_of_all_special_tokens(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    tokenizer = load_tokenizer(made(tmp_path, "mistral"))
    ids = tokenizer("<|user|>a[THINK]b<|user|>核[/THINK]<|user|>c", add_special_tokens=False)["input_ids"]
    shown = {}
    for marks in ((), ("[/THINK]", "[THINK]")):
        answer = GrowingAnswer(tokenizer, ids[:3], frozenset(), (), hidden_tokens(tokenizer, marks))
        for token in ids:
            answer.push(token)
        shown[marks] = answer.text
    assert shown == {(): "ab核c", ("[/THINK]", "[THINK]"): "a[THINK]b核[/THINK]c"}
    stopped = GrowingAnswer(tokenizer, (), frozenset(), ("[/THINK]",), hidden_tokens(tokenizer, ("[/THINK]",)))
    for token in ids:
        stopped.push(token)
    assert (stopped.text, stopped.finish_reason) == ("ab核", "stop")
