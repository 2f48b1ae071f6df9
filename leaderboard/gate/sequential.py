"""A gate that may be looked at again: the same decision at levels that hold over all looks at one anchor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from telbench.errors import InputError

from ...metrics.contract import Metric
from ..runs.loaded import LoadedRun
from .gate import Gate, GatePolicy, MetricGate, judge_gate, together
from .ledger import Entry, Ledger, name_of, policy_hash, scores_of
from .spending import Levels, Look


def judge_look(
    ledger: Ledger, candidate: LoadedRun, baseline: LoadedRun, metrics: Sequence[Metric], policy: GatePolicy
) -> Gate:
    """`judge_gate` at the levels of the ledger's next look, which is written down before anything is told.

    A candidate that was looked at before, with the same policy, costs nothing, and the decision is that of then.

    Raises:
        InputError: when the look cannot be written, or comes out otherwise than it did. Beside it as `judge_gate`.
    """
    scores, asked = scores_of(candidate, policy), policy_hash(policy)
    known = ledger.find(scores, asked)
    levels = ledger.levels() if known is None else ledger.levels_of(known)
    number = len(ledger.entries) + 1 if known is None else known.look
    red, passing = judge_levels(candidate, baseline, metrics, policy, levels)
    gate = replace(combined(red, passing, policy), look=Look(number, levels, policy.alpha, known is not None))
    if known is None:
        name, run_id = name_of(candidate)
        drop, within = rejected(red, passing)
        ledger.add(Entry(number, name, run_id, scores, asked, levels.red, levels.passing, gate.verdict, drop, within))
    elif gate.verdict != known.verdict:
        raise InputError(
            f"{ledger.path}: look {number} said {known.verdict}, and the same scores now say {gate.verdict}: it was "
            "made by another telbench; pin the baseline again"
        )
    return gate


def judge_levels(
    candidate: LoadedRun, baseline: LoadedRun, metrics: Sequence[Metric], policy: GatePolicy, levels: Levels
) -> tuple[Gate, Gate]:
    """The gate as it decides at the level of red, and at that of passing.

    Primary metrics are one family, guardrails and categories another; where there are both, each has half of the level
    of red.
    """
    families = 2 if policy.guardrails or policy.categories else 1
    red = judge_gate(candidate, baseline, metrics, replace(policy, alpha=levels.red / families))
    # To pass, all primary metrics must: that needs no correction. Guardrails have nothing to prove.
    proof = replace(policy, alpha=levels.passing, guardrails=(), budgets={}, categories=(), category_budgets={})
    passing = judge_gate(candidate, baseline, metrics, proof)
    return red, passing


def rejected(red: Gate, passing: Gate) -> tuple[bool, bool]:
    """(a drop is shown, no primary metric can have dropped by its margin)."""
    drop = any(each.verdict.startswith("FAIL") for each in red.metrics)
    return drop, all(each.verdict.startswith("PASS") for each in passing.metrics)


def combined(red: Gate, passing: Gate, policy: GatePolicy) -> Gate:
    """One gate: what passes by the one and is red by the other, as the usual gate has it; all else is inconclusive."""
    proofs = {each.metric: each for each in passing.metrics}
    found = tuple(
        _primary(each, proofs[each.metric], policy) if each.role == "primary" else each for each in red.metrics
    )
    verdict, code = together((each.verdict for each in found), policy.on_inconclusive)
    return replace(red, verdict=verdict, exit_code=code, policy=policy, metrics=found)


def _primary(red: MetricGate, proof: MetricGate, policy: GatePolicy) -> MetricGate:
    """A primary metric: the lower bound and what it takes are those of passing, all else of red."""
    told = replace(
        red, lower=proof.lower, n_for_margin=proof.n_for_margin, clusters_for_margin=proof.clusters_for_margin
    )
    if proof.verdict.startswith("PASS"):
        return replace(told, verdict=proof.verdict, reason=proof.reason, n_needed=None)
    if red.verdict.startswith("FAIL"):
        return told
    for each in (proof, red):
        if each.verdict == "INCONCLUSIVE":
            return replace(told, verdict=each.verdict, reason=each.reason, n_needed=each.n_needed)
    reason = f"a drop is shown, and neither that it is smaller than the margin of {red.margin:g} nor that it may not be"
    return replace(told, verdict="INCONCLUSIVE", reason=reason, n_needed=None)
