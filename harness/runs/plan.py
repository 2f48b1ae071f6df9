"""From settings to a plan: which items, which prompts, which engine, and the hash of all that the answers depend on."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from telbench.errors import InputError

from ...metrics.contract import Metric, Resources, metrics_named
from ...metrics.embedding.encoder import encoder_resources
from ...metrics.fingerprints import fingerprint, list_fingerprint
from ...metrics.ngram.scripts import scripts_of, segmentation_note
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
    """One run, ready to be made. ``run_id`` is the hash of ``depends_on``; ``generation_id`` keys the shared cache."""

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
    panel: JudgePanel | None = None

    @property
    def run_id(self) -> str:
        """Hash of everything the answers depend on."""
        return fingerprint(dict(self.depends_on))

    @property
    def generation_id(self) -> str | None:
        """Key of the generation cache, or None where the weights behind the answers cannot be known."""
        if not self.engine.cacheable or self.identity is None:
            return None
        return fingerprint([self.identity.sha256, asdict(self.engine_info), asdict(self.sampling)])

    @property
    def model_name(self) -> str:
        """What the run is called on tables."""
        if self.settings.name:
            return self.settings.name
        if self.checkpoint is not None:
            return self.checkpoint.name
        return self.settings.model or (
            self.settings.engine.answers.stem if self.settings.engine.answers else self.engine.name
        )

    @property
    def out(self) -> Path:
        """The run folder: what the user named, else one that tells model, data and identity."""
        if self.settings.out is not None:
            return self.settings.out
        parts = (self.model_name, Path(self.dataset.name).stem, self.dataset.split, self.book, self.run_id[:8])
        return Path("runs") / re.sub(r"[^\w.+-]+", "_", "-".join(parts))


def make_plan(settings: EvalSettings, reporter: Reporter) -> Plan:
    """Read data and tokenizer, build all prompts, hash everything; no model is loaded.

    Raises:
        InputError: for anything wrong with the request, before time is spent.
    """
    engine, note = engine_named(settings.engine.engine)
    _refuse_stray_options(settings, engine)
    checkpoint = None
    if engine.local:
        checkpoint = open_checkpoint(
            settings.model, trust_remote_code=settings.engine.trust_remote_code, online=settings.engine.online
        )
    engine_settings = EngineSettings(
        checkpoint=checkpoint,
        dtype=settings.engine.dtype,
        seed=settings.sampling.seed,
        model=settings.model,
        base_url=settings.engine.base_url,
        max_in_flight=settings.engine.max_in_flight,
        deadline=settings.engine.deadline,
        answers=settings.engine.answers,
    )
    info = engine.describe(engine_settings)
    if checkpoint is not None:
        _window(checkpoint, settings)
    dataset = limited(load_asked(settings.data), settings.data.limit, settings.sampling.seed)
    panel = None
    if settings.judging.specs or settings.judging.rubrics:
        # All of judges: a run without them starts without it.
        from ..judging.open import METRIC_RUBRICS, open_panel, refuse_unused

        panel = open_panel(settings.judging, settings.sampling.seed)
        refuse_unused(settings.judging.rubrics, METRIC_RUBRICS, "a run")
    names = settings.metrics.metrics or asked_metrics(dataset, settings)
    resources = encoder_resources_of(settings, dataset) if settings.metrics.encoder else Resources()
    scripts = scripts_of([text for item in dataset.items for text in item.references])
    cut = scripts.needed if settings.metrics.segmentation == "auto" else settings.metrics.segmentation
    resources = replace(resources, judge=panel, rubrics=settings.judging.rubrics, segmentation=cut)
    metrics = tuple(metrics_named(names, resources))
    if told := segmentation_note(scripts, cut, metrics):
        reporter.note(told)
    book = settings.prompt.context or default_book(dataset)
    engine_settings = replace(engine_settings, item_ids=tuple(item.id for item in dataset.items))
    if engine.answers_by_item:
        # Opened once for its complaints, before there is a run folder; answers from a file cost little to read.
        engine.open(engine_settings).close()
    reporter.note(f"{note} · {dataset.name} {dataset.split}: {len(dataset.items)} items, {book} book")
    prompt_settings = PromptSettings(book, settings.sampling.seed, settings.prompt.chat_template)
    tokenizer = _tokenizer(checkpoint, reporter) if checkpoint is not None else None
    prompts, continuations, sampling, longest = _prompts(
        dataset, prompt_settings, tokenizer, checkpoint, settings, metrics, reporter, engine
    )
    references: dict[str, References] = {}
    if tokenizer is not None and checkpoint is not None and any("reference_scores" in each.needs for each in metrics):
        encoder, window = encoder_for(tokenizer, prompt_settings), _window(checkpoint, settings)
        references = all_references(dataset.items, prompts, encoder, window)
        longest = max([longest or 0, *(len(each.token_ids) + 1 for each in continuations_of(references))]) or None
    template = getattr(tokenizer, "chat_template", None) if settings.prompt.chat_template else None
    identity = None
    if checkpoint is not None:
        identity = identify_checkpoint(checkpoint, template if isinstance(template, str) else None)
    depends_on = {
        "model": identity.sha256 if identity else settings.model,
        "engine": asdict(info),
        "sampling": asdict(sampling),
        "data": dataset.items_sha256,
        "prompts": list_fingerprint([prompt.request.key, prompt.problem] for prompt in prompts),
        "prompt_settings": asdict(prompt_settings),
    }
    return Plan(
        settings=settings,
        dataset=dataset,
        book=book,
        metrics=metrics,
        engine=engine,
        engine_settings=replace(engine_settings, max_model_len=longest),
        engine_info=info,
        sampling=sampling,
        checkpoint=checkpoint,
        identity=identity,
        prompts=prompts,
        continuations=continuations,
        references=references,
        depends_on=depends_on,
        panel=panel,
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


def encoder_resources_of(settings: EvalSettings, dataset: DataSet) -> Resources:
    """The encoder that the settings name, with the texts that idf weights come from where they are wanted."""
    resources = encoder_resources(settings.metrics.encoder, settings.metrics.encoder_layer)
    if not settings.metrics.encoder_idf:
        return resources
    # As bert-score counts: a reference of two items, or one that an item has twice over, is two documents.
    return replace(resources, idf_corpus=tuple(text for item in dataset.items for text in item.references))


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


def _tokenizer(checkpoint: Checkpoint, reporter: Reporter) -> Any:
    reporter.note(f"reading the tokenizer of {checkpoint.path}")
    return read_tokenizer(checkpoint)


def _prompts(
    dataset: DataSet,
    prompt_settings: PromptSettings,
    tokenizer: Any,
    checkpoint: Checkpoint | None,
    settings: EvalSettings,
    metrics: tuple[Metric, ...],
    reporter: Reporter,
    engine: EngineSpec,
) -> tuple[tuple[Prompt, ...], dict[str, tuple[Continuation, ...]], Sampling, int | None]:
    """Prompts, option continuations by item, the sampling with the stops they need, the longest sequence in tokens."""
    sampling = settings.sampling
    if tokenizer is None or checkpoint is None:
        built = (build_prompt(item, prompt_settings, None, None) for item in dataset.items)
        return tuple(_kept(prompt, engine, sampling) for prompt in built), {}, sampling, None
    encoder = encoder_for(tokenizer, prompt_settings)
    try_template(encoder, checkpoint, "mend the chat template or pass --no-chat-template")
    if not encoder.chat and not sampling.stop:
        sampling = replace(sampling, stop=PLAIN_STOPS)
    window = _window(checkpoint, settings)
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
    _require_own_tokenizer(checkpoint, prompts)
    continuations: dict[str, tuple[Continuation, ...]] = {}
    if any("option_scores" in metric.needs for metric in metrics):
        for item in dataset.items:
            options = option_continuations(item, prompt_settings, encoder)
            if options and (window is None or all(len(option.token_ids) < window for option in options)):
                continuations[item.id] = options
    lengths = [len(prompt.request.token_ids) + sampling.max_tokens for prompt in prompts]
    lengths += [len(option.token_ids) + 1 for options in continuations.values() for option in options]
    return tuple(prompts), continuations, sampling, max(lengths, default=None)


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


def _require_own_tokenizer(checkpoint: Checkpoint, prompts: Sequence[Prompt]) -> None:
    highest = max((max(prompt.request.token_ids, default=0) for prompt in prompts), default=0)
    require_own_tokens(checkpoint, highest)


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
