"""What text each token of a vocabulary stands for, by the tokenizer's own decoder.

GPT-2's vocabularies spell bytes by letters (``Ġ`` is a space), SentencePiece's spell a space ``▁`` and rare bytes
``<0xNN>``, WordPiece's mark what goes on within a word by ``##``. Tokens alone do not tell which it is: Gemma's have
``Ġ`` and ``Ċ`` too, as the letters that they are.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any


@dataclass(frozen=True)
class Spelling:
    """How a vocabulary spells text.

    Args:
        bytewise: every letter stands for a byte, as in GPT-2.
        byte_tokens: ``<0xNN>`` is a byte.
        space: what stands for a space, or nothing.
        inner: what begins tokens that go on within a word; others then begin with a space.
        end: what ends tokens that end a word, and stands for the space behind it.
        literal: added tokens, which are the text that they are, bytes apart.
    """

    bytewise: bool = False
    byte_tokens: bool = False
    space: str = ""
    inner: str = ""
    end: str = ""
    literal: frozenset[str] = frozenset()

    @property
    def told(self) -> str:
        """In words."""
        if self.bytewise:
            return "bytes by letters (Ġ is a space)"
        ways = [f"{self.space} is a space"] if self.space else []
        ways += ["<0xNN> is a byte"] if self.byte_tokens else []
        ways += [f"{self.inner} goes on in a word"] if self.inner else []
        ways += [f"{self.end} ends a word"] if self.end else []
        return "pieces" + (f" ({', '.join(ways)})" if ways else "")


def spelling_of(tokenizer: Any) -> Spelling:
    """How this tokenizer's vocabulary spells text: its decoder says so; without one, its tokens are asked."""
    literal = frozenset(getattr(tokenizer, "get_added_vocab", dict)())
    steps = list(_steps(_decoder(tokenizer)))
    if not steps:
        guess = spelling_by_tokens(tokenizer.get_vocab())
        return Spelling(guess.bytewise, guess.byte_tokens, guess.space, literal=literal)
    kinds = {step.get("type") for step in steps}
    space = inner = end = ""
    for step in steps:
        if step.get("type") == "Replace" and step.get("content") == " ":
            space = space or step.get("pattern", {}).get("String", "")
        elif step.get("type") == "Metaspace":
            space = step.get("replacement", "\u2581")
        elif step.get("type") == "WordPiece":
            inner = step.get("prefix", "##")
        elif step.get("type") == "BPEDecoder":
            end = step.get("suffix", "</w>")
    return Spelling("ByteLevel" in kinds, "ByteFallback" in kinds, space, inner, end, literal)


def spelling_by_tokens(vocabulary: Mapping[str, int]) -> Spelling:
    """The likeliest by the tokens alone: bytes where both the space's and the line feed's letter are tokens."""
    if "Ġ" in vocabulary and "Ċ" in vocabulary:
        return Spelling(bytewise=True)
    return Spelling(byte_tokens=True, space="\u2581")


def ids_by_text(vocabulary: Mapping[str, int], spelling: Spelling) -> dict[bytes, int]:
    """The id of each text that a token of the vocabulary stands for."""
    texts: dict[bytes, int] = {}
    # Where a byte token and an ordinary one stand for the same text, the ordinary one is what tokenizing gives.
    for token, index in sorted(vocabulary.items(), key=lambda pair: (_is_byte(pair[0]), pair[1])):
        texts.setdefault(text_of(token, spelling), index)
    return texts


def text_of(token: str, spelling: Spelling) -> bytes:
    r"""The bytes that a token stands for in the middle of a text.

    >>> pieces = Spelling(byte_tokens=True, space="▁")
    >>> text_of("ĠµĊ", Spelling(bytewise=True)) == b" \xb5\n", text_of("▁Ġ", pieces).decode(), text_of("<0x0A>", pieces)
    (True, ' Ġ', b'\n')
    >>> [text_of(token, Spelling(inner="##")) for token in ("mod", "##em")]
    [b' mod', b'em']
    """
    if spelling.byte_tokens and _is_byte(token):
        return bytes([int(token[3:5], 16)])
    if token not in spelling.literal:
        alphabet = _byte_alphabet()
        if spelling.bytewise and all(character in alphabet for character in token):
            return bytes(alphabet[character] for character in token)
        if spelling.space:
            token = token.replace(spelling.space, " ")
        if spelling.inner:
            token = token.removeprefix(spelling.inner) if token.startswith(spelling.inner) else " " + token
        if spelling.end and token.endswith(spelling.end):
            token = token.removesuffix(spelling.end) + " "
    return token.encode("utf-8", "surrogatepass")


def _decoder(tokenizer: Any) -> dict[str, Any]:
    """The decoder as ``tokenizer.json`` has it; empty where there is none."""
    decoder = getattr(getattr(tokenizer, "backend_tokenizer", None), "decoder", None)
    # Asked of the decoder alone: the whole tokenizer as text is tens of megabytes.
    return {} if decoder is None else json.loads(decoder.__getstate__())


def _steps(decoder: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if decoder.get("type") == "Sequence":
        for part in decoder.get("decoders", ()):
            yield from _steps(part)
    elif decoder:
        yield decoder


@cache
def _byte_alphabet() -> dict[str, int]:
    """Character to byte of byte-level vocabularies: printable Latin-1 stands for itself, the rest from U+0100 on."""
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(0x100 + k): byte for k, byte in enumerate(others)}


def _is_byte(token: str) -> bool:
    return len(token) == 6 and token.startswith("<0x") and token.endswith(">") and _is_hex(token[3:5])


def _is_hex(text: str) -> bool:
    return all(character in "0123456789ABCDEFabcdef" for character in text)
