"""The two ways to a server, and what the wire makes of HTTP as servers speak it."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from socket import create_server, socket

import pytest

from telbench.judges.chat import ChatReply, ChatRequest
from telbench.judges.server.client import ChatClient
from telbench.judges.server.http import HttpAnswer, Wire, WireError
from telbench.judges.server.settings import ServerSettings

from ...scripted_server import ScriptedServer, Step, completion_body

JSON = b"Content-Type: application/json\r\n"


@contextmanager
def raw_server(answer: Callable[[socket, int], None]) -> Iterator[int]:
    """A port where every request is answered by ``answer(connection, number of the request)``."""
    listening, count = create_server(("127.0.0.1", 0)), iter(range(10**6))

    def talk(connection: socket) -> None:
        with connection, suppress(OSError):
            while connection.recv(65536):
                answer(connection, next(count))

    def accept() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            threading.Thread(target=talk, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    with listening:
        yield listening.getsockname()[1]


def post(port: int, times: int = 1) -> list[HttpAnswer]:
    async def ask() -> list[HttpAnswer]:
        wire = Wire("127.0.0.1", port, {"host": "here"}, 5.0)
        try:
            return [await asyncio.wait_for(wire.post("/v1/x", b"{}"), 5) for _ in range(times)]
        finally:
            await wire.close()

    return asyncio.run(ask())


@pytest.mark.parametrize(
    "raw",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    ],
    ids=["length", "chunked", "informational first"],
)
def test_bodies_come_whole_and_the_connection_is_kept(raw: bytes):
    senders: set[int] = set()

    def answer(connection: socket, _: int) -> None:
        senders.add(id(connection))
        for byte in raw:
            connection.sendall(bytes([byte]))

    with raw_server(answer) as port:
        answers = post(port, times=3)
    assert [(each.status, each.content) for each in answers] == [(200, b"hello")] * 3
    assert len(senders) == 1


@pytest.mark.parametrize(
    "head", [b"HTTP/1.0 200 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"], ids=["1.0", "close"]
)
def test_a_body_that_ends_with_the_connection_is_whole_and_the_next_post_connects_anew(head: bytes):
    def answer(connection: socket, number: int) -> None:
        connection.sendall(head + b"body %d" % number)
        connection.close()

    with raw_server(answer) as port:
        assert [each.content for each in post(port, times=2)] == [b"body 0", b"body 1"]


def test_a_connection_that_the_server_closed_meanwhile_is_not_used_again():
    closed = threading.Event()

    def answer(connection: socket, number: int) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n%d" % number)
        connection.close()
        closed.set()

    async def ask(port: int) -> list[bytes]:
        wire, bodies = Wire("127.0.0.1", port, {"host": "here"}, 5.0), []
        for _ in range(2):
            bodies.append((await asyncio.wait_for(wire.post("/v1/x", b"{}"), 5)).content)
            await asyncio.to_thread(closed.wait, 5)
            await asyncio.sleep(0.05)
        await wire.close()
        return bodies

    with raw_server(answer) as port:
        assert asyncio.run(ask(port)) == [b"0", b"1"]


def test_an_answer_that_nobody_asked_for_is_never_taken_for_the_next():
    def answer(connection: socket, number: int) -> None:
        one = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n"
        connection.sendall(one + b"%d" % number + one + b"!")

    with raw_server(answer) as port:
        assert [each.content for each in post(port, times=3)] == [b"0", b"1", b"2"]


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\nhalf",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: minus one\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * 200_000,
    ],
    ids=["nothing", "half a body", "bad chunk", "another protocol", "bad length", "endless head"],
)
def test_what_is_no_http_is_a_broken_connection(raw: bytes):
    def answer(connection: socket, _: int) -> None:
        connection.sendall(raw)
        connection.close()

    with raw_server(answer) as port, pytest.raises(WireError) as caught:
        post(port)
    assert caught.value.connected


def test_a_closed_port_is_no_connection():
    with create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(WireError) as caught:
        post(port)
    assert not caught.value.connected


def ask(url: str, count: int = 5) -> list[ChatReply]:
    requests = [ChatRequest(str(n), ({"role": "user", "content": f"q{n}"},), {"seed": 3}) for n in range(count)]
    client = ChatClient(ServerSettings(url, "scripted", backoff=0.01, deadline=10.0))
    return list(client.ask(requests))


def test_a_proxy_of_the_environment_is_used_and_told_the_same(
    scripted_server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
):
    ask(scripted_server.base_url)
    direct = sorted(map(json.dumps, scripted_server.requests))
    scripted_server.requests.clear()
    # The scripted server plays the proxy: the judge's own name exists nowhere.
    monkeypatch.setenv("HTTP_PROXY", scripted_server.base_url.removesuffix("/v1"))
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    replies = ask("http://judge.invalid/v1")
    assert sorted(reply.text for reply in replies) == [f"Q{n}" for n in range(5)]
    assert sorted(map(json.dumps, scripted_server.requests)) == direct


def test_errors_read_the_same_whichever_way_they_came(scripted_server: ScriptedServer, monkeypatch: pytest.MonkeyPatch):
    answers = [Step(429, b"{}", {"Retry-After": "0"}), Step(500, b"oops"), Step(422, b'{"error": {"message": "no"}}')]
    scripted_server.script = lambda number, _: answers[number % 3]
    (direct,) = ask(scripted_server.base_url, 1)
    monkeypatch.setenv("HTTP_PROXY", scripted_server.base_url.removesuffix("/v1"))
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    assert ask("http://judge.invalid/v1", 1) == [direct]
    assert direct.error == "status 422: no (after 3 attempts)"
    assert len(scripted_server.requests) == 6


def test_a_redirect_is_followed(scripted_server: ScriptedServer):
    def script(number: int, request: dict[str, object]) -> Step:
        if number < 2:
            return Step(307, b"", {"Location": f"{scripted_server.base_url}/elsewhere"})
        return Step(body=completion_body("there"))

    scripted_server.script = script
    assert [reply.text for reply in ask(scripted_server.base_url, 1)] == ["there"]
