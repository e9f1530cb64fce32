"""An HTTP server on a real socket that answers with whatever bytes a test writes, at whatever pace."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self


def answer(status: int, body: bytes | str | dict[str, Any] = b"", *headers: str) -> bytes:
    """A whole response with a Content-Length; an object as JSON."""
    if isinstance(body, dict):
        body, headers = json.dumps(body), ("Content-Type: application/json", *headers)
    if isinstance(body, str):
        body = body.encode()
    return head(status, f"Content-Length: {len(body)}", "Connection: close", *headers) + body


def head(status: int, *headers: str) -> bytes:
    return "\r\n".join((f"HTTP/1.1 {status} Whatever", *headers, "", "")).encode()


def chunked(data: bytes, size: int | None = None) -> bytes:
    """`data` in HTTP chunks of `size` bytes, without the last, empty one."""
    size = size or len(data) or 1
    parts = [data[at : at + size] for at in range(0, len(data), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts)


def events(*payloads: dict[str, Any] | str) -> bytes:
    """Server-sent events; an object as JSON."""
    texts = (each if isinstance(each, str) else json.dumps(each, ensure_ascii=False) for each in payloads)
    return "".join(f"data: {text}\n\n" for text in texts).encode()


STREAM = head(200, "Content-Type: text/event-stream; charset=utf-8", "Transfer-Encoding: chunked")
UNFRAMED = head(200, "Content-Type: text/event-stream", "Connection: close")
LAST_CHUNK = b"0\r\n\r\n"


@dataclass(frozen=True)
class Seen:
    """A request as it arrived."""

    line: str
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Peer:
    """The server's end of a connection."""

    socket: socket.socket

    def read(self) -> Seen | None:
        """The next request, or None when the client is gone."""
        with self.socket.makefile("rb") as stream:
            line = stream.readline().decode("latin-1").strip()
            if not line:
                return None
            pairs = iter(lambda: stream.readline().decode("latin-1").strip(), "")
            headers = {name.lower(): value for name, _, value in (pair.partition(": ") for pair in pairs)}
            return Seen(line, headers, stream.read(int(headers.get("content-length", "0"))))

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def drip(self, *parts: bytes, pause_s: float = 0.02) -> None:
        """Send part by part, with pauses, until the client has gone."""
        for part in parts:
            self.send(part)
            if self.gone(pause_s):
                return

    def gone(self, within_s: float | None = None) -> bool:
        """Whether the client closes the connection before so many seconds have passed; None waits for it."""
        self.socket.settimeout(within_s)
        try:
            return self.socket.recv(1) == b""
        except TimeoutError:
            return False
        finally:
            self.socket.settimeout(None)


Script = bytes | Callable[[Peer], bool | None]
"""What one request gets: bytes and the end of the connection, or a function, whose True keeps it open."""


@dataclass
class FaultServer:
    """Serves each request with the next of `scripts`, then the last one again; `seen` holds what came in.

    `greeting` is sent to each connection before it has asked anything.
    """

    scripts: list[Script]
    greeting: bytes = b""
    seen: list[Seen] = field(default_factory=list)
    connections: int = 0

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self._closing = False
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing = True
        socket.create_connection(self._listener.getsockname()).close()
        self._threads[0].join()
        for connection in self._open:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads[1:]:
            thread.join()
        self._listener.close()

    @property
    def origin(self) -> str:
        host, port = self._listener.getsockname()
        return f"http://{host}:{port}"

    @property
    def url(self) -> str:
        return f"{self.origin}/v1"

    def _accept(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            if self._closing:
                connection.close()
                return
            self.connections += 1
            self._open.append(connection)
            self._threads.append(threading.Thread(target=self._serve, args=(connection,)))
            self._threads[-1].start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, suppress(ConnectionError):
            connection.sendall(self.greeting)
            peer = Peer(connection)
            while (seen := peer.read()) is not None:
                script = self.scripts[min(len(self.seen), len(self.scripts) - 1)]
                self.seen.append(seen)
                if isinstance(script, bytes):
                    return peer.send(script)
                if not script(peer):
                    return
