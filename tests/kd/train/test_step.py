"""What a step asks of the machine: bounded parts, the kernel of its attention, and no waiting for a GPU."""

from __future__ import annotations

import json
import os
import traceback
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch.utils._python_dispatch import TorchDispatchMode

from telbench.config import merged, read_settings
from telbench.errors import InputError
from telbench.harness.cli.terminal import Reporter
from telbench.kd.settings import TrainingSettings
from telbench.kd.train.candidate import Candidate, train_candidate
from telbench.kd.train.distiller import MicroBatch
from telbench.kd.train.trainer import Trainer

# What a GPU cannot do without telling the processor a number first.
ASKING = {"_local_scalar_dense", "nonzero", "masked_select", "_unique2", "unique_dim", "unique_consecutive", "bincount"}


def train(models: Path, out: Path, student: str = "student", **changes: Any) -> Candidate:
    given: dict[str, Any] = {
        "student": str(models / student),
        "data": {"data": str(models / "facts.jsonl"), "max_length": 96},
        "optimiser": {"epochs": 1, "batch_size": 4, "learning_rate": 3e-3},
    }
    if changes.get("method", {}).get("algorithm", "sft") != "sft":
        given["teacher"] = str(models / "teacher")
    return train_candidate(read_settings(TrainingSettings, merged(given, changes), "test"), out, Reporter())


def losses(candidate: Candidate) -> list[float]:
    lines = (candidate.path / "training.jsonl").read_text().splitlines()
    return [record["loss"] for record in map(json.loads, lines) if "loss" in record]


@pytest.mark.parametrize("student", ["student", "other"])
def test_parts_bounded_by_tokens_learn_what_parts_of_items_learn(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, student: str
) -> None:
    method = {"algorithm": "dskd_v2"}
    whole = train(models, tmp_path / "whole", student, method=method)
    sizes: list[tuple[int, int]] = []
    made = Trainer._micro_batch

    def noted(self: Trainer, examples: Sequence[Any], own: bool) -> MicroBatch:
        micro = made(self, examples, own)
        lengths = [len(taught.example.ids) for each in examples if (taught := each.teacher) is not None]
        sizes.append((len(examples), len(examples) * max(micro.batch.inputs.shape[1], *lengths)))
        return micro

    monkeypatch.setattr(Trainer, "_micro_batch", noted)
    cut = train(models, tmp_path / "cut", student, method=method, optimiser={"micro_batch_tokens": 250})
    assert max(tokens for items, tokens in sizes if items > 1) <= 250 + 8
    assert {items for items, _ in sizes} > {1}
    assert losses(cut) == pytest.approx(losses(whole), rel=1e-5)
    assert cut.origin.settings_sha256 == whole.origin.settings_sha256
    ours, theirs = (load_file(each.path / "model.safetensors") for each in (cut, whole))
    assert all(torch.allclose(ours[name], theirs[name], atol=2e-4) for name in theirs)


def test_items_and_tokens_do_not_both_bound_a_part(models: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="micro_batch_size and micro_batch_tokens both bound"):
        train(models, tmp_path / "both", optimiser={"micro_batch_tokens": 150, "micro_batch_size": 2})
    with pytest.raises(InputError, match="micro_batch_tokens"):
        train(models, tmp_path / "none", optimiser={"micro_batch_tokens": 0})


def test_attention_is_computed_by_the_kernel_that_was_asked_for(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    made = Trainer.__init__

    def noted(self: Trainer, prepared: Any, distiller: Any, *rest: Any, **given: Any) -> None:
        seen.append(distiller.student.config._attn_implementation)
        seen.append(given["teacher"].model.config._attn_implementation)
        made(self, prepared, distiller, *rest, **given)

    monkeypatch.setattr(Trainer, "__init__", noted)
    method = {"algorithm": "vanilla_kd"}
    eager = train(models, tmp_path / "eager", method=method, optimiser={"attn": "eager"})
    usual = train(models, tmp_path / "usual", method=method)
    assert seen == ["eager", "eager", "sdpa", "sdpa"]
    assert losses(eager) == pytest.approx(losses(usual), rel=1e-4)
    # Last digits differ, so that a stopped training does not go on with another kernel.
    assert eager.origin.settings_sha256 != usual.origin.settings_sha256


def test_a_kernel_that_is_not_installed_is_refused_in_one_line(models: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"(?i)flash") as told:
        train(models, tmp_path / "flash", optimiser={"attn": "flash_attention_2"})
    assert "\n" not in str(told.value)
    with pytest.raises(InputError, match="attn"):
        train(models, tmp_path / "flsh", optimiser={"attn": "flash"})


@pytest.mark.parametrize(
    ("launched", "precision", "refused"),
    [
        ("bf16", "fp32", "pass --precision bf16"),
        ("fp16", "fp32", "told mixed_precision: fp16"),
        ("fp8", "bf16", "told mixed_precision: fp8"),
        ("bf16", "bf16", None),
        ("no", "bf16", None),
    ],
)
def test_what_accelerate_was_told_is_not_overridden_in_silence(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, launched: str, precision: str, refused: str | None
) -> None:
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", launched)
    optimiser = {"precision": precision, "batch_size": 16}
    if refused is None:
        assert losses(train(models, tmp_path / "made", optimiser=optimiser))
        return
    with pytest.raises(InputError, match=refused):
        train(models, tmp_path / "made", optimiser=optimiser)


class Asked(TorchDispatchMode):
    """Counts, by our own line of code, the operations that would make the processor wait for a GPU."""

    def __init__(self) -> None:
        super().__init__()
        self.found: Counter[str] = Counter()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        name = func._schema.name.removeprefix("aten::")
        masks = name.startswith(("index", "_index_put")) and any(
            isinstance(each, torch.Tensor) and each.dtype == torch.bool
            for each in (args[1] if len(args) > 1 and isinstance(args[1], list | tuple) else ())
        )
        if name in ASKING or masks:
            frames = traceback.extract_stack()
            # What transformers asks of its own masks is not ours, and compiled layers do not ask it.
            if not any("masking_utils" in frame.filename for frame in frames):
                ours = [frame for frame in frames if f"{os.sep}kd{os.sep}" in frame.filename]
                self.found[f"{name} {Path(ours[-1].filename).name}:{ours[-1].lineno}"] += 1
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize(
    ("student", "algorithm"),
    [
        *(("student", name) for name in ("sft", "vanilla_kd", "dskd")),
        *(("other", name) for name in ("dskd_cma", "simple_ctkd", "uld", "gold", "alm")),
    ],
)
def test_the_loss_and_its_gradient_ask_nothing_of_the_gpu(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, student: str, algorithm: str
) -> None:
    asked = Asked()

    def watched(self: Trainer, *rest: Any) -> None:
        forward, backward = self._module.forward, self._accelerator.backward

        def counted(*given: Any) -> Any:
            with asked:
                return forward(*given)

        def counted_back(loss: Any) -> None:
            with asked:
                backward(loss)

        with monkeypatch.context() as patched:
            patched.setattr(self._module, "forward", counted)
            patched.setattr(self._accelerator, "backward", counted_back)
            # The check of labels is made of those on the processor.
            patched.setattr("telbench.kd.losses.chunked_head.refuse_beyond", lambda *each: None)
            step(self, *rest)

    step = Trainer._step
    monkeypatch.setattr(Trainer, "_step", watched)
    train(models, tmp_path / "made", student, method={"algorithm": algorithm}, optimiser={"micro_batch_size": 2})
    assert asked.found == {}
