"""A plan says which items are in which step before training starts, and says the same again."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from telbench.kd.settings import OptimiserSettings
from telbench.kd.train.examples import BatchPlan, parts_by_tokens, shared_out

LENGTHS = st.lists(st.integers(1, 60), min_size=1, max_size=40)


@given(LENGTHS, st.integers(1, 9), st.integers(1, 4), st.integers(0, 3))
def test_each_epoch_has_each_item_once_in_another_order(lengths: list[int], size: int, epochs: int, seed: int) -> None:
    plan = BatchPlan(lengths, OptimiserSettings(epochs=epochs, batch_size=size, seed=seed))
    steps = list(plan.from_step())
    assert [step.number for step in steps] == list(range(plan.steps))
    for epoch in range(epochs):
        items = [index for step in steps if step.epoch == epoch for index in step.items]
        assert sorted(items) == list(range(len(lengths)))
    assert plan.tokens == epochs * sum(lengths)
    assert list(BatchPlan(lengths, OptimiserSettings(epochs=epochs, batch_size=size, seed=seed)).from_step()) == steps


@given(LENGTHS, st.integers(1, 9), st.integers(0, 50))
def test_a_plan_taken_up_in_the_middle_goes_on_where_it_was(lengths: list[int], size: int, first: int) -> None:
    plan = BatchPlan(lengths, OptimiserSettings(epochs=3, batch_size=size))
    assert list(plan.from_step(first)) == list(plan.from_step())[first:]


@given(LENGTHS, st.integers(1, 9), st.integers(1, 4000))
def test_the_last_step_is_the_first_that_reaches_the_token_budget(lengths: list[int], size: int, budget: int) -> None:
    plan = BatchPlan(lengths, OptimiserSettings(epochs=3, batch_size=size, max_tokens=budget))
    seen = [sum(lengths[index] for index in step.items) for step in plan.from_step()]
    assert sum(seen) == plan.tokens
    assert plan.tokens >= min(budget, 3 * sum(lengths))
    assert plan.tokens - seen[-1] < budget


@given(st.lists(st.integers(), max_size=30), st.integers(1, 8))
def test_parts_are_even_and_keep_all_items_in_order(items: list[int], parts: int) -> None:
    runs = shared_out(items, parts)
    assert [item for run in runs for item in run] == items
    assert len(runs) == parts
    assert max(map(len, runs)) - min(map(len, runs)) <= 1


@given(st.lists(st.integers(1, 400), min_size=1, max_size=30), st.integers(1, 4), st.integers(1, 1000))
def test_parts_bounded_by_tokens_hold_each_item_once_and_are_as_many_for_all_processes(
    lengths: list[int], processes: int, most: int
) -> None:
    items = list(range(len(lengths)))[::-1]
    shares = parts_by_tokens(items, processes, lengths, most)
    assert len(shares) == processes
    assert len({len(runs) for runs in shares}) == 1
    assert sorted(item for runs in shares for run in runs for item in run) == sorted(items)
    for run in (run for runs in shares for run in runs if len(run) > 1):
        # Every item of a batch takes as much as the longest.
        assert len(run) * max(lengths[item] for item in run) <= most
