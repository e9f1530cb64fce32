"""The process family, as methods of the process that a port is of."""

from __future__ import annotations

import os
import random
from datetime import UTC, datetime

from pydantic import JsonValue

from aios.sdk.graph import Graph
from aios_syscalls import (
    AgentFailed,
    BadRequest,
    Budget,
    Checkpoint,
    Kill,
    ListProcesses,
    Note,
    NotFound,
    ProcessInfo,
    ProcessState,
    Receive,
    ReceiveReply,
    Send,
    Spawn,
    Wait,
)
from aios_syscalls.errors import from_wire
from aios_syscalls.json_value import is_unicode
from aios_syscalls.port import Port


class ProcessCalls:
    """Children, messages, the process table, and graphs of calls; every method raises the ABI's errors."""

    def __init__(self, port: Port, pid: int) -> None:
        self.port, self.pid = port, pid

    def graph(self) -> Graph:
        """Calls that are written down first, on each other's answers, and submitted in one syscall."""
        return Graph(self.port)

    async def spawn(self, program: str, task: str = "", budget: Budget | None = None) -> int:
        """Start a program as a child; its pid. What it uses of `budget` is used of this process's as well."""
        return (
            await self.port.submit(Spawn(program=program, task=task, budget=Budget() if budget is None else budget))
        ).pid

    async def wait(self, pid: int) -> str:
        """A process's result, once it has ended. Raises AgentFailed when it failed or was killed."""
        process = (await self.port.submit(Wait(pid=pid))).process
        if process.state is ProcessState.DONE:
            return process.result or ""
        cause = from_wire(process.error or {})
        raise AgentFailed(f"process {pid} ({process.program}) {process.state}: {cause.message}", pid=pid)

    async def run(self, program: str, task: str = "", budget: Budget | None = None) -> str:
        """Spawn a program and wait for its result."""
        return await self.wait(await self.spawn(program, task, budget))

    async def kill(self, pid: int) -> tuple[int, ...]:
        """End a descendant and its children; the pids that ended."""
        return (await self.port.submit(Kill(pid=pid))).pids

    async def ps(self) -> tuple[ProcessInfo, ...]:
        """The process table."""
        return (await self.port.submit(ListProcesses())).processes

    async def left(self) -> Budget:
        """What there is for this process, by its own budget and those above it. Raises NotFound for the user."""
        for process in await self.ps():
            if process.pid == self.pid:
                return process.left
        raise NotFound(f"process {self.pid} is in no row of the process table; ask from within a program")

    async def send(self, to: int, body: str) -> None:
        """Put a message into a process's mailbox."""
        await self.port.submit(Send(to=to, body=body))

    async def receive(self, deadline_s: float | None = None) -> ReceiveReply:
        """The oldest message to this process, waited for; Expired after the deadline."""
        return await self.port.submit(Receive(deadline_s=deadline_s))

    async def note(self, value: JsonValue) -> JsonValue:
        """The value, put on record: a program that is resumed gets what it noted in its first life.

        For what a program would find otherwise each time: `await agent.note(uuid4().hex)`.
        """
        return (await self.port.submit(Note(value=value))).value

    async def now(self) -> datetime:
        """The time, in UTC; in a resumed program that of its first life."""
        return datetime.fromtimestamp(float(str(await self.note(datetime.now(UTC).timestamp()))), UTC)

    async def random(self) -> float:
        """A random number from 0 to below 1; in a resumed program that of its first life."""
        return float(str(await self.note(random.random())))

    async def env(self, name: str) -> str | None:
        """A variable of the process's environment; in a resumed program as it was in its first life."""
        if not isinstance(name, str) or not is_unicode(name):
            raise BadRequest("name is no text; give a variable's name", "name")
        found = await self.note(os.environ.get(name))
        return None if found is None else str(found)

    async def checkpoint(self, state: JsonValue) -> None:
        """Put the program's state on record; resumed, it starts with `agent.state` set to it, not from its beginning.

        Raises BadRequest while other calls of the program are under way.
        """
        await self.port.submit(Checkpoint(state=state))
