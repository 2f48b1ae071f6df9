"""A Ray cluster as this process sees it: joining it, leaving it, what its machines have. Needs ``ray``, its core."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from telbench.errors import InputError, missing_extra

# A machine that does not answer by then is not there.
_REACHED_SECONDS = 10.0
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "[::1]"})
# What a command or an engine on another machine needs of this one's environment: caches, the network's permission,
# data, what vLLM is told.
_TRAVELS = ("TELBENCH_", "HF_HUB_OFFLINE", "HF_HOME", "TRANSFORMERS_OFFLINE", "WANDB_MODE", "VLLM_")


@dataclass(frozen=True)
class Cluster:
    """A cluster that this process has joined. ``ray`` is the module; ``own``: was it this call that joined?"""

    ray: Any
    where: str
    own: bool

    def machines(self) -> list[Mapping[str, float]]:
        """What each machine that is alive has in all: ``CPU``, ``GPU`` and so on."""
        return [node["Resources"] for node in self.ray.nodes() if node["Alive"]]

    def room(self, asked: Mapping[str, float]) -> int:
        """How many places with these resources its machines have, were all of them free."""
        wanted = {name: number for name, number in asked.items() if number}
        if not wanted:
            return len(self.machines())
        return sum(int(min(has.get(name, 0) / number for name, number in wanted.items())) for has in self.machines())

    def leave(self) -> None:
        """Leave it, where this call has joined it; what still runs for this process there ends."""
        if self.own:
            self.ray.shutdown()


def join(address: str | None, purpose: str) -> Cluster:
    """The cluster at ``address``, else at ``RAY_ADDRESS``, else one of this machine alone; one that is joined is kept.

    Raises:
        InputError: where ray is not installed (``purpose`` needs it), or no cluster is there.
    """
    address = address or os.environ.get("RAY_ADDRESS")
    # Ray tells its makers of its use otherwise, and replaces an address of this machine alone by an outer one.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if address is None or address.rpartition(":")[0] in _LOOPBACK:
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    try:
        import ray
    except ImportError as error:
        raise missing_extra("ray", "ray", purpose) from error
    module: Any = ray
    where = address or "this machine"
    if module.is_initialized():
        return Cluster(module, where, own=False)
    _require_there(address)
    alone = {} if address else {"include_dashboard": False}
    try:
        module.init(address or "local", log_to_driver=False, logging_level=logging.ERROR, **alone)
    except (ConnectionError, ValueError, RuntimeError) as error:
        told = " ".join(str(error).split())[:300]
        raise InputError(f"no Ray cluster at {where}: {told}") from error
    return Cluster(module, where, own=True)


def _require_there(address: str | None) -> None:
    """Refuse at once an address where nobody listens: Ray tries for minutes, and then ends the process."""
    host, _, port = (address or "").rpartition(":")
    if not host or "://" in host or not port.isdigit():
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_REACHED_SECONDS).close()
    except (OSError, OverflowError) as error:
        cure = "ray start --head starts one, ray status tells its address"
        raise InputError(f"no Ray cluster at {address}: {error}: {cure}") from error


def travelling() -> dict[str, str]:
    """This machine's environment as far as another one needs it."""
    return {name: value for name, value in os.environ.items() if name.startswith(_TRAVELS)}


def told(resources: Mapping[str, float]) -> str:
    """Resources in words.

    >>> told({"CPU": 1.0, "GPU": 0.5, "memory": 0})
    '1 CPU and 0.5 GPU'
    """
    return " and ".join(f"{number:g} {name}" for name, number in resources.items() if number) or "nothing"
