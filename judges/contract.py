"""What a judge is: something with an identity that continues conversations, and the question that it is asked."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from .chat import ChatReply, ChatRequest
from .material import disarmed
from .rubric import Rubric, render, run_secret
from .schemas import LONGEST_TEXT, outline, parts_of, schema_of

# Room for the claims of any answer to a telecom question with their reasons.
MAX_TOKENS = 2048
# The alternatives at the score's token: the most that OpenAI-compatible servers give.
ALTERNATIVES = 20
# Of a reply without a verdict, what the judge is shown again: enough to see what was wrong with it.
SHOWN_AGAIN = 2000
_AGAIN = """That reply cannot be used: {fault}.
Judge the same material again by the same rules. Reply with one JSON object of this form and nothing else. No text in \
it is longer than {longest} characters:
{outline}
"""


@dataclass(frozen=True, slots=True)
class JudgeIdentity:
    """Who judges.

    ``name`` goes into signatures and tables. ``fingerprint`` is all that is known of what stands behind the name
    (weights, or address and model of a server) and keys the cache. ``enforced`` tells that the engine itself holds
    replies to the JSON schema; otherwise the prompt only asks for it. ``log_probabilities`` tells that replies carry
    the probabilities of their tokens. ``facts`` are for the run's header. ``reply_tokens``: what a reply may take.
    """

    name: str
    fingerprint: str
    enforced: bool
    log_probabilities: bool
    facts: Mapping[str, Any] = field(default_factory=dict)
    reply_tokens: int = MAX_TOKENS


class Judge(Protocol):
    """Something that can be asked. Its identity is known before any weights are loaded."""

    identity: JudgeIdentity

    def ask(self, requests: Iterable[ChatRequest]) -> Iterator[ChatReply]:
        """Yield one reply a request, in any order, as each finishes; one that failed alone has ``error``.

        Of a request's body a judge heeds ``temperature``, ``max_tokens``, ``seed``, ``response_format`` with a JSON
        schema, ``logprobs`` and ``top_logprobs``. Raises `InputError` where it cannot be asked at all and
        `EngineError` where it stopped working; what had finished has been yielded before.
        """
        ...

    def close(self) -> None:
        """Free memory, processes and connections."""
        ...


@dataclass(frozen=True, slots=True)
class JudgeTask:
    """One thing to be judged: a rubric and the texts of its fields; ``item_id`` is for the reader of the records.

    ``count`` is the number of passages in the material, which is that of the entries in their verdict.
    """

    rubric: Rubric
    material: Mapping[str, str]
    item_id: str = ""
    count: int | None = None


def judge_request(task: JudgeTask, identity: JudgeIdentity, seed: int = 0) -> ChatRequest:
    """The request that puts a task to a judge, under the key of its reply.

    ``seed`` is that of the delimiters and of the judge's sampling; greedy judges give one answer whatever it is. A
    reply with several verdicts has room for each of them.
    """
    prompt = render(task.rubric, task.material, run_secret(seed), task.count)
    parts = parts_of(task.rubric.kind)
    body: dict[str, Any] = {"temperature": 0.0, "max_tokens": identity.reply_tokens * len(parts), "seed": seed}
    if identity.enforced:
        schema = {"name": task.rubric.kind, "strict": True, "schema": schema_of(task.rubric.kind, task.count)}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    if identity.log_probabilities and "rubric_score" in parts:
        body |= {"logprobs": True, "top_logprobs": ALTERNATIVES}
    messages = ({"role": "user", "content": prompt.text},)
    return ChatRequest(request_key(identity.fingerprint, messages, body), messages, body)


def repair_request(task: JudgeTask, request: ChatRequest, reply: str, fault: str) -> ChatRequest:
    """The request again, with the ``reply`` in which no verdict could be read and its ``fault``; the key is the same.

    What the judge wrote is shown to it without marks of turns: it may have copied them from an answer.
    """
    form = outline(schema_of(task.rubric.kind, task.count))
    again = _AGAIN.format(fault=disarmed(fault).rstrip("."), longest=LONGEST_TEXT, outline=form)
    # Some servers take no turn without a text.
    said = {"role": "assistant", "content": disarmed(reply[:SHOWN_AGAIN]).strip() or "(no text)"}
    return replace(request, messages=(*request.messages, said, {"role": "user", "content": again}))


def request_key(judge: str, messages: Sequence[Mapping[str, str]], body: Mapping[str, Any]) -> str:
    """Hex digest of all that a reply depends on: the judge's fingerprint, the conversation, parameters and schema.

    The order of parameters does not matter; that of a schema's properties does, as it is the order in which they are
    written. Raises ValueError for NaN and TypeError for what JSON does not hold.
    """
    schema = body.get("response_format")
    rest = {name: value for name, value in body.items() if name != "response_format"}
    parts = (
        json.dumps(judge),
        json.dumps([dict(message) for message in messages], sort_keys=True),
        json.dumps(rest, sort_keys=True, allow_nan=False),
        json.dumps(schema, allow_nan=False),
    )
    # JSON texts hold no line break, so that joining them by one is unambiguous.
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
