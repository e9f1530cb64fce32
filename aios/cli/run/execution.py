"""Boots a kernel, runs jobs on it to their end, and shows it meanwhile."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

import anyio
import anyio.to_thread
from anyio.abc import TaskStatus

from aios.boot import RESUMABLE, BootedRun, DaemonRun, Durability
from aios.cli.record.runs import read
from aios.cli.run.jobs import ProgramJob
from aios.cli.run.kernels import opened
from aios.cli.run.view import View
from aios.config import Config
from aios.record import Event, History, RunRecord, runs
from aios.terminal.exit import Code, code_of
from aios_syscalls import (
    AiosError,
    BudgetExceeded,
    Expired,
    ListProcesses,
    NoKernel,
    NotFound,
    Spawn,
    StorageFailed,
    Wait,
)

REFRESH_S = 0.125
SHARE = 0.1
"""Of the time, at most, that a view may take."""
SEEN = 1_000
"""Ended processes that a view can show."""
SHOW_CURSOR = b"\x1b[?25h\n"


@dataclass
class RunOutcome:
    """What is known of a run: while it goes on what a view shows, after its end its record."""

    history: History = field(default_factory=lambda: History(calls=False, ended=SEEN))
    run: BootedRun | DaemonRun | None = None
    """None when it was interrupted before the kernel ran."""
    interrupted: bool = False
    failure: AiosError | None = None
    """What ended the run before its processes."""
    origin: float = 0.0
    """The event loop's time at which the run began."""

    def observe(self, event: Event) -> None:
        """Take an event of the kernel."""
        if not self.origin:
            self.origin = anyio.current_time() - event.at
        self.history.apply(event)

    def settle(self) -> None:
        """Read the record of the run that has ended; where it cannot be read, what was seen must do."""
        try:
            self.history = read(self.recorded, calls=False)
        except StorageFailed as error:
            self.failure = self.failure or error

    @property
    def recorded(self) -> RunRecord:
        """What is on record of the run. Raises StorageFailed."""
        assert self.run is not None
        found = [run for run in runs(self.run.journal) if run.id == self.run.id]
        if not found:
            raise StorageFailed(f"the journal {self.run.journal} has nothing of run {self.run.id}")
        return found[-1]

    @property
    def cut_off(self) -> bool:
        """Whether it can be resumed: it was recorded for that, and its kernel or its user has ended it."""
        unfinished = self.interrupted or isinstance(self.failure, NoKernel)
        return unfinished and RESUMABLE in self.history.facts

    @property
    def now(self) -> float:
        """Seconds since the run began."""
        return anyio.current_time() - self.origin

    @property
    def code(self) -> Code:
        """The exit code: what a user started has to be done; what those started is theirs to judge.

        What failed for nothing but its budget, or its run's deadline, is told from other failures.
        """
        if self.interrupted:
            return Code.INTERRUPTED
        if self.failure is not None:
            return code_of(self.failure.code)
        mine = [process for process in self.history.processes.values() if not process.parent]
        failed = [process.error or {} for process in mine if process.state != "done"]
        for code in (BudgetExceeded.code, Expired.code):
            if failed and all(error.get("code") == code for error in failed):
                return code_of(code)
        return Code.ERROR if failed else Code.OK


async def execute(jobs: Sequence[ProgramJob], config: Config, view: View, **options: Any) -> RunOutcome:
    """Run `jobs` until every process has ended or the user interrupts; `options` go to `opened`.

    Raises AiosError when the kernel could not start.
    """
    outcome = RunOutcome()
    if isinstance(durable := options.get("durable"), Durability) and durable.resume is not None:
        for event in durable.resume.events(payloads=False):
            outcome.history.apply(event)
    with view:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_refresh, view, outcome)
            async with _interruptible(view.tell) as scope:
                await _run(jobs, config, outcome, {"progress": view.progress, **options})
            tasks.cancel_scope.cancel()
        outcome.interrupted = scope.cancel_called
        view.show(view.frame(outcome.history, outcome.history.now))
    if outcome.run is not None:
        outcome.settle()
    if outcome.run is None and outcome.failure is not None:
        raise outcome.failure
    return outcome


async def _run(jobs: Sequence[ProgramJob], config: Config, outcome: RunOutcome, options: Mapping[str, Any]) -> None:
    """Boot, work, stop. An error is kept, not raised: what was done until then is worth showing."""
    try:
        starting = [job.program for job in jobs]
        async with opened(config, starting=starting, observers=[outcome.observe], **options) as run:
            outcome.run = run
            try:
                await _work(run, jobs)
            except AiosError as error:
                outcome.failure = error
    except AiosError as error:
        outcome.failure = outcome.failure or error


async def _work(run: BootedRun | DaemonRun, jobs: Sequence[ProgramJob]) -> None:
    """Start every job, and wait for them and for what they have left running."""
    for job in jobs:
        await run.run.submit(Spawn(program=job.program, task=job.task))
    while True:
        table = await run.run.submit(ListProcesses())
        living = [process.pid for process in table.processes if process.state.alive]
        if not living:
            return
        for pid in living:
            # One of many may have ended meanwhile, and its row be gone.
            with suppress(NotFound):
                await run.run.submit(Wait(pid=pid))


async def _refresh(view: View, outcome: RunOutcome) -> None:
    """Draw the view again and again, more seldom when drawing takes long: it shares the machine with the kernel."""
    while True:
        began = anyio.current_time()
        frame = view.frame(outcome.history, outcome.now)
        await anyio.to_thread.run_sync(view.show, frame)
        await anyio.sleep(max(REFRESH_S, (anyio.current_time() - began) / SHARE))


@asynccontextmanager
async def _interruptible(tell: Callable[[str], None]) -> AsyncIterator[anyio.CancelScope]:
    """A scope that Ctrl-C, or SIGTERM, cancels; the second one ends this process at once."""
    async with anyio.create_task_group() as tasks:
        with anyio.CancelScope() as scope:
            await tasks.start(_cancel_on_signal, scope, tell)
            yield scope
        tasks.cancel_scope.cancel()


async def _cancel_on_signal(
    scope: anyio.CancelScope, tell: Callable[[str], None], *, task_status: TaskStatus[None]
) -> None:
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        task_status.started()
        async for _ in signals:
            break
    # Not by way of the event loop any more: it may be what hangs.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _end_now)
    tell("cancelling: every process is ended, then the results so far follow; Ctrl-C again ends at once")
    scope.cancel()


def _end_now(_signal: int, _frame: FrameType | None) -> None:
    if sys.stderr.isatty():
        os.write(sys.stderr.fileno(), SHOW_CURSOR)
    os._exit(Code.INTERRUPTED)
