"""The simulator: the kernel's policies on a core in virtual time."""

from __future__ import annotations

import gc
import math
from collections.abc import Iterable

from aios.scheduler import Quantum, SchedulingPolicy
from aios.simulate.arrivals import Arrivals
from aios.simulate.batch import SlotBatch
from aios.simulate.contexts import SimulatedMemory
from aios.simulate.core import SimulatedCore
from aios.simulate.log import SimulatedEvent, SimulationLog
from aios.simulate.program import SimulatedProgram
from aios.simulate.result import Result
from aios.simulate.watch import SimulationWatch
from aios_syscalls import BadRequest


class Simulation:
    """Runs programs, in order of their arrival, under a policy on `slots` of a core.

    Steps go by in lockstep: each lets every running call write a token, and reads the prompts of those that start.
    `memory` bounds the tokens of contexts; those that leave it are read again, or with `spill` come back from the
    host's memory at the core's restore_us a token. `quantum` lengthens slices to what a switch costs, as a lane's does,
    and is shown each slice that goes on with a call, its restore and all. `admit_every` is how many steps pass between
    two looks at the queue; `watch_us` samples what tenants got. Time is whole microseconds; nothing is random.
    """

    def __init__(
        self,
        policy: SchedulingPolicy,
        core: SimulatedCore,
        slots: int,
        *,
        memory: int | None = None,
        spill: bool = False,
        quantum: Quantum | None = None,
        admit_every: int = 1,
        watch_us: int = 0,
        log: bool = False,
    ) -> None:
        self._policy, self._core = policy, core
        self.result, self._log = Result(), SimulationLog(log)
        self._watch = SimulationWatch(watch_us, self.result.samples) if watch_us else None
        self._contexts = SimulatedMemory(memory, spill, getattr(policy, "inside", None)) if memory else None
        self._batch = SlotBatch(
            policy, slots, admit_every, self._contexts, quantum, self.result, self._log, self._watch
        )

    def run(self, programs: Iterable[SimulatedProgram], until_us: int | None = None) -> Result:
        """Run to the end, or until a moment. Raises BadRequest where a call needs more memory than there is."""
        arrivals = Arrivals(programs, self._policy, self.result, self._log, self._watch)
        # Nothing here refers in circles, and looking for that among a million calls takes a third of the time.
        collecting = gc.isenabled()
        gc.disable()
        try:
            self.result.makespan_us = self._run(arrivals, math.inf if until_us is None else until_us)
        finally:
            if collecting:
                gc.enable()
        self.result.events, self.result.digest = self._log.events, self._log.digest()
        return self.result

    def _run(self, arrivals: Arrivals, until_us: float) -> int:
        policy, core, batch, watch = self._policy, self._core, self._batch, self._watch
        now = ns = 0  # ns are what steps took below a microsecond
        while now < until_us:
            arrivals.until(now)
            if batch.running and (over := batch.over()):
                for task in over:
                    if batch.stop(task, now) and arrivals.done(task, now) and self._contexts is not None:
                        self._contexts.drop(task.pid)
                arrivals.until(now)
            fresh = len(policy) > 0 and len(batch.running) < batch.slots and batch.fill(now)
            if not batch.running:
                later = [arrivals.events[0][0]] if arrivals.events else []
                if len(policy) and (wake := policy.next_wakeup(now)) is not None:
                    later.append(wake)
                if not later:
                    if len(policy):
                        size = self._contexts and self._contexts.size
                        raise BadRequest(f"a call needs more than the memory of {size}")
                    break
                now = max(now, min(later))
                continue
            if fresh:
                restore = core.restore_us * batch.restored
                stride, took = 1, core.step(batch.cold, len(batch.running)) + restore
            else:
                took = core.step(0, len(batch.running))
                stride = self._stride(arrivals, now, took)
            ns += round(stride * took * 1000)
            now += ns // 1000
            ns %= 1000
            if fresh:
                self._first(now)
            batch.step(stride, now)
            if watch is not None:
                watch.look(now)
        return now

    def _stride(self, arrivals: Arrivals, now: int, took: float) -> int:
        """How many steps go by until anything can change: a slice ends, or somebody comes for a free slot."""
        batch = self._batch
        stride = min([task.end for task in batch.running]) - batch.steps
        if len(batch.running) < batch.slots:
            if len(self._policy):
                stride = min(stride, int(batch.filled) + batch.admit_every - batch.steps)
            elif arrivals.events:
                stride = min(stride, math.ceil((arrivals.events[0][0] - now) / took))
        if self._watch is not None:
            stride = min(stride, math.ceil((self._watch.next_us - now) / took))
        return max(1, stride)

    def _first(self, now: int) -> None:
        """Those that started anew have written their first token."""
        for task in self._batch.started:
            if task.left == task.call.output:
                self.result.first_us.append(now - task.ready)
                self._log.record(now, SimulatedEvent.FIRST, task.id)
