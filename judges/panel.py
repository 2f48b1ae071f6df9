"""A panel of judges and the ledger of all that they said: asked once, looked up for ever after."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

from .chat import ChatReply, ChatRequest
from .judge import Judge, JudgeIdentity, JudgeTask, judge_request
from .rubric import Rubric
from .verdicts import Missing, RubricScore, Verdict, read_verdict, score_alternatives, weighted_mean


class Ledger(Protocol):
    """Records by key that outlive the process; a later record of a key replaces an earlier one."""

    def get(self, key: str) -> Mapping[str, Any] | None:
        """The record of a key, or None."""
        ...

    def put(self, key: str, record: Mapping[str, Any]) -> None:
        """Keep a record; it survives a kill of the process when this returns."""
        ...


class MemoryLedger:
    """A ledger for one process."""

    def __init__(self) -> None:
        self._records: dict[str, Mapping[str, Any]] = {}

    def get(self, key: str) -> Mapping[str, Any] | None:
        """The record of a key, or None."""
        return self._records.get(key)

    def put(self, key: str, record: Mapping[str, Any]) -> None:
        """Keep a record."""
        self._records[key] = dict(record)


@dataclass(frozen=True, slots=True)
class Judgement:
    """What one judge said to one task: a verdict, or why there is none; ``key`` finds it in the ledger."""

    judge: str
    key: str
    verdict: Verdict | Missing


@dataclass
class PanelCounters:
    """What a panel did in this process, by judge: replies asked for, and tokens as the judges count them."""

    asked: Counter[str] = field(default_factory=Counter)
    prompt_tokens: Counter[str] = field(default_factory=Counter)
    completion_tokens: Counter[str] = field(default_factory=Counter)


class JudgePanel:
    """One judge or several, their ledger, and the seed of the prompts' delimiters."""

    def __init__(self, judges: Sequence[Judge], ledger: Ledger | None = None, seed: int = 0) -> None:
        self.judges = tuple(judges)
        self.seed = seed
        self.ledger: Ledger = MemoryLedger() if ledger is None else ledger
        self.counters = PanelCounters()

    @property
    def identities(self) -> tuple[JudgeIdentity, ...]:
        """Who sits on the panel."""
        return tuple(judge.identity for judge in self.judges)

    @property
    def name(self) -> str:
        """The judges' names, as they stand in signatures."""
        return "+".join(identity.name for identity in self.identities)

    def keys(self, task: JudgeTask) -> tuple[str, ...]:
        """Where the ledger holds the replies to a task, a key a judge."""
        return tuple(judge_request(task, identity, self.seed).key for identity in self.identities)

    def ask(
        self, tasks: Callable[[], Iterable[JudgeTask]], seen: Callable[[str, bool], object] = lambda judge, asked: None
    ) -> None:
        """Put every task to every judge whose reply the ledger lacks; equal prompts are asked once.

        ``tasks`` is called once a judge; ``seen`` is told after each prompt: the judge's name, and whether it had to be
        asked. One judge follows the other, so that only one local model is in memory at a time. Raises like
        `Judge.ask`; what had been answered by then is in the ledger.
        """
        for judge in self.judges:
            self._ask_one(judge, tasks(), seen)

    def judgements(self, task: JudgeTask) -> tuple[Judgement, ...]:
        """What each judge says to a task, asked now where the ledger does not know it."""
        requests = [judge_request(task, identity, self.seed) for identity in self.identities]
        if any(not answered(self.ledger.get(request.key)) for request in requests):
            self.ask(lambda: [task])
        return tuple(
            Judgement(identity.name, request.key, recorded_verdict(task.rubric, self.ledger.get(request.key)))
            for identity, request in zip(self.identities, requests, strict=True)
        )

    def known(self, task: JudgeTask) -> tuple[Judgement, ...]:
        """What the ledger holds of a task; a judge that was never asked is missing with the reason ``error``."""
        keys = self.keys(task)
        return tuple(
            Judgement(identity.name, key, recorded_verdict(task.rubric, self.ledger.get(key)))
            for identity, key in zip(self.identities, keys, strict=True)
        )

    def close(self) -> None:
        """Close all judges."""
        for judge in self.judges:
            judge.close()

    def _ask_one(self, judge: Judge, tasks: Iterable[JudgeTask], seen: Callable[[str, bool], object]) -> None:
        name = judge.identity.name
        open_tasks: dict[str, JudgeTask] = {}
        begun: set[str] = set()

        def unanswered() -> Iterator[ChatRequest]:
            for task in tasks:
                request = judge_request(task, judge.identity, self.seed)
                if request.key in begun or answered(self.ledger.get(request.key)):
                    seen(name, False)
                    continue
                begun.add(request.key)
                open_tasks[request.key] = task
                yield request

        requests = unanswered()
        first = next(requests, None)
        if first is None:
            # Nothing to ask: no weights are loaded and no server is called.
            return
        for reply in judge.ask(_chained(first, requests)):
            task = open_tasks.pop(reply.key)
            self.ledger.put(reply.key, judgement_record(judge.identity, task, reply))
            self.counters.asked[name] += 1
            self.counters.prompt_tokens[name] += reply.prompt_tokens or 0
            self.counters.completion_tokens[name] += reply.completion_tokens or 0
            seen(name, True)


def _chained(first: ChatRequest, rest: Iterator[ChatRequest]) -> Iterator[ChatRequest]:
    yield first
    yield from rest


def answered(record: Mapping[str, Any] | None) -> bool:
    """Is this a judge's reply, good or bad, and not a failure to get one, which is asked again?"""
    reply = None if record is None else record.get("reply")
    return isinstance(reply, Mapping) and reply.get("error") is None and isinstance(reply.get("text"), str)


def judgement_record(identity: JudgeIdentity, task: JudgeTask, reply: ChatReply) -> dict[str, Any]:
    """A reply as ``judgements.jsonl`` keeps it: with its verdict, or the reason why there is none.

    Of the log-probabilities only those of the score's token are kept.
    """
    verdict = read_verdict(task.rubric.kind, reply)
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
        "verdict": None if isinstance(verdict, Missing) else asdict(verdict),
        "missing": asdict(verdict) if isinstance(verdict, Missing) else None,
    }
    if reply.logprobs is not None and (chances := score_alternatives(reply.logprobs)) is not None:
        record["score_logprobs"] = chances
    return record


def recorded_verdict(rubric: Rubric, record: Mapping[str, Any] | None) -> Verdict | Missing:
    """The verdict in a ledger's record, read anew from the judge's own words."""
    if record is None:
        return Missing("error", "the judge was not asked")
    reply = record.get("reply")
    if not isinstance(reply, Mapping):
        return Missing("error", "the record holds no reply")
    given = ChatReply("", str(reply.get("text") or ""), reply.get("finish_reason"), error=reply.get("error"))
    verdict = read_verdict(rubric.kind, given)
    chances = record.get("score_logprobs")
    if isinstance(verdict, RubricScore) and isinstance(chances, Mapping):
        weighted, mass = weighted_mean(chances)
        return RubricScore(verdict.score, verdict.reasons, weighted, mass)
    return verdict
