"""Cutting texts of any script: characters where no spaces stand, words elsewhere, and what is not to change."""

from __future__ import annotations

import random
import unicodedata

import pytest
from sacrebleu.tokenizers.tokenizer_zh import TokenizerZh

from telbench.metrics.ngram.segmentation import apart, characters_of, unicode_words, zh_apart


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("5G核心网包括AMF。", ["5G", "核", "心", "网", "包", "括", "AMF。"]),
        ("ビームはＵＥごと", ["ビ", "ー", "ム", "は", "ＵＥ", "ご", "と"]),
        ("ｶﾞｲﾄﾞ", ["ｶ", "ﾞ", "ｲ", "ﾄ", "ﾞ"]),
        ("か\u3099", ["か\u3099"]),
        ("ที่นี่ 5G", ["ที่", "นี่", "5G"]),
        ("ສະຖານີ", ["ສ", "ະ", "ຖ", "າ", "ນີ"]),
        ("ស្ថានីយ", ["ស្", "ថា", "នី", "យ"]),
        ("မြန်မာ", ["မြ", "န်", "မာ"]),
        ("ㄅㄆ〇々", ["ㄅ", "ㄆ", "〇", "々"]),
        ("𠀀𠀁", ["𠀀", "𠀁"]),
        ("기지국 서버", ["기지국", "서버"]),
        ("базовая станция", ["базовая", "станция"]),
        ("๕๐ MHz", ["๕๐", "MHz"]),
        ("naïve “NR”", ["naïve", "“NR”"]),
    ],
)
def test_a_character_with_its_marks_stands_alone_where_a_script_has_no_spaces(text: str, tokens: list[str]) -> None:
    assert apart(text).split() == tokens


def test_every_letter_of_these_scripts_is_a_token_and_no_other_letter_is() -> None:
    named = ("CJK UNIFIED", "CJK COMPATIBILITY IDEOGRAPH", "HIRAGANA LETTER", "KATAKANA LETTER", "BOPOMOFO LETTER")
    named += ("THAI CHARACTER", "LAO LETTER", "MYANMAR LETTER", "KHMER LETTER", "HALFWIDTH KATAKANA LETTER")
    names = {chr(code): unicodedata.name(chr(code), "") for code in range(0x30000) if chr(code).isalpha()}
    found = characters_of(names)
    assert {name for letter, name in names.items() if name.startswith(named) and letter not in found} == set()
    scripts = {names[letter].split()[0].split("-")[0] for letter in found}
    assert scripts == {
        *("CJK", "HIRAGANA", "KATAKANA", "HALFWIDTH", "HENTAIGANA", "BOPOMOFO", "THAI", "LAO", "MYANMAR", "KHMER"),
        *("IDEOGRAPHIC", "VERTICAL", "MASU"),
    }


def test_signs_set_apart_for_bleu_are_those_of_sacrebleus_zh_and_the_letters_that_it_leaves_together() -> None:
    for code in range(0x11000):
        sign = chr(code)
        if sign.isspace():
            continue
        single = zh_apart(f"x{sign}x").split() != [f"x{sign}x"]
        assert single == (TokenizerZh._is_chinese_char(sign) or bool(characters_of([sign]))), hex(code)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Базовая станция, gNB!", ["базовая", "станция", "gnb"]),
        ("गेटवे की स्थिति।", ["गेटवे", "की", "स्थिति"]),
        ("محطة قاعدية، UE؟", ["محطة", "قاعدية", "ue"]),
        ("می\u200cشود", ["میشود"]),
        ("soft\u00adware snake_case", ["software", "snake", "case"]),
        ("μs 90°", ["μs", "90"]),
        ("「ＡＭＦ」、㎒", ["amf", "mhz"]),
        ("ｶﾞ", ["ガ"]),
        ("", []),
    ],
)
def test_words_of_any_script_keep_their_marks_and_lose_width_case_and_punctuation(text: str, words: list[str]) -> None:
    assert unicode_words(text) == words


def test_texts_in_ascii_are_left_as_they_are() -> None:
    rng = random.Random(1)
    for _ in range(200):
        text = "".join(chr(rng.randrange(128)) for _ in range(40))
        assert apart(text) == text == zh_apart(text)
