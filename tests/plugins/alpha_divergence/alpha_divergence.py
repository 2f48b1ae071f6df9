"""Amari's alpha divergence: a way from reverse KL (alpha to 0) to forward KL (alpha to 1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from telbench.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Alpha:
    """(1 - Σ p^alpha q^(1 - alpha)) / (alpha (1 - alpha)); source: Amari, Differential-Geometrical Methods, 1985."""

    name: ClassVar[str] = "alpha"
    crosses: ClassVar[bool] = False
    alpha: float = 0.5

    def __post_init__(self) -> None:
        if not 0 < self.alpha < 1:
            raise InputError(f"alpha is {self.alpha}: it lies between 0 and 1, both excluded")

    def rows(self, student: Tensor, teacher: Tensor) -> Tensor:
        """The divergence of each row, from log-probabilities (rows, vocabulary)."""
        affinity = (self.alpha * teacher + (1 - self.alpha) * student).exp().sum(-1)
        return (1 - affinity) / (self.alpha * (1 - self.alpha))
