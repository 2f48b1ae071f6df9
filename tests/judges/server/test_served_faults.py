"""What becomes of a task whatever the server does: a verdict, or missing with its reason."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from telbench.errors import EngineError
from telbench.harness.storage import RecordStore
from telbench.judges.panel import JudgePanel, MemoryLedger
from telbench.judges.verdicts import ClaimVerdicts, Missing, RubricScore

from ...scripted_server import ScriptedServer, Step, completion_body
from .served_judges import CLAIMS, KEY, SCORE, asked, capable, judge_for, number_of, scores, tasks

REFUSED = completion_body(None).replace(b'"content": null', b'"content": null, "refusal": "I will not."')
TOOLS = completion_body(None, finish_reason="tool_calls").replace(
    b'"content": null', b'"content": null, "tool_calls": [{"type": "function"}]'
)
# Faults: what the server does with one task of six, and what becomes of it. The others have their verdicts.
FAULTS: dict[str, tuple[Step, str | None, str]] = {
    "server error": (Step(500, b"<html>oops</html>"), "error", "status 500 (after 3 attempts)"),
    "stall": (Step(delay=30), "timeout", "no answer within 2 s"),
    "truncated body": (Step(body=completion_body(SCORE)[:60]), "error", "not valid JSON"),
    "NaN in the body": (Step(body=completion_body(SCORE).replace(b'"created": 0', b'"created": NaN')), "error", "NaN"),
    "reset": (Step(reset=True), "error", "the connection broke"),
    "refused request": (Step(400, b'{"error": {"message": "too long"}}'), "error", "status 400: too long"),
    "filtered prompt": (
        Step(400, b'{"error": {"code": "content_filter", "message": "policy"}}'),
        "content_filter",
        "content_filter: policy",
    ),
    "filtered answer": (Step(body=completion_body("", finish_reason="content_filter")), "content_filter", "filtered"),
    "refusal": (Step(body=completion_body("I'm sorry, I cannot judge that.")), "refusal", "I'm sorry"),
    "refusal apart": (Step(body=REFUSED), "refusal", "I will not"),
    "tools": (Step(body=TOOLS), "tool_calls", "called a tool"),
    "empty": (Step(body=completion_body("")), "empty", "no text"),
    "no content": (Step(body=completion_body(None)), "empty", "no text"),
    "cut answer": (Step(body=completion_body(SCORE[:20], finish_reason="length")), "truncated", "token limit"),
    "wrong schema": (Step(body=completion_body('{"rating": 4}')), "schema", "lacks score"),
    "off the scale": (Step(body=completion_body(SCORE.replace("4", "7"))), "schema", "from 1 to 5"),
    "half a verdict": (Step(body=completion_body(SCORE[:-6])), "malformed", "not one JSON object"),
    "NaN score": (Step(body=completion_body(SCORE.replace("4", "NaN"))), "malformed", "NaN"),
    "words": (Step(body=completion_body("Four of five, I would say.")), "malformed", "not one JSON object"),
    "error page": (Step(body=b"<!doctype html><html>login</html>"), "error", "not valid JSON"),
    "error as success": (Step(body=b'{"error": {"message": "upstream is down"}}'), "error", "upstream is down"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_missing_with_its_reason_and_never_a_score(scripted_server: ScriptedServer, fault: str):
    step, reason, detail = FAULTS[fault]
    scripted_server.script = capable(lambda n, request: step if number_of(request) == 3 else scores())
    panel = JudgePanel([judge_for(scripted_server, attempts=3, deadline=2.0, max_in_flight=4)])
    panel.ask(lambda: tasks(6))
    verdicts = [panel.known(task)[0].verdict for task in tasks(6)]
    missing = verdicts.pop(3)
    assert isinstance(missing, Missing)
    assert missing.reason == reason
    assert detail in missing.detail
    assert all(isinstance(verdict, RubricScore) and verdict.score == 4 for verdict in verdicts)
    record = panel.ledger.get(panel.known(tasks(6)[3])[0].key)
    assert record is not None
    assert record["verdict"] is None
    assert record["missing"]["reason"] == reason


@pytest.mark.parametrize("headers", [{}, {"Retry-After": "0.3"}], ids=["bare", "retry-after"])
def test_a_burst_of_429_costs_time_and_no_verdict(scripted_server: ScriptedServer, headers: dict[str, str]):
    scripted_server.script = capable(lambda number, _: Step(429, b"{}", headers) if number < 12 else scores())
    panel = JudgePanel([judge_for(scripted_server, max_in_flight=8)])
    panel.ask(lambda: tasks(20))
    assert all(isinstance(panel.known(task)[0].verdict, RubricScore) for task in tasks(20))
    assert panel.tallies[panel.name].asked == 20
    assert len(asked(scripted_server)) == 32


def test_a_reply_that_trickles_in_is_whole_or_a_timeout(scripted_server: ScriptedServer):
    scripted_server.script = capable(
        lambda _, request: Step(body=completion_body(SCORE), trickle=30.0 if number_of(request) == 3 else 0.3)
    )
    panel = JudgePanel([judge_for(scripted_server, deadline=2.0)])
    panel.ask(lambda: tasks(6))
    verdicts = [panel.known(task)[0].verdict for task in tasks(6)]
    assert verdicts.pop(3) == Missing("timeout", "no answer within 2 s")
    assert all(isinstance(verdict, RubricScore) for verdict in verdicts)


def test_failures_are_asked_again_and_verdicts_are_not(scripted_server: ScriptedServer):
    scripted_server.script = capable(
        lambda number, _: Step(500, b"") if number == 2 else Step(body=completion_body("no verdict"))
    )
    ledger = MemoryLedger()
    JudgePanel([judge_for(scripted_server, attempts=1, max_in_flight=1)], ledger).ask(lambda: tasks(5))
    scripted_server.script = capable(scores)
    again = JudgePanel([judge_for(scripted_server)], ledger)
    again.ask(lambda: tasks(5))
    assert again.tallies[again.name].asked == 1
    found = Counter(type(again.known(task)[0].verdict).__name__ for task in tasks(5))
    # What a judge said stands, good or bad.
    assert found == {"Missing": 4, "RubricScore": 1}


def test_equal_prompts_are_asked_once(scripted_server: ScriptedServer):
    scripted_server.script = capable(lambda *_: Step(body=completion_body(CLAIMS), delay=0.05))
    panel = JudgePanel([judge_for(scripted_server)])
    panel.ask(lambda: [task for task in tasks(4, "factual_correctness") for _ in range(3)])
    assert len(asked(scripted_server)) == 4
    assert all(isinstance(panel.known(task)[0].verdict, ClaimVerdicts) for task in tasks(4, "factual_correctness"))


def test_a_server_that_dies_half_way_leaves_its_answers_and_the_rest_for_the_next(scripted_server: ScriptedServer):
    scripted_server.script = capable(lambda number, _: Step(stop_listening=True) if number == 20 else scores())
    scripted_server.models = None
    memory, ledger = MemoryLedger(), MemoryLedger()
    panel = JudgePanel([judge_for(scripted_server, memory=memory, max_in_flight=4, deadline=1.0)], ledger)
    with pytest.raises(EngineError, match="has gone"):
        panel.ask(lambda: tasks(60))
    answered = [
        number for number, task in enumerate(tasks(60)) if isinstance(panel.known(task)[0].verdict, RubricScore)
    ]
    assert 15 <= len(answered) < 60
    port = int(scripted_server.base_url.removesuffix("/v1").rpartition(":")[2])
    revived = ScriptedServer(port)
    try:
        revived.script, revived.models = capable(scores), None
        JudgePanel([judge_for(revived, memory=memory)], ledger).ask(lambda: tasks(60))
        assert sorted(map(number_of, asked(revived))) == sorted(set(range(60)) - set(answered))
    finally:
        revived.close()


def test_the_key_is_sent_and_written_nowhere(
    scripted_server: ScriptedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    caplog.set_level(logging.DEBUG)
    bad = Step(400, b'{"error": {"message": "not with %s"}}' % KEY.encode())
    scripted_server.script = capable(lambda _, request: bad if number_of(request) == 1 else scores())
    with RecordStore(tmp_path / "judgements.jsonl") as ledger, RecordStore(tmp_path / "memory.jsonl") as memory:
        judge = judge_for(scripted_server, memory=memory)
        panel = JudgePanel([judge], ledger)
        panel.ask(lambda: tasks(3))
    assert {headers["authorization"] for headers in scripted_server.headers} == {f"Bearer {KEY}"}
    written = "".join(file.read_text() for file in tmp_path.iterdir())
    assert "not with ***" in written
    shown = [written, caplog.text, repr(judge.identity), repr(vars(judge)), repr(panel.tallies)]
    assert not any("0123456789" in text for text in shown)


WORKER = """
import sys
from pathlib import Path
from telbench.harness.storage import RecordStore
from telbench.judges.contract import JudgeTask
from telbench.judges.panel import JudgePanel
from telbench.judges.rubric import load_rubric
from telbench.judges.server.served import served_judge

