"""The output head of a causal language model as plain tensors: hidden rows in, the model's own logits out."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

from telbench.errors import InputError

from ..batches import Batch
from .divergences import widened

if TYPE_CHECKING:
    import torch
    from torch import Tensor
    from transformers import PreTrainedModel

# What an architecture does to its logits after the head: multiply, divide, or cap · tanh(logits / cap). The same
# configuration key means different things in different families (Granite divides by what HyperCLOVA X multiplies by).
Change = Literal["times", "over", "cap"]
_GRANITE: tuple[str, Change] = ("logits_scaling", "over")
_COHERE: tuple[str, Change] = ("logit_scale", "times")
_GEMMA: tuple[str, Change] = ("final_logit_softcapping", "cap")
CHANGES: dict[str, tuple[str, Change]] = {
    **dict.fromkeys(("cohere", "cohere2", "cohere2_moe"), _COHERE),
    **dict.fromkeys(("gemma2", "gemma3_text", "gemma3n_text", "gemma4_text", "vaultgemma", "nanochat"), _GEMMA),
    **dict.fromkeys(("granite", "granite_swa", "granitemoe", "granitemoe_swa", "granitemoeshared"), _GRANITE),
    "granitemoehybrid": _GRANITE,
    "minicpm3": _GRANITE,
    "hyperclovax": ("logits_scaling", "times"),
    "falcon_h1": ("lm_head_multiplier", "times"),
    "recurrent_gemma": ("logits_soft_cap", "cap"),
}
KEYS = {key for key, _ in CHANGES.values()} | {"output_multiplier", "output_logit_soft_cap"}
PROBE_TOKENS = 4


@dataclass(frozen=True, eq=False)
class Head:
    """A linear map from hidden rows (n, d) to logits (n, V): ``weight`` (V, d), ``bias`` (V,) or none.

    Logits are multiplied by ``scale``, then capped: cap · tanh(logits / cap). ``exact``: its products keep float32
    operands where half precision is asked for. Rows that a projector made need that: they lie where the head's singular
    values are small, and rounding does not. ``fused``: closed forms of its losses are compiled.
    """

    weight: Tensor
    bias: Tensor | None = None
    scale: float = 1.0
    cap: float | None = None
    exact: bool = False
    fused: bool = False

    @property
    def size(self) -> int:
        """Columns of the logits."""
        return self.weight.shape[0]

    def detached(self) -> Head:
        """The same head, to which no gradient flows."""
        return replace(self, weight=self.weight.detach(), bias=None if self.bias is None else self.bias.detach())

    def first(self, columns: int) -> Head:
        """Only the first ``columns`` tokens: what lies beyond is padding that no tokenizer speaks of. Copies nothing.

        Raises:
            InputError: when the head has fewer.
        """
        if not 0 < columns <= self.size:
            raise InputError(f"the head has {self.size} rows, not {columns}: it belongs to another tokenizer")
        return replace(self, weight=self.weight[:columns], bias=None if self.bias is None else self.bias[:columns])

    def chosen(self, ids: Tensor) -> Head:
        """Only these tokens, in this order; the gradient flows back to their rows."""
        bias = None if self.bias is None else self.bias.index_select(0, ids)
        return replace(self, weight=self.weight.index_select(0, ids), bias=bias)

    def finish(self, products: Tensor) -> Tensor:
        """Logits from the bare products of hidden rows and weight."""
        logits = products if self.bias is None else products + widened(self.bias)
        if self.scale != 1:
            logits = logits * self.scale
        return logits if self.cap is None else self.cap * (logits / self.cap).tanh()

    def operands(self, hidden: Tensor) -> Operands:
        """Rows and weight as they are multiplied: in bfloat16 where autocast, asked here, wants it or both are; in
        float32 or wider else.
        """
        import torch

        kinds, device = {hidden.dtype, self.weight.dtype}, hidden.device.type
        asked = torch.is_autocast_enabled(device) and torch.get_autocast_dtype(device) == torch.bfloat16
        half = (asked or kinds == {torch.bfloat16}) and torch.float64 not in kinds
        if not (half and self.exact):
            return Operands(operand(hidden, half=half), operand(self.weight, half=half), self, half)
        if not _multiplies_halves(device):
            return Operands(widened(hidden), widened(self.weight), self, half=False)
        (rows, rest), (weight, least) = in_halves(hidden), in_halves(self.weight)
        # What the rests of both would add is below the last digits of the sum.
        states, weights = torch.cat([rows, rest, rows], -1), torch.cat([weight, weight, least], -1)
        return Operands(states, weights, self, half=True)

    def logits(self, hidden: Tensor) -> Tensor:
        """Logits (n, V) in float32 or wider: the products are summed in that type, not rounded to a half first."""
        mine = self.operands(hidden)
        return self.finish(product(mine.states, mine.weight.T))


@dataclass(frozen=True, eq=False)
class Operands:
    """The two factors of a head's products, in one type: rows (n, d), weight (V, d); ``half``: rounded to bfloat16.

    In exact products of bfloat16 both are three times as wide: their halves, as `in_halves` makes them, next to each
    other.
    """

    states: Tensor
    weight: Tensor
    head: Head
    half: bool

    def __len__(self) -> int:
        return len(self.states)

    @property
    def columns(self) -> int:
        """Columns of the logits."""
        return self.head.size

    def logits(self, rows: slice) -> Tensor:
        """Logits of these rows."""
        return self.head.finish(product(self.states[rows], self.weight.T))


def operand(values: Tensor, *, half: bool) -> Tensor:
    """The same numbers as a factor of `product`: rounded to bfloat16, or in float32 or wider.

    Where the device has no product of bfloat16 that is float32, the rounded numbers are float32 again.
    """
    import torch

    if not half:
        return widened(values)
    rounded = values.to(torch.bfloat16)
    return rounded if _multiplies_halves(values.device.type) else rounded.float()


def in_halves(values: Tensor) -> tuple[Tensor, Tensor]:
    """Two bfloat16 tensors whose sum is the values but for 2 to the power of -17 of each."""
    import torch

    first = values.to(torch.bfloat16)
    return first, (widened(values) - first).to(torch.bfloat16)


def product(left: Tensor, right: Tensor) -> Tensor:
    """Matrix product, in float32 or wider and summed so, of two operands of one type; whatever autocast says."""
    import torch

    with torch.autocast(left.device.type, enabled=False):
        return torch.mm(left, right, out_dtype=torch.float32) if left.dtype == torch.bfloat16 else left @ right


@contextlib.contextmanager
def exactly(device: torch.device) -> Iterator[None]:
    """Products of float32 numbers are those of float32 meanwhile: neither autocast nor TF32 rounds what is multiplied.

    It holds for what is computed inside, not for gradients that are computed later.
    """
    import torch

    with torch.autocast(device.type, enabled=False):
        if device.type != "cuda":
            yield
            return
        before = torch.backends.cuda.matmul.allow_tf32
        torch.backends.cuda.matmul.allow_tf32 = False
        try:
            yield
        finally:
            torch.backends.cuda.matmul.allow_tf32 = before


@cache
def _multiplies_halves(device: str) -> bool:
    """Has this kind of device, by this torch, a float32 product of bfloat16 numbers? (CUDA has from torch 2.8 on.)"""
    import torch

    if device != "cuda":
        return False
    tiny = torch.ones(16, 16, dtype=torch.bfloat16, device=device)
    try:
        return product(tiny, tiny).dtype == torch.float32
    except (RuntimeError, TypeError):
        return False


def head_of(model: PreTrainedModel) -> Head:
    """The head of a causal language model, tied to its embedding or not; one short forward pass proves it right.

    Raises:
        InputError: when the model does something else between its last hidden state and its logits.
    """
    import torch

    module: Any = model.get_output_embeddings()
    kind = str(getattr(model.config, "model_type", type(model).__name__))
    # Adapters and quantised layers look like linear ones but are more than their weight.
    if (
        not isinstance(module, torch.nn.Linear)
        or hasattr(module, "base_layer")
        or not module.weight.is_floating_point()
    ):
        found = "no output head" if module is None else f"a {type(module).__name__} as its output head"
        raise InputError(f"model type {kind} has {found}: distillation needs a plain linear one")
    scale, cap = _changes(kind, model.config.get_text_config())
    head = Head(module.weight, module.bias, scale, cap)
    _prove(model, head, kind)
    return head


def decoder_of(model: PreTrainedModel) -> Any:
    """The model without its output head, whose ``last_hidden_state`` the head reads; LoRA layers stay in it."""
    whole: Any = model
    # What peft calls base_model still has the head.
    inner = whole.get_base_model() if hasattr(whole, "get_base_model") else whole
    return inner.base_model


def _changes(kind: str, config: Any) -> tuple[float, float | None]:
    """(scale, cap) by the configuration; a key that this architecture is not known to have is refused."""
    key, change = CHANGES.get(str(getattr(config, "model_type", kind)), (None, None))
    for other in sorted(KEYS - {key}):
        if getattr(config, other, None) not in {None, 1}:
            raise InputError(
                f"model type {kind} sets {other} = {getattr(config, other)}, and how it changes the logits is not "
                "known here: distil with another model"
            )
    value = None if key is None else getattr(config, key, None)
    if value is None:
        return 1.0, None
    if change == "cap":
        return 1.0, float(value)
    return float(value) if change == "times" else 1 / float(value), None


def _prove(model: PreTrainedModel, head: Head, kind: str) -> None:
    """Compare the head's logits with the model's own on a few tokens.

    Raises:
        InputError: when they differ by more than rounding.
    """
    import torch

    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            ids = torch.arange(1, PROBE_TOKENS + 1, device=head.weight.device)[None]
            hidden = decoder_of(model)(input_ids=ids, use_cache=False).last_hidden_state
            expected = model(input_ids=ids, use_cache=False).logits.float()
            found = head.logits(hidden[0]).float()[None]
    finally:
        model.train(training)
    # Half-precision models round their logits; a forgotten scale or cap is off by far more than that.
    tolerance = 1e-4 if head.weight.dtype in {torch.float32, torch.float64} else 3e-2
    if expected.shape != found.shape or not torch.allclose(expected, found, rtol=tolerance, atol=tolerance):
        raise InputError(
            f"model type {kind} changes its logits after the output head in a way that is not known here: "
            "distil with another model"
        )


def rows_of(decoder: Any, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
    """Last hidden states (n_labels, hidden), labels and inputs (n_labels,) of the positions that count.

    The decoder is called without its head, and the head later on these rows alone: prompts cost no logits. Padding
    stands on the right, where causal attention cannot see it from any position that counts, so no mask is passed.
    """
    hidden = decoder(input_ids=batch.inputs, use_cache=False).last_hidden_state
    every = (hidden.flatten(0, 1), batch.labels.flatten(), batch.inputs.flatten())
    rows, labels, inputs = (values.index_select(0, batch.counted) for values in every)
    return rows, labels, inputs
