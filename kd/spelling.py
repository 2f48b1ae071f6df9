"""What text a token stands for, however its vocabulary spells it: byte-level (GPT-2) or SentencePiece."""

from __future__ import annotations

from collections.abc import Mapping


def _byte_alphabet() -> dict[str, int]:
    """Character to byte of byte-level vocabularies: printable Latin-1 stands for itself, the rest from U+0100 on."""
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(0x100 + k): byte for k, byte in enumerate(others)}


_BYTES = _byte_alphabet()


def ids_by_text(vocabulary: Mapping[str, int]) -> dict[bytes, int]:
    """The id of each text that a token of the vocabulary stands for."""
    bytewise = byte_level(vocabulary)
    texts: dict[bytes, int] = {}
    # Where a byte token and an ordinary one stand for the same text, the ordinary one is what tokenizing gives.
    for token, index in sorted(vocabulary.items(), key=lambda pair: (_is_byte(pair[0]), pair[1])):
        texts.setdefault(text_of(token, bytewise), index)
    return texts


def text_of(token: str, bytewise: bool) -> bytes:
    r"""The bytes that a token stands for, by how its vocabulary spells text.

    >>> text_of("ĠµĊ", True) == b" \xb5\n", text_of("▁µ", False) == " µ".encode(), text_of("<0x0A>", False)
    (True, True, b'\n')
    """
    if bytewise:
        if all(character in _BYTES for character in token):
            return bytes(_BYTES[character] for character in token)
    elif _is_byte(token):
        return bytes([int(token[3:5], 16)])
    return (token if bytewise else token.replace("\u2581", " ")).encode("utf-8", "surrogatepass")


def byte_level(vocabulary: Mapping[str, int]) -> bool:
    """Does the vocabulary spell bytes as GPT-2 does: is there a token for the space and one for the line feed?"""
    return "Ġ" in vocabulary and "Ċ" in vocabulary


def _is_byte(token: str) -> bool:
    return len(token) == 6 and token.startswith("<0x") and token.endswith(">") and _is_hex(token[3:5])


def _is_hex(text: str) -> bool:
    return all(character in "0123456789ABCDEFabcdef" for character in text)