rubric = load_rubric("rubric_score")
tasks = [JudgeTask(rubric, {f: f"{f} number {n}" for f in rubric.fields}, f"item-{n}") for n in range(200)]
folder = Path(sys.argv[2])
with RecordStore(folder / "judgements.jsonl") as ledger, RecordStore(folder / "memory.jsonl") as memory:
    panel = JudgePanel([served_judge("scripted", sys.argv[1], memory=memory, max_in_flight=4)], ledger)
    panel.ask(lambda: tasks)
"""


def test_after_kill_9_the_same_command_asks_nothing_twice(scripted_server: ScriptedServer, tmp_path: Path):
    scripted_server.script = capable(lambda *_: Step(body=completion_body(SCORE), delay=0.02))
    command = [sys.executable, "-c", WORKER, scripted_server.base_url, str(tmp_path)]
    first = subprocess.Popen(command)
    file = tmp_path / "judgements.jsonl"
    limit = time.monotonic() + 60
    while time.monotonic() < limit and (not file.exists() or file.read_bytes().count(b"\n") < 50):
        time.sleep(0.01)
    os.kill(first.pid, signal.SIGKILL)
    first.wait(10)
    with RecordStore(file) as store:
        kept = len(store)
    assert 50 <= kept < 200
    begun = Counter(map(number_of, asked(scripted_server)))
    before = len(asked(scripted_server))
    subprocess.run(command, check=True, timeout=120)
    later = Counter(map(number_of, asked(scripted_server)[before:]))
    assert len(later) == later.total() == 200 - kept
    # Only what was in flight, or answered and about to be written, has been seen by the server before.
    assert (begun & later).total() <= 2 * 4
    assert set(begun | later) == set(range(200))
