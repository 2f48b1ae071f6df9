"""Which of two checkpoints answers better: every pair of answers is judged in both orders."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from telbench.errors import InputError

from ..chat import writable
from ..contract import JudgeTask
from ..material import alternatives
from ..panel import Judgement, JudgePanel
from ..position_bias import PairVerdict, PositionBias, position_bias, sign_test
from ..rubric import Rubric, load_rubric
from ..verdicts import Missing, Preference

RUBRIC = "preference"
Outcome = Literal["A", "B", "tie"]


@dataclass(frozen=True, slots=True)
class AnswerPair:
    """What two checkpoints, A and B, answered to one item."""

    item_id: str
    question: str
    references: tuple[str, ...]
    answer_a: str
    answer_b: str
    context: str | None = None


@dataclass(frozen=True, slots=True)
class PairOutcome:
    """Which answer is better in the eyes of one judge, or of the panel's majority; None with the ``reason`` why not.

    ``order_conflict``: a judge's two orders disagreed, which makes a tie. ``identical`` answers are a tie and were not
    judged. ``judgements`` are the keys of the records behind it.
    """

    item_id: str
    outcome: Outcome | None
    reason: str | None = None
    order_conflict: bool = False
    identical: bool = False
    judgements: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PreferenceTally:
    """Pairs counted from A's side; ``judge`` is a judge's name, or that of the panel for its majority.

    ``missing`` counts pairs without outcome by reason. ``identical`` and ``order_conflicts`` are among the ties, save
    that in a panel's tally the latter are pairs on which some judge contradicted itself, whatever the majority.
    ``position`` tells how verdicts follow the place; ``first_share`` is the share of verdicts for the answer that stood
    first among those for one of the two (0.5: no bias), of pairs judged in both orders; both over all judges in a
    panel's tally. ``win_rate`` is (wins + ties / 2) / (wins + ties + losses); ``p_value`` that of the exact two-sided
    sign test of wins against losses, which takes the items for independent of each other. Shares are None where there
    is nothing to divide by, the p-value where there is neither win nor loss.
    """

    judge: str
    n: int
    wins: int
    ties: int
    losses: int
    missing: Mapping[str, int]
    identical: int
    order_conflicts: int
    position: PositionBias
    first_share: float | None
    win_rate: float | None
    p_value: float | None


@dataclass(frozen=True, slots=True)
class Preferences:
    """The comparison of two checkpoints: the panel's majority, each judge, and every pair by the majority."""

    rubric: str
    rubric_sha256: str
    panel: PreferenceTally
    judges: tuple[PreferenceTally, ...]
    pairs: tuple[PairOutcome, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, without NaN."""
        return asdict(self)


def preference_rubric(own: Rubric | None = None) -> Rubric:
    """The rubric that pairs are judged by: telbench's, or one's own. Raises `InputError` for one of another kind."""
    rubric = own or load_rubric(RUBRIC)
    if rubric.kind != "preference":
        raise InputError(f"the rubric {rubric.name} is for {rubric.kind}: give one with 'verdict: preference'")
    return rubric


def preference_tasks(pairs: Iterable[AnswerPair], rubric: Rubric | None = None) -> Iterator[JudgeTask]:
    """What judges have to be asked: two tasks a pair, A first and B first; none where the answers are identical."""
    chosen = preference_rubric(rubric)
    for pair in pairs:
        if not identical(pair):
            yield from _both_orders(pair, chosen)


def preferences(pairs: Sequence[AnswerPair], panel: JudgePanel, rubric: Rubric | None = None) -> Preferences:
    """Compare the answers of A and B; what the panel's ledger does not hold is asked now, in one stream.

    A judge prefers an answer when it says so in both orders; if the orders disagree, that is a tie. The panel prefers
    what more than half of its judges prefer. A pair lacks an outcome for a judge when a verdict of either order is
    missing, and for the panel when the missing ones could have changed the majority. Raises like `JudgePanel.ask`.
    """
    chosen = preference_rubric(rubric)
    judged = [pair for pair in pairs if not identical(pair)]
    both = panel.judge_all([task for pair in judged for task in _both_orders(pair, chosen)])
    verdicts = dict(zip(map(id, judged), zip(both[::2], both[1::2], strict=True), strict=True))
    names = [identity.name for identity in panel.identities]
    by_judge: list[list[PairOutcome]] = [[] for _ in names]
    places: list[list[PairVerdict]] = [[] for _ in names]
    majority = []
    for pair in pairs:
        if id(pair) not in verdicts:
            same = PairOutcome(pair.item_id, "tie", identical=True)
            for outcomes in by_judge:
                outcomes.append(same)
            majority.append(same)
            continue
        own = []
        for index, (a_first, b_first) in enumerate(zip(*verdicts[id(pair)], strict=True)):
            places[index].append(PairVerdict(_choice(a_first), _choice(b_first)))
            own.append(_outcome(pair.item_id, a_first, b_first))
            by_judge[index].append(own[-1])
        majority.append(_majority(own, names))
    return Preferences(
        rubric=f"{chosen.name}-{chosen.version}",
        rubric_sha256=chosen.sha256,
        panel=_tally(panel.name, majority, [place for some in places for place in some]),
        judges=tuple(map(_tally, names, by_judge, places)),
        pairs=tuple(majority),
    )


def identical(pair: AnswerPair) -> bool:
    """Whether the answers are the same but for outer white space, so that nothing has to be asked."""
    return pair.answer_a.strip() == pair.answer_b.strip()


def _both_orders(pair: AnswerPair, rubric: Rubric) -> tuple[JudgeTask, JudgeTask]:
    shared = {
        "question": writable(pair.question),
        "context": writable(pair.context or ""),
        "reference": alternatives(pair.references),
    }
    a, b = writable(pair.answer_a.strip()), writable(pair.answer_b.strip())
    a_first = JudgeTask(rubric, {**shared, "first": a, "second": b}, pair.item_id)
    return a_first, JudgeTask(rubric, {**shared, "first": b, "second": a}, pair.item_id)


def _choice(judgement: Judgement) -> Literal["first", "second", "tie"] | None:
    return judgement.verdict.winner if isinstance(judgement.verdict, Preference) else None


def _outcome(item_id: str, a_first: Judgement, b_first: Judgement) -> PairOutcome:
    keys = (a_first.key, b_first.key)
    for verdict in (a_first.verdict, b_first.verdict):
        if isinstance(verdict, Missing):
            return PairOutcome(item_id, None, f"judge: {verdict.reason}", judgements=keys)
    seen: dict[str | None, Outcome] = {"first": "A", "second": "B", "tie": "tie"}
    turned: dict[str | None, Outcome] = {"first": "B", "second": "A", "tie": "tie"}
    one, other = seen[_choice(a_first)], turned[_choice(b_first)]
    if one == other:
        return PairOutcome(item_id, one, judgements=keys)
    return PairOutcome(item_id, "tie", order_conflict=True, judgements=keys)


def _majority(own: Sequence[PairOutcome], names: Sequence[str]) -> PairOutcome:
    """What more than half of the judges say, a tie where no outcome can have that many votes any more."""
    if len(own) == 1:
        return own[0]
    votes: Counter[Outcome] = Counter(vote.outcome for vote in own if vote.outcome is not None)
    absent = len(own) - votes.total()
    conflict = any(vote.order_conflict for vote in own)
    keys = tuple(key for vote in own for key in vote.judgements)
    most: tuple[Outcome, ...] = tuple(outcome for outcome, count in votes.items() if 2 * count > len(own))
    open_still = absent > 0 and 2 * (max(votes["A"], votes["B"]) + absent) > len(own)
    if open_still and not most:
        failed = [
            f"judge {name}: {vote.reason.removeprefix('judge: ')}"
            for name, vote in zip(names, own, strict=True)
            if vote.reason is not None
        ]
        return PairOutcome(own[0].item_id, None, "; ".join(failed), conflict, judgements=keys)
    return PairOutcome(own[0].item_id, most[0] if most else "tie", None, conflict, judgements=keys)


def _tally(judge: str, outcomes: Sequence[PairOutcome], places: Sequence[PairVerdict]) -> PreferenceTally:
    counts = Counter(outcome.outcome for outcome in outcomes)
    wins, ties, losses = counts["A"], counts["tie"], counts["B"]
    decided = wins + ties + losses
    complete = [place for place in places if place.order_ab is not None and place.order_ba is not None]
    winners = [choice for place in complete for choice in (place.order_ab, place.order_ba) if choice != "tie"]
    return PreferenceTally(
        judge=judge,
        n=len(outcomes),
        wins=wins,
        ties=ties,
        losses=losses,
        missing=dict(sorted(Counter(outcome.reason for outcome in outcomes if outcome.reason is not None).items())),
        identical=sum(outcome.identical for outcome in outcomes),
        order_conflicts=sum(outcome.order_conflict for outcome in outcomes),
        position=position_bias(places),
        first_share=winners.count("first") / len(winners) if winners else None,
        win_rate=(wins + ties / 2) / decided if decided else None,
        p_value=sign_test(wins, losses) if wins + losses else None,
    )
