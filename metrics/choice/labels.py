"""Labels in answers: the grammar of ``B``, ``(b)``, ``option 2``, "the answer is B and D", in several languages."""

from __future__ import annotations

import re
import string
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

_NOUN = r"(?:options?|choices?|letters?|numbers?|opci[oó]n|antwort|buchstabe|lettre|letra|选项|選項|選択肢)"
# Words that an answer made of nothing but labels may be dressed in.
_DRESSING = re.compile(
    rf"(?i:\b(?:{_NOUN}|answers?|final|correct|right|the|my|is|are|and|or|both|so|thus|therefore|it|it's"
    r"|hence|clearly|sure|surely|certainly|definitely|obviously|probably|likely|must|should|would|be|that|for)\b"
    r"|选项|選項|選択肢|(?:正确|正確)?答案|正解|答え|应该|應該|和|与|与|[是为為はです선택])"
)
_LABELLED = re.compile(rf"\W*(?:(?i:{_NOUN})\s*)?([A-Za-z]|\d{{1,2}})\W+(.*)", re.DOTALL)
# "A: B" is an answer after its mark, "1. B" the only entry of a list: one label each.
_NUMBERED = re.compile(r"\W*(?:A:|1[.)])\s?\W*([A-Za-z])\W*")
_SPACES = re.compile(r"\s+")
_BOXED = re.compile(r"\\boxed\s*\{\s*(?:\\(?:text|textbf|mathrm)\s*\{)?([^{}]*)\}+")
_MARKUP = re.compile(r"[*_`\"“”$]")
# Chinese, Japanese and Korean put no space around a label.
_WORD = r"[^\W\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]"
_WHOLE = rf"(?!{_WORD}|['’-])"
# White space comes singly by now, and repetitions are bounded or possessive: no text takes quadratic time.
_NOUNS = (
    r"answers(?!\s?:\n)|answer|choices?|options?|selection|solution|letter|(?:right|correct|best)\sone"
    r"|antworten|antwort|l[oö]sung|respuestas?|opci[oó]n|r[eé]ponses?|risposta|resposta"
)
_IS = r"is|are|would\sbe|should\sbe|must\sbe|ist|sind|lautet|w[aä]re|es|son|ser[ií]a|est|sont|serait|è|é"
_CUE = re.compile(
    rf"(?i:\b(?:{_NOUNS})(?:\s(?:here|correcta|correcte|exacte|corretta|correta|(?:to|for)(?:\s\w+){{1,3}}))?(?:\s?[:=]\s?|\s(?:{_IS})\b\s?:?\s?)"
    r"|\bI(?:\swould|\swill|['’]d|['’]ll)?\s(?:choose|select|pick|say|go\swith|go\sfor)\b\s?:?\s?"
    r"|\bI(?:\sam|['’]m)\sgoing\s(?:with|for)\s"
    r"|\b(?:ans\.?|response|selected|picked)\s?[:=]\s?|\bans\.\s"
    # "It is A base station" names no label: one that stands there alone does.
    rf"|\bit(?:\sis|['’]s|\s(?:must|should|would|has\sto)\sbe)\s(?=(?:option\s)?\(?[A-Z]\)?\s?(?:[.,;!?]|\n|$|because\b|since\b))"
    r"|\b(?:richtig|korrekt|correcto|correct)\s(?:ist|es|est|is)\s?:?\s?"
    r"|(?:答案|正解|正确选项|正確選項|答え|回答|解答|정답|답)(?:应该|應該)?[是为為はは은는이就:]{0,3}\s?:?\s?"
    r"|(?:选择|選擇|应选|應選|故选|故選|选|選)(?!项|項|択)\s?:?\s?)"
    r"(?P<said>)(?i:(?:the|correct|right|answer|is|both|therefore|thus|hence|clearly|probably|likely|indeed"
    r"|die|der|das|la|le|el|:),?\s|l['’]){0,4}"
)
_AGAINST = re.compile(
    r"(?i:[)\].:]?\s?(?:(?:option|answer)\s)?(?:(?:is|are|was|were|seems?|looks?|would\sbe|can\sbe|ist|es|est)"
    r"\s(?:also\s|\w+ly\s)?(?:not|(?:to\sbe\s)?(?:incorrect|wrong|false|untrue|falsch|incorrecta?|fausse?|faux))\b"
    r"|(?:isn|aren|wasn|weren|doesn|can)['’]t\b|cannot\sbe\b|(?:incorrect|wrong|false|falsch)\b|(?:是)?(?:不|错|錯|誤)))"
)
# What calls the label before it right: "B is correct", "B fits best".
_VERDICT = (
    r"\s(?i:(?:is|are|seems\s(?:to\sbe\s)?|must\sbe|would\sbe|should\sbe)\s(?:\w+ly\s)?"
    r"(?:(?:the|most|best|only|likely)\s){0,3}(?:correct|right|accurate|best|true|answer|appropriate|suitable|valid)\b"
    r"|fits\s(?:the\s\w+\s)?best\b|makes\s(?:the\smost\s)?sense\b)"
)
# "Neither A nor B is correct", "if A is true": nothing is called right.
_SUPPOSED = re.compile(r"(?i:\b(?:if|whether|nor|neither|either|not|when|although)\s(?:\w+\s){0,2}$)")
_AGAINST_BEFORE = re.compile(
    r"(?i:(?:\b(?:in|un)correct|\bwrong|\bfalse|\bfalsche|\bincorrecta|\bmauvaise|\bnot\san?)\s?$)"
)
_NEW_QUESTION = re.compile(
    r"<\|[a-z_]{1,20}\|>|<(?:end|start)_of_turn>|</s>"
    r"|\n[\s#*_>-]{0,6}(?i:(?:next\s)?(?:question|problem|exercise|user|human|frage|pregunta|问题|問題|質問)"
    r"\s?(?:\d{1,4}|no\.?\s?\d{1,4})?\s?[:.)])"
)


