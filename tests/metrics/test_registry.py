"""Names to plugins: listed without importing, loaded on use, every fault one line."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from telbench.errors import InputError
from telbench.metrics.registry import FAMILIES, GROUP, listed, load, metrics_named

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
    "acme_absent": "acme_metrics:nothing",
    "acme_needs": "acme_needs_more:brevity",
    "acme_garbled": "acme_garbled:brevity",
    "acme_raises": "acme_raises:brevity",
}


def install(site: Path, name: str, points: dict[str, str]) -> None:
    """What pip leaves of a package that registers metrics."""
    info = site / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    lines = [f"{point} = {value}" for point, value in points.items()]
    (info / "entry_points.txt").write_text("\n".join([f"[{GROUP}]", *lines]) + "\n")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of installed packages with a third-party plugin."""
    install(tmp_path, "acme-metrics", POINTS)
    (tmp_path / "acme_metrics.py").write_text(PLUGIN)
    (tmp_path / "acme_needs_more.py").write_text("import package_that_nobody_has\n")
    (tmp_path / "acme_garbled.py").write_text("def brevity(:\n")
    (tmp_path / "acme_raises.py").write_text("raise RuntimeError('no licence key\\nsee the manual')\n")
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
        ("acme_absent", "acme_metrics:nothing.* cannot be loaded"),
        ("acme_needs", "cannot be loaded: .*package_that_nobody_has"),
        ("acme_garbled", "cannot be loaded: .*invalid syntax"),
        ("acme_raises", "cannot be loaded: .*no licence key"),
        ("acme_alias", "holds the metric 'brevity': register it under its own name"),
        ("acme_number", "is not a telbench Metric but a int: make it with @metric"),
    ],
)
def test_a_plugin_that_cannot_be_used_is_named_with_its_fault(site: Path, name: str, message: str):
    with pytest.raises(InputError, match=message):
        metrics_named([name])


def test_a_faulty_plugin_does_not_disturb_the_others(site: Path):
    assert [metric.name for metric in metrics_named(["brevity", "token_f1"])] == ["brevity", "token_f1"]


def test_two_packages_that_claim_one_name_are_both_named(site: Path):
    install(site, "other-metrics", {"brevity": "other:brevity"})
    listed.cache_clear()
    with pytest.raises(InputError, match=r"two plugins register 'brevity'.*(acme_metrics|other):brevity and"):
        listed(GROUP)


def test_one_plugin_found_twice_is_one_plugin(site: Path):
    install(site, "acme-metrics-again", {"brevity": "acme_metrics:brevity"})
    listed.cache_clear()
    assert listed(GROUP)["brevity"].value == "acme_metrics:brevity"


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("token_f", "token_f1"),
        ("rouge_l", "rougeL"),
        ("blue", "bleu"),
        ("exact-match", "exact_match"),
        ("zzzz", "known: "),
    ],
)
def test_an_unknown_name_suggests_near_ones(name: str, hint: str):
    with pytest.raises(InputError, match=f"unknown metric '{name}': .*{hint}"):
        load(GROUP, name)


def test_families_and_names_mix_each_metric_once_in_the_order_asked():
    names = [metric.name for metric in metrics_named(["bleu", "ngram", "bleu"])]
    assert names == ["bleu", *(name for name in FAMILIES["ngram"] if name != "bleu")]


def test_every_built_in_metric_carries_the_name_it_is_registered_under():
    for family, names in FAMILIES.items():
        for name in names:
            (metric,) = metrics_named([name])
            assert (metric.name, metric.family) == (name, family)


def test_listing_imports_neither_numpy_nor_a_metric():
    program = (
        "import sys; from telbench.metrics.registry import GROUP, listed; assert listed(GROUP); "
        "sys.exit(any(name in sys.modules for name in ('numpy', 'sacrebleu', 'telbench.metrics.ngram.bleu')))"
    )
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0
