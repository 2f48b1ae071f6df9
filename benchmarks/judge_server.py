"""A scripted judge on the loopback for the throughput benchmark: cheap, late on purpose, and busy at random.

Run as its own process; it prints the port it listens on and serves until it is ended. Chat
completions are answered after the latency, a share of them with status 429 (drawn with a seed).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random

VERDICT = json.dumps({"reasons": ["The answer names the protocol that the reference names."], "score": 4})
BUSY = b'{"error": {"message": "rate limit reached"}}'
MODELS = (
    b'{"object": "list", "data": [{"id": "scripted", "object": "model", "owned_by": "test", "root": "scripted-1"}]}'
)


def response(status: str, body: bytes) -> bytes:
    """An HTTP response on a connection that stays open."""
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def completion(text: str) -> bytes:
    """A chat completion."""
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop", "logprobs": None}
    usage = {"prompt_tokens": 400, "completion_tokens": 30, "total_tokens": 430}
    body = {"id": "chatcmpl-1", "object": "chat.completion", "created": 0, "model": "scripted", "choices": [choice]}
    return json.dumps({**body, "usage": usage}).encode()


class Judge(asyncio.Protocol):
    """One connection; requests of a connection follow one another, as HTTP/1.1 clients send them."""

    def __init__(
        self, latency: float, busy: float, busy_latency: float, text: str, draws: random.Random, counts: dict[str, int]
    ) -> None:
        self._busy_latency = busy_latency
        self._latency, self._busy, self._draws, self._counts = latency, busy, draws, counts
        self._received = b""
        self._answer = response("200 OK", completion(text))
        self._refusal = response("429 Too Many Requests", BUSY)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember where to answer."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer a request once it is whole."""
        self._received += data
        head, blank, body = self._received.partition(b"\r\n\r\n")
        if not blank:
            return
        if head.startswith(b"GET"):
            self._received = b""
            busy = f'{{"counts": {json.dumps(self._counts)}}}'.encode()
            self._transport.write(response("200 OK", busy if b"/counts" in head[:40] else MODELS))
            return
        length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
        if len(body) < int(length):
            return
        self._received = b""
        refused = self._draws.random() < self._busy
        self._counts["refused" if refused else "answered"] += 1
        later = asyncio.get_running_loop().call_later
        delay = self._busy_latency if refused else self._latency
        later(delay, self._transport.write, self._refusal if refused else self._answer)


async def serve(args: argparse.Namespace) -> None:
    """Listen on a free port, print it, serve for ever."""
    draws, counts = random.Random(args.seed), {"answered": 0, "refused": 0}
    loop = asyncio.get_running_loop()
    late = args.latency if args.busy_latency is None else args.busy_latency

    def judge() -> Judge:
        return Judge(args.latency, args.busy, late, args.text, draws, counts)

    server = await loop.create_server(judge, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--latency", type=float, default=0.2, help="seconds")
    parser.add_argument("--busy", type=float, default=0.05, help="share of answers with status 429")
    parser.add_argument("--busy-latency", type=float, help="seconds until a 429; the latency if not given")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--text", default=VERDICT, help="what every completion says")
    args = parser.parse_args()
    asyncio.run(serve(args))
