"""A local encoder: texts in, token and sentence embeddings out, each text at most once."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...judges.errors import InputError
from ..base import fingerprint
from ..content import cache_folder, file_sha256
from .store import Embedded, EmbeddingStore

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

BATCH = 64
# Where neither tokenizer nor configuration says how much the encoder can read.
_FALLBACK_LENGTH = 512
_PARTS = frozenset({".json", ".txt", ".model", ".safetensors"})


@lru_cache(maxsize=4)
def open_encoder(folder: Path, layer: int | None = None) -> TextEncoder:
    """The encoder of a folder, one for all metrics that use it; its weights are read at the first text.

    Raises:
        InputError: when the folder holds no usable encoder or the encoder has no such layer.
    """
    return TextEncoder(folder, layer)


class TextEncoder:
    """An encoder with its embeddings; ``sha256`` is the hash of all its files, ``layers`` how many it has."""

    def __init__(self, folder: Path, layer: int | None = None) -> None:
        self.folder = folder
        try:
            config = json.loads((folder / "config.json").read_text("utf-8"))
            layers = next(config[key] for key in ("num_hidden_layers", "n_layers", "num_layers") if key in config)
            self.layers = int(layers)
        except (OSError, ValueError, TypeError, RecursionError, StopIteration) as error:
            raise InputError(
                f"{folder / 'config.json'} describes no encoder with layers: give another folder"
            ) from error
        if not any(folder.glob("*.safetensors")):
            raise InputError(f"{folder}: no *.safetensors: save the encoder's weights in that format")
        if layer is not None and not 0 <= layer <= self.layers:
            raise InputError(f"layer {layer}: the encoder {folder} has layers 0 to {self.layers}")
        self.layer = self.layers if layer is None else layer
        files = sorted(path for path in folder.rglob("*") if path.suffix in _PARTS and path.is_file())
        self.sha256 = fingerprint([[str(path.relative_to(folder)), file_sha256(path)] for path in files])
        self.pooling = "sentence-transformers" if (folder / "modules.json").is_file() else "mean"
        self.encoded = 0
        home = cache_folder() / "embeddings" / self.sha256
        self._tokens = EmbeddingStore(home / f"layer-{self.layer}")
        self._sentences = EmbeddingStore(home / "sentence") if self.pooling != "mean" else self._tokens
        self._model: Any = None
        self._tokenizer: Any = None
        self._sentence_model: Any = None
        self._longest = 0

    def embed(self, texts: Sequence[str], *, keep: bool, sentences: bool = False) -> dict[str, Embedded]:
        """Embeddings of distinct texts, by text; texts beyond the encoder's length are cut.

        ``keep`` writes them to disk, for texts that other checkpoints are scored with too; ``sentences`` asks for
        sentence embeddings, which a sentence-transformers model computes in its own way, without tokens.
        """
        store = self._sentences if sentences else self._tokens
        found = {text: store.get(text, on_disk=keep) for text in dict.fromkeys(texts)}
        fresh = [text for text, embedded in found.items() if embedded is None]
        known = {text: embedded for text, embedded in found.items() if embedded is not None}
        if not fresh:
            return known
        self.encoded += len(fresh)
        made = self._sentence_vectors(fresh) if store is not self._tokens else self._token_vectors(fresh)
        for text, embedded in made.items():
            store.put(text, embedded, on_disk=keep)
        return known | made

    def _token_vectors(self, texts: Sequence[str]) -> dict[str, Embedded]:
        import numpy as np
        import torch

        if self._model is None:
            self._load()
        model: Any = self._model
        readable = [_readable(text) for text in texts]
        ids = self._tokenizer(readable, truncation=True, max_length=self._longest, return_attention_mask=False)
        token_ids: list[list[int]] = ids["input_ids"]
        uncounted = [self._tokenizer.cls_token_id, self._tokenizer.sep_token_id]
        order = sorted(range(len(texts)), key=lambda index: len(token_ids[index]))
        made: dict[str, Embedded] = {}
        width = int(model.config.hidden_size)
        for start in range(0, len(order), BATCH):
            batch = [index for index in order[start : start + BATCH] if token_ids[index]]
            for index in set(order[start : start + BATCH]).difference(batch):
                made[texts[index]] = _embedded(
                    np.zeros((0, width), np.float32), np.zeros((0, width), np.float32), [], []
                )
            if not batch:
                continue
            with torch.inference_mode():
                hidden, last = self._forward([token_ids[index] for index in batch])
            for row, index in enumerate(batch):
                length = len(token_ids[index])
                made[texts[index]] = _embedded(hidden[row, :length], last[row, :length], token_ids[index], uncounted)
        return made

    def _forward(self, token_ids: Sequence[Sequence[int]]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Hidden states of the chosen and of the last layer, each of shape (texts, longest, d)."""
        import torch

        longest = max(map(len, token_ids))
        padding = self._tokenizer.pad_token_id or 0
        padded = torch.tensor([[*ids, *[padding] * (longest - len(ids))] for ids in token_ids])
        mask = torch.tensor([[1] * len(ids) + [0] * (longest - len(ids)) for ids in token_ids])
        device = self._model.device
        inner = self.layer != self.layers
        out = self._model(padded.to(device), attention_mask=mask.to(device), output_hidden_states=inner)
        last = out.last_hidden_state.float().cpu().numpy()
        return (out.hidden_states[self.layer].float().cpu().numpy() if inner else last), last

    def _sentence_vectors(self, texts: Sequence[str]) -> dict[str, Embedded]:
        import numpy as np

        if self._sentence_model is None:
            try:
                from sentence_transformers import SentenceTransformer
            except ImportError as error:
                raise InputError("this encoder needs sentence-transformers: pip install 'telbench[embed]'") from error
            try:
                self._sentence_model = SentenceTransformer(str(self.folder), local_files_only=True)
            except Exception as error:
                raise _unusable(self.folder, error) from error
        readable = [_readable(text) for text in texts]
        vectors = np.asarray(self._sentence_model.encode(readable, batch_size=BATCH, show_progress_bar=False))
        return {
            text: _embedded(np.zeros((0, len(vector)), np.float32), vector[None].astype(np.float32), [], [])
            for text, vector in zip(texts, vectors, strict=True)
        }

    def _load(self) -> None:
        try:
            import torch
            from transformers import AutoModel, AutoTokenizer
        except ImportError as error:
            raise InputError("--encoder needs transformers and torch: pip install 'telbench[embed]'") from error
        try:
            self._tokenizer = AutoTokenizer.from_pretrained(self.folder, local_files_only=True)
            model = AutoModel.from_pretrained(
                self.folder, local_files_only=True, use_safetensors=True, dtype=torch.float32
            )
        except Exception as error:
            raise _unusable(self.folder, error) from error
        if model.config.is_encoder_decoder:
            model = model.get_encoder()
        self._model = model.eval().to("cuda" if torch.cuda.is_available() else "cpu")
        self._longest = _longest(self._model, self._tokenizer)


