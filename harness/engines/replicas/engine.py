"""The engine ``ray``: N replicas of a local engine. Its answers, and so its identity, are those of that engine."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from telbench.errors import EngineError, InputError

from ...cluster import Cluster, join, travelling
from ..contract import (
    Completion,
    Continuation,
    Engine,
    EngineInfo,
    EngineSettings,
    EngineSpec,
    Request,
    Sampling,
    failed,
)
from .options import gpus_of, replica_options, resources_of
from .pool import GivenUp, Pool
from .work import Work
from .worker import Home

Asked = TypeVar("Asked", Request, Continuation)
# So many items are named in the line about those over which replicas died.
_NAMED = 3


class RayEngine:
    """Replicas behind the engine contract. ``notes``: what a person should know of them."""

    def __init__(self, cluster: Cluster, pool: Pool, count: int) -> None:
        self._cluster, self._pool, self._count = cluster, pool, count
        self.notes = pool.notes
        found = pool.first()
        self.info = replace(found, settings={**found.settings, "replicas": count})

    def generate(self, requests: Sequence[Request], sampling: Sampling) -> Iterator[Completion]:
        """Completions of all replicas as they finish; a prompt over which replicas died too often has failed."""
        work = Work(_longest_first(requests), self._pool.size, self._count)
        for found in self._pool.answered(work, "generate", sampling):
            if isinstance(found, GivenUp):
                reason = f"{found.why}; asked with it: {_named(each.item_id for each in found.asked)}"
                yield from (failed(request, reason) for request in found.asked)
            else:
                yield from found

    def log_likelihoods(self, continuations: Sequence[Continuation]) -> Iterator[tuple[str, float]]:
        """Likelihoods of all replicas as they are known.

        Raises:
            EngineError: where replicas died too often over one: it has no likelihood, and yet is not without one.
        """
        work = Work(_longest_first(continuations), self._pool.size, self._count)
        for found in self._pool.answered(work, "log_likelihoods"):
            if isinstance(found, GivenUp):
                raise EngineError(f"{found.why}: {len(found.asked)} texts of up to {_longest(found.asked)} tokens")
            yield from found

    def close(self) -> None:
        """End the replicas, and leave the cluster."""
        try:
            self._pool.close()
        finally:
            self._cluster.leave()


def around(inner: EngineSpec) -> EngineSpec:
    """The entry of ``ray`` with replicas of this engine.

    Raises:
        InputError: for an engine that is no local one.
    """
    if not inner.local or inner.around is not None:
        raise InputError(f"--replica-engine {inner.name}: only a local engine has replicas: take vllm or transformers")
    return replace(
        inner,
        name="ray",
        describe=partial(_describe, inner),
        open=partial(_open, inner),
        share=None,
        keeps=None,
    )


def _describe(inner: EngineSpec, settings: EngineSettings) -> EngineInfo:
    """What the engine says of itself here, for the device that its replicas have."""
    info, gpus = inner.describe(settings), gpus_of(settings, replica_options(settings))
    return replace(info, settings={**info.settings, "device": "cuda" if gpus else "cpu"}) if info.settings else info


def _open(inner: EngineSpec, settings: EngineSettings) -> Engine:
    options, count = replica_options(settings), settings.replicas
    described, resources = _describe(inner, settings), resources_of(settings, options)
    cluster = join(options.address, "--engine ray")
    with contextlib.ExitStack() as undo:
        undo.callback(cluster.leave)
        room = cluster.room(resources)
        # Not asked for any: it would be an accident that takes hours.
        if options.num_gpus is None and not resources["GPU"] and any(one.get("GPU") for one in cluster.machines()):
            raise InputError(
                "the Ray cluster has GPUs, this machine has none: say --replica-options num_gpus=1, or 0 for processors"
            )
        bare = replace(settings, item_ids=(), replicas=1, replica_options={})
        home = Home(str(Path.cwd()), travelling())
        pool = Pool(cluster, inner.name, bare, home, count, options, resources)
        undo.callback(pool.close)
        if room < count:
            pool.notes.append(f"the cluster has room for {room} of {count} replicas: the others start when it has more")
        engine = RayEngine(cluster, pool, count)
        _require_described(engine.info, described)
        undo.pop_all()
        return engine


def _require_described(info: EngineInfo, described: EngineInfo) -> None:
    """The run's identity was told here before any replica was there: they must bear it out."""
    for what, there, here in (
        ("engine", info.name, described.name),
        ("version", info.version, described.version),
        ("device", info.settings.get("device"), described.settings.get("device")),
    ):
        if there != here:
            cure = "see --replica-options num_gpus" if what == "device" else "install the same on all machines"
            raise InputError(f"the replicas' {what} is '{there}', here it is '{here}': {cure}")


def _longest_first(asked: Sequence[Asked]) -> list[Asked]:
    """Chunks of like length, the dearest first: the ends of all replicas are then near one another."""
    return sorted(asked, key=lambda each: -len(each.token_ids))


def _longest(asked: Iterable[Continuation]) -> int:
    return max(len(each.token_ids) for each in asked)


def _named(ids: Iterable[str]) -> str:
    every = list(ids)
    more = f" and {len(every) - _NAMED} more" if len(every) > _NAMED else ""
    return ", ".join(f"'{each}'" for each in every[:_NAMED]) + more


def _alone(settings: EngineSettings) -> EngineInfo:
    raise InputError("--engine ray runs replicas of another engine: name it with --replica-engine")


def _open_alone(settings: EngineSettings) -> Engine:
    raise InputError("--engine ray runs replicas of another engine: name it with --replica-engine")


ENGINE = EngineSpec(
    "ray", local=True, cacheable=True, describe=_alone, open=_open_alone, adapters=True, options=True, around=around
)
