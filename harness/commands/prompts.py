"""``telbench prompts``: what a model would be asked, to the token, before anything is spent."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from telbench.config import REQUIRED, group, setting
from telbench.flags import add_flags, add_json, settings_of

from ..cli.tables import print_json
from ..cli.terminal import Reporter, visible
from ..datasets.settings import DataSettings
from ..prompts.build import Prompt
from ..runs.plan import Opening, asked_in, open_plan
from ..runs.requests import Asked, window_of
from ..runs.settings import EngineOptions, EvalSettings, PromptOptions, SamplingOptions
from ..tokenizing import read_tokenizer
from .network import as_allowed

# Of answers that are there already.
NOT_OURS = ("answers", "shown_order", "missing_cap")


@dataclass(frozen=True)
class PromptsSettings:
    """The part of a run's settings that its prompts depend on, and how many of them are printed."""

    model: str = setting(
        REQUIRED,
        "folder of a checkpoint; for --engine openai the server's model name",
        metavar="MODEL",
        positional=True,
    )
    n: int = setting(3, "how many prompts, from the first", flag=False, low=1, high=10**9)
    data: DataSettings = group(DataSettings, "data")
    prompt: PromptOptions = group(PromptOptions, "prompts")
    engine: EngineOptions = group(EngineOptions, "engine")
    sampling: SamplingOptions = group(SamplingOptions, "generation")

    @property
    def as_run(self) -> EvalSettings:
        """The run that would ask these prompts."""
        return EvalSettings(
            model=self.model, data=self.data, prompt=self.prompt, engine=self.engine, sampling=self.sampling
        )


