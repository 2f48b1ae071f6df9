"""GOLD with some of its steps on answers that the student has just made up.

Source: as `gold`. How the answers are drawn, and how a teacher of other tokens reads them, is in `train.on_policy`.
"""

from __future__ import annotations

from dataclasses import replace

from .contract import MIXED
from .gold import GOLD

GOLD_ON_POLICY = replace(
    GOLD,
    name="gold_on_policy",
    card="gold, a share of the steps on the student's own answers, which the teacher reads in its own tokens",
    reads=MIXED | {"student_share", "sampling_temperature", "max_new_tokens"},
    on_policy=True,
)
