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

_THE = (
    r"(?:the|this|that|your|any|these|those)"
    r"(?: (?:given|provided|supplied|available|above|retrieved|present|following|quoted|attached|relevant|entire|whole|"
    r"specification|standard|source|reference|input|3gpp))*"
)
_PLACE = (
    r"(?:contexts?|passages?|texts?|excerpts?|extracts?|paragraphs?|documents?|documentation|clauses?|snippets?|"
    r"fragments?|(?:source|reference) materials?|search results?|knowledge base|articles?|sections?|"
    r"pages?(?= (?:given|provided|supplied|above|you|do(?:es)? not|doesn't|don't))|chunks?|sources|"
    r"(?:given|provided|available|known) (?:data|facts|information|content|material)|content)"
)
# Where an answer would have to come from; a UE context or a PDP context is none.
_SOURCE = (
    rf"(?:{_THE} {_PLACE}(?: (?:above|you (?:have )?(?:provided|gave|given|shared|supplied)|at hand|alone|here|"
    rf"(?:that )?(?:(?:is|was|i was|i am|i have been|you have) )?(?:given|provided|supplied)))?|"
    rf"(?:the )?(?:given|provided|supplied) (?:{_PLACE}|information)|"
    rf"{_THE} (?:information|material) (?:given|provided|at hand|available|supplied)|"
    rf"{_THE} (?:information|materials?|data|{_PLACE}) (?:that )?(?:i|we) (?:was|were|have|had|have been|had been|am|"
    rf"are) "
    r"(?:\w+ )?(?:given|handed|shown|sent|provided|supplied|told)|"
    r"what(?:'s| is| was| has been| i was| we were| i am| i have been| you) (?:\w+ )?(?:quoted|given|shown|provided|"
    r"supplied|written|said|told|sent|handed|shared|gave|cited|printed)(?: here| there| above)?|"
    rf"{_THE} {_PLACE} (?:quoted|cited|shown|printed|reproduced)"
    r"|what i (?:have|read|see|know|can see|have seen)\b)"
    r"(?! (?:by (?!you|me|the user)|types?|identif\w+|id|ids|numbers?|servers?|format|size|length|setup|transfer|"
    r"modification|management|root|object|creation|store|switch))"
)
_IN_SOURCE = rf"(?:in|from|by|within|on|with|using|of|anywhere in|based on|given|by) (?:only )?(?:{_SOURCE}|{_PLACE})"
_NO = r"(?:not|never|nowhere)"
_CANNOT = r"(?:cannot|can't|can not|could not|couldn't|(?:am |'m |are |'re |was |were )?(?:unable|not able) to)"
_GIVEN = (
    r"(?:mentioned|specified|stated|given|provided|indicated|described|found|defined|included|available|answered|"
    r"addressed|covered|discussed|disclosed|contained|explained|listed|named|present|detailed|supplied|to be found)"
)
_TELL = (
    r"(?:mention|specify|state|give|provide|indicate|describe|discuss|cover|contain|include|address|explain|answer|say|"
    r"tell|define|disclose|list|name|support|clarify|reveal|detail|elaborate|touch|refer|offer|have|supply|deal|"
    r"make (?:it )?(?:clear|any)|go into)"
)
_ANSWER = (
    r"(?:answer|determine|tell|say|infer|deduce|find|conclude|help|know|locate|identify|establish|verify|confirm|"
    r"ascertain|derive|figure|access|respond|calculate|compute|provide|give|state|specify|comment|judge|see "
    r"(?:any|where)|provide (?:you with )?an? (?:\w+ )?answer|be (?:sure|certain)|assist)"
)
_NEWS = r"(?:information|info|mention|details?|indication|definition|explanation|answer|data|evidence|reference)"
_ENOUGH = r"(?:enough|sufficient|adequate)"

