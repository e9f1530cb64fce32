"""The processes of clients that come over HTTP: one a session, in one run for each principal."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio
from anyio.abc import TaskGroup, TaskStatus

from aios.artifacts import model_path
from aios.boot import BootedKernel, open_run, tool_box
from aios.config import Config, LocalModelConfig, RemoteModelConfig, new_run_directory
from aios.cores.tool import ToolCore
from aios.kernel import UNLIMITED, USER, Run
from aios.link.order import RunOrder
from aios.models import Backend
from aios.server.client_service import OpenClient, open_client
from aios.server.door import ClientKey, ModelInfo, ModelKind, Principal, killed
from aios.server.sessions import ClientSession, SessionHost, SessionPort, client_process, without_time_limit
from aios.server.tokens import OWN, Tokens
from aios_syscalls import AiosError, BadRequest, Budget, Cancelled, Chat, Embed, Overloaded, R, Syscall
from aios_syscalls.port import discard

IDLE_S = 30 * 60.0
"""After its last call, for which a session's process lives on."""
KILLED_S = 60 * 60.0
"""For which a session that was killed is told so."""
MAX_SESSIONS = 64
"""Living ones of one token."""


@dataclass(eq=False)
class _Member:
    """A session of a principal's."""

    run: Run
    session: ClientSession
    last_call: float


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
    budget: Budget = UNLIMITED
    """Of each session with its sub-agents."""
    over: anyio.Event = field(default_factory=anyio.Event)
    """Set when the run is to end."""
    former: _Membership | None = None
    """The principal's run under an earlier configuration, whose sessions go on as they began."""

    def find(self, client: ClientKey) -> _Member | None:
        """A session that lives, of this run or a former one."""
        return self.members.get(client) or (self.former.find(client) if self.former else None)

    def line(self) -> Iterator[_Membership]:
        """This one and those before it."""
        yield self
        if self.former is not None:
            yield from self.former.line()

    def count(self) -> int:
        """How many sessions live, of this run and former ones."""
        return len(self.members) + (self.former.count() if self.former else 0)


