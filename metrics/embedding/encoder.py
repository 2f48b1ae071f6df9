"""A local encoder: found by folder or hub id; texts in, token and sentence embeddings out, each text at most once."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from telbench.errors import InputError, missing_extra

from ..contract import Resources
from ..fingerprints import cache_folder
from .folder import folder_sha256, local_folder, readable, unusable, window_of
from .store import Embedded, EmbeddingStore

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# Tokens a batch, padding included: more do not fit a processor's caches.
BATCH_TOKENS = 2048
BATCH = 64
# What a text is to an encoder that was trained with a prompt for each: most have none, and read all texts alike.
Role = Literal["text", "query", "document"]


def encoder_resources(place: str, layer: int | None = None) -> Resources:
    """Resources with the encoder that ``--encoder`` names; an id that is not cached gives the reason of its absence.

    Raises:
        InputError: when the place is a folder without an encoder, or neither a folder nor a hub id.
    """
    folder, absent = local_folder(place, "--encoder", "an encoder")
    return Resources(folder, layer) if folder else Resources(None, layer, absent=absent)


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
        self.sha256 = folder_sha256(folder)
        self.pooling = "sentence-transformers" if (folder / "modules.json").is_file() else "mean"
        self.prompts = _prompts(folder)
        # How many texts were encoded, that is, found neither in memory nor on disk.
        self.encoded = 0
        home = cache_folder() / "embeddings" / self.sha256
        self._tokens = EmbeddingStore(home / f"layer-{self.layer}")
        # The mean of the last layer comes with that layer's tokens; other sentence vectors are made by themselves.
        together = self.pooling == "mean" and self.layer == self.layers
        self._sentences = self._tokens if together else EmbeddingStore(home / "sentence")
        self._roles = {role: EmbeddingStore(home / f"sentence-{role}") for role in self.prompts}
        self._model: Any = None
        self._tokenizer: Any = None
        self._sentence_model: Any = None
        self._longest = 0

    def embed(
        self, texts: Sequence[str], *, keep: bool, sentences: bool = False, role: Role = "text"
    ) -> dict[str, Embedded]:
        """Embeddings of distinct texts, by text; texts beyond the encoder's length are cut (see `cut`).

        ``keep`` writes them to disk, for texts that other checkpoints are scored with too; ``sentences`` asks for
        sentence embeddings, which may come without tokens. Sentences of a ``role`` that the encoder has a prompt for
        are read with it.
        """
        role = role if sentences and role in self._roles else "text"
        store = self._roles.get(role, self._sentences if sentences else self._tokens)
        found = {text: store.get(text, on_disk=keep) for text in dict.fromkeys(texts)}
        fresh = [text for text, embedded in found.items() if embedded is None]
        known = {text: embedded for text, embedded in found.items() if embedded is not None}
        if not fresh:
            return known
        self.encoded += len(fresh)
        if store is self._tokens:
            made = self._token_vectors(fresh)
        else:
            made = self._mean_vectors(fresh) if self.pooling == "mean" else self._sentence_vectors(fresh, role)
        store.put(made, on_disk=keep)
        return known | made

    def token_ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Vocabulary ids of each text as the encoder reads it: special tokens included, cut to its length."""
        self._load()
        plain = [readable(text) for text in texts]
        return self._tokenizer(plain, truncation=True, max_length=self._longest, return_attention_mask=False)[
            "input_ids"
        ]

    def cut(self, texts: Sequence[str], *, sentences: bool = False) -> frozenset[str]:
        """Those of the texts that are longer than what the encoder reads of them; only long ones are tokenised."""
        window = _sentence_window(self.folder) if sentences else None
        known = window or self._window()
        # A token has a byte or more.
        long = [text for text in dict.fromkeys(texts) if len(text.encode("utf-8", "replace")) + 2 > known]
        if not long:
            return frozenset()
        self._load()
        ids = self._tokenizer([readable(text) for text in long], truncation=False, verbose=False)["input_ids"]
        longest = min(window or self._longest, self._longest)
        return frozenset(text for text, each in zip(long, ids, strict=True) if len(each) > longest)

    def _window(self) -> int:
        """What the encoder reads, or less, without its weights where the configuration tells it."""
        if self._model is not None:
            return self._longest
        try:
            places = json.loads((self.folder / "config.json").read_text("utf-8")).get("max_position_embeddings")
            named = json.loads((self.folder / "tokenizer_config.json").read_text("utf-8")).get("model_max_length")
            # Up to four positions are no tokens' (RoBERTa counts from the one after padding).
            return min(int(each) for each in (places, named) if each) - 4
        except (OSError, ValueError, TypeError, AttributeError):
            self._load()
            return self._longest

    def reading(self, texts: Sequence[str]) -> dict[str, float]:
        """How the tokenizer reads texts: tokens a word, share of unknown tokens, share of texts cut at the window."""
        self._load()
        plain = [readable(text) for text in texts]
        ids = self._tokenizer(plain, truncation=False, add_special_tokens=True, verbose=False)["input_ids"]
        tokens, words = sum(map(len, ids)), sum(len(text.split()) for text in plain)
        marks = self._tokenizer.num_special_tokens_to_add() * len(ids)
        unknown = sum(each.count(self._tokenizer.unk_token_id) for each in ids)
        return {
            "tokens_per_word": (tokens - marks) / max(1, words),
            "unknown": unknown / max(1, tokens - marks),
            "cut": sum(len(each) > self._longest for each in ids) / max(1, len(ids)),
            "window": float(self._longest),
        }

    def _token_vectors(self, texts: Sequence[str]) -> dict[str, Embedded]:
        import numpy as np

        token_ids = self.token_ids(texts)
        uncounted = [self._tokenizer.cls_token_id, self._tokenizer.sep_token_id]
        nothing = np.zeros(0, np.float32)
        return {
            texts[index]: Embedded(
                tokens=_unit(hidden),
                ids=np.asarray(token_ids[index], np.int64),
                counted=np.asarray([token not in uncounted for token in token_ids[index]], np.float32),
                sentence=_unit(_mean_vector(hidden)) if self._sentences is self._tokens else nothing,
            )
            for index, hidden in self._hidden_states(token_ids, self.layer)
        }

    def _mean_vectors(self, texts: Sequence[str]) -> dict[str, Embedded]:
        states = self._hidden_states(self.token_ids(texts), self.layers)
        return {texts[index]: _sentence_only(_unit(_mean_vector(hidden))) for index, hidden in states}

    def _hidden_states(
        self, token_ids: Sequence[Sequence[int]], layer: int
    ) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """(index, hidden states (T, d) of that layer) of each text, the shortest first: a batch has little padding."""
        import numpy as np
        import torch

        order = sorted(range(len(token_ids)), key=lambda index: len(token_ids[index]))
        width = int(self._model.config.hidden_size)
        empty = sum(not ids for ids in token_ids)
        yield from ((index, np.zeros((0, width), np.float32)) for index in order[:empty])
        start = empty
        while start < len(order):
            # All are as long as the last: as many as fit the budget, judged by the first, then cut by the last.
            stop = start + max(1, BATCH_TOKENS // len(token_ids[order[start]]))
            stop = start + max(1, BATCH_TOKENS // len(token_ids[order[min(stop, len(order)) - 1]]))
            batch = order[start:stop]
            with torch.inference_mode():
                states = self._forward([token_ids[index] for index in batch], layer)
            yield from ((index, states[row, : len(token_ids[index])]) for row, index in enumerate(batch))
            start = stop

    def _forward(self, token_ids: Sequence[Sequence[int]], layer: int) -> NDArray[np.float32]:
        """Hidden states of a layer, shape (texts, longest, d)."""
        import torch

        longest = max(map(len, token_ids))
        padding = self._tokenizer.pad_token_id or 0
        padded = torch.tensor([[*ids, *[padding] * (longest - len(ids))] for ids in token_ids])
        mask = torch.tensor([[1] * len(ids) + [0] * (longest - len(ids)) for ids in token_ids])
        device = self._model.device
        with _without_layers_above(self._model, layer, self.layers) as top:
            out = self._model(padded.to(device), attention_mask=mask.to(device), output_hidden_states=layer != top)
        states = out.last_hidden_state if layer == top else out.hidden_states[layer]
        return states.float().cpu().numpy()

    def _sentence_vectors(self, texts: Sequence[str], role: Role = "text") -> dict[str, Embedded]:
        import numpy as np

        if self._sentence_model is None:
            try:
                from sentence_transformers import SentenceTransformer
            except ImportError as error:
                raise missing_extra("sentence-transformers", "embed", "this encoder") from error
            try:
                self._sentence_model = SentenceTransformer(str(self.folder), local_files_only=True)
            except Exception as error:
                raise unusable("encoder", self.folder, error) from error
        plain = [readable(text) for text in texts]
        model = self._sentence_model
        encode = {"query": model.encode_query, "document": model.encode_document}.get(role, model.encode)
        vectors = np.asarray(encode(plain, batch_size=BATCH, show_progress_bar=False))
        return {
            text: _sentence_only(_unit(vector.astype(np.float32))) for text, vector in zip(texts, vectors, strict=True)
        }

    def _load(self) -> None:
        if self._model is not None:
            return
        try:
            import torch
            from transformers import AutoModel, AutoTokenizer
        except ImportError as error:
            raise missing_extra("transformers", "embed", "--encoder") from error
        try:
            self._tokenizer = AutoTokenizer.from_pretrained(self.folder, local_files_only=True)
            model = AutoModel.from_pretrained(
                self.folder, local_files_only=True, use_safetensors=True, dtype=torch.float32
            )
        except Exception as error:
            raise unusable("encoder", self.folder, error) from error
        if model.config.is_encoder_decoder:
            model = model.get_encoder()
        self._model = model.eval().to("cuda" if torch.cuda.is_available() else "cpu")
        self._longest = window_of(self._model, self._tokenizer)


def _prompts(folder: Path) -> tuple[Role, ...]:
    """The roles that a sentence-transformers model was given a prompt for; without one all texts are read alike."""
    try:
        prompts = json.loads((folder / "config_sentence_transformers.json").read_text("utf-8")).get("prompts") or {}
        if not any(prompts.get(name) for name in ("query", "document", "passage")):
            return ()
    except (OSError, ValueError, AttributeError, RecursionError):
        return ()
    return ("query", "document") if (folder / "modules.json").is_file() else ()


def _sentence_window(folder: Path) -> int | None:
    """Tokens that a sentence-transformers model reads of a text, special ones included; None where it does not say."""
    try:
        found = json.loads((folder / "sentence_bert_config.json").read_text("utf-8")).get("max_seq_length")
        return int(found) if found else None
    except (OSError, ValueError, TypeError, AttributeError, RecursionError):
        return None


@contextlib.contextmanager
def _without_layers_above(model: Any, layer: int, layers: int) -> Iterator[int]:
    """Take off what is not needed meanwhile, where the layers stand as in BERT and RoBERTa; yields the top layer."""
    stack: Any = getattr(getattr(model, "encoder", None), "layer", None)
    if layer == layers or type(stack).__name__ != "ModuleList" or len(stack) != layers:
        yield layers
        return
    model.encoder.layer = stack[:layer]
    try:
        yield layer
    finally:
        model.encoder.layer = stack


def _sentence_only(vector: NDArray[np.float32]) -> Embedded:
    import numpy as np

    nothing = np.zeros(0, np.float32)
    return Embedded(nothing.reshape(0, len(vector)), nothing.astype(np.int64), nothing, vector)


def _mean_vector(hidden: NDArray[np.float32]) -> NDArray[np.float32]:
    import numpy as np

    return hidden.mean(axis=0) if len(hidden) else np.zeros(hidden.shape[1], np.float32)


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    import numpy as np

    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return (vectors / np.where(lengths > 0, lengths, 1)).astype(np.float32)
