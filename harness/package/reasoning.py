"""Reasoning traces: where a model's thinking ends and its answer begins.

Formats are called as vLLM's reasoning parsers are. A trace is no answer: nothing that scores text reads it.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import lru_cache

from telbench.config import near_name
from telbench.errors import InputError


@dataclass(frozen=True, slots=True)
class Markers:
    """What stands before and after a trace, and around the answer after it, if anything does."""

    start: str
    end: str
    answer_start: str = ""
    answer_end: str = ""


_THINK = Markers("<think>", "</think>")
# Names of vLLM's reasoning parsers; several share their markers.
FORMATS: dict[str, Markers] = {
    "deepseek_r1": _THINK,
    "qwen3": _THINK,
    "glm45": _THINK,
    "ernie45": _THINK,
    "minimax_m2": _THINK,
    "nemotron_v3": _THINK,
    "olmo3": _THINK,
    "step3": _THINK,
    "holo2": _THINK,
    "hunyuan_a13b": Markers("<think>", "</think>", "<answer>", "</answer>"),
    "seed_oss": Markers("<seed:think>", "</seed:think>"),
    "mistral": Markers("[THINK]", "[/THINK]"),
    "kimi_k2": _THINK,
    "kimi_vl": Markers("◁think▷", "◁/think▷"),
    "granite": Markers("Here is my thought process:", "Here is my response:"),
    "exaone": Markers("<thought>", "</thought>"),
    "openai_gptoss": Markers("<|channel|>analysis<|message|>", "<|channel|>final<|message|>"),
    # The same where special tokens are left out of the text.
    "openai_gptoss_text": Markers("analysis", "assistantfinal"),
}
# Markers that no answer begins with by chance: looked for in every answer, whatever its model.
UNMISTAKABLE = ("hunyuan_a13b", "qwen3", "seed_oss", "mistral", "kimi_vl", "exaone", "openai_gptoss")
_TOKEN = re.compile(r"<\|\w+\|>")
# Around the messages of a conversation whose marks are spelled with several tokens.
_CONTROL_TOKENS = ("<|start|>", "<|end|>")
_CONTROL = re.compile(r"<\|(?:start|end|return|channel|message)\|>(?:assistant)?")


@dataclass(frozen=True, slots=True)
class Separated:
    """An answer without its trace. ``trace`` is None where there is none.

    ``closed`` is False where a trace never ends: then there is no answer.
    """

    answer: str
    trace: str | None = None
    closed: bool = True


@dataclass(frozen=True)
class Reasoning:
    """Where traces end: ``format`` is a name of `FORMATS`, None for the marks of any.

    ``opened``: prompts end within a trace. ``kept``: traces stay parts of answers.
    """

    format: str | None = None
    opened: bool = False
    kept: bool = False

    def separate(self, text: str, apart: str | None = None) -> Separated:
        r"""Trace and answer of a generated text; ``apart`` is a trace that came apart from it.

        >>> Reasoning().separate("<think>\nB? No.\n</think>\n\nC")
        Separated(answer='C', trace='B? No.', closed=True)
        >>> Reasoning().separate("<think>It could be B")
        Separated(answer='', trace='It could be B', closed=False)
        >>> Reasoning().separate("NR uses OFDM.")
        Separated(answer='NR uses OFDM.', trace=None, closed=True)
        """
        found = Separated(text.strip())
        if self.kept:
            return replace(found, trace=apart)
        # A server that has taken the trace away leaves a text that was not begun within it.
        opened = self.opened and apart is None
        for name in (self.format,) if self.format else UNMISTAKABLE:
            markers = FORMATS[name]
            if opened or markers.end in text or markers.start in text:
                found = _separated(text, markers, opened)
                break
        return found if apart is None else replace(found, trace=apart)


def reasoning_asked(name: str) -> Reasoning:
    """What a user's word says: ``auto`` looks for the marks of any format, ``none`` leaves traces where they are.

    Raises:
        InputError: for a name that is neither of these nor a format.
    """
    if name not in {"auto", "none", *FORMATS}:
        raise InputError(f"--reasoning {name} is no format: {near_name(name, ('auto', 'none', *FORMATS))}")
    return Reasoning(None if name in {"auto", "none"} else name, kept=name == "none")


def _separated(text: str, markers: Markers, opened: bool) -> Separated:
    traces, answers = [], []
    rest, closed = text, True
    start, end = text.find(markers.start), text.find(markers.end)
    # A text that ends a trace which it never began was begun in the prompt.
    within = opened and start != 0 if end < 0 else start < 0 or start > end
    while rest:
        if not within:
            start = rest.find(markers.start)
            # Words begin a trace at the start of a text alone: elsewhere they are words.
            if start < 0 or (markers.start[0].isalpha() and (traces or rest[:start].strip())):
                answers.append(rest)
                break
            answers.append(rest[:start])
            rest = rest[start + len(markers.start) :]
        within = False
        trace, ended, rest = rest.partition(markers.end)
        traces.append(_unwrapped(trace, markers).strip())
        closed = bool(ended)
    answer = _unwrapped("".join(answers), markers).strip()
    return Separated(answer, "\n".join(traces) if traces else None, closed)


def _unwrapped(answer: str, markers: Markers) -> str:
    """The answer without the tags around it, and without what control tokens a server left in."""
    if markers.end.startswith("<|channel|>"):
        answer = _CONTROL.sub("", answer)
    if markers.answer_start and answer.strip().startswith(markers.answer_start):
        answer = answer.strip().removeprefix(markers.answer_start).removesuffix(markers.answer_end)
    return answer


@lru_cache(maxsize=64)
def format_of(template: str, tokens: frozenset[str] = frozenset()) -> str | None:
    """The format that a checkpoint's chat template or its added tokens speak of, None where they speak of none.

    >>> format_of("{% if enable_thinking %}<think>{% endif %}</think>"), format_of("{{ messages }}")
    ('qwen3', None)
    """
    for name in UNMISTAKABLE:
        markers = FORMATS[name]
        known = markers.end in template or {markers.start, markers.end} <= tokens
        if known and markers.answer_start in template:
            return name
    return None


def marks_in(special: Collection[str]) -> tuple[str, ...]:
    """Those of a vocabulary's special tokens that marks of a format are spelled with, sorted.

    A text decoded without them does not tell where a trace ends.

    >>> marks_in({"[THINK]", "[/THINK]", "</s>", "<|end|>"})
    ('[/THINK]', '[THINK]')
    >>> marks_in({"<|channel|>", "<|message|>", "<|start|>", "<|end|>", "<|return|>"})
    ('<|channel|>', '<|end|>', '<|message|>', '<|start|>')
    """
    found: set[str] = set()
    for name in UNMISTAKABLE:
        for mark in (FORMATS[name].start, FORMATS[name].end):
            spelled = set(_TOKEN.findall(mark)) or {mark}
            if spelled <= set(special):
                found |= spelled if mark in spelled else spelled | ({*_CONTROL_TOKENS} & set(special))
    return tuple(sorted(found))


def opened_by(prompt: str, format_: str) -> bool:
    r"""Does a prompt end within a trace, so that the model goes on with it?

    >>> opened_by("<|assistant|><think>\n", "qwen3"), opened_by("<think>\n\n</think>\n\n", "qwen3")
    (True, False)
    """
    markers = FORMATS[format_]
    return prompt.rfind(markers.start) > prompt.rfind(markers.end)
