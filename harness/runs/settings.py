"""What the user asks of a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..engines.contract import Sampling
from ..judging.open import JudgeSettings
from ..prompts.build import Book


@dataclass(frozen=True)
class EvalSettings:
    """What the user asked for; see ``telbench eval --help`` for the meaning of each."""

    model: str = ""
    engine: str = "auto"
    data: str = "telecom-nano"
    split: str = "test"
    data_dir: Path | None = None
    mapping: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, str] = field(default_factory=dict)
    book: Book | None = None
    metrics: tuple[str, ...] = ()
    encoder: str = ""
    encoder_layer: int | None = None
    encoder_idf: bool = False
    judging: JudgeSettings = field(default_factory=JudgeSettings)
    sampling: Sampling = field(default_factory=Sampling)
    dtype: str = "auto"
    max_model_len: int | None = None
    limit: int | None = None
    out: Path | None = None
    fresh: bool = False
    cache: bool = True
    chat: bool = True
    base_url: str = ""
    max_in_flight: int = 32
    deadline: float = 120.0
    answers: Path | None = None
    trust_remote_code: bool = False
    online: bool = False
    name: str = ""
