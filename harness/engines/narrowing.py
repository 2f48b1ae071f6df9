"""What narrows the choice of the next token before it is drawn, as vLLM has it: penalty, min-p, top-k."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .contract import Sampling


class RepetitionPenalty:
    """Logits processor: tokens of prompt and answer lose likelihood. What pads a row on the left is none of them."""

    def __init__(self, lengths: Sequence[int], sampling: Sampling) -> None:
        self._width, self._lengths, self._penalty = max(lengths), lengths, sampling.repetition_penalty

    def __call__(self, input_ids: Any, scores: Any) -> Any:
        """The scores with those of the tokens that were there divided (above 0) or multiplied (below)."""
        import torch

        seen = torch.zeros_like(scores, dtype=torch.bool)
        for row, length in enumerate(self._lengths):
            seen[row, input_ids[row, self._width - length :]] = True
        weaker = torch.where(scores > 0, scores / self._penalty, scores * self._penalty)
        return torch.where(seen, weaker, scores)


def likeliest(ordered: Any, sampling: Sampling) -> Any:
    """Probabilities in falling order: those below min-p or beyond top-k are 0, the others sum to 1 again."""
    if not (sampling.min_p or sampling.top_k):
        return ordered
    import torch

    kept = ordered >= sampling.min_p * ordered[:, :1]
    if sampling.top_k:
        kept[:, sampling.top_k :] = False
    narrowed = torch.where(kept, ordered, 0.0)
    return narrowed / narrowed.sum(dim=-1, keepdim=True)
