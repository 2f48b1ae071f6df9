"""From settings to a plan: which items, which prompts, which engine, and the hash of all that the answers depend on."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from telbench.errors import InputError

from ...metrics.contract import Metric, Resources, metrics_named
from ...metrics.embedding.encoder import encoder_resources
from ...metrics.fingerprints import fingerprint, list_fingerprint
from ..adapter import open_model
from ..checkpoint import Checkpoint
from ..cli.terminal import Reporter
from ..datasets.items import DataSet
from ..datasets.loading import limited, load_asked
from ..engines.contract import Continuation, EngineInfo, EngineSettings, EngineSpec, Sampling, engine_named
from ..identity import ModelIdentity, identify_checkpoint
from ..prompts.build import Book, Prompt, PromptSettings
from ..prompts.references import References
from .requests import LENGTHS, Reasoning, answer_tokens, tokenised, too_short, untokenised, window_of
from .settings import EngineOptions, EvalSettings

# What --map may say of a file of answers.
ANSWER_FIELDS = ("id", "prediction")

if TYPE_CHECKING:
    from ...judges.panel import JudgePanel


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
    reasoning: Reasoning
    depends_on: Mapping[str, Any]
    run_id: str
    generation_id: str | None
    name: str
    out: Path
    panel: JudgePanel | None = None


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
        window_of(checkpoint, settings, settings.sampling.max_tokens or LENGTHS[0])
    whole = load_asked(settings.data)
    dataset = limited(whole, settings.data.limit, settings.sampling.seed)
    names = settings.metrics.metrics or asked_metrics(dataset, settings)
    resources = Resources()
    if settings.metrics.encoder or settings.judging.specs or settings.judging.rubrics:
        resources = _resources(settings, dataset)
    metrics = tuple(metrics_named(names, resources))
    book = settings.prompt.context or default_book(dataset)
    engine_settings = replace(engine_settings, item_ids=tuple(item.id for item in dataset.items))
    reporter.note(f"{note} · {dataset.name} {dataset.split}: {len(dataset.items)} items, {book} book")
    shown = _file_order(engine, engine_settings, settings, reporter) if engine.answers_by_item else None
    prompt_settings = PromptSettings(book, settings.sampling.seed, settings.prompt.chat_template)
    # The whole split decides, so that --limit changes no answer.
    usual = answer_tokens(whole.items)
    if checkpoint is None:
        asked = untokenised(dataset, prompt_settings, settings, engine, usual, shown)
    else:
        needs = frozenset[str]().union(*(metric.needs for metric in metrics))
        asked = tokenised(checkpoint, dataset, prompt_settings, needs, settings, engine, usual, reporter)
    if not engine.answers_by_item and (count := too_short(dataset.items, asked.sampling.max_tokens)):
        reporter.note(
            f"{count} of {len(dataset.items)} items have only references longer than --max-tokens "
            f"{asked.sampling.max_tokens} allows: their answers will be cut off (this data's own length: {usual})"
        )
    identity = None if checkpoint is None else identify_checkpoint(checkpoint, asked.template)
    depends_on = {
        "model": identity.sha256 if identity else settings.model,
        "engine": asdict(info),
        "sampling": asdict(asked.sampling),
        "data": dataset.items_sha256,
        "prompts": list_fingerprint([prompt.request.key, prompt.problem] for prompt in asked.prompts),
        "prompt_settings": asdict(prompt_settings),
        "reasoning": asdict(asked.reasoning),
    }
    if shown is not None:
        depends_on["shown_choices"] = list_fingerprint(list(prompt.shown_choices) for prompt in asked.prompts)
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
        reasoning=asked.reasoning,
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
        checkpoint = open_model(
            settings.model,
            base=options.base,
            trust_remote_code=options.trust_remote_code,
            online=options.online,
            revision=options.revision,
        )
        if checkpoint.adapter is not None and not engine.adapters:
            raise InputError(
                f"--engine {engine.name} loads no LoRA adapters: take vllm or transformers, or merge {settings.model} "
                "into its base model"
            )
    return EngineSettings(
        checkpoint=checkpoint,
        dtype=options.dtype,
        seed=settings.sampling.seed,
        model=settings.model,
        base_url=options.base_url,
        max_in_flight=options.max_in_flight,
        deadline=options.deadline,
        answers=options.answers,
        answer_fields={name: field for name, field in settings.data.mapping.items() if name in ANSWER_FIELDS},
        missing_cap=options.missing_cap,
        options=options.engine_option,
        deterministic=options.deterministic,
    )


def _file_order(
    engine: EngineSpec, engine_settings: EngineSettings, settings: EvalSettings, reporter: Reporter
) -> Mapping[str, Sequence[int]] | None:
    """The order of options behind the answers of a file, by item id; None for that of telbench's own prompts.

    The file is opened here for its complaints, before there is a run folder; answers cost little to read.
    """
    with contextlib.closing(engine.open(engine_settings)) as opened:
        if note := getattr(opened, "note", ""):
            reporter.note(note)
        return getattr(opened, "shown_choices", {}) if settings.engine.shown_order == "data" else None


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
    for flag, given in (
        ("--engine-option", settings.engine.engine_option),
        ("--deterministic", settings.engine.deterministic),
    ):
        if given and not engine.options:
            raise InputError(f"--engine {engine.name} takes no {flag}: drop it")
    for flag, given in (("--base", settings.engine.base), ("--revision", settings.engine.revision)):
        if given and not engine.local:
            raise InputError(f"{flag} belongs to a checkpoint as --model, --engine {engine.name} loads none: drop it")
    if settings.model and engine.name == "replay":
        raise InputError("--engine replay takes --answers FILE and, for the table, --name NAME instead of --model")
    if not settings.metrics.encoder and (settings.metrics.encoder_idf or settings.metrics.encoder_layer is not None):
        flag = "--encoder-idf" if settings.metrics.encoder_idf else "--encoder-layer"
        raise InputError(f"{flag} needs --encoder with the folder of an encoder: add it or drop {flag}")
    for flag, given, owner in (
        ("--answers", settings.engine.answers, "replay"),
        ("--base-url", settings.engine.base_url, "openai"),
        ("--shown-order", settings.engine.shown_order != "data", "replay"),
        ("--missing-cap", settings.engine.missing_cap != EngineOptions().missing_cap, "replay"),
        ("--map prediction=…", "prediction" in settings.data.mapping, "replay"),
    ):
        if given and engine.name != owner:
            raise InputError(
                f"{flag} belongs to --engine {owner}, this is {engine.name}: add --engine {owner} or drop it"
            )
