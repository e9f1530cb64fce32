"""A syscall on its way through the kernel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anyio

from aios.context import Snapshot
from aios.kernel.account import FREE, Account
from aios_syscalls import Syscall


class Request:
    """One accepted syscall; a Job to the scheduler. It waits for a turn, runs, may be paused, and ends once."""

    __slots__ = (
        "_turn",
        "account",
        "call",
        "depth",
        "emit",
        "gang",
        "id",
        "pid",
        "priority",
        "program",
        "running",
        "snapshot",
    )

    def __init__(
        self,
        id: int,
        pid: int,
        call: Syscall[Any],
        emit: Callable[[str], None],
        program: str = "user",
        account: Account = FREE,
        gang: int = 0,
        depth: int = 0,
    ) -> None:
        self.id = id
        self.pid = pid
        self.program = program
        self.call = call
        self.emit = emit
        self.account = account
        self.priority = call.priority
        self.gang = gang
        """The id of the graph that it is a node of; 0 outside of graphs."""
        self.depth = depth
        """The nodes on the longest way from it to an end of its graph, itself included; 0 outside of graphs."""
        self.snapshot: Snapshot | None = None
        self.running = False
        """Whether it holds a slot of its lane."""
        self._turn: anyio.Event | None = None

    def wake(self) -> None:
        """Its turn has come."""
        self.running = True
        if self._turn is not None:
            self._turn.set()

    async def turn(self) -> None:
        """Wait until it holds a slot; at once if it does."""
        if not self.running:
            self._turn = anyio.Event()
            await self._turn.wait()