# What says that something is not there, and words about telling: together with a source they are a refusal.
_LACK = (
    r"(?:(?<!or )not|no|nothing|nowhere|never|none|neither|cannot|can't|unable|fails? to|lacks?|lacking|without|"
    r"missing|absent|"
    r"omits?|omitted|stops short|leaves? (?:out|\w+ \w+ open)|stops before|ends before|unrelated|irrelevant|off topic|"
    r"another (?:topic|subject)|silent|unclear|unavailable|insufficient|beyond|outside|impossible|unspecified)"
)
_TOLD = (
    r"(?:mention\w*|specif\w+|stat(?:e|es|ed|ing)|giv(?:e|es|en)|provid\w+|indicat\w+|describ\w+|discuss\w*|cover\w*|"
    r"contain\w*|includ\w+|address\w*|explain\w*|answer\w*|says?|said|tells?|told|defin\w+|information|details?|"
    r"bears?(?:ing)? on|pertain\w*|naming|telling|let us|allows?|permits?|suffices?|concluded?|support\w*|hints?|"
    r"touch\w*|question|topic|subject|"
    r"clear|unclear|part of|present|available|unavailable|found|determin\w+|inferred|derived|possible|impossible|"
    r"help\w*|enough|emerge\w*|decide\w*|matter|reveal\w*|data|reference|figure|value|nothing|silent|insufficient|"
    r"enough|missing|omit\w*|leaves? out|known?|infer)"
)
# Nothing in telecom is called so: that it lacks anything, or ends before, is enough. "Passage of a packet" is none.
_WRITTEN = (
    r"(?:passages?|excerpts?|extracts?(?! (?:only|the|a|an|its)\b)|snippets?|paragraphs?|documentation|"
    r"question(?! marks?)|"
    r"(?:given|provided|supplied|quoted|source|reference|retrieved|attached|available) (?:contexts?|texts?|clauses?|"
    r"sections?|materials?|documents?|sources?|specifications?|content|information|pages?)|"
    rf"{_PLACE} (?:that )?(?:you|i was|we were|i have been) (?:\w+ )?(?:gave|given|sent|shown|handed|provided|shared|"
    r"pasted|supplied|quoted)(?: me| us)?)"
    r"(?! (?:of (?!the (?:document|specification|standard))|messages?|fields?|strings?|elements?|indicators?|format))"
)
_EXCERPT = rf"(?:the|this|that|your|these|neither|none of the|what the|a) (?:\w+ ){{0,2}}{_WRITTEN}"
_SHORT_OF = (
    r"(?:too (?:early|short|brief|vague|little|general)|(?:cut|breaks?|broken) off|vague|mute|something else|else|"
    r"other (?:things|matters|topics)|different (?:topic|subject|matter)|elsewhere|only (?:the abstract|part of)|"
    r"remains? open|in the dark|(?:stops?|ends?) (?:short|before|at))"
)
# Who says "I" and denies anything does not answer; "Annex I" and "class I" are numbers.
_SPEAKER = (
    r"(?<!annex )(?<!class )(?<!type )(?<!phase )(?<!part )(?<!category )(?<!level )(?<!appendix )(?<!stage )"
    r"(?<!table )"
    r"(?:\bi(?:'m|'ve|'d|'ll)|\bi (?:am|was|have|had|do|did|can|could|will|would|must|might|may|should|fear|regret|"
    r"find|found|see|saw|know|lack|looked|searched|read|got|admit)|\bi (?=\w+n't\b|cannot\b))"
    r"(?! (?:sure that|certain that|think|believe|guess that|say that|assume|mean))"
)