def configure(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.usage = "telbench prompts MODEL [--data NAME|PATH] [-n N] [OPTIONS]"
    parser.epilog = "No model is loaded and no server is asked; --data and the options are those of telbench eval."
    told = "how many prompts, from the first (default: 3)"
    parser.add_argument("-n", dest="n", metavar="N", type=int, default=argparse.SUPPRESS, help=told)
    add_flags(parser, PromptsSettings, without=NOT_OURS, config=True)
    add_json(parser)


def run(args: argparse.Namespace) -> int:
    """Print the prompts, and what is to be known of all of them."""
    asked_for = settings_of(args, PromptsSettings)
    settings = as_allowed(asked_for.as_run)
    reporter = Reporter()
    with reporter.quiet():
        opening = open_plan(settings, reporter)
        asked = asked_in(opening, settings, frozenset(), reporter)
        found = _facts(opening, asked, settings) | {"prompts": _shown(opening, asked, asked_for.n)}
    if args.json:
        print_json(found)
    else:
        sys.stdout.write("".join(visible(line, lines=True) + "\n" for line in _lines(found)))
    return 0


def _facts(opening: Opening, asked: Asked, settings: EvalSettings) -> dict[str, Any]:
    """What holds for all prompts of the data."""
    cutter, prompts = opening.cutter, asked.prompts
    counts = [len(prompt.request.token_ids) for prompt in prompts if prompt.request.token_ids]
    return {
        "model": settings.model,
        "engine": opening.engine.name,
        "data": {"name": opening.dataset.name, "split": opening.dataset.split, "n": len(opening.dataset.items)},
        "prompt": opening.prompting.settings.recorded,
        "chat_template": _template_from(opening, asked),
        "window": None if cutter is None else window_of(cutter, settings, asked.sampling.max_tokens),
        "sampling": asdict(asked.sampling),
        "reasoning": {
            "format": asked.reasoning.format,
            "opened": asked.reasoning.opened,
            "kept": asked.reasoning.kept,
        },
        "tokens": {"least": min(counts), "median": median(counts), "most": max(counts)} if counts else None,
        "truncated": sum(prompt.truncated for prompt in prompts),
        "examples_left_out": sum(prompt.left_out > 0 for prompt in prompts),
        "not_asked": sum(prompt.problem is not None for prompt in prompts),
    }


def _template_from(opening: Opening, asked: Asked) -> str:
    """Who turns messages into the text that the model reads."""
    if opening.cutter is None and opening.prompting.settings.chat:
        return "the server's"
    if asked.template is None:
        return "none: telbench's plain template"
    return "the checkpoint's" if opening.prompting.chat_template is None else "the file of --chat-template"


def _shown(opening: Opening, asked: Asked, count: int) -> list[dict[str, Any]]:
    """The first prompts: ids and the text that they stand for, or the messages that a server is sent."""
    decode = None if opening.cutter is None else partial(_decoded, read_tokenizer(opening.cutter))
    return [_one(prompt, decode) for prompt in asked.prompts[:count]]


def _decoded(tokenizer: Any, ids: Sequence[int]) -> str:
    return tokenizer.decode(list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False)


def _one(prompt: Prompt, decode: Callable[[Sequence[int]], str] | None) -> dict[str, Any]:
    request = prompt.request
    found: dict[str, Any] = {"item_id": request.item_id, "problem": prompt.problem, "truncated": prompt.truncated}
    found |= {"examples": list(prompt.examples), "examples_left_out": prompt.left_out}
    found["shown_choices"] = list(prompt.shown_choices)
    if request.text:
        return found | {"text": request.text}
    if decode is None:
        return found | {"messages": [dict(message) for message in request.messages]}
    ids = list(request.token_ids)
    return found | {"tokens": len(ids), "text": decode(ids), "token_ids": ids}


def _lines(found: Mapping[str, Any]) -> list[str]:
    """What a person reads: the facts, then prompt by prompt."""
    data, sampling, reasoning, tokens = found["data"], found["sampling"], found["reasoning"], found["tokens"]
    name = Path(found["model"]).name or found["model"]
    format_ = reasoning["format"] or ("not looked for" if reasoning["kept"] else "none found")
    lines = [
        f"{name} ({found['engine']}) on {data['name']} {data['split']}: {data['n']} prompts",
        "prompt: " + ", ".join(f"{key} {_value(value)}" for key, value in found["prompt"].items()),
        f"chat template: {found['chat_template']}",
        f"max-tokens {sampling['max_tokens']}, temperature {sampling['temperature']:g}, seed {sampling['seed']}"
        + (f", stops at {', '.join(map(repr, sampling['stop']))}" if sampling["stop"] else ""),
        f"reasoning format: {format_}"
        + (", begun by the prompt" if reasoning["opened"] else "")
        + (f"; special tokens that stay in answers: {' '.join(sampling['marks'])}" if sampling["marks"] else ""),
    ]
    if tokens is not None:
        window = f"; the window of prompt and answer: {found['window']}" if found["window"] else ""
        lines.append(f"tokens: {tokens['least']} to {tokens['most']}, median {tokens['median']:g}{window}")
    lines.append(
        f"{found['truncated']} contexts cut, {found['examples_left_out']} prompts without all their examples, "
        f"{found['not_asked']} that do not fit"
    )
    for prompt in found["prompts"]:
        lines += ["", *_prompt_lines(prompt)]
    return lines


def _prompt_lines(prompt: Mapping[str, Any]) -> list[str]:
    told = [f"{prompt['tokens']} tokens"] if "tokens" in prompt else []
    told += ["context cut"] if prompt["truncated"] else []
    told += [f"{len(prompt['examples'])} examples"] if prompt["examples"] else []
    told += [f"{prompt['examples_left_out']} examples left out"] if prompt["examples_left_out"] else []
    lines = [f"=== {prompt['item_id']}" + (f" ({', '.join(told)})" if told else "")]
    if prompt["problem"]:
        return [*lines, f"not asked: {prompt['problem']}"]
    if "token_ids" not in prompt and "text" in prompt:
        return [*lines, prompt["text"]]
    if "messages" in prompt:
        return lines + [line for each in prompt["messages"] for line in (f"--- {each['role']}", each["content"])]
    return [*lines, prompt["text"], "--- token ids", " ".join(map(str, prompt["token_ids"]))]


def _value(value: Any) -> str:
    text = value if isinstance(value, str) and value.isidentifier() else repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
