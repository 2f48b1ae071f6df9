"""Examples before a question: by seed and item, from other documents, and the first thing to give way."""

from __future__ import annotations

from collections import Counter
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from telbench.errors import InputError
from telbench.harness.datasets.items import Item
from telbench.harness.prompts.build import PromptSettings, build_prompt, encoder_for, option_continuations
from telbench.harness.prompts.encoder import try_system, try_variables
from telbench.harness.prompts.few_shot import Examples, usable

from ...checkpoints import save_tokenizer

OPEN, CLOSED = PromptSettings("open"), PromptSettings("closed")
POOL = tuple(
    Item(
        f"e{n}", f"What is entity {n}?", (f"It is {n}.",), source_document=f"TS {n // 2}", context=f"Entity {n} is {n}."
    )
    for n in range(40)
)
ASKED = Item("q", "What is the AMF?", ("a function",), source_document="TS 3", context="The AMF is a function.")


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Any:
    pytest.importorskip("transformers")
    from transformers import AutoTokenizer

    folder = tmp_path_factory.mktemp("tokenizer")
    save_tokenizer(folder)
    return AutoTokenizer.from_pretrained(folder)


def drawn(item: Item, count: int = 5, seed: int = 0, pool: tuple[Item, ...] = POOL) -> list[str]:
    return [each.id for each in Examples(pool, count, seed, "train").for_item(item)]


def test_seed_and_item_decide_and_the_count_only_how_many() -> None:
    assert drawn(ASKED) == drawn(ASKED) == drawn(ASKED, 9)[:5]
    assert len(set(drawn(ASKED, 30))) == 30
    assert drawn(ASKED, seed=1) != drawn(ASKED) != drawn(replace(ASKED, id="r"))


def test_every_example_is_as_likely_in_every_place() -> None:
    firsts = Counter(drawn(Item(f"i{n}", "?"), 1)[0] for n in range(4000))
    assert len(firsts) == 40
    # 100 are expected of each, with a standard deviation of 9.9.
    assert all(50 < count < 150 for count in firsts.values())


def test_no_example_tells_the_answer() -> None:
    of_document = {"e6", "e7"}
    assert not of_document & set(drawn(ASKED, 40))
    assert len(drawn(ASKED, 40)) == 38
    same_words = replace(ASKED, question="what is ENTITY 9", source_document=None)
    assert set(drawn(same_words, 40)) == {each.id for each in POOL} - {"e9"}
    itself = replace(ASKED, id="e1", source_document=None)
    assert "e1" not in drawn(itself, 40)
    same_context = replace(ASKED, source_document=None, context=POOL[4].context)
    assert "e4" not in drawn(same_context, 40)


def test_examples_are_of_the_items_own_kind_where_there_are_such() -> None:
    choice = Item("c", "Which?", choices=("x", "y"), answer=(0,))
    options = tuple(replace(choice, id=f"c{n}", question=f"Which {n}?") for n in range(3))
    assert set(drawn(choice, 9, pool=POOL + options)) == {"c0", "c1", "c2"}
    assert not set(drawn(ASKED, 40, pool=POOL + options)) & {"c0", "c1", "c2"}
    assert len(drawn(choice, 3)) == 3


def test_what_has_no_answer_is_no_example() -> None:
    choice = Item("c", "Which?", ("x",), choices=("x", "y"))
    assert usable(ASKED)
    assert usable(replace(choice, answer=(0,)))
    assert not any(map(usable, (choice, replace(ASKED, references=()), replace(ASKED, meta={"unanswerable": True}))))


def test_chats_alternate_and_plain_prompts_are_blocks(tokenizer: Any) -> None:
    settings = PromptSettings("closed", system="Be brief.", instruction="Answer.", few_shot=2)
    of = encoder_for(tokenizer, settings)
    prompt = build_prompt(ASKED, settings, of, None, POOL[:2])
    assert prompt.examples == ("e0", "e1")
    assert tokenizer.decode(prompt.request.token_ids) == (
        "<s><|system|>Be brief.</s><|user|>Answer.\nQuestion: What is entity 0?</s><|assistant|>It is 0.</s>"
        "<|user|>Answer.\nQuestion: What is entity 1?</s><|assistant|>It is 1.</s>"
        "<|user|>Answer.\nQuestion: What is the AMF?</s><|assistant|>"
    )
    plain = replace(settings, chat=False)
    ids = build_prompt(ASKED, plain, encoder_for(tokenizer, plain), None, POOL[:2]).request.token_ids
    assert tokenizer.decode(ids) == (
        "Be brief.\n\nAnswer.\nQuestion: What is entity 0?\nAnswer: It is 0.\n\n"
        "Answer.\nQuestion: What is entity 1?\nAnswer: It is 1.\n\nAnswer.\nQuestion: What is the AMF?\nAnswer:"
    )


def test_an_example_of_options_is_answered_by_its_labels() -> None:
    example = Item("e", "Which?", choices=("x", "y", "z"), answer=(0, 2))
    asked = Item("c", "What?", choices=("u", "v"), answer=(0,))
    _, answer, _ = build_prompt(asked, CLOSED, None, None, [example]).request.messages
    alone = build_prompt(example, CLOSED, None, None)
    labels = [letter for letter, index in zip("ABC", alone.shown_choices, strict=True) if index in (0, 2)]
    assert answer == {"role": "assistant", "content": ", ".join(labels)}


