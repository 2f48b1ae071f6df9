"""Which runs one loaded engine answers: adapters of one base, data sets of one checkpoint, checkpoints alike in shape.

Runs of one engine follow one another, and those of one checkpoint within them: each is loaded once.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...metrics.fingerprints import fingerprint
from ..adapter import adapted_modules
from ..alike import Frame, difference, frame_of
from ..checkpoint import Checkpoint
from ..engines.contract import EngineSettings, EngineSpec

# Positions of these are scaled by the longest text of the engine, which is another one for every run.
_BY_LENGTH = ("longrope", "dynamic", "su")


@dataclass(frozen=True)
class Asked:
    """What a run asks of an engine."""

    engine: EngineSpec
    settings: EngineSettings
    tokenizer_sha256: str


@dataclass(frozen=True)
class Together:
    """Places of runs that one engine answers, in this order; ``told`` says why it is another than the one before."""

    places: tuple[int, ...]
    told: str = ""


def grouped(every: Sequence[Asked]) -> list[Together]:
    """All places of ``every``, in the groups that one loaded engine answers each.

    Raises:
        InputError: where a file of a checkpoint cannot be read.
    """
    frames: dict[Path, Frame] = {}
    kinds = [_kind(asked, place, frames) for place, asked in enumerate(every)]
    order = sorted(range(len(every)), key=lambda place: kinds.index(kinds[place]))
    groups: list[Together] = []
    for kind in dict.fromkeys(kinds[place] for place in order):
        own = [place for place in order if kinds[place] == kind]
        folders = [_folder(every[place]) for place in own]
        own.sort(key=lambda place: folders.index(_folder(every[place])))
        before = every[groups[-1].places[-1]] if groups else None
        groups.append(Together(tuple(own), "" if before is None else _why_another(before, every[own[0]], frames)))
    return groups


def load_key(asked: Asked) -> str:
    """A name for what has to be loaded: runs of one name can share an engine. Raises as `grouped`."""
    found = _kind(asked, 0, {})
    return fingerprint([repr(found), _folder(asked) if found[0] == "alone" else ""])


def _kind(asked: Asked, place: int, frames: dict[Path, Frame]) -> tuple[Hashable, ...]:
    """What runs of one engine have in common; one that shares with none has its own."""
    engine, checkpoint = asked.engine, asked.settings.checkpoint
    if engine.share is None or checkpoint is None:
        return ("alone", engine.name, place)
    common = (engine.name, _read(asked.settings), _length(asked.settings))
    if checkpoint.adapter is not None:
        # An adapter on the output head changes how prompts are scored for all.
        if "lm_head" in adapted_modules(checkpoint.adapter):
            return ("alone", engine.name, place)
        return ("adapters", *common, str(checkpoint.path.resolve()), asked.tokenizer_sha256)
    if engine.keeps is None:
        return ("alone", engine.name, place)
    frame = _frame(checkpoint, frames)
    if frame.fixed or engine.keeps(frame.architecture):
        return ("one", *common, str(checkpoint.path.resolve()))
    return ("alike", *common, frame)


def _read(settings: EngineSettings) -> str:
    """The settings that a local engine reads before there is a checkpoint, as text: they may hold mappings."""
    plain = EngineSettings(
        dtype=settings.dtype,
        seed=settings.seed,
        batch_tokens=settings.batch_tokens,
        options=settings.options,
        deterministic=settings.deterministic,
    )
    return repr(plain)


def _length(settings: EngineSettings) -> int | None:
    """The longest text, where positions are scaled by it: then engines of other lengths compute other sums."""
    config: dict[str, Any] = settings.checkpoint.config if settings.checkpoint else {}
    told = repr([config.get(name) for name in ("rope_scaling", "rope_parameters", "text_config")])
    return settings.max_model_len if any(f"'{name}'" in told for name in _BY_LENGTH) else None


def _frame(checkpoint: Checkpoint, frames: dict[Path, Frame]) -> Frame:
    if checkpoint.path not in frames:
        frames[checkpoint.path] = frame_of(checkpoint)
    return frames[checkpoint.path]


def _folder(asked: Asked) -> str:
    checkpoint = asked.settings.checkpoint
    return "" if checkpoint is None else str(checkpoint.folder.resolve())


def _why_another(before: Asked, after: Asked, frames: dict[Path, Frame]) -> str:
    """Why the engine of the run before cannot answer the next one; empty where nobody would expect it to."""
    one, other = before.settings.checkpoint, after.settings.checkpoint
    engine = after.engine
    if one is None or other is None or before.engine is not engine or engine.share is None:
        return ""
    if _read(before.settings) != _read(after.settings):
        return "other settings of the engine"
    if one.adapter is not None or other.adapter is not None:
        return "another base, or none"
    if engine.keeps is None:
        return ""
    own = _frame(other, frames)
    return difference(_frame(one, frames), own) or engine.keeps(own.architecture) or "another longest text"
