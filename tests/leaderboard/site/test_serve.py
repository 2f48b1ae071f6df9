"""Looking at a board: to this machine alone, the site's own files and no others."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest

from telbench.errors import InputError
from telbench.harness.cli.main import main
from telbench.leaderboard.site.serve import server_of

from .boards import answers, write_run


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ThreadingHTTPServer]:
    folder = tmp_path_factory.mktemp("served")
    runs = [write_run(folder, name, answers(right)) for name, right in {"a": 22, "b": 3}.items()]
    (folder / "secret.txt").write_text("not part of the site")
    site = folder / "site"
    assert main(["leaderboard", "build", *map(str, runs), "--out", str(site)]) == 0
    server = server_of(site, 0)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join(10)


def ask(server: ThreadingHTTPServer, path: str, host: str = "") -> tuple[int, dict[str, str], bytes]:
    name, port = str(server.server_address[0]), int(server.server_address[1])
    connection = http.client.HTTPConnection(name, port, timeout=20)
    connection.request("GET", path, headers={"Host": host or f"127.0.0.1:{port}"})
    answer = connection.getresponse()
    found = answer.status, {key.lower(): value for key, value in answer.getheaders()}, answer.read()
    connection.close()
    return found


def test_it_serves_the_board_to_this_machine_with_its_policy(server: ThreadingHTTPServer) -> None:
    assert server.server_address[0] == "127.0.0.1"
    status, headers, body = ask(server, "/")
    assert status == 200
    assert b"telbench leaderboard" in body
    assert "default-src 'none'" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert ask(server, "/index.html", "localhost:8000")[0] == 200


@pytest.mark.parametrize(
    "path", ["/../secret.txt", "/%2e%2e/secret.txt", "/..%2fsecret.txt", "/data/", "/nothing.html"]
)
def test_nothing_else_is_served(path: str, server: ThreadingHTTPServer) -> None:
    status, _, body = ask(server, path)
    assert status == 404
    assert b"not part of the site" not in body


def test_a_request_under_a_foreign_name_is_refused(server: ThreadingHTTPServer) -> None:
    assert ask(server, "/", "evil.example:80")[0] == 403


def test_what_is_no_board_or_a_port_in_use_is_refused(server: ThreadingHTTPServer, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is no board"):
        server_of(tmp_path, 0)
    site = Path(str(server.RequestHandlerClass.keywords["directory"]))  # type: ignore[attr-defined]
    with pytest.raises(InputError, match="cannot be used"):
        server_of(site, int(server.server_address[1]))
