"""Posts of chat and text completions, over plain HTTP/1.1 at a fifth of what a general HTTP client costs a call.

A judge on one's own machine can answer a thousand times a second; a client and its pool would spend more than a core
on that. A `Wire` keeps connections to one host open and speaks h11's protocol. A `Connection` sends over it whatever it
can, and leaves TLS, proxies and redirects to the package ``openai``.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any
from urllib.parse import urlencode, urlsplit
from urllib.request import getproxies, proxy_bypass

CHAT, TEXT = "chat/completions", "completions"
_NAMED = {"model", "messages", "prompt"}


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """An HTTP response: status, headers (names in lower case) and the whole body."""

    status: int
    headers: Mapping[str, str]
    content: bytes


class WireError(Exception):
    """No answer: ``connected`` tells whether there was a connection, the message what became of it."""

    def __init__(self, message: str, connected: bool) -> None:
        super().__init__(message)
        self.connected = connected


class Wire:
    """Connections to one host; for one event loop, and never more open than posts at once.

    ``headers`` go with every post. ``connect_seconds`` is how long a connection may take to be made.
    """

    def __init__(self, host: str, port: int, headers: Mapping[str, str], connect_seconds: float) -> None:
        # Imported before any deadline runs: on a busy machine that takes seconds.
        import h11  # noqa: F401

        self._host, self._port = host, port
        self._headers = [(name.encode(), text.encode()) for name, text in headers.items()]
        self._connect_seconds = connect_seconds
        self._idle: list[_Connection] = []

    async def post(self, target: str, body: bytes) -> HttpAnswer:
        """The answer to a post of ``body`` to the path ``target``.

        Raises `WireError`; a call that is cancelled closes its connection.
        """
        connection = self._kept() or await self._connect()
        try:
            answer = await connection.exchange(target.encode(), self._headers, body)
        except BaseException:
            connection.abort()
            raise
        if connection.reusable():
            self._idle.append(connection)
        else:
            connection.abort()
        return answer

    def close(self) -> None:
        """Close what is idle."""
        while self._idle:
            self._idle.pop().abort()

    def _kept(self) -> _Connection | None:
        # The one used last is the one least likely to have been closed by the server meanwhile.
        while self._idle:
            connection = self._idle.pop()
            if connection.alive:
                return connection
            connection.abort()
        return None

    async def _connect(self) -> _Connection:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._connect_seconds):
                _, connection = await loop.create_connection(_Connection, self._host, self._port)
        except TimeoutError:
            raise WireError(f"ConnectTimeout: none within {self._connect_seconds:g} s", connected=False) from None
        except OSError as error:
            raise WireError(f"ConnectError: {error}", connected=False) from error
        return connection


class _Connection(asyncio.Protocol):
    """One connection: one exchange after the other."""

    def __init__(self) -> None:
        import h11

        self.alive = True
        self._http = h11.Connection(h11.CLIENT)
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[HttpAnswer] | None = None
        self._head: Any = None
        self._body: list[bytes] = []

    async def exchange(self, target: bytes, headers: list[tuple[bytes, bytes]], body: bytes) -> HttpAnswer:
        import h11

        if self._transport is None:
            raise WireError("the server closed the connection", connected=True)
        self._head, self._body = None, []
        self._answer = asyncio.get_running_loop().create_future()
        length = (b"content-length", str(len(body)).encode())
        request = h11.Request(method=b"POST", target=target, headers=[*headers, length])
        sent = [self._http.send(each) for each in (request, h11.Data(data=body), h11.EndOfMessage())]
        self._transport.write(b"".join(each for each in sent if each))
        return await self._answer

    def reusable(self) -> bool:
        """Make ready for the next exchange, if there can be one."""
        import h11

        done = self._http.our_state is h11.DONE and self._http.their_state is h11.DONE
        # What came after the answer was not asked for either.
        if not self.alive or not done or self._http.trailing_data[0]:
            return False
        self._http.start_next_cycle()
        return True

    def abort(self) -> None:
        """Close at once."""
        self.alive = False
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, asyncio.Transport):
            self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._feed(data)

    def eof_received(self) -> None:
        # A body without a length ends here.
        self.alive = False
        self._feed(b"")

    def connection_lost(self, exc: Exception | None) -> None:
        self.alive = False
        self._fail(f"{type(exc).__name__}: {exc}" if exc else "the server closed the connection")

    def _feed(self, data: bytes) -> None:
        import h11

        if self._answer is None or self._answer.done():
            # Nobody asked: what comes now would be taken for the answer to the next question.
            self.alive = False
            return
        try:
            self._http.receive_data(data)
            while (event := self._http.next_event()) is not h11.NEED_DATA:
                if isinstance(event, h11.Response):
                    self._head = event
                elif isinstance(event, h11.Data):
                    self._body.append(bytes(event.data))
                elif isinstance(event, h11.EndOfMessage):
                    headers = {name.decode("ascii"): text.decode("latin-1") for name, text in self._head.headers}
                    self._answer.set_result(HttpAnswer(self._head.status_code, headers, b"".join(self._body)))
                    return
                elif not isinstance(event, h11.InformationalResponse):
                    return self._fail("the server closed the connection")
        except h11.RemoteProtocolError as error:
            self._fail(f"RemoteProtocolError: {error}")

    def _fail(self, reason: str) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(WireError(reason, connected=True))


class StatusError(Exception):
    """An answer with a status of 400 or more."""

    def __init__(self, answer: HttpAnswer) -> None:
        super().__init__(f"status {answer.status}")
        self.answer = answer


class Connection:
    """Asks for completions with the address, headers and time-outs of an ``openai.AsyncOpenAI``.

    Plain HTTP, which is what servers on one's own machines speak, goes over the `Wire`; TLS, proxies and redirects are
    left to the package.
    """

    def __init__(self, api: Any) -> None:
        self._api = api
        query = f"?{urlencode(api.default_query)}" if api.default_query else ""
        self._targets = {path: api.base_url.join(path).raw_path.decode() + query for path in (CHAT, TEXT)}
        url = api.base_url.join(CHAT)
        # Where the key has a header of its own, the usual one is left out: of each request, as the package wants it.
        left_out = api.default_headers.get("Authorization")
        self._left_out = {} if left_out is None else {"Authorization": left_out}
        self._wire = None
        if url.scheme == "http" and proxy_of(str(url)) is None:
            # The package's headers hold markers for those that are to be left out.
            headers = {name.lower(): text for name, text in api.default_headers.items() if isinstance(text, str)}
            headers["host"] = url.netloc.decode()
            if not self._left_out:
                headers["authorization"] = f"Bearer {api.api_key}"
            headers["accept-encoding"] = "identity"
            self._wire = Wire(url.host, url.port or 80, headers, api.timeout.connect)

    async def __aenter__(self) -> Connection:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._wire is not None:
            self._wire.close()
        await self._api.close()

    async def complete(self, body: Mapping[str, Any]) -> bytes:
        """The JSON of a chat completion, or of a text completion where the body has a ``prompt``.

        Raises `WireError`, `StatusError` and the package's own errors, and ValueError for what JSON cannot hold.
        """
        if self._wire is not None:
            text = json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
            answer = await self._wire.post(self._targets[TEXT if "prompt" in body else CHAT], text.encode())
            if answer.status >= 400:
                raise StatusError(answer)
            if answer.status < 300:
                return answer.content
        rest = {name: value for name, value in body.items() if name not in _NAMED}
        if "prompt" in body:
            create = self._api.completions.with_raw_response.create
            asked = {"model": body["model"], "prompt": body["prompt"]}
            return (await create(**asked, extra_body=rest, extra_headers=self._left_out)).content
        create = self._api.chat.completions.with_raw_response.create
        asked = {"model": body["model"], "messages": body["messages"]}
        return (await create(**asked, extra_body=rest, extra_headers=self._left_out)).content


def proxy_of(url: str) -> str | None:
    """The proxy that the environment sets for a URL, without user and password; None where there is none."""
    parts, proxies = urlsplit(url), getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    if not proxy or proxy_bypass(parts.hostname or ""):
        return None
    return proxy.rpartition("@")[2].rpartition("//")[2].rstrip("/")
