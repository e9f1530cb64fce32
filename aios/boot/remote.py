"""A run on the daemon, whose programs and tools this process hosts."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
from pydantic_core import from_json

from aios.boot.resume import Durability
from aios.boot.run import check_root, protected, run_directory, run_fingerprint, tool_box
from aios.boot.walls import DryWall, agents_logs, wall_facts, walls
from aios.config import Config
from aios.cores.tool import serve_tool
from aios.frames import Frames, send_blocking
from aios.hosts import default_directories
from aios.hosts.process import LaunchedAgent, ProcessHost
from aios.link.greeting import greeted, greeting
from aios.link.order import RunOrder, kernel_part, run_part
from aios.link.peer import Peer, unknown
from aios.link.place import Place
from aios.record import Observer, event_from_object
from aios.tasks import background_tasks
from aios.tools.registry import ToolBox
from aios_syscalls import AiosError, Cancelled, NoKernel, R, Syscall
from aios_syscalls.errors import from_wire
from aios_syscalls.wire import call_from_object, call_to_object, outcome_to_json, reply_from_object

CLOSE_S = 60.0
"""For which the daemon may take to end a run."""


@dataclass(frozen=True, slots=True)
class DaemonRun:
    """A run on the daemon, as `BootedRun` is one on a kernel of its own."""

    id: str
    directory: Path
    journal: Path
    run: DaemonPort


class DaemonPort:
    """The way in of the run's user."""

    def __init__(self, daemon: Peer) -> None:
        self._daemon = daemon

    async def submit(self, call: Syscall[R]) -> R:
        """As `Port.submit`, without streamed text."""
        try:
            outcome = await self._daemon.ask({"call": call_to_object(call)})
        except Cancelled:
            if self._daemon.gone.is_set():
                raise NoKernel("the daemon has gone, and the run with it; see why: aios logs") from None
            raise
        return reply_from_object(call, {"ok": outcome})


@asynccontextmanager
async def run_on_daemon(
    config: Config,
    *,
    observers: Iterable[Observer] = (),
    directory: Path | None = None,
    dry_wall: DryWall | None = None,
    starting: Iterable[str] = (),
    place: Place | None = None,
    durable: Durability | None = None,
    **_options: Any,
) -> AsyncIterator[DaemonRun]:
    """A run on the daemon of this home, which ends when the context is left or the daemon goes.

    Raises NoKernel where none runs, and Conflict where its kernel is made otherwise than `config` says.
    """
    place = place or Place.of_home()
    place.check()
    directory = directory or run_directory(durable)
    box = tool_box(config, directory)
    check_root(config.root)
    directories = (*config.agents, *default_directories())
    hash_seed = durable.hash_seed if durable else None
    host = ProcessHost(agents_logs(directory), directories, walls(config, directory, dry_wall), hash_seed)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(host)
        facts = {
            "wall": wall_facts(config, host, dry_wall),
            "directory": os.getcwd(),
            "python": sys.executable,
            "fingerprint": await anyio.to_thread.run_sync(run_fingerprint, config, starting),
            **(durable.facts(config) if durable else {}),
        }
        order = RunOrder(
            id=directory.name,
            config=run_part(config, protected(config)),
            kernel=kernel_part(config),
            facts=facts,
            durable=durable is not None,
            resume=durable is not None and durable.resume is not None,
        )
        frames, _ = await greeted(place, "run", order=order.model_dump(mode="json"))
        await stack.enter_async_context(frames)
        hosting = _Hosting(frames, host, box, place, list(observers))
        tasks = await stack.enter_async_context(background_tasks())
        tasks.start_soon(hosting.serve)
        try:
            yield DaemonRun(directory.name, directory, await hosting.opened(), DaemonPort(hosting.daemon))
        finally:
            with anyio.move_on_after(CLOSE_S, shield=True), suppress(Cancelled):
                await hosting.daemon.ask({"close": True})
            hosting.stop()


@dataclass(slots=True)
class _Hosted:
    """A process that is hosted here; `end` and `ended` are for the task that keeps it."""

    agent: LaunchedAgent | None = None
    end: anyio.Event = field(default_factory=anyio.Event)
    ended: anyio.Event = field(default_factory=anyio.Event)


