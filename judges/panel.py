"""A panel of judges and the ledger of all that they said: asked once, looked up for ever after."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

from .chat import ChatReply, ChatRequest
from .contract import Judge, JudgeIdentity, JudgeTask, judge_request
from .material import steering_signs
from .rubric import ANSWERS, Rubric
from .schemas import score_alternatives, weighted_mean
from .verdicts import Missing, RubricScore, Verdict, read_verdict


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
class Tally:
    """One judge's part in a run: different prompts, replies got in this process, tokens, and verdicts that are missing.

    Tokens are those that the judge reports for all replies the run rests on, whenever they were got. ``examples`` tells
    for each reason of a missing verdict what the first one said. ``suspicious``: prompts by what in the judged answer
    speaks to the judge (`steering_signs`), and in all of them ("any").
    """

    prompts: int = 0
    asked: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    missing: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)
    suspicious: Counter[str] = field(default_factory=Counter)


class JudgePanel:
    """One judge or several, the ledger of their replies, and the seed of the prompts' delimiters.

    `ask` puts many tasks to the judges in one stream; `judgements` looks one up. What was asked is asked again only if
    there was no reply at all, and by another process: a failure is final for this one.
    """

    def __init__(self, judges: Sequence[Judge], ledger: Ledger | None = None, seed: int = 0) -> None:
        self.judges = tuple(judges)
        self.seed = seed
        self.ledger: Ledger = MemoryLedger() if ledger is None else ledger
        self.rubrics: dict[str, str] = {}
        self.tallies = {judge.identity.name: Tally() for judge in self.judges}
        self._failed: set[str] = set()
        self._tallied: set[str] = set()

    @property
    def identities(self) -> tuple[JudgeIdentity, ...]:
        """Who sits on the panel."""
        return tuple(judge.identity for judge in self.judges)

    @property
    def name(self) -> str:
        """The judges' names, as they stand in signatures."""
        return "+".join(identity.name for identity in self.identities)

    def ask(self, tasks: Callable[[], Iterable[JudgeTask]], seen: Callable[[str], object] = lambda judge: None) -> None:
        """Put every task to every judge whose reply the ledger lacks; equal prompts are asked once.

        ``tasks`` is called once a judge, and may be read in another thread; ``seen`` is told the judge's name for each
        task that is done. One judge follows the other, so that only one local model is in memory at a time. Raises like
        `Judge.ask`; what had been answered by then is in the ledger.
        """
        for judge in self.judges:
            self._ask_one(judge, tasks(), seen)

    def judgements(self, task: JudgeTask) -> tuple[Judgement, ...]:
        """What each judge says to a task, asked now where neither the ledger nor an earlier failure tells."""
        return self.judge_all([task])[0]

    def judge_all(self, tasks: Sequence[JudgeTask]) -> list[tuple[Judgement, ...]]:
        """`judgements` of many tasks; those that have to be asked are asked in one stream."""
        keys = [[judge_request(task, identity, self.seed).key for identity in self.identities] for task in tasks]
        unknown = [task for task, own in zip(tasks, keys, strict=True) if not all(map(self._settled, own))]
        if unknown:
            self.ask(lambda: unknown)
        return [
            tuple(self._judgement(identity, key, task) for identity, key in zip(self.identities, own, strict=True))
            for task, own in zip(tasks, keys, strict=True)
        ]

    def known(self, task: JudgeTask) -> tuple[Judgement, ...]:
        """What the ledger holds of a task; a judge that was never asked is missing with the reason ``error``."""
        requests = [judge_request(task, identity, self.seed) for identity in self.identities]
        return tuple(
            self._judgement(identity, request.key, task)
            for identity, request in zip(self.identities, requests, strict=True)
        )

    def count_prompt(self, judge: str, key: str, lacking: tuple[str, str] | None) -> bool:
        """Count a prompt that the run rests on in the judge's tally, and why nothing came of it: (reason, detail).

        False, and nothing is counted, where it was counted before.
        """
        if key in self._tallied:
            return False
        self._tallied.add(key)
        tally = self.tallies[judge]
        tally.prompts += 1
        if lacking is not None:
            tally.missing[lacking[0]] += 1
            tally.examples.setdefault(*lacking)
        return True

    def _settled(self, key: str) -> bool:
        return key in self._failed or answered(self.ledger.get(key))

    def close(self) -> None:
        """Close all judges."""
        for judge in self.judges:
            judge.close()

    def _judgement(self, identity: JudgeIdentity, key: str, task: JudgeTask) -> Judgement:
        record = self.ledger.get(key)
        verdict = recorded_verdict(task.rubric, record, task.count)
        lacking = (verdict.reason, verdict.detail) if isinstance(verdict, Missing) else None
        if self.count_prompt(identity.name, key, lacking):
            self.rubrics[f"{task.rubric.name}-{task.rubric.version}"] = task.rubric.sha256
            tally, reply = self.tallies[identity.name], (record or {}).get("reply") or {}
            tally.prompt_tokens += reply.get("prompt_tokens") or 0
            tally.completion_tokens += reply.get("completion_tokens") or 0
            if signs := suspicious(task):
                tally.suspicious.update((*signs, "any"))
        return Judgement(identity.name, key, verdict)

    def _ask_one(self, judge: Judge, tasks: Iterable[JudgeTask], seen: Callable[[str], object]) -> None:
        name = judge.identity.name
        asked: dict[str, JudgeTask] = {}
        begun: set[str] = set()

        def unanswered() -> Iterator[ChatRequest]:
            for task in tasks:
                request = judge_request(task, judge.identity, self.seed)
                if request.key in begun or answered(self.ledger.get(request.key)):
                    seen(name)
                    continue
                begun.add(request.key)
                asked[request.key] = task
                yield request

        requests = unanswered()
        first = next(requests, None)
        if first is None:
            # Nothing to ask: no weights are loaded and no server is called.
            return
        for reply in judge.ask(_chained(first, requests)):
            self.ledger.put(reply.key, judgement_record(judge.identity, asked.pop(reply.key), reply))
            self.tallies[name].asked += 1
            if reply.error is not None:
                self._failed.add(reply.key)
            seen(name)


