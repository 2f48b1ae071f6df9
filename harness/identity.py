"""What a run depends on, as hashes: weights, configuration, tokenizer, chat template, prompts, engine."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from ..metrics.fingerprints import cache_folder, file_sha256, fingerprint, text_sha256
from .adapter import ADAPTER_CONFIG, ADAPTER_WEIGHTS, adapter_config
from .checkpoint import Checkpoint, check_safetensors
from .formats import parameters

__all__ = ["ModelIdentity", "cache_folder", "file_sha256", "identify_checkpoint", "text_sha256"]

TOKENIZER_PARTS = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "tokenizer.model",
    "spiece.model",
    "tekken.json",
)
CONFIG_PARTS = ("config.json", "generation_config.json")
# What an adapter's configuration says of the place of its base.
BASE_NAMES = ("base_model_name_or_path", "revision")


@dataclass(frozen=True)
class ModelIdentity:
    """Content hashes (SHA-256) of a checkpoint; equal hashes mean equal answers to equal prompts."""

    weights_sha256: str
    config_sha256: str
    tokenizer_sha256: str
    chat_template_sha256: str | None
    parameters: int | None

    @property
    def sha256(self) -> str:
        """One hash over all."""
        return fingerprint(asdict(self))


def identify_checkpoint(checkpoint: Checkpoint, chat_template: str | None) -> ModelIdentity:
    """Hash a checkpoint's contents; hashes of large files are remembered, so a second run reads nothing.

    All safetensors of the folder count, those the index does not name too: libraries differ in which they prefer.

    Raises:
        InputError: when a file cannot be read.
    """
    files = sorted({*checkpoint.weight_files, *checkpoint.path.glob("*.safetensors")})
    own = [] if checkpoint.adapter is None else [checkpoint.adapter / ADAPTER_WEIGHTS]
    weights = [[file.name, file_sha256(file)] for file in (*files, *own)]
    custom_code = sorted(checkpoint.path.rglob("*.py")) if checkpoint.trust_remote_code else []
    parts = [checkpoint.path / name for name in CONFIG_PARTS] + custom_code
    config, base = _hashes(parts), parameters(checkpoint)
    if checkpoint.adapter is not None:
        config.append([ADAPTER_CONFIG, _adapter_sha256(checkpoint.adapter)])
    return ModelIdentity(
        weights_sha256=fingerprint(weights),
        config_sha256=fingerprint(config),
        tokenizer_sha256=identify_tokenizer(checkpoint),
        chat_template_sha256=None if chat_template is None else text_sha256(chat_template),
        parameters=None if base is None else base + sum(check_safetensors(file) for file in own),
    )


def identify_tokenizer(checkpoint: Checkpoint) -> str:
    """Hash of the files that make a checkpoint's tokenizer. Raises `InputError` when one cannot be read."""
    return fingerprint(_hashes(checkpoint.tokenizer_path / name for name in TOKENIZER_PARTS))


def _adapter_sha256(adapter: Path) -> str:
    """Of what the adapter computes; where its base lies is no part of it, as the base's own hash is there."""
    config = adapter_config(adapter)
    return fingerprint({name: value for name, value in config.items() if name not in BASE_NAMES})


def _hashes(paths: Iterable[Path]) -> list[list[str]]:
    return [[path.name, file_sha256(path)] for path in paths if path.is_file()]
