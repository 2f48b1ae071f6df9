"""The replicas on the cluster: put up, handed chunks, put up again after a death.

A replica is one Ray actor. Ray restarts none of them: a new actor takes a dead one's seat, so that a chunk never waits
for an actor that may not come back.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from telbench.errors import EngineError, InputError, TelbenchError

from ...cluster import Cluster, told
from ..contract import EngineInfo, EngineSettings
from .options import ReplicaOptions
from .work import AGAIN, Asked, Chunk, Work
from .worker import Home, Replica

# A replica has so many chunks: one that it works on, one that waits there.
AHEAD = 2
_LOOK_SECONDS = 1.0
# Others may hold what a replica needs: for how long nothing may start.
BUSY_SECONDS = 600.0
# A replica that has never been up is put up again so often.
_AT_FIRST = 2
# A machine that has gone may be back by then.
_GONE_SECONDS = 30.0
Answer = TypeVar("Answer")


@dataclass
class _Seat:
    """A replica's place: its actor, what it has been handed, and how often it died."""

    actor: Any = None
    placed: Any = None
    opened: Any = None
    machine: str = ""
    handed: dict[Any, Chunk[Any]] = field(default_factory=dict)
    deaths: int = 0
    gone: bool = False

    @property
    def ready(self) -> bool:
        return not self.gone and self.placed is None and self.opened is None


@dataclass(frozen=True)
class GivenUp(Generic[Asked]):
    """What was asked in vain: replicas died over it."""

    asked: list[Asked]
    why: str


