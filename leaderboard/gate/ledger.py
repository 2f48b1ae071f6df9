"""The ledger of an anchor: which candidates were looked at, at which levels, and what was decided."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from telbench.errors import InputError

from ...harness.storage import waiting_lock
from ...metrics.fingerprints import fingerprint
from ..runs.anchor import read_ledger, shareable, write_ledger
from ..runs.loaded import LoadedRun
from .gate import GatePolicy
from .spending import Levels, next_levels

_MEND = "restore the file as it was committed, or pin the baseline again"
# Levels are written to all their digits: what differs by more than rounding was changed by hand.
_ROUNDING = 1e-12


@dataclass(frozen=True)
class Entry:
    """One look: who was looked at and how it was asked (as hashes), the levels, and what they came to.

    ``drop_shown`` and ``within_margin`` are the hypotheses that were rejected: the level of such a look is not lost.
    """

    look: int
    candidate: str
    run_id: str
    scores: str
    policy: str
    red_level: float
    pass_level: float
    verdict: str
    drop_shown: bool
    within_margin: bool

    @property
    def decision(self) -> tuple[bool, bool]:
        """As `spending.next_levels` takes it."""
        return self.drop_shown, self.within_margin


class Ledger:
    """The looks at one anchor; to be used while its lock is held (`opened`).

    Raises:
        InputError: when the file is no anchor, or the ledger in it was changed or laid out for another error rate.
    """

    def __init__(self, path: Path, alpha: float, half: int) -> None:
        self.path, self.alpha, self.half = path, alpha, half
        kept = read_ledger(path)
        self.entries = [] if kept is None else _entries(kept, path, alpha, half)

    def levels(self) -> Levels:
        """Those of the next look."""
        return next_levels((entry.decision for entry in self.entries), self.alpha, self.half)

    def levels_of(self, entry: Entry) -> Levels:
        """Those of a look that was decided."""
        before = (other.decision for other in self.entries[: entry.look - 1])
        return next_levels(before, self.alpha, self.half)

    def find(self, scores: str, policy: str) -> Entry | None:
        """The look at these scores with that policy, if there was one."""
        return next((entry for entry in self.entries if (entry.scores, entry.policy) == (scores, policy)), None)

    def add(self, entry: Entry) -> None:
        """Write the look into the anchor. Raises `InputError` when that cannot be done; then nothing has changed."""
        looks = [asdict(each) for each in (*self.entries, entry)]
        write_ledger(self.path, {"alpha": self.alpha, "half": self.half, "looks": looks})
        self.entries.append(entry)


@contextlib.contextmanager
def opened(anchor: Path, alpha: float, half: int) -> Iterator[Ledger]:
    """The ledger of an anchor, for this process alone: what others decide meanwhile waits.

    Raises:
        InputError: as `Ledger`, or when another process holds it too long, or its folder cannot be written.
    """
    if not anchor.is_file():
        raise InputError(
            f"{anchor}: --sequential keeps its ledger in an anchor file, and this is none: telbench baseline pin RUN"
        )
    with alone(anchor):
        yield Ledger(anchor.resolve(), alpha, half)


@contextlib.contextmanager
def alone(anchor: Path) -> Iterator[None]:
    """Nobody else writes the anchor meanwhile; one that is not there yet needs no lock. Raises as `waiting_lock`."""
    place = anchor.resolve()
    with waiting_lock(place.with_name(f".{place.name}.lock")) if place.is_file() else contextlib.nullcontext():
        yield


def looks_at(anchor: Path) -> int:
    """How many looks an anchor's ledger holds; 0 for what is no anchor."""
    try:
        kept = read_ledger(anchor)
    except InputError:
        return 0
    looks = kept.get("looks") if isinstance(kept, Mapping) else None
    return len(looks) if isinstance(looks, list) else 0


def scores_of(run: LoadedRun, policy: GatePolicy) -> str:
    """A hash of all that the gate reads of a candidate: the same answers are the same look."""
    names = sorted({*policy.margins, *policy.guardrails})
    columns = {
        name: {item: [score.value, score.stats, score.reason] for item, score in run.scores.get(name, {}).items()}
        for name in names
    }
    return fingerprint([columns, sorted(run.failed)])


def policy_hash(policy: GatePolicy) -> str:
    """A hash of what was asked; what to do with an inconclusive answer is no part of it."""
    return fingerprint({key: value for key, value in asdict(policy).items() if key not in ("on_inconclusive", "alpha")})


def name_of(run: LoadedRun) -> tuple[str, str]:
    """(model, run id) of a candidate, fit for a file that is committed."""
    return str(shareable(run.name)), str(shareable(str(run.header.get("run_id"))))


def _entries(kept: Any, path: Path, alpha: float, half: int) -> list[Entry]:
    if not isinstance(kept, Mapping) or not isinstance(kept.get("looks"), list):
        raise InputError(f"{path}: its ledger is damaged: {_MEND}")
    for name, wanted in (("alpha", alpha), ("half", half)):
        if kept.get(name) != wanted:
            flag = {"alpha": "--alpha", "half": "--half-spent-by"}[name]
            raise InputError(
                f"{path}: its ledger is laid out for {flag} {kept.get(name)}, not {wanted}: pass the same, or pin a "
                "new baseline"
            )
    entries: list[Entry] = []
    for number, each in enumerate(kept["looks"], 1):
        where = f"{path}: look {number} of its ledger"
        try:
            entry = Entry(**each)
            levels = next_levels((other.decision for other in entries), alpha, half)
            right = entry.look == number and all(isinstance(hit, bool) for hit in entry.decision)
            right = right and abs(entry.red_level - levels.red) <= _ROUNDING
            right = right and abs(entry.pass_level - levels.passing) <= _ROUNDING
        except TypeError as error:
            raise InputError(f"{where} is damaged: {_MEND}") from error
        if not right:
            raise InputError(f"{where} does not follow from those before it: {_MEND}")
        entries.append(entry)
    return entries
