"""On-policy distillation (GKD): vanilla distillation, some of its steps on answers that the student has just made up.

Source: Agarwal et al., On-Policy Distillation of Language Models, 2024 (arXiv 2306.13649). How the answers are drawn
is in `train.on_policy`.
"""

from __future__ import annotations

from .contract import Objective
from .vanilla_kd import VANILLA_KD, loss, same_ids

GKD = Objective(
    name="gkd",
    card="vanilla distillation, a share of the steps on the student's own answers",
    loss=loss,
    permits=same_ids,
    reads=VANILLA_KD.reads | {"student_share", "sampling_temperature", "max_new_tokens"},
    on_policy=True,
    source="Agarwal et al. 2024 (arXiv 2306.13649)",
)
