"""Posts of chat and text completions, over plain HTTP at a fraction of what the package ``openai`` costs a call.

A judge on one's own machine can answer a thousand times a second; that package would spend more than a core on it. A
`Wire` posts with aiohttp. A `Connection` sends over it whatever it can, and leaves TLS, proxies and redirects to the
package.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit
from urllib.request import getproxies, proxy_bypass

if TYPE_CHECKING:
    from aiohttp import ClientSession
    from yarl import URL

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
    """Posts to one host over aiohttp: kept-open connections, as many as posts at once; for one event loop.

    ``headers`` go with every post. ``connect_seconds`` is how long a connection may take to be made. Nothing is
    followed, repeated, kept as a cookie or taken from the environment.
    """

    def __init__(self, host: str, port: int, headers: Mapping[str, str], connect_seconds: float) -> None:
        # Imported before any deadline runs: on a busy machine that takes seconds.
        import aiohttp  # noqa: F401

        self._origin = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        self._headers, self._connect_seconds = dict(headers), connect_seconds
        self._session: ClientSession | None = None
        self._urls: dict[str, URL] = {}

    async def post(self, target: str, body: bytes) -> HttpAnswer:
        """The answer to a post of ``body`` to the path ``target``.

        Raises `WireError`; a call that is cancelled closes its connection.
        """
        import aiohttp

        session = self._session or self._open()
        try:
            async with session.post(self._url(target), data=body, allow_redirects=False) as answer:
                content = await answer.read()
                headers = {name.lower(): text for name, text in answer.headers.items()}
                return HttpAnswer(answer.status, headers, content)
        except aiohttp.ConnectionTimeoutError:
            raise WireError(f"ConnectTimeout: none within {self._connect_seconds:g} s", connected=False) from None
        except aiohttp.ClientConnectorError as error:
            raise WireError(f"ConnectError: {error.os_error}", connected=False) from error
        except aiohttp.ServerDisconnectedError as error:
            raise WireError("the server closed the connection", connected=True) from error
        except (aiohttp.ClientError, OSError) as error:
            raise WireError(f"{type(error).__name__}: {error}", connected=True) from error

    async def close(self) -> None:
        """Close what is idle."""
        if self._session is not None:
            await self._session.close()

    def _open(self) -> ClientSession:
        import aiohttp

        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            headers=self._headers,
            skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type", "User-Agent"),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=self._connect_seconds),
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        return self._session

    def _url(self, target: str) -> URL:
        from yarl import URL

        if target not in self._urls:
            # The package has encoded the path already.
            self._urls[target] = URL(self._origin + target, encoded=True)
        return self._urls[target]


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
            await self._wire.close()
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
