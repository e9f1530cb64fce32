"""The one verb between an agent and the kernel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from aios_syscalls.base import R, Syscall


def discard(_text: str) -> None:
    """Let streamed text go; the reply holds all of it."""


class Port(Protocol):
    """A process's way into the kernel: in the same process, or over a socket."""

    async def submit(self, call: Syscall[R], emit: Callable[[str], None] = discard) -> R:
        """The reply to `call`, or the AiosError that it ended with; `emit` takes streamed text meanwhile."""
