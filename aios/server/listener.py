"""The HTTP side of the daemon: a port of the loopback interface, opened when somebody needs it."""

from __future__ import annotations

import ipaddress
import logging
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from anyio.abc import TaskGroup

from aios.server.joined_writes import JoiningProtocol
from aios_syscalls import BadRequest, StorageFailed

MAX_HEADERS = 64 * 1024


class HttpListener(uvicorn.Server):
    """uvicorn, whose end is the daemon's to choose."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class _OnlyTroubles(logging.Filter):
    """Keeps what an operator would want to know: not that it started, nor that an answer was broken off on purpose."""

    def filter(self, record: logging.LogRecord) -> bool:
        return record.levelno >= logging.WARNING and "without completing response" not in record.getMessage()


def bind(host: str, port: int) -> socket.socket:
    """A socket on a loopback address. Raises BadRequest for another address, StorageFailed where it is taken."""
    try:
        address = ipaddress.ip_address("127.0.0.1" if host == "localhost" else host)
    except ValueError:
        raise BadRequest(f"{host!r} is no address; give 127.0.0.1:PORT", "tcp") from None
    if not address.is_loopback:
        raise BadRequest(
            f"{host} is no loopback address, and the daemon serves this machine only; give 127.0.0.1", "tcp"
        )
    family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
    # Named as TCP, or asyncio would not send at once what is small: each answer would wait 40 ms for the client.
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((str(address), port))
    except OSError as error:
        sock.close()
        raise StorageFailed(f"port {port} of {address} cannot be had: {error.strerror}; give another one") from None
    sock.listen(1024)
    return sock


def url_of(sock: socket.socket) -> str:
    """Where clients find it."""
    host, port = sock.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def start(app: Callable[..., Any], sock: socket.socket, tasks: TaskGroup) -> None:
    """Serve an application on a socket, in `tasks`."""
    config = uvicorn.Config(
        app,
        http=JoiningProtocol,
        lifespan="off",
        log_config=None,
        access_log=False,  # paths may hold the token
        server_header=False,
        proxy_headers=False,
        h11_max_incomplete_event_size=MAX_HEADERS,
        timeout_keep_alive=75,
    )
    logging.getLogger("uvicorn.error").addFilter(_OnlyTroubles())
    tasks.start_soon(_serve, HttpListener(config), sock)


async def _serve(listener: HttpListener, sock: socket.socket) -> None:
    with sock:
        await listener.serve([sock])
