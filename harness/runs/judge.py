"""Put a run's questions to its judges, all in one stream, before anything is scored."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from telbench.errors import EngineError, InputError

from ...judges.contract import JudgeTask
from ...judges.likelihood import UNSCORED, JudgedText, ask_likelihoods, likelihood_judges, scored
from ...judges.panel import JudgePanel
from ...judges.records import answered, has_verdict
from ...metrics.contract import Sample
from ...metrics.fingerprints import fingerprint
from ..cli.terminal import Reporter
from ..judging.batches import batches_kept
from ..judging.calibrated import uncalibrated, uncalibrated_lines
from ..judging.kinship import kinship
from ..judging.open import price_table
from ..judging.outcome import cost_lines, judge_cost, tell_lost, tokens_of
from ..storage import RecordStore, shared_store
from .folder import BATCHES, read_samples
from .plan import Plan
from .score import answers

KIND = "judgements"
# A run in which judges gave no verdict on a larger share of what a metric applies to is marked.
MISSING_CAP = 0.05


class SharedLedger:
    """A run's judgements, and behind them those that earlier runs got from the same judges."""

    def __init__(self, own: RecordStore, earlier: Sequence[RecordStore]) -> None:
        self._own = own
        self._earlier = earlier
        self.reused = 0

    def get(self, key: str) -> Mapping[str, Any] | None:
        """The run's own record, else a whole one of an earlier run, which becomes the run's own."""
        record = self._own.get(key)
        if _whole(record):
            return record
        for store in self._earlier:
            found = store.get(key)
            if found is not None and _whole(found):
                self.put(key, found)
                self.reused += 1
                return found
        return record

    def put(self, key: str, record: Mapping[str, Any]) -> None:
        """Keep a record with the run."""
        self._own.put(key, {name: value for name, value in record.items() if name != "key"})


def judge_tasks(plan: Plan, store: RecordStore) -> Iterator[JudgeTask]:
    """What judges have to be asked for this run, by item and metric."""
    asking = [metric.judge_tasks for metric in plan.metrics if metric.judge_tasks is not None]
    for given in _answered(plan, store) if asking else ():
        for tasks in asking:
            yield from tasks(given)


def judge_texts(plan: Plan, store: RecordStore) -> Iterator[JudgedText]:
    """Texts of this run whose likelihood judges have to tell, by item and metric."""
    asking = [metric.judge_texts for metric in plan.metrics if metric.judge_texts is not None]
    for given in _answered(plan, store) if asking else ():
        for texts in asking:
            yield from texts(given)


def _answered(plan: Plan, store: RecordStore) -> Iterator[Sample]:
    return (each.sample for each in answers(plan, store) if each.error is None)


@contextlib.contextmanager
def judged(
    plan: Plan, panel: JudgePanel, store: RecordStore, path: Path, reporter: Reporter, only: str | None = None
) -> Iterator[None]:
    """Have every question judged and keep the verdicts at hand for scoring; ``path`` is the run's ``judgements.jsonl``.

    ``only``: by the judge of that name alone, for now.

    What judges said before, in this run or in another one with the same judges, is not asked again. Whatever ends it,
    all replies are kept.

    Raises:
        InputError: when a judge cannot be asked or the disk is full. EngineError: when a judge stopped working.
    """
    if not any(metric.judged for metric in plan.metrics):
        yield
        return
    with RecordStore(path) as own, contextlib.ExitStack() as stack:
        if own.torn:
            reporter.note(f"repaired {path.name}: a half-written last line ({own.torn} bytes) was cut off")
        stack.enter_context(batches_kept(panel, path.with_name(BATCHES), reporter))
        panel.ledger = ledger = SharedLedger(own, _earlier(plan, panel, stack, reporter))
        try:
            _ask(plan, panel, store, reporter, only)
            for line in (line for judge in panel.judges for line in getattr(judge, "notes", ())):
                reporter.note(line)
            # No local judge stays in memory while an encoder or a metric's own model is at work.
            panel.close()
            if ledger.reused:
                reporter.note(f"{ledger.reused} verdicts are an earlier run's (same judge, prompt and parameters)")
            yield
        except EngineError as error:
            line = f"{error}; {len(own)} judgements are kept: run the same command again to go on"
            raise EngineError(line) from error
        finally:
            panel.close()
            _share(plan, panel, own, reporter)


