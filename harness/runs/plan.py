"""From settings to a plan: which items, which prompts, which engine, and the hash of all that the answers depend on."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from telbench.errors import InputError

from ...metrics.contract import Metric, Resources, metrics_named
from ...metrics.embedding.encoder import encoder_resources
from ...metrics.fingerprints import fingerprint, list_fingerprint
from ..checkpoint import Checkpoint, open_checkpoint
from ..cli.terminal import Reporter
from ..datasets.items import DataSet
from ..datasets.loading import limited, load_asked
from ..engines.contract import Continuation, EngineInfo, EngineSettings, EngineSpec, Request, Sampling, engine_named
from ..identity import ModelIdentity, identify_checkpoint
from ..prompts.build import (
    PLAIN_STOPS,
    Book,
    Prompt,
    PromptSettings,
    build_prompt,
    encoder_for,
    option_continuations,
)
from ..prompts.encoder import try_template
from ..prompts.references import References, all_references, continuations_of
from ..tokenizing import read_tokenizer, require_own_tokens
from .settings import EvalSettings

if TYPE_CHECKING:
    from ...judges.panel import JudgePanel

# Tokens; not even a bare question takes fewer.
_SHORTEST_PROMPT = 16


@dataclass(frozen=True)
class Plan:
    """One run, ready to be made.

    ``name`` is what the run is called on tables, ``out`` its folder, ``run_id`` the hash of ``depends_on``: of all that
    the answers depend on. ``generation_id`` keys the shared cache; None where the weights cannot be known.
    """

    settings: EvalSettings
    dataset: DataSet
    book: Book
    metrics: tuple[Metric, ...]
    engine: EngineSpec
    engine_settings: EngineSettings
    engine_info: EngineInfo
    sampling: Sampling
    checkpoint: Checkpoint | None
    identity: ModelIdentity | None
    prompts: tuple[Prompt, ...]
    continuations: Mapping[str, tuple[Continuation, ...]]
    references: Mapping[str, References]
    depends_on: Mapping[str, Any]
    run_id: str
    generation_id: str | None
    name: str
    out: Path
    panel: JudgePanel | None = None


@dataclass(frozen=True)
class _Asked:
    """What an engine is asked: prompts, and texts by item whose likelihood is wanted; ``longest`` in tokens."""

    prompts: tuple[Prompt, ...]
    sampling: Sampling
    continuations: Mapping[str, tuple[Continuation, ...]] = field(default_factory=dict)
    references: Mapping[str, References] = field(default_factory=dict)
    longest: int | None = None
    template: str | None = None


def make_plan(settings: EvalSettings, reporter: Reporter) -> Plan:
    """Read data and tokenizer, build all prompts, hash everything; no model is loaded.

    Raises:
        InputError: for anything wrong with the request, before time is spent.
    """
    engine, note = engine_named(settings.engine.engine)
    _refuse_stray_options(settings, engine)
    engine_settings = _engine_settings(settings, engine)
    info, checkpoint = engine.describe(engine_settings), engine_settings.checkpoint
    if checkpoint is not None:
        _window(checkpoint, settings)
    dataset = limited(load_asked(settings.data), settings.data.limit, settings.sampling.seed)
    names = settings.metrics.metrics or asked_metrics(dataset, settings)
    resources = Resources()
    if settings.metrics.encoder or settings.judging.specs or settings.judging.rubrics:
        resources = _resources(settings, dataset)
    metrics = tuple(metrics_named(names, resources))
    book = settings.prompt.context or default_book(dataset)
    engine_settings = replace(engine_settings, item_ids=tuple(item.id for item in dataset.items))
    if engine.answers_by_item:
        # Opened once for its complaints, before there is a run folder; answers from a file cost little to read.
        engine.open(engine_settings).close()
    reporter.note(f"{note} · {dataset.name} {dataset.split}: {len(dataset.items)} items, {book} book")
    prompt_settings = PromptSettings(book, settings.sampling.seed, settings.prompt.chat_template)
    if checkpoint is None:
        built = (build_prompt(item, prompt_settings, None, None) for item in dataset.items)
        asked = _Asked(tuple(_kept(prompt, engine, settings.sampling) for prompt in built), settings.sampling)
    else:
        needs = frozenset[str]().union(*(metric.needs for metric in metrics))
        asked = _tokenised(checkpoint, dataset, prompt_settings, needs, settings, engine, reporter)
    identity = None if checkpoint is None else identify_checkpoint(checkpoint, asked.template)
    depends_on = {
        "model": identity.sha256 if identity else settings.model,
        "engine": asdict(info),
        "sampling": asdict(asked.sampling),
        "data": dataset.items_sha256,
        "prompts": list_fingerprint([prompt.request.key, prompt.problem] for prompt in asked.prompts),
        "prompt_settings": asdict(prompt_settings),
    }
    run_id, generation_id = fingerprint(depends_on), None
    if engine.cacheable and identity is not None:
        generation_id = fingerprint([identity.sha256, asdict(info), asdict(asked.sampling)])
    name = settings.name or (checkpoint.name if checkpoint else settings.model)
    name = name or (settings.engine.answers.stem if settings.engine.answers else engine.name)
    slug = "-".join((name, Path(dataset.name).stem, dataset.split, book, run_id[:8]))
    return Plan(
        settings=settings,
        dataset=dataset,
        book=book,
        metrics=metrics,
        engine=engine,
        engine_settings=replace(engine_settings, max_model_len=asked.longest),
        engine_info=info,
        sampling=asked.sampling,
        checkpoint=checkpoint,
        identity=identity,
        prompts=asked.prompts,
        continuations=asked.continuations,
        references=asked.references,
        depends_on=depends_on,
        run_id=run_id,
        generation_id=generation_id,
        name=name,
        out=settings.out or Path("runs") / re.sub(r"[^\w.+-]+", "_", slug),
        panel=resources.judge,
    )


def default_metrics(dataset: DataSet) -> tuple[str, ...]:
    """Choice metrics where items have options, n-gram metrics where they are open, refusals where some ought to be."""
    choices = [bool(item.choices) for item in dataset.items]
    refusal = () if all(item.answerable for item in dataset.items) else ("refusal",)
    return (("choice",) if any(choices) else ()) + (() if all(choices) else ("ngram",)) + refusal


def asked_metrics(dataset: DataSet, settings: EvalSettings) -> tuple[str, ...]:
    """The data's default metrics, and those that an encoder or a judge was given for."""
    extra = (("embedding",) if settings.metrics.encoder else ()) + (("judged",) if settings.judging.specs else ())
    return default_metrics(dataset) + extra


