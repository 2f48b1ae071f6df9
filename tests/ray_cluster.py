"""A Ray cluster of nodes that are all 127.0.0.1. Its start is tried several times: a busy machine may be too slow."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Any

import pytest

NODE: dict[str, Any] = {
    "num_cpus": 1,
    "object_store_memory": 80 * 2**20,
    "node_ip_address": "127.0.0.1",
    "include_dashboard": False,
}
STARTS = 3


def _started(head: dict[str, Any], nodes: int, tries: int = STARTS) -> Any:
    """A cluster with this head, and so many nodes beside it."""
    from ray.cluster_utils import Cluster

    one = Cluster()
    try:
        for each in (head, *[NODE] * nodes):
            one.add_node(**each)
    except Exception:
        one.shutdown()
        if tries == 1:
            raise
        time.sleep(5)
        return _started(head, nodes, tries - 1)
    return one


def add_node(cluster: Any, tries: int = STARTS) -> Any:
    """One node more; Ray gives it half a minute to start, which a busy machine may not keep."""
    try:
        return cluster.add_node(**NODE)
    except Exception:
        if tries == 1:
            raise
        time.sleep(5)
        return add_node(cluster, tries - 1)


@contextlib.contextmanager
def running(head: dict[str, Any], nodes: int = 0) -> Iterator[Any]:
    """A cluster with this node and so many others, shut down afterwards; skips the test where ray is not installed."""
    pytest.importorskip("ray", reason="ray is not installed: the extra ray brings it")
    with pytest.MonkeyPatch.context() as patched:
        # Ray's workers stand back for all else otherwise: on a busy machine a test would wait for them for minutes.
        patched.setenv("RAY_worker_niceness", "0")
        found = _started(head, nodes)
        try:
            yield found
        finally:
            found.shutdown()


@pytest.fixture
def cluster() -> Iterator[Any]:
    """A cluster of one node with one processor, to which a test may add."""
    with running(NODE) as found:
        yield found
