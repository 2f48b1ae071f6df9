"""Reading a judge's reply: the verdict that a person would find in it and what was mended, or why there is none.

A slip of form loses no verdict: words or a thinking block before the JSON, ``"4"`` for 4, a reason that is too long.
What could mean two things is missing with a reason: ``4/5``, two objects, a key that occurs twice, 7 of 5.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar, get_args

from telbench.reasoning import Reasoning

from .chat import ChatReply, writable
from .position_bias import Choice
from .schemas import (
    LONGEST_TEXT,
    MOST_CLAIMS,
    MOST_PASSAGES,
    MOST_REASONS,
    QUESTIONS,
    SCORES,
    Kind,
    parts_of,
    weighted_score,
)
from .strict_json import objects_in, read_strict_json
from .verdicts import (
    Claim,
    ClaimVerdicts,
    Faithfulness,
    GeneratedQuestions,
    JointVerdict,
    JudgedPassage,
    JudgedPassages,
    Missing,
    Outcome,
    Preference,
    RubricScore,
    SupportedClaim,
    Verdict,
    weighted_by,
)

Repair = Literal[
    "byte order mark",
    "in the trace",
    "thinking",
    "fence",
    "words around",
    "extra key",
    "number",
    "wording",
    "no list",
    "no reason",
    "long text",
    "cut after the end",
    "asked again",
]
REPAIRS: tuple[Repair, ...] = get_args(Repair)
Repairs = set[Repair]
W = TypeVar("W")

_BLANK = " \t\r\n"
_FENCE = re.compile(r"```\w*")
_FILTERED = "content_filter"
_WHOLE_NUMBER = re.compile(r"\s*([1-5])(?:\.0+)?\s*")
_REFUSAL = re.compile(
    r"(i['’]?m (very )?sorry|i am sorry|sorry,|i can(no|['’])t|i can not|i['’]?m (unable|not able)"
    r"|i am (unable|not able)|i (won['’]t|will not|must decline)|as an ai\b|i apologi[sz]e)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Reading:
    """A verdict, or why there is none, and the kinds of repair that it took to read it."""

    verdict: Verdict | Missing
    repairs: tuple[Repair, ...] = ()


class _SchemaError(Exception):
    """JSON that is not the verdict asked for."""


def read_verdict(kind: Kind, reply: ChatReply, count: int | None = None) -> Reading:
    """The verdict in a judge's reply, held to `schema_of` kind and count. Never raises for what a judge can say."""
    if reply.error is not None:
        reason = "timeout" if reply.timed_out else _FILTERED if _FILTERED in reply.error else "error"
        return Reading(Missing(reason, reply.error))
    if reply.finish_reason == _FILTERED:
        return Reading(Missing(_FILTERED, "the server filtered the judge's answer"))
    text = reply.text if reply.text.strip(_BLANK) else trace_verdict(reply) or ""
    if not text:
        if reply.refusal:
            return Reading(Missing("refusal", _one_line(reply.refusal)))
        if reply.finish_reason == "tool_calls":
            return Reading(Missing("tool_calls", "the judge called a tool instead of giving a verdict"))
    reading = read_text(kind, text, count)
    if text != reply.text and not isinstance(reading.verdict, Missing):
        reading = replace(reading, repairs=("in the trace", *reading.repairs))
    if reply.finish_reason == "length":
        # Engines that hold replies to a schema let white space run on behind it.
        if isinstance(reading.verdict, Missing) or not text.rstrip(_BLANK + "`").endswith("}"):
            return Reading(Missing("truncated", "the judge's answer was cut at its token limit"))
        reading = replace(reading, repairs=(*reading.repairs, "cut after the end"))
    if reply.logprobs is not None:
        return replace(reading, verdict=weighted_by(reading.verdict, *weighted_score(reply.logprobs)))
    return reading


def trace_verdict(reply: ChatReply) -> str | None:
    """The trace, where it is one JSON object and there is no text: servers that look for the end of a trace take all
    that a judge says for one if it does not think.
    """
    trace = (reply.reasoning or "").strip(_BLANK)
    if reply.text.strip(_BLANK) or not (trace.startswith("{") and trace.endswith("}")):
        return None
    return trace


def read_text(kind: Kind, text: str, count: int | None = None) -> Reading:
    """The verdict in ``text``: its one JSON object, whatever stands around it. Never raises for any text."""
    repairs: Repairs = set()
    body = text.strip(_BLANK)
    if body.startswith("\ufeff"):
        repairs.add("byte order mark")
        body = body.strip(_BLANK + "\ufeff")
    if not body:
        return Reading(Missing("empty", "the judge gave no text"))
    try:
        value = _only_value(body, repairs)
        verdict = _READERS[kind](value, repairs) if kind in _READERS else _read_joint(parts_of(kind), value, repairs)
        if isinstance(verdict, JudgedPassages) and len(verdict.passages) != (count or len(verdict.passages)):
            raise _SchemaError(f"passages has {len(verdict.passages)} entries for {count} passages")
    except _SchemaError as error:
        return Reading(Missing("schema", _one_line(str(error))))
    except _NoVerdictError as error:
        return Reading(error.missing)
    return Reading(verdict, tuple(kind for kind in REPAIRS if kind in repairs))


