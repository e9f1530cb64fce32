"""Agents as operating-system processes: a program that hangs, crashes or lies harms only itself."""

from __future__ import annotations

import os
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Self

import anyio
import anyio.to_thread

from aios.dumpable import set_dumpable
from aios.hosts import program as programs
from aios.hosts.held import HeldBytes
from aios.hosts.serve import agent_frames, serve_agent
from aios.hosts.zygote_client import Child, ZygoteClient, ZygoteDied, how_it_ended
from aios.tasks import background_tasks
from aios.wall import Level, Wall, Walls, homes, make_scratch, namespaces_available, remove_scratch, rung
from aios_syscalls import AgentFailed, Overloaded
from aios_syscalls.port import ProcessPort

LEAVE_S = 5.0
"""For which a process may go on after its result: its `atexit` handlers and its threads come to their ends."""
GRACE_S = 1.0
"""For which a process that is cancelled may run its `finally` blocks before it is killed."""
EXIT_S = 1.0
"""For which a process that has closed its channel may live on before it is ended."""
ATTEMPTS = 3
"""To start an agent, each with a zygote of its own."""


class ProcessHost(anyio.AsyncContextManagerMixin):
    """Runs each agent in a process forked by a zygote, over a socket that is its identity and its only channel.

    What agents print goes to `<logs>/<pid>.log`. A zygote that dies takes its agents along; the next agent gets
    another one. Around each there is a wall as `walls` say, which is the strictest if they say nothing. With a
    `hash_seed` their sets and dictionaries have the same order in each run.
    """

    def __init__(
        self,
        logs: Path,
        directories: Sequence[Path] = (),
        walls: Walls = Walls(),  # noqa: B008 - frozen
        hash_seed: int | None = None,
    ) -> None:
        self._logs = logs
        self._hash_seed = hash_seed
        self._walls = walls
        self.rung = rung()
        """How much of a wall this machine can put up."""
        self.namespaces = False
        """Whether there is a second wall, once the host has been entered."""
        self._zygotes: dict[bool, ZygoteClient] = {}
        """By whether their agents are in namespaces of their own."""
        self._directories = directories or programs.default_directories()
        self._held = HeldBytes.of_all()

    async def find(self, program: str) -> str:
        try:
            return programs.program_name(program, self._directories)
        except OSError as error:
            raise _too_many_open(error) from None

    async def run(self, program: str, task: str, port: ProcessPort, pid: int) -> str:
        ours, theirs = _channel()
        async with agent_frames(ours) as frames, self.launched(program, pid, theirs) as agent:
            return await serve_agent(agent, task, frames, port, self._held)

    @asynccontextmanager
    async def launched(self, program: str, pid: int, channel: socket.socket) -> AsyncIterator[LaunchedAgent]:
        """A program in a process that has `channel` as its only one, which it takes over; leaving the context ends it.

        Raises AgentFailed, and Overloaded where the system refuses a process.
        """
        path, log = programs.find_program(program, self._directories), self._logs / f"{pid}.log"
        level = self._walls.level_of(programs.program_name(program, self._directories), path, self.rung)
        real, notes = _without_links(path), str(noted_in(self._logs, pid)) if self._walls.dry else ""
        async with self._room(pid) as room:
            zygote, child = await self._start(channel, log, Wall(level, real, str(room), self._closed, notes))
            agent = LaunchedAgent(program, {"name": path.stem, "program": real, "pid": pid}, log, zygote, child)
            try:
                yield agent
            finally:
                with anyio.CancelScope(shield=True):
                    await zygote.end(child, 0, agent.grace_s)

    @asynccontextmanager
    async def __asynccontextmanager__(self) -> AsyncGenerator[Self]:
        self._logs.mkdir(parents=True, exist_ok=True, mode=0o700)
        # The kernel has keys, and the channel of every agent.
        was_dumpable = set_dumpable(False)
        self._scratch = make_scratch()
        # That of agents too: it lies where TMPDIR is, which may be beside a program.
        closed = (*self._walls.closed, self._logs, self._scratch, *homes())
        self._closed = tuple(str(path.absolute()) for path in closed)
        self._renewing = anyio.Lock()
        try:
            async with background_tasks() as self._tasks:
                self.namespaces = await anyio.to_thread.run_sync(namespaces_available)
                try:
                    await self._living(self._is_apart(self._walls.level or "auto"))
                    yield self
                finally:
                    for zygote in self._zygotes.values():
                        zygote.stop()
        finally:
            set_dumpable(was_dumpable)
            await anyio.to_thread.run_sync(remove_scratch, self._scratch)

    @asynccontextmanager
    async def _room(self, pid: int) -> AsyncIterator[Path]:
        """A directory of one agent's own, which is gone with it."""
        room = self._scratch / str(pid)
        room.mkdir(mode=0o700, exist_ok=True)
        try:
            yield room
        finally:
            try:
                room.rmdir()  # as most are left
            except OSError:
                with anyio.CancelScope(shield=True):
                    await anyio.to_thread.run_sync(remove_scratch, room)

    def _is_apart(self, level: Level) -> bool:
        return self.namespaces and level != "off"

    async def _start(self, channel: socket.socket, log: Path, wall: Wall) -> tuple[ZygoteClient, Child]:
        """A new agent's process. Raises AgentFailed, and Overloaded where the system refuses one."""
        with channel:
            for _ in range(ATTEMPTS):
                zygote = await self._living(self._is_apart(wall.level))
                with suppress(ZygoteDied), anyio.CancelScope(shield=True):
                    return zygote, await zygote.start(channel, log, wall)
                await zygote.buried.wait()
        raise AgentFailed(f"the process that starts agents died {ATTEMPTS} times, {zygote.how_it_died()}; try again")

    async def _living(self, apart: bool) -> ZygoteClient:
        """The zygote of one kind, or a new one where that has died or was not needed yet."""
        async with self._renewing:
            zygote = self._zygotes.get(apart)
            if zygote is None or zygote.buried.is_set():
                zygote = self._zygotes[apart] = await ZygoteClient.spawn(
                    self._scratch, apart=apart, hash_seed=self._hash_seed
                )
                self._tasks.start_soon(zygote.listen)
            return zygote


