"""Margins that look as if they were meant for another scale."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from telbench.errors import InputError
from telbench.leaderboard.gate.gate import GatePolicy
from telbench.leaderboard.gate.margins import margin_doubts

from ...made_runs import made_run, metric


def doubts(name: str, margin: float, values: Sequence[float]) -> list[str]:
    return margin_doubts(
        GatePolicy({name: margin}), [metric(name), metric("exact_match")], made_run("a", {name: values})
    )


@pytest.mark.parametrize(
    ("name", "margin", "told"),
    [
        (
            "token_f1",
            2,
            "--margin token_f1=2: the metric runs from 0 to 1, so nothing would fail; 2 points of 100 are 0.02",
        ),
        (
            "token_f1",
            1,
            "--margin token_f1=1: the metric runs from 0 to 1, so nothing would fail; 1 points of 100 are 0.01",
        ),
        ("bleu", 100, "--margin bleu=100: the metric runs from 0 to 100, so nothing would fail"),
        ("answer_similarity", 2, "runs from -1 to 1, so nothing would fail; 2 points of 100 are 0.04"),
    ],
)
def test_a_margin_as_wide_as_the_range_is_refused(name: str, margin: float, told: str) -> None:
    with pytest.raises(InputError) as caught:
        doubts(name, margin, [0.5, 0.7])
    assert str(caught.value).endswith(told)


@pytest.mark.parametrize(
    ("name", "margin", "values", "told"),
    [
        ("bleu", 0.02, [30.0], "the metric runs from 0 to 100: if a share of 0.02 is meant, that is bleu=2"),
        ("chrf", 0.1, [30.0], "the metric runs from 0 to 100: if a share of 0.1 is meant, that is chrf=10"),
        ("ter", 0.02, [40.0, 50.0], "the metric is 45 in the baseline: if a share of 0.02 is meant, that is ter=0.9"),
        ("ter", 45, [40.0, 50.0], "the metric is 45 in the baseline: is so large a drop acceptable?"),
    ],
)
def test_a_margin_for_another_scale_is_warned_of(name: str, margin: float, values: list[float], told: str) -> None:
    assert doubts(name, margin, values) == [f"--margin {name}={margin:g}: {told}"]


@pytest.mark.parametrize(
    ("name", "margin", "values"),
    [
        ("token_f1", 0.02, [0.5]),
        ("token_f1", 0.0005, [0.5]),
        ("token_f1", 0.99, [0.5]),
        ("bleu", 0.11, [30.0]),
        ("ter", 1, [40.0]),
        ("ter", 1, [0.0]),
        ("ter", 0.001, [5.0]),
    ],
)
def test_a_margin_on_the_metrics_scale_is_taken(name: str, margin: float, values: list[float]) -> None:
    assert doubts(name, margin, values) == []
