"""N-gram metrics on other scripts: which form a run takes, its values, and the line that tells of it."""

from __future__ import annotations

import random
from itertools import pairwise, permutations
from types import SimpleNamespace

import numpy as np
import pytest
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF
from sacrebleu.metrics.ter import TER
from sacrebleu.tokenizers.tokenizer_zh import TokenizerZh

from telbench.metrics.check import check_metric
from telbench.metrics.contract import FAMILIES, Metric, Resources, Sample, Segmentation, metrics_named, missing
from telbench.metrics.ngram import meteor as meteor_module
from telbench.metrics.ngram.bleu import CharacterCodes
from telbench.metrics.ngram.meteor import UNREADABLE
from telbench.metrics.ngram.scripts import Scripts, scripts_of, segmentation_note

from .telecom_sentences import CHINESE, JAPANESE, SPACED, UNSPACED

VARIED = ("exact_match", "token_f1", "rouge1", "rouge2", "rougeL", "bleu", "ter")
BEST = {"bleu": 100.0, "chrf": 100.0, "ter": 0.0}
SIGNATURES = {
    "exact_match": "exact_match|norm:squad-v1.1-nfkc|tok:characters|v1",
    "token_f1": "token_f1|norm:squad-v1.1-nfkc|tok:characters|v1",
    "rouge1": "rouge1|norm:nfkc|stem:porter|tok:unicode|v1",
    "bleu": "bleu|case:mixed|eff:item|smooth:exp|tok:zh-characters|v1",
    "ter": "ter|asian:yes|case:lc|norm:yes|punct:yes|tok:tercom-characters|v1",
    "chrf": "chrf|beta:2|case:mixed|eff:yes|nc:6|nw:0|space:no|v1",
}


def form(name: str, segmentation: Segmentation = "characters") -> Metric:
    (found,) = metrics_named([name], Resources(segmentation=segmentation))
    return found


def value(metric: Metric, prediction: str, *references: str) -> float:
    found = metric.score([Sample("x", prediction, references)])[0].value
    assert found is not None
    return found


def pairs(texts: tuple[str, ...]) -> list[Sample]:
    """Each sentence as an answer where another is right, and beginnings and ends of the right one."""
    made = [Sample(f"{a}{b}", a, (b,)) for a, b in permutations(texts, 2)]
    return made + [Sample(text, answer, (text, texts[0])) for text in texts for answer in (text[:9], text[5:], text)]


@pytest.mark.parametrize("script", [*UNSPACED, *SPACED])
@pytest.mark.parametrize("name", FAMILIES["ngram"])
def test_identical_text_scores_best_in_every_script(name: str, script: str) -> None:
    text = {**UNSPACED, **SPACED}[script]
    metric = form(name, scripts_of([text]).needed)
    assert value(metric, text, text) == pytest.approx(BEST.get(name, 1.0), abs=1e-9)
    worse = value(metric, text[: len(text) // 2], text)
    assert worse > 0 if name == "ter" else worse < value(metric, text, text)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        # The reference has 14 tokens (15 with the full stop), the answer 7, all of them and 4 of its 6 pairs in it.
        ("exact_match", 0.0),
        ("token_f1", 2 / 3),
        ("rouge1", 2 / 3),
        ("rouge2", 2 * 4 / (6 + 13)),
        ("rougeL", 2 / 3),
        ("ter", 100 * 8 / 15),
        ("bleu", 100 * np.exp(1 - 15 / 7) * (7 / 7 * 4 / 6 * 1 / 5 * (0.5 / 4)) ** 0.25),
    ],
)
def test_values_worked_by_hand(name: str, expected: float) -> None:
    reference, answer = "AMF负责终端的注册和移动性管理。", "AMF负责注册管理"
    assert value(form(name), answer, reference) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("name", VARIED)
def test_values_are_those_of_latin_words_put_in_place_of_the_characters(name: str) -> None:
    rng = random.Random(3)
    alphabet = [*"基站核心网切换のカเก", "gNB", "UE", "5G"]
    for _ in range(150):
        texts = [[rng.choice(alphabet) for _ in range(rng.randrange(1, 14))] for _ in range(3)]
        texts[2] = texts[rng.choice([0, 2])]
        mixed = any(a.isascii() and b.isascii() for text in texts for a, b in pairwise(text))
        joined = [(" " if mixed else "").join(text) for text in texts]
        spelt = [" ".join(word if word.isascii() else f"q{ord(word)}q" for word in text) for text in texts]
        assert value(form(name), *joined) == value(form(name, "words"), *spelt)