RULES = {
    "the excerpt lacks it": (
        rf"\b{_EXCERPT}\b[^.]*(?:\b{_LACK}\b|n't\b|\b(?:only|solely|{_SHORT_OF})\b)|(?:\b{_LACK}\b|n't\b|"
        rf"\bunanswered\b)"
        rf"[^.]*\b{_EXCERPT}\b|^neither {_WRITTEN}\b|\b{_SOURCE}[^.]*\b{_SHORT_OF}\b"
    ),
    "who says I denies": (
        rf"{_SPEAKER}[^.,;]*(?:\b{_LACK}\b|n't\b|\b(?:blank|unfamiliar|unsure|uncertain|unaware)\b)|"
        r"\bi (?:don't|do not|didn't|did not|can't|cannot|couldn't|could not|haven't|have not|wouldn't|would not|"
        r"won't)\b(?! (?:think|believe)\b)|"
        rf"(?:\b{_LACK}\b|n't\b)[^.,;]*\bto (?:me|us)\b(?! by)|\b(?:beyond|outside)(?: of)? my\b"
    ),
    "no use guessing": (
        r"^(?:it is |it's |that is |that's |this is )?(?:hard|difficult|impossible|tough|tricky) to (?:say|tell|answer|"
        r"know|judge|determine)\b(?! (?:the|apart|which .* apart))|"
        r"\bthere(?:'s| is) no (?:telling|saying|knowing)\b|\bnothing (?:here |there )?to go (?:on|by)\b|"
        rf"\bnowhere in {_SOURCE}|\bit would (?:take|need|require)\b[^.]* to {_ANSWER}|"
        r"^(?:it|this|that)(?:'s not| is not| isn't| was not| wasn't) (?:said|told|mentioned|explained)\W*$|"
        r"\b(?:i|we) lack (?:the )?(?:evidence|facts|means|basis)\b|"
        r"^no (?:idea|clue)\b|\b(?:only|just|merely) (?:be )?(?:a|my) guess\b|"
        rf"^(?:which|whether|how|when|what|who|where|why)\b[^.,]* (?:is|was|are|were) (?:{_NO} (?:\w+ )?(?:mentioned|"
        r"stated|said|given|specified|described|explained|clear|told)|unclear|unknown|left open|open)\W*$|"
        r"^(?:the )?(?:information|details?|data|answers?) (?:about|on|regarding|for|to|concerning)[^.,]* (?:could|"
        r"can) (?:not|n't) be (?:found|located|determined|given)|"
        rf"^(?:it is |it's |this is |that is |that's )?(?:{_NO}|in|un|non) ?(?:\w+ )?(?:determinable|deducible|"
        r"described|mentioned|stated|covered|discussed|disclosed|addressed|detailed|explained|"
        r"inferable|derivable|answerable|ascertainable|knowable|decidable)(?: (?:here|there|anywhere))?\W*$|"
        rf"^(?:out of|outside|beyond|not within|not in)(?: the)? (?:scope|reach)? ?(?:of )?{_SOURCE}\W*$"
    ),
    "the source lacks what is told": (
        rf"\b{_SOURCE}\b(?=[^.]*\b{_TOLD}\b)(?! (?:is|are|was|of|message))[^.]*(?:\b{_LACK}\b|n't\b)|"
        rf"^[^.]*(?:\b{_LACK}\b|n't\b)(?=[^.]*\b{_TOLD}\b|[^.]*\.?$)[^.]*\b{_IN_SOURCE}\b(?! (?:of|message|id|is|are))"
    ),
    "the speaker lacks it": (
        rf"\b(?:i|we)(?:'m|'ve|'d)?(?: (?!think|believe|guess|assume|suppose)\w+){{0,2}}(?: {_LACK}|n't)(?: "
        rf"\w+){{0,3}} "
        r"(?:know\w*|information|info|answer\w*|see|find|say|tell|told|respond|determine|work (?:it|this|that) "
        r"out|context|details?|help|idea|sure|certain|view|access)\b|"
        rf"\bmy (?:\w+ )?(?:knowledge|information|training|data)\b[^.]*(?:\b{_LACK}\b|n't\b)|"
        r"\b(?:one|nobody|you) (?:cannot|can't|can not|could not) (?:tell|say|know|determine|answer)\b"
    ),
    "nothing is told": (
        rf"(?:^|[.,] )(?:no|nothing) ?(?:{_NEWS}|figures?|value)?s?\b[^.]*\b(?:is|are|was|were) (?:given|said|"
        rf"stated|mentioned|"
        r"provided|supplied|included)\b(?! (?:by|to|in the (?:message|field|header|ie)))|"
        r"\bthe (?:requested|needed|required|necessary|missing|asked|relevant) (?:information|details?|answer|"
        r"value|figure|data)"
        rf"\b[^.,]*(?:\b{_LACK}\b|n't\b)|\b(?:information|answer|details?) (?:\w+ )?(?:is|was|are|were)(?: not|"
        rf"n't) (?:present|here|"
        r"there|to be found|provided|available|given)\W*$|"
        rf"\b(?:this|that|it) (?:\w+ )?(?:is|was)(?: not|n't)(?: \w+)? (?:something|anything)\b[^.]*\b{_SOURCE}|"
        rf"\b{_CANNOT} be worked out\b|\b(?:speculat(?:ion|ing|e)|guesswork)\b|\b(?:can|could|would) only (?:be "
        rf")?guess|"
        r"^(?:it|this|that)(?:'s| is| was)(?: not|n't) (?:in )?(?:there|here|given|told|supplied|stated)\W*$|"
        r"^(?:this|that|such|the) (?:information|detail|value|figure|answer) (?:is|was)(?: not|n't) (?:given|"
        r"supplied|provided|stated|there|included|shared|disclosed)\W*$|^nothing (?:there|here|in there|in it)\b|"
        rf"\b(?:information|material|facts?|data) (?:given|provided|at hand|available|"
        rf"supplied)\b(?! (?:by (?!you)|to|from))[^.]*(?:\b{_LACK}\b|n't\b)|"
        r"\b(?:i|we)(?:'d| would)(?: have to| need to| like to) (?:see|have|read|consult|know|check|look|ask)\b|"
        r"\b(?:relevant|needed|missing) (?:part|section|passage)s? of the (?:document|text|"
        r"specification)\b[^.]*\b(?:missing|not|absent|cut)\b"
    ),
    "the whole answer in a few words": (
        rf"^(?:(?:answer|a): )?(?:sorry,? |unfortunately,? )?(?:unanswerable|no answer(?: (?:found|available|"
        rf"possible))?|n/a|"
        rf"(?:the answer is |it is |it's |that is |that's )?(?:unknown|not known|unclear|uncertain|undetermined)|"
        rf"(?:this is |it is |it's )?{_NO} (?:mentioned|stated|given|provided|known)|no idea|{_NO} answerable|"
        rf"(?:it |this |that )?(?:{_CANNOT} be (?:determined|answered|inferred|known|established|said)|{_CANNOT} "
        rf"(?:say|determine|tell|answer)(?: (?:this|that|it|the question))?)|"
        rf"(?:no|not {_ENOUGH}|insufficient|lacking) (?:relevant |such |further )?(?:information|info|data|context|"
        rf"evidence|details?)(?: (?:is|was|are|were))?(?: (?:available|{_GIVEN}))?|"
        rf"(?:information|details?|data) (?:is |are )?{_NO} (?:{_GIVEN})|"
        rf"(?:it is |it's )?impossible to {_ANSWER}|don't know(?:,? sorry)?|dunno|no clue)\W*$|"
        rf"^(?:answer|a): {_NO} (?:{_GIVEN}|known)\W*$"
    ),
    "the speaker does not know": (
        r"\b(?:i|we) (?:(?:really|honestly|simply|just|actually|currently) )?(?:do not|don't) (?:really |actually "
        r"|currently )?"
        r"(?:know|have (?:\w+ ){0,2}(?:information|info|knowledge|context|details|data|idea|answer|access|evidence))\b|"
        r"\bi (?:\w+ )?have no (?:\w+ )?(?:idea|clue|information|knowledge|data|way|access)\b|"
        r"\b(?:i|we) (?:\w+ )?lack (?:the )?(?:\w+ )?(?:information|knowledge|context|details|data)\b|"
        r"\b(?:i am|i'm|we are|we're) (?:not sure|unsure|not certain|uncertain|not aware|not familiar)\b|"
        r"\b(?:i|we)(?: would|'d| will|'ll)? need (?:more|further|additional|some more)\b|"
        r"\bthere (?:is|'s) no way (?:for me )?(?:to|of) (?:tell|know|say|determin|answer|be)|\bthere's no way "
        r"(?:for me )?to\b|\bas an? (?:ai|large language|language)\b[^.]*(?:\bnot\b|n't\b|\bcannot\b|\bunable\b|\bno\b)"
    ),
    "the speaker will not guess": (
        r"\b(?:escapes|eludes|beats|defeats) (?:me|us)\b|\b(?:anyone|anybody|your) ?(?:'s)? guess\b|"
        r"\b(?:i|we)(?: would|'d) (?:rather|prefer) not (?:to )?(?:guess|say|speculate|answer|comment)|"
        r"\bnot (?:something|a question|anything|one) (?:that )?(?:i|we) (?:can|could|am able to|are able to)\b|"
        r"\b(?:i|we)(?: am| are|'m|'re| was| were) (?:not in a position to|at a loss|stumped|in no position to|"
        r"ill equipped|poorly placed|hard pressed)\b|"
        r"^(?:sorry,? |honestly,? |alas,? )?(?:no (?:clue|idea)|not a clue|search me|i pass|pass|who knows)"
        r"(?:,? (?:sorry|i'm afraid|i am afraid))?\W*$|"
        r"^(?:it|this|that|the \w+) (?:does not|doesn't|did not|didn't) (?:say|tell|specify)(?: so| that| this| which| "
        r"here| there)?\W*$|"
        rf"^not (?:\w+ )?{_IN_SOURCE}\W*$|"
        r"\bthere (?:is|'s|was)(?:n't| not) (?:anything|a word|a hint|a line) (?:here|there|in (?:it|here|there)|"
        r"about|on)\b|"
        r"\b(?:insufficient|too little|not enough|too few) (?:\w+ )?(?:details?|facts|material|information|context) "
        rf"(?:is |are )?(?:\w+ )?to {_ANSWER}|"
        r"\b(?:one|you|we|i)(?: would|'d) (?:need|have to have|require)\b[^.]* (?:to|in order to|before) "
        rf"(?:\w+ )?{_ANSWER}"
    ),
    "the speaker asks back": (
        r"^(?:\w+[,!.] )?(?:please|kindly|(?:can|could|would|will) you)(?: \w+){0,2} (?:clarify|specify|share|"
        r"elaborate|"
        r"rephrase|paste|upload|provide|tell me|give me|send me)\b|"
        r"\bplease (?:clarify|specify|share|paste|rephrase|(?:provide|give|send|supply) (?:me|us|more|the (?:full|rest|"
        rf"complete|relevant)|further|additional|{_THE}))\b|"
        r"\b(?:what|which \w+) do you mean\b|\bwhat is meant by\b[^.]*\?|\bdid you mean\b|\bi wish i (?:could|knew|"
        r"had)\b"
    ),
    "in passing": (
        rf"\bthere (?:is|was|'s)(?:n't| not) {_ENOUGH} (?:(?:here|there|{_NEWS}|context|text|material) )?to\b|"
        rf"\banswer not found\b|\bidk\b|"
        r"^(?:\w+,? )?not sure (?:about|what|which|how|if|whether|of|why)\b|\bi can only (?:see|find|tell)\b|"
        r"\b(?:irresponsible|wrong|pointless|unwise|premature) (?:of me )?to (?:guess|speculate|answer|say)\b|"
        r"\b(?:you|one)(?:'d| would) (?:have|need) to (?:look|check|consult|ask|see|read|refer)\b|"
        r"\b(?:does|do|did)(?:n't| not) tell (?:us|me)\b|\bno answer (?:to be found|here|there)\b|"
        rf"\bnot (?:something|anything|a (?:point|topic|matter)) (?:that )?{_SOURCE} (?:covers|mentions|addresses|says|"
        r"tells|discusses)\b|\bthe (?:required|needed|relevant|referenced|quoted) (?:table|figure|annex|part|page) is "
        r"(?:missing|not (?:here|there|included|given))|"
        r"^(?:\w+,? )?(?:dunno|no clue|(?:wouldn't|don't|can't|couldn't) (?:really )?(?:know|say|tell|help))\b|"
        r"^(?:question )?unanswerable\b|^n/a\b(?=\W*(?:$|not|no|info|the|data|missing))|^pass(?:[.!]|$)|"
        r"^not (?:really |quite |too |entirely )?(?:sure|certain)\b(?=\W*$|[.!]|,? (?:sorry|tbh|about (?:this|that|"
        r"it)))|"
        rf"^(?:\w+, )?{_CANNOT} (?:say|tell|answer|determine|help)\b(?=[,;:.])|"
        r"\b(?:i|we)(?:'d| would)(?: only| just| merely)? be (?:guessing|speculating)\b|"
        r"\bi(?:'ll| will)(?: have to)? pass\b(?! (?:the|a|an|it|on|by|through))|"
        r"(?:^|[.;:,] )(?:there(?:'s| is| was) )?nothing (?:here|there|in (?:it|here|there)) (?:about|on|regarding|"
        r"that|to)\b|"
        rf"\b(?:{_SOURCE}|{_EXCERPT}) neither \w+ nor\b|\bquestion (?:remains|stays|is left|goes) unanswered\b|"
        rf"\b(?:i|we) lack (?:the )?(?:\w+ )?(?:expertise|competence|background|experience)\b|"
        rf"\b(?:falls|lies|is|goes) (?:outside|beyond)(?: of)? (?:{_SOURCE}|what i)\b|"
        rf"(?:^|[.] )(?:not {_ENOUGH}|insufficient|no relevant|no useful|too little) (?:information|info|data|context|"
        rf"details?)[.;]"
    ),
    "the speaker was not told": (
        r"\b(?:i|we) (?:am|are|was|were) not (?:given|provided|told|shown)\b|"
        r"^(?:not found|no (?:\w+ )?(?:sources?|results?|matches|passages?) (?:were |was )?found)\b"
    ),
    "the speaker cannot answer": (
        rf"\b(?:i|we)(?: |(?='))(?:\w+ )?(?:{_CANNOT}) (?:\w+ ){{0,2}}{_ANSWER}\b|"
        rf"^(?:sorry|unfortunately|my apologies|i apologi[sz]e)\b[^.]*\b(?:{_CANNOT}) (?:\w+ )?{_ANSWER}"
    ),
    "the question cannot be answered": (
        rf"\b(?:the|this|your|that) (?:(?:question|problem)(?: {_CANNOT} be| is {_NO}| isn't)|"
        rf"(?:request|query) {_CANNOT} be) (?:\w+ )?(?:answer(?:ed|able)|addressed|covered)\b|"
        r"\b(?:the|this|your|that) (?:question|query|problem|request) (?:is unanswerable|(?:goes|is|falls|lies) "
        r"(?:beyond|outside))\b|"
        rf"(?:^|[.,] )(?:it|this|that|the answer)? ?(?:{_CANNOT} be (?:\w+ )?(?:answered|determined|inferred|"
        rf"deduced|derived|"
        rf"established|known|told|said|given)|(?:is|'s|isn't) ?(?:not possible|possible|impossible) to {_ANSWER})\b"
        rf"[^.]*\b{_IN_SOURCE}\b|(?:^|[.] )(?:based|going|relying|judging)? ?{_IN_SOURCE}[^.]*"
        rf"(?:(?:it is|it's|is) (?:not possible|impossible) to {_ANSWER}|\b(?:it|this|that) {_CANNOT} be |"
        rf"\bno (?:definite |clear |exact )?(?:answer|conclusion) (?:can|is))|"
        rf"\bno (?:\w+ )?answer (?:can|could) be (?:given|found|derived|determined|provided)\b"
    ),
    "the answer is not there": (
        rf"\banswer (?:to (?:the|this|that|your) question )?(?:(?:is|was)(?: {_NO}|n't) (?:\w+ )?(?:{_GIVEN}|here|"
        rf"there|in {_SOURCE})|(?:is|was) (?:unknown|unclear|missing|absent)|{_CANNOT} be (?:found|determined|given|"
        rf"derived|inferred))|\b(?:missing|absent|omitted|left out) (?:from|in) {_SOURCE}|"
        rf"\b(?:beyond|outside(?: of)?|out of)(?: what| the scope of)? {_SOURCE}|"
        rf"(?:\b{_NO}|n't|\bun)(?: |(?=clear))(?:\w+ )?(?:clear|evident|apparent|obvious|possible to \w+) {_IN_SOURCE}"
    ),
    "the source does not tell": (
        rf"\b{_SOURCE}(?: above)?(?: \w+ly)? (?:(?:does|do|did)(?: not|n't)|(?:\w+ )+and does not) (?:\w+ "
        rf"){{0,2}}{_TELL}\b|\b{_SOURCE} never {_TELL}s?\b|"
        rf"\b{_SOURCE}(?: \w+ly)? (?:lacks?|(?:is|are|remains?) silent|(?:says?|tells?) nothing|"
        rf"(?:contains?|provides?|gives?|has|have|offers?|makes?|includes?|holds?) (?:no|nothing)|"
        rf"(?:is|are) (?:insufficient|not {_ENOUGH})|leaves? (?:this|it|that) (?:undefined|open|unspecified|"
        rf"unclear|unanswered))\b|(?:\b{_NO}|n't) (?:\w+ )?{_GIVEN} (?:\w+ )?{_IN_SOURCE}\b|"
        rf"\b(?:nothing|no {_NEWS})\b[^.]*\b{_IN_SOURCE}\b|\bnone of {_SOURCE}|\bneither of {_SOURCE}|"
        rf"\bthe source (?:does not|doesn't) (?:mention|specify|state|say|tell|discuss|provide (?:the|this|that|any) "
        rf"(?:requested|information|answer|value|detail))"
    ),
    "there is no information": (
        rf"(?:^|[.,] )(?:there (?:is|was) )?"
        rf"(?:no (?:(?!other)\w+ )?(?:(?:information|mention) (?:is |was )?(?:{_GIVEN}|made|about|of|on|to|"
        rf"regarding|for)|answer (?:is |was )?(?:{_GIVEN}|made|to (?:the|this|that|your) question))|no (?:definitive|"
        rf"concrete|clear|definite|certain|single|known|public) (?:answer|information)|"
        rf"(?:insufficient|not {_ENOUGH}) (?:information|context|details|data|evidence)\b(?= (?:to|for|in)|\W*$))|"
        rf"\bthere (?:is|are|was|'s)(?:n't| not) (?:{_ENOUGH}|any) {_NEWS}\b(?= (?:to|for|in|about|on|regarding|"
        rf"that)|\W*$)"
    ),
}
_REFUSES = re.compile("|".join(f"(?:{rule})" for rule in RULES.values()), re.IGNORECASE)
# No rule finds anything where none of these stands; most answers are read no further.
_SIGNS = (
    r"n't\b|\b(?:no\b|not|none|nothing|nowhere|never|neither|cannot|n/a|un|im|ins|irrel|miss|abs|omi|lea|lef|silent|"
    r"lack|"
    r"fail|without|escapes|eludes|beats|defeats|anyone|anybody|search me|pass\b|who knows|would|hard|difficult|tough|"
    r"tricky|vague|mute|cut|breaks|broken|elsewhere|other|different|only|remains|i |i'|at a loss|stumped|"
    r"too (?:little|few)|"
    r"please|kindly|you |wish|idk|something else|irrespons|unwise|beyond|outside|out of|stops|ends|another|off|specul|"
    r"guess|need|have to|like to|language|dunno|open)"
)
# Letters are told apart faster than they are compared in either case; ASCII has no letter that lower case loses.
_MAY_REFUSE, _MAY_REFUSE_ASCII = re.compile(_SIGNS, re.IGNORECASE), re.compile(_SIGNS)
_DENIAL = (
    r"\b(?:not|no|cannot|can't|unknown|unclear|more|further|please|nothing|never|none|nowhere|neither|fails?|lacks?|"
    r"missing|silent|stops|ends|leaves|unanswered|unable|outside|beyond|only|guess\w*)\b|n't\b"
)
# An answer after all: three words without another denial, after a word that turns, or after a concession.
_TURNS = re.compile(
    rf"(?:\b(?:but|however|nevertheless|nonetheless|still|that said)\b|"
    rf"^(?:although|though|while|even though|even if)\b[^.,]*,|"
    rf"[;.] (?:it|this|that|they|the \w+) (?:is|are|was|may be|might be) (?:probably|likely|most likely|"
    rf"presumably))(?![^.]{{0,90}}(?:{_DENIAL}))(?=(?:\W*\w+){{3}})|"
    r"[,;:.] (?:roughly|approximately|probably|presumably|perhaps|maybe|around|about|i'd say|i would say|likely)"
    r" (?:\w+ ){0,2}\d",
    re.IGNORECASE,
)
# What chats leave out: "doesnt say".
_APOSTROPHE = re.compile(r"\b(do|does|did|is|are|was|were|wo|ca|could|would|should|have|has|had)nt\b", re.IGNORECASE)
_LABEL = re.compile(r"^[^:]*:[^:]*[.;] (?:final )?answer: (?=\w)", re.IGNORECASE)
# "The document states that" and "according to the passage" only say where an answer comes from.
_ATTRIBUTED = re.compile(
    rf"\b(?:according to|as (?:stated|described|mentioned|said) in) {_SOURCE},? |"
    rf"\bas (?:{_SOURCE}|{_EXCERPT}) (?:explains|says|states|notes|tells|puts it|shows|describes|mentions|"
    rf"specifies),? |"
    rf"(?:^|[.,] )(?:{_SOURCE}|{_EXCERPT}) (?:\w+ly )?(?:states?|says?|mentions?|explains?|describes?|specifies|"
    rf"refers|notes?|"
    r"indicates?|tells|discusses|suggests?|shows?|lists?|reports?)\b(?![^.]*(?:\bbut\b|\bthough\b|\bnothing\b|;))",
    re.IGNORECASE,
)


def is_refusal(answer: str) -> bool:
    """Does the answer refuse? An empty one does not: it says nothing, not that there is nothing to say.

    >>> is_refusal("The context does not mention it."), is_refusal("Cause value unknown")
    (True, False)
    """
    text = unicodedata.normalize("NFKC", answer[: 4 * OPENING]).replace("\u2019", "'").replace("*", "")
    text = " ".join(text.split())
    if not text.isascii() or "nt" in text.lower():
        text = _APOSTROPHE.sub(r"\1n't", text)
    text = text[:OPENING]
    # "Context: nothing on it. Answer: cannot be determined."
    text = _LABEL.sub("", text)
    signs = _MAY_REFUSE_ASCII.search(text.lower()) if text.isascii() else _MAY_REFUSE.search(text)
    if signs is None:
        return False
    text = _ATTRIBUTED.sub("", text)
    return bool(_REFUSES.search(text)) and _TURNS.search(text) is None


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
        options={"empty": "no-refusal", "rules": "4"},
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
