"""One client that has a process of its own on the daemon: what `aios.connect` talks to."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import anyio

from aios.boot import BootedKernel, check_root
from aios.frames import Frames
from aios.hosts.held import HeldBytes
from aios.hosts.session import Session
from aios.link.order import RunOrder
from aios.server.orders import open_order
from aios.server.sessions import SessionHost, SessionPort, client_process, without_time_limit
from aios_syscalls import AiosError
from aios_syscalls.base import MAX_CALL_BYTES


@dataclass(frozen=True, slots=True)
class OpenClient:
    """A client's process, and its way in."""

    pid: int
    port: SessionPort
    ended: anyio.Event
    """Set when the process has ended; `port.why` then tells by what."""


@asynccontextmanager
async def open_client(booted: BootedKernel, order: RunOrder, program: str) -> AsyncIterator[OpenClient]:
    """A run with one process, which is the client; leaving the context ends it. Raises NotFound for its root.

    A client that was killed stays here until it leaves: each of its calls is told why.
    """
    config, host = without_time_limit(order.configuration()), SessionHost()
    check_root(config.root)
    async with open_order(booted, order, config, host) as opened, client_process(opened.run, host, program) as session:
        yield OpenClient(session.pid, SessionPort(opened.run, session), session.ended)


async def serve_client(frames: Frames, order: RunOrder, program: str, booted: BootedKernel, held: HeldBytes) -> None:
    """Serve a client over its own connection until it hangs up."""
    # Not whole: a client that does not read what it is sent must not outlive the daemon's wish to end.
    frames.limit(MAX_CALL_BYTES + 1024, whole=False)
    async with open_client(booted, order, program) as client:
        await frames.send({"pid": client.pid})
        with suppress(anyio.EndOfStream, AiosError):
            await Session(frames, client.port, anyio.Event(), HeldBytes(within=held)).serve()
