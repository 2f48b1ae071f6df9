"""Prompts as plain text, without a chat template: what a base model goes on with."""

from __future__ import annotations

from collections.abc import Sequence

from ...metrics.fingerprints import fingerprint
from ..datasets.wording import whole_characters
from ..engines.contract import Continuation, Message

# What the plain template writes before an answer.
CUE = "\nAnswer:"


def plain_text(messages: Sequence[Message], cue: str = CUE) -> str:
    r"""The messages as blocks of text: each example's answer follows its question, as the reply is to do.

    >>> plain_text([{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Question: Why?"}])
    'Be brief.\n\nQuestion: Why?\nAnswer:'
    """
    blocks: list[str] = []
    for message in messages:
        if message["role"] == "assistant":
            blocks[-1] += f" {message['content']}"
        else:
            blocks.append(message["content"] + (cue if message["role"] == "user" else ""))
    return "\n\n".join(blocks)


def text_continuation(kind: str, prompt: str, answer: str) -> Continuation:
    """An answer after a prompt's text, with the space between them, for a server that cuts texts into tokens."""
    texts = (prompt, f" {whole_characters(answer)}")
    return Continuation(f"{kind}:{fingerprint(texts)}", (), 0, texts)
