"""One run of a client that hosts its own programs: `aios run` on the daemon."""

from __future__ import annotations

import math
from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
from pydantic_core import from_json

from aios.boot import BootedKernel, Durability
from aios.frames import Frames
from aios.kernel import Run
from aios.link.order import RunOrder
from aios.link.peer import Peer, unknown
from aios.record import Event, event_to_object, runs
from aios.server.channels import Channels
from aios.server.hosted import ClientHost, ClientTools
from aios.server.orders import open_order
from aios.tasks import background_tasks
from aios_syscalls import AiosError, Cancelled, NotFound
from aios_syscalls.wire import call_from_object, outcome_to_json

GOODBYE_S = 2.0
"""For which a client may stay connected after the end of its run."""


class RunService:
    """Opens a client's run, serves what its user asks, and tells the client what happens; until either hangs up."""

    def __init__(self, frames: Frames, order: RunOrder, channels: Channels) -> None:
        self._order = order
        self._client = Peer(frames, self._answer, self._told)
        self._host, self._tools = ClientHost(self._client, channels), ClientTools(self._client)
        self._events, self._seen = anyio.create_memory_object_stream[Event](math.inf)
        self._run: Run | None = None
        self._over, self._closed = anyio.Event(), anyio.Event()
        self._listening = anyio.CancelScope(shield=True)

    async def serve(self, booted: BootedKernel) -> None:
        """Serve the run to its end."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._listen)
            try:
                await self._serve(booted)
            finally:
                self._events.close()
                self._seen.close()
                self._closed.set()
                with anyio.move_on_after(GOODBYE_S, shield=True):
                    await self._client.gone.wait()
                self._listening.cancel()

    async def _listen(self) -> None:
        """Hear the client, also while the run is being ended: its processes are the client's to end."""
        with self._listening:
            await self._client.serve()
            self._over.set()

    async def _serve(self, booted: BootedKernel) -> None:
        try:
            await self._hold(booted)
        except AiosError as error:
            with suppress(Cancelled):
                await self._client.tell({"failed": error.to_wire()})

    async def _hold(self, booted: BootedKernel) -> None:
        """The run, as long as its client wants it."""
        order, config = self._order, self._order.configuration()
        durable = await anyio.to_thread.run_sync(_durability, order, booted.journal) if order.durable else None
        opening = open_order(booted, order, config, self._host, self._tools, [self._events.send_nowait], durable)
        async with background_tasks() as tasks:
            async with opening as opened:
                self._run = opened.run
                tasks.start_soon(self._tell_events)
                await self._client.tell({"opened": str(opened.journal)})
                await self._over.wait()
            self._events.close()
        await booted.kernel.journal.sync()

    async def _answer(self, question: dict[str, Any]) -> Any:
        match question:
            case {"call": call} if self._run is not None:
                reply = await self._run.submit(call_from_object(call))
                return from_json(outcome_to_json(reply))["ok"]
            case {"close": True}:
                self._over.set()
                await self._closed.wait()
                return True
            case _:
                raise unknown(question)

    def _told(self, what: Any) -> None:
        match what:
            case {"exited": int(pid)}:
                self._host.exited(pid)
            case _:
                raise ValueError("the client said what it has nothing to say of")

    async def _tell_events(self) -> None:
        with suppress(Cancelled), self._seen:
            async for event in self._seen:
                await self._client.tell({"event": event_to_object(event)})


def _durability(order: RunOrder, journal: Path) -> Durability:
    """How a run is recorded. Raises NotFound where it is to go on, and is not on record."""
    if not order.resume:
        return Durability()
    found = next((run for run in runs(journal) if run.id == order.id), None)
    if found is None:
        raise NotFound(f"run {order.id} is not in the daemon's record {journal}; resume it with --embedded")
    return Durability(resume=found)
