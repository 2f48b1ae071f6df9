"""Metrics by name, family and suite, third parties' included; `telbench.registry` has its own tests."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from telbench.errors import InputError
from telbench.metrics.contract import FAMILIES, GROUP, metrics_named
from telbench.registry import listed

from ..installed import install

PLUGIN = '''
from telbench.metrics.contract import metric


@metric(name="brevity", family="ngram", range=(0, 1))
def brevity(sample):
    """One over the number of words."""
    return 1 / max(1, len(sample.prediction.split()))


not_a_metric = 7
'''
POINTS = {
    "brevity": "acme_metrics:brevity",
    "acme_number": "acme_metrics:not_a_metric",
    "acme_alias": "acme_metrics:brevity",
}


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of installed packages with a third-party plugin."""
    install(tmp_path, "acme-metrics", {GROUP: POINTS})
    (tmp_path / "acme_metrics.py").write_text(PLUGIN)
    monkeypatch.syspath_prepend(tmp_path)
    listed.cache_clear()
    yield tmp_path
    listed.cache_clear()
    for module in [name for name in sys.modules if name.startswith("acme_")]:
        del sys.modules[module]


def test_a_third_partys_metric_is_listed_without_import_and_works_by_name(site: Path):
    assert "brevity" in listed(GROUP)
    assert "acme_metrics" not in sys.modules
    (found,) = metrics_named(["brevity"])
    assert found.signature == "brevity|v1"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("acme_alias", "holds the metric 'brevity': register it under its own name"),
        ("acme_number", "is not a telbench Metric but a int: make it with @metric"),
    ],
)
def test_a_plugin_that_cannot_be_used_is_named_with_its_fault(site: Path, name: str, message: str):
    with pytest.raises(InputError, match=message):
        metrics_named([name])


def test_a_faulty_plugin_does_not_disturb_the_others(site: Path):
    assert [metric.name for metric in metrics_named(["brevity", "token_f1"])] == ["brevity", "token_f1"]


def test_families_and_names_mix_each_metric_once_in_the_order_asked():
    names = [metric.name for metric in metrics_named(["bleu", "ngram", "bleu"])]
    assert names == ["bleu", *(name for name in FAMILIES["ngram"] if name != "bleu")]


def test_every_built_in_metric_carries_the_name_it_is_registered_under():
    for family, names in FAMILIES.items():
        for name in names:
            (metric,) = metrics_named([name])
            assert (metric.name, metric.family) == (name, family)
