"""A lane: one core, one scheduler, and how many requests run at once."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from copy import copy
from functools import partial
from typing import Any, cast

import anyio

from aios.context import Snapshot
from aios.kernel.core import Core, Meter, NoMeter, SettlingCore, Turn
from aios.kernel.request import AcceptedCall, Request
from aios.record import Kind
from aios.scheduler import Quantum, SchedulingPolicy
from aios_syscalls import AiosError, Reply

Report = Callable[[Kind, AcceptedCall, Mapping[str, Any]], None]


class Lane:
    """Hands `width` slots of a core to requests, in the scheduler's order and for its slice.

    A request is driven by the task that submitted it: the lane only says whose turn it is. So a cancelled waiter
    takes its request with it, an error reaches its caller and nobody else, and there is no thread to die.
    """

    def __init__(
        self,
        name: str,
        core: Core,
        scheduler: SchedulingPolicy,
        width: float = math.inf,
        quantum: Quantum | None = None,
        meter: Meter | None = None,
    ) -> None:
        self.name = name
        self.scheduler = scheduler
        self.width = width
        self.running = 0
        self.quantum = quantum
        """What lengthens slices to what a switch costs here; None leaves them to the scheduler."""
        self._core = core
        self._meter = meter or NoMeter()
        self._present: set[Request] = set()
        self._alarm = anyio.CancelScope()
        """Its deadline is when the scheduler wants to be asked again."""

    @property
    def waiting(self) -> int:
        """How many requests wait for a slot."""
        return len(self.scheduler)

    async def run(self, accepted: AcceptedCall, report: Report) -> Reply:
        """Run a call to its reply, slice by slice; raises what its core raises."""
        request = Request(accepted, self._meter.estimate(accepted.call_id.pid, accepted.call))
        self.scheduler.add(request, _now())
        self._present.add(request)
        try:
            while True:
                self._dispatch(_now())
                await request.turn()
                budget = self._budget(request)
                report(Kind.STARTED, accepted, {"lane": self.name, **({"slice": budget} if self.quantum else {})})
                if accepted.begin is not None:
                    await accepted.begin()
                outcome = await self._slice(request, budget)
                self._count(request, outcome)
                if isinstance(outcome, Reply):
                    return outcome
                request.snapshot = outcome
                report(Kind.PAUSED, accepted, {"lane": self.name, "tokens": outcome.tokens})
                self.scheduler.requeue(request, _now())
                self._release(request)
        finally:
            self._leave(request)

    async def settle(self, accepted: AcceptedCall) -> Reply | None:
        """The reply of a call that had begun when its kernel died, where its core finds that it took effect."""
        if not isinstance(self._core, SettlingCore):
            return None
        id = accepted.call_id
        return await self._core.settle(Turn(accepted.call, id.pid, None, None, accepted.emit, accepted.program, id))

    def refuse_waiting(self, why: AiosError) -> None:
        """End what waits for a turn now, also halfway through; what holds a slot goes on."""
        for request in self._present:
            request.refuse(copy(why))

    def began(self, pid: int, program: str, tenant: str) -> None:
        """A process begins, whose requests may come."""
        self.scheduler.began(pid, program, tenant, _now())

    def ended(self, pid: int) -> None:
        """A process has ended."""
        self._meter.ended(pid)
        self.scheduler.ended(pid, now := _now())
        self._dispatch(now)  # its place may be another's

    async def watch(self) -> None:
        """Ask the scheduler again when it said to; until cancelled. Without this, only calls' coming and going does."""
        while True:
            with anyio.CancelScope() as self._alarm:
                self._set_alarm(_now())
                await anyio.sleep_forever()
            self._dispatch(_now())

    def _set_alarm(self, now: int) -> None:
        """Have it ring when the scheduler says, if there is a slot for whoever is ready then."""
        at = self.scheduler.next_wakeup(now) if self.waiting and self.running < self.width else None
        # A moment later, as seconds round to either side.
        deadline = math.inf if at is None else (at + 1) / 1_000_000
        if deadline != self._alarm.deadline:
            self._alarm.deadline = deadline

    def _budget(self, request: Request) -> int | None:
        tokens = self.scheduler.quantum(request)
        return tokens if tokens is None or self.quantum is None else self.quantum.next(tokens)

    async def _slice(self, request: Request, budget: int | None) -> Reply | Snapshot:
        snapshot, request.snapshot = request.snapshot, None
        accepted = request.accepted
        turn = Turn(
            accepted.call,
            request.pid,
            budget,
            snapshot,
            accepted.emit,
            accepted.program,
            accepted.call_id,
            partial(self._crowded, request),
        )
        with accepted.account.running():
            return await self._core.run(turn)

    def _crowded(self, request: Request, tokens: int) -> bool:
        return self.scheduler.would_preempt(request, tokens, _now())

    def _dispatch(self, now: int) -> None:
        while self.running < self.width and self.scheduler.ready(now):
            self.running += 1
            cast(Request, self.scheduler.next(now)).wake()
        self._set_alarm(now)

    def _count(self, request: Request, outcome: Reply | Snapshot) -> None:
        """Tell the policy what a slice got; the prompt is read in the first, and what was cached did not cost."""
        taken = self._meter.took(request.pid, request.accepted.call, request.size, outcome)
        request.context = request.context if taken.context is None else taken.context
        read = 0 if request.read else request.prompt if taken.read is None else taken.read
        request.read = True
        self.scheduler.served(request, max(0, read), max(0, taken.written - request.written), _now())
        request.written = taken.written

    def _release(self, request: Request) -> None:
        if request.running:
            request.running = False
            self.running -= 1

    def _leave(self, request: Request) -> None:
        self._present.discard(request)
        self.scheduler.remove(request)
        self.scheduler.done(request, now := _now())
        self._release(request)
        if request.snapshot is not None:
            request.snapshot.drop()
            request.snapshot = None
        self._dispatch(now)


def _now() -> int:
    """The event loop's clock in microseconds, which is all that a policy gets to see of time."""
    return int(anyio.current_time() * 1_000_000)
