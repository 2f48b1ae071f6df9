"""Likelihood of references: the ids that training uses, values of a plain forward pass, every absence with a reason."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from telbench.config import changed
from telbench.harness.datasets.items import Item
from telbench.harness.prompts.build import PromptSettings, build_prompt, encoder_for
from telbench.harness.prompts.references import DO_NOT_FIT, reference_continuations
from telbench.harness.runs.evaluate import evaluate
from telbench.harness.runs.folder import read_samples
from telbench.harness.runs.settings import EvalSettings, eval_settings
from telbench.harness.tokenizing import load_tokenizer

from ...checkpoints import save_tokenizer
from ...kd.made_models import examples_of
from ...scripted_engine import NotedReporter, Script, die, folder_of, killed, run, use, write_items

LIKELIHOODS = ("reference_likelihood", "reference_perplexity", "reference_bits_per_byte")
ITEMS = (
    Item("a", "What sends the RRC message?", ("The gNB.", "the base station of 5G")),
    Item("b", "Which split?", (" 7-2x",), context="The O-DU and the O-RU share split 7-2x."),
    Item("c", "¿Qué es 核心网?", ("核心网 😀", "bad \ud800 half")),
    Item("d", "Which book?", ("open",), context="  \n"),
)


def encoder_of(folder: Path, *, chat: bool = True) -> Any:
    return encoder_for(load_tokenizer(folder), PromptSettings("open", chat=chat))


@pytest.mark.parametrize("chat", [True, False])
@pytest.mark.parametrize("book", ["open", "closed"])
def test_the_ids_are_those_that_training_uses(tiny_checkpoint: Path, tmp_path: Path, chat: bool, book: Any):
    if not chat:
        save_tokenizer(tmp_path, chat=False)
    settings, encoder = PromptSettings(book), encoder_of(tiny_checkpoint if chat else tmp_path)
    assert encoder.chat is chat
    for example, item in zip(examples_of(ITEMS, settings, encoder, 512), ITEMS, strict=True):
        prompt = build_prompt(item, settings, encoder, 512)
        found = reference_continuations(item, prompt, encoder, 512)
        assert not isinstance(found, str)
        assert len(found) == len(item.references)
        assert (tuple(found[0].token_ids), found[0].start) == (example.ids, example.start)
        assert found[0].token_ids[-1] == encoder.tokenizer.eos_token_id


def test_the_prompt_is_the_one_asked_cut_context_included(tiny_checkpoint: Path):
    encoder, settings = encoder_of(tiny_checkpoint), PromptSettings("open")
    item = replace(ITEMS[1], context="The O-DU and the O-RU share split 7-2x. " * 50)
    prompt = build_prompt(item, settings, encoder, 200)
    assert prompt.truncated
    (found,) = reference_continuations(item, prompt, encoder, 512)
    assert not isinstance(found, str)
    assert list(found.token_ids[: found.start]) == list(prompt.request.token_ids)


def test_references_fit_the_window_beside_one_token_or_are_all_left_out(tiny_checkpoint: Path):
    encoder = encoder_of(tiny_checkpoint)
    prompt = build_prompt(ITEMS[0], PromptSettings("open"), encoder, None)
    whole = reference_continuations(ITEMS[0], prompt, encoder, None)
    assert not isinstance(whole, str)
    longest = max(len(each.token_ids) for each in whole)
    assert reference_continuations(ITEMS[0], prompt, encoder, longest + 1) == whole
    assert reference_continuations(ITEMS[0], prompt, encoder, longest) == DO_NOT_FIT


def plain_scores(folder: Path, item: Item) -> list[tuple[float, int]]:
    """(log-likelihood, tokens) of each reference by one forward pass each, from the chat template's own text."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype="float32")
    question = f"Answer the telecom question in one or two sentences.\nQuestion: {item.question}"
    asked = tokenizer(f"<s><|user|>{question}</s><|assistant|>", add_special_tokens=False)["input_ids"]
    scores = []
    for reference in item.references:
        answer = tokenizer(f"{reference}</s>", add_special_tokens=False)["input_ids"]
        with torch.no_grad():
            logits = model(torch.tensor([asked + answer])).logits[0].double()
        found = torch.log_softmax(logits, -1)[len(asked) - 1 : -1].gather(1, torch.tensor(answer)[:, None])
        scores.append((float(found.sum()), len(answer)))
    return scores


def write(path: Path, items: tuple[Item, ...]) -> Path:
    path.write_text(
        "".join(
            json.dumps({"id": item.id, "question": item.question, "references": item.references}) + "\n"
            for item in items
        )
    )
    return path