@dataclass(frozen=True, slots=True)
class Conclusion:
    """What a text gives as its answer: 0-based positions of labels, None where no label follows the cue.

    ``start`` is where the text after the cue begins, ``end`` where the labels end.
    """

    positions: frozenset[int] | None
    start: int
    end: int


def plain(prediction: str) -> str:
    """The answer in NFKC without emphasis and LaTeX boxes, white space single (a line break where there was one)."""
    text = unicodedata.normalize("NFKC", prediction)
    text = _SPACES.sub(lambda match: "\n" if "\n" in match[0] else " ", text)
    return _MARKUP.sub("", _BOXED.sub(r"\nanswer: \1.\n", text)).strip()


def before_new_question(text: str) -> str:
    """The text up to where a base model, done with its answer, goes on to invent another question.

    The whole text where it starts with a question: it is then built of questions, and the last may be the one asked.
    """
    match = _NEW_QUESTION.search(text)
    return text if match is None or _NEW_QUESTION.match(f"\n{text}") else text[: match.start()]


def conclusions(text: str, count: int) -> Iterator[Conclusion]:
    """What follows each "the answer is", "answer:", "I choose" and their like, in the order of the text."""
    labels = _labels(count)
    for cue in _CUE.finditer(text):
        if _AGAINST_BEFORE.search(text, max(0, cue.start() - 16), cue.start()):
            continue
        match = labels.match(text, cue.end())
        if match is None:
            yield Conclusion(None, cue.start("said"), cue.end())
        elif not _AGAINST.match(text, match.end()):
            yield Conclusion(positions_of(_words(match[1]), count), cue.start("said"), match.end())


def leading(text: str, count: int) -> Conclusion | None:
    """A label with punctuation after it at the start, or alone on the first line: ``B) foo``, ``option 2: foo``.

    None where a list of the options begins there, and where the text calls the label wrong.
    """
    match = _start(count).match(text)
    if match is None or _AGAINST.match(text, match.end(1)):
        return None
    positions = positions_of(_words(match[1]), count)
    after = _start(count).match(text, line) if (line := text.find("\n", match.end(1)) + 1) else None
    if after is not None and positions == {0} and positions_of(_words(after[1]), count) == {1}:
        return None
    return Conclusion(positions, match.start(1), match.end()) if positions else None


def standing_alone(text: str, count: int) -> frozenset[int] | None:
    """The label that the text gives without a cue, where it gives but one.

    It has a line to itself, is the last sentence, is called right ("B is correct"), or follows "probably", "I think".
    """
    found = set()
    for match in _alone(count).finditer(text):
        label = match["line"] or match["sentence"] or match["right"] or match["thought"]
        if match["right"] and _SUPPOSED.search(text, max(0, match.start() - 40), match.start()):
            continue
        if (named := positions_of(_words(label), count)) and not _AGAINST.match(text, match.end()):
            found.add(named)
    return found.pop() if len(found) == 1 else None


def labelled(text: str, count: int) -> tuple[int, str] | None:
    """(position, rest of the text) where the text begins with one label, however it is set apart."""
    match = _LABELLED.match(text)
    positions = positions_of([match[1]], count) if match else None
    return None if match is None or positions is None else (min(positions), match[2])


