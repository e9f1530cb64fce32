"""The processes of clients that come over HTTP: one a session, in one run for each principal."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio
from anyio.abc import TaskGroup, TaskStatus

from aios.boot import BootedKernel, open_run, tool_box
from aios.config import Config, new_run_directory
from aios.cores.tool import ToolCore
from aios.kernel import USER, Run
from aios.server.door import ClientKey, ModelInfo, Principal
from aios.server.sessions import ClientSession, SessionHost, client_process, without_time_limit
from aios.server.tokens import Tokens
from aios_syscalls import AiosError, Cancelled, Chat, Overloaded, R, Syscall
from aios_syscalls.port import Port, discard

IDLE_S = 30 * 60.0
"""After its last call, for which a session's process lives on."""
KILLED_S = 60 * 60.0
"""For which a session that was killed is told so."""
MAX_SESSIONS = 64
"""Living ones of one token."""


@dataclass(eq=False)
class _Member:
    """A session of a principal's."""

    session: ClientSession
    last_call: float
    under_way: int = 0


@dataclass(eq=False)
class _Membership:
    """A principal's run, and its sessions."""

    run: Run
    host: SessionHost
    parent: int
    tasks: TaskGroup
    opening: anyio.Lock = field(default_factory=anyio.Lock)
    members: dict[ClientKey, _Member] = field(default_factory=dict)
    killed: dict[ClientKey, float] = field(default_factory=dict)
    """When sessions were that somebody has killed."""


class Callers:
    """Gives each session its process; see `Door`. `tasks` hold the runs of principals that have none yet."""

    def __init__(self, booted: BootedKernel, config: Config, tokens: Tokens, tasks: TaskGroup) -> None:
        self._booted, self._config, self._tokens, self._tasks = booted, config, tokens, tasks
        self._memberships: dict[str, _Membership] = {}
        self._opening = anyio.Lock()

    def admit(self, secret: str) -> Principal | None:
        return self._tokens.admit(secret)

    def models(self) -> Sequence[ModelInfo]:
        return [ModelInfo(name) for name in self._booted.models]

    async def caller(self, principal: Principal, client: ClientKey) -> Port:
        membership = await self._membership(principal)
        async with membership.opening:
            member = membership.members.get(client) or await self._admit(membership, client)
        return _CountedPort(membership.run.port(member.session.pid), member)

    async def count_tokens(self, chat: Chat) -> int | None:  # noqa: ARG002
        return None

    def refusal(self, chat: Chat) -> AiosError | None:  # noqa: ARG002
        full = self._booted.kernel.full()
        return Overloaded(full, retry_after_s=1) if full else None

    @asynccontextmanager
    async def member_run(self, principal: Principal, run: Run, host: SessionHost, parent: int) -> AsyncIterator[None]:
        """While a principal's sessions are to be children of a process of its own."""
        async with anyio.create_task_group() as tasks:
            self._memberships[principal.name] = _Membership(run, host, parent, tasks)
            try:
                yield
            finally:
                del self._memberships[principal.name]
                tasks.cancel_scope.cancel()

    async def _membership(self, principal: Principal) -> _Membership:
        async with self._opening:
            if principal.name not in self._memberships:
                await self._tasks.start(self._hold_run, principal)
            return self._memberships[principal.name]

    async def _hold_run(self, principal: Principal, *, task_status: TaskStatus[None]) -> None:
        """The run of a principal that has no process of its own, as long as the daemon lives."""
        host, directory = SessionHost(), new_run_directory()
        config = without_time_limit(self._config)
        tools = ToolCore(tool_box(config, directory))
        facts = {"principal": principal.name}
        opening = open_run(self._booted, config, directory, host, tools, facts, tenant=principal.name)
        async with opening as opened, self.member_run(principal, opened.run, host, USER):
            task_status.started()
            await anyio.sleep_forever()

    async def _admit(self, membership: _Membership, client: ClientKey) -> _Member:
        """A new session. Raises Cancelled for one that was killed, Overloaded where there are too many."""
        now = time.monotonic()
        membership.killed = {key: at for key, at in membership.killed.items() if now < at + KILLED_S}
        if client in membership.killed:
            raise Cancelled("the user has killed this session; start another one", killed=True)
        if len(membership.members) >= MAX_SESSIONS:
            raise Overloaded(
                f"{MAX_SESSIONS} sessions of this token live, which is the limit; wait, or end one: aios ps, aios kill",
                retry_after_s=60,
            )
        parent = membership.members.get(ClientKey(client.program, client.session)) if client.agent else None
        member: _Member = await membership.tasks.start(
            self._hold_session, membership, client, parent.session.pid if parent else membership.parent
        )
        return member

    async def _hold_session(
        self, membership: _Membership, client: ClientKey, parent: int, *, task_status: TaskStatus[_Member]
    ) -> None:
        """A session's process, until it is killed or was idle for too long."""
        task = client.agent or client.session or client.beginning
        async with client_process(membership.run, membership.host, client.program, task, parent) as session:
            member = membership.members[client] = _Member(session, time.monotonic())
            task_status.started(member)
            try:
                await _idle_or_ended(member)
            finally:
                del membership.members[client]
                if session.killed:
                    membership.killed[client] = time.monotonic()


class _CountedPort:
    """A session's way in, which notes when it was used."""

    def __init__(self, port: Port, member: _Member) -> None:
        self._port, self._member = port, member

    async def submit(self, call: Syscall[R], emit: Callable[[str], None] = discard) -> R:
        self._member.under_way += 1
        try:
            return await self._port.submit(call, emit)
        finally:
            self._member.under_way -= 1
            self._member.last_call = time.monotonic()


async def _idle_or_ended(member: _Member) -> None:
    while True:
        left = member.last_call + IDLE_S - time.monotonic() if not member.under_way else IDLE_S
        if left <= 0:
            return
        with anyio.move_on_after(left):
            await member.session.ended.wait()
            return
