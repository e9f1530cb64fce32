"""The one verb between an agent and the kernel."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from aios_syscalls.base import R, Syscall
from aios_syscalls.errors import AiosError

WITHDRAWN = "the agent has cancelled the call"
"""Why a call ended that its own program cancelled."""


def discard(_text: str) -> None:
    """Let streamed text go; the reply holds all of it."""


class Port(Protocol):
    """A process's way into the kernel: in the same process, or over a socket."""

    async def submit(self, call: Syscall[R], emit: Callable[[str], None] = discard) -> R:
        """The reply to `call`, or the AiosError that it ended with; `emit` takes streamed text meanwhile."""


class ReplayLog(Protocol):
    """The record of one process of a durable run, for whoever serves its program: what it hears is kept, and repeated.

    A call is known by its number, which the program gives it: the n-th that it has made.
    """

    def opening(self) -> Mapping[str, Any]:
        """What the program is told first of its record."""

    @property
    def over(self) -> bool:
        """Whether all that the program had heard at a known time in an earlier life has been repeated."""

    def knows(self, n: int) -> bool:
        """Whether an earlier life of the program had made call `n`."""

    def begin(self) -> Sequence[Mapping[str, Any]]:
        """What the program is told before it asks anything."""

    def ask(self, n: int, call: object) -> tuple[Sequence[Mapping[str, Any]], bool]:
        """What the program hears once it has asked this again, in order, and whether the call is to be run.

        Raises ReplayMismatch where that is not what it had asked.
        """

    def tell_late(self, n: int | None = None) -> Sequence[Mapping[str, Any]]:
        """What else the program hears, once all has been repeated: of call `n`, or of all that it has asked again."""

    async def submit(self, n: int, call: Syscall[R], emit: Callable[[str], None]) -> R:
        """As `Port.submit`, of the call of this number."""

    def heard(self, times: Sequence[int], rang: int) -> None:
        """When, by its own clock in microseconds, the program heard what it was sent since it last said so.

        `rang` is when a timer of its own rang after that, 0 if none has.
        """

    def said(self, n: int, text: str | None) -> None:
        """The program was sent a piece of a call's text, or with None its end."""

    def withdrawn(self, n: int) -> bool:
        """The program has cancelled the call; whether it is to hear so now, as it did not in its earlier life."""

    def refused(self, n: int, error: AiosError) -> None:
        """The program was answered before its call was one."""


class ProcessPort(Port, Protocol):
    """The way in of a process whose program the kernel runs."""

    @property
    def replay_log(self) -> ReplayLog | None:
        """Of a process in a durable run."""
