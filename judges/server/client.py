"""Many requests open at once, and what becomes of those that fail: the client that judges and engines ask through.

An `Exchange` is a bounded pool of workers on an event loop in a thread of its own, which repeats what may succeed. The
`ChatClient` above it tells a request that failed alone from a server that is broken.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import random
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from telbench.errors import EngineError, InputError

from ..chat import ChatReply, ChatRequest, MalformedAnswerError, read_reply
from .failures import RequestFailure, failure_of
from .http import Connection, StatusError, WireError
from .pacing import AdaptiveLimit, full_jitter
from .settings import ServedModel, Server, ServerSettings

LONGEST_BACKOFF = 4.0
# A request that waits to be repeated keeps its worker but no slot: others have to take its place meanwhile.
WORKERS_A_SLOT = 2
# Seconds in which replies gather before they are taken.
GATHERING = 0.01
# Failures in a row, and at least one more than may be in flight, after which the server counts as broken.
STREAK = 20
# An attempt is stalled if it waits so many times as long as any answer took.
STALLED_TIMES = 3.0


@dataclass(frozen=True, slots=True)
class RequestOutcome:
    """A reply, with the failure behind its error; ``silent``: the server gave no sign of life while it was asked."""

    reply: ChatReply
    failure: RequestFailure | None = None
    silent: bool = False


class Exchange:
    """Asks every request of an iterator, which is read in the exchange's thread and only as fast as answers come.

    `outcomes` starts the thread; `stop` cancels what is open and ends it.
    """

    def __init__(self, server: Server, requests: Iterable[ChatRequest], limit: AdaptiveLimit) -> None:
        self._server = server
        self._settings = server.settings
        self._limit = limit
        self._source = iter(requests)
        self._random = random.Random(server.settings.jitter_seed)
        self._finished: queue.SimpleQueue[RequestOutcome | BaseException | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="telbench-chat", daemon=True)
        self._stopping = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._main_task: asyncio.Task[None] | None = None
        self._heard = 0.0
        self._slowest = 0.0
        # First attempts that wait for an answer, by their time limits, and since when; those that were cut.
        self._waiting: dict[asyncio.Timeout, float] = {}
        self._cut: set[asyncio.Timeout] = set()

    def outcomes(self) -> Iterator[RequestOutcome]:
        """One outcome a request as each finishes. An exception of the iterator of requests comes out here."""
        self._thread.start()
        try:
            while True:
                try:
                    if self._finished.empty():
                        # To be woken by each reply would cost the two threads more than to take several at once.
                        time.sleep(GATHERING)
                    # With a timeout, an interrupt gets through on every platform.
                    entry = self._finished.get(timeout=1.0)
                except queue.Empty:
                    continue
                if entry is None:
                    return
                if isinstance(entry, BaseException):
                    raise entry
                yield entry
        finally:
            self.stop()

    def stop(self) -> None:
        """Cancel what is open and wait for the thread; harmless when repeated."""
        self._stopping.set()
        if self._loop is not None and self._main_task is not None:
            # The loop may have closed by itself.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._main_task.cancel)
        if self._thread.is_alive():
            self._thread.join(timeout=10.0)

    def _run(self) -> None:
        try:
            asyncio.run(self._main())
        except asyncio.CancelledError:
            pass
        except BaseException as error:
            self._finished.put(error)
        finally:
            self._finished.put(None)

    async def _main(self) -> None:
        self._loop, self._main_task = asyncio.get_running_loop(), asyncio.current_task()
        if self._stopping.is_set():
            return
        watch = self._loop.create_task(self._cut_stalled())
        try:
            async with self._server.connect() as api, asyncio.TaskGroup() as workers:
                for _ in range(WORKERS_A_SLOT * self._settings.max_in_flight):
                    workers.create_task(self._work(api))
        finally:
            watch.cancel()

    async def _cut_stalled(self) -> None:
        """End attempts that wait far longer than the server took for others, so that they are sent anew.

        A judge that thinks for long is not cut: none of its answers comes sooner.
        """
        patience, loop = self._settings.stall_seconds, asyncio.get_running_loop()
        while patience is not None:
            await asyncio.sleep(patience / 10)
            for limit, began in tuple(self._waiting.items()):
                waited = loop.time() - began
                if self._slowest and waited > max(patience, STALLED_TIMES * self._slowest):
                    del self._waiting[limit]
                    # One whose deadline passed this very moment takes no other.
                    with contextlib.suppress(RuntimeError):
                        limit.reschedule(loop.time())
                        self._cut.add(limit)

    async def _work(self, api: Connection) -> None:
        try:
            while not self._stopping.is_set() and (request := next(self._source, None)) is not None:
                outcome = await self._ask(api, request)
                self._finished.put(outcome)
                failure = outcome.failure
                if failure is not None and failure.kind == "fatal" and not _of_one_request(failure):
                    # Replies gather before they are taken: by then many more would have been asked.
                    self._stopping.set()
        except Exception as error:
            self._stopping.set()
            self._finished.put(error)

    async def _ask(self, api: Connection, request: ChatRequest) -> RequestOutcome:
        """Ask until there is an answer or no use in going on. Time in line for a slot is not held against the request.

        Refused connections and overloads are repeated until the deadline, other failures ``attempts`` times.
        """
        loop = asyncio.get_running_loop()
        began, spent, attempt, stalled = loop.time(), 0.0, 0, False
        while True:
            cuts = await self._limit.acquire(again=attempt > 0)
            started = loop.time()
            try:
                left = self._settings.deadline - spent
                seconds = min(left, self._settings.attempt_seconds or left)
                answer = await self._attempt(api, request, seconds, watched=not stalled)
            finally:
                self._limit.release()
                spent += loop.time() - started
            if isinstance(answer, ChatReply):
                self._limit.succeeded()
                return RequestOutcome(answer)
            attempt += 1
            # Whoever stalled once may be slow for a reason: the next attempt has all the time that is left.
            stalled = stalled or answer.stalled
            delay = self._delay(answer, attempt, self._settings.deadline - spent)
            if answer.cuts:
                self._limit.overloaded(cuts, 0.0 if delay is None else answer.wait or 0.0)
            if delay is None:
                silent = answer.kind == "unreachable" and self._heard < began
                reply = ChatReply(
                    request.key, error=_error_line(answer, attempt), status=answer.status, timed_out=answer.timed_out
                )
                return RequestOutcome(reply, answer, silent)
            await asyncio.sleep(delay)
            spent += delay

    async def _attempt(
        self, api: Connection, request: ChatRequest, seconds: float, *, watched: bool
    ) -> ChatReply | RequestFailure:
        import openai

        loop = asyncio.get_running_loop()
        began, limit = loop.time(), asyncio.timeout(seconds)
        if watched:
            self._waiting[limit] = began
        try:
            async with limit:
                content = await api.complete(
                    {
                        "model": self._settings.model,
                        **request.asked,
                        **request.body,
                    }
                )
            self._heard = loop.time()
            self._slowest = max(self._slowest, self._heard - began)
            return read_reply(request.key, content, text=request.prompt is not None)
        except TimeoutError:
            if limit in self._cut:
                self._cut.discard(limit)
                told = f"no answer within {loop.time() - began:.0f} s, where others took {self._slowest:.0f} s at most"
                return RequestFailure("broken", told, timed_out=True, stalled=True)
            own = self._settings.attempt_seconds
            longest = own if own is not None and seconds >= own else self._settings.deadline
            return RequestFailure("broken", f"no answer within {longest:g} s", timed_out=True)
        except (openai.APIError, StatusError, WireError, MalformedAnswerError, ValueError) as error:
            failure = failure_of(error, self._server.secret)
            if failure is None:
                raise
            if failure.kind != "unreachable":
                self._heard = loop.time()
            return failure
        finally:
            self._waiting.pop(limit, None)

    def _delay(self, failure: RequestFailure, attempt: int, left: float) -> float | None:
        """Seconds until the next attempt; None if there shall be none. ``left``: seconds until the deadline."""
        if failure.kind in {"fatal", "refused"} or (failure.kind == "broken" and attempt >= self._settings.attempts):
            return None
        wait = failure.wait or 0.0
        if left - wait < self._settings.backoff / 2:
            return None
        # Never sleep the rest of the time away: half of it is left for a last attempt.
        jitter = full_jitter(attempt - 1, self._settings.backoff, LONGEST_BACKOFF, self._random)
        return wait + min(jitter, (left - wait) / 2)


class ChatClient:
    """A patient client for chat completions; see `ServerSettings`.

    How many requests a server bears is learnt and kept from one `ask` to the next.
    """

    def __init__(self, settings: ServerSettings) -> None:
        self.settings = settings
        self._server = Server(settings)
        self._limit = float(settings.max_in_flight)
        self._exchanges: list[Exchange] = []

    @property
    def limit(self) -> float:
        """How many requests the server bore at once when it was last asked."""
        return self._limit

    def contact(self) -> tuple[ServedModel, ...]:
        """The models that the server lists (asked once). Raises `InputError` if it cannot be reached."""
        return self._server.contact()

    def served_model(self) -> ServedModel | None:
        """What the server says of the settings' model, where it lists it. Raises `InputError` like `contact`."""
        return self._server.served_model()

    def ask(self, requests: Iterable[ChatRequest]) -> Iterator[ChatReply]:
        """Yield one reply a request, in any order, as each finishes; ``requests`` is read as answers come in.

        A request that fails alone gives a reply with ``error``. Failures in a row are held back until a success shows
        that the server is well; otherwise they are not given at all, so that they can be asked again. Closing the
        generator cancels what is open.

        Raises `InputError` where no request can succeed (key, model name, address, a parameter that the server does
        not take) and `EngineError` where the server stopped working; what had finished has been yielded before.
        """
        self.contact()
        limit = AdaptiveLimit(self.settings.max_in_flight, self._limit)
        exchange = Exchange(self._server, requests, limit)
        self._exchanges.append(exchange)
        try:
            yield from self._judged(exchange.outcomes())
        finally:
            exchange.stop()
            self._exchanges.remove(exchange)
            self._limit = limit.limit

    def close(self) -> None:
        """Cancel whatever is open."""
        for exchange in tuple(self._exchanges):
            exchange.stop()

    def _judged(self, outcomes: Iterator[RequestOutcome]) -> Iterator[ChatReply]:
        held: list[RequestOutcome] = []
        works = False
        for outcome in outcomes:
            failure = outcome.failure
            if failure is None:
                works = True
                yield from (earlier.reply for earlier in held)
                held.clear()
                yield outcome.reply
            elif works and not failure.about_money and (failure.kind == "refused" or _of_one_request(failure)):
                yield outcome.reply
            elif failure.kind == "fatal":
                raise self._server.verdict(failure)
            else:
                held.append(outcome)
                self._stop_if_broken(held)
        yield from (earlier.reply for earlier in held)

    def _stop_if_broken(self, held: list[RequestOutcome]) -> None:
        last, url = held[-1], self._server.url
        if last.silent:
            raise EngineError(
                f"{url} has gone: {last.reply.error}; start it again and repeat the command, what is finished is kept"
            )
        # More than were open together: one hiccup of the server is no reason to stop.
        if len(held) < max(STREAK, self.settings.max_in_flight + 1):
            return
        if all(outcome.failure and outcome.failure.kind == "refused" for outcome in held):
            raise InputError(f"{url} refuses every request: {last.reply.error}")
        raise EngineError(
            f"{url}: {len(held)} requests in a row failed, the last with: {last.reply.error}; mend the server (or lower"
            " the number in flight, or raise the deadline) and repeat the command, what is finished is kept"
        )


def _error_line(failure: RequestFailure, attempts: int) -> str:
    tries = f" (after {attempts} attempts)" if attempts > 1 else ""
    wait = f"; the server asks to wait {failure.wait:g} s" if failure.wait else ""
    return f"{failure.reason}{wait}{tries}"


def _of_one_request(failure: RequestFailure) -> bool:
    """May it be about this request alone? Where others passed, a 403 is: routers use it for moderated prompts."""
    return not failure.about_money and failure.status in {400, 403, 422}
