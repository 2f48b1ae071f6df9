"""Users' templates: what they may read, where their faults are told, and that each comes to an end."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from telbench.errors import InputError
from telbench.harness.datasets.items import Item
from telbench.harness.prompts.build import PromptSettings, build_prompt, message
from telbench.harness.prompts.template import LONGEST, NAMES, UserTemplate, read_template

ITEM = Item(
    "q1",
    "Which plane? 😀\0",
    references=("the secret",),
    context="The UPF forwards packets.",
    choices=("user", "control", "management"),
    answer=(1,),
    source_document="TS 23.501",
    category="core",
    meta={"release": 17},
)


def settings(text: str, **more: object) -> PromptSettings:
    return PromptSettings("open", template=UserTemplate(text, "mine.j2"), **more)  # pyright: ignore[reportArgumentType]


def fault(text: str) -> str:
    with pytest.raises(InputError) as caught:
        message(ITEM, settings(text), ITEM.context)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_template_sees_the_item_with_its_options_as_shown() -> None:
    text = (
        "{{ id }}|{{ category }}|{{ source_document }}|{{ meta.release }}|{{ several }}\n"
        "{{ context }}\n{{ question }}\n"
        "{% for label in labels %}\n{{ label }}) {{ choices[loop.index0] }}\n{% endfor %}\n"
    )
    prompt = build_prompt(ITEM, settings(text), None, None)
    shown = [ITEM.choices[index] for index in prompt.shown_choices]
    assert prompt.request.messages == (
        {
            "role": "user",
            "content": "q1|core|TS 23.501|17|False\nThe UPF forwards packets.\nWhich plane? 😀\0\n"
            + "".join(f"{label}) {choice}\n" for label, choice in zip("ABC", shown, strict=True)),
        },
    )
    assert len({build_prompt(ITEM, settings(text, choice_seed=n), None, None).shown_choices for n in range(9)}) > 2


def test_what_tells_the_answer_is_no_name_of_a_template() -> None:
    for name in ("references", "answer", "gold_references", "item"):
        assert fault(f"{{{{ question }}}}\n{{{{ {name} }}}}").startswith(f"mine.j2, line 2: there is no '{name}': ")
        # Not even where it is not reached.
        assert "there is no" in fault(f"x{{% if {name} is defined %}}y{{% endif %}}")
    assert not {"references", "answer"} & set(NAMES)


def test_the_instruction_is_telbenchs_or_the_users_own() -> None:
    assert message(ITEM, settings("{{ instruction }}"), None).endswith("the letter of the right option.")
    assert message(ITEM, settings("{{ instruction }}", instruction="Say."), None) == "Say."


def test_a_context_that_no_template_writes_is_neither_shown_nor_cut() -> None:
    made = settings("{{ question }}")
    assert not made.shows_context
    assert settings("{% if context %}{{ context }}{% endif %}").shows_context
    # Letters would be the template's own: the data's order is meant.
    assert build_prompt(ITEM, made, None, None).shown_choices == (0, 1, 2)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a\nb {{ questoin }}", "mine.j2, line 2: there is no 'questoin': did you mean 'question'?"),
        ("a\n{% for %}", "mine.j2, line 2: Expected an expression"),
        ("a\n\n{{ choices[9] }}", "mine.j2, line 3: list object has no element 9 (item 'q1')"),
        ("{{ meta.nothing }}", "mine.j2, line 1: 'dict object' has no attribute 'nothing'"),
        ("{{ 1 / 0 }}", "mine.j2, line 1: ZeroDivisionError: division by zero"),
        ("{% include 'other' %}", "mine.j2, line 1: TypeError: no loader"),
        ("{{ question.__class__.__mro__ }}", "attribute '__class__' of 'str' object is unsafe"),
        ("{{ '{0.__class__}'.format(question) }}", "attribute '__class__' of 'str' object is unsafe"),
        ("{{ meta.clear() }}", "attribute 'clear' of 'dict' object is unsafe"),
        ("{{ lipsum() }}", "there is no 'lipsum'"),
        ("{{ choices|random }}", "No filter named 'random'"),
        ("{# nothing #}  ", "the message is empty for item 'q1'"),
    ],
)
def test_a_fault_is_one_line_with_file_and_line(text: str, said: str) -> None:
    assert said in fault(text)


BIG = "x" * 50_000


@pytest.mark.parametrize(
    "text",
    [
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
        "{% for a in range(99999) %}" + BIG + "{% endfor %}",
        "{% set x %}{% for a in range(99999) %}" + BIG + "{% endfor %}{% endset %}{{ x|length }}",
        "{{ 'x' * 10**9 }}",
        "{{ 'x' * 1000000000 }}",
        "{{ 9**9**9 }}",
        "{% set s = namespace(t='xx') %}{% for i in range(40) %}{% set s.t = s.t ~ s.t %}{% endfor %}{{ s.t|length }}",
        "{% set s = namespace(t='xx') %}{% for i in range(40) %}{% set s.t = s.t + s.t %}{% endfor %}{{ s.t|length }}",
        "{% macro m(n) %}{% if n %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(60) }}",
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
        "{% for a in question recursive %}{{ loop(question) }}{% endfor %}",
        "{{ 'x'|center(10**9) }}",
        "{{ 'x'.ljust(10**9) }}",
        "{{ '%1000000000d'|format(1) }}",
        "{{ '%*d' % (1000000000, 1) }}",
        "{{ '{:1000000000}'.format(1) }}",
    ],
)
def test_a_template_that_does_not_end_is_stopped_by_its_work(text: str) -> None:
    began = time.process_time()
    assert "writes or repeats more than" in (line := fault(text)) or "RecursionError" in line
    assert time.process_time() - began < 5


def test_the_count_of_work_begins_anew_with_each_item() -> None:
    made = settings("{{ 'x' * 900000 }}")
    assert len({message(ITEM, made, None) for _ in range(3)}) == 1


def test_ordinary_templates_are_not_held_up() -> None:
    text = (
        "{% for c in choices %}{{ '%s%d' % (c, loop.index) }}{{ ', ' if not loop.last }}{% endfor %}{{ 3 * 4 ~ 'x' }}"
    )
    listed = [ITEM.choices[index] for index in build_prompt(ITEM, settings(text), None, None).shown_choices]
    assert message(ITEM, settings(text), None) == ", ".join(f"{c}{n}" for n, c in enumerate(listed, 1)) + "12x"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot be read: No such file"),
        (b"\xff\xfe", "is not UTF-8 text"),
        (b" \n", "is empty"),
        (b"x" * (LONGEST + 1), "is longer than 100,000 characters"),
        (b"a\n{{ references }}", "line 2: there is no 'references'"),
    ],
)
def test_a_file_that_is_no_template_is_refused(tmp_path: Path, content: bytes | None, said: str) -> None:
    file = tmp_path / "t.j2"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(InputError, match=said):
        read_template(file)


def test_the_text_alone_makes_two_templates_differ() -> None:
    assert UserTemplate("x", "a.j2") == UserTemplate("x", "b.j2") != UserTemplate("y", "a.j2")
    assert settings("x").recorded["template"] == "x"
