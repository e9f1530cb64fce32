"""What a lane runs, and what it gives it: the contract between the kernel and its cores."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, runtime_checkable

from aios.context import Snapshot
from aios_syscalls import Budget, CallId, Reply, Syscall

USERS_FIRST = CallId(0, 1)


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
    id: CallId = USERS_FIRST
    crowded: Callable[[int], bool] = lambda _tokens: True
    """Whether, after so many tokens of this slice, somebody waits who is to have the slot first."""


class Core(Protocol):
    """Runs the calls of one family."""

    async def run(self, turn: Turn) -> Reply | Snapshot:
        """The call's reply, or a Snapshot when the budget was used up first; raises an AiosError otherwise.

        Must free what the call holds when it is cancelled.
        """


@runtime_checkable
class SettlingCore(Protocol):
    """A core whose calls leave their identity on what they change."""

    async def settle(self, turn: Turn) -> Reply | None:
        """The reply of a call that had begun when its kernel died, if it took effect; None if it did not."""


@dataclass(frozen=True, slots=True)
class Size:
    """What a call is taken to need before it runs."""

    prompt: int = 0
    """Tokens to read; 0 for what reads none."""
    basis: object = None
    """What the meter knows it by."""


class Taken(NamedTuple):
    """What a call has taken so far, in tokens."""

    read: int | None = 0
    """Of its prompt; None while that is not known."""
    written: int = 0
    context: int | None = None
    """What the model counts in its context; None while nothing is known."""


NOTHING_TAKEN = Taken()


class Meter(Protocol):
    """Measures the calls of a lane, for its scheduler."""

    def estimate(self, pid: int, call: Syscall[Any]) -> Size:
        """What a call of process `pid` is going to need."""

    def took(self, pid: int, call: Syscall[Any], size: Size, outcome: Reply | Snapshot) -> Taken:
        """What a call has taken, after a slice; the meter learns from it."""

    def ended(self, pid: int) -> None:
        """A process has ended."""


class NoMeter:
    """For calls that read and write no tokens."""

    def estimate(self, pid: int, call: Syscall[Any]) -> Size:  # noqa: ARG002
        return Size()

    def took(self, pid: int, call: Syscall[Any], size: Size, outcome: Reply | Snapshot) -> Taken:  # noqa: ARG002
        return NOTHING_TAKEN

    def ended(self, pid: int) -> None:
        pass


class BudgetView(Protocol):
    """The budget of whoever makes a call."""

    def holding(self, tokens: int, usd: float | None) -> AbstractContextManager[None]:
        """While a call runs that may take so much, None being a price that nobody knows.

        Raises BudgetExceeded when that is more than is left.
        """

    def left(self) -> Budget:
        """What there is, None where there is no limit."""


class RoutedCall(Protocol):
    """An accepted call on its way, for the route that leads it to a lane."""

    @property
    def id(self) -> CallId: ...

    @property
    def pid(self) -> int: ...

    @property
    def program(self) -> str: ...

    @property
    def call(self) -> Syscall[Any]: ...

    @property
    def emit(self) -> Callable[[str], None]: ...

    @property
    def account(self) -> BudgetView: ...

    async def run(
        self, lane: str, call: Syscall[Any] | None = None, emit: Callable[[str], None] | None = None
    ) -> Reply:
        """The reply of a lane to the call, or to another one in its place; raises what its core raises."""

    def charge(self, tokens: int, usd: float | None) -> None:
        """Count what was taken for this call, whether or not it ends well; None is a price that nobody knows."""

    def routed(self, data: Mapping[str, Any]) -> None:
        """Record which lane was chosen, among which, and why."""

    def left(self, lane: str, data: Mapping[str, Any]) -> None:
        """Record that the call leaves a lane and has not ended: it failed there, or was not answered well enough."""


Route = Callable[[RoutedCall], Awaitable[Reply]]
"""Leads a call over one lane, or over several until one serves it."""


async def by_family(passage: RoutedCall) -> Reply:
    """The route to the lane of the call's family."""
    return await passage.run(passage.call.family())