def _chained(first: ChatRequest, rest: Iterator[ChatRequest]) -> Iterator[ChatRequest]:
    yield first
    yield from rest


def answered(record: Mapping[str, Any] | None) -> bool:
    """Is this a judge's reply, good or bad, and not a failure to get one, which is asked again?"""
    reply = None if record is None else record.get("reply")
    return isinstance(reply, Mapping) and reply.get("error") is None and isinstance(reply.get("text"), str)


def suspicious(task: JudgeTask) -> tuple[str, ...]:
    """What in the answers that a task puts before a judge speaks to the judge; see `steering_signs`."""
    judged = (task.material.get(name, "") for name in ANSWERS)
    return tuple(dict.fromkeys(sign for text in judged for sign in steering_signs(text)))


def judgement_record(identity: JudgeIdentity, task: JudgeTask, reply: ChatReply) -> dict[str, Any]:
    """A reply as ``judgements.jsonl`` keeps it: with its verdict, or the reason why there is none.

    Of the log-probabilities only those of the score's token are kept.
    """
    verdict = read_verdict(task.rubric.kind, reply, task.count)
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
        "suspicious": suspicious(task),
    }
    if reply.logprobs is not None and (chances := score_alternatives(reply.logprobs)) is not None:
        record["score_logprobs"] = chances
    return record


def recorded_verdict(rubric: Rubric, record: Mapping[str, Any] | None, count: int | None = None) -> Verdict | Missing:
    """The verdict in a ledger's record, read anew from the judge's own words; ``count`` is the task's."""
    if record is None:
        return Missing("error", "the judge was not asked")
    reply = record.get("reply")
    if not isinstance(reply, Mapping):
        return Missing("error", "the record holds no reply")
    # What the deadline did is told by the reason alone.
    lacking = record.get("missing")
    timed_out = isinstance(lacking, Mapping) and lacking.get("reason") == "timeout"
    text = str(reply.get("text") or "")
    given = ChatReply("", text, reply.get("finish_reason"), error=reply.get("error"), timed_out=timed_out)
    verdict = read_verdict(rubric.kind, given, count)
    chances = record.get("score_logprobs")
    if isinstance(verdict, RubricScore) and isinstance(chances, Mapping):
        weighted, mass = weighted_mean(chances)
        return RubricScore(verdict.score, verdict.reasons, weighted, mass)
    return verdict
