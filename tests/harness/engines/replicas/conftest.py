"""The stand-in engine as an installed plugin, and clusters that it runs on."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from telbench.harness.engines.contract import EngineSpec, engine_named
from telbench.registry import listed

from ....installed import install
from ....ray_cluster import NODE, running

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def stand_in(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineSpec]:
    """The plugin, installed here and on the nodes that are started from here; as an engine of replicas."""
    site, monkeypatch = tmp_path_factory.mktemp("site"), pytest.MonkeyPatch()
    install(site, "stand-in", {"telbench.engines": {"stand_in": "stand_in:ENGINE"}})
    (site / "stand_in.py").symlink_to(HERE / "stand_in.py")
    monkeypatch.syspath_prepend(site)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")]))
    listed.cache_clear()
    ray, inner = engine_named("ray")[0], engine_named("stand_in")[0]
    assert ray.around is not None
    yield ray.around(inner)
    monkeypatch.undo()
    listed.cache_clear()


@pytest.fixture(scope="module")
def two_nodes(stand_in: EngineSpec) -> Iterator[Any]:
    """A head that takes no work and two nodes, which tests leave as they are."""
    with running({**NODE, "num_cpus": 0}, nodes=2) as found:
        yield found


@pytest.fixture
def broken_up(stand_in: EngineSpec) -> Iterator[Any]:
    """A head that takes no work, to which one test adds nodes."""
    with running({**NODE, "num_cpus": 0}) as found:
        yield found
