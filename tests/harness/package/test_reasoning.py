"""Traces and answers, in the formats that models think in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telbench.reasoning import FORMATS, UNMISTAKABLE, Reasoning, Separated, format_of, marks_in, opened_by

MARKS = [mark for markers in FORMATS.values() for mark in (markers.start, markers.end)]
TEXT = st.text().filter(lambda text: not any(mark in text for mark in MARKS))


def separate(text: str, format_: str | None = None, *, opened: bool = False) -> Separated:
    return Reasoning(format_, opened).separate(text)


@pytest.mark.parametrize("name", UNMISTAKABLE)
@given(answer=TEXT, trace=TEXT)
def test_an_injected_trace_changes_no_answer(name: str, answer: str, trace: str) -> None:
    markers = FORMATS[name]
    for text in (f"{markers.start}{trace}{markers.end}\n\n{answer}", f"{trace}{markers.end}{answer}"):
        for format_ in (name, None):
            assert separate(text, format_) == Separated(answer.strip(), trace.strip())


@given(answer=TEXT)
def test_a_text_without_marks_is_all_answer(answer: str) -> None:
    assert separate(answer) == Separated(answer.strip())


@pytest.mark.parametrize("name", UNMISTAKABLE)
def test_a_trace_that_never_ends_leaves_no_answer(name: str) -> None:
    start = FORMATS[name].start
    assert separate(f"{start}The answer is B") == Separated("", "The answer is B", closed=False)
    assert separate("The answer is B", name, opened=True) == Separated("", "The answer is B", closed=False)
    assert separate(f"C {start}no, B", name) == Separated("C", "no, B", closed=False)


@pytest.mark.parametrize(
    ("text", "format_", "expected"),
    [
        ("<think>a</think>x<think>b</think> y", None, Separated("x y", "a\nb")),
        ("a</think>x<think>b</think> y", None, Separated("x y", "a\nb")),
        ("<think>\n\n</think>\n\nB", None, Separated("B", "")),
        ("<think>a</think>\n<answer>\nB\n</answer>", "hunyuan_a13b", Separated("B", "a")),
        ("<think>a</think>", None, Separated("", "a")),
        (
            "<|channel|>analysis<|message|>we need B<|end|><|start|>assistant<|channel|>final<|message|>B<|return|>",
            None,
            Separated("B", "we need B"),
        ),
        ("analysisWe need B.assistantfinalB", "openai_gptoss_text", Separated("B", "We need B.")),
        ("analysisWe need B.assistantfinalB", None, Separated("analysisWe need B.assistantfinalB")),
        ("The analysis says B.", "openai_gptoss_text", Separated("The analysis says B.")),
        (
            "Here is my thought process: B? Here is my response: C",
            "granite",
            Separated("C", "B?"),
        ),
        ("Here is my response: C", "granite", Separated("C", "")),
        ("", "qwen3", Separated("")),
    ],
)
def test_traces_and_answers_of_each_kind(text: str, format_: str | None, expected: Separated) -> None:
    assert separate(text, format_) == expected


@pytest.mark.parametrize(
    ("template", "tokens", "name"),
    [
        ("{{ messages }}<think>\n\n</think>", frozenset(), "qwen3"),
        ("{{ messages }}", frozenset({"<think>", "</think>"}), "qwen3"),
        ("{{ messages }}[THINK][/THINK]", frozenset(), "mistral"),
        ("<think></think><answer></answer>", frozenset(), "hunyuan_a13b"),
        ("{{ messages }}", frozenset({"<|im_start|>"}), None),
    ],
)
def test_a_checkpoint_tells_its_format_by_template_or_tokens(
    template: str, tokens: frozenset[str], name: str | None
) -> None:
    assert format_of(template, tokens) == name


def test_a_prompt_that_opens_a_trace_is_told_from_one_that_closes_it() -> None:
    assert opened_by("<|im_start|>assistant\n<think>\n", "qwen3")
    assert not opened_by("<|im_start|>assistant\n<think>\n\n</think>\n\n", "qwen3")
    assert not opened_by("<|im_start|>assistant\n", "qwen3")


@pytest.mark.parametrize(
    ("special", "marks"),
    [
        ({"<think>", "</think>", "</s>"}, ("</think>", "<think>")),
        ({"</think>", "</s>"}, ("</think>",)),
        # Phi's turns end so, too; there is no channel.
        ({"<|end|>", "<|start|>", "<|message|>"}, ()),
        ({"<|end|>", "<|message|>", "<|channel|>", "<|call|>"}, ("<|channel|>", "<|end|>", "<|message|>")),
        ({"<", ":", "analysis", "[", "]"}, ()),
        (set(), ()),
    ],
)
def test_special_tokens_that_spell_marks_are_known(special: set[str], marks: tuple[str, ...]) -> None:
    assert marks_in(special) == marks
