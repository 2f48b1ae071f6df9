"""Options of a run that its engine would ignore in silence, or that mean nothing without another one."""

from __future__ import annotations

from operator import attrgetter

from telbench.config import settings_in
from telbench.errors import InputError

from ..engines.contract import EngineSpec
from .settings import EvalSettings

# What a user would have to name to use an option.
OWNERS = {
    "local": "vllm or transformers",
    "openai": "openai",
    "tokens": "openai with --tokenizer",
    "replay": "replay",
}
NO_ENCODER = "needs --encoder with the folder of an encoder: add it"


def refuse_stray_options(settings: EvalSettings, engine: EngineSpec) -> None:
    """Refuse what this engine would ignore in silence, and what only has a meaning beside another option.

    Each setting says which kinds of engine read it (``engines``). A plugin that asks no checkpoint may read what any
    engine is opened with.
    """
    kind = "replay" if engine.answers_by_item else "openai" if engine.name == "openai" else "other"
    kind = "local" if engine.local else kind
    kinds = {kind, *(["tokens"] if settings.engine.tokenizer else [])}
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
