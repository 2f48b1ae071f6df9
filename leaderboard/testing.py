"""A gate for one's own pytest suite: a function to call, no plugin to load."""

from __future__ import annotations

import contextlib
from functools import partial
from os import PathLike
from pathlib import Path

from .commands.check import Judge, judged
from .gate.gate import ALPHA, GUARDRAIL_BUDGET, MAX_MISSING, Gate, judge_gate
from .gate.ledger import opened
from .gate.report import terminal_rows
from .gate.sequential import judge_look
from .gate.spending import HALF
from .runs.directions import LogSettings
from .runs.foreign import Reading


def assert_no_regression(
    candidate: str | PathLike[str],
    baseline: str | PathLike[str],
    *,
    margins: dict[str, float],
    guardrails: tuple[str, ...] | None = None,
    alpha: float = ALPHA,
    on_inconclusive: str = "warn",
    max_missing: float = MAX_MISSING,
    budgets: dict[str, float] | None = None,
    guardrail_budget: float = GUARDRAIL_BUDGET,
    lower_is_better: tuple[str, ...] = (),
    higher_is_better: tuple[str, ...] = (),
    cluster: str | None = None,
    sequential: bool = False,
    half_spent_by: int = HALF,
) -> Gate:
    """Raise AssertionError with the table of verdicts when the candidate is worse than the baseline.

    The arguments are those of ``telbench check``, ``budgets`` those of its ``--guardrail METRIC=X``;
    ``on_inconclusive="fail"`` raises for too few items too; directions and ``cluster`` are for logs of other harnesses.
    ``sequential`` holds the error rates over all looks at the baseline, an anchor with a ledger. Returns the gate.
    Raises `InputError` and `IncomparableError` as the command does.

    ::

        from telbench.leaderboard.testing import assert_no_regression

        def test_the_new_checkpoint_is_not_worse():
            assert_no_regression("runs/new", "telbench-baseline.json", margins={"token_f1": 0.02})
    """
    judge: Judge = judge_gate
    with contextlib.ExitStack() as stack:
        if sequential:
            judge = partial(judge_look, stack.enter_context(opened(Path(baseline), alpha, half_spent_by)))
        gate, _ = judged(
            Path(candidate),
            Path(baseline),
            margins=margins,
            guardrails=guardrails,
            alpha=alpha,
            on_inconclusive=on_inconclusive,
            max_missing=max_missing,
            reading=Reading(LogSettings(lower_is_better, higher_is_better), cluster),
            budgets=budgets,
            guardrail_budget=guardrail_budget,
            judge=judge,
        )
    if gate.exit_code:
        table = "\n".join("  ".join(row) for row in terminal_rows(gate))
        raise AssertionError(f"telbench: {gate.verdict}\n{table}")
    return gate
