"""A judge that answers from a rule and keeps what it was asked."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

from telbench.judges.chat import ChatReply, ChatRequest
from telbench.judges.contract import JudgeIdentity


class ScriptedJudge:
    """Answers by a function from the prompt to a reply's text, or raises what the function raises."""

    def __init__(self, name: str, answer: Callable[[str], ChatReply], *, enforced: bool = True) -> None:
        self.identity = JudgeIdentity(name, f"{name}@1", enforced, log_probabilities=True)
        self.requests: list[ChatRequest] = []
        self.closed = 0
        self._answer = answer

    def ask(self, requests: Iterable[ChatRequest]) -> Iterator[ChatReply]:
        for request in requests:
            self.requests.append(request)
            reply = self._answer(request.messages[0]["content"])
            yield replace(reply, key=request.key, prompt_tokens=10, completion_tokens=4)

    def close(self) -> None:
        self.closed += 1


def saying(verdict: dict[str, Any]) -> ChatReply:
    """A reply that is this verdict."""
    return ChatReply("", json.dumps(verdict), "stop")


def giving(score: int) -> Callable[[str], ChatReply]:
    """Every answer gets this score."""
    return lambda _prompt: saying({"reasons": ["so"], "score": score})


def form_of(prompt: str) -> str:
    """The form of the verdict that a prompt asks for, which stands before the material."""
    return prompt.split("Reply with one JSON object of this form", 1)[1].splitlines()[1]


def fair(prompt: str) -> ChatReply:
    """A verdict of whatever kind the prompt asks for: one claim, right and supported; score 4; all useful; a tie."""
    asked = form_of(prompt)
    if '"score"' in asked:
        return saying({"reasons": ["so"], "score": 4})
    if '"questions"' in asked:
        return saying({"questions": ["What is it?", "Who does it?", "Where?"], "evasive": False})
    if '"useful"' in asked:
        number = int(re.findall(r"(?:exactly|to) (\d+)", asked)[-1])
        return saying({"passages": [{"reason": "so", "useful": True}] * number})
    if '"winner"' in asked:
        return saying({"reasons": ["so"], "winner": "tie"})
    claim = {"claim": "It does.", "reason": "said"}
    return saying({"claims": [claim | ({"verdict": "TP"} if '"verdict"' in asked else {"supported": True})]})
