"""What an engine is asked: prompts, likelihoods of texts, how long an answer may be and where its reasoning ends."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from telbench.errors import InputError
from telbench.reasoning import Reasoning, format_of, marks_in, opened_by, reasoning_asked

from ...metrics.fingerprints import fingerprint
from ..checkpoint import Checkpoint
from ..cli.terminal import Reporter
from ..datasets.items import DataSet, Item
from ..engines.contract import Continuation, EngineSpec, Sampling
from ..prompts.build import PLAIN_STOPS, Prompt, build_prompt, cue_of, encoder_for, option_continuations
from ..prompts.encoder import Encoder, try_system, try_template, try_variables
from ..prompts.options import option_labels
from ..prompts.plain import plain_text, text_continuation
from ..prompts.references import NO_END, References, all_references, continuations_of
from ..tokenizing import read_tokenizer, require_own_tokens, special_tokens
from .prompting import Prompting
from .settings import EvalSettings

# Tokens; not even a bare question takes fewer.
_SHORTEST_PROMPT = 16
# Lengths of answers in tokens, of which the data takes the first that holds nearly all its references.
LENGTHS = (128, 256, 512, 1024, 2048)
_WORKED = 1024
# What metrics may need that is a likelihood.
LIKELIHOODS = frozenset({"option_scores", "letter_scores", "reference_scores"})
# What a model that thinks first may use beside its answer.
TRACE_TOKENS = 4096
# Fewer than a token has in English, so that lengths are not underestimated; every checkpoint gets the same.
_CHARACTERS_A_TOKEN = 3


@dataclass(frozen=True)
class Asked:
    """What an engine is asked: prompts, and texts by item whose likelihood is wanted; ``longest`` in tokens."""

    prompts: Sequence[Prompt]
    sampling: Sampling
    reasoning: Reasoning
    continuations: Mapping[str, tuple[Continuation, ...]] = field(default_factory=dict)
    letters: Mapping[str, tuple[Continuation, ...]] = field(default_factory=dict)
    references: Mapping[str, References] = field(default_factory=dict)
    longest: int | None = None
    template: str | None = None


def untokenised(
    dataset: DataSet,
    prompting: Prompting,
    needs: frozenset[str],
    settings: EvalSettings,
    engine: EngineSpec,
    usual: int,
    reporter: Reporter,
) -> Asked:
    """What a server is asked, which reads messages or, for a base model, texts, and cuts them into tokens itself.

    ``usual`` is the longest answer in tokens where the user names none.
    """
    sampling = settings.sampling.resolved(usual)
    asked = settings.prompt.reasoning
    built = (build_prompt(item, prompting.settings, None, None, prompting.examples_for(item)) for item in dataset.items)
    if not engine.texts or prompting.settings.chat:
        if engine.texts and needs & LIKELIHOODS:
            reporter.note(
                "a chat tells no likelihoods, and metrics that need them have no value: --no-chat-template for a base "
                "model, --tokenizer FOLDER for the exact tokens"
            )
        return Asked(tuple(_kept(prompt, engine, sampling) for prompt in built), sampling, reasoning_asked(asked))
    if not sampling.stop:
        sampling = replace(sampling, stop=PLAIN_STOPS)
    cue = cue_of(prompting.settings)
    prompts = [
        replace(prompt, request=replace(prompt.request, text=plain_text(prompt.request.messages, cue)))
        for prompt in built
    ]
    options, letters = {}, {}
    if "option_scores" in needs:
        options = _options(dataset.items, prompts, prompting, None, None)
    if "letter_scores" in needs and prompting.settings.lists_options:
        letters = {
            item.id: tuple(text_continuation("letter", prompt.request.text, label) for label in _labels(item, prompt))
            for item, prompt in zip(dataset.items, prompts, strict=True)
            if item.choices
        }
    references = dict.fromkeys((item.id for item in dataset.items if item.gold_references), NO_END)
    kept = tuple(_kept(prompt, engine, sampling) for prompt in prompts)
    return Asked(kept, sampling, reasoning_asked(asked), options, letters, references)


def tokenised(
    checkpoint: Checkpoint,
    dataset: DataSet,
    prompting: Prompting,
    needs: frozenset[str],
    settings: EvalSettings,
    engine: EngineSpec,
    usual: int,
    reporter: Reporter,
) -> Asked:
    """What a local engine is asked, in the checkpoint's own tokens, with all that metrics of these ``needs`` score.

    ``usual`` is the longest answer in tokens where the user names none; a trace comes on top.
    """
    reporter.note(f"reading the tokenizer of {checkpoint.path}")
    encoder = _encoder(checkpoint, prompting)
    template = getattr(encoder.tokenizer, "chat_template", None) if settings.prompt.chat_template else None
    template = template if isinstance(template, str) else None
    reasoning = _reasoning_in(encoder, settings.prompt.reasoning, template)
    sampling = _sampling(settings, usual, checkpoint, reasoning)
    sampling = replace(sampling, marks=marks_in({*special_tokens(encoder.tokenizer).values()}))
    if not encoder.chat and not sampling.stop:
        sampling = replace(sampling, stop=PLAIN_STOPS)
    window = window_of(checkpoint, settings, sampling.max_tokens)
    budget = None if window is None else window - sampling.max_tokens
    prompts: list[Prompt] = []
    with reporter.progress("building prompts", len(dataset.items)) as meter:
        for item in dataset.items:
            built = build_prompt(item, prompting.settings, encoder, budget, prompting.examples_for(item))
            prompts.append(_kept(built, engine, sampling))
            meter.advance()
    if prompts and all(prompt.problem for prompt in prompts):
        raise InputError(
            f"no question of {dataset.name} {dataset.split} fits into {checkpoint.path}: {prompts[0].problem}: lower "
            f"--max-tokens {sampling.max_tokens} or take a model with a longer window"
        )
    highest = max((max(prompt.request.token_ids, default=0) for prompt in prompts), default=0)
    require_own_tokens(checkpoint, highest)
    continuations: Mapping[str, tuple[Continuation, ...]] = {}
    if "option_scores" in needs:
        continuations = _options(dataset.items, prompts, prompting, encoder, window)
    letters: Mapping[str, tuple[Continuation, ...]] = {}
    if "letter_scores" in needs and prompting.settings.lists_options:
        letters = _letters(dataset.items, prompts, encoder, window)
    references: Mapping[str, References] = {}
    if "reference_scores" in needs:
        references = all_references(dataset.items, prompts, encoder, window)
    lengths = [len(prompt.request.token_ids) + sampling.max_tokens for prompt in prompts]
    texts = [*continuations.values(), *letters.values()]
    lengths += [len(option.token_ids) + 1 for options in texts for option in options]
    lengths += [len(each.token_ids) + 1 for each in continuations_of(references)]
    longest = max(lengths, default=None)
    return Asked(tuple(prompts), sampling, reasoning, continuations, letters, references, longest, template)


def _options(
    items: Sequence[Item], prompts: Sequence[Prompt], prompting: Prompting, encoder: Encoder | None, window: int | None
) -> dict[str, tuple[Continuation, ...]]:
    """The texts of the options by item, where all of them fit, after as many examples as the prompt shows."""
    found: dict[str, tuple[Continuation, ...]] = {}
    for item, prompt in zip(items, prompts, strict=True):
        examples = prompting.examples_for(item)[: len(prompt.examples)] if item.choices else ()
        options = option_continuations(item, prompting.settings, encoder, examples)
        if options and (window is None or all(len(option.token_ids) < window for option in options)):
            found[item.id] = options
    return found


def _letters(
    items: Sequence[Item], prompts: Sequence[Prompt], encoder: Encoder, window: int | None
) -> dict[str, tuple[Continuation, ...]]:
    """The labels of the options by item, in the order of the choices, as answers to the very prompt that is asked."""
    found: dict[str, tuple[Continuation, ...]] = {}
    for item, prompt in zip(items, prompts, strict=True):
        if not item.choices or prompt.problem is not None:
            continue
        asked = list(prompt.request.token_ids)
        answers = [encoder.answer_ids(label) for label in _labels(item, prompt)]
        if all(answers) and (window is None or len(asked) + max(map(len, answers)) < window):
            found[item.id] = tuple(
                Continuation(f"letter:{fingerprint([asked, ids])}", array("I", [*asked, *ids]), len(asked))
                for ids in answers
            )
    return found


def _labels(item: Item, prompt: Prompt) -> list[str]:
    """The labels of the options in the order of the choices, as the prompt shows them."""
    by_choice = dict(zip(prompt.shown_choices, option_labels(item), strict=True))
    return [by_choice[index] for index in range(len(item.choices))]


def _reasoning_in(encoder: Encoder, asked: str, template: str | None) -> Reasoning:
    """Where traces end in the answers to prompts of this encoder, and whether the prompts begin them."""
    tokenizer, reasoning = encoder.tokenizer, reasoning_asked(asked)
    if asked == "auto":
        reasoning = Reasoning(format_of(template or "", frozenset(tokenizer.get_added_vocab())))
    if reasoning.format and encoder.chat:
        end = tokenizer.decode(encoder.ids("Which?")[-32:])
        reasoning = replace(reasoning, opened=opened_by(end, reasoning.format))
    return reasoning


def _encoder(checkpoint: Checkpoint, prompting: Prompting) -> Encoder:
    """The encoder of a checkpoint's tokenizer, tried with all that the user adds to its chat template."""
    tokenizer = read_tokenizer(checkpoint)
    if prompting.chat_template is not None:
        tokenizer.chat_template = prompting.chat_template
    encoder = encoder_for(tokenizer, prompting.settings)
    cure = "mend the chat template or pass --no-chat-template"
    try_template(encoder, checkpoint, cure if prompting.chat_template is None else "mend the file of --chat-template")
    try_variables(encoder, checkpoint.path)
    if prompting.settings.system is not None and encoder.chat:
        try_system(encoder, checkpoint.path)
    return encoder


