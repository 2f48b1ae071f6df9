"""Sequence-level distillation: supervised fine-tuning on answers that the teacher generates once.

Source: Kim and Rush, Sequence-Level Knowledge Distillation, 2016 (arXiv 1606.07947).
"""

from __future__ import annotations

from .contract import Objective, always
from .sft import loss

SEQ_KD = Objective(
    name="seq_kd",
    card="supervised fine-tuning on the teacher's own answers",
    loss=loss,
    needs="answers",
    permits=always("needs the teacher's text only"),
    # The longest answer that the teacher may give.
    reads=frozenset({"max_new_tokens"}),
    source="Kim and Rush 2016 (arXiv 1606.07947)",
)
