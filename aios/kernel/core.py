"""What a lane runs, and what it gives it: the contract between the kernel and its cores."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from aios.context import Snapshot
from aios_syscalls import Reply, Syscall


@dataclass(frozen=True, slots=True)
class Turn:
    """One slice of one request: run `call` for `pid`, from `snapshot` if it was paused, for `budget` tokens."""

    call: Syscall[Any]
    pid: int
    budget: int | None
    snapshot: Snapshot | None
    emit: Callable[[str], None]
    """Takes text for the caller while the call runs; cheap, never blocks."""
    program: str = "user"
    """What process `pid` runs."""
    id: int = 0
    """Of the request, in this run."""


class Core(Protocol):
    """Runs the calls of one family."""

    async def run(self, turn: Turn) -> Reply | Snapshot:
        """The call's reply, or a Snapshot when the budget was used up first; raises an AiosError otherwise.

        Must free what the call holds when it is cancelled.
        """
