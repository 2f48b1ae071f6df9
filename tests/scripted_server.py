"""Fixture: an OpenAI-compatible server on the loopback that answers as its test's script says, and keeps count."""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest


@dataclass(frozen=True)
class Step:
    """What the server does with one chat completion request: wait ``delay`` seconds, then answer or reset.

    The body takes ``trickle`` seconds to be written.
    """

    status: int = 200
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    delay: float = 0.0
    trickle: float = 0.0
    reset: bool = False
    stop_listening: bool = False


Script = Callable[[int, dict[str, Any]], Step]


def completion_body(text: str | None, *, finish_reason: str | None = "stop", **choice: Any) -> bytes:
    """A well-formed chat completion; further keywords go into its choice."""
    message = {"role": "assistant", "content": text}
    body = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 0,
        "model": "scripted",
        "choices": [{"index": 0, "message": message, "finish_reason": finish_reason, **choice}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
    }
    return json.dumps(body).encode()


def echo(_number: int, request: dict[str, Any]) -> Step:
    """Answer with the last message's content, upper case."""
    return Step(body=completion_body(str(request["messages"][-1]["content"]).upper()))


class ScriptedServer:
    """Answers ``/v1/chat/completions`` and ``/v1/completions`` by ``script(number of the request, its body)``."""

    def __init__(self, port: int = 0) -> None:
        self.script: Script = echo
        self.models: list[dict[str, Any]] | None = [{"id": "scripted", "object": "model", "owned_by": "test"}]
        self.requests: list[dict[str, Any]] = []
        self.paths: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.times: list[float] = []
        self.open_now = 0
        self.most_open = 0
        self.ended = threading.Event()
        self._lock = threading.Lock()
        self._http = _Http(("127.0.0.1", port), _handler(self))
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    @property
    def base_url(self) -> str:
        """Where the API is."""
        return f"http://127.0.0.1:{self._http.server_address[1]}/v1"

    def enter(self, request: dict[str, Any], headers: dict[str, str], path: str) -> int:
        """Count a request in; its number."""
        with self._lock:
            self.paths.append(path)
            self.requests.append(request)
            self.headers.append(headers)
            self.times.append(time.monotonic())
            self.open_now += 1
            self.most_open = max(self.most_open, self.open_now)
            return len(self.requests) - 1

    def leave(self) -> None:
        """Count a request out."""
        with self._lock:
            self.open_now -= 1

    def stop_listening(self) -> None:
        """Refuse every connection from now on."""
        self.ended.set()
        self._http.shutdown()
        self._http.server_close()

    def close(self) -> None:
        """End the server and the answers it is delaying."""
        if not self.ended.is_set():
            self.stop_listening()
        self._thread.join(5)


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is part of the tests."""


def _handler(server: ScriptedServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 30
        disable_nagle_algorithm = True

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            pass

        def do_GET(self) -> None:
            if self.path.partition("?")[0] == "/v1/models" and server.models is not None:
                self.answer(200, json.dumps({"object": "list", "data": server.models}).encode(), {})
            else:
                self.answer(404, b'{"error": {"message": "no such page"}}', {})

        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            headers = {name.lower(): value for name, value in self.headers.items()}
            number = server.enter(request, headers, self.path)
            try:
                step = server.script(number, request)
                server.ended.wait(step.delay)
            finally:
                server.leave()
            if step.stop_listening:
                threading.Thread(target=server.stop_listening, daemon=True).start()
                server.ended.wait(5)
            if server.ended.is_set() or step.reset:
                # Linger 0 turns the close into a reset.
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.connection.close()
                self.close_connection = True
                return
            body = completion_body("fine") if step.body is None else step.body
            self.answer(step.status, body, step.headers, step.trickle)

        def answer(self, status: int, body: bytes, headers: Mapping[str, str], trickle: float = 0.0) -> None:
            self.send_response(status)
            for name, value in {
                "Content-Type": "application/json",
                "Content-Length": str(len(body)),
                **headers,
            }.items():
                self.send_header(name, value)
            self.end_headers()
            for start in range(0, len(body), 16) if trickle else ():
                self.wfile.write(body[start : start + 16])
                server.ended.wait(trickle * 16 / len(body))
            if not trickle:
                self.wfile.write(body)

    return Handler


@pytest.fixture
def scripted_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedServer]:
    """A running scripted server; no proxy and no OpenAI setting of the environment reaches the test."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    for name in ("OPENAI_API_KEY", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "OPENAI_BASE_URL", "OPENAI_LOG"):
        monkeypatch.delenv(name, raising=False)
    server = ScriptedServer()
    try:
        yield server
    finally:
        server.close()