class LaunchedAgent:
    """A program that runs in a process; see `serve_agent`."""

    def __init__(self, program: str, order: dict[str, Any], log: Path, zygote: ZygoteClient, child: Child) -> None:
        self.program, self.order = program, order
        self.exited = child.exited
        self.grace_s = GRACE_S
        """For which it may run its `finally` blocks when it is ended."""
        self._log, self._zygote, self._child = log, zygote, child

    async def leave(self) -> None:
        await self._zygote.end(self._child, LEAVE_S, GRACE_S)

    async def exit_reason(self) -> str:
        return f"{await _how(self._zygote, self._child)}; what it printed is in {self._log}"


def noted_in(logs: Path, pid: int) -> Path:
    """Where there is noted what the wall of a process would have refused."""
    return logs / f"{pid}.wall"


def _without_links(path: Path) -> str:
    return os.path.realpath(path)


def _channel() -> tuple[socket.socket, socket.socket]:
    """The two ends of an agent's channel. Raises Overloaded where the system has no more descriptors for us."""
    try:
        return socket.socketpair()
    except OSError as error:
        raise _too_many_open(error) from None


def _too_many_open(error: OSError) -> Overloaded:
    return Overloaded(
        f"the system opens nothing more for another agent ({error.strerror}); wait until some have ended, or raise the "
        "limit of open files: ulimit -n"
    )


async def _how(zygote: ZygoteClient, child: Child) -> str:
    """How a process ended that had sent no result."""
    with anyio.move_on_after(EXIT_S):
        await child.exited.wait()
    if not child.exited.is_set():
        return "closed its channel to the kernel before it had a result"
    if child.status is None:
        return (
            f"was lost: the process that starts agents {zygote.how_it_died()}, and every agent ended with it; "
            "the next one gets another, so run it again"
        )
    return f"{how_it_ended(child.status)} before it had a result"
