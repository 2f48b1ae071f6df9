"""Does an answer refuse? Rules in plain sight; refusing is right for questions without an answer, wrong for the others.

An answer is a refusal when its opening says that the speaker does not know, that the question cannot be answered, or
that the source does not tell, and no answer follows after all. The rules know telecom English: a "cause value unknown",
a UE context that does not exist and a field that is "not specified" are answers.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence

from .contract import ItemScore, Metric, Sample, missing

ANSWERABLE, UNANSWERABLE = "answerable", "unanswerable"
# Characters that the rules read: a refusal comes first.
OPENING = 400

_THE = r"(?:the|this|that|your|any)(?: (?:given|provided|supplied|available|above|retrieved|present))*"
_PLACE = r"(?:context|passage|text|excerpt|paragraph|document|clause|snippet)"
# Where an answer would have to come from; a UE context or a PDP context is none.
_SOURCE = (
    rf"(?:{_THE} {_PLACE}|(?:the )?(?:given|provided|supplied) (?:{_PLACE}|information)|"
    rf"{_THE} information (?:given|provided))"
)
_IN_SOURCE = rf"(?:in|from|by|within|on|with|using|of) (?:only )?(?:{_SOURCE}|{_PLACE})"
_NO = r"(?:not|never|nowhere)"
_CANNOT = r"(?:cannot|can't|can not|could not|couldn't|(?:am |'m |are |'re )?(?:unable|not able) to)"
_GIVEN = r"(?:mentioned|specified|stated|given|provided|indicated|described|found|defined|included|available|answered)"
_TELL = (
    r"(?:mention|specify|state|give|provide|indicate|describe|discuss|cover|contain|include|address|explain|answer|say|"
    r"tell|define|disclose|list|name|support)"
)
_ANSWER = r"(?:answer|determine|tell|say|infer|deduce|find|conclude|help)"
_NEWS = r"(?:information|mention|details?|indication|definition|explanation|answer|data)"

RULES = {
    "the whole answer in a few words": (
        rf"^(?:unanswerable|no answer|n/a|(?:the answer is |it is |it's )?(?:unknown|not known|unclear)|"
        rf"{_NO} (?:mentioned|stated|given|provided|known)|no idea|{_NO} answerable)\W*$"
    ),
    "the speaker does not know": (
        r"\b(?:i|we) (?:(?:really|honestly|simply) )?(?:do not|don't) (?:really |actually )?(?:know|have (?:\w+ )?"
        r"(?:information|knowledge|context|details|data|idea))\b|\bi have no (?:idea|information|knowledge)\b|"
        r"\b(?:i am|i'm|we are|we're) (?:not sure|unsure|not certain|not aware)\b"
    ),
    "the speaker cannot answer": (
        rf"\b(?:i|we)(?: |(?='))(?:{_CANNOT}) (?:\w+ ){{0,2}}{_ANSWER}\b|"
        rf"^(?:sorry|unfortunately)\b[^.]*\b(?:{_CANNOT}) (?:\w+ )?{_ANSWER}"
    ),
    "the question cannot be answered": (
        rf"\b(?:the|this|your) question (?:{_CANNOT} be|is {_NO}) (?:\w+ )?answer(?:ed|able)\b|"
        r"\b(?:the|this|your) question is unanswerable\b|"
        rf"(?:^|[.,] )(?:it|this|that)? ?(?:{_CANNOT} be (?:\w+ )?(?:answered|determined|inferred)|"
        rf"is (?:not possible|impossible) to {_ANSWER})\b[^.]*\b{_IN_SOURCE}\b"
    ),
    "the answer is not there": (
        rf"\banswer (?:to (?:the|this|that|your) question )?(?:(?:is|was) (?:{_NO} )(?:\w+ )?(?:{_GIVEN}|in {_SOURCE})|"
        rf"(?:is|was) (?:unknown|unclear)|{_CANNOT} be (?:found|determined|given))"
    ),
    "the source does not tell": (
        rf"\b{_SOURCE}(?: above)? (?:(?:does|do|did)(?: not|n't)|(?:\w+ )+and does not) (?:\w+ ){{0,2}}{_TELL}\b|"
        rf"\b{_SOURCE} (?:lacks|is silent|(?:says|tells) nothing|(?:contains|provides|gives|has|offers) no|"
        rf"is (?:insufficient|not sufficient|not enough))\b|"
        rf"(?:\b{_NO}|n't) (?:\w+ )?{_GIVEN} (?:\w+ )?{_IN_SOURCE}\b|"
        rf"\b(?:nothing|no {_NEWS})\b[^.]*\b{_IN_SOURCE}\b"
    ),
    "there is no information": (
        rf"(?:^|[.,] )(?:there (?:is|was) )?"
        rf"(?:no (?:information|mention|answer) (?:is |was )?(?:{_GIVEN}|about|of|on|to|regarding)|"
        r"(?:insufficient|not enough|not sufficient) (?:information|context|details|data)\b(?= (?:to|for|in)|"
        r"\W*$))"
    ),
}
_REFUSES = re.compile("|".join(f"(?:{rule})" for rule in RULES.values()), re.IGNORECASE)
_DENIAL = r"\b(?:not|no|cannot|can't|unknown|unclear|more|further|please)\b|n't\b"
# An answer after all: three words without another denial, after a word that turns, or after a concession.
_TURNS = re.compile(
    rf"(?:\b(?:but|however|nevertheless|nonetheless|still|that said)\b|"
    rf"^(?:although|though|while|even though|even if)\b[^.,]*,)(?![^.]{{0,60}}(?:{_DENIAL}))(?=(?:\W*\w+){{3}})",
    re.IGNORECASE,
)


def is_refusal(answer: str) -> bool:
    """Does the answer refuse? An empty one does not: it says nothing, not that there is nothing to say.

    >>> is_refusal("The context does not mention it."), is_refusal("Cause value unknown")
    (True, False)
    """
    text = unicodedata.normalize("NFKC", answer[: 4 * OPENING]).replace("\u2019", "'").replace("*", "")
    text = " ".join(text.split())[:OPENING]
    return _REFUSES.search(text) is not None and _TURNS.search(text) is None


def _refusal_metric(
    name: str, score: Callable[[Sample], ItemScore], *, higher_is_better: bool, description: str
) -> Metric:
    def score_batch(samples: Sequence[Sample]) -> list[ItemScore]:
        return [score(sample) for sample in samples]

    return Metric(
        name=name,
        family="refusal",
        range=(0, 1),
        higher_is_better=higher_is_better,
        needs=frozenset(),
        level="item",
        description=description,
        score_batch=score_batch,
        options={"empty": "no-refusal", "rules": "1"},
    )


def _refusal_accuracy(sample: Sample) -> ItemScore:
    return missing(ANSWERABLE) if sample.answerable else ItemScore(float(is_refusal(sample.prediction)))


def _over_refusal(sample: Sample) -> ItemScore:
    return ItemScore(float(is_refusal(sample.prediction))) if sample.answerable else missing(UNANSWERABLE)


refusal_accuracy = _refusal_metric(
    "refusal_accuracy",
    _refusal_accuracy,
    higher_is_better=True,
    description="1 when a question without an answer is refused, else 0; not applicable to answerable questions.",
)
over_refusal = _refusal_metric(
    "over_refusal",
    _over_refusal,
    higher_is_better=False,
    description="1 when a question that has an answer is refused, else 0; not applicable to unanswerable questions.",
)
