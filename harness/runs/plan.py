"""From settings to a plan: which items, which prompts, which engine, and the hash of all that the answers depend on."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from telbench.errors import InputError
from telbench.reasoning import Reasoning, reasoning_asked

from ...metrics.contract import Metric, Resources, metrics_named
from ...metrics.embedding.encoder import encoder_resources
from ...metrics.fingerprints import fingerprint, list_fingerprint
from ..checkpoint import Checkpoint, open_checkpoint
from ..cli.terminal import Reporter
from ..datasets.items import DataSet
from ..datasets.loading import limited, load_asked
from ..engines.contract import (
    Answers,
    Continuation,
    EngineInfo,
    EngineSettings,
    EngineSpec,
    Request,
    Sampling,
    engine_named,
)
from ..identity import ModelIdentity, identify_checkpoint
from ..prompts.build import Book, Prompt, PromptSettings
from ..prompts.options import shown_order
from ..prompts.references import References
from .requests import LENGTHS, Asked, answer_tokens, tokenised, too_short, untokenised, window_of
from .settings import EvalSettings, GivenAnswers

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
    if settings.metrics.segmentation != "auto" or not all(
        text.isascii() for item in whole.items for text in item.references
    ):
        metrics = _cut(whole, names, resources, settings, reporter)
    else:
        metrics = tuple(metrics_named(names, resources))
    book = settings.prompt.context or default_book(dataset)
    engine_settings = replace(engine_settings, item_ids=tuple(item.id for item in dataset.items))
    reporter.note(f"{note} · {dataset.name} {dataset.split}: {len(dataset.items)} items, {book} book")
    for told in dataset.told if dataset.repaired else ():
        reporter.note(told)
    prompt_settings = PromptSettings(book, settings.sampling.seed, settings.prompt.chat_template)
    if engine.answers_by_item:
        asked = _given(dataset, engine, engine_settings, settings, reporter)
    else:
        needs = frozenset[str]().union(*(metric.needs for metric in metrics))
        # The whole split decides, so that --limit changes no answer.
        usual = answer_tokens(whole.items)
        if checkpoint is None:
            asked = untokenised(dataset, prompt_settings, settings, engine, usual)
        else:
            asked = tokenised(checkpoint, dataset, prompt_settings, needs, settings, engine, usual, reporter)
        if count := too_short(dataset.items, asked.sampling.max_tokens):
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
        "prompts": None,
        "prompt_settings": asdict(prompt_settings),
        "reasoning": asdict(asked.reasoning),
    }
    if engine.answers_by_item:
        depends_on["shown_choices"] = fingerprint([prompt.shown_choices for prompt in asked.prompts])
    else:
        keys = ([prompt.request.key, prompt.problem] for prompt in asked.prompts)
        depends_on["prompts"] = list_fingerprint(keys)
    run_id, generation_id = fingerprint(depends_on), None
    if engine.cacheable and identity is not None:
        generation_id = fingerprint([identity.sha256, asdict(info), asdict(asked.sampling)])
    name = settings.name or (checkpoint.name if checkpoint else settings.model)
    name = name or (settings.given.answers.stem if settings.given.answers else engine.name)
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
        checkpoint = open_checkpoint(settings.model, trust_remote_code=options.trust_remote_code, online=options.online)
    return EngineSettings(
        checkpoint=checkpoint,
        dtype=options.dtype,
        seed=settings.sampling.seed,
        model=settings.model,
        base_url=options.base_url,
        max_in_flight=options.max_in_flight,
        deadline=options.deadline,
        answers=settings.given.answers,
        answer_fields={name: field for name, field in settings.data.mapping.items() if name in ANSWER_FIELDS},
        missing_cap=settings.given.missing_cap,
    )


def _given(
    dataset: DataSet, engine: EngineSpec, engine_settings: EngineSettings, settings: EvalSettings, reporter: Reporter
) -> Asked:
    """What an engine that has the answers is asked: each item's, with the order of options that its letters mean.

    That is the data's own, unless the answers bring another (``shown_choices``) or the user says that telbench's
    prompts showed them. Nothing is known of the prompts behind the answers.

    Raises:
        InputError: for answers that do not fit the data, before there is a run folder.
    """
    with contextlib.closing(engine.open(engine_settings)) as opened:
        answers: Answers = getattr(opened, "answers", None) or Answers({})
    if answers.strangers:
        told = f"{len(answers.strangers)} answers of the file are to no item of the data"
        reporter.note(f"{told} (the first: '{answers.strangers[0]}')")
    prompts: list[Prompt] = []
    for item in dataset.items:
        order = answers.shown.get(item.id, range(len(item.choices)))
        if settings.given.shown_order == "seed" and item.choices:
            order = shown_order(item, settings.sampling.seed)
        if len(order) != len(item.choices):
            raise InputError(
                f"the answer to '{item.id}' has 'shown_choices' of {len(order)} options, the item has "
                f"{len(item.choices)}: are these the answers to this data set?"
            )
        prompts.append(Prompt(Request(f"item:{item.id}", item.id, ()), tuple(order)))
    return Asked(tuple(prompts), Sampling(seed=settings.sampling.seed), reasoning_asked(settings.prompt.reasoning))


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


def _cut(
    whole: DataSet, names: Sequence[str], resources: Resources, settings: EvalSettings, reporter: Reporter
) -> tuple[Metric, ...]:
    """The metrics in the form that the scripts of the references need, or that the user asks for."""
    from ...metrics.ngram.scripts import scripts_of, segmentation_note

    asked = settings.metrics.segmentation
    scripts = scripts_of([text for item in whole.items for text in item.references])
    used = scripts.needed if asked == "auto" else asked
    metrics = tuple(metrics_named(names, replace(resources, segmentation=used)))
    if told := segmentation_note(scripts, used, metrics):
        reporter.note(told)
    return metrics


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
        ("--answers", settings.given.answers, "replay"),
        ("--base-url", settings.engine.base_url, "openai"),
        ("--shown-order", settings.given.shown_order != "data", "replay"),
        ("--missing-cap", settings.given.missing_cap != GivenAnswers().missing_cap, "replay"),
        ("--map prediction=…", "prediction" in settings.data.mapping, "replay"),
    ):
        if given and engine.name != owner:
            raise InputError(
                f"{flag} belongs to --engine {owner}, this is {engine.name}: add --engine {owner} or drop it"
            )
