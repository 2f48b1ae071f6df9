"""A teacher's head and embedding straight from its checkpoint's safetensors: two tables, and none of the layers.

Which tensors they are is settled once, beside the loaded model, by comparing values: names differ between architectures
and between a file and a loaded model, values do not.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from telbench.errors import InputError

from ...harness.checkpoint import Checkpoint
from ..losses.heads import Head

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from .rows import LiveTeacher


@dataclass(frozen=True)
class HeadSource:
    """Names of tensors in the checkpoint's files, and what is done to logits and embeddings besides.

    ``dtype``: the number format that the teacher computed in. ``embedding`` is None where the model does more to its
    tokens than look them up and multiply.
    """

    weight: str
    bias: str | None
    scale: float
    cap: float | None
    dtype: str
    embedding: str | None
    embedding_scale: float


@dataclass(frozen=True)
class Tables:
    """Head and embedding of a checkpoint, read when asked for and put on ``device``."""

    checkpoint: Checkpoint
    source: HeadSource
    device: torch.device | str = "cpu"

    def head(self) -> Head:
        """The output head, with the model's own scale and cap.

        Raises:
            InputError: when the checkpoint has no such tensor.
        """
        bias = None if self.source.bias is None else self._read(self.source.bias)
        return Head(self._read(self.source.weight), bias, self.source.scale, self.source.cap)

    def embedding(self) -> nn.Module:
        """From token ids to embeddings; frozen.

        Raises:
            InputError: where a table is not all there is to it, or the checkpoint has no such tensor.
        """
        if self.source.embedding is None:
            raise InputError(
                f"{self.checkpoint.path} does more to its tokens than look them up: cross-model attention needs the "
                "live teacher (no teacher cache), or use another algorithm"
            )
        return _scaled_lookup(self._read(self.source.embedding), self.source.embedding_scale)

    def _read(self, name: str) -> Tensor:
        import torch

        for found, file in _names(self.checkpoint):
            if found == name:
                return _tensor(file, name).to(self.device, getattr(torch, self.source.dtype))
        raise InputError(f"{self.checkpoint.path} has no tensor {name}: it is not the checkpoint that was cached")


def locate(teacher: LiveTeacher, checkpoint: Checkpoint) -> HeadSource:
    """Where in the checkpoint the loaded model's head and embedding lie.

    Raises:
        InputError: when the head is none of the checkpoint's tensors.
    """
    head, model = teacher.head, teacher.model
    parameters = {id(value): name for name, value in reversed(list(model.named_parameters(remove_duplicate=False)))}
    output = model.get_output_embeddings()
    found = [
        None if tensor is None else _same(tensor, parameters.get(id(tensor), ""), checkpoint)
        for tensor in (output.weight, output.bias)
    ]
    if found[0] is None or (found[1] is None) != (head.bias is None):
        raise InputError(
            f"{checkpoint.path}: its output head is none of the tensors in its files: distil from the live teacher"
        )
    embedding, scale = _embedding(model.get_input_embeddings(), parameters, checkpoint)
    dtype = str(head.weight.dtype).removeprefix("torch.")
    return HeadSource(found[0], found[1], head.scale, head.cap, dtype, embedding, scale)


def _embedding(module: Any, parameters: dict[int, str], checkpoint: Checkpoint) -> tuple[str | None, float]:
    """(tensor, factor) of the embedding, or (None, 1) where that is not all of it."""
    import torch

    table = getattr(module, "weight", None)
    if not isinstance(table, torch.Tensor) or table.dim() != 2:
        return None, 1.0
    scale = float(getattr(module, "embed_scale", 1.0))
    with torch.no_grad():
        ids = torch.arange(len(table), device=table.device)
        # A look-up has no sums that could round differently.
        if not torch.equal(module(ids), _scaled_lookup(table.detach(), scale)(ids)):
            return None, 1.0
    return _same(table, parameters.get(id(table), ""), checkpoint), scale


def _same(wanted: Tensor, called: str, checkpoint: Checkpoint) -> str | None:
    """Name of the checkpoint's tensor with these values; the one that is called alike is tried first."""
    import torch

    def likeness(entry: tuple[str, Path]) -> int:
        return len(_common_end(entry[0], called))

    for name, file in sorted(_names(checkpoint), key=likeness, reverse=True):
        if _shape(file, name) == list(wanted.shape) and torch.equal(
            _tensor(file, name).to(wanted.dtype), wanted.detach().cpu()
        ):
            return name
    return None


def _common_end(one: str, other: str) -> list[str]:
    common: list[str] = []
    for ours, theirs in zip(reversed(one.split(".")), reversed(other.split(".")), strict=False):
        if ours != theirs:
            break
        common.append(ours)
    return common


def _names(checkpoint: Checkpoint) -> Iterator[tuple[str, Path]]:
    from safetensors import safe_open

    for file in checkpoint.weight_files:
        with safe_open(file, "pt") as opened:
            for name in opened.keys():  # noqa: SIM118 - it is no mapping
                yield name, file


def _shape(file: Path, name: str) -> list[int]:
    from safetensors import safe_open

    with safe_open(file, "pt") as opened:
        return list(opened.get_slice(name).get_shape())


def _tensor(file: Path, name: str) -> Tensor:
    from safetensors import safe_open

    with safe_open(file, "pt") as opened:
        return opened.get_tensor(name)


def _scaled_lookup(table: Tensor, scale: float) -> nn.Module:
    """An embedding whose rows are multiplied in the table's number format, as scaled embeddings do it."""
    import torch

    class ScaledLookup(torch.nn.Embedding):
        """A frozen table times a factor."""

        def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - torch's name
            rows = super().forward(input)
            return rows if scale == 1 else rows * torch.tensor(scale, dtype=rows.dtype, device=rows.device)

    return ScaledLookup.from_pretrained(table, freeze=True)
