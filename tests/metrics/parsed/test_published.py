"""GSMA's rules as published, their faults included; telbench's own metrics on the same answers."""

from __future__ import annotations

import pytest

from telbench.metrics.contract import Sample, metrics_named
from telbench.metrics.parsed.published import NO_BOX, NO_CODE

GROUPS = ("RAN1", "RAN2", "RAN_AH1", "SA2")


def value(name: str, prediction: str, reference: str, labels: tuple[str, ...] = ()) -> float | None:
    (metric,) = metrics_named([name])
    return metric.score([Sample("a", prediction, (reference,), labels=labels)])[0].value


@pytest.mark.parametrize(
    ("answer", "reference", "published", "own"),
    [
        (r"so \boxed{5.0}", "5", 1, 1),
        (r"\boxed{101}", "100", 1, 1),
        (r"\boxed{102}", "100", 0, 0),
        # Anything below a hundredth equals anything else below it.
        (r"\boxed{0}", "0.00001", 1, 0),
        (r"\boxed{0.009}", "-0.0005", 1, 0),
        # A unit, a thousands' comma or a power of ten is no float.
        (r"\boxed{50\text{ mA}}", "50", 0, 1),
        (r"\boxed{12,500}", "12500", 0, 1),
        (r"\boxed{2\times10^{6}}", "2000000", 0, 1),
        ("The answer is 5", "5", 0, 1),
    ],
)
def test_telemath(answer: str, reference: str, published: float, own: float) -> None:
    assert (value("gsma_telemath", answer, reference), value("numeric_match", answer, reference)) == (published, own)


@pytest.mark.parametrize(
    ("answer", "published", "own"),
    [
        (r"\boxed{C3}", 1, 1),
        (r"\boxed{3}", 1, 1),
        (r"\boxed{\text{C}3}", 1, 1),
        # The first number counts, whatever follows.
        (r"\boxed{C3 or C4}", 1, 0),
        ("The root cause is C3", 0, 1),
        (r"\boxed{C4}", 0, 0),
    ],
)
def test_telelogs(answer: str, published: float, own: float) -> None:
    causes = tuple(f"C{number}" for number in range(1, 9))
    assert value("gsma_telelogs", answer, "C3") == published
    assert value("label_match", answer, "C3", causes) == own


@pytest.mark.parametrize(
    ("answer", "reference", "published", "own"),
    [
        ('{"WORKING GROUP": "RAN2"}', "RAN2", 1, 1),
        ("ran2", "RAN2", 1, 1),
        # The first letters with digits are taken for the group.
        ("In Rel18 this is for RAN2", "RAN2", 0, 1),
        ('{"WORKING GROUP": "SA2"} (5G core, TS23501)', "SA2", 1, 1),
        # One of the sixteen groups can never be right: the rule knows no underscore.
        ('{"WORKING GROUP": "RAN_AH1"}', "RAN_AH1", 0, 1),
    ],
)
def test_3gpp_tsg(answer: str, reference: str, published: float, own: float) -> None:
    assert value("gsma_3gpp_tsg", answer, reference) == published
    assert value("label_match", answer, reference, GROUPS) == own


def test_what_the_rules_do_not_find_is_counted() -> None:
    for name, reason in (("gsma_telemath", NO_BOX), ("gsma_telelogs", NO_BOX), ("gsma_3gpp_tsg", NO_CODE)):
        (metric,) = metrics_named([name])
        (score,) = metric.score([Sample("a", "no idea", ("C3",))])
        assert (score.value, score.reason) == (0.0, reason)