def test_values_are_those_of_a_plain_forward_pass(tiny_checkpoint: Path, tmp_path: Path):
    items = (ITEMS[0], Item("long", "Which interface connects the O-DU and the O-RU?", ("x" * 490, "y")))
    settings = eval_settings(
        model=str(tiny_checkpoint),
        engine="transformers",
        data=str(write(tmp_path / "items.jsonl", items)),
        metrics=LIKELIHOODS,
        out=tmp_path / "run",
    )
    settings = changed(settings, max_tokens=4, cache=False)
    metrics = evaluate(settings, NotedReporter()).header["metrics"]
    expected = plain_scores(tiny_checkpoint, items[0])
    sample, long = read_samples(tmp_path / "run")
    assert [tokens for _, tokens in sample["reference_scores"]] == [tokens for _, tokens in expected]
    assert [value for value, _ in sample["reference_scores"]] == pytest.approx([v for v, _ in expected], abs=1e-4)
    best, tokens = max(expected, key=lambda each: each[0] / each[1])
    assert metrics["reference_likelihood"]["value"] == pytest.approx(best / tokens, abs=1e-5)
    assert metrics["reference_perplexity"]["value"] == pytest.approx(math.exp(-best / tokens), rel=1e-5)
    sizes = [len(reference.encode()) for reference in items[0].references]
    bits = min(-value / math.log(2) / size for (value, _), size in zip(expected, sizes, strict=True))
    assert metrics["reference_bits_per_byte"]["value"] == pytest.approx(bits, rel=1e-5)
    assert metrics["reference_likelihood"]["range"] == [None, 0]
    assert metrics["reference_likelihood"]["missing"] == {DO_NOT_FIT: 1}
    assert "reference_scores" not in long


def scripted(tiny_checkpoint: Path, tmp_path: Path) -> EvalSettings:
    data = write_items(tmp_path / "data.jsonl")
    return eval_settings(model=str(tiny_checkpoint), data=str(data), metrics=LIKELIHOODS, out=tmp_path / "run")


@pytest.fixture
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TELBENCH_CACHE", str(tmp_path / "cache"))


@pytest.mark.usefixtures("_own_cache")
def test_likelihoods_are_asked_once_kept_over_a_kill_and_cached(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    asked: list[str] = []

    def likelihood(each: Any) -> float:
        asked.append(each.key)
        return -float(len(each.token_ids))

    def dying(each: Any) -> float:
        if len(asked) == 5:
            die()
        return likelihood(each)

    settings = scripted(tiny_checkpoint, tmp_path)
    use(monkeypatch, Script(likelihood=dying), local=True)
    assert killed(lambda: run(settings))
    use(monkeypatch, Script(likelihood=likelihood), local=True)
    done = run(settings).header["metrics"]["reference_likelihood"]
    # Two references an item, five of them known from the killed run.
    assert (done["n"], len(asked), len(set(asked))) == (8, 16 - 5, 16 - 5)
    again = replace(settings, out=tmp_path / "again")
    script = Script(likelihood=likelihood)
    use(monkeypatch, script, local=True)
    assert run(again).header["metrics"]["reference_likelihood"]["value"] == done["value"]
    assert (script.opened, len(asked)) == (0, 11)


@pytest.mark.usefixtures("_own_cache")
def test_only_metrics_that_need_them_have_references_scored(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def likelihood(each: Any) -> float:
        raise AssertionError

    use(monkeypatch, Script(likelihood=likelihood), local=True)
    run(changed(scripted(tiny_checkpoint, tmp_path), metrics=("token_f1",)))


def test_answers_from_elsewhere_have_no_likelihood(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    use(monkeypatch, Script())
    settings = eval_settings(
        model="m", data=str(write_items(tmp_path / "d.jsonl")), metrics=LIKELIHOODS, out=tmp_path / "run"
    )
    entry = run(settings).header["metrics"]["reference_perplexity"]
    assert (entry["value"], entry["missing"]) == (None, {"no likelihoods of references from this engine": 8})


def test_an_unanswerable_question_has_no_reference_for_any_metric(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    use(monkeypatch, Script(answer=lambda request: "I don't know." if request.item_id < "q4" else "the SMF"))
    data = tmp_path / "d.jsonl"
    write_items(data)
    lines = [json.loads(line) for line in data.read_text().splitlines()]
    data.write_text("".join(json.dumps({**line, "meta": {"unanswerable": line["id"] > "q1"}}) + "\n" for line in lines))
    settings = eval_settings(model="m", data=str(data), out=tmp_path / "run")
    metrics = run(settings).header["metrics"]
    assert {"bleu", "refusal_accuracy", "over_refusal"} <= set(metrics)
    assert metrics["token_f1"]["missing"] == {"no reference": 6}
    assert metrics["refusal_accuracy"]["value"] == pytest.approx(2 / 6)
    assert metrics["refusal_accuracy"]["missing"] == {"answerable": 2}
    assert metrics["over_refusal"]["value"] == 1
    samples = list(read_samples(folder_of(settings)))
    assert [sample["references"] == [] for sample in samples] == [False] * 2 + [True] * 6
    assert [sample.get("answerable", True) for sample in samples] == [True] * 2 + [False] * 6


def test_nothing_is_trained_on_the_answer_of_an_unanswerable_question(tiny_checkpoint: Path):
    encoder = encoder_of(tiny_checkpoint)
    assert examples_of([replace(ITEMS[0], meta={"unanswerable": True})], PromptSettings("open"), encoder, 512) == []
