"""When programs and their calls come in a simulation, and what follows a call that has ended."""

from __future__ import annotations

import heapq
from collections.abc import Iterable

from aios.scheduler import SchedulingPolicy
from aios.simulate.log import SimulatedEvent, SimulationLog
from aios.simulate.program import SimulatedProgram
from aios.simulate.result import Ended, Result
from aios.simulate.task import SimulatedRun, Task
from aios.simulate.watch import SimulationWatch


class Arrivals:
    """Draws programs as they come, and gives the policy each call when those before it and its tool are through."""

    def __init__(
        self,
        programs: Iterable[SimulatedProgram],
        policy: SchedulingPolicy,
        result: Result,
        log: SimulationLog,
        watch: SimulationWatch | None,
    ) -> None:
        self._coming = iter(programs)
        self._policy, self._result, self._log, self._watch = policy, result, log, watch
        self.events: list[tuple[int, int, SimulatedRun | None, int]] = []
        """A heap of what comes: when, its ticket, and the run and number of the call; no run for the next program."""
        self._last = 0
        """Ids given so far."""
        self._draw(0)

    def until(self, now: int) -> None:
        """Let in what has come until now."""
        events = self.events
        while events and events[0][0] <= now:
            time, _, run, index = heapq.heappop(events)
            if run is None:
                self._begin(time)
            else:
                self._ready(run, index, time)

    def done(self, task: Task, now: int) -> bool:
        """A call has ended, and others may follow; whether its program has ended with it."""
        run, index = task.run, task.index
        run.left -= 1
        self._result.calls += 1
        waited = run.waits[index]
        for each in run.followers[index]:
            run.missing[each] -= 1
            if waited > run.waits[each]:
                run.waits[each] = waited
            if not run.missing[each]:
                self._later(run, each, run.waits[each], now)
        if run.left:
            return False
        self._policy.ended(run.pid, now)
        self._log.record(now, SimulatedEvent.ENDED, run.pid)
        program = run.program
        self._result.ended.append(Ended(program, now - program.arrival_us - waited, now))
        return True

    def _draw(self, now: int) -> None:
        program = next(self._coming, None)
        if program is not None:
            self._next = program
            self._last += 1
            heapq.heappush(self.events, (max(now, program.arrival_us), self._last, None, 0))

    def _begin(self, now: int) -> None:
        program = self._next
        self._last += 1
        run = SimulatedRun(self._last, program)
        self._log.record(now, SimulatedEvent.BEGAN, run.pid)
        self._policy.began(run.pid, program.name, program.tenant, now)
        for index, count in enumerate(run.missing):
            if not count:
                self._later(run, index, 0, now)
        self._draw(now)

    def _later(self, run: SimulatedRun, index: int, waited: int, now: int) -> None:
        call = run.program.calls[index]
        wait = call.wait_us
        if call.align_us:
            wait += -(now + wait) % call.align_us
        run.waits[index] = waited + wait
        if wait:
            self._last += 1
            heapq.heappush(self.events, (now + wait, self._last, run, index))
        else:
            self._ready(run, index, now)

    def _ready(self, run: SimulatedRun, index: int, now: int) -> None:
        self._last += 1
        task = Task(self._last, run, index, run.program.calls[index], now)
        self._log.record(now, SimulatedEvent.READY, task.id)
        if self._watch is not None:
            self._watch.waits(task, 1)
        self._policy.add(task, now)
