"""The finished checkpoint: the kept step's weights as an ordinary model, a LoRA adapter, or both."""

from __future__ import annotations

import shutil
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

from telbench.errors import InputError, missing_extra

from ...harness.cli.terminal import Reporter
from ...harness.engines.transformers import load_model
from ..checkpoints import NOTE, Origin, whole_folder, without_bars, write_checkpoint
from ..settings import LoraSettings, MethodSettings
from .optimisation import LOG
from .prepare import Prepared
from .report import candidate_card, draw_losses
from .state import MODEL, best_file, load_weights

LAST = "last"
ADAPTER = "adapter"
# A loss on the dev split that saving made larger than this share is told.
WORSE = 0.005


def student_of(prepared: Prepared, *, half: bool | None = None) -> Any:
    """The student as it begins, adapters included, on the processor; ``half``: is what adapters sit on bfloat16?"""
    settings = prepared.settings
    if half is None:
        # Adapters on a base in half precision are themselves in full precision; without them every weight is trained.
        half = settings.lora is not None and settings.optimiser.precision == "bf16"
    model = load_model(prepared.student.checkpoint, "bfloat16" if half else "float32", settings.optimiser.loading)
    if settings.optimiser.gradient_checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
        model.enable_input_require_grads()
    return model if settings.lora is None else _adapted(model, settings.lora)


def _adapted(model: Any, lora: LoraSettings) -> Any:
    try:
        from peft import LoraConfig, get_peft_model
    except ImportError as error:
        raise missing_extra("peft", "train", "LoRA") from error
    config = LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,  # pyright: ignore[reportArgumentType] - peft divides it, whole or not
        lora_dropout=lora.dropout,
        target_modules=list(lora.targets) or "all-linear",
        task_type="CAUSAL_LM",
    )
    try:
        return get_peft_model(model, config)
    except ValueError as error:
        raise InputError(f"lora: {' '.join(str(error).split())[:300]}") from error


def write_candidate(
    prepared: Prepared, out: Path, work: Path, origin: Origin, device: Any, reporter: Reporter
) -> Origin:
    """Put the kept step's folder in its place, with that of the last step in it where it is another.

    What was saved is looked at once more where it is not what was trained: merged adapters, rounded weights.

    Returns:
        The note, with the loss of what was saved.

    Raises:
        InputError: when the place cannot be written.
    """
    progress, settings = origin.training, prepared.settings
    last = work / f"step-{progress['step']:08d}" / MODEL
    kept = last if progress["kept_step"] == progress["step"] else best_file(work, progress["kept_step"])
    with whole_folder(out, NOTE) as folder, without_bars():
        model = _to_save(prepared, kept, folder)
        if settings.lora is not None or settings.keeping.save_dtype != "float32":
            origin = _looked_at(prepared, model, folder, origin, device, reporter)
        write_checkpoint(folder, model, prepared.student.tokenizer, origin, candidate_card(out.name, origin))
        shutil.copy(work / LOG, folder / LOG)
        for name in settings.keeping.log:
            if (work / name).is_dir():
                shutil.copytree(work / name, folder / name, symlinks=True)
        draw_losses(folder / LOG, folder / "loss.png")
        if kept != last:
            (folder / LAST).mkdir()
            of_last = replace(origin, training={**progress, "kept_step": progress["step"]})
            card = candidate_card(f"{out.name}, last step", of_last)
            model = _to_save(prepared, last, folder / LAST)
            write_checkpoint(folder / LAST, model, prepared.student.tokenizer, of_last, card)
    return origin


def _to_save(prepared: Prepared, weights: Path, folder: Path) -> Any:
    """The model with these weights as the settings want it saved; an adapter beside it is written here.

    Adapters are added to float32 weights: in bfloat16 most of a small update would be rounded away.
    """
    model, keeping = student_of(prepared, half=False), prepared.settings.keeping
    load_weights(model, weights, "student.")
    if prepared.settings.lora is not None and keeping.save != "adapter":
        if keeping.save == "both":
            model.save_pretrained(folder / ADAPTER)
            # A card of another library's, about a folder that this one's card is of.
            (folder / ADAPTER / "README.md").unlink(missing_ok=True)
        model = model.merge_and_unload()
    if keeping.save_dtype == "bfloat16":
        import torch

        model = model.to(torch.bfloat16)
    return model


def _looked_at(prepared: Prepared, model: Any, folder: Path, origin: Origin, device: Any, reporter: Reporter) -> Origin:
    """The note with the loss of what is saved on the dev split; a warning where it is worse than what was trained."""
    from .dev_loss import DevSplit
    from .distiller import Distiller

    examples, settings = prepared.texts.dev_examples, prepared.settings
    if not examples:
        return origin
    method = MethodSettings()
    size = origin.training["items_at_once"]
    split = DevSplit(prepared, Distiller(model.to(device), method), method.objective, size, device)
    with reporter.progress("looking at what is saved", len(examples)) as meter:
        loss = split.loss(folder.parent, origin.training["kept_step"], meter, threading.Event())
    model.to("cpu")
    training = {**origin.training, "saved": {"dtype": settings.keeping.save_dtype, "dev_loss": loss}}
    best = origin.training["best"]
    if best is not None and best["step"] == origin.training["kept_step"] and loss > (1 + WORSE) * best["loss"]:
        warning = (
            f"as it is saved in {settings.keeping.save_dtype} the model loses {loss:.4f} nats a token on the dev "
            f"split, as it was trained {best['loss']:.4f}: --save-dtype float32 or --save adapter keeps more of it"
        )
        reporter.note(warning)
        training["warnings"] = [*training.get("warnings", ()), warning]
    return replace(origin, training=training)