def answer_tokens(items: Sequence[Item]) -> int:
    """How long answers may be, in tokens, where the user does not say: as long as 95 % of the items' references.

    Where items want the way to the answer too (``meta.worked``), there is room for it. Counted in characters, so that
    every checkpoint is allowed the same.

    >>> answer_tokens([Item("a", "?", references=("x" * 300,))]), answer_tokens([Item("a", "?", ("x" * 2000,))])
    (128, 1024)
    """
    sizes = sorted(min(map(len, item.references)) for item in items if item.references and not item.choices)
    needed = sizes[round(0.95 * (len(sizes) - 1))] / _CHARACTERS_A_TOKEN if sizes else 0
    needed = max(needed, _WORKED) if any(item.meta.get("worked") for item in items) else needed
    return next((length for length in LENGTHS if length >= needed), LENGTHS[-1])


def too_short(items: Sequence[Item], max_tokens: int) -> int:
    """Items of which every reference is longer than an answer may be, by a count of four characters a token."""
    return sum(min(map(len, item.references), default=0) > 4 * max_tokens for item in items if not item.choices)


def window_of(checkpoint: Checkpoint, settings: EvalSettings, longest: int) -> int | None:
    """Tokens that prompt and answer may take together, where that is known; refused where no prompt fits."""
    limits = [limit for limit in (checkpoint.context_length, settings.engine.max_model_len) if limit]
    if not limits:
        return None
    window = min(limits)
    if window - longest < _SHORTEST_PROMPT:
        own = window == checkpoint.context_length
        whose = f"the window of {checkpoint.path} ({window} tokens)" if own else f"--max-model-len {window}"
        cure = "lower --max-tokens" if window > _SHORTEST_PROMPT else "take a longer one"
        raise InputError(f"{whose} leaves no room for a question beside --max-tokens {longest}: {cure}")
    return window


def _sampling(settings: EvalSettings, usual: int, checkpoint: Checkpoint, reasoning: Reasoning) -> Sampling:
    """The sampling with a longest answer, which leaves half the window to the prompt where the user names none."""
    usual += TRACE_TOKENS if reasoning.format else 0
    limits = [limit for limit in (checkpoint.context_length, settings.engine.max_model_len) if limit]
    if limits and usual > LENGTHS[0]:
        usual = max(LENGTHS[0], min(usual, min(limits) // 2))
    return settings.sampling.resolved(usual)


def _kept(prompt: Prompt, engine: EngineSpec, sampling: Sampling) -> Prompt:
    """The prompt as the plan holds it: with its final key, and with messages only for an engine that reads them.

    Equal prompts share a key and are answered once, unless answers are drawn at random.
    """
    request = prompt.request
    key = request.key if sampling.temperature == 0 else fingerprint([request.key, request.item_id])
    # Where ids or a text take their place, messages would only hold every context a second time.
    messages = () if engine.local or request.token_ids or request.text else request.messages
    return replace(prompt, request=replace(request, key=key, messages=messages))