def _longest(model: Any, tokenizer: Any) -> int:
    """Tokens that the encoder can read, special ones included."""
    limits = [tokenizer.model_max_length, getattr(model.config, "max_position_embeddings", None)]
    positions = getattr(getattr(model, "embeddings", None), "position_embeddings", None)
    # RoBERTa and its kin count positions from the one after padding.
    if (padding := getattr(positions, "padding_idx", None)) is not None and positions is not None:
        limits.append(positions.num_embeddings - padding - 1)
    # Tokenizers without a limit say 10^30.
    known = [int(limit) for limit in limits if limit and 0 < limit < 1 << 24]
    return min(known, default=_FALLBACK_LENGTH)


def _embedded(
    tokens: NDArray[np.float32], last: NDArray[np.float32], ids: Sequence[int], uncounted: Sequence[int | None]
) -> Embedded:
    import numpy as np

    mean = last.mean(axis=0) if len(last) else np.zeros(last.shape[1], np.float32)
    return Embedded(
        tokens=np.ascontiguousarray(_unit(tokens)),
        ids=np.asarray(ids, np.int64),
        counted=np.asarray([token not in uncounted for token in ids], np.float32),
        sentence=_unit(mean),
    )


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    import numpy as np

    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return (vectors / np.where(lengths > 0, lengths, 1)).astype(np.float32)


def _readable(text: str) -> str:
    """The text as tokenizers take it: without outer white space, lone surrogates replaced."""
    return text.strip().encode("utf-8", "replace").decode("utf-8")


def _unusable(folder: Path, error: Exception) -> InputError:
    line = next(iter(str(error).strip().splitlines()), "")
    return InputError(f"the encoder {folder} cannot be loaded: {type(error).__name__}: {line[:300]}: save it again")
