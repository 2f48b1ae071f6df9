"""The fact metrics: what an answer makes of the facts of its reference, without any model.

Facts are quantities, entities, contrasts and statements (`telbench.metrics.fact.agreement`). Those that the question
already gives do not count. Of several references the one that the answer agrees with best is taken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import get_args

from ..contract import ItemScore, Metric, Sample, missing
from .agreement import findings
from .reading.reading import read, read_again
from .reading.text import STOP
from .relations.findings import Finding, Kind, Status

NO_FACT = "no fact in the references beyond the question"
VERSION = 4
_OPTIONS = {"lexicon": "4", "given": "question"}
_COUNTS = tuple((kind, status) for kind in get_args(Kind) for status in get_args(Status))
# Answers whose counts are kept, so that six metrics read each answer once.
_MOST_KEPT = 1 << 16
# Items that tell whether a set's references hold facts.
MOST_READ = 200


@dataclass(frozen=True, slots=True)
class Tally:
    """How many facts of a reference an answer agrees with, contradicts and omits, by kind.

    ``wanted`` are the facts that it has to tell, whatever it says: without any the reference tells nothing.
    """

    counts: Mapping[tuple[Kind, Status], int]
    wanted: Mapping[Kind, int]

    def number(self, status: Status, kinds: Sequence[Kind] = get_args(Kind)) -> int:
        """How many facts of the kinds have this status."""
        return sum(count for (kind, each), count in self.counts.items() if each == status and kind in kinds)

    def share(self, status: Status, kinds: Sequence[Kind] = get_args(Kind)) -> float | None:
        """Their share of the facts of these kinds; None where the reference has none to tell."""
        if not any(kind in kinds for kind in self.wanted):
            return None
        return self.number(status, kinds) / sum(count for (kind, _), count in self.counts.items() if kind in kinds)

    @property
    def agreement(self) -> float | None:
        """The share of facts that are told, less 1 where any is contradicted."""
        told = self.share("agreed")
        return None if told is None else told - bool(self.number("contradicted"))


def tally(found: Sequence[Finding]) -> Tally:
    """Count findings."""
    counts: dict[tuple[Kind, Status], int] = {}
    wanted: dict[Kind, int] = {}
    for each in found:
        counts[each.kind, each.status] = counts.get((each.kind, each.status), 0) + 1
        if not each.only_if_seen:
            wanted[each.kind] = wanted.get(each.kind, 0) + 1
    return Tally(counts, wanted)


def facts_of(sample: Sample) -> tuple[tuple[Finding, ...], ...]:
    """The findings for each reference of a sample, in their order."""
    return tuple(_each_reference(sample))


def _each_reference(sample: Sample) -> Iterator[tuple[Finding, ...]]:
    answer, question = read(sample.prediction), read_again(sample.question)
    return (findings(read_again(reference), answer, question) for reference in sample.references)


def best_reference(sample: Sample) -> int | None:
    """Which reference the answer agrees with best, the first of several; None where none holds a fact."""
    return _held(sample).best


def hold_facts(items: Sequence[tuple[str, Sequence[str]]]) -> bool:
    """Are these English questions, of which at least half have a reference with a fact that they do not give?

    English is a question text of whose words a quarter are the small ones of English (the, of, which). ``items`` are
    questions with their references; up to 200 are read, evenly spaced.
    """
    chosen = items[:: -(-len(items) // MOST_READ) or 1]
    words = [word.text for question, _ in chosen for word in read_again(question).text.words]
    if not words or 4 * sum(word in STOP for word in words) < len(words):
        return False
    silent = read("")
    held = sum(
        any(tally(findings(read_again(text), silent, read_again(question))).agreement is not None for text in texts)
        for question, texts in chosen
    )
    return 2 * held >= len(chosen)


@dataclass(frozen=True, slots=True)
class _Held:
    """The counts for the references that were looked at, and which of these the answer agrees with best.

    They end with the first that the answer agrees with wholly: no later one can be better.
    """

    tallies: tuple[Tally, ...]
    best: int | None
    agreement: float | None


def _hold(sample: Sample, *, all_of_them: bool) -> _Held:
    tallies: list[Tally] = []
    best = agreement = None
    for place, found in enumerate(_each_reference(sample)):
        tallies.append(tally(found))
        value = tallies[-1].agreement
        if value is not None and (agreement is None or value > agreement):
            best, agreement = place, value
        if agreement == 1 and not all_of_them:
            break
    return _Held(tuple(tallies), best, agreement)


_kept: dict[bytes, _Held] = {}


def _held(sample: Sample, *, all_of_them: bool = False) -> _Held:
    """An answer held against its references, ``all_of_them`` where those behind the best one matter, too."""
    digest = blake2b(digest_size=16)
    for text in (sample.prediction, sample.question, *sample.references):
        digest.update(text.encode("utf-8", "surrogatepass"))
        digest.update(b"\xff")
    key = digest.digest()
    found = _kept.get(key)
    if found is None or (all_of_them and len(found.tallies) < len(sample.references)):
        found = _hold(sample, all_of_them=all_of_them)
        if len(_kept) >= _MOST_KEPT:
            _kept.clear()
        _kept[key] = found
    return found


def _best_share(*kinds: Kind) -> Callable[[Sample], float | None]:
    def score(sample: Sample) -> float | None:
        tallies = _held(sample, all_of_them=True).tallies
        shares = [share for each in tallies if (share := each.share("agreed", kinds)) is not None]
        return max(shares, default=None)

    return score


def _share_of_best(status: Status) -> Callable[[Sample], float | None]:
    def score(sample: Sample) -> float | None:
        held = _held(sample)
        return None if held.best is None else held.tallies[held.best].share(status)

    return score


def _agreement(sample: Sample) -> float | None:
    return _held(sample).agreement


def _fact_metric(
    name: str,
    score: Callable[[Sample], float | None],
    description: str,
    absent: str = NO_FACT,
    *,
    better: bool = True,
    lowest: float = 0,
) -> Metric:
    def score_batch(samples: Sequence[Sample]) -> list[ItemScore]:
        values = map(score, samples)
        return [missing(absent) if value is None else ItemScore(value) for value in values]

    return Metric(
        name=name,
        family="fact",
        range=(lowest, 1),
        higher_is_better=better,
        needs=frozenset({"references"}),
        level="item",
        description=description,
        score_batch=score_batch,
        options=_OPTIONS,
        version=VERSION,
    )


fact_agreement = _fact_metric(
    "fact_agreement",
    _agreement,
    "Share of the reference's facts that the answer tells, less 1 where it contradicts any: 1 tells all, 0 tells none, "
    "below 0 is wrong.",
    lowest=-1,
)
quantity_agreement = _fact_metric(
    "quantity_agreement",
    _best_share("quantity"),
    "Share of the reference's quantities (numbers with normalised units) that the answer tells.",
    "no quantity in the references beyond the question",
)
entity_agreement = _fact_metric(
    "entity_agreement",
    _best_share("entity"),
    "Share of the reference's names (functions, interfaces, protocols, specifications) that the answer tells.",
    "no entity in the references beyond the question",
)
polarity_agreement = _fact_metric(
    "polarity_agreement",
    _best_share("polarity", "direction"),
    "Share of the reference's statements and contrasts (uplink, before, not) that the answer makes the same way.",
    "no statement or contrast in the references beyond the question",
)
fact_contradiction = _fact_metric(
    "fact_contradiction",
    _share_of_best("contradicted"),
    "Share of the reference's facts that the answer contradicts: another value, name, side or polarity in their place.",
    better=False,
)
fact_omission = _fact_metric(
    "fact_omission",
    _share_of_best("omitted"),
    "Share of the reference's facts that the answer leaves out without contradicting them.",
    better=False,
)
