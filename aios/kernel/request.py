"""A syscall on its way through the kernel."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import anyio

from aios.context import Snapshot
from aios.kernel.account import FREE, Account
from aios.kernel.core import Size
from aios_syscalls import AiosError, CallId, Syscall

UNKNOWN = Size()


class AcceptedCall(NamedTuple):
    """What is fixed once a syscall is accepted."""

    number: int
    """Counts the calls that a kernel takes in, for policies; not on record."""
    call_id: CallId
    call: Syscall[Any]
    emit: Callable[[str], None]
    program: str = "user"
    tenant: str = "user"
    """On whose behalf it is made."""
    account: Account = FREE
    graph_id: int = 0
    """Of the graph that it is a node of; 0 outside of graphs."""
    critical_path_depth: int = 0
    """The nodes on the longest way from it to an end of its graph, itself included; 0 outside of graphs."""
    begin: Callable[[], Awaitable[None]] | None = None
    """Waits, once it is on record that it starts, until the disk has that: before it may take effect."""


class Request:
    """One accepted syscall on one lane; a Job to the scheduler. It waits for a turn, runs, may be paused, ends once.

    What a policy asks of it again and again is copied out of `accepted`: a heap compares thousands of times.
    """

    __slots__ = (
        "_turn", "accepted", "context", "critical_path_depth", "graph_id", "id", "pid", "priority", "program", "prompt",
        "read", "refused", "running", "size", "snapshot", "tenant", "written",
    )  # fmt: skip

    def __init__(self, accepted: AcceptedCall, size: Size = UNKNOWN) -> None:
        self.accepted, self.size = accepted, size
        self.id, self.pid = accepted.number, accepted.call_id.pid
        self.priority, self.program, self.tenant = accepted.call.priority, accepted.program, accepted.tenant
        self.graph_id, self.critical_path_depth = accepted.graph_id, accepted.critical_path_depth
        self.prompt = self.context = size.prompt
        """Tokens that its prompt is taken to have; `context`, once it has a reply, as the model counted."""
        self.read = False
        """Whether the policy has been told what its prompt took."""
        self.written = 0
        """Tokens that its slices have generated so far."""
        self.snapshot: Snapshot | None = None
        self.running = False
        """Whether it holds a slot of its lane."""
        self.refused: AiosError | None = None
        """Why it gets no turn any more."""
        self._turn: anyio.Event | None = None

    def wake(self) -> None:
        """Its turn has come."""
        self.running = True
        if self._turn is not None:
            self._turn.set()

    def refuse(self, why: AiosError) -> None:
        """Its turn will not come, if it waits for one."""
        if not self.running and self._turn is not None:
            self.refused = why
            self._turn.set()

    async def turn(self) -> None:
        """Wait until it holds a slot; at once if it does. Raises what it is refused with meanwhile."""
        if not self.running:
            self._turn = anyio.Event()
            await self._turn.wait()
            if self.refused is not None and not self.running:
                raise self.refused
