"""Number formats of a training."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from telbench.errors import InputError

from .trainings import Train, losses, weights


def test_trainings_of_two_precisions_in_one_process_are_what_they_are_alone(train: Train) -> None:
    exact = train("one")
    half = train("half", optimiser={"precision": "bf16"})
    again = train("two")
    assert weights(exact) == weights(again) != weights(half)
    assert losses(half) == pytest.approx(losses(exact), rel=2e-2)
    assert losses(half) != losses(exact)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_tf32_without_a_gpu_is_refused_in_one_line(train: Train, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="use fp32 or bf16"):
        train(optimiser={"precision": "tf32"})
    assert not list(tmp_path.iterdir())
