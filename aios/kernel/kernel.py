"""The kernel: lanes, their policies and the journal, which outlive the runs on them."""

from __future__ import annotations

import itertools
from collections.abc import AsyncGenerator, AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any, Self

import anyio

from aios.kernel.core import Route
from aios.kernel.lane import Lane
from aios.kernel.limits import Limits
from aios.kernel.process_table import Host
from aios.kernel.run import Run, RunSettings
from aios.record import Journal
from aios.tasks import Signal, background_tasks
from aios_syscalls import AiosError, Cancelled

DEFAULTS = Limits()


class Kernel(anyio.AsyncContextManagerMixin):
    """Opens runs, whose calls share its lanes. Use as an async context manager, which runs leave before it ends.

    `route` leads each call to a lane.
    """

    def __init__(self, lanes: Iterable[Lane], route: Route, journal: Journal, *, limits: Limits = DEFAULTS) -> None:
        self.lanes = {lane.name: lane for lane in lanes}
        self.route = route
        self.journal = journal
        self.limits = limits
        self.runs: dict[str, Run] = {}
        """Those that are open, by their ids."""
        self.closing = False
        self._numbers = itertools.count(1)
        self.calls = 0
        """Under way, of all runs."""
        self._idle = Signal()

    @asynccontextmanager
    async def open(self, settings: RunSettings) -> AsyncIterator[Run]:
        """A new run; leaving the context ends its processes. Raises Cancelled once the kernel stops."""
        if self.closing:
            raise Cancelled("the kernel stops; it takes no more runs")
        async with Run(self, settings) as run:
            self.runs[settings.id] = run
            try:
                yield run
            finally:
                del self.runs[settings.id]

    def run_of(self, pid: int) -> Run | None:
        """The open run in which process `pid` was started, if one is."""
        return next((run for run in self.runs.values() if run.processes.has(pid)), None)

    def new_number(self) -> int:
        return next(self._numbers)

    def full(self) -> str:
        if self.calls < self.limits.calls:
            return ""
        return f"{self.calls} syscalls are under way, the kernel's limit; try again later"

    def count(self, calls: int) -> None:
        self.calls += calls
        if not self.calls:
            self._idle.notify()

    async def idle(self) -> None:
        """Wait until no call is under way."""
        while self.calls:
            await self._idle.wait()

    def drain(self, why: AiosError) -> None:
        """Take no more calls, and end those that wait for a slot; those that hold one go on."""
        self.closing = True
        for lane in self.lanes.values():
            lane.refuse_waiting(why)

    @asynccontextmanager
    async def __asynccontextmanager__(self) -> AsyncGenerator[Self]:
        async with background_tasks() as watching:
            for lane in self.lanes.values():
                watching.start_soon(lane.watch)
            try:
                yield self
            finally:
                self.closing = True
                watching.cancel_scope.cancel()


@asynccontextmanager
async def lone_run(
    lanes: Iterable[Lane], route: Route, host: Host, journal: Journal, **settings: Any
) -> AsyncIterator[Run]:
    """The only run of a kernel of its own, whose limits are the run's too; `settings` are those of `RunSettings`."""
    own = RunSettings(host, **settings)
    async with Kernel(lanes, route, journal, limits=own.limits) as kernel, kernel.open(own) as run:
        yield run
