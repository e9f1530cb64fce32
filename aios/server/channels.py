"""The channels of processes that clients host: each proves by a secret, once, which process it is of."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio

from aios.frames import Frames
from aios_syscalls import Denied

ARRIVE_S = 60.0
"""For which a process that a client was told to start may take to connect."""


@dataclass(eq=False)
class Arrival:
    """A channel that is to come."""

    secret: str
    here: anyio.Event = field(default_factory=anyio.Event)
    done: anyio.Event = field(default_factory=anyio.Event)
    """Set when the channel is needed no more."""
    frames: Frames | None = None


class Channels:
    """Who waits for which channel."""

    def __init__(self) -> None:
        self._expected: dict[str, Arrival] = {}

    @asynccontextmanager
    async def expected(self) -> AsyncIterator[Arrival]:
        """A channel that may come while the context is open; its secret serves once."""
        arrival = Arrival(secrets.token_urlsafe(32))
        self._expected[arrival.secret] = arrival
        try:
            yield arrival
        finally:
            self._expected.pop(arrival.secret, None)
            arrival.done.set()

    async def arrive(self, secret: str, frames: Frames) -> None:
        """Hand a connection to who waits for it, until that needs it no more. Raises Denied for a wrong secret."""
        arrival = self._expected.pop(secret, None)
        if arrival is None:
            raise Denied("no process is waited for under this secret; it serves once")
        arrival.frames = frames
        arrival.here.set()
        await arrival.done.wait()