@pytest.mark.parametrize("name", ["exact_match", "token_f1", "rouge1", "rouge2", "rougeL"])
def test_a_text_in_ascii_scores_the_same_in_every_form(name: str) -> None:
    rng = random.Random(4)
    pieces = ["a ", "The ", "gNB", " ", ",", "-", "3.5", "running ", "runs ", "\n", "'s", "_", "UE "]
    texts = ["".join(rng.choice(pieces) for _ in range(rng.randrange(12))) for _ in range(300)]
    samples = [Sample(str(i), left, (right,)) for i, (left, right) in enumerate(pairwise(texts))]
    assert form(name).score(samples) == form(name, "words").score(samples)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("AMF负责注册。", "ＡＭＦ 负责 注册"),
        ("“AMF”、（SMF）", "amf smf"),
        ("【答】5Ｇ：是！", "答 5g 是"),
        ("ｹﾞｰﾄｳｪｲ", "「ゲートウェイ」"),
        ("38.331–f10，UE’s", "38.331-f10, UE's"),
        ("3．5 GHz", "3.5 GHz"),
        ("The AMF", "AMF"),
        ("the naïve, the UE", "naïve UE"),
    ],
)
def test_width_punctuation_and_spaces_do_not_matter_to_an_exact_match(left: str, right: str) -> None:
    assert value(form("exact_match"), left, right) == value(form("token_f1"), left, right) == 1.0


@pytest.mark.parametrize(("left", "right"), [("方案A", "方案"), ("AMF、SMF", "AMFSMF"), ("终端", "终点"), ("が", "か")])
def test_what_differs_in_meaning_is_no_exact_match(left: str, right: str) -> None:
    assert value(form("exact_match"), left, right) == 0.0


@pytest.mark.parametrize("name", ["bleu", "chrf", "ter"])
def test_chinese_has_sacrebleus_own_values(name: str) -> None:
    peers = {
        "bleu": (BLEU(tokenize="zh", effective_order=True), BLEU(tokenize="zh")),
        "chrf": (CHRF(), CHRF()),
        "ter": (TER(normalized=True, asian_support=True), TER(normalized=True, asian_support=True)),
    }
    sentence, corpus = peers[name]
    samples = pairs(CHINESE)
    scores = form(name).score(samples)
    for sample, score in zip(samples, scores, strict=True):
        expected = sentence.sentence_score(sample.prediction, list(sample.references)).score
        assert score.value == pytest.approx(expected, abs=1e-9), sample
    aggregate = form(name).aggregate
    assert aggregate is not None
    total = aggregate(np.array([score.stats for score in scores]).sum(axis=0, keepdims=True))[0]
    streams = [[dict(enumerate(sample.references)).get(rank) for sample in samples] for rank in range(2)]
    wanted = corpus.corpus_score([each.prediction for each in samples], streams)
    assert total == pytest.approx(wanted.score, abs=1e-9)


@pytest.mark.parametrize(
    "text",
    [
        "5.",
        ".5",
        "5. 网",
        "网 5.",
        ".5 GHz",
        "网 .5",
        "速率为3.5 GHz.",
        "x-5-网",
        "UE、gNB，等等。",
        "“5”——…",
        "",
        " ",
        "&amp;网",
        "1,000",
    ],
)
def test_tokens_of_bleu_are_those_of_sacrebleus_zh(text: str) -> None:
    codes = CharacterCodes()
    assert codes.text(text) == "".join(map(codes.code, TokenizerZh()(text).split()))


def test_kana_that_sacrebleus_zh_leaves_together_are_characters_too() -> None:
    spelt = [" ".join(text.replace(" ", "")) for text in ("はビームをおくる", "ビームがおくられる")]
    assert value(form("bleu"), "はビームをおくる", "ビームがおくられる") == pytest.approx(
        BLEU(tokenize="none", effective_order=True).sentence_score(spelt[0], [spelt[1]]).score
    )