def default_book(dataset: DataSet) -> Book:
    """What the data set means (``meta.book``), else open where any item has a context."""
    meant = {str(item.meta.get("book")) for item in dataset.items if item.meta.get("book")}
    if meant == {"closed"}:
        return "closed"
    return "open" if any(item.context for item in dataset.items) else "closed"


def _engine_settings(settings: EvalSettings, engine: EngineSpec) -> EngineSettings:
    """What the engine is opened with, as far as it is known before there are items and prompts."""
    checkpoint, options = None, settings.engine
    if engine.local:
        checkpoint = open_checkpoint(settings.model, trust_remote_code=options.trust_remote_code, online=options.online)
    return EngineSettings(
        checkpoint=checkpoint,
        dtype=options.dtype,
        seed=settings.sampling.seed,
        model=settings.model,
        base_url=options.base_url,
        max_in_flight=options.max_in_flight,
        deadline=options.deadline,
        answers=options.answers,
    )


def _resources(settings: EvalSettings, dataset: DataSet) -> Resources:
    """The judges and the encoder that the settings name."""
    resources, panel = Resources(), None
    if settings.judging.specs or settings.judging.rubrics:
        # All of judges: a run without them starts without it.
        from ..judging.open import METRIC_RUBRICS, open_panel, refuse_unused

        panel = open_panel(settings.judging, settings.sampling.seed)
        refuse_unused(settings.judging.rubrics, METRIC_RUBRICS, "a run")
    if settings.metrics.encoder:
        resources = encoder_resources(settings.metrics.encoder, settings.metrics.encoder_layer)
    if settings.metrics.encoder_idf:
        # As bert-score counts: a reference of two items, or one that an item has twice over, is two documents.
        resources = replace(resources, idf_corpus=tuple(text for item in dataset.items for text in item.references))
    return replace(resources, judge=panel, rubrics=settings.judging.rubrics)