def judge_facts(plan: Plan, panel: JudgePanel, metrics: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The header's ``judge``: who judged, by which rubrics, what is missing, what it cost."""
    prices = price_table(plan.settings.judging)
    judges = []
    for judge in panel.judges:
        identity, tally = judge.identity, panel.tallies[judge.identity.name]
        kin = kinship(plan.checkpoint, plan.identity and plan.identity.weights_sha256, identity.facts)
        judges.append(
            {
                "name": identity.name,
                **({"kin": kin} if kin else {}),
                "fingerprint": identity.fingerprint,
                "schema_enforced": identity.enforced,
                "log_probabilities": identity.log_probabilities,
                **identity.facts,
                "prompts": tally.prompts,
                "asked": tally.asked,
                "tokens": tokens_of(tally),
                "missing": dict(sorted(tally.missing.items())),
                "examples": dict(sorted(tally.examples.items())),
                **({"partly": dict(sorted(tally.partly.items()))} if tally.partly else {}),
                "repaired": dict(sorted(tally.repaired.items())),
                "notes": list(getattr(judge, "notes", ())),
                "suspicious": dict(sorted(tally.suspicious.items())),
                "cost": judge_cost(identity, tally, prices),
            }
        )
    return {
        "model": panel.name,
        **({"repeats": panel.repeats} if panel.repeats > 1 else {}),
        "rubric_sha256": fingerprint(dict(panel.rubrics)),
        "judges": judges,
        "rubrics": dict(sorted(panel.rubrics.items())),
        "missing_cap": MISSING_CAP,
        "over_cap": [name for name, entry in metrics.items() if judge_missing_share(entry) > MISSING_CAP],
    }


def judge_missing_share(entry: Mapping[str, Any]) -> float:
    """The share of a metric's applicable items on which a judge gave no verdict, 0 to 1."""
    failed = entry.get("judge_missing", 0)
    return failed / (entry["n"] + failed) if failed else 0.0


def judges_to_retry(header: Mapping[str, Any]) -> int:
    """How many of a finished run's prompts got no reply from a judge at all, so that asking again may help."""
    missing = Counter[str]()
    for judge in (header.get("judge") or {}).get("judges", ()):
        missing.update(judge.get("missing", {}))
    return missing["timeout"] + missing["error"]


def told_below(
    header: Mapping[str, Any], path: Path, corrected: Collection[str] = ()
) -> tuple[dict[str, Any], list[str]]:
    """What is told of a finished run's judges below its table: keys of the JSON, and lines.

    That is what they cost, and which of them were never calibrated on this data; metrics that labels have
    ``corrected`` need no calibration. Nothing where nobody judged.
    """
    if not header.get("judge"):
        return {}, []
    questions = (str(sample.get("question", "")) for sample in read_samples(path))
    found = uncalibrated(header["metrics"], questions, corrected)
    return {"uncalibrated": found}, [*cost_lines(header["judge"]["judges"]), *uncalibrated_lines(found)]


def told_outcome(header: Mapping[str, Any], path: Path, reporter: Reporter) -> int:
    """Tell how to get the verdicts that a finished run lacks; the exit code, which is not 0 where a judge gave none."""
    judges, lacking = (header.get("judge") or {}).get("judges", ()), 0
    for judge in judges:
        missing = Counter(judge["missing"])
        if cut := missing["truncated"] * bool(judge.get("reply_tokens")):
            room = f"--judge-option reply_tokens={2 * judge['reply_tokens']}"
            reporter.note(f"{cut} replies of {judge['name']} were cut: {room} is a judge with more room")
        # A text that does not fit a judge's window never will.
        lacking += missing.total() - missing[UNSCORED] + sum(judge.get("partly", {}).values())
    if lacking:
        reporter.note(f"verdicts missing: {lacking}; this asks for them again: telbench judge retry {path}")
    counted = [(judge["name"], judge["prompts"], sum(judge["missing"].values())) for judge in judges]
    return tell_lost(counted, reporter, "what it should have judged has no score")


def _valued(record: Mapping[str, Any] | None) -> bool:
    """Does asking again bring nothing better?"""
    return has_verdict(record) or scored(record)


def _whole(record: Mapping[str, Any] | None) -> bool:
    return answered(record) or scored(record)


def _ask(plan: Plan, panel: JudgePanel, store: RecordStore, reporter: Reporter, only: str | None) -> None:
    count = sum(1 for _ in judge_tasks(plan, store)) * (1 if only else len(panel.judges)) * panel.repeats
    scoring = [judge for judge in likelihood_judges(panel) if only in (None, judge.identity.name)]
    count += sum(1 for _ in judge_texts(plan, store)) * len(scoring)
    if not count:
        return
    with reporter.progress("judging", count) as meter:

        def seen(judge: str) -> None:
            meter.advance(1, judge)

        panel.ask(lambda: judge_tasks(plan, store), seen, only)
        ask_likelihoods(panel, lambda: judge_texts(plan, store), seen, only)


def _earlier(plan: Plan, panel: JudgePanel, stack: contextlib.ExitStack, reporter: Reporter) -> list[RecordStore]:
    """Stores of the same judges' judgements of other runs, to be read; none for ``--fresh`` and ``--no-cache``."""
    found: list[RecordStore] = []
    if plan.settings.fresh or not plan.settings.cache:
        return found
    for identity in panel.identities:
        try:
            with shared_store(KIND, fingerprint(identity.fingerprint)) as store:
                if store is not None:
                    # A second handle, opened while nobody writes, that outlives the lock.
                    found.append(stack.enter_context(RecordStore(store.path)))
        except InputError as error:
            reporter.note(f"the judgement cache was not read: {error}")
    return found


def _share(plan: Plan, panel: JudgePanel, own: RecordStore, reporter: Reporter) -> None:
    """Give this run's judgements to later runs with the same judges."""
    if not plan.settings.cache:
        return
    for identity in panel.identities:
        try:
            with shared_store(KIND, fingerprint(identity.fingerprint)) as store:
                for key in own.keys() if store is not None else ():
                    record = own.get(key)
                    if store is None or record is None or not _whole(record):
                        continue
                    if key in store and not (has_verdict(record) and not _valued(store.get(key))):
                        continue
                    if record.get("judge") == identity.name:
                        store.put(key, {name: value for name, value in record.items() if name != "key"})
        except InputError as error:
            # The verdicts are safe in the run folder; a cache that takes no more only costs time later.
            reporter.note(f"the judgement cache was not written: {error}")
