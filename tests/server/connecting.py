"""A daemon over a scripted model, for tests of its clients."""

from __future__ import annotations

import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any

import anyio
import anyio.to_thread
import uvicorn
from anyio.from_thread import BlockingPortal, start_blocking_portal

from aios.boot import BootedKernel, boot_kernel
from aios.config import Config
from aios.context import Snapshot
from aios.link.greeting import greeted
from aios.link.order import RunOrder
from aios.link.peer import Peer
from aios.link.place import Place
from aios.models.base import NOBODY, Caller, Emit
from aios.models.scripted import ScriptedModel
from aios.server.client_service import open_client
from aios.server.daemon import Daemon
from aios.server.http_calls import make_calls_app
from aios_syscalls import BadRequest, Chat, ChatReply, Kill, NoKernel

TOKENS = {"token-of-ann": "ann", "token-of-bob": "bob"}
LONG = 100_000
"""Tokens that may be in an answer to "for ever"."""


class TellingModel(ScriptedModel):
    """Says what it was told, or goes on for ever; tells whether it runs."""

    def __init__(self, reply: Callable[[Chat], str] | None = None) -> None:
        super().__init__(reply or _reply, delay_s=0.001)
        self.running = 0
        self.busy, self.idle = threading.Event(), threading.Event()
        self.idle.set()

    async def generate(
        self, chat: Chat, snapshot: Snapshot | None, budget: int | None, emit: Emit, caller: Caller = NOBODY
    ) -> ChatReply | Snapshot:
        self.running += 1
        self.idle.clear()
        self.busy.set()
        try:
            return await super().generate(chat, snapshot, None, emit, caller)
        finally:
            self.running -= 1
            if not self.running:
                self.busy.clear()
                self.idle.set()


def _reply(chat: Chat) -> str:
    said = chat.messages[-1].content
    return "tick " * 100_000 if said == "for ever" else f"you said {said}"


async def happens(event: threading.Event) -> None:
    """Wait for what another thread may tell."""
    assert await anyio.to_thread.run_sync(event.wait, 20)


@asynccontextmanager
async def daemon_here(model: ScriptedModel) -> AsyncIterator[Daemon]:
    """A daemon of this home in this event loop."""
    daemon, listening = Daemon(Config(), Place.of_home(), models=[model]), anyio.Event()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(daemon.serve, listening.set)
        await listening.wait()
        try:
            yield daemon
        finally:
            with suppress(NoKernel):  # a test may have ended it
                await control({"stop": True})


async def control(question: dict[str, Any]) -> Any:
    """What the daemon answers to a question of the command line's."""
    frames, _ = await greeted(Place.of_home(), "control")
    peer = Peer(frames, _no_answer)
    async with frames, anyio.create_task_group() as tasks:
        tasks.start_soon(peer.serve)
        answer = await peer.ask(question)
        tasks.cancel_scope.cancel()
    return answer


async def _no_answer(_question: dict[str, Any]) -> Any:
    raise BadRequest("nothing is asked of who asks")


class HttpDaemon:
    """A kernel behind HTTP, in a thread with an event loop of its own."""

    def __init__(self, portal: BlockingPortal, booted: BootedKernel, server: uvicorn.Server, url: str) -> None:
        self.url = url
        self._portal, self._booted, self._server = portal, booted, server

    def kill(self, pid: int) -> None:
        self._portal.call(self._kill, pid)

    async def _kill(self, pid: int) -> None:
        run = self._booted.kernel.run_of(pid)
        assert run is not None
        await run.submit(Kill(pid=pid))

    def runs(self) -> int:
        return len(self._booted.kernel.runs)

    def end(self) -> None:
        """Hang up on everybody."""
        self._server.should_exit = self._server.force_exit = True
        self._portal.call(self._hang_up)

    async def _hang_up(self) -> None:
        for connection in list(self._server.server_state.connections):
            connection.transport.abort()


@contextmanager
def daemon_over_http(model: ScriptedModel) -> Iterator[HttpDaemon]:
    with start_blocking_portal("asyncio") as portal:
        with portal.wrap_async_context_manager(_served(model, portal)) as daemon:
            yield daemon


@asynccontextmanager
async def _served(model: ScriptedModel, portal: BlockingPortal) -> AsyncIterator[HttpDaemon]:
    def opening(_principal: str, order: RunOrder, program: str) -> Any:
        return open_client(booted, order, program)

    with socket.create_server(("127.0.0.1", 0)) as sock:
        async with boot_kernel(Config(), models=[model]) as booted, anyio.create_task_group() as tasks:
            app = make_calls_app(TOKENS.get, opening)
            server = uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="off", ws="none"))
            tasks.start_soon(server.serve, [sock])
            try:
                yield HttpDaemon(portal, booted, server, f"http://127.0.0.1:{sock.getsockname()[1]}")
            finally:
                server.should_exit = True
