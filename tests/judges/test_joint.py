"""Three verdicts in one reply: each is read by its own rules, and what is wrong with one loses that one alone."""

from __future__ import annotations

import json
from typing import Any

import pytest

from telbench.judges.chat import ChatReply
from telbench.judges.contract import JudgeIdentity, JudgeTask, judge_request
from telbench.judges.panel import JudgePanel, MemoryLedger
from telbench.judges.reading import read_verdict
from telbench.judges.records import LONGEST_REPLY, has_verdict, judgement_record, recorded_reading
from telbench.judges.rubric import Rubric, joint_rubric, load_rubric
from telbench.judges.schemas import JOINTS, SCHEMAS, parts_of
from telbench.judges.verdicts import ClaimVerdicts, Faithfulness, JointVerdict, Missing, RubricScore, part_of

from ..scripted_judge import ScriptedJudge, saying

NAMES = ("factual_correctness", "faithfulness", "rubric_score")
RUBRICS = [load_rubric(name) for name in NAMES]
JOINT = joint_rubric(RUBRICS)
KIND = JOINTS[0]
PARTS: dict[str, Any] = {
    "claims": {"claims": [{"claim": "c", "reason": "r", "verdict": "TP"}]},
    "faithfulness": {"claims": [{"claim": "c", "reason": "r", "supported": False}]},
    "rubric_score": {"reasons": ["so"], "score": 4},
}
MATERIAL = {"question": "q?", "context": "N2 is one.", "reference": "N2", "answer": "It is N2."}
IDENTITY = JudgeIdentity("j", "j@1", enforced=True, log_probabilities=True)


def task(rubric: Rubric = JOINT, answer: str = "It is N2.") -> JudgeTask:
    return JudgeTask(rubric, {name: {**MATERIAL, "answer": answer}[name] for name in rubric.fields}, "a")


def reply(parts: dict[str, Any], **more: Any) -> ChatReply:
    return ChatReply("", json.dumps(parts), "stop", **more)


def test_one_prompt_holds_all_rubrics_and_begins_with_what_is_the_same_for_all_items():
    assert (JOINT.name, JOINT.kind, JOINT.fields) == ("joint", KIND, ("question", "context", "reference", "answer"))
    one, other = (judge_request(task(answer=text), IDENTITY).messages[0]["content"] for text in ("Yes, N2.", "No."))
    places = [one.index(rubric.text) for rubric in RUBRICS]
    assert places == sorted(places)
    assert one.index(RUBRICS[2].text) < one.index("N2 is one.") < one.index("Yes, N2.")
    # All but the answer and its token: the context of an item is shared by all candidates.
    common = next(place for place, (a, b) in enumerate(zip(one, other, strict=False)) if a != b)
    assert common > one.index("<<<END reference")
    request = judge_request(task(), IDENTITY)
    assert request.body["max_tokens"] == 3 * IDENTITY.reply_tokens
    assert request.body["logprobs"] is True
    assert list(request.body["response_format"]["json_schema"]["schema"]["properties"]) == list(PARTS)


def test_its_hash_follows_each_rubric_and_which_are_in_it():
    changed = [load_rubric("factual_correctness"), load_rubric("faithfulness"), load_rubric("rubric_score")]
    assert joint_rubric(changed).sha256 == JOINT.sha256
    assert joint_rubric(changed[::-1]).sha256 == JOINT.sha256
    hashes = {JOINT.sha256, *(rubric.sha256 for rubric in RUBRICS)}
    for place, rubric in enumerate(RUBRICS):
        own = Rubric(rubric.name, rubric.version, rubric.kind, rubric.fields, f"{rubric.text} Be strict.")
        hashes.add(joint_rubric([own if at == place else each for at, each in enumerate(RUBRICS)]).sha256)
        hashes.add(joint_rubric([each for at, each in enumerate(RUBRICS) if at != place]).sha256)
    assert len(hashes) == 1 + 3 + 3 + 3
    with pytest.raises(KeyError):
        joint_rubric([RUBRICS[0], load_rubric("preference")])


@pytest.mark.parametrize("kind", JOINTS)
def test_every_combination_has_a_schema_and_is_read(kind):
    assert SCHEMAS[kind]["required"] == list(parts_of(kind))
    verdict = read_verdict(kind, reply({part: PARTS[part] for part in parts_of(kind)})).verdict
    assert isinstance(verdict, JointVerdict)
    assert not verdict.lacking
    for part, kind_of in (("claims", ClaimVerdicts), ("faithfulness", Faithfulness), ("rubric_score", RubricScore)):
        found = part_of(verdict, part)
        assert isinstance(found, kind_of if part in parts_of(kind) else Missing)


