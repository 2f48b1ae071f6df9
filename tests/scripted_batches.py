"""A scripted server with the files and batches of OpenAI's Batch API, which answers single completions too."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from .scripted_server import completion_body

# What becomes of one request of a batch: its line of results, or None for none.
Answer = Callable[[str, dict[str, Any]], dict[str, Any] | bytes | None]


def answered(text: str, **more: Any) -> Answer:
    """Every request is answered with this text."""
    return lambda name, _body: result(name, json.loads(completion_body(text, **more)))


def result(name: str, body: Any, status: int = 200) -> dict[str, Any]:
    response = {"status_code": status, "request_id": "r", "body": body}
    return {"id": f"batch_req_{name}", "custom_id": name, "response": response, "error": None}


def expired(name: str) -> dict[str, Any]:
    error = {"code": "batch_expired", "message": "This request could not be executed before the completion window."}
    return {"id": f"batch_req_{name}", "custom_id": name, "response": None, "error": error}


class BatchServer:
    """Batches of ``/v1/batches`` are worked on by ``answer`` and end after ``looks`` polls, in ``endings`` in turn.

    ``faults`` are (method, path's beginning) to a list of (status, body) that are given first. ``probe`` answers single
    completions. ``created_in_silence``: so many creations come through, but their answers are 500. ``absent``: there is
    no Batch API.
    """

    def __init__(self, probe: Callable[[dict[str, Any]], bytes], answer: Answer) -> None:
        self.probe, self.answer = probe, answer
        self.looks, self.endings = 1, list[str]()
        self.faults: dict[tuple[str, str], list[tuple[int, bytes]]] = {}
        self.created_in_silence, self.absent = 0, False
        self.files: dict[str, bytes] = {}
        self.batches: dict[str, dict[str, Any]] = {}
        self.single: list[dict[str, Any]] = []
        self.asked: list[dict[str, Any]] = []
        self.calls: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.lock = threading.Lock()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._http.daemon_threads = True
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def base_url(self) -> str:
        """Where the API is."""
        return f"http://127.0.0.1:{self._http.server_address[1]}/v1"

    def close(self) -> None:
        """End the server."""
        self._http.shutdown()
        self._http.server_close()

    def file(self, content: bytes) -> str:
        """Keep a file; its id."""
        name = f"file-{len(self.files)}"
        self.files[name] = content
        return name

    def create(self, asked: dict[str, Any]) -> dict[str, Any]:
        """A batch of the requests in a file."""
        lines = [json.loads(line) for line in self.files[asked["input_file_id"]].splitlines()]
        self.asked += lines
        batch = {
            "id": f"batch_{len(self.batches)}",
            "object": "batch",
            "status": "in_progress",
            "looks": self.looks,
            "metadata": asked.get("metadata"),
            "input_file_id": asked["input_file_id"],
            "endpoint": asked["endpoint"],
            "completion_window": asked["completion_window"],
            "request_counts": {"total": len(lines), "completed": 0, "failed": 0},
        }
        self.batches[batch["id"]] = batch
        return batch

    def look(self, batch: dict[str, Any]) -> dict[str, Any]:
        """A batch as it is told, one look nearer to its end."""
        batch["looks"] -= 1
        if batch["looks"] > 0 or batch["status"] != "in_progress":
            return batch
        batch["status"] = self.endings.pop(0) if self.endings else "completed"
        if batch["status"] == "failed":
            return batch
        lines = [json.loads(line) for line in self.files[batch["input_file_id"]].splitlines()]
        good, bad = list[bytes](), list[bytes]()
        for line in lines:
            found = self.answer(line["custom_id"], line["body"])
            if isinstance(found, bytes):
                good.append(found)
            elif found is not None:
                told = json.dumps(found).encode()
                (bad if found["response"] is None or found["response"]["status_code"] != 200 else good).append(told)
        # As the API does it: a file that would be empty is not there.
        for name, content in (("output_file_id", good), ("error_file_id", bad)):
            batch[name] = self.file(b"\n".join(content) + b"\n") if content else None
        return batch


def _handler(server: BatchServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 10

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            pass

        def do_GET(self) -> None:
            self.serve("GET", b"")

        def do_POST(self) -> None:
            self.serve("POST", self.rfile.read(int(self.headers["Content-Length"])))

        def serve(self, method: str, body: bytes) -> None:
            path = urlsplit(self.path).path.removeprefix("/v1")
            with server.lock:
                server.calls.append(f"{method} {path}")
                server.headers.append({name.lower(): value for name, value in self.headers.items()})
                status, found = self.found(method, path, body)
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(found)))
            self.end_headers()
            self.wfile.write(found)

        def found(self, method: str, path: str, body: bytes) -> tuple[int, bytes]:
            for (of, begins), faults in server.faults.items():
                if of == method and path.startswith(begins) and faults:
                    return faults.pop(0)
            if path == "/models":
                return 200, b'{"object": "list", "data": [{"id": "scripted", "object": "model", "owned_by": "test"}]}'
            if path == "/chat/completions":
                server.single.append(json.loads(body))
                return 200, server.probe(server.single[-1])
            if server.absent:
                return 404, b'{"detail": "Not Found"}'
            if (method, path) == ("POST", "/files"):
                # The part of the form that is the file: from its blank line to the boundary.
                boundary = body.split(b"\r\n", 1)[0]
                part = next(part for part in body.split(boundary) if b'name="file"' in part)
                name = server.file(part.split(b"\r\n\r\n", 1)[1].removesuffix(b"\r\n"))
                return 200, json.dumps({"id": name, "object": "file", "purpose": "batch"}).encode()
            if (method, path) == ("POST", "/batches"):
                batch = server.create(json.loads(body))
                if server.created_in_silence:
                    server.created_in_silence -= 1
                    return 500, b'{"error": {"message": "upstream"}}'
                return 200, json.dumps(batch).encode()
            if (method, path) == ("GET", "/batches"):
                most = int(parse_qs(urlsplit(self.path).query)["limit"][0])
                return 200, json.dumps({"data": list(server.batches.values())[::-1][:most]}).encode()
            if name := re.fullmatch(r"/batches/(\w+)", path):
                batch = server.batches.get(name[1])
                return (404, b"{}") if batch is None else (200, json.dumps(server.look(batch)).encode())
            if name := re.fullmatch(r"/files/([\w-]+)/content", path):
                return (200, server.files[name[1]]) if name[1] in server.files else (404, b"{}")
            return 404, b"{}"

    return Handler


@contextmanager
def batch_server(
    monkeypatch: pytest.MonkeyPatch, single: Callable[[dict[str, Any]], bytes], answer: Answer
) -> Iterator[BatchServer]:
    """A server that no proxy or key of the environment stands before."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    found = BatchServer(single, answer)
    try:
        yield found
    finally:
        found.close()
