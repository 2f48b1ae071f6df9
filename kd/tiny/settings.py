"""What a tiny model made from nothing is like."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from telbench.config import require_positive, setting
from telbench.errors import InputError

from .tokenizer import Pieces


@dataclass(frozen=True)
class ScratchSettings:
    """A tiny model that is first trained on general networking prose, so that there is a base to start from."""

    hidden: int = 128
    layers: int = 3
    heads: int = 4
    inner: int = 384
    window: int = 256
    vocabulary: int = 3000
    pieces: Pieces = "words"
    corpus: Literal["questions", "contexts"] = setting("questions", "what its tokenizer learns from besides the prose")
    epochs: int = 20
    batch_size: int = 8
    learning_rate: float = 2e-3
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what no model can be made of."""
        require_positive(self, "hidden", "layers", "heads", "inner", "window", "vocabulary", "epochs", "batch_size")
        require_positive(self, "learning_rate")
        if self.hidden % self.heads:
            raise InputError(f"scratch: hidden {self.hidden} is no multiple of heads {self.heads}")
