"""The HTTP application over a real kernel whose model is scripted."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
import httpx2
import pytest

from aios.cores.chat_meter import ChatMeter
from aios.cores.llm import LlmCore
from aios.hosts.task import TaskHost
from aios.kernel import Lane, Run, by_family, lone_run
from aios.models.scripted import Script, ScriptedModel
from aios.record import Event, MemoryJournal
from aios.scheduler import Fifo
from aios.server.door import ClientKey, ModelInfo, ModelKind, Principal
from aios.server.http import HttpSettings, make_app
from aios_syscalls import AiosError, Chat, Embed, EmbedReply, Syscall, Usage
from aios_syscalls.base import R
from aios_syscalls.port import Port, discard

TOKEN = "the-token"
VECTOR = (0.6, 0.8, 0.0)
SCRIPTED = ModelInfo("scripted")
EMBEDDER = ModelInfo("vectors", "embed", 512)


class ScriptedPort:
    """A port of a kernel; texts are embedded here, since a scripted model makes no vectors."""

    def __init__(self, port: Port, door: ScriptedDoor) -> None:
        self._port, self._door = port, door

    def next_call(self) -> str:
        return f"0.{self._door.kernel.processes.alive(0).submitted + 1}"

    def refusal(self, call: Chat | Embed) -> AiosError | None:
        return self._door.refuses

    async def submit(self, call: Syscall[R], emit: Callable[[str], None] = discard) -> R:
        if isinstance(call, Embed):
            vectors = tuple(VECTOR for _ in call.texts)
            reply = EmbedReply(vectors=vectors, dimension=3, model="vectors", usage=Usage(prompt_tokens=len(vectors)))
            return reply  # type: ignore[return-value]
        return await self._port.submit(call, emit)


@dataclass
class ScriptedDoor:
    """A door that two tokens open; what it answers beside the kernel is set by the test."""

    kernel: Run
    model_info: ModelInfo = SCRIPTED
    refuses: AiosError | None = None
    fails: AiosError | None = None
    tokens: int | None = None
    clients: list[tuple[Principal, ClientKey]] = field(default_factory=list)

    def admit(self, secret: str) -> Principal | None:
        return {TOKEN: Principal("alice"), "other-token": Principal("bob")}.get(secret)

    def models(self) -> Sequence[ModelInfo]:
        return (self.model_info, EMBEDDER)

    def resolve(self, model: str, kind: ModelKind) -> ModelInfo | None:
        if kind == "embed":
            return EMBEDDER
        return None if model == "routed" else self.model_info

    async def caller(self, principal: Principal, client: ClientKey) -> ScriptedPort:
        self.clients.append((principal, client))
        if self.fails is not None:
            raise self.fails
        return ScriptedPort(self.kernel.port(0), self)

    async def count_tokens(self, chat: Chat) -> int | None:
        return self.tokens


@dataclass
class Served:
    """An application, its client, and what is behind it."""

    client: httpx2.AsyncClient
    app: Any
    door: ScriptedDoor
    model: ScriptedModel
    lane: Lane
    events: list[Event]

    async def post(self, path: str, body: Any, **headers: str) -> httpx2.Response:
        return await self.client.post(path, json=body, headers=headers)


Serve = Callable[..., AbstractAsyncContextManager[Served]]


@pytest.fixture
def serve() -> Serve:
    @asynccontextmanager
    async def open_app(
        replies: Script | Iterable[Script] | ScriptedModel = "pong",
        settings: HttpSettings | None = None,
        **of_door: Any,
    ) -> AsyncIterator[Served]:
        model = replies if isinstance(replies, ScriptedModel) else ScriptedModel(replies)
        journal = MemoryJournal()
        lane = Lane("llm", LlmCore(model), Fifo(), model.slots, meter=ChatMeter())
        async with lone_run([lane], by_family, TaskHost(), journal) as kernel:
            door = ScriptedDoor(kernel, **of_door)
            app = make_app(door, settings)
            transport = httpx2.ASGITransport(app)
            headers = {"Authorization": f"Bearer {TOKEN}"}
            async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1", headers=headers) as client:
                yield Served(client, app, door, model, lane, journal.events)

    return open_app


class LiveRequest:
    """A request to an ASGI application whose client reads as it comes, and may leave."""

    def __init__(self, app: Any, path: str, body: bytes, **more: str) -> None:
        self._app = app
        headers = {"host": "127.0.0.1", "authorization": f"Bearer {TOKEN}", "content-type": "application/json", **more}
        self._scope = {
            "type": "http",
            "http_version": "1.1",
            "method": "POST",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        }
        self._body: bytes | None = body
        self._left = anyio.Event()
        self.status = 0
        self.headers: dict[str, str] = {}
        self.sent = b""
        self.complete = False
        self.news = anyio.Event()

    async def run(self) -> None:
        """Send the request; returns when the application has nothing more to say."""
        await self._app(self._scope, self._receive, self._send)

    def leave(self) -> None:
        """Close the connection."""
        self._left.set()

    async def until(self, true: Callable[[], bool]) -> None:
        """Wait until what was sent is so."""
        while not true():
            self.news = anyio.Event()
            await self.news.wait()

    async def _receive(self) -> dict[str, Any]:
        if self._body is not None:
            body, self._body = self._body, None
            return {"type": "http.request", "body": body, "more_body": False}
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, event: dict[str, Any]) -> None:
        await anyio.lowlevel.checkpoint()
        if event["type"] == "http.response.start":
            self.status = event["status"]
            self.headers = {name.decode(): value.decode() for name, value in event["headers"]}
        else:
            self.sent += event["body"]
            self.complete = not event.get("more_body", False)
        self.news.set()


@pytest.fixture
def anyio_backend() -> str:
    """The server is asyncio's."""
    return "asyncio"