class _NoVerdictError(Exception):
    """No object to read a verdict from; ``missing`` says why."""

    def __init__(self, missing: Missing) -> None:
        super().__init__(missing.detail)
        self.missing = missing


def _only_value(body: str, repairs: Repairs) -> object:
    """The JSON that a text is, or the one object in it. Raises `_NoVerdictError`."""
    try:
        # Grammars that enforce a schema let control characters into strings, where they do no harm.
        return read_strict_json(body, unique_keys=True, control_characters=True)
    except (ValueError, RecursionError) as error:
        problem = str(error) or type(error).__name__
    separated = Reasoning().separate(body)
    if separated.trace is not None:
        if not separated.closed:
            raise _NoVerdictError(Missing("malformed", "the judge's thinking has no end"))
        if not separated.answer:
            raise _NoVerdictError(Missing("empty", "the judge thought and gave no verdict"))
        repairs.add("thinking")
        body = separated.answer
    try:
        found = objects_in(body)
    except (ValueError, RecursionError) as error:
        found, problem = [], str(error) or type(error).__name__
    before = body[: found[0][0]] if found else body
    if _REFUSAL.match(before.strip(_BLANK)):
        raise _NoVerdictError(Missing("refusal", _one_line(body)))
    if len(found) != 1:
        told = f"{len(found)} of them" if found else problem
        raise _NoVerdictError(Missing("malformed", _one_line(f"not one JSON object: {told}")))
    ((start, end, value),) = found
    around = f"{body[:start]} {body[end:]}"
    if _FENCE.search(around):
        repairs.add("fence")
    if _FENCE.sub("", around).strip(_BLANK):
        repairs.add("words around")
    return value


def _read_claims(value: object, repairs: Repairs) -> ClaimVerdicts:
    claims = []
    names: dict[str, Outcome] = {"TP": "TP", "FP": "FP", "FN": "FN"}
    for where, entry in _entries(value, "claims", {"claim", "verdict"}, {"reason"}, 0, MOST_CLAIMS, repairs):
        verdict = _word(entry["verdict"], names, f"{where}.verdict", repairs)
        claims.append(Claim(_text(entry["claim"], f"{where}.claim", repairs), _reason(entry, where, repairs), verdict))
    return ClaimVerdicts(tuple(claims))


def _read_faithfulness(value: object, repairs: Repairs) -> Faithfulness:
    claims = []
    for where, entry in _entries(value, "claims", {"claim", "supported"}, {"reason"}, 0, MOST_CLAIMS, repairs):
        claim, reason = _text(entry["claim"], f"{where}.claim", repairs), _reason(entry, where, repairs)
        claims.append(SupportedClaim(claim, reason, _truth(entry["supported"], f"{where}.supported", repairs)))
    return Faithfulness(tuple(claims))


def _read_score(value: object, repairs: Repairs) -> RubricScore:
    entry = _fields(value, "the verdict", {"score"}, {"reasons"}, repairs)
    score = entry["score"]
    if isinstance(score, bool) or not isinstance(score, int):
        # "4" and 4.0 say what 4 says.
        said = _WHOLE_NUMBER.fullmatch(str(score)) if isinstance(score, str | float) else None
        score = int(said[1]) if said and not isinstance(score, bool) else None
        repairs.add("number")
    if score not in SCORES:
        raise _SchemaError("score is not an integer from 1 to 5")
    return RubricScore(score, _reasons(entry, repairs))


def _read_questions(value: object, repairs: Repairs) -> GeneratedQuestions:
    entry = _fields(value, "the verdict", {"questions", "evasive"}, set(), repairs)
    listed = _checked_list(entry["questions"], "questions", QUESTIONS, QUESTIONS)
    questions = tuple(_text(text, f"questions[{place}]", repairs) for place, text in enumerate(listed))
    return GeneratedQuestions(questions, _truth(entry["evasive"], "evasive", repairs))


def _read_passages(value: object, repairs: Repairs) -> JudgedPassages:
    passages = []
    for where, entry in _entries(value, "passages", {"useful"}, {"reason"}, 1, MOST_PASSAGES, repairs):
        reason = _reason(entry, where, repairs)
        passages.append(JudgedPassage(reason, _truth(entry["useful"], f"{where}.useful", repairs)))
    return JudgedPassages(tuple(passages))


def _read_preference(value: object, repairs: Repairs) -> Preference:
    entry = _fields(value, "the verdict", {"winner"}, {"reasons"}, repairs)
    winners: dict[str, Choice] = {"first": "first", "second": "second", "tie": "tie"}
    winner = _word(entry["winner"], winners, "winner", repairs)
    return Preference(_reasons(entry, repairs), winner)