def test_a_raw_question_is_the_whole_message(tokenizer: Any) -> None:
    raw = PromptSettings("open", raw=True, chat=False)
    asked = replace(ASKED, question="1+1=", choices=("3", "2"), answer=(1,))
    prompt = build_prompt(asked, raw, encoder_for(tokenizer, raw), None)
    assert tokenizer.decode(prompt.request.token_ids) == "1+1="
    assert prompt.shown_choices == (0, 1)
    example = replace(POOL[0], question="2+2=", references=("4",))
    ids = build_prompt(asked, raw, encoder_for(tokenizer, raw), None, [example]).request.token_ids
    assert tokenizer.decode(ids) == "2+2= 4\n\n1+1="


def test_examples_give_way_from_the_end_before_a_context_is_cut(tokenizer: Any) -> None:
    of = encoder_for(tokenizer, OPEN)
    whole = [len(build_prompt(ASKED, OPEN, of, None, POOL[:count]).request.token_ids) for count in range(4)]
    for kept, budget in ((3, whole[3]), (2, whole[3] - 1), (2, whole[2]), (1, whole[2] - 1), (0, whole[0])):
        prompt = build_prompt(ASKED, OPEN, of, budget, POOL[:3])
        assert (prompt.examples, prompt.left_out) == (("e0", "e1", "e2")[:kept], 3 - kept)
        assert not prompt.truncated
        assert len(prompt.request.token_ids) == whole[kept]
    cut = build_prompt(ASKED, OPEN, of, whole[0] - 1, POOL[:3])
    assert (cut.truncated, cut.examples, cut.left_out, cut.problem) == (True, (), 3, None)
    assert build_prompt(ASKED, OPEN, of, 5, POOL[:3]).problem


def test_fifty_examples_in_a_small_window_keep_the_question(tokenizer: Any) -> None:
    prompt = build_prompt(ASKED, OPEN, encoder_for(tokenizer, OPEN), 384, POOL + POOL[:10])
    assert prompt.problem is None
    assert 0 < len(prompt.examples) < 50
    assert len(prompt.examples) + prompt.left_out == 50
    assert len(prompt.request.token_ids) <= 384
    assert prompt.request.messages[-1]["content"].endswith("Question: What is the AMF?")


def test_options_are_weighed_after_examples_of_the_same_form(tokenizer: Any) -> None:
    example = Item("e", "Which?", choices=("left", "right"), answer=(1,))
    asked = Item("c", "What?", choices=("up", "down"), answer=(0,))
    found = option_continuations(asked, CLOSED, encoder_for(tokenizer, CLOSED), [example])
    texts = [tokenizer.decode(each.token_ids) for each in found]
    assert [text.rpartition("<|assistant|>")[2] for text in texts] == ["up", "down"]
    assert all("Question: Which?</s><|assistant|>right</s><|user|>" in text for text in texts)


def test_every_message_is_in_the_key_and_a_bare_prompt_keeps_its_own() -> None:
    variants = [
        build_prompt(ASKED, CLOSED, None, None),
        build_prompt(ASKED, PromptSettings("closed", system=""), None, None),
        build_prompt(ASKED, PromptSettings("closed", system="x"), None, None),
        build_prompt(ASKED, PromptSettings("closed", instruction=""), None, None),
        build_prompt(ASKED, PromptSettings("closed", raw=True), None, None),
        build_prompt(ASKED, CLOSED, None, None, POOL[:1]),
        build_prompt(ASKED, CLOSED, None, None, POOL[1:2]),
        build_prompt(ASKED, CLOSED, None, None, POOL[:2]),
    ]
    assert len({each.request.key for each in variants}) == len(variants)
    assert CLOSED.recorded == {"book": "closed", "choice_seed": 0, "chat": True, "version": 1}


def changed(tokenizer: Any, template: str) -> Any:
    other = deepcopy(tokenizer)
    other.chat_template = template
    return other


@pytest.mark.parametrize(
    ("template", "said"),
    [
        (
            "{% if messages[0].role == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}",
            "takes no system message (System role not supported)",
        ),
        ("{{ messages[-1].content }}", "leaves out the system message"),
    ],
)
def test_a_template_without_a_system_message_is_one_line(
    tokenizer: Any, template: str, said: str, tmp_path: Path
) -> None:
    try_system(encoder_for(tokenizer, CLOSED), tmp_path)
    with pytest.raises(InputError) as caught:
        try_system(encoder_for(changed(tokenizer, template), CLOSED), tmp_path)
    assert said in str(caught.value)
    assert str(caught.value).endswith("put its text into --instruction")


def test_variables_reach_the_template_and_unknown_ones_are_refused(tokenizer: Any, tmp_path: Path) -> None:
    thinking = changed(tokenizer, "{{ messages[0].content }}{% if enable_thinking %}<think>{% endif %}")
    for value in (True, False):
        settings = PromptSettings("closed", chat_template_kwargs={"enable_thinking": value})
        of = encoder_for(thinking, settings)
        try_variables(of, tmp_path)
        assert of.tokenizer.decode(of.ids("x")).endswith("<think>") is value
    for name, said in (("enable_thinkin", "does not read it"), ("add_generation_prompt", "telbench sets it itself")):
        settings = PromptSettings("closed", chat_template_kwargs={name: True})
        with pytest.raises(InputError, match=said):
            try_variables(encoder_for(thinking, settings), tmp_path)
