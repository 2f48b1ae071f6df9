"""Connections that stall are cut where others are answered sooner; a judge that thinks for long is not."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import pytest

from telbench.harness.judging.settings import JudgeSettings
from telbench.judges.panel import JudgePanel
from telbench.judges.server.options import ServedOptions
from telbench.judges.server.served import STALL_SECONDS, ServedJudge
from telbench.judges.spec import DEADLINE
from telbench.judges.verdicts import RubricScore

from ...scripted_server import ScriptedServer, Step
from .served_judges import asked, capable, judge_for, number_of, scores, tasks


def impatient(judge: ServedJudge, seconds: float) -> JudgePanel:
    judge.client._server.settings = judge.client.settings = replace(judge.client.settings, stall_seconds=seconds)
    return JudgePanel([judge])


@pytest.mark.parametrize("place", [0, 5], ids=["the first", "the last, alone"])
def test_a_stalled_connection_is_cut_where_others_are_answered_sooner(scripted_server: ScriptedServer, place: int):
    scripted_server.script = capable(lambda number, _: replace(scores(), delay=600.0 if number == place else 0.0))
    panel = impatient(judge_for(scripted_server, max_in_flight=1 if place else 8), 0.5)
    began = time.monotonic()
    panel.ask(lambda: tasks(6))
    assert all(isinstance(panel.known(task)[0].verdict, RubricScore) for task in tasks(6))
    assert time.monotonic() - began < 60
    assert len(asked(scripted_server)) == 7


def test_a_judge_that_thinks_for_long_is_not_cut(scripted_server: ScriptedServer):
    """All answers take long: none is cut, though each takes more than the time after which others would be."""
    scripted_server.script = capable(lambda *_: replace(scores(), delay=1.0))
    panel = impatient(judge_for(scripted_server, max_in_flight=8), 0.2)
    panel.ask(lambda: tasks(12))
    assert len(asked(scripted_server)) == 12


def test_who_stalled_once_has_all_the_time_that_is_left(scripted_server: ScriptedServer):
    """One answer takes far longer than the others: it is cut once, and not again."""

    def script(number: int, request: dict[str, Any]) -> Step:
        return replace(scores(), delay=2.0 if number_of(request) == 3 else 0.0)

    scripted_server.script = capable(script)
    panel = impatient(judge_for(scripted_server, max_in_flight=2), 0.5)
    panel.ask(lambda: tasks(6))
    assert isinstance(panel.known(tasks(6)[3])[0].verdict, RubricScore)
    assert [number_of(request) for request in asked(scripted_server)].count(3) == 2


def test_what_is_too_long_is_a_third_of_the_deadline_and_never_little(scripted_server: ScriptedServer):
    scripted_server.script = capable(scores)
    for deadline, options, seconds in (
        (30.0, ServedOptions(), STALL_SECONDS),
        (900.0, ServedOptions(), 300.0),
        (900.0, ServedOptions(attempt_seconds=20.0), None),
    ):
        judge = judge_for(scripted_server, deadline=deadline, options=options)
        assert judge.client.settings.stall_seconds == seconds
    # The command line's deadline is that of Python.
    assert JudgeSettings().deadline == DEADLINE