class Callers:
    """Gives each session its process; see `Door`. `tasks` hold the runs of principals that have none yet."""

    def __init__(self, booted: BootedKernel, config: Config, tokens: Tokens, tasks: TaskGroup) -> None:
        self._booted, self._config, self._tokens, self._tasks = booted, config, tokens, tasks
        self._models = [_info(name, booted.config) for name in booted.models]
        self._memberships: dict[str, _Membership] = {}
        self._outdated: set[str] = set()
        """The principals whose run is of an earlier configuration."""
        self._opening = anyio.Lock()

    def reconfigure(self, config: Config) -> None:
        """New sessions are of this configuration; those that live go on as they began."""
        self._config = config
        self._outdated |= {name for name, each in self._memberships.items() if each.parent == USER}

    def admit(self, secret: str) -> Principal | None:
        return self._tokens.admit(secret)

    def models(self) -> Sequence[ModelInfo]:
        return self._models

    def resolve(self, model: str, kind: ModelKind) -> ModelInfo | None:
        named = self._config.aliases.get(model, model)
        fit = [each for each in self._models if each.kind == kind]
        found = next((each for each in fit if each.name == named), None)
        if found is None and named != self._config.model and self._config.model:
            found = next((each for each in fit if each.name == self._config.model), None)
        return found or (fit[0] if len(fit) == 1 or (kind == "embed" and fit) else None)

    async def caller(self, principal: Principal, client: ClientKey) -> WirePort:
        current = self._memberships.get(principal.name)
        known = current.find(client) if current is not None else None
        if known is None:
            current = await self._membership(principal)
            async with current.opening:
                known = current.find(client) or await self._admit(current, client)
        return WirePort(known, self._booted.models)

    async def count_tokens(self, chat: Chat) -> int | None:
        name = chat.model or self._config.model or next((each.name for each in self._models if each.kind == "chat"), "")
        model = self._booted.models.get(name)
        return None if model is None else await model.count_tokens(chat)

    @property
    def busy(self) -> bool:
        """Whether any session has a call under way, or had one not long ago."""
        return any(membership.count() for membership in self._memberships.values())

    @asynccontextmanager
    async def member_run(
        self, principal: Principal, run: Run, host: SessionHost, parent: int
    ) -> AsyncIterator[_Membership]:
        """While a principal's sessions are to be children of a process of its own."""
        async with anyio.create_task_group() as tasks:
            former = self._memberships.get(principal.name)
            mine = self._memberships[principal.name] = _Membership(run, host, parent, tasks, former=former)
            if former is not None:
                mine.killed = former.killed
                self._let_go(former)
            try:
                yield mine
            finally:
                if self._memberships.get(principal.name) is mine:
                    del self._memberships[principal.name]
                tasks.cancel_scope.cancel()

    @asynccontextmanager
    async def open_client(self, principal: Principal, order: RunOrder, program: str) -> AsyncIterator[OpenClient]:
        """A process for `aios.connect`: with a run of its own, but for a command's, which has what the command has."""
        if principal == OWN:
            async with open_client(self._booted, order, program) as client:
                yield client
            return
        mine = await self._membership(principal)
        async with client_process(mine.run, mine.host, program, parent=mine.parent) as session:
            yield OpenClient(session.pid, SessionPort(mine.run, session), session.ended)

    async def _membership(self, principal: Principal) -> _Membership:
        async with self._opening:
            if principal.name not in self._memberships or principal.name in self._outdated:
                await self._tasks.start(self._hold_run, principal)
                self._outdated.discard(principal.name)
            return self._memberships[principal.name]

    async def _hold_run(self, principal: Principal, *, task_status: TaskStatus[None]) -> None:
        """The run of a principal that has no process of its own, as long as the daemon lives and it is configured so.

        A budget is each session's, as one run of a program has it: a run that never ends would use it up.
        """
        host, directory = SessionHost(), new_run_directory()
        config = without_time_limit(self._config).model_copy(update={"budget": UNLIMITED})
        tools = ToolCore(tool_box(config, directory))
        facts = {"principal": principal.name}
        opening = open_run(self._booted, config, directory, host, tools, facts, tenant=principal.name)
        budget = self._config.budget
        async with opening as opened, self.member_run(principal, opened.run, host, USER) as mine:
            mine.budget = budget
            task_status.started()
            await mine.over.wait()

    async def _admit(self, membership: _Membership, client: ClientKey) -> _Member:
        """A new session. Raises Cancelled for one that was killed, Overloaded where there are too many."""
        now = time.monotonic()
        for key in [key for key, at in membership.killed.items() if now >= at + KILLED_S]:
            del membership.killed[key]
        if client in membership.killed:
            raise _killed()
        if membership.count() >= MAX_SESSIONS:
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
        budget = membership.budget if parent == USER else UNLIMITED
        process = client_process(membership.run, membership.host, client.program, task, parent, budget)
        async with process as session:
            member = membership.members[client] = _Member(membership.run, session, time.monotonic())
            task_status.started(member)
            try:
                await _idle_or_ended(member)
            finally:
                del membership.members[client]
                if session.killed:
                    membership.killed[client] = time.monotonic()
                self._let_go(membership)

    def _let_go(self, membership: _Membership) -> None:
        """End the run of an earlier configuration once its last session has ended."""
        for later in [each for newest in self._memberships.values() for each in newest.line()]:
            if later.former is membership and not membership.members:
                later.former = membership.former
                membership.over.set()


class WirePort:
    """A session's way in, which notes when it was used; see `ClientPort`."""

    def __init__(self, member: _Member, models: Mapping[str, Backend]) -> None:
        self._run, self._member, self._models = member.run, member, models
        self._pid = member.session.pid
        self._port = SessionPort(member.run, member.session)

    def next_call(self) -> str:
        return self._run.next_call(self._pid)

    def refusal(self, call: Chat | Embed) -> AiosError | None:
        return self._run.refusal(self._pid) or self._refusal_of_all(call)

    def _refusal_of_all(self, call: Chat | Embed) -> BadRequest | None:
        """Why no model that the call may go to can ever serve it; None where one may."""
        named = {name: model for name, model in self._models.items() if name == call.model}
        reasons = {name: model.refusal(call) for name, model in (named or self._models).items()}
        if not reasons or not all(reasons.values()):
            return None
        told = "; ".join(f"{name!r} {why}" for name, why in reasons.items())
        return BadRequest(f"no model can serve this: {told}; change the request, or configure another model", "model")

    async def submit(self, call: Syscall[R], emit: Callable[[str], None] = discard) -> R:
        try:
            return await self._port.submit(call, emit)
        except Cancelled:
            if self._member.session.killed:
                raise _killed() from None
            raise
        finally:
            self._member.last_call = time.monotonic()


def _killed() -> Cancelled:
    return killed("the user has killed this session; start another one")


async def _idle_or_ended(member: _Member) -> None:
    while True:
        left = member.last_call + IDLE_S - time.monotonic() if not member.session.under_way else IDLE_S
        if left <= 0:
            return
        with anyio.move_on_after(left):
            await member.session.ended.wait()
            return


def _info(name: str, config: Config) -> ModelInfo:
    """What clients may know of a model that is configured so."""
    found = config.models.get(name) or LocalModelConfig(path=model_path())
    takes = frozenset(found.takes) if isinstance(found, RemoteModelConfig) else frozenset()
    return ModelInfo(name, "embed" if found.embed else "chat", found.context, takes)
