"""A judge's reply as ``judgements.jsonl`` keeps it, and the verdict read anew from such a record."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from .chat import ChatReply
from .contract import JudgeIdentity, JudgeTask
from .material import steering_signs
from .reading import Reading, read_verdict, trace_verdict
from .rubric import ANSWERS, Rubric
from .schemas import parts_of, score_alternatives, weighted_mean
from .verdicts import JointVerdict, Missing, Verdict, weighted_by

# Characters of a reply that are kept: more than a verdict of the longest texts takes.
LONGEST_REPLY = 20_000
# What is no part of a verdict as a judge writes it.
_COMPUTED = ("weighted", "mass")


def answered(record: Mapping[str, Any] | None) -> bool:
    """Is this a judge's reply, good or bad, and not a failure to get one, which is asked again?"""
    reply = None if record is None else record.get("reply")
    return isinstance(reply, Mapping) and reply.get("error") is None and isinstance(reply.get("text"), str)


def has_verdict(record: Mapping[str, Any] | None) -> bool:
    """Is this a judge's reply in which a verdict was found, with all its parts?"""
    return record is not None and answered(record) and record.get("missing") is None and not record.get("partly")


def suspicious(task: JudgeTask) -> tuple[str, ...]:
    """What in the answers that a task puts before a judge speaks to the judge; see `steering_signs`."""
    judged = (task.material.get(name, "") for name in ANSWERS)
    return tuple(dict.fromkeys(sign for text in judged for sign in steering_signs(text)))


def judgement_record(identity: JudgeIdentity, task: JudgeTask, reply: ChatReply) -> dict[str, Any]:
    """A reply with its verdict, or the reason why there is none.

    Of the log-probabilities only those of the score's token are kept, and of an endless text (``cut``) the verdict in
    it, or its two ends where it has none.
    """
    reading = read_verdict(task.rubric.kind, reply, task.count)
    missing = asdict(reading.verdict) if isinstance(reading.verdict, Missing) else None
    verdict = None if missing else asdict(reading.verdict)
    record: dict[str, Any] = {
        "item_id": task.item_id,
        "judge": identity.name,
        "rubric": f"{task.rubric.name}-{task.rubric.version}",
        "rubric_sha256": task.rubric.sha256,
        "reply": {
            "text": reply.text,
            "finish_reason": reply.finish_reason,
            "prompt_tokens": reply.prompt_tokens,
            "completion_tokens": reply.completion_tokens,
            "model": reply.model,
            "error": reply.error,
        },
        "verdict": verdict,
        "missing": missing,
        "repaired": list(reading.repairs),
        "suspicious": suspicious(task),
    }
    if len(parts_of(task.rubric.kind)) > 1:
        record["kind"] = task.rubric.kind
    if isinstance(reading.verdict, JointVerdict) and reading.verdict.lacking:
        record["partly"] = {kind: each.reason for kind, each in reading.verdict.lacking.items()}
    if trace := trace_verdict(reply):
        record["reply"]["reasoning"] = trace[:LONGEST_REPLY]
    if reply.batch:
        record["reply"]["batch"] = True
    if reply.refusal:
        record["reply"]["refusal"] = reply.refusal[:LONGEST_REPLY]
    if len(reply.text) > LONGEST_REPLY:
        ends = f"{reply.text[: LONGEST_REPLY // 2]}\n[…]\n{reply.text[-LONGEST_REPLY // 2 :]}"
        text = ends if verdict is None else json.dumps(_said(verdict))
        record["reply"] |= {"cut": len(reply.text), "text": text}
    if reply.logprobs is not None and (chances := score_alternatives(reply.logprobs)) is not None:
        record["score_logprobs"] = chances
    return record


def _said(verdict: Mapping[str, Any]) -> dict[str, Any]:
    """A verdict's values as the judge wrote them, those of its parts included."""
    return {
        name: _said(value) if isinstance(value, Mapping) else value
        for name, value in verdict.items()
        if name not in _COMPUTED and value is not None
    }


def mended_record(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    """The record of what a judge said when its fault was named; its ``first`` reply and that fault stay in it.

    Where that gives no more verdicts than the first reply gave, the first one stays, with the other as ``again``.
    """
    if first["missing"] is None and (second["missing"] or len(second.get("partly", ())) >= len(first["partly"])):
        return {**first, "again": second["reply"]}
    fault = first["missing"] or {"reason": "schema", "detail": f"without {', '.join(first['partly'])}"}
    repaired = [] if second["missing"] else [*second["repaired"], "asked again"]
    return {**second, "repaired": repaired, "first": {**first["reply"], "missing": fault}}


def recorded_reading(rubric: Rubric, record: Mapping[str, Any] | None, count: int | None = None) -> Reading:
    """The verdict in a ledger's record, read anew from the judge's own words; ``count`` is the task's.

    Of a reply with several verdicts it is all of them, whatever the rubric's kind.
    """
    if record is None:
        return Reading(Missing("error", "the judge was not asked"))
    reply, lacking = record.get("reply"), record.get("missing")
    if not isinstance(reply, Mapping):
        return Reading(Missing("error", "the record holds no reply"))
    lacking = lacking if isinstance(lacking, Mapping) else None
    if lacking is not None and reply.get("cut"):
        return Reading(Missing(lacking["reason"], str(lacking.get("detail") or "")))
    given = ChatReply(
        "",
        str(reply.get("text") or ""),
        # What was kept of an endless text is the whole verdict.
        None if reply.get("cut") else reply.get("finish_reason"),
        error=reply.get("error"),
        # What the deadline did is told by the reason alone.
        timed_out=lacking is not None and lacking.get("reason") == "timeout",
        refusal=reply.get("refusal"),
        reasoning=reply.get("reasoning"),
    )
    reading = read_verdict(record.get("kind", rubric.kind), given, count)
    if reply.get("cut"):
        reading = replace(reading, repairs=tuple(record.get("repaired") or ()))
    elif record.get("first") and not isinstance(reading.verdict, Missing):
        reading = replace(reading, repairs=(*reading.repairs, "asked again"))
    chances = record.get("score_logprobs")
    if isinstance(chances, Mapping):
        return replace(reading, verdict=weighted_by(reading.verdict, *weighted_mean(chances)))
    return reading


def recorded_verdict(rubric: Rubric, record: Mapping[str, Any] | None, count: int | None = None) -> Verdict | Missing:
    """The verdict of `recorded_reading`."""
    return recorded_reading(rubric, record, count).verdict
