"""One registry for all groups: listed without importing, loaded on use, every fault one line."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from telbench.errors import InputError
from telbench.harness.engines.contract import EngineSpec
from telbench.registry import GROUPS, listed, load, load_as, origin

from ...installed import install

GROUP = "telbench.engines"
ROOT = Path(__file__).resolve().parents[3]
POINTS = {
    "acme": "acme_engines:ENGINE",
    "acme_alias": "acme_engines:ENGINE",
    "acme_number": "acme_engines:not_an_engine",
    "acme_absent": "acme_engines:nothing",
    "acme_needs": "acme_needs_more:ENGINE",
    "acme_garbled": "acme_garbled:ENGINE",
    "acme_raises": "acme_raises:ENGINE",
}
MODULE = """
from telbench.harness.engines.contract import EngineSpec

ENGINE = EngineSpec("acme", local=False, cacheable=False, describe=print, open=print)
not_an_engine = 7
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    install(tmp_path, "acme-engines", {GROUP: POINTS})
    (tmp_path / "acme_engines.py").write_text(MODULE)
    (tmp_path / "acme_needs_more.py").write_text("import package_that_nobody_has\n")
    (tmp_path / "acme_garbled.py").write_text("def engine(:\n")
    (tmp_path / "acme_raises.py").write_text("raise RuntimeError('no licence key\\nsee the manual')\n")
    monkeypatch.syspath_prepend(tmp_path)
    listed.cache_clear()
    yield tmp_path
    listed.cache_clear()
    for module in [name for name in sys.modules if name.startswith("acme_")]:
        del sys.modules[module]


def test_a_third_partys_plugin_is_listed_without_import_and_loads_by_name(site: Path) -> None:
    assert origin(listed(GROUP)["acme"]) == "acme-engines 1.0"
    assert "acme_engines" not in sys.modules
    assert load_as(GROUP, "acme", EngineSpec).name == "acme"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("acme_absent", "acme_engines:nothing.* cannot be loaded"),
        ("acme_needs", "cannot be loaded: .*package_that_nobody_has"),
        ("acme_garbled", "cannot be loaded: .*invalid syntax"),
        ("acme_raises", "cannot be loaded: .*no licence key"),
        ("acme_alias", "holds the engine 'acme': register it under its own name"),
        ("acme_number", "is not a telbench EngineSpec but a int"),
    ],
)
def test_a_plugin_that_cannot_be_used_is_named_with_its_fault(site: Path, name: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_as(GROUP, name, EngineSpec)


def test_two_packages_that_claim_one_name_are_both_named(site: Path) -> None:
    install(site, "other-engines", {GROUP: {"acme": "other:ENGINE"}})
    listed.cache_clear()
    with pytest.raises(InputError, match=r"two plugins register 'acme'.*(acme_engines|other):ENGINE and"):
        listed(GROUP)


def test_one_plugin_found_twice_is_one_plugin(site: Path) -> None:
    install(site, "acme-engines-again", {GROUP: {"acme": "acme_engines:ENGINE"}})
    listed.cache_clear()
    assert listed(GROUP)["acme"].value == "acme_engines:ENGINE"


@pytest.mark.parametrize(
    ("group", "name", "message"),
    [
        ("telbench.metrics", "token_f", "unknown metric 'token_f': .*token_f1"),
        ("telbench.metrics", "exact-match", "exact_match"),
        ("telbench.datasets", "telequaad", "unknown data set 'telequaad': .*telequad"),
        ("telbench.engines", "zzzz", "unknown engine 'zzzz': known: openai, ray, replay, transformers, vllm"),
    ],
)
def test_an_unknown_name_suggests_near_ones(group: str, name: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load(group, name)


def test_every_group_that_the_project_registers_in_is_known() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert set(project["entry-points"]) <= set(GROUPS)


def test_listing_imports_no_room() -> None:
    program = (
        "import sys; from telbench.registry import GROUPS, listed; assert listed('telbench.metrics'); "
        "assert all(listed(group) is not None for group in GROUPS); "
        "rooms = ('telbench.metrics', 'telbench.harness', 'telbench.kd', 'telbench.judges', 'numpy', 'torch'); "
        "sys.exit(any(name in sys.modules for name in rooms))"
    )
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0
