"""`aios.connect`: an agent in any process, on the daemon of this home or at a URL."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from functools import wraps
from inspect import isasyncgenfunction
from pathlib import Path
from typing import Any, Self

import anyio
from anyio.from_thread import BlockingPortal, start_blocking_portal

from aios.config import Config, new_run_directory
from aios.link.greeting import greeted
from aios.link.http_port import http_port
from aios.link.order import RunOrder, run_part
from aios.link.place import Place
from aios.sdk import Agent
from aios.sdk.socket_port import SocketPort
from aios.sdk.stream import Stream
from aios.tasks import background_tasks
from aios_syscalls import Budget, NoKernel
from aios_syscalls.errors import from_wire

UNLIMITED = Budget()


@asynccontextmanager
async def connect(
    name: str = "client",
    *,
    root: Path | str | None = None,
    model: str | None = None,
    budget: Budget = UNLIMITED,
    priority: int = 0,
    url: str | None = None,
    token: str | None = None,
) -> AsyncIterator[Agent]:
    """An agent that is a process of the daemon's kernel as long as the context is open.

    Its files are those below `root`, by default the working directory; calls that name no model go to `model`.
    With a `url`, or under `aios exec`, it comes in over HTTP with a `token`, and what it has then is the token's: of
    these, root, model, budget and priority are not asked for. Raises NoKernel where no daemon runs: `aios up`.
    """
    url = url or os.environ.get("AIOS_URL")
    if url:
        async with http_port(url, token or os.environ.get("AIOS_TOKEN", ""), name) as (port, pid):
            yield Agent(port, pid)
        return
    config = Config(root=Path(root or "."), model=model, budget=budget)
    order = RunOrder(
        id=new_run_directory().name, config=run_part(config, []), facts={"directory": os.getcwd()}, priority=priority
    )
    async with _over_socket(order, name) as agent:
        yield agent


@asynccontextmanager
async def _over_socket(order: RunOrder, name: str) -> AsyncIterator[Agent]:
    frames, _ = await greeted(Place.of_home(), "client", order=order.model_dump(mode="json"), program=name)
    async with frames, background_tasks() as tasks:
        try:
            said = await frames.receive()
        except anyio.EndOfStream:
            raise NoKernel("the daemon hung up; see why: aios logs") from None
        if "error" in said:
            raise from_wire(said["error"])
        port = SocketPort(frames)
        tasks.start_soon(port.listen)
        try:
            yield Agent(port, said["pid"])
        finally:
            tasks.cancel_scope.cancel()


class SyncAgent:
    """An `Agent` whose methods block: for notebooks and scripts. Use as a context manager, or call `close`.

    Every method of `Agent` is one of this, with the same arguments; `stream` gives an iterator of texts. The event loop
    runs in a thread of its own, so it works where the calling thread has one already.
    """

    def __init__(self, opening: Callable[[], Any]) -> None:
        self._portal_context = start_blocking_portal("asyncio")
        self._portal: BlockingPortal = self._portal_context.__enter__()
        try:
            self._opened: AbstractContextManager[Agent] = self._portal.wrap_async_context_manager(opening())
            self._agent = self._opened.__enter__()
        except BaseException:
            self._portal_context.__exit__(None, None, None)
            raise
        self._closed = False

    @property
    def pid(self) -> int:
        """The process that this is."""
        return self._agent.pid

    @contextmanager
    def stream(self, prompt: Any, **options: Any) -> Iterator[Iterator[str]]:
        """An answer piece by piece: `with agent.stream("...") as pieces: for piece in pieces: ...`."""
        with self._portal.wrap_async_context_manager(self._agent.stream(prompt, **options)) as stream:
            yield self._pieces(stream)

    def close(self) -> None:
        """Leave the kernel; what is under way is cancelled."""
        if not self._closed:
            self._closed = True
            try:
                self._opened.__exit__(None, None, None)
            finally:
                self._portal_context.__exit__(None, None, None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._agent, name)
        if name.startswith("_") or not callable(found) or isasyncgenfunction(found):
            raise AttributeError(f"a connection that blocks has no {name}; use aios.connect()")

        @wraps(found)
        def call(*arguments: Any, **options: Any) -> Any:
            async def run() -> Any:
                result = found(*arguments, **options)
                return await result if hasattr(result, "__await__") else result

            future = self._portal.start_task_soon(run)
            try:
                return future.result()
            except BaseException:
                future.cancel()  # Ctrl-C, say: the call ends with it
                raise

        return call

    def _pieces(self, stream: Stream) -> Iterator[str]:
        while True:
            try:
                yield self._portal.call(stream.__anext__)
            except StopAsyncIteration:
                return


def connect_sync(name: str = "client", **options: Any) -> SyncAgent:
    """As `connect`, for code without an event loop: `with aios.connect_sync() as agent: agent.ask("...")`."""
    return SyncAgent(lambda: connect(name, **options))
