"""Processes whose programs run elsewhere: clients of the daemon, each of which is one process of a run."""

from __future__ import annotations

import math
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio

from aios.config import Config
from aios.kernel import UNLIMITED, USER, Run
from aios_syscalls import AiosError, Budget, Cancelled, Denied, R, Spawn, Syscall
from aios_syscalls.port import Port, discard


@dataclass(eq=False)
class ClientSession:
    """One client's process, as long as the client is there."""

    pid: int
    left: anyio.Event = field(default_factory=anyio.Event)
    """Set when the client has left of itself."""
    ended: anyio.Event = field(default_factory=anyio.Event)
    """Set when the process has ended, be it that it was killed."""
    under_way: set[anyio.CancelScope] = field(default_factory=set)
    """Its calls, which are cancelled when the process has ended."""

    @property
    def killed(self) -> bool:
        """Whether somebody else has ended it."""
        return self.ended.is_set() and not self.left.is_set()

    def end(self) -> None:
        """Note that the process has ended, and cancel what it has under way."""
        self.ended.set()
        for scope in self.under_way:
            scope.cancel()


class SessionPort:
    """A client's way in. What it has under way when its process ends, ends with why: "killed by process 0", say."""

    def __init__(self, run: Run, session: ClientSession) -> None:
        self._run, self._session = run, session

    async def submit(self, call: Syscall[R], emit: Callable[[str], None] = discard) -> R:
        with anyio.CancelScope() as scope:
            self._session.under_way.add(scope)
            try:
                return await self._run.submit(call, emit, pid=self._session.pid)
            finally:
                self._session.under_way.discard(scope)
        raise self.why()

    def why(self) -> AiosError:
        """What has ended the process."""
        try:
            self._run.processes.alive(self._session.pid)
        except AiosError as error:
            return error
        return Cancelled("the client has left")


class SessionHost:
    """The host of a run whose programs are clients: nothing is started, each is there already."""

    def __init__(self) -> None:
        self._sessions: dict[int, ClientSession] = {}
        self._expected: dict[str, str] = {}

    def expect(self, program: str) -> str:
        """The name, of use once, under which a client is started as `program`."""
        name = secrets.token_urlsafe(16)
        self._expected[name] = program
        return name

    async def find(self, program: str) -> str:
        if (client := self._expected.pop(program, None)) is not None:
            return client
        raise Denied(
            f"{program[:80]} cannot be started from here: a connected client is a process, but programs run where "
            "`aios run` hosts them; start it with: aios run"
        )

    async def run(self, program: str, task: str, port: Port, pid: int) -> str:  # noqa: ARG002 - as `Host` has it
        session = self.session(pid)
        try:
            await session.left.wait()
        finally:
            session.end()
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
    run: Run, host: SessionHost, program: str, task: str = "", parent: int = USER, budget: Budget = UNLIMITED
) -> AsyncIterator[ClientSession]:
    """A client as a process of a run, which ends when the context is left. Raises Overloaded."""
    spawned = await run.submit(Spawn(program=host.expect(program), task=task, budget=budget), pid=parent)
    session = host.session(spawned.pid)
    try:
        yield session
    finally:
        session.left.set()
        with anyio.CancelScope(shield=True):
            await session.ended.wait()
