"""Aligned tokens cover the same characters, whatever the text is written in and however tokens spell it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from telbench.errors import InputError
from telbench.kd.tiny.tokenizer import EOS, train_tokenizer
from telbench.kd.vocabulary.alignment import Tokens, align, spans_of, tokens_of, tokens_said, with_end

ENGLISH = ["What does the AMF do in the 5G core?\n", "It handles registration at 28 GHz.", "PFCP uses port 8805."] * 3
WORLD = ["delay ≥ 10 µs, 电信 📡 naïve e\u0301.", "The AMF does registration in the 5G core\n"] * 3
SMALL, LARGE = train_tokenizer(ENGLISH, 300, 64), train_tokenizer(WORLD, 380, 64)


def sentencepiece_like() -> Any:
    """Spaces as ▁ before words, what is unknown as <0xNN>: the way of Llama 2, made by hand."""
    from tokenizers import Tokenizer, decoders, models, normalizers
    from transformers import PreTrainedTokenizerFast

    pieces = ["▁delay", "▁", "≥", "▁10", "▁", "s", "▁AMF", "a", "b", "e", "x", "▁The"]
    names = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), *dict.fromkeys(pieces)]
    letters = {character for piece in pieces for character in piece}
    vocabulary = {name: index for index, name in enumerate(dict.fromkeys([*names, *sorted(letters)]))}
    merges = []
    for piece in dict.fromkeys(pieces):
        for end in range(2, len(piece) + 1):
            vocabulary.setdefault(piece[:end], len(vocabulary))
            merges.append((piece[: end - 1], piece[end - 1]))
    core = Tokenizer(models.BPE(vocabulary, list(dict.fromkeys(merges)), unk_token="<unk>", byte_fallback=True))
    core.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    core.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    return PreTrainedTokenizerFast(tokenizer_object=core, bos_token="<s>", eos_token="</s>", unk_token="<unk>")


PIECES = sentencepiece_like()


def aligned_texts(student: Any, teacher: Any, text: str, leads: tuple[str, str] = ("", "")) -> list[str]:
    ours, theirs = tokens_of(student, text, leads[0]), tokens_of(teacher, text, leads[1])
    found = align(ours, theirs)
    for row, other in found.pairs:
        assert ours.spans[row] == theirs.spans[other]
    return [text[max(0, ours.spans[row][0]) : ours.spans[row][1]] for row, _ in found.pairs]


def characters(text: str) -> Any:
    """One token a character: aligned to any token of one character, and to no other."""
    count = len(text)
    return Tokens(tuple(range(count)), tuple(text), tuple((k, k + 1) for k in range(count)), tuple(range(count)))


@pytest.mark.parametrize("tokenizer", [SMALL, LARGE, PIECES])
@pytest.mark.parametrize("text", ["delay ≥ 10 µs", "a\nb", "电信 📡 x", "e\u0301x", " The AMF", "", "  ", "👩🏽‍🚒"])
def test_a_tokenization_is_aligned_with_itself_token_by_token(tokenizer: Any, text: str) -> None:
    tokens = tokens_of(tokenizer, text)
    assert align(tokens, tokens).pairs == tuple((row, row) for row in range(len(tokens)))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # LARGE has learnt all four words whole, SMALL spells them letter by letter and byte by byte.
        ("delay ≥ 10 µs", []),
        ("x\nAMF", ["x", "\n", "AM", "F"]),
        # Four bytes against two tokens of an emoji, six against one of two signs: nothing to compare; then x again.
        ("📡 电信x", ["x"]),
        # The combining accent is two bytes in SMALL, a token of its own in LARGE.
        ("e\u0301x", ["e", "x"]),
    ],
)
def test_two_tokenizers_meet_only_where_a_token_of_each_covers_the_same_characters(
    text: str, expected: list[str]
) -> None:
    assert aligned_texts(SMALL, LARGE, text) == expected


def test_the_bytes_of_one_character_are_paired_one_to_one_where_both_spell_it_alike() -> None:
    other = train_tokenizer(["another text altogether"] * 3, 290, 64)
    one, two = tokens_of(SMALL, "x 信"), tokens_of(other, "x 信")
    assert one.names[-3:] == two.names[-3:] == ("ä", "¿", "¡")
    assert align(one, two).pairs[-3:] == tuple((len(one) - k, len(two) - k) for k in (3, 2, 1))


def test_a_token_without_a_partner_costs_no_later_one() -> None:
    text = "µs\n电 ab"
    byte_level, pieces = tokens_of(SMALL, text), tokens_of(PIECES, text)
    # SentencePiece writes the line feed <0x0A>, byte-level BPE Ċ; µ and 电 take several bytes on both sides, with
    # other names, so they are left out.
    assert "<0x0A>" in pieces.names
    assert "Ċ" in byte_level.names
    assert aligned_texts(SMALL, PIECES, text) == ["s", "\n", " ", "a", "b"]


def test_a_first_token_that_brings_a_space_is_paired_with_one_that_does_however_it_is_spelt() -> None:
    # SentencePiece puts a space before every text, byte-level tokenizers where the prompt's form does.
    assert tokens_of(PIECES, "10").spans == tokens_of(LARGE, "10", lead=" ").spans == ((-1, 2),)
    assert tokens_of(LARGE, "10").spans == ((0, 2),)
    assert aligned_texts(PIECES, LARGE, "10", ("", " ")) == ["10"]
    assert aligned_texts(PIECES, LARGE, "10", ("", "")) == []
    assert aligned_texts(LARGE, LARGE, "10 AMF", (" ", "")) == [" AMF"]
    # The text's own space is no lead.
    assert tokens_of(PIECES, " delay").spans[0][0] == tokens_of(LARGE, " delay").spans[0][0] == 0
    assert tokens_of(LARGE, "\u0120x").spans[0][0] == 0


def test_a_special_token_in_the_text_is_one_token_over_its_characters() -> None:
    found = aligned_texts(SMALL, LARGE, f"AMF{EOS} x")
    assert EOS in found


def test_a_one_token_answer_gives_one_row_and_its_end_another() -> None:
    one, other = tokens_of(LARGE, "10", lead=" "), tokens_of(PIECES, "10")
    pairs = align(one, other).pairs
    assert (len(one), len(other), pairs) == (1, 1, ((0, 0),))
    assert with_end(pairs, len(one), len(other)) == [(0, 0), (1, 1)]


def test_offsets_that_leave_out_the_space_before_a_word_are_closed_up() -> None:
    from tokenizers import processors

    trimming = train_tokenizer(WORLD, 380, 64)
    trimming.backend_tokenizer.post_processor = processors.ByteLevel(trim_offsets=True)
    text = "The AMF does  10"
    raw = trimming(text, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
    assert (4, 7) in raw
    assert tokens_of(trimming, text).spans == tokens_of(LARGE, text).spans


ALPHABET = st.sampled_from([*"ab AMFthe.\n", "µ", "≥", "电", "📡", "\u0301", "é", "registration", " 5G core", "\u200d"])


@settings(max_examples=200, deadline=None)
@given(
    st.lists(ALPHABET, max_size=14).map("".join), st.sampled_from([(SMALL, LARGE), (LARGE, PIECES), (PIECES, SMALL)])
)
# SentencePiece's own first space and the text's share a character with the word.
@example(" A", (PIECES, SMALL))
def test_alignment_is_symmetric_ascending_and_over_equal_characters(text: str, pair: tuple[Any, Any]) -> None:
    one, other = (tokens_of(tokenizer, text) for tokenizer in pair)
    there, back = align(one, other), align(other, one)
    assert there.pairs == tuple((row, partner) for partner, row in back.pairs)
    assert list(there.pairs) == sorted(there.pairs)
    assert all(one.spans[row] == other.spans[partner] for row, partner in there.pairs)
    assert len(there.pairs) <= min(len(one), len(other))
    for tokens in (one, other):
        # The spans tile the text.
        assert "".join(text[max(0, start) : end] for start, end in tokens.spans) == text
    single = align(characters(text), one)
    # Tokens that share a character end together, where the last of them does.
    ends = {group: end for group, (_, end) in zip(one.groups, one.spans, strict=True)}
    assert single.same_end == len({*ends.values()} - {0})


class Scripted:
    """A tokenizer that tells these offsets, whatever it is asked."""

    is_fast = True

    def __init__(self, *offsets: tuple[int, int]) -> None:
        self.offsets = offsets

    def __call__(self, text: str, **options: Any) -> dict[str, Any]:
        return {"input_ids": list(range(len(self.offsets))), "offset_mapping": list(self.offsets)}

    def convert_ids_to_tokens(self, ids: list[int]) -> list[str]:
        return [f"t{number}" for number in ids]


def test_a_token_without_characters_has_an_empty_span_and_costs_no_other_token_its_partner() -> None:
    plain, found = (tokens_of(Scripted(*offsets, (0, 3), (3, 5)), "abcde") for offsets in ((), ((0, 0),)))
    assert (found.spans, found.groups) == (((0, 0), (0, 3), (3, 5)), (0, 1, 2))
    assert align(plain, found).pairs == ((0, 1), (1, 2))
    # One that claims to begin before its neighbour ended is of one run with it, and stays where it stands.
    back = tokens_of(Scripted((0, 3), (0, 0), (3, 5)), "abcde")
    assert (back.spans, back.groups) == (((0, 3), (3, 3), (3, 5)), (0, 0, 1))
    assert align(plain, back).pairs == ((1, 2),)


def test_what_does_not_say_that_it_is_fast_is_taken_for_slow() -> None:
    with pytest.raises(InputError, match="object is a slow tokenizer"):
        tokens_of(object(), "a")


def test_a_slow_tokenizer_is_refused_in_one_line() -> None:
    class Slow:
        is_fast = False

    with pytest.raises(InputError, match="tells no character offsets"):
        tokens_of(Slow(), "a")


STANDS_FOR = {1: b"by", 2: b" by", 3: " µ".encode()[:2], 4: " µ".encode()[2:], 5: b" n78", 6: b"\xff"}


def said_by(ids: list[int], lead: str = "") -> tuple[str, Tokens]:
    return tokens_said(ids, [STANDS_FOR[index] for index in ids], [str(index) for index in ids], lead)


def test_what_a_model_said_has_the_spans_of_its_bytes_and_halves_of_a_character_belong_together() -> None:
    text, tokens = said_by([1, 3, 4, 5])
    assert text == "by µ n78"
    assert tokens.spans == ((0, 2), (2, 3), (3, 4), (4, 8))
    assert tokens.groups == (0, 1, 1, 2)


def test_the_space_before_an_answer_is_no_part_of_its_text_and_moves_its_first_token() -> None:
    assert said_by([2, 5], " ") == ("by n78", Tokens((2, 5), ("2", "5"), ((-1, 2), (2, 6)), (0, 1)))
    assert said_by([1, 5], " ") == ("by n78", Tokens((1, 5), ("1", "5"), ((0, 2), (2, 6)), (0, 1)))
    assert said_by([], " ") == ("", Tokens((), (), (), ()))


def test_what_is_no_text_is_told_as_such_and_known_up_to_there() -> None:
    text, tokens = said_by([1, 6, 5])
    assert (text, tokens.ids) == ("by\ufffd n78", (1,))
    cut, half = said_by([1, 3])
    assert (cut, half.ids) == ("by \ufffd", (1,))


def ending(*ends: int, first: int = 0) -> Tokens:
    starts = [first, *ends[:-1]]
    names = tuple(f"{start}-{end}" for start, end in zip(starts, ends, strict=True))
    return Tokens(tuple(range(len(ends))), names, tuple(zip(starts, ends, strict=True)), tuple(range(len(ends))))


def test_runs_end_wherever_both_end_and_the_ends_of_sequence_follow() -> None:
    assert spans_of(ending(2, 3, 7), ending(1, 3, 5, 7)) == ((0, 1, 0, 1), (2, 2, 2, 3), (3, 3, 4, 4))
    assert spans_of(ending(2, 3, 7), ending(1, 3, 5, 7), ended=False) == ((0, 1, 0, 1), (2, 2, 2, 3))


def test_a_first_run_with_a_space_on_one_side_alone_has_no_partner() -> None:
    assert spans_of(ending(2, 7, first=-1), ending(2, 5, 7)) == ((1, 1, 1, 2), (2, 2, 3, 3))
    assert spans_of(ending(2, 7, first=-1), ending(2, 5, 7, first=-1))[0] == (0, 0, 0, 0)


def test_a_token_that_adds_no_character_goes_with_what_follows() -> None:
    ours = Tokens((0, 1, 2), ("a", "", "b"), ((0, 1), (1, 1), (1, 2)), (0, 1, 2))
    assert spans_of(ours, ending(1, 2)) == ((0, 0, 0, 0), (1, 2, 1, 1), (3, 3, 2, 2))
    last = Tokens((0, 1), ("ab", ""), ((0, 2), (2, 2)), (0, 1))
    assert spans_of(last, ending(1, 2)) == ((0, 0, 0, 1), (1, 2, 2, 2))


def test_tokens_within_a_character_are_one_run_with_the_whole_of_it() -> None:
    halves = Tokens((0, 1), ("x", "y"), ((0, 1), (1, 1)), (0, 0))
    assert spans_of(halves, ending(1)) == ((0, 1, 0, 0), (2, 2, 1, 1))
    assert spans_of(halves, halves) == ((0, 0, 0, 0), (1, 1, 1, 1), (2, 2, 2, 2))
    others = Tokens((0, 1), ("u", "v"), ((0, 1), (1, 1)), (0, 0))
    assert spans_of(halves, others) == ((0, 1, 0, 1), (2, 2, 2, 2))