class Pool:
    """``count`` replicas of the engine ``name``. ``notes``: what a person should know of them."""

    def __init__(
        self,
        cluster: Cluster,
        name: str,
        settings: EngineSettings,
        home: Home,
        count: int,
        options: ReplicaOptions,
        resources: Mapping[str, float],
    ) -> None:
        self.notes: list[str] = []
        self.size = options.chunk
        self._cluster, self._ray, self._options, self._resources = cluster, cluster.ray, options, resources
        self._made_of = (name, settings, home)
        self._kind = self._ray.remote(
            max_restarts=0, num_cpus=resources.get("CPU", 0), num_gpus=resources.get("GPU", 0)
        )(Replica)
        self._info: EngineInfo | None = None
        self._last = "it never started"
        self._wrong: TelbenchError | None = None
        self._seats = [_Seat() for _ in range(count)]
        for seat in self._seats:
            self._put_up(seat)

    def first(self) -> EngineInfo:
        """What the first replica that is open says of its engine.

        Raises:
            InputError: where none can be opened, or none finds room.
        """
        since = time.monotonic()
        while self._info is None:
            self._look(self._waited())
            self._require_seats(time.monotonic() - since)
        return self._info

    def answered(self, work: Work[Asked], method: str, *more: Any) -> Iterator[list[Any] | GivenUp[Asked]]:
        """What the replicas answer, and what had to be given up. ``method``: that of `Replica` that is asked.

        Raises:
            EngineError: when no replica is left. InputError: what the engine says of wrong input.
        """
        idle = time.monotonic()
        while work.left or any(seat.handed for seat in self._seats):
            self._hand_out(work, method, *more)
            for seat, generator in self._look(self._waited()):
                found = self._next(work, seat, generator)
                if found:
                    yield found
            if any(seat.ready for seat in self._seats):
                idle = time.monotonic()
            self._require_seats(time.monotonic() - idle)

    def close(self) -> None:
        """End all replicas."""
        closing = [seat.actor.close.remote() for seat in self._seats if seat.ready]
        with contextlib.suppress(Exception):
            self._ray.wait(closing, num_returns=len(closing), timeout=5)
        for seat in self._seats:
            self._kill(seat)

    def _put_up(self, seat: _Seat) -> None:
        seat.actor = self._kind.remote(*self._made_of)
        seat.placed, seat.opened = seat.actor.place.remote(), seat.actor.open.remote()

    def _kill(self, seat: _Seat) -> None:
        with contextlib.suppress(Exception):
            self._ray.kill(seat.actor)

    def _waited(self) -> list[Any]:
        """All that may be told next."""
        calls = [call for seat in self._seats for call in (seat.placed, seat.opened) if call is not None]
        return calls + [generator for seat in self._seats for generator in seat.handed]

    def _hand_out(self, work: Work[Any], method: str, *more: Any) -> None:
        """Chunks for all that are ready, one each round, so that nobody waits while another has two."""
        for _ in range(AHEAD):
            for seat in self._seats:
                if not seat.ready or len(seat.handed) >= AHEAD:
                    continue
                # A chunk over which a replica died is asked alone: nothing else is lost with it.
                if any(chunk.tries for chunk in seat.handed.values()):
                    continue
                chunk = work.take()
                if chunk is None:
                    return
                call = getattr(seat.actor, method).options(num_returns="streaming")
                seat.handed[call.remote(list(chunk.left.values()), *more)] = chunk

    def _look(self, calls: list[Any]) -> list[tuple[_Seat, Any]]:
        """Wait a little; take note of replicas that are placed or open, return those whose chunk has something."""
        if not calls:
            return []
        ready, _ = self._ray.wait(calls, num_returns=1, timeout=_LOOK_SECONDS)
        if ready:
            # Whatever else has come by now is read in the same round.
            ready, _ = self._ray.wait(calls, num_returns=len(calls), timeout=0)
        found: list[tuple[_Seat, Any]] = []
        for call in ready:
            for seat in self._seats:
                if call in (seat.placed, seat.opened):
                    self._settle(seat, call)
                elif call in seat.handed:
                    found.append((seat, call))
        return found

    def _settle(self, seat: _Seat, call: Any) -> None:
        """A replica has its place, or is open, or failed at it."""
        try:
            told_ = self._ray.get(call)
        except self._ray.exceptions.RayTaskError as error:
            cause = error.cause
            if not isinstance(cause, TelbenchError):
                cause = EngineError(f"the {self._made_of[0]} engine cannot be opened: {_shown(cause)}")
            self._give_up(seat, cause)
        except self._ray.exceptions.RayError as error:
            self._bury(seat, _death(error))
        else:
            if call == seat.placed:
                seat.placed, seat.machine = None, told_
            else:
                seat.opened = None
                self._compare(seat, told_)

    def _compare(self, seat: _Seat, info: EngineInfo) -> None:
        """All replicas must be the same engine: their answers go to one run."""
        self._info = self._info or info
        if info != self._info:
            found, wanted = _engine(info), _engine(self._info)
            self._give_up(seat, InputError(f"it runs {found}, another {wanted}: install the same on all machines"))

    def _give_up(self, seat: _Seat, cause: TelbenchError) -> None:
        """No replica there: what is wrong would be wrong again."""
        kind = type(cause)
        self._wrong = kind(f"replica on {seat.machine or 'the cluster'}: {cause}")
        self.notes.append(f"a replica is left out: {self._wrong}")
        self._retire(seat)

    def _retire(self, seat: _Seat) -> None:
        seat.gone, seat.placed, seat.opened = True, None, None
        self._kill(seat)

    def _bury(self, seat: _Seat, why: str) -> None:
        """A replica has died: another takes its seat, unless that has been so too often."""
        seat.deaths += 1
        self._last = f"on {seat.machine}: {why}" if seat.machine else why
        self.notes.append(f"a replica died {self._last}")
        self._kill(seat)
        most = self._options.max_restarts if self._info is not None else min(_AT_FIRST, self._options.max_restarts)
        if seat.deaths > most:
            self._retire(seat)
        else:
            seat.machine = ""
            self._put_up(seat)

    def _next(self, work: Work[Asked], seat: _Seat, generator: Any) -> list[Any] | GivenUp[Asked] | None:
        """The next answers of a chunk, each once; what is given up, where its replica died over it once too often."""
        chunk = seat.handed.get(generator)
        if chunk is None:
            # Its replica died a moment ago over another chunk.
            return None
        try:
            answers = self._ray.get(next(generator))
        except StopIteration:
            del seat.handed[generator]
            return None
        except self._ray.exceptions.RayTaskError as error:
            cause = error.cause
            if isinstance(cause, NotImplementedError):
                raise NotImplementedError(*cause.args) from error
            if not isinstance(cause, EngineError):
                where = f"the {self._made_of[0]} engine failed on {seat.machine}"
                raise cause if isinstance(cause, TelbenchError) else EngineError(f"{where}: {_shown(cause)}") from error
            return self._lost(work, seat, generator, str(cause))
        except self._ray.exceptions.RayError as error:
            return self._lost(work, seat, generator, _death(error))
        return [answer for answer in answers if chunk.answered(_key(answer))]

    def _lost(self, work: Work[Asked], seat: _Seat, generator: Any, why: str) -> GivenUp[Asked] | None:
        """The replica of this chunk is dead: all that it had is asked of others."""
        handed, seat.handed = list(seat.handed.values()), {}
        self._bury(seat, why)
        given_up: list[Asked] = []
        # It worked on the first of them; what waited behind it comes back first, to stand behind it again.
        for place, chunk in reversed(list(enumerate(handed))):
            given_up += work.give_back(chunk, died=place == 0)
        return GivenUp(given_up, f"a replica died {AGAIN + 1} times over it ({self._last})") if given_up else None

    def _require_seats(self, idle: float) -> None:
        """Raise where nothing can come any more."""
        if all(seat.gone for seat in self._seats):
            if self._wrong is not None:
                raise self._wrong
            count, deaths = len(self._seats), sum(seat.deaths for seat in self._seats)
            raise EngineError(f"no replica of {count} is left: they died {deaths} times, the last {self._last}")
        waiting = [seat for seat in self._seats if seat.placed is not None]
        if idle < self._options.patience or len(waiting) < sum(not seat.gone for seat in self._seats):
            return
        room, asked = self._cluster.room(self._resources), told(self._resources)
        if not room and (self._info is None or idle > _GONE_SECONDS):
            raise no_room(self._cluster, self._resources)
        if idle > max(BUSY_SECONDS, self._options.patience):
            raise InputError(f"no replica found room within {idle:.0f} s: others hold the cluster's {asked}")


def no_room(cluster: Cluster, resources: Mapping[str, float]) -> InputError:
    """The one line about a cluster whose machines are too small, or too few."""
    machines = cluster.machines()
    has = "; ".join(sorted({told({name: one.get(name, 0) for name in ("CPU", "GPU")}) for one in machines})) or "none"
    return InputError(
        f"no machine of the Ray cluster at {cluster.where} has room for a replica ({told(resources)}); its machines "
        f"have {has}: ask for less with --replica-options num_gpus=…,num_cpus=…, or wait for one with patience=SECONDS"
    )


def _key(answer: Any) -> str:
    return answer[0] if isinstance(answer, tuple) else answer.key


def _shown(error: BaseException | None) -> str:
    return f"{type(error).__name__}: {error}"


def _death(error: Exception) -> str:
    """Ray's long story in a few words."""
    first = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    return f"{type(error).__name__}: {first}"[:200]


def _engine(info: EngineInfo) -> str:
    settings = (f"{name}={value}" for name, value in info.settings.items())
    return " ".join([info.name, info.version, info.dtype, *settings])