def _refuse_stray_options(settings: EvalSettings, engine: EngineSpec) -> None:
    """An option of another engine would be ignored in silence: the user means that engine, or the option is wrong."""
    if engine.local and not settings.model:
        raise InputError(f"--engine {engine.name} needs --model with the folder of a checkpoint")
    if settings.model and engine.name == "replay":
        raise InputError("--engine replay takes --answers FILE and, for the table, --name NAME instead of --model")
    if not settings.metrics.encoder and (settings.metrics.encoder_idf or settings.metrics.encoder_layer is not None):
        flag = "--encoder-idf" if settings.metrics.encoder_idf else "--encoder-layer"
        raise InputError(f"{flag} needs --encoder with the folder of an encoder: add it or drop {flag}")
    for flag, given, owner in (
        ("--answers", settings.engine.answers, "replay"),
        ("--base-url", settings.engine.base_url, "openai"),
    ):
        if given and engine.name != owner:
            raise InputError(
                f"{flag} belongs to --engine {owner}, this is {engine.name}: add --engine {owner} or drop it"
            )


def _tokenised(
    checkpoint: Checkpoint,
    dataset: DataSet,
    prompt_settings: PromptSettings,
    needs: frozenset[str],
    settings: EvalSettings,
    engine: EngineSpec,
    reporter: Reporter,
) -> _Asked:
    """What a local engine is asked, in the checkpoint's own tokens, with all that metrics of these ``needs`` score."""
    reporter.note(f"reading the tokenizer of {checkpoint.path}")
    tokenizer, sampling, window = read_tokenizer(checkpoint), settings.sampling, _window(checkpoint, settings)
    encoder = encoder_for(tokenizer, prompt_settings)
    try_template(encoder, checkpoint, "mend the chat template or pass --no-chat-template")
    if not encoder.chat and not sampling.stop:
        sampling = replace(sampling, stop=PLAIN_STOPS)
    budget = None if window is None else window - sampling.max_tokens
    prompts: list[Prompt] = []
    with reporter.progress("building prompts", len(dataset.items)) as meter:
        for item in dataset.items:
            prompts.append(_kept(build_prompt(item, prompt_settings, encoder, budget), engine, sampling))
            meter.advance()
    if prompts and all(prompt.problem for prompt in prompts):
        raise InputError(
            f"no question of {dataset.name} {dataset.split} fits into {checkpoint.path}: {prompts[0].problem}: lower "
            f"--max-tokens {sampling.max_tokens} or take a model with a longer window"
        )
    highest = max((max(prompt.request.token_ids, default=0) for prompt in prompts), default=0)
    require_own_tokens(checkpoint, highest)
    continuations: dict[str, tuple[Continuation, ...]] = {}
    for item in dataset.items if "option_scores" in needs else ():
        options = option_continuations(item, prompt_settings, encoder)
        if options and (window is None or all(len(option.token_ids) < window for option in options)):
            continuations[item.id] = options
    references: Mapping[str, References] = {}
    if "reference_scores" in needs:
        references = all_references(dataset.items, prompts, encoder, window)
    lengths = [len(prompt.request.token_ids) + sampling.max_tokens for prompt in prompts]
    lengths += [len(option.token_ids) + 1 for options in continuations.values() for option in options]
    lengths += [len(each.token_ids) + 1 for each in continuations_of(references)]
    template = getattr(tokenizer, "chat_template", None) if settings.prompt.chat_template else None
    template = template if isinstance(template, str) else None
    return _Asked(tuple(prompts), sampling, continuations, references, max(lengths, default=None), template)


def _window(checkpoint: Checkpoint, settings: EvalSettings) -> int | None:
    """Tokens that prompt and answer may take together, where that is known; refused where no prompt fits."""
    limits = [limit for limit in (checkpoint.context_length, settings.engine.max_model_len) if limit]
    if not limits:
        return None
    window, longest = min(limits), settings.sampling.max_tokens
    if window - longest < _SHORTEST_PROMPT:
        own = window == checkpoint.context_length
        whose = f"the window of {checkpoint.path} ({window} tokens)" if own else f"--max-model-len {window}"
        cure = "lower --max-tokens" if window > _SHORTEST_PROMPT else "take a longer one"
        raise InputError(f"{whose} leaves no room for a question beside --max-tokens {longest}: {cure}")
    return window


def _kept(prompt: Prompt, engine: EngineSpec, sampling: Sampling) -> Prompt:
    """The prompt as the plan holds it: with its final key, and with messages only for an engine that reads them.

    Equal prompts share a key and are answered once, unless the answer belongs to the item or is drawn at random.
    """
    request = prompt.request
    key = request.key
    if engine.answers_by_item or sampling.temperature > 0:
        key = fingerprint([key, request.item_id])
    # Where ids or answers take their place, messages would only hold every context a second time.
    messages = () if engine.local or engine.answers_by_item else request.messages
    return Prompt(
        Request(key, request.item_id, messages, request.token_ids),
        prompt.shown_choices,
        prompt.truncated,
        prompt.problem,
    )
