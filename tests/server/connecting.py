"""A daemon over a scripted model, for tests of its clients."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import anyio
import uvicorn
from anyio.from_thread import start_blocking_portal

from aios.boot import BootedKernel
from aios.config import Config
from aios.link.greeting import greeted
from aios.link.peer import Peer
from aios.link.place import Place
from aios.models.scripted import Script, ScriptedModel
from aios.server.client_service import open_client
from aios.server.daemon import Daemon
from aios.server.http_calls import make_calls_app
from aios_syscalls import BadRequest, Chat
from aios_syscalls.base import MAX_CALL_BYTES

TOKEN = "the user's"


class Gate:
    """A model that answers "slow" when it is let; what it says before tells that the call runs."""

    def __init__(self) -> None:
        self.model = ScriptedModel(self._reply, delay_s=0.001)

    def _reply(self, chat: Chat) -> str:
        return "tick " * 100_000 if chat.messages[-1].content == "for ever" else f"you said {chat.messages[-1].content}"


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
