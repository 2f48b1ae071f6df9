"""A panel of judges and the ledger of all that they said: asked once, looked up for ever after."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from .chat import ChatReply, ChatRequest
from .contract import Judge, JudgeIdentity, JudgeTask, judge_request, repair_request
from .records import answered, has_verdict, judgement_record, mended_record, recorded_reading, suspicious
from .verdicts import JointVerdict, Missing, Reason, Verdict, lacks

# What a judge may do better when it is told what was wrong. A filter would only filter again.
MENDABLE: frozenset[Reason] = frozenset({"malformed", "schema", "empty", "refusal", "tool_calls", "truncated"})


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
    """What one judge said to one task: a verdict, or why there is none; ``key`` finds it in the ledger.

    ``repeat`` is which time it was asked, from 0.
    """

    judge: str
    key: str
    verdict: Verdict | Missing
    repeat: int = 0


@dataclass
class Tally:
    """One judge's part in a run: different prompts, replies got in this process, tokens, and verdicts that are missing.

    Tokens are those that the judge reports for all replies the run rests on, whenever they were got. ``examples`` tells
    for each reason of a missing verdict what the first one said. ``repaired``: verdicts by what had to be mended to
    read them, and all of them ("any"). ``suspicious``: prompts by what in the judged answer speaks to the judge
    (`steering_signs`), and all of them ("any"). ``partly``: verdicts that lack in replies which hold others.
    ``batch_prompt_tokens``, ``batch_completion_tokens``: those of them that came in batches.
    """

    prompts: int = 0
    asked: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    missing: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)
    repaired: Counter[str] = field(default_factory=Counter)
    suspicious: Counter[str] = field(default_factory=Counter)
    partly: Counter[str] = field(default_factory=Counter)
    batch_prompt_tokens: int = 0
    batch_completion_tokens: int = 0


class JudgePanel:
    """One judge or several, the ledger of their replies, and the seed of the prompts' delimiters.

    `ask` puts many tasks to the judges in one stream; `judgements` looks one up. A reply without a verdict is asked for
    once more in the same conversation, with its fault. What was asked is asked anew only if there was no reply at all,
    and by another process: a failure is final for this one. ``retry``: what has no verdict is asked anew as well.
    ``repeats``: how often each judge is asked for each verdict, each time with another seed and other delimiters, and
    so under another key.
    """

    def __init__(
        self,
        judges: Sequence[Judge],
        ledger: Ledger | None = None,
        seed: int = 0,
        *,
        retry: bool = False,
        repeats: int = 1,
    ) -> None:
        self.judges = tuple(judges)
        self.repeats = repeats
        self.seed = seed
        self.retry = retry
        self.ledger: Ledger = MemoryLedger() if ledger is None else ledger
        self.rubrics: dict[str, str] = {}
        self.tallies = {judge.identity.name: Tally() for judge in self.judges}
        self._failed: set[str] = set()
        self._asked: set[str] = set()
        self._tallied: set[str] = set()

    @property
    def identities(self) -> tuple[JudgeIdentity, ...]:
        """Who sits on the panel."""
        return tuple(judge.identity for judge in self.judges)

    @property
    def name(self) -> str:
        """The judges' names, as they stand in signatures."""
        return "+".join(identity.name for identity in self.identities)

    def ask(
        self,
        tasks: Callable[[], Iterable[JudgeTask]],
        seen: Callable[[str], object] = lambda judge: None,
        only: str | None = None,
    ) -> None:
        """Put every task to every judge whose reply the ledger lacks, or to the one called ``only``.

        Equal prompts are asked once.

        ``tasks`` is called once a judge, and may be read in another thread; ``seen`` is told the judge's name for each
        verdict that is done. One judge follows the other, so that only one local model is in memory at a time. Raises
        like `Judge.ask`; what had been answered by then is in the ledger.
        """
        for judge in self.judges:
            if only in (None, judge.identity.name):
                self._ask_one(judge, tasks(), seen)

    def judgements(self, task: JudgeTask) -> tuple[Judgement, ...]:
        """What each judge says to a task, asked now where neither the ledger nor an earlier failure tells.

        Judge by judge, and of each its repeats in their order.
        """
        return self.judge_all([task])[0]

    def judge_all(self, tasks: Sequence[JudgeTask]) -> list[tuple[Judgement, ...]]:
        """`judgements` of many tasks; those that have to be asked are asked in one stream."""
        keys = [
            [request.key for identity in self.identities for request in self._requests(task, identity)]
            for task in tasks
        ]
        unknown = [
            task
            for task, own in zip(tasks, keys, strict=True)
            if any(self._wanted(key, task, self.ledger.get(key)) for key in own)
        ]
        if unknown:
            self.ask(lambda: unknown)
        return [self._found(task, own) for task, own in zip(tasks, keys, strict=True)]

    def known(self, task: JudgeTask) -> tuple[Judgement, ...]:
        """What the ledger holds of a task; a judge that was never asked is missing with the reason ``error``."""
        own = [request.key for identity in self.identities for request in self._requests(task, identity)]
        return self._found(task, own)

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

    def _wanted(
        self, key: str, task: JudgeTask, record: Mapping[str, Any] | None
    ) -> Literal["verdict", "repair"] | None:
        """What the judge has yet to be asked for, by the ledger's record; None where nothing is left to ask."""
        if key in self._failed:
            return None
        if record is None or not answered(record):
            return "verdict"
        if has_verdict(record):
            return None
        # What was no verdict to an earlier telbench may be one by now.
        lacking = lacks(recorded_reading(task.rubric, record, task.count).verdict)
        if lacking is None:
            return None
        if self.retry and key not in self._asked:
            return "verdict"
        return "repair" if lacking.reason in MENDABLE and not {"first", "again"} & record.keys() else None

    def close(self) -> None:
        """Close all judges."""
        for judge in self.judges:
            judge.close()

    def _requests(self, task: JudgeTask, identity: JudgeIdentity) -> list[ChatRequest]:
        """What one judge is asked for a task, once for each repeat."""
        return [judge_request(task, identity, self.seed + repeat) for repeat in range(self.repeats)]

    def _found(self, task: JudgeTask, keys: Sequence[str]) -> tuple[Judgement, ...]:
        """What the ledger holds under a task's keys, judge by judge and repeat by repeat."""
        asked = itertools.product(self.identities, range(self.repeats))
        return tuple(
            self._judgement(identity, key, task, repeat) for (identity, repeat), key in zip(asked, keys, strict=True)
        )

    def _judgement(self, identity: JudgeIdentity, key: str, task: JudgeTask, repeat: int) -> Judgement:
        record = self.ledger.get(key)
        reading = recorded_reading(task.rubric, record, task.count)
        lacking = (reading.verdict.reason, reading.verdict.detail) if isinstance(reading.verdict, Missing) else None
        if self.count_prompt(identity.name, key, lacking):
            self.rubrics[f"{task.rubric.name}-{task.rubric.version}"] = task.rubric.sha256
            tally = self.tallies[identity.name]
            for part in ("first", "again", "reply"):
                reply = (record or {}).get(part) or {}
                prompt, completion = (reply.get(name) or 0 for name in ("prompt_tokens", "completion_tokens"))
                tally.prompt_tokens += prompt
                tally.completion_tokens += completion
                if reply.get("batch"):
                    tally.batch_prompt_tokens += prompt
                    tally.batch_completion_tokens += completion
            if isinstance(reading.verdict, JointVerdict):
                tally.partly.update(f"{part}: {each.reason}" for part, each in reading.verdict.lacking.items())
            if reading.repairs:
                tally.repaired.update((*reading.repairs, "any"))
            if signs := suspicious(task):
                tally.suspicious.update((*signs, "any"))
        return Judgement(identity.name, key, reading.verdict, repeat)

    def _ask_one(self, judge: Judge, tasks: Iterable[JudgeTask], seen: Callable[[str], object]) -> None:
        name, tally = judge.identity.name, self.tallies[judge.identity.name]
        asked: dict[str, tuple[JudgeTask, int]] = {}
        mendable: dict[str, tuple[JudgeTask, int]] = {}
        begun: set[str] = set()

        def unanswered() -> Iterator[ChatRequest]:
            for task in tasks:
                for repeat, request in enumerate(self._requests(task, judge.identity)):
                    key = request.key
                    wanted = None if key in begun else self._wanted(key, task, self.ledger.get(key))
                    begun.add(key)
                    if wanted == "verdict":
                        asked[key] = task, repeat
                        yield request
                        continue
                    if wanted == "repair":
                        mendable[key] = task, repeat
                    seen(name)

        def faulty() -> Iterator[ChatRequest]:
            for key, (task, repeat) in mendable.items():
                record = self.ledger.get(key) or {}
                lacking = lacks(recorded_reading(task.rubric, record, task.count).verdict)
                if lacking is not None:
                    request = judge_request(task, judge.identity, self.seed + repeat)
                    yield repair_request(task, request, record["reply"]["text"], lacking.detail)

        for reply in _asked(judge, unanswered()):
            task, repeat = asked.pop(reply.key)
            record = judgement_record(judge.identity, task, reply)
            self.ledger.put(reply.key, record)
            tally.asked += 1
            self._asked.add(reply.key)
            if reply.error is not None:
                self._failed.add(reply.key)
            elif self._wanted(reply.key, task, record) == "repair":
                mendable[reply.key] = task, repeat
            seen(name)
        for reply in _asked(judge, faulty()):
            first = self.ledger.get(reply.key)
            tally.asked += 1
            if reply.error is None and first is not None:
                record = judgement_record(judge.identity, mendable[reply.key][0], reply)
                self.ledger.put(reply.key, mended_record(first, record))
            else:
                # The reply that is there stays what it is; another process may ask once more.
                self._failed.add(reply.key)


def _asked(judge: Judge, requests: Iterator[ChatRequest]) -> Iterator[ChatReply]:
    """The judge's replies; where nothing is to be asked, no weights are loaded and no server is called."""
    first = next(requests, None)
    if first is not None:
        yield from judge.ask(itertools.chain((first,), requests))
