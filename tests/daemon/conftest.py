"""A daemon in this process, whose model says what it is told, and clients that connect to its real socket."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from aios.config import Config, new_run_directory
from aios.frames import Frames
from aios.kernel import Kernel
from aios.link.control import ask_daemon
from aios.link.greeting import greeted
from aios.link.order import RunOrder, run_part
from aios.link.place import Place
from aios.models.scripted import ScriptedModel
from aios.sdk.socket_port import SocketPort
from aios.server.daemon import Daemon
from aios_syscalls import Chat, Message


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AIOS_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path / "home"


@dataclass
class ServedHome:
    """A daemon that serves, and what asks it."""

    daemon: Daemon
    place: Place
    model: ScriptedModel
    ended: anyio.Event

    @property
    def kernel(self) -> Kernel:
        """The daemon's own."""
        booted = self.daemon._booted
        assert booted is not None
        return booted.kernel

    async def ask(self, **question: Any) -> Any:
        return await ask_daemon(self.place, question)

    @asynccontextmanager
    async def client(self, root: Path, **order: Any) -> AsyncIterator[tuple[SocketPort, int, Frames]]:
        """A client with a process of its own: its port, its pid, its connection."""
        config = Config(root=root, limits={"agent_time_limit_s": 60})
        wanted = RunOrder(id=new_run_directory().name, config=run_part(config, []), **order)
        frames, _ = await greeted(self.place, "client", order=wanted.model_dump(mode="json"), program="tester")
        async with frames, anyio.create_task_group() as tasks:
            pid = (await frames.receive())["pid"]
            port = SocketPort(frames)
            tasks.start_soon(port.listen)
            yield port, pid, frames
            tasks.cancel_scope.cancel()


Serving = Callable[..., AbstractAsyncContextManager[ServedHome]]


@pytest.fixture
def serving() -> Serving:
    @asynccontextmanager
    async def serve(
        replies: Any = "fine",
        *,
        slots: int = 1,
        delay_s: float = 0.0,
        idle_s: float | None = None,
        model: ScriptedModel | None = None,
    ) -> AsyncIterator[ServedHome]:
        loads = model is not None
        model = model or ScriptedModel(replies, slots=slots, delay_s=delay_s)
        place, listening, ended = Place.of_home(), anyio.Event(), anyio.Event()
        daemon = Daemon(Config(), place, idle_s, models=_only(model))

        async def run() -> None:
            await daemon.serve(listening.set)
            ended.set()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run)
            await listening.wait()
            served = ServedHome(daemon, place, model, ended)
            while not loads and not (await served.ask(status=True))["ready"]:
                await anyio.lowlevel.checkpoint()
            yield served
            tasks.cancel_scope.cancel()

    return serve


def _only(model: ScriptedModel) -> Sequence[Any]:
    return [model]


@pytest.fixture
def chat() -> Callable[..., Chat]:
    def make(text: str = "hi", **fields: Any) -> Chat:
        return Chat(messages=(Message(role="user", content=text),), **{"max_tokens": 100_000, **fields})

    return make