class _Hosting:
    """What this process does for its run: start its programs and end them, run its tools, hear what happens."""

    def __init__(
        self, frames: Frames, host: ProcessHost, box: ToolBox, place: Place, observers: list[Observer]
    ) -> None:
        self.daemon = Peer(frames, self._answer, self._told)
        self._host, self._box, self._place, self._observers = host, box, place, observers
        self._agents: dict[int, _Hosted] = {}
        self._begun = anyio.Event()
        self._serving = anyio.CancelScope(shield=True)
        self._journal: Path | None = None
        self._refused: AiosError | None = None

    async def serve(self) -> None:
        """Until the daemon hangs up, or `stop`: who is cancelled still needs its processes ended."""
        with self._serving:
            async with anyio.create_task_group() as self._tasks:
                await self.daemon.serve()
                self._begun.set()
                for hosted in self._agents.values():
                    hosted.end.set()

    def stop(self) -> None:
        """Serve no more."""
        self._serving.cancel()

    async def opened(self) -> Path:
        """The journal of the run, once it has begun. Raises what the daemon refuses it with."""
        await self._begun.wait()
        if self._refused is not None:
            raise self._refused
        if self._journal is None:
            raise NoKernel("the daemon has gone before the run began; see why: aios logs")
        return self._journal

    def _told(self, what: Any) -> None:
        match what:
            case {"event": list(values)}:
                event = event_from_object(values)
                for observe in self._observers:
                    observe(event)
            case {"opened": str(journal)}:
                self._journal = Path(journal)
                self._begun.set()
            case {"failed": dict(error)}:
                self._refused = from_wire(error)
                self._begun.set()
            case _:
                raise ValueError("the daemon said what it has nothing to say of")

    async def _answer(self, question: dict[str, Any]) -> Any:
        match question:
            case {"find": str(program)}:
                return await self._host.find(program)
            case {"start": int(pid), "program": str(program), "secret": str(secret)}:
                return await self._start(pid, program, secret)
            case {"leave": int(pid)}:
                return await self._agent(pid).leave()
            case {"exit_reason": int(pid)}:
                return await self._agent(pid).exit_reason()
            case {"end": int(pid)}:
                return await self._end(pid, at_once=question.get("at_once") is True)
            case {"tool": dict(call)}:
                return from_json(outcome_to_json(await serve_tool(self._box, call_from_object(call))))["ok"]
            case _:
                raise unknown(question)

    def _agent(self, pid: int) -> LaunchedAgent:
        hosted = self._agents.get(pid)
        if hosted is None or hosted.agent is None:
            raise Cancelled(f"process {pid} is not hosted here any more")
        return hosted.agent

    async def _start(self, pid: int, program: str, secret: str) -> Any:
        """Start a process whose channel goes to the daemon; what it is to be told first."""
        channel: socket.socket = await anyio.to_thread.run_sync(_channel, self._place, secret)
        hosted = self._agents[pid] = _Hosted()
        return await self._tasks.start(self._keep, pid, program, channel, hosted)

    async def _keep(self, pid: int, program: str, channel: socket.socket, hosted: _Hosted, *, task_status: Any) -> None:
        """Hold a process until it is to end."""
        try:
            async with (
                self._host.launched(program, pid, channel) as hosted.agent,
                anyio.create_task_group() as watching,
            ):
                task_status.started(hosted.agent.order)
                watching.start_soon(self._tell_exit, pid, hosted.agent)
                await hosted.end.wait()
                watching.cancel_scope.cancel()
        finally:
            hosted.ended.set()
            del self._agents[pid]

    async def _tell_exit(self, pid: int, agent: LaunchedAgent) -> None:
        await agent.exited.wait()
        with suppress(Cancelled):
            await self.daemon.tell({"exited": pid})

    async def _end(self, pid: int, *, at_once: bool) -> None:
        if hosted := self._agents.get(pid):
            if at_once and hosted.agent is not None:
                hosted.agent.grace_s = 0
            hosted.end.set()
            await hosted.ended.wait()


def _channel(place: Place, secret: str) -> socket.socket:
    """A connection that becomes a process's channel to the daemon. Raises NoKernel."""
    sock = place.dial()
    if sock is None:
        raise NoKernel("the daemon has gone; see why: aios logs")
    send_blocking(sock, greeting("process", secret=secret))
    return sock
