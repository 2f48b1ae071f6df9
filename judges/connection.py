"""Chat completions of one server: over the wire where nothing stands between, else by the ``openai`` package."""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import TracebackType
from typing import Any
from urllib.request import getproxies, proxy_bypass

from .wire import Answer, Wire

PATH = "chat/completions"


class StatusError(Exception):
    """An answer with a status of 400 or more."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(f"status {answer.status}")
        self.answer = answer


class Connection:
    """Asks for chat completions with the address, headers and time-outs of an ``openai.AsyncOpenAI``.

    Plain HTTP, which is what servers on one's own machines speak, goes over the `Wire`; TLS, proxies and redirects are
    left to the package.
    """

    def __init__(self, api: Any) -> None:
        self._api = api
        url = api.base_url.join(PATH)
        self._wire = None
        if url.scheme == "http" and not _behind_proxy(url.host):
            # The package's headers hold markers for those that are to be left out.
            headers = {name.lower(): text for name, text in api.default_headers.items() if isinstance(text, str)}
            headers |= {"host": url.netloc.decode(), "authorization": f"Bearer {api.api_key}"}
            headers["accept-encoding"] = "identity"
            self._wire = Wire(url.host, url.port or 80, url.raw_path.decode(), headers, api.timeout.connect)

    async def __aenter__(self) -> Connection:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._wire is not None:
            self._wire.close()
        await self._api.close()

    async def complete(self, body: Mapping[str, Any]) -> bytes:
        """The JSON of a chat completion.

        Raises `WireError`, `StatusError` and the package's own errors, and ValueError for what JSON cannot hold.
        """
        if self._wire is not None:
            text = json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
            answer = await self._wire.post(text.encode())
            if answer.status >= 400:
                raise StatusError(answer)
            if answer.status < 300:
                return answer.content
        messages, rest = body["messages"], {name: value for name, value in body.items() if name not in _NAMED}
        create = self._api.chat.completions.with_raw_response.create
        return (await create(model=body["model"], messages=messages, extra_body=rest)).content


_NAMED = {"model", "messages"}


def _behind_proxy(host: str) -> bool:
    proxies = getproxies()
    return bool(proxies.get("http") or proxies.get("all")) and not proxy_bypass(host)
