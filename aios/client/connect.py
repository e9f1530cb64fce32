"""`aios.connect`: an agent in any process, over the daemon's socket or its URL."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any

import anyio
import anyio.lowlevel

from aios.client.gone import daemon_gone, listening
from aios.client.http_port import connected_over_http
from aios.client.order import client_name, client_order
from aios.frames import Frames
from aios.link.greeting import greeted
from aios.link.place import Place
from aios.sdk import Agent
from aios.sdk.socket_port import SocketPort
from aios_syscalls import BadRequest, Budget, NoKernel, R, Syscall
from aios_syscalls.errors import from_wire
from aios_syscalls.port import Port, discard


@asynccontextmanager
async def connect(
    name: str | None = None,
    root: str | os.PathLike[str] | None = None,
    model: str | None = None,
    budget: Budget | None = None,
    priority: int = 0,
    url: str | None = None,
    token: str | None = None,
    deadline_s: float | None = None,
) -> AsyncIterator[Agent]:
    """An agent of the daemon of this home, or of the one at `url`: a process there, called `name`, while this is open.

    File calls are confined to `root`, the working directory where nothing else is said or configured; calls that name
    no model or priority have those given here; `budget` is for all calls together, and after `deadline_s` seconds the
    process ends. Raises NoKernel where no daemon runs, and Conflict for one of another version. Under `aios exec` it is
    a child of the command, at its URL. When the daemon goes, calls raise NoKernel; when the process was killed,
    Cancelled.
    """
    if url is None and (url := os.environ.get("AIOS_URL")):
        token = token or os.environ.get("AIOS_TOKEN")
    order = client_order(root, model, budget, priority, deadline_s)
    async with _connected(order, client_name(name), url, token) as (pid, port):
        yield Agent(ConnectedPort(port), pid)


def _connected(
    order: Any, name: str, url: str | None, token: str | None
) -> AbstractAsyncContextManager[tuple[int, Port]]:
    if url is None:
        return connected_over_socket(order, name, Place.of_home())
    if not token:
        raise BadRequest("a daemon's URL needs its token: aios.connect(url=..., token=...); see: aios token", "token")
    return connected_over_http(order, name, url, token)


class ConnectedPort:
    """A port that says so where it is used outside of the event loop and the process that it belongs to."""

    def __init__(self, port: Port) -> None:
        self._port = port
        self._process, self._loop = os.getpid(), anyio.lowlevel.current_token()

    async def submit(self, call: Syscall[R], emit: Callable[[str], None] = discard) -> R:
        check_process(self._process)
        if anyio.lowlevel.current_token() != self._loop:
            raise BadRequest("the agent belongs to another event loop; call aios.connect() in the one that uses it")
        return await self._port.submit(call, emit)


def check_process(owner: int) -> None:
    """Raises NoKernel in a child that was forked from the process which is connected."""
    if os.getpid() != owner:
        raise NoKernel(f"the connection is of process {owner}, which forked this one; call aios.connect() here again")


@asynccontextmanager
async def connected_over_socket(order: Any, name: str, place: Place) -> AsyncIterator[tuple[int, Port]]:
    """A process of the daemon at a place, and its port."""
    frames, _ = await greeted(place, "client", order=order, program=name)
    async with frames:
        pid = await _pid(frames)
        port = SocketPort(frames, daemon_gone)
        async with listening(_listen, port):
            yield pid, port


async def _pid(frames: Frames) -> int:
    try:
        answer = await frames.receive()
    except anyio.EndOfStream:
        raise daemon_gone() from None
    if "error" in answer:
        raise from_wire(answer["error"])
    return int(answer["pid"])


async def _listen(port: SocketPort) -> None:
    with suppress(ValueError, KeyError, anyio.DelimiterNotFound):  # a daemon that sends these has gone for its client
        await port.listen()
