"""An HTTP server on a real socket that answers with whatever bytes a test writes, at whatever pace."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from aios.models.base import Emit
from aios.models.remote.model import RemoteModel
from aios_syscalls import Chat, ChatReply, Usage


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

TRUSTED = Path(__file__).parent / "tls/trusted.pem"
"""A certificate for 127.0.0.1, which signs itself, and its key; a client trusts it when SSL_CERT_FILE names it."""
STRANGER = TRUSTED.with_name("stranger.pem")


def tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


@dataclass(frozen=True)
class Seen:
    """A request as it arrived."""

    line: str
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Peer:
    """The server's end of a connection; `asked` is its last request."""

    socket: socket.socket
    asked: Seen = Seen("", {}, b"")

    def read(self) -> Seen | None:
        """The next request, or None when the client is gone."""
        with self.socket.makefile("rb") as stream:
            line = stream.readline().decode("latin-1").strip()
            if not line:
                return None
            pairs = iter(lambda: stream.readline().decode("latin-1").strip(), "")
            headers = {name.lower(): value for name, _, value in (pair.partition(": ") for pair in pairs)}
            self.asked = Seen(line, headers, stream.read(int(headers.get("content-length", "0"))))
            return self.asked

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


async def unpaused(model: RemoteModel, chat: Chat, emit: Emit) -> ChatReply:
    """An answer that is not paused, with no usage but what the server told."""
    reply = await model.generate(chat, None, None, emit)
    assert isinstance(reply, ChatReply)
    assert reply.usage.total
    return reply.model_copy(update={"usage": Usage()}) if reply.usage.estimated else reply


Script = bytes | Callable[[Peer], bool | None]
"""What one request gets: bytes and the end of the connection, or a function, whose True keeps it open."""


@dataclass
class FaultServer:
    """Serves each request with the next of `scripts`, then the last one again; `seen` holds what came in.

    `greeting` is sent to each connection before it has asked anything. With `tls`, connections speak TLS.
    """

    scripts: list[Script]
    greeting: bytes = b""
    tls: ssl.SSLContext | None = None
    seen: list[Seen] = field(default_factory=list)
    connections: int = 0

    def __enter__(self) -> Self:
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._scheme = "https" if self.tls else "http"
        self._port = 0
        self._listen()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._deafen()
        self.drop()
        for thread in self._threads:
            thread.join()

    @property
    def origin(self) -> str:
        return f"{self._scheme}://127.0.0.1:{self._port}"

    @property
    def url(self) -> str:
        return f"{self.origin}/v1"

    def drop(self) -> None:
        """End every connection that there is."""
        for connection in self._open:
            with suppress(OSError):
                # Not SSLSocket's own, under which its thread would go on in plain text.
                socket.socket.shutdown(connection, socket.SHUT_RDWR)

    @contextmanager
    def away(self) -> Iterator[None]:
        """Nothing listens meanwhile; connections go on."""
        self._deafen()
        try:
            yield
        finally:
            self._listen()

    @contextmanager
    def deaf(self, backlog: int) -> Iterator[None]:
        """The port is open and nobody accepts meanwhile; connections go on. With backlog 0 none can be made either."""
        with self.away(), socket.create_server(("127.0.0.1", self._port), backlog=backlog):
            waiting: list[socket.socket] = []
            try:
                if not backlog:
                    with suppress(TimeoutError):
                        while True:
                            waiting.append(socket.create_connection(("127.0.0.1", self._port), timeout=0.05))
                yield
            finally:
                for connection in waiting:
                    connection.close()

    def _listen(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", self._port))
        self._port = self._listener.getsockname()[1]
        self._closing = False
        self._ear = threading.Thread(target=self._accept)
        self._ear.start()

    def _deafen(self) -> None:
        self._closing = True
        socket.create_connection(("127.0.0.1", self._port)).close()
        self._ear.join()
        self._listener.close()

    def _accept(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            if self._closing:
                connection.close()
                return
            self.connections += 1
            if self.tls:
                connection = self.tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
            self._open.append(connection)
            self._threads.append(threading.Thread(target=self._serve, args=(connection,)))
            self._threads[-1].start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, suppress(ConnectionError, ssl.SSLError):
            connection.sendall(self.greeting)
            peer = Peer(connection)
            while (seen := peer.read()) is not None:
                script = self.scripts[min(len(self.seen), len(self.scripts) - 1)]
                self.seen.append(seen)
                if isinstance(script, bytes):
                    return peer.send(script)
                if not script(peer):
                    return
