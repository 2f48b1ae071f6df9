"""How a run's questions are put: from the user's options and files to settings, examples and a chat template."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from telbench.errors import InputError

from ..cli.terminal import Reporter
from ..datasets.canonical import load_file
from ..datasets.items import DataSet, Item
from ..datasets.loading import WholeSet, sources
from ..prompts.build import Prompt, PromptSettings
from ..prompts.few_shot import Examples, usable
from ..prompts.template import UserTemplate, read_template, read_text
from .settings import EvalSettings, PromptOptions

# Where a registered set or a file keeps what models may learn from.
TRAIN = "train"
# Examples that a file may give without a number named.
MOST = 100


@dataclass(frozen=True)
class Prompting:
    """What prompts are built with, beside items and tokenizer; ``chat_template`` replaces the checkpoint's."""

    settings: PromptSettings
    examples: Examples | None = None
    chat_template: str | None = None

    def examples_for(self, item: Item) -> tuple[Item, ...]:
        """The examples that are shown before the item's question."""
        return () if self.examples is None else self.examples.for_item(item)


def prompting(settings: EvalSettings, whole: WholeSet, dataset: DataSet) -> Prompting:
    """Read the user's template and examples.

    Raises:
        InputError: for options that contradict each other, or files that cannot be used.
    """
    options = settings.prompt
    template = None if options.template is None else read_template(options.template)
    _refuse_contradictions(options, template)
    examples = _examples(settings, whole)
    made = PromptSettings(
        book=dataset.book,
        choice_seed=settings.sampling.seed,
        chat=options.chat_template,
        system=options.system,
        instruction=options.instruction,
        template=template,
        raw=options.raw,
        few_shot=0 if examples is None else examples.count,
        few_shot_from="" if examples is None else examples.source,
        chat_template_kwargs=template_variables(options.chat_template_kwargs),
    )
    book = options.context or (made.book if made.shows_context else "closed")
    own = options.chat_template_file
    return Prompting(replace(made, book=book), examples, None if own is None else read_text(own, "--chat-template"))


def template_variables(given: Mapping[str, Any]) -> dict[str, Any]:
    """The values as JSON reads them, where they are JSON; a file of settings may give them as they are.

    >>> template_variables({"enable_thinking": "false", "effort": "low"})
    {'enable_thinking': False, 'effort': 'low'}
    """
    return {name: _as_json(value) if isinstance(value, str) else value for name, value in given.items()}


def tell_examples(prompts: Sequence[Prompt], made: Prompting, reporter: Reporter) -> None:
    """Say where prompts have fewer examples than were asked for, and why."""
    if made.examples is None:
        return
    wanted, left_out = made.examples.count, sum(prompt.left_out > 0 for prompt in prompts)
    few = sum(len(prompt.examples) + prompt.left_out < wanted for prompt in prompts)
    if few:
        reporter.note(
            f"{few} of {len(prompts)} prompts have fewer than {wanted} examples: too few of {made.examples.source} are "
            "of other documents and questions"
        )
    if left_out:
        reporter.note(f"{left_out} of {len(prompts)} prompts leave out examples that do not fit the window")


def _as_json(value: str) -> Any:
    try:
        # No number of a run may be NaN or infinite.
        return json.loads(value, parse_constant=lambda word: word)
    except (ValueError, RecursionError):
        return value


def _refuse_contradictions(options: PromptOptions, template: UserTemplate | None) -> None:
    """Two options of which one would be ignored."""
    raw, plain = options.raw, not options.chat_template
    silent = template is not None and not template.reads("context")
    for contradict, line in (
        (raw and template, "--raw and --template: the template is the whole message already: drop --raw"),
        (raw and options.instruction is not None, "--raw shows no --instruction: drop one of them"),
        (raw and options.context == "open", "--raw shows no context: use --template to place it, or drop --context"),
        (silent and options.context == "open", f"--context open: {options.template} does not write the context"),
        (
            template and options.instruction is not None and not template.reads("instruction"),
            f"--instruction: {options.template} does not write the instruction: add {{{{ instruction }}}} or drop it",
        ),
        (plain and options.chat_template_file, "--no-chat-template and --chat-template: drop one of them"),
        (plain and options.chat_template_kwargs, "--no-chat-template and --chat-template-kwargs: drop one of them"),
    ):
        if contradict:
            raise InputError(line)


def _examples(settings: EvalSettings, whole: WholeSet) -> Examples | None:
    """The items that examples are drawn from, if any are asked for."""
    count, file = settings.prompt.few_shot, settings.prompt.few_shot_file
    if not count and file is None:
        return None
    if file is None:
        found, where = tuple(item for item in whole.items if item.split == TRAIN), f"the split '{TRAIN}'"
        cure = "name a file of examples with --few-shot-file"
        source = TRAIN
    else:
        mapping = {ours: theirs for ours, theirs in settings.data.mapping.items() if ours != "prediction"}
        found, where, cure = load_file(file, mapping).items, str(file), "add some"
        source = sources([file])
    items = tuple(item for item in found if usable(item))
    if len(items) < max(1, count if file is not None else 1):
        asked = f"--few-shot {count}" if count else "--few-shot-file"
        raise InputError(f"{asked}: {where} has {len(items)} items with an answer: {cure}")
    if not count and len(items) > MOST:
        raise InputError(f"--few-shot-file: {file} has {len(items)} examples: say how many with --few-shot N")
    return Examples(items, count or len(items), settings.sampling.seed, source)
