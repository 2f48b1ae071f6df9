"""A checkpoint's tokenizer and chat template, tried before they are relied on: what is wrong is one line."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from telbench.errors import InputError, missing_extra

from .checkpoint import Checkpoint


def read_tokenizer(checkpoint: Checkpoint) -> Any:
    """The tokenizer of a checkpoint whose architecture transformers knows.

    Raises:
        InputError: where transformers is not installed, or cannot use configuration or tokenizer.
    """
    try:
        from transformers import AutoConfig
    except ImportError as error:
        raise missing_extra("transformers", "hf", "--model CHECKPOINT") from error
    try:
        AutoConfig.from_pretrained(
            checkpoint.path, trust_remote_code=checkpoint.trust_remote_code, local_files_only=True
        )
    except Exception as error:
        if f"model type `{checkpoint.model_type}`" in str(error):
            raise InputError(
                f"{checkpoint.path}: transformers {version('transformers')} does not know the architecture "
                f"'{checkpoint.model_type}': update transformers, or correct model_type in config.json"
            ) from error
        raise InputError(f"{checkpoint.path / 'config.json'} cannot be used: {first_line(error)}") from error
    try:
        tokenizer = load_tokenizer(checkpoint.tokenizer_path, trust_remote_code=checkpoint.trust_remote_code)
    except Exception as error:
        raise InputError(
            f"{checkpoint.tokenizer_path}: the tokenizer cannot be loaded: {first_line(error)}: copy the checkpoint's "
            "tokenizer files again"
        ) from error
    if not hasattr(tokenizer, "is_fast"):
        raise InputError(
            f"{checkpoint.tokenizer_path}: its tokenizer is one of mistral-common, which telbench does not read: take "
            "a checkpoint with tokenizer.json, or serve this one with vLLM and use --engine openai"
        )
    return tokenizer


def special_tokens(tokenizer: Any) -> dict[int, str]:
    """Id and text of the tokens that decoding leaves out where it is told to skip special ones."""
    return {token: added.content for token, added in tokenizer.added_tokens_decoder.items() if added.special}


def require_own_tokens(checkpoint: Checkpoint, highest: int) -> None:
    """Refuse token ids that the model has no embedding for: the tokenizer is another model's, or was extended.

    Raises:
        InputError: where ``highest`` is beyond the vocabulary that the configuration names.
    """
    size = checkpoint.vocabulary_size
    if size is not None and highest >= size:
        raise InputError(
            f"{checkpoint.path}: its tokenizer gives token {highest}, its config.json has vocab_size {size}: the "
            "tokenizer belongs to another checkpoint, or tokens were added without resizing the model"
        )


def first_line(error: Exception) -> str:
    """Kind and message of an error of transformers, without the advice that follows."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    # "Validation error for field 'hidden_size':" says what only in its next line.
    line = " ".join(lines[:2]) if lines and lines[0].endswith(":") else lines[0] if lines else "no message"
    return f"{type(error).__name__}: {line[:300]}"


def load_tokenizer(path: Any, *, trust_remote_code: bool = False) -> Any:
    """The checkpoint's tokenizer, from its folder only."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(path, trust_remote_code=trust_remote_code, local_files_only=True)