def mentioned(text: str, count: int) -> frozenset[int] | None:
    """The labels that every "option B" or "choice B" of the text names alike."""
    found = set()
    for match in _mention(count).finditer(text):
        named = positions_of(_words(match[1]), count)
        if named and not _AGAINST.match(text, match.end(1)):
            found.add(named)
    return found.pop() if len(found) == 1 else None


def nothing_but_labels(text: str, count: int) -> frozenset[int] | None:
    """Positions of the labels of a text that holds nothing of substance besides: ``B``, ``Answer: B and D``."""
    words = _words(text)
    if numbered := _NUMBERED.fullmatch(text):
        return positions_of([numbered[1]], count)
    if len(words) == 1 and len(words[0]) > 1 and words[0].isupper() and len(set(words[0])) == len(words[0]):
        return positions_of(words[0], count)
    return positions_of(words, count)


def positions_of(labels: Iterable[str], count: int) -> frozenset[int] | None:
    """0-based positions of labels; None when there are none or one is no label of so many options.

    >>> positions_of(["B", "4"], 4) == {1, 3}, positions_of(["E"], 4)
    (True, None)
    """
    found = set()
    for label in labels:
        if label.isdecimal():
            position = int(label) - 1
        elif len(label) == 1:
            position = string.ascii_uppercase.find(label.upper())
        else:
            return None
        if not 0 <= position < count:
            return None
        found.add(position)
    return frozenset(found) or None


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", _DRESSING.sub(" ", text))


@lru_cache(maxsize=64)
def _grammar(count: int) -> tuple[str, str, str]:
    """Regular expressions of labels after a cue, of a first label, and of one that a noun announces."""
    last = string.ascii_uppercase[min(count, 26) - 1]
    upper, lower, either = f"[A-{last}]", f"[a-{last.lower()}]", f"[A-{last}a-{last.lower()}]"
    one = rf"(?:{either}|\d{{1,2}})"
    joint = r"\s?(?:,\s?and|,\s?or|,|;|/|\+|&|and\b|or\b)\s?"
    # An answer that was cut off may end in an open bracket: "(A".
    boxed = rf"(?:[(\[]\s?{one}(?:{joint}{one})*+\s?[)\]]|\({upper}$)"
    # A small letter without brackets may be the article "a": only punctuation or the end makes it a label.
    label = rf"(?:{boxed}|{upper}{_WHOLE}|{lower}(?=\s?(?:[),.:;\]]|\n|$)))"
    after_noun = rf"{_NOUN}\s?[:#]?\s?(?:{boxed}|{one}{_WHOLE})"
    more = rf"(?:[).\]]?{joint}(?:(?i:{after_noun})|{label}))*+"
    first = rf"(?:(?i:{after_noun})|{boxed}|{either}){more}"
    return rf"((?:(?i:{after_noun})|{label}){more})", first, rf"((?i:{after_noun}){more})"


@lru_cache(maxsize=64)
def _labels(count: int) -> re.Pattern[str]:
    return re.compile(_grammar(count)[0])


@lru_cache(maxsize=64)
def _start(count: int) -> re.Pattern[str]:
    return re.compile(
        rf"\W*({_grammar(count)[1]})\s?(?:[).:;!\]。、]|[-–—]\s|(?<=[)\]])\s|\n|$|\(not\b"
        r"|,?\s?\b(?:because|since|due\sto|not|rather\sthan|instead\sof)\b|(?<=[B-Z])\s?\bas\b)"
    )


@lru_cache(maxsize=64)
def _alone(count: int) -> re.Pattern[str]:
    last = string.ascii_uppercase[min(count, 26) - 1]
    one = rf"(?:(?i:{_NOUN})\s)?[(\[]?[A-{last}][)\]]?"
    return re.compile(
        rf"(?:^|\n)[^\w\n]*(?P<line>{one})[^\w\n]*(?=\n|$)"
        rf"|[.!?]\s(?P<sentence>{one})[.!]?$"
        rf"|(?<!{_WORD})(?P<right>{_grammar(count)[0]}){_VERDICT}"
        rf"|\b(?i:probably|definitely|clearly|certainly|obviously|hence|therefore|thus|so|I\s(?:think|believe|guess))"
        rf",?\s(?P<thought>{one})(?=\s?(?:[.;!?]|\n|$|because\b|since\b))",
    )


@lru_cache(maxsize=64)
def _mention(count: int) -> re.Pattern[str]:
    return re.compile(rf"(?<!{_WORD}){_grammar(count)[2]}")