@pytest.mark.parametrize("texts", [CHINESE, JAPANESE])
@pytest.mark.parametrize("name", FAMILIES["ngram"])
def test_an_answer_to_another_question_scores_below_a_part_of_the_right_one(name: str, texts: tuple[str, ...]) -> None:
    metric = form(name)
    for text in texts:
        part = value(metric, text[: len(text) * 3 // 4], text)
        others = [value(metric, other, text) for other in texts if other != text]
        assert part < min(others) if name == "ter" else part >= max(others)


@pytest.mark.parametrize("name", FAMILIES["ngram"])
@pytest.mark.parametrize("segmentation", ["unicode-words", "characters"])
def test_every_form_keeps_the_contract_and_the_name(name: str, segmentation: Segmentation) -> None:
    metric = form(name, segmentation)
    assert check_metric(metric) == []
    assert metric.name == name


@pytest.mark.parametrize("name", SIGNATURES)
def test_a_form_signs_what_it_is_and_is_found_by_its_signature(name: str) -> None:
    usual = form(name, "words")
    assert form(name).signature == SIGNATURES[name]
    assert usual.signed(SIGNATURES[name]).signature == SIGNATURES[name]
    assert usual.signed("another|v9") is usual


@pytest.mark.parametrize(
    ("references", "needed"),
    [
        ([], "words"),
        (["The AMF", "naïve Übertragung", "Đường truyền vô tuyến"], "words"),
        (["a carrier of 15 kHz, μ = 0"], "words"),
        (["the word 中 and " + "many others " * 50], "words"),
        (["gNB向UE发送RRCReconfiguration消息"], "characters"),
        (["AMF handles registration"] * 20 + ["终端的注册由AMF管理"], "characters"),
        (["AMF handles registration"] * 20 + ["шлюз"], "unicode-words"),
        (["AMF"] * 20 + ["१५"], "unicode-words"),
        (["AMF"] * 20 + ["ＡＭＦ"], "unicode-words"),
        (["गेटवे UE"], "unicode-words"),
        (["UE κ"], "unicode-words"),
        (["UE λ to the gNB"], "words"),
        (["AMF"] * 20 + ["…!"], "words"),
        (["half the wavelength"] * 150 + ["λ"], "words"),
        (["half the wavelength"] * 50 + ["λ"], "unicode-words"),
        *(([text], "characters") for text in UNSPACED.values()),
        *(([text], "unicode-words") for text in SPACED.values()),
    ],
)
def test_the_references_decide_how_texts_are_cut(references: list[str], needed: Segmentation) -> None:
    assert scripts_of(references).needed == needed


@pytest.mark.parametrize("script", [*UNSPACED, *SPACED])
def test_the_script_of_a_text_is_named(script: str) -> None:
    assert script in scripts_of([{**UNSPACED, **SPACED}[script]]).shares


def test_shares_are_of_all_letters() -> None:
    assert scripts_of(["AMF负", "ab 12 δ!", "x"]) == Scripts({"Han": 1 / 8, "Greek": 1 / 8}, 1 / 8, 0)


def note(references: list[str], used: Segmentation, *names: str) -> str | None:
    return segmentation_note(scripts_of(references), used, metrics_named(names, Resources(segmentation=used)))


def test_a_metric_that_cannot_read_the_references_is_named_with_their_script() -> None:
    told = note([SPACED["Arabic"]], "words", "token_f1", "rouge1", "chrf")
    assert told == (
        "the references hold Arabic (100 %), which some metrics drop or take for one word: rouge1; "
        "--segmentation unicode-words reads all"
    )
    told = note(["中 " + "other words " * 50], "words", "ngram")
    assert told is not None
    assert told.endswith(
        "one word: exact_match, token_f1, rouge1, rouge2, rougeL, bleu, ter; --segmentation characters reads all"
    )


def test_one_answer_that_rouge_drops_is_told_and_does_not_change_the_form_of_all() -> None:
    told = note(["half the wavelength"] * 150 + ["λ"], "words", "ngram")
    assert told is not None
    assert told.startswith("the references hold Greek (")
    assert "one word: rouge1, rouge2, rougeL; --segmentation unicode-words" in told


def test_a_form_other_than_the_usual_one_is_told() -> None:
    told = note([CHINESE[0]], "characters", "chrf", "bleu")
    assert told == "the references hold Han (83.3 %); characters where a script has no spaces are counted by bleu"
    told = note([SPACED["Hangul"]], "unicode-words", "ngram")
    assert told == "the references hold Hangul (100 %); words of any script are counted by rouge1, rouge2, rougeL"


def test_nothing_is_told_of_latin_text_or_of_metrics_that_read_everything() -> None:
    assert note(["The AMF", "naïve"], "words", "ngram") is None
    assert note([CHINESE[0]], "characters", "chrf", "choice_accuracy") is None


def test_meteor_has_no_value_where_no_spaces_stand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meteor_module, "installed_wordnet", lambda: SimpleNamespace(get_version=lambda: "3.0"))
    metric = meteor_module.meteor.build(Resources(segmentation="characters"))
    assert metric.score([Sample("x", CHINESE[0], (CHINESE[0],))]) == [missing(UNREADABLE)]