def _read_joint(parts: Sequence[Kind], value: object, repairs: Repairs) -> JointVerdict:
    """Verdicts under the names of their kinds; what is wrong with one of them loses that one alone."""
    entry, found = _fields(value, "the verdict", set(), set(parts), repairs), dict[str, Verdict | Missing]()
    for part in parts:
        try:
            if part not in entry:
                raise _SchemaError("it is not there")
            found[part] = _READERS[part](entry[part], repairs)
        except _SchemaError as error:
            found[part] = Missing("schema", _one_line(f"{part}: {error}"))
    lost = [each.detail for each in found.values() if isinstance(each, Missing)]
    if len(lost) == len(parts):
        raise _SchemaError("; ".join(lost))
    # Each reader makes a verdict of its own kind.
    return JointVerdict(**found)  # pyright: ignore[reportArgumentType]


_READERS: Mapping[Kind, Callable[[object, Repairs], Verdict]] = {
    "claims": _read_claims,
    "faithfulness": _read_faithfulness,
    "rubric_score": _read_score,
    "questions": _read_questions,
    "passages": _read_passages,
    "preference": _read_preference,
}


def _entries(
    value: object, name: str, needed: set[str], spared: set[str], least: int, most: int, repairs: Repairs
) -> list[tuple[str, dict[str, Any]]]:
    """The entries of the verdict's one list, each with its place."""
    entries = _checked_list(_fields(value, "the verdict", {name}, set(), repairs)[name], name, least, most)
    places = (f"{name}[{place}]" for place in range(len(entries)))
    return [
        (where, _fields(entry, where, needed, spared, repairs)) for where, entry in zip(places, entries, strict=True)
    ]


def _fields(value: object, where: str, needed: set[str], spared: set[str], repairs: Repairs) -> dict[str, Any]:
    """An object that has the keys that are needed; those that can be spared may lack, and others are passed over."""
    if not isinstance(value, dict):
        raise _SchemaError(f"{where} is not an object")
    if missing := sorted(needed - value.keys()):
        raise _SchemaError(f"{where} lacks {', '.join(missing)}")
    if value.keys() - needed - spared:
        repairs.add("extra key")
    return value


def _checked_list(value: object, where: str, least: int, most: int) -> list[Any]:
    if not isinstance(value, list):
        raise _SchemaError(f"{where} is not a list")
    if not least <= len(value) <= most:
        raise _SchemaError(f"{where} has {len(value)} entries, not {least} to {most}")
    return value


def _reasons(entry: Mapping[str, Any], repairs: Repairs) -> tuple[str, ...]:
    """The reasons of a verdict, cut to the limits; none where it gives none, which is no reason to lose it."""
    given = entry.get("reasons")
    if isinstance(given, str) and given:
        given = [given]
        repairs.add("no list")
    if given in (None, [], ""):
        repairs.add("no reason")
        return ()
    if not isinstance(given, list) or not all(isinstance(text, str) for text in given):
        raise _SchemaError("reasons is not a list of texts")
    if len(given) > MOST_REASONS:
        repairs.add("long text")
    return tuple(_spared_text(text, repairs) for text in given[:MOST_REASONS])


def _reason(entry: Mapping[str, Any], where: str, repairs: Repairs) -> str:
    given = entry.get("reason")
    if given is not None and not isinstance(given, str):
        raise _SchemaError(f"{where}.reason is not a text")
    return _spared_text(given or "", repairs)


def _spared_text(text: str, repairs: Repairs) -> str:
    """A reason, which may be empty; what is longer than the limit is cut."""
    if not text:
        repairs.add("no reason")
        return ""
    return _text(text, "a reason", repairs)


def _text(value: object, where: str, repairs: Repairs) -> str:
    if not isinstance(value, str) or not value:
        raise _SchemaError(f"{where} is not a text of 1 to {LONGEST_TEXT} characters")
    if len(value) > LONGEST_TEXT:
        repairs.add("long text")
    return writable(value[:LONGEST_TEXT])


def _word(value: object, words: Mapping[str, W], where: str, repairs: Repairs) -> W:
    """One of the words, in capitals or not."""
    if isinstance(value, str):
        if value in words:
            return words[value]
        for word, meaning in words.items():
            if value.strip().lower() == word.lower():
                repairs.add("wording")
                return meaning
    *others, last = words
    raise _SchemaError(f"{where} is not {', '.join(others)} or {last}")


def _truth(value: object, where: str, repairs: Repairs) -> bool:
    if isinstance(value, bool):
        return value
    repairs.add("wording")
    return _word(value, {"true": True, "false": False}, where, repairs)


def _one_line(text: str) -> str:
    return writable(" ".join(text.split())[:200])
