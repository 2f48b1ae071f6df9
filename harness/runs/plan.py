"""From settings to a plan: which items, which prompts, which engine, and the hash of all that the answers depend on."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from telbench.config import settings_in
from telbench.errors import InputError
from telbench.reasoning import Reasoning, reasoning_asked

from ...metrics.contract import Metric, Resources, metrics_named
from ...metrics.fingerprints import fingerprint, list_fingerprint
from ..adapter import open_model
from ..checkpoint import Checkpoint, open_tokenizer
from ..cli.terminal import Reporter
from ..datasets.items import DataSet
from ..datasets.loading import limited, load_whole
from ..engines.contract import (
    NEUTRAL,
    Answers,
    Continuation,
    EngineInfo,
    EngineSettings,
    EngineSpec,
    Sampling,
    engine_named,
)
from ..engines.replay import ReplayEngine
from ..identity import ModelIdentity, identify_checkpoint
from ..prompts.build import Book, Prompt, PromptSettings
from ..prompts.given import GivenPrompts
from ..prompts.options import shown_order
from ..prompts.references import References
from .prepared import Prepared, asked_metrics, cut, prompts_key, resources_of
from .prompting import Prompting, prompting, tell_examples, template_variables
from .requests import LENGTHS, Asked, answer_tokens, tokenised, too_short, untokenised, window_of
from .settings import EvalSettings

# What a user would have to name to use an option.
OWNERS = {
    "local": "vllm or transformers",
    "openai": "openai",
    "tokens": "openai with --tokenizer",
    "replay": "replay",
    "ray": "ray",
}
NO_ENCODER = "needs --encoder with the folder of an encoder: add it"
# What --map may say of a file of answers.
ANSWER_FIELDS = ("id", "prediction")

if TYPE_CHECKING:
    from ...judges.panel import JudgePanel


@dataclass(frozen=True)
class Plan:
    """One run, ready to be made.

    ``name`` is what the run is called on tables, ``out`` its folder, ``run_id`` the hash of ``depends_on``: of all that
    the answers depend on. ``generation_id`` keys the shared cache; None where the weights cannot be known. Each
    item gets so many ``samples``, answers of its own.
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
    prompts: Sequence[Prompt]
    continuations: Mapping[str, tuple[Continuation, ...]]
    letters: Mapping[str, tuple[Continuation, ...]]
    references: Mapping[str, References]
    reasoning: Reasoning
    depends_on: Mapping[str, Any]
    run_id: str
    generation_id: str | None
    name: str
    out: Path
    panel: JudgePanel | None = None
    samples: int = 1


@dataclass(frozen=True)
class Opening:
    """What is known of a run before its prompts are built; ``whole`` is the split of which ``dataset`` is drawn.

    ``cutter`` has the tokenizer that prompts are cut with: the checkpoint, or the folder of a server's tokenizer.
    """

    engine: EngineSpec
    engine_settings: EngineSettings
    engine_info: EngineInfo
    whole: DataSet
    dataset: DataSet
    prompting: Prompting
    cutter: Checkpoint | None = None


def open_plan(settings: EvalSettings, reporter: Reporter, prepared: Prepared | None = None) -> Opening:
    """Read the data and the user's own prompts, and see that the options go together.

    ``prepared``: what earlier plans of this process have read already.

    Raises:
        InputError: for anything wrong with the request.
    """
    engine, note = engine_named(settings.engine.engine)
    if engine.around is not None:
        inner, told = engine_named(settings.engine.replica_engine)
        engine, note = engine.around(inner), f"{note}, {settings.engine.replicas} × {told}"
    _refuse_stray_options(settings, engine)
    engine_settings = _engine_settings(settings, engine)
    info, cutter = engine.describe(engine_settings), engine_settings.checkpoint
    if settings.engine.tokenizer:
        cutter = open_tokenizer(settings.engine.tokenizer)
    if cutter is not None:
        window_of(cutter, settings, settings.sampling.max_tokens or LENGTHS[0])
    if prepared is None:
        everything = load_whole(settings.data)
        whole = everything.split(settings.data.split)
        dataset = limited(whole, settings.data.limit, settings.sampling.seed)
    else:
        everything, whole, dataset = prepared.data(settings)
    engine_settings = replace(engine_settings, item_ids=dataset.item_ids)
    if engine.answers_by_item:
        book = settings.prompt.context or dataset.book
        made = Prompting(PromptSettings(book, settings.sampling.seed))
    else:
        made = prompting(settings, everything, dataset)
    reporter.note(f"{note} · {dataset.name} {dataset.split}: {len(dataset.items)} items, {made.settings.book} book")
    for told in dataset.told if dataset.repaired else ():
        reporter.note(told)
    return Opening(engine, engine_settings, info, whole, dataset, made, cutter)


