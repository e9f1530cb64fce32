"""Virtual time for anyio's asyncio backend: when all tasks wait, the clock jumps to the next timer."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Awaitable, Callable
from typing import TypeVar, TypeVarTuple

import anyio

from aios_syscalls import KernelBug

T = TypeVar("T")
Args = TypeVarTuple("Args")

PATIENCE_S = 10.0
"""Real seconds after which nothing will happen any more: every task waits, for another one and not for a timer."""


def run(main: Callable[[*Args], Awaitable[T]], *args: *Args) -> T:
    """As `anyio.run`, from time 0 on: what is awaited takes no real time, and is in the same order each time.

    Threads and sockets have times of their own: a timer that is due does not wait for them, so a kernel that runs here
    has a journal in memory and models that are scripted. Raises KernelBug when all tasks wait for each other.
    """
    return anyio.run(main, *args, backend="asyncio", backend_options={"loop_factory": Loop})


class Loop(asyncio.SelectorEventLoop):
    """An event loop whose time is virtual."""

    def __init__(self) -> None:
        self._clock = _Clock()
        super().__init__(self._clock)

    def time(self) -> float:
        return self._clock.now


class _Clock(selectors.DefaultSelector):
    """Where an event loop would sleep until the next timer, it becomes that time."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(PATIENCE_S if timeout is None else 0)
        if timeout is None and not ready:
            raise KernelBug("every task waits for another one, and none for a time; none will ever go on")
        if timeout is not None and not ready:
            self.now += timeout
        return ready
