"""The metric contract: a value or a reasoned absence, never a number that is none."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telbench.metrics.contract import ItemScore, Metric, Sample, metric, missing
from telbench.metrics.fingerprints import fingerprint


@metric(name="length", family="ngram", range=(0, None), options={"unit": "word", "case": "mixed"}, version=3)
def length(sample: Sample) -> float | None:
    """Words of the answer; none for an empty one."""
    return float(len(sample.prediction.split())) or None


def needing(*needs: str) -> Metric:
    return replace(length, needs=frozenset(needs))


def test_a_function_becomes_a_metric_with_its_docstring_and_signature():
    assert length.signature == "length|case:mixed|unit:word|v3"
    assert length.description == "Words of the answer; none for an empty one."
    assert length.level == "item"


def test_none_is_a_reasoned_absence():
    assert length.score([Sample("a", "two words"), Sample("b", "")]) == [ItemScore(2.0), missing("not applicable")]


@pytest.mark.parametrize(
    ("need", "lacking", "having", "reason"),
    [
        ("references", Sample("a", "x"), Sample("a", "x", ("r",)), "no reference"),
        ("context", Sample("a", "x", context=""), Sample("a", "x", context="c"), "no context"),
        ("choices", Sample("a", "x", choices=("p", "q")), Sample("a", "x", choices=("p",), answer=(0,)), "no choices"),
        (
            "option_scores",
            Sample("a", "x"),
            Sample("a", "x", option_scores=(-1.0,)),
            "no option likelihoods from this engine",
        ),
    ],
)
def test_a_sample_without_what_the_metric_needs_is_missing_in_its_place(
    need: str, lacking: Sample, having: Sample, reason: str
):
    scores = needing(need).score([having, lacking, having])
    assert [score.value for score in scores] == [1.0, None, 1.0]
    assert scores[1].reason == reason


def test_the_metric_is_not_called_when_every_sample_lacks_something():
    def score(samples: Sequence[Sample]) -> list[ItemScore]:
        raise AssertionError

    assert replace(needing("context"), score_batch=score).score([Sample("a", "x")]) == [missing("no context")]
    assert replace(length, score_batch=score).score([]) == []


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_never_leaves_a_metric(value: float):
    odd = replace(length, score_batch=lambda samples: [ItemScore(value)])
    assert odd.score([Sample("a", "x")]) == [missing("not a finite number")]


def test_one_score_a_sample_is_demanded():
    with pytest.raises(ValueError, match="argument"):
        replace(length, score_batch=lambda samples: []).score([Sample("a", "x")])


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(codec=None), max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@given(values)
def test_a_fingerprint_is_a_sha256_that_ignores_the_order_of_keys(value: object):
    turned = dict(reversed(value.items())) if isinstance(value, dict) else value
    assert fingerprint(value) == fingerprint(turned)
    assert len(fingerprint(value)) == 64


def test_a_fingerprint_tells_nesting_and_types_apart():
    different = [["a", "b"], [["a"], "b"], "ab", ["ab"], {"a": "b"}, 1, "1", None, [], {}, "\ud800"]
    assert len({fingerprint(value) for value in different}) == len(different)


def test_a_plugin_that_imports_the_contract_imports_nothing_else() -> None:
    program = (
        "import sys; import telbench.metrics.contract; "
        "sys.exit(any(name in sys.modules for name in ('numpy', 'scipy', 'torch', 'telbench.judges')))"
    )
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0
