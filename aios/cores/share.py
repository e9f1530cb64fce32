"""Serves shared versions of files to whoever has their token, on this machine only."""

from __future__ import annotations

import http.server
import threading
import time
from collections.abc import Callable
from http import HTTPStatus
from urllib.parse import quote

from aios_storage import Files, Shares
from aios_syscalls import AiosError, NotFound

HOST = "127.0.0.1"
POLL_S = 0.05
"""Between looks whether it is to end, for which the end of the kernel waits."""


class LinkServer:
    """An HTTP server that begins with the first share; read-only, one version an address, no listing."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._lock = threading.Lock()
        self._closed = False
        self._server: http.server.ThreadingHTTPServer | None = None

    def url(self, token: str, path: str) -> str:
        """Where the version of a token can be fetched; the file's name at its end is for the reader alone."""
        with self._lock:
            if self._server is None:
                self._server = http.server.ThreadingHTTPServer((HOST, 0), _handler(self.fetch))
                self._server.daemon_threads = True
                threading.Thread(target=self._server.serve_forever, args=(POLL_S,), name="shares", daemon=True).start()
            port = self._server.server_address[1]
        return f"http://{HOST}:{port}/{token}/{quote(path.rpartition('/')[2])}"

    def close(self) -> None:
        """Serve no more."""
        with self._lock:
            if self._server is not None:
                self._server.shutdown()
                self._server.server_close()
                self._server = None
            self._closed = True

    def fetch(self, token: str) -> bytes:
        """What a token stands for. Raises NotFound for none, or one whose time is over."""
        with self._lock:  # not while it closes: the files are closed next
            if self._closed:
                raise NotFound("the kernel is stopping, and its shares with it; run it again", field="token")
            share = Shares(self._files.version_store).get(token, time.time())
            return self._files.content(self._files.by_seq(share.seq).sha256 or "")


def _handler(fetch: Callable[[str], bytes]) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        server_version = "aios"
        sys_version = ""
        timeout = 30

        def do_GET(self) -> None:
            self._answer(body=True)

        def do_HEAD(self) -> None:
            self._answer(body=False)

        def _answer(self, body: bool) -> None:
            try:
                data = fetch(self.path.split("/")[1] if "/" in self.path else "")
            except AiosError as error:
                return self.send_error(HTTPStatus.NOT_FOUND, explain=error.message)
            self.send_response(HTTPStatus.OK)
            # Never shown as a page of this machine's: it may be any agent's words.
            self.send_header("Content-Type", "application/octet-stream")
            self.send_header("X-Content-Type-Options", "nosniff")
            self.send_header("Cache-Control", "no-store")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if body:
                self.wfile.write(data)

        def log_message(self, *_: object) -> None: ...

    return Handler
