"""A syscall on its way through the kernel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anyio

from aios.context import Snapshot
from aios.kernel.account import FREE, Account
from aios.kernel.prompt_lengths import NOTHING, Length
from aios_syscalls import AiosError, CallId, Syscall


class Request:
    """One accepted syscall; a Job to the scheduler. It waits for a turn, runs, may be paused, and ends once."""

    __slots__ = (
        "_turn",
        "account",
        "call",
        "call_id",
        "context",
        "depth",
        "emit",
        "gang",
        "id",
        "length",
        "priority",
        "program",
        "prompt",
        "read",
        "refused",
        "running",
        "snapshot",
        "tenant",
        "written",
    )

    def __init__(
        self,
        id: int,
        call_id: CallId,
        call: Syscall[Any],
        emit: Callable[[str], None],
        program: str = "user",
        account: Account = FREE,
        tenant: str = "user",
        gang: int = 0,
        depth: int = 0,
    ) -> None:
        self.id = id
        """Counts the calls that a kernel takes in, for policies; not on record."""
        self.call_id = call_id
        self.program = program
        self.tenant = tenant
        """The program that the user started and that this is done for."""
        self.call = call
        self.emit = emit
        self.account = account
        self.priority = call.priority
        self.gang = gang
        """The id of the graph that it is a node of; 0 outside of graphs."""
        self.depth = depth
        """The nodes on the longest way from it to an end of its graph, itself included; 0 outside of graphs."""
        self.length: Length = NOTHING
        """Of its prompt."""
        self.prompt = 0
        """Tokens of its prompt as its lane guesses; 0 for what is no chat."""
        self.context = 0
        """The same, as a chat brings its whole conversation; once it has a reply, as the model counted."""
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

    @property
    def pid(self) -> int:
        """The process that made it."""
        return self.call_id.pid

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
