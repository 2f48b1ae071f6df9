"""Ask any OpenAI-compatible server many things at once, and stop when it is the server that fails."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from .chat import ChatReply, ChatRequest
from .errors import EngineError, InputError
from .exchange import Counters, Exchange, Outcome
from .limits import AdaptiveLimit
from .server import ServedModel, Server, ServerSettings

# Failures in a row, and at least one more than may be in flight, after which the server counts as broken.
STREAK = 20


class ChatClient:
    """A patient client for chat completions; see `ServerSettings`.

    How many requests a server bears is learnt and kept from one `ask` to the next.
    """

    def __init__(self, settings: ServerSettings) -> None:
        self.settings = settings
        self.counters = Counters()
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
        exchange = Exchange(self._server, requests, limit, self.counters)
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

    def _judged(self, outcomes: Iterator[Outcome]) -> Iterator[ChatReply]:
        held: list[Outcome] = []
        works = False
        for outcome in outcomes:
            failure = outcome.failure
            if failure is None:
                works = True
                yield from (earlier.reply for earlier in held)
                held.clear()
                yield outcome.reply
            elif works and (failure.kind == "refused" or failure.status == 403):
                # Where others passed, a 403 is about this request: routers use it for moderated prompts.
                yield outcome.reply
            elif failure.kind == "fatal":
                raise self._server.verdict(failure)
            else:
                held.append(outcome)
                self._stop_if_broken(held)
        yield from (earlier.reply for earlier in held)

    def _stop_if_broken(self, held: list[Outcome]) -> None:
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
