"""What the metrics that read a value declare, and which form asks for which of them."""

from __future__ import annotations

import pytest

from telbench.metrics.contract import FAMILIES, Sample, metrics_named
from telbench.metrics.parsed.forms import FORMS

PUBLISHED = ("gsma_telemath", "gsma_telelogs", "gsma_3gpp_tsg")


@pytest.mark.parametrize("name", [*FAMILIES["parsed"], *PUBLISHED])
def test_values_go_from_0_to_1_and_higher_is_better(name: str) -> None:
    (metric,) = metrics_named([name])
    assert (metric.family, metric.range, metric.higher_is_better, metric.level) == ("parsed", (0, 1), True, "item")
    assert metric.needs == {"references"}
    assert any(option in metric.signature for option in ("unparsed:wrong", "unparsed:zero"))


def test_every_form_asks_for_metrics_of_the_family() -> None:
    assert {name for names in FORMS.values() for name in names} == set(FAMILIES["parsed"])


def test_a_metric_says_nothing_of_items_of_another_form() -> None:
    for name, form in (("numeric_match", "label"), ("label_match", "number"), ("label_f1", "yaml")):
        (metric,) = metrics_named([name])
        (score,) = metric.score([Sample("a", "5", ("5",), form=form)])
        assert (score.value, score.reason) == (None, f"the answer is to be read as a {form}")