def asked_in(opening: Opening, settings: EvalSettings, needs: frozenset[str], reporter: Reporter) -> Asked:
    """All prompts, with what metrics of these ``needs`` score. Raises `InputError`."""
    engine, dataset = opening.engine, opening.dataset
    # The whole split decides, so that --limit changes no answer.
    usual = answer_tokens(opening.whole.items)
    if opening.cutter is None:
        asked = untokenised(dataset, opening.prompting, needs, settings, engine, usual, reporter)
    else:
        asked = tokenised(opening.cutter, dataset, opening.prompting, needs, settings, engine, usual, reporter)
    if count := too_short(dataset.items, asked.sampling.max_tokens):
        reporter.note(
            f"{count} of {len(dataset.items)} items have only references longer than --max-tokens "
            f"{asked.sampling.max_tokens} allows: their answers will be cut off (this data's own length: {usual})"
        )
    tell_examples(asked.prompts, opening.prompting, reporter)
    return asked


def make_plan(settings: EvalSettings, reporter: Reporter, prepared: Prepared | None = None) -> Plan:
    """Read data and tokenizer, build all prompts, hash everything; no model is loaded.

    ``prepared``: what earlier plans of this process have read and built already.

    Raises:
        InputError: for anything wrong with the request, before time is spent.
    """
    opening = open_plan(settings, reporter, prepared)
    engine, info, dataset, book = opening.engine, opening.engine_info, opening.dataset, opening.prompting.settings.book
    checkpoint = opening.engine_settings.checkpoint
    names = settings.metrics.metrics or asked_metrics(dataset, settings, prepared)
    resources = Resources()
    if settings.metrics.encoder or settings.metrics.nli or settings.judging.specs or settings.judging.rubrics:
        resources = resources_of(settings, dataset)
    plain = all(text.isascii() for item in opening.whole.items for text in item.references)
    if plain and settings.metrics.segmentation == "auto":
        metrics = tuple(metrics_named(names, resources))
    else:
        metrics = cut(opening.whole, names, resources, settings, reporter)
    if engine.answers_by_item:
        asked, engine = _given(dataset, engine, opening.engine_settings, settings, reporter)
    else:
        needs = frozenset[str]().union(*(metric.needs for metric in metrics))
        if prepared is None:
            asked = asked_in(opening, settings, needs, reporter)
        else:
            key = prompts_key(settings, opening.cutter, needs)
            asked = prepared.once(key, lambda: asked_in(opening, settings, needs, reporter))
    identity = None if checkpoint is None else identify_checkpoint(checkpoint, asked.template)
    depends_on = _dependencies(opening, asked, settings, identity)
    run_id, generation_id = fingerprint(depends_on), None
    if engine.cacheable and identity is not None:
        generation_id = fingerprint([identity.sha256, asdict(info), depends_on["sampling"]])
    name, answers = settings.name or (checkpoint.name if checkpoint else settings.model), settings.given.answers
    if not name and answers is not None:
        name = Path(answers.name.removesuffix(".gz")).stem
    name = name or engine.name
    slug = "-".join((name, Path(dataset.name).stem, dataset.split, book, run_id[:8]))
    return Plan(
        settings=settings,
        dataset=dataset,
        book=book,
        metrics=metrics,
        engine=engine,
        engine_settings=replace(opening.engine_settings, max_model_len=asked.longest),
        engine_info=info,
        sampling=asked.sampling,
        checkpoint=checkpoint,
        identity=identity,
        prompts=asked.prompts,
        continuations=asked.continuations,
        letters=asked.letters,
        references=asked.references,
        reasoning=asked.reasoning,
        depends_on=depends_on,
        run_id=run_id,
        generation_id=generation_id,
        name=name,
        out=settings.out or Path("runs") / re.sub(r"[^\w.+-]+", "_", slug),
        panel=resources.judge,
        samples=settings.sampling.samples,
    )


def _dependencies(
    opening: Opening, asked: Asked, settings: EvalSettings, identity: ModelIdentity | None
) -> dict[str, Any]:
    """All that the answers depend on; its hash is the run's id."""
    recorded_sampling = {name: value for name, value in asdict(asked.sampling).items() if value != NEUTRAL.get(name)}
    depends_on = {
        "model": identity.sha256 if identity else settings.model,
        "engine": asdict(opening.engine_info),
        "sampling": recorded_sampling,
        "data": opening.dataset.items_sha256,
        "prompts": None,
        "prompt_settings": None,
        "reasoning": asdict(asked.reasoning),
    }
    made = opening.prompting.settings
    if opening.engine.answers_by_item:
        asked_how = {"book": made.book, "choice_seed": made.choice_seed, "chat": made.chat, "version": made.version}
        depends_on["prompt_settings"] = asked_how
        given = asked.prompts
        orders = given.orders if isinstance(given, GivenPrompts) else (prompt.shown_choices for prompt in given)
        depends_on["shown_choices"] = list_fingerprint(orders)
        # Another word on the model is another run, not a finished one of the old word.
        depends_on |= {"told": settings.given.told} if settings.given.told else {}
    else:
        keys = ([prompt.request.key, prompt.problem] for prompt in asked.prompts)
        depends_on |= {"prompts": list_fingerprint(keys), "prompt_settings": made.recorded}
    if settings.sampling.samples > 1:
        depends_on["samples"] = settings.sampling.samples
    return depends_on


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
        answers=settings.given.answers,
        answer_fields={name: field for name, field in settings.data.mapping.items() if name in ANSWER_FIELDS},
        missing_cap=settings.given.missing_cap,
        chat_template_kwargs=template_variables(settings.prompt.chat_template_kwargs)
        if settings.prompt.chat_template_kwargs
        else {},
        completions=engine.texts and (bool(options.tokenizer) or not settings.prompt.chat_template),
        options=options.engine_option,
        deterministic=options.deterministic,
        replicas=options.replicas,
        replica_options=options.replica_options,
    )


