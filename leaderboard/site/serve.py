"""A built board at a local address, to this machine alone."""

from __future__ import annotations

import contextlib
import http.server
import sys
from functools import partial
from pathlib import Path

from telbench.errors import InputError

from ...harness.cli.terminal import visible
from .build import manifest_of
from .render import POLICY

HOST = "127.0.0.1"


class _Handler(http.server.SimpleHTTPRequestHandler):
    """Files of the site, with the pages' own policy as a header; only for requests that were addressed to this host."""

    def end_headers(self) -> None:
        self.send_header("Content-Security-Policy", POLICY + "; frame-ancestors 'none'")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Cache-Control", "no-store")
        super().end_headers()

    def send_head(self):
        # A name that an attacker points at 127.0.0.1 would otherwise let a foreign page read the answers.
        host = self.headers.get("Host", "").rpartition(":")[0] or self.headers.get("Host", "")
        if host not in (HOST, "localhost"):
            self.send_error(403, "ask for 127.0.0.1 or localhost")
            return None
        return super().send_head()

    def list_directory(self, path):
        self.send_error(404, "no such page")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as the base class has it
        """Say nothing about each file."""


def server_of(site: Path, port: int) -> http.server.ThreadingHTTPServer:
    """A server of the site's files, bound to the loopback address.

    Raises:
        InputError: when the folder is no board, or the port is taken.
    """
    if not manifest_of(site):
        raise InputError(f"{site} is no board: build one with telbench leaderboard build RUNS --out {site}")
    try:
        return http.server.ThreadingHTTPServer((HOST, port), partial(_Handler, directory=str(site)))
    except (OSError, OverflowError) as error:
        raise InputError(f"port {port} cannot be used ({error}): choose another --port, or 0") from error


def serve(site: Path, port: int) -> None:
    """Serve until interrupted."""
    with server_of(site, port) as server:
        sys.stdout.write(visible(f"http://{HOST}:{server.server_address[1]}/ shows {site}; Ctrl-C ends it") + "\n")
        sys.stdout.flush()
        with contextlib.suppress(KeyboardInterrupt):
            server.serve_forever()
