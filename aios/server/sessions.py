"""Processes whose programs run elsewhere: clients of the daemon, each of which is one process of a run."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio

from aios.config import Config
from aios.kernel import USER, Run
from aios_syscalls import Spawn
from aios_syscalls.port import Port


@dataclass(eq=False)
class ClientSession:
    """One client's process, as long as the client is there."""

    pid: int
    left: anyio.Event = field(default_factory=anyio.Event)
    """Set when the client has left of itself."""
    ended: anyio.Event = field(default_factory=anyio.Event)
    """Set when the process has ended, be it that it was killed."""

    @property
    def killed(self) -> bool:
        """Whether somebody else has ended it."""
        return self.ended.is_set() and not self.left.is_set()


class SessionHost:
    """The host of a run whose programs are clients: nothing is started, each is there already."""

    def __init__(self) -> None:
        self._sessions: dict[int, ClientSession] = {}

    async def find(self, program: str) -> str:
        return program

    async def run(self, program: str, task: str, port: Port, pid: int) -> str:  # noqa: ARG002 - as `Host` has it
        session = self.session(pid)
        try:
            await session.left.wait()
        finally:
            session.ended.set()
            self._sessions.pop(pid, None)
        return ""

    def session(self, pid: int) -> ClientSession:
        """That of a process which has been started."""
        return self._sessions.setdefault(pid, ClientSession(pid))


def without_time_limit(config: Config) -> Config:
    """A run's configuration for processes that are clients: they end when they leave."""
    return config.model_copy(update={"limits": config.limits.model_copy(update={"agent_time_limit_s": math.inf})})


@asynccontextmanager
async def client_process(
    run: Run, host: SessionHost, program: str, task: str = "", parent: int = USER
) -> AsyncIterator[ClientSession]:
    """A client as a process of a run, which ends when the context is left. Raises Overloaded."""
    session = host.session((await run.submit(Spawn(program=program, task=task), pid=parent)).pid)
    try:
        yield session
    finally:
        session.left.set()
        with anyio.CancelScope(shield=True):
            await session.ended.wait()