@pytest.mark.parametrize("lost", PARTS)
@pytest.mark.parametrize("fault", [None, {}, {"score": 9, "claims": 3}, "4", [], "absent"])
def test_a_part_that_is_no_verdict_loses_itself_alone(lost, fault):
    parts = {name: part for name, part in PARTS.items() if name != lost or fault != "absent"}
    if fault != "absent":
        parts[lost] = fault
    verdict = read_verdict(KIND, reply(parts)).verdict
    assert isinstance(verdict, JointVerdict)
    assert list(verdict.lacking) == [lost]
    assert verdict.lacking[lost].reason == "schema"
    for name in set(PARTS) - {lost}:
        assert not isinstance(part_of(verdict, name), Missing)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        ("no", "malformed"),
        ("{}", "schema"),
        (json.dumps(PARTS["rubric_score"]), "schema"),
        (json.dumps(dict.fromkeys(PARTS)), "schema"),
        (json.dumps(PARTS)[:-5], "malformed"),
        (json.dumps(PARTS)[:-1] + ', "claims": {"claims": []}}', "malformed"),
    ],
)
def test_what_holds_no_part_is_missing_as_a_whole(text, reason):
    verdict = read_verdict(KIND, ChatReply("", text, "stop")).verdict
    assert isinstance(verdict, Missing)
    assert verdict.reason == reason


def test_the_score_is_weighted_by_its_own_token_and_kept_so():
    text = json.dumps(PARTS)
    at = text.index('"score": ') + len('"score": ')
    other = {"token": "5", "logprob": -0.6931}
    tokens = [{"token": text[:at], "logprob": 0.0}, {"token": "4", "logprob": -0.6931, "top_logprobs": [other]}]
    given = reply(PARTS, logprobs={"content": [*tokens, {"token": text[at + 1 :], "logprob": 0.0}]})
    verdict = read_verdict(KIND, given).verdict
    assert isinstance(verdict, JointVerdict)
    assert isinstance(verdict.rubric_score, RubricScore)
    assert verdict.rubric_score.weighted == pytest.approx(4.5)
    record = json.loads(json.dumps(judgement_record(IDENTITY, task(), given)))
    assert recorded_reading(JOINT, record).verdict == verdict
    # A reader who looks for one kind finds it too.
    assert part_of(recorded_reading(RUBRICS[2], record).verdict, "rubric_score") == verdict.rubric_score


def test_an_endless_reply_keeps_its_verdicts():
    long = {**PARTS, "rubric_score": {"reasons": ["so " * LONGEST_REPLY], "score": 2}}
    record = judgement_record(IDENTITY, task(), reply(long))
    assert len(record["reply"]["text"]) < LONGEST_REPLY
    verdict = recorded_reading(JOINT, json.loads(json.dumps(record))).verdict
    assert isinstance(verdict, JointVerdict)
    assert isinstance(verdict.rubric_score, RubricScore)
    assert verdict.rubric_score.score == 2
    assert not verdict.lacking


def without(*names: str) -> ChatReply:
    return saying({name: part for name, part in PARTS.items() if name not in names})


@pytest.mark.parametrize(
    ("replies", "lacking", "kept"),
    [
        ([without("claims"), without()], [], "first"),
        ([without("claims"), without("faithfulness", "claims")], ["claims"], "again"),
        ([without("claims"), ChatReply("", "no", "stop")], ["claims"], "again"),
        ([without("claims", "faithfulness"), without("claims")], ["claims"], "first"),
        ([ChatReply("", "no", "stop"), without("claims")], ["claims"], "first"),
    ],
)
def test_a_part_that_lacks_is_asked_for_once_more_and_nothing_is_lost_by_it(replies, lacking, kept):
    given = iter(replies)
    judge, ledger = ScriptedJudge("judge", lambda _prompt: next(given)), MemoryLedger()
    panel = JudgePanel([judge], ledger)
    panel.ask(lambda: [task()])
    (judgement,) = panel.known(task())
    assert isinstance(judgement.verdict, JointVerdict)
    assert list(judgement.verdict.lacking) == lacking
    record = ledger.get(judgement.key)
    assert record is not None
    assert kept in record
    assert has_verdict(record) is not bool(lacking)
    assert panel.tallies["judge"].partly == {f"{part}: schema": 1 for part in lacking}
    assert panel.tallies["judge"].prompt_tokens == 20
    # Another process asks no third time, unless it is told to.
    JudgePanel([judge], ledger).ask(lambda: [task()])
    assert len(judge.requests) == 2
    if lacking or kept == "first":
        assert "cannot be used" in judge.requests[1].messages[-1]["content"]
