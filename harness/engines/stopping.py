"""One answer as its tokens come: text decoded piece by piece, ended by an end token or a stop string."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from ..tokenizing import special_tokens
from .contract import FinishReason


class GrowingAnswer:
    """Tokens and text of one completion, by the rules of vLLM, so that both local engines give the same.

    The ending token counts but is not decoded; special tokens are left out, or those of ``hidden`` alone; a stop string
    ends the answer with the token that completes it, and the text just before it; of a character cut off in the
    middle nothing is shown.
    """

    def __init__(
        self,
        tokenizer: Any,
        prompt: Sequence[int],
        ends: frozenset[int],
        stops: Sequence[str],
        hidden: frozenset[int] | None = None,
    ) -> None:
        self.tokens: list[int] = []
        self.text = ""
        self.finish_reason: FinishReason = "length"
        self._tokenizer = tokenizer
        self._ends = ends
        self._stops = stops
        self._hidden = hidden
        self._shown: list[int] = []
        before = prompt if hidden is None else [token for token in prompt if token not in hidden]
        self._stream = self._stream_after(before) if tokenizer.is_fast else None

    @property
    def ended(self) -> bool:
        """Has an end token or a stop string come?"""
        return self.finish_reason == "stop"

    def push(self, token: int) -> None:
        """Take the next token; one after the end is no part of the answer."""
        if self.ended:
            return
        self.tokens.append(token)
        if token in self._ends:
            self.finish_reason = "stop"
            return
        if self._hidden is not None and token in self._hidden:
            return
        before = len(self.text)
        self._decode(token)
        if self._stops and len(self.text) > before:
            self._cut(before)

    def _decode(self, token: int) -> None:
        if self._stream is None:
            self._shown.append(token)
            text = self._tokenizer.decode(self._shown, skip_special_tokens=self._hidden is None)
            self.text = text.rstrip("\ufffd") if text.endswith("\ufffd") else text
            return
        backend = self._tokenizer.backend_tokenizer
        try:
            self.text += self._stream.step(backend, token) or ""
        except Exception as error:
            # Bytes that never become a character derail the stream; it starts again at this token, as vLLM's does.
            if not str(error).startswith("Invalid prefix"):
                raise
            self._stream = self._stream_after(())
            self.text += self._stream.step(backend, token) or ""

    def _cut(self, before: int) -> None:
        """Cut at the stop string that is complete first; only those that the last token completed are new."""
        found = [
            (index + len(stop), order, index)
            for order, stop in enumerate(self._stops)
            if (index := self.text.find(stop, max(0, before + 1 - len(stop)))) >= 0
        ]
        if found:
            self.text = self.text[: min(found)[2]]
            self.finish_reason = "stop"

    def _stream_after(self, tokens: Sequence[int]) -> Any:
        from tokenizers.decoders import DecodeStream

        return DecodeStream(ids=list(tokens), skip_special_tokens=self._hidden is None)


def hidden_tokens(tokenizer: Any, marks: Collection[str]) -> frozenset[int] | None:
    """The special tokens that no text shows, where these ``marks`` stay; None where there are none to stay."""
    if not marks:
        return None
    return frozenset(token for token, text in special_tokens(tokenizer).items() if text not in marks)
