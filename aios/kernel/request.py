"""A syscall on its way through the kernel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import anyio

from aios.context import Snapshot
from aios.kernel.account import FREE, Account
from aios.kernel.core import Size
from aios_syscalls import AiosError, CallId, Syscall

UNKNOWN = Size()


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptedCall:
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


@dataclass(slots=True, eq=False)
class Request:
    """One accepted syscall on one lane; a Job to the scheduler. It waits for a turn, runs, may be paused, ends once."""

    accepted: AcceptedCall
    size: Size = UNKNOWN
    context: int = 0
    """Tokens that its prompt is taken to have; once it has a reply, as the model counted."""
    read: bool = False
    """Whether the policy has been told what its prompt took."""
    written: int = 0
    """Tokens that its slices have generated so far."""
    snapshot: Snapshot | None = None
    running: bool = False
    """Whether it holds a slot of its lane."""
    refused: AiosError | None = None
    """Why it gets no turn any more."""
    _turn: anyio.Event | None = None

    @property
    def id(self) -> int:
        return self.accepted.number

    @property
    def call(self) -> Syscall[Any]:
        return self.accepted.call

    @property
    def pid(self) -> int:
        """The process that made it."""
        return self.accepted.call_id.pid

    @property
    def priority(self) -> int:
        return self.accepted.call.priority

    @property
    def program(self) -> str:
        return self.accepted.program

    @property
    def tenant(self) -> str:
        return self.accepted.tenant

    @property
    def prompt(self) -> int:
        """Tokens of its prompt as its lane guesses; 0 for what has none."""
        return self.size.prompt

    @property
    def graph_id(self) -> int:
        return self.accepted.graph_id

    @property
    def critical_path_depth(self) -> int:
        return self.accepted.critical_path_depth

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