def _given(
    dataset: DataSet, engine: EngineSpec, engine_settings: EngineSettings, settings: EvalSettings, reporter: Reporter
) -> tuple[Asked, EngineSpec]:
    """What an engine that has the answers is asked: each item's, with the order of options that its letters mean.

    That is the data's own, unless the answers bring another (``shown_choices``) or the user says that telbench's
    prompts showed them. Nothing is known of the prompts behind the answers. A file of answers is read once: the entry
    that is returned hands over what is read already.

    Raises:
        InputError: for answers that do not fit the data, before there is a run folder.
    """
    with contextlib.closing(engine.open(engine_settings)) as opened:
        answers: Answers = getattr(opened, "answers", None) or Answers({})
        waiting = [opened] if isinstance(opened, ReplayEngine) else []
    if answers.strangers:
        told = f"{len(answers.strangers)} answers of the file are to no item of the data"
        reporter.note(f"{told} (the first: '{answers.strangers[0]}')")
    prompts = GivenPrompts(dataset.items)
    for item in dataset.items:
        order = answers.shown.get(item.id, range(len(item.choices)))
        if settings.given.shown_order == "seed" and item.choices:
            order = shown_order(item, settings.sampling.seed)
        if len(order) != len(item.choices):
            raise InputError(
                f"the answer to '{item.id}' has 'shown_choices' of {len(order)} options, the item has "
                f"{len(item.choices)}: are these the answers to this data set?"
            )
        prompts.add(tuple(order))
    named = settings.prompt.reasoning
    reasoning = Reasoning() if named == "auto" else reasoning_asked(named)
    asked = Asked(prompts, Sampling(seed=settings.sampling.seed), reasoning)
    return asked, replace(engine, open=lambda told: waiting.pop() if waiting else engine.open(told))


def _refuse_stray_options(settings: EvalSettings, engine: EngineSpec) -> None:
    """Refuse what this engine would ignore in silence, and what only has a meaning beside another option.

    Each setting says which kinds of engine read it (``engines``). A plugin that asks no checkpoint may read what any
    engine is opened with.
    """
    kind = "replay" if engine.answers_by_item else "openai" if engine.name == "openai" else "other"
    kind = "local" if engine.local else kind
    kinds = {kind, *(["tokens"] if settings.engine.tokenizer else []), *(["ray"] if engine.name == "ray" else [])}
    given = [
        (each.flag, each.told["engines"])
        for each in settings_in(EvalSettings).values()
        if "engines" in each.told and attrgetter(each.path)(settings) != each.default()
    ]
    given += [("--map prediction=…", ("replay",))] if "prediction" in settings.data.mapping else []
    for flag, readers in given:
        if kinds.isdisjoint(readers):
            owners = " or ".join(OWNERS[reader] for reader in readers if reader in OWNERS)
            raise InputError(
                f"{flag} belongs to --engine {owners}, this is {engine.name}: add --engine {owners} or drop it"
            )
    asked, cold = settings.sampling, not settings.sampling.temperature
    measured = settings.metrics
    for wrong, line in (
        (engine.local and not settings.model, f"--engine {engine.name} needs --model with the folder of a checkpoint"),
        (
            settings.engine.engine_option and not engine.options,
            f"--engine {engine.name} takes no --engine-option: drop it",
        ),
        (
            settings.engine.deterministic and not engine.options,
            f"--engine {engine.name} takes no --deterministic: drop it",
        ),
        (
            settings.model and engine.name == "replay",
            "--engine replay takes --answers FILE and, for the table, --name NAME instead of --model",
        ),
        (measured.encoder_idf and not measured.encoder, f"--encoder-idf {NO_ENCODER} or drop --encoder-idf"),
        (
            measured.encoder_layer is not None and not measured.encoder,
            f"--encoder-layer {NO_ENCODER} or drop --encoder-layer",
        ),
        (asked.top_k and cold, "--top-k narrows draws, but --temperature 0 draws nothing: raise it or drop --top-k"),
        (asked.min_p and cold, "--min-p narrows draws, but --temperature 0 draws nothing: raise it or drop --min-p"),
        (
            asked.samples > 1 and cold,
            "--samples: all answers are the same at --temperature 0: raise it or drop --samples",
        ),
        ("" in asked.stop, "--stop '': an empty text would end every answer at once: leave it out"),
    ):
        if wrong:
            raise InputError(line)
