"""References as continuations of the prompt that was asked: what their likelihood under the checkpoint is taken of."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Mapping, Sequence

from ..datasets.items import Item
from ..engines.contract import Continuation
from .build import Prompt
from .encoder import Encoder

DO_NOT_FIT = "prompt and reference do not fit the window"
NO_END = "a server does not tell its end-of-sequence token: --tokenizer"
MULTIPLE_CHOICE = "multiple choice: see choice_likelihood"
# The continuations of an item's references in their order, or the reason why they cannot be scored.
References = tuple[Continuation, ...] | str


def reference_continuations(item: Item, prompt: Prompt, encoder: Encoder, window: int | None) -> References:
    """Prompt as asked, reference, end-of-sequence: the ids that `kd` trains on, where the context was not cut.

    All references of an item have to fit ``window`` (None: no limit known), beside the one token that engines generate
    when asked for likelihoods: the best of the short ones may not be the best. Tokenizers without an end-of-sequence
    token end no reference.
    """
    if item.choices:
        return MULTIPLE_CHOICE
    end = encoder.tokenizer.eos_token_id
    asked, start = prompt.request.token_ids, len(prompt.request.token_ids)
    continuations = []
    for reference in item.gold_references:
        ids = array("I", [*asked, *encoder.answer_ids(reference), *([] if end is None else [end])])
        if window is not None and len(ids) >= window:
            return DO_NOT_FIT
        digest = hashlib.sha256(array("I", [start, *ids]).tobytes()).hexdigest()
        continuations.append(Continuation(f"reference:{digest}", ids, start))
    return tuple(continuations)


def all_references(
    items: Sequence[Item], prompts: Sequence[Prompt], encoder: Encoder, window: int | None
) -> dict[str, References]:
    """Continuations by item, for items that have references and could be asked."""
    return {
        item.id: reference_continuations(item, prompt, encoder, window)
        for item, prompt in zip(items, prompts, strict=True)
        if item.gold_references and prompt.problem is None
    }


def continuations_of(references: Mapping[str, References]) -> list[Continuation]:
    """All continuations of all items that can be scored."""
    return [each for group in references.values() if not isinstance(group, str) for each in group]
