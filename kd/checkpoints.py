"""A trained model as a Hugging Face folder, with a note of how it was made."""

from __future__ import annotations

import contextlib
import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from telbench.errors import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

    from ..harness.datasets.items import DataSet


@contextlib.contextmanager
def whole_folder(final: Path, mark: str) -> Iterator[Path]:
    """A scratch folder beside ``final`` that takes its place when the block ends, and vanishes when it fails.

    A folder that stands at ``final`` is replaced only if it holds a file called ``mark`` (it is one of ours) or is
    empty.

    Raises:
        InputError: when ``final`` is something else, or its parent cannot be written.
    """
    if final.exists() and not _replaceable(final, mark):
        raise InputError(f"{final} exists and was not made by telbench: move it away, or choose another --out")
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f".{final.name}.", suffix=".partial", dir=final.parent))
    except OSError as error:
        raise InputError(f"cannot write in {final.parent}: {error.strerror}: choose another --out") from error
    try:
        inner = scratch / final.name
        inner.mkdir()
        yield inner
        if final.exists():
            final.rename(scratch / "replaced")
        inner.rename(final)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _replaceable(folder: Path, mark: str) -> bool:
    return folder.is_dir() and ((folder / mark).is_file() or not any(folder.iterdir()))


NOTE = "telbench.json"


@dataclass(frozen=True)
class Origin:
    """How a checkpoint was made. ``factors`` are what tables group by; ``settings_sha256`` tells equal recipes."""

    factors: Mapping[str, Any]
    data: Mapping[str, Any]
    settings: Mapping[str, Any]
    settings_sha256: str
    training: Mapping[str, Any] = field(default_factory=dict)


def data_facts(dataset: DataSet) -> dict[str, Any]:
    """What was trained on, by content."""
    return {
        "name": dataset.name,
        "split": dataset.split,
        "n": len(dataset.items),
        "items_sha256": dataset.items_sha256,
    }


def write_checkpoint(
    folder: Path, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, origin: Origin, card: str
) -> None:
    """Weights (safetensors), configuration, tokenizer, ``telbench.json`` and model card into an existing folder.

    A model with LoRA adapters writes those alone.
    """
    with without_bars():
        model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    # Weights are written readable by their owner alone; they are as public as the files beside them.
    for weights in folder.glob("*.safetensors"):
        weights.chmod((folder / "tokenizer_config.json").stat().st_mode)
    note = {**asdict(origin), "telbench": version("telbench")}
    (folder / NOTE).write_text(json.dumps(note, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    (folder / "README.md").write_text(card, encoding="utf-8")


@contextlib.contextmanager
def without_bars() -> Iterator[None]:
    """No bars of transformers meanwhile: it draws one on stderr even for a single file of a few megabytes."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def made_with(folder: Path, settings_sha256: str) -> bool:
    """Does a whole checkpoint of exactly this recipe lie here?"""
    from ..harness.adapter import open_model
    from ..harness.checkpoint import read_json

    try:
        note = read_json(folder / NOTE) if (folder / NOTE).is_file() else None
        if not isinstance(note, dict) or note.get("settings_sha256") != settings_sha256:
            return False
        open_model(str(folder))
    except InputError:
        return False
    return True


def read_origin(folder: Path) -> Origin:
    """The note of a checkpoint that telbench made.

    Raises:
        InputError: when there is none.
    """
    from ..harness.checkpoint import read_json

    note = read_json(folder / NOTE)
    try:
        return Origin(*(note[name] for name in ("factors", "data", "settings", "settings_sha256", "training")))
    except (TypeError, KeyError) as error:
        raise InputError(f"{folder / NOTE} is no note of a training: delete {folder} and train again") from error
