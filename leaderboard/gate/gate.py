"""Is the candidate worse than the baseline? A gate with three answers: no, yes, and not enough items to tell.

The margin says how large a drop is acceptable. A primary metric passes when its drop is shown to be smaller than the
margin (non-inferiority), fails when a drop is shown that may exceed it, and is inconclusive otherwise. A guardrail
never has to prove anything. It has a budget, and fails when a drop is shown that is larger. A gate that asks all
metrics for proof fails unchanged models, and one that compares two means fails them half of the time.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from telbench.errors import InputError

from ...metrics.contract import Metric
from ..runs.loaded import LoadedRun
from ..statistics.multiplicity import holm
from ..statistics.paired import FEW_CLUSTERS
from ..statistics.power import items_for_margin, needed_for_margin
from .categories import category_evidence
from .evidence import Evidence, evidence_of
from .remarks import as_html, facts, remarks
from .spending import Look
from .unseen import Overlooked, overlooked

Role = Literal["primary", "guardrail", "category"]
Verdict = Literal["PASS", "PASS_SMALL_DROP", "INCONCLUSIVE", "FAIL", "FAIL_HARD"]
GateVerdict = Literal["pass", "fail", "inconclusive"]
OnInconclusive = Literal["warn", "fail"]
ALPHA = 0.05
# More items than this share without a score on one side make the comparison another one.
MAX_MISSING = 0.01
# The share of its range that a guardrail may drop by.
GUARDRAIL_BUDGET = 0.02
# An item that loses more than this share of the metric's range is a regression worth reading.
STEEP = 0.5
WORST_ITEMS = 20


@dataclass(frozen=True)
class GatePolicy:
    """What is asked for: a margin for each primary metric (on its own scale), guardrails, the error rate.

    A guardrail may drop by its budget: that of ``budgets``, on its own scale, else the share ``guardrail_budget`` of
    its range (of the baseline's value where the range is open). ``max_missing`` is the largest share of items (0 to 1)
    that may lack a score on either side. In ``categories`` of the items (`categories.EVERY`: in all of them) no primary
    metric may drop by more than its margin, or than its ``category_budgets`` on its own scale. Raises `InputError` for
    values that cannot be.
    """

    margins: Mapping[str, float]
    guardrails: tuple[str, ...] = ()
    alpha: float = ALPHA
    on_inconclusive: OnInconclusive = "warn"
    max_missing: float = MAX_MISSING
    budgets: Mapping[str, float] = field(default_factory=dict)
    guardrail_budget: float = GUARDRAIL_BUDGET
    categories: tuple[str, ...] = ()
    category_budgets: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse what is no policy."""
        if not self.margins:
            raise InputError("no primary metric: --margin METRIC=X names one with the largest drop to accept")
        for name, margin in self.margins.items():
            if not 0 < margin < math.inf:
                raise InputError(f"--margin {name}={margin}: give a positive number, on the metric's own scale")
        if both := sorted(set(self.margins) & set(self.guardrails)):
            raise InputError(f"{both[0]} has a margin and is a guardrail: choose one")
        for name, budget in self.budgets.items():
            if not 0 <= budget < math.inf:
                raise InputError(f"--guardrail {name}={budget}: give 0 or a positive number, on the metric's own scale")
            if name not in self.guardrails:
                raise InputError(f"--guardrail {name}={budget}: {name} is no guardrail")
        for name, budget in self.category_budgets.items():
            if not (0 <= budget < math.inf and name in self.margins and self.categories):
                raise InputError(
                    f"--category-budget {name}={budget}: give 0 or a positive number for a metric with a margin, and "
                    "--categories"
                )
        if not 0 <= self.guardrail_budget <= 1:
            raise InputError(f"--guardrail-budget {self.guardrail_budget}: give a share of the range, from 0 to 1")
        if not 0 < self.alpha < 0.5:
            raise InputError(f"alpha {self.alpha}: give an error rate between 0 and 0.5")

    def budget_of(self, metric: Metric, baseline: float) -> float | None:
        """The largest drop that a guardrail may show, on its own scale; None for a primary metric."""
        if metric.name in self.margins:
            return None
        low, high = metric.range
        width = abs(baseline) if low is None or high is None else high - low
        return self.budgets.get(metric.name, self.guardrail_budget * width)


@dataclass(frozen=True)
class MetricGate:
    """One metric's verdict and what it rests on; differences are candidate minus baseline, positive is better.

    ``lower`` and ``upper`` are one-sided bounds of the mean difference at 1 - alpha; ``p_drop`` tests for a drop, and
    ``p_drop_adjusted`` is corrected by Holm over all with a margin, or all with a budget; ``p_margin`` tests for a drop
    smaller than the margin (None for corpus scores, where the bound decides). ``n_needed`` items would settle an
    inconclusive primary metric if the difference stays as it is; None where it lies beyond the margin. ``detectable``
    is the smallest drop that these items find with 80 % power, and the smallest margin that they confirm so often for
    an unchanged model; ``n_for_margin`` items in ``clusters_for_margin`` documents would do so for the margin. A metric
    that passes by its bound but would not with failures that its documents may hide is inconclusive, with the flag
    ``dominated`` or ``unseen_failures`` and the p-value ``p_overlooked`` (`unseen`).

    A guardrail has a ``budget`` in place of a margin; ``p_beyond`` tests for a drop that is larger, and
    ``p_beyond_adjusted`` is corrected by Holm over all guardrails. So has a primary metric within a ``category`` of the
    items, whose role that is then: it is of the guardrails' family.
    """

    metric: str
    role: Role
    verdict: Verdict
    reason: str
    margin: float | None
    baseline: float
    candidate: float
    delta: float
    lower: float | None
    upper: float | None
    p_drop: float
    p_drop_adjusted: float
    p_margin: float | None
    n: int
    n_missing: int
    clusters: int
    effective_clusters: float
    detectable: float | None
    n_needed: int | None
    higher_is_better: bool
    steep_drops: int
    worst: tuple[Mapping[str, Any], ...]
    flags: tuple[str, ...]
    budget: float | None = None
    p_beyond: float | None = None
    p_beyond_adjusted: float | None = None
    n_for_margin: int | None = None
    clusters_for_margin: int | None = None
    p_overlooked: float | None = None
    category: str | None = None

    @property
    def title(self) -> str:
        """The metric, and the category where it is held in one: text of unknown origin."""
        return self.metric if self.category is None else f"{self.metric} in {self.category}"


@dataclass(frozen=True)
class Gate:
    """The verdict of all metrics: ``exit_code`` 0 pass, 1 regression, 3 inconclusive where that is to fail.

    ``look`` is there where the gate holds its error rates over several looks at one baseline.
    """

    verdict: GateVerdict
    exit_code: int
    policy: GatePolicy
    baseline: Mapping[str, Any]
    candidate: Mapping[str, Any]
    metrics: tuple[MetricGate, ...]
    warnings: tuple[str, ...] = field(default=())
    look: Look | None = None

    def to_dict(self) -> dict[str, Any]:
        """As a JSON record; the same inputs give the same bytes."""
        found = {"schema_version": 1, **asdict(self)}
        return found if self.look is not None else {key: value for key, value in found.items() if key != "look"}

    def _repr_html_(self) -> str:
        metrics = [{**asdict(each), "title": each.title} for each in self.metrics]
        return as_html(self.verdict, self.candidate, self.baseline, self.warnings, metrics)


@dataclass(frozen=True)
class Case:
    """A candidate and the baseline that it is held against, measured alike (`runs.loaded.require_alike`).

    ``metrics`` are those that both have, ``warnings`` what was told of the runs and margins.
    """

    candidate: LoadedRun
    baseline: LoadedRun
    metrics: Sequence[Metric]
    policy: GatePolicy
    warnings: tuple[str, ...] = ()


def judge_gate(candidate: LoadedRun, baseline: LoadedRun, metrics: Sequence[Metric], policy: GatePolicy) -> Gate:
    """Hold a candidate against a baseline; both were measured alike (`runs.loaded.require_alike`).

    Raises:
        InputError: for a metric that the runs do not share. IncomparableError: when too many items lack a score.
    """
    return judge_gates([Case(candidate, baseline, metrics, policy)])[0]


def judge_gates(cases: Sequence[Case]) -> list[Gate]:
    """A gate for each case, at one error rate: families of tests hold the metrics of all of them.

    Raises:
        InputError: for a metric that the runs do not share, or a category that there is not. IncomparableError: when
            too many items lack a score.
    """
    asked, notes = zip(*(_asked(case) for case in cases), strict=True)
    alone = [(place, each) for place, of_case in enumerate(asked) for each in of_case]
    found: list[list[MetricGate]] = [[] for _ in cases]
    for proven in (True, False):
        family = [(place, each) for place, each in alone if (each.budget is None) == proven]
        for (place, _), judged in zip(family, _judged([each for _, each in family]), strict=True):
            found[place].append(judged)
    return [_gate(*each) for each in zip(cases, found, notes, strict=True)]


def together(verdicts: Iterable[str], on_inconclusive: OnInconclusive) -> tuple[GateVerdict, int]:
    """What the verdicts of metrics, or of gates, come to, and its exit code: one that fails fails all.

    >>> together(["PASS", "INCONCLUSIVE"], "warn"), together(["pass", "inconclusive"], "fail")
    (('inconclusive', 0), ('inconclusive', 3))
    """
    words = [verdict.lower() for verdict in verdicts]
    if any(word.startswith("fail") for word in words):
        return "fail", 1
    if "inconclusive" in words:
        return "inconclusive", 3 if on_inconclusive == "fail" else 0
    return "pass", 0


def _gate(case: Case, found: Sequence[MetricGate], notes: Sequence[str]) -> Gate:
    flags = {each.metric: each.flags for each in found if each.category is None}
    warnings = (*case.warnings, *remarks(case.candidate, case.baseline, flags), *notes)
    return Gate(
        *together((each.verdict for each in found), case.policy.on_inconclusive),
        case.policy,
        facts(case.baseline),
        facts(case.candidate),
        tuple(found),
        tuple(dict.fromkeys(warnings)),
    )


@dataclass(frozen=True)
class _Tests:
    """p-values of one metric after correction, and its budget where it is a guardrail."""

    drop: float
    budget: float | None = None
    beyond: float | None = None
    beyond_adjusted: float | None = None


@dataclass(frozen=True)
class _Asked:
    """What one metric is held to, and what the runs say of it; those with a budget need no proof."""

    each: Evidence
    policy: GatePolicy
    budget: float | None = None
    category: str | None = None


def _asked(case: Case) -> tuple[list[_Asked], list[str]]:
    """Primary metrics, guardrails and categories of one case, and what to tell of categories that are left out."""
    policy, known = case.policy, {metric.name: metric for metric in case.metrics}
    for name in (*policy.margins, *policy.guardrails):
        if name not in known:
            raise InputError(f"metric '{name}' is not in both runs: they share {', '.join(known)}")
    found = []
    for name in (*policy.margins, *policy.guardrails):
        one = evidence_of(
            known[name],
            case.candidate,
            case.baseline,
            margin=policy.margins.get(name),
            alpha=policy.alpha,
            max_missing=policy.max_missing,
        )
        found.append(_Asked(one, policy, policy.budget_of(one.metric, one.values[1])))
    within, notes = category_evidence(
        policy.categories, [known[name] for name in policy.margins], case.candidate, case.baseline, policy.alpha
    )
    for category, one in within:
        budget = policy.category_budgets.get(one.metric.name, policy.margins[one.metric.name])
        found.append(_Asked(one, policy, budget, category))
    return found, notes


def _judged(family: Sequence[_Asked]) -> list[MetricGate]:
    """Verdicts of tests that are corrected together."""
    drops = holm([one.each.p_drop for one in family])
    beyond = [0.0 if one.budget is None else one.each.p_beyond(one.budget) for one in family]
    found = []
    for one, drop, p, adjusted in zip(family, drops, beyond, holm(beyond), strict=True):
        tests = _Tests(drop) if one.budget is None else _Tests(drop, one.budget, p, adjusted)
        found.append(_verdict(one, tests))
    return found


def _verdict(asked: _Asked, tests: _Tests) -> MetricGate:
    each, policy = asked.each, asked.policy
    margin = None if asked.budget is not None else policy.margins[each.metric.name]
    role: Role = "primary" if margin is not None else "guardrail" if asked.category is None else "category"
    hidden = None
    if margin is not None and each.lower is not None and each.lower > -margin:
        hidden = overlooked(each.data, sorted(set(each.clusters)), each.loss, margin, policy.alpha)
    verdict, reason, needed = _decision(each, tests, margin, policy, hidden)
    wanted = None
    if margin is not None and each.spread is not None:
        wanted = needed_for_margin(each.spread, margin, each.data, policy.alpha, loss=each.loss)
    low, high = each.metric.range
    width = 1.0 if low is None or high is None else high - low
    return MetricGate(
        metric=each.metric.name,
        role=role,
        verdict=verdict,
        reason=reason,
        margin=margin,
        baseline=each.values[1],
        candidate=each.values[0],
        delta=each.delta,
        lower=each.lower,
        upper=each.upper,
        p_drop=each.p_drop,
        p_drop_adjusted=tests.drop,
        p_margin=each.p_margin,
        n=len(each.items),
        n_missing=each.n_missing,
        clusters=len(set(each.clusters)),
        effective_clusters=each.effective,
        detectable=each.detectable,
        n_needed=needed,
        higher_is_better=each.metric.higher_is_better,
        steep_drops=int((each.differences < -STEEP * width).sum()),
        worst=_worst(each),
        flags=each.flags if hidden is None else (*(flag for flag in each.flags if flag != hidden.flag), hidden.flag),
        budget=tests.budget,
        p_beyond=tests.beyond,
        p_beyond_adjusted=tests.beyond_adjusted,
        n_for_margin=None if wanted is None else wanted.items,
        clusters_for_margin=None if wanted is None else wanted.documents,
        p_overlooked=None if hidden is None else hidden.p,
        category=asked.category,
    )


def _worst(each: Evidence) -> tuple[Mapping[str, Any], ...]:
    """The items that lost most, worst first."""
    order = sorted(range(len(each.items)), key=lambda index: (float(each.differences[index]), each.items[index]))
    return tuple(
        {"item_id": each.items[index], "cluster_id": each.clusters[index], "difference": float(each.differences[index])}
        for index in order[:WORST_ITEMS]
        if each.differences[index] < 0
    )


def _decision(
    each: Evidence, tests: _Tests, margin: float | None, policy: GatePolicy, hidden: Overlooked | None
) -> tuple[Verdict, str, int | None]:
    adjusted = tests.drop
    dropped = adjusted <= policy.alpha and each.delta < 0
    if each.effective < FEW_CLUSTERS:
        few = f"{each.effective:.1f} effective source documents, {FEW_CLUSTERS:.0f} are needed to tell anything"
        return "INCONCLUSIVE", few, None
    if each.lower is None or each.upper is None:
        return "INCONCLUSIVE", "too few source documents for a bound", None
    if margin is None:
        return *_within_budget(tests, dropped, policy.alpha), None
    if each.lower > -margin:
        if hidden is not None:
            return "INCONCLUSIVE", hidden.reason, None
        if dropped:
            return "PASS_SMALL_DROP", f"a drop is shown, and it is smaller than the margin of {margin:g}", None
        return "PASS", f"any drop is smaller than the margin of {margin:g}", None
    if dropped:
        if each.upper < -margin:
            return "FAIL_HARD", f"the drop is larger than the margin of {margin:g}", None
        return "FAIL", f"a drop is shown (adjusted p = {adjusted:.2g}) that may exceed the margin of {margin:g}", None
    needed = None if each.spread is None else items_for_margin(each.spread, margin, each.delta, policy.alpha)
    if needed is None:
        return "INCONCLUSIVE", "neither a drop nor its absence is shown; the difference lies beyond the margin", None
    few = f"{len(each.items)} items cannot tell; about {needed} would, if the difference stays as it is"
    return "INCONCLUSIVE", few, needed


def _within_budget(tests: _Tests, dropped: bool, alpha: float) -> tuple[Verdict, str]:
    """The verdict on a guardrail: it fails where a drop is shown that is larger than its budget."""
    if tests.beyond_adjusted is not None and tests.beyond_adjusted <= alpha:
        return (
            "FAIL",
            f"the drop is larger than the budget of {tests.budget:.3g} (adjusted p = {tests.beyond_adjusted:.2g})",
        )
    if dropped:
        return "PASS_SMALL_DROP", f"a drop is shown; that it is larger than the budget of {tests.budget:.3g} is not"
    return "PASS", "no drop is shown"
