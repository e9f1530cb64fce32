"""The simulator: the kernel's policies on a core in virtual time."""

from __future__ import annotations

import gc
import hashlib
import heapq
import math
import sys
from array import array
from collections.abc import Iterable, Iterator
from enum import IntEnum
from typing import cast

from aios.scheduler import Scheduler
from aios.simulate.contexts import Contexts
from aios.simulate.core import Core
from aios.simulate.program import Call, Program, following
from aios.simulate.result import Ended, Result
from aios_syscalls import BadRequest

PROMPT, OUTPUT = 1, 2
"""What a token read and a token written count in the service of a tenant, as VTC weighs them."""


class Kind(IntEnum):
    """What happens; each is a row (time, kind, id) of the log."""

    BEGAN = 1
    READY = 2
    STARTED = 3
    FIRST = 4
    PAUSED = 5
    RESUMED = 6
    DONE = 7
    ENDED = 8


class Task:
    """One call on its way; a Job to the policy."""

    __slots__ = (
        "call", "cold", "context", "end", "id", "index", "left", "paused", "pid", "planned", "priority",
        "program", "prompt", "ready", "run", "tenant", "unread",
    )  # fmt: skip

    def __init__(self, id: int, run: Run, index: int, call: Call, ready: int) -> None:
        program = run.program
        self.id = id
        self.pid = run.pid
        self.priority = program.priority
        self.program = program.name
        self.tenant = program.tenant
        self.prompt = call.prompt
        self.run = run
        self.index = index
        self.call = call
        self.ready = ready
        self.left = call.output
        self.unread = call.prompt
        """Of its prompt, until the policy has been told that it was read."""
        self.cold = call.prompt
        """Tokens to read at its next start."""
        self.context = call.prefix + call.prompt
        self.planned = 0
        self.end = 0
        self.paused = -1


class Run:
    """One program on its way."""

    __slots__ = ("followers", "left", "missing", "pid", "program", "waits")

    def __init__(self, pid: int, program: Program) -> None:
        self.pid = pid
        self.program = program
        self.left = len(program.calls)
        self.missing = [len(call.after) for call in program.calls]
        self.followers = following(program)
        self.waits = [0] * self.left
        """For tools, on the way to each call."""


class Simulation:
    """Runs programs, in order of their arrival, under a policy on `slots` of a core.

    Steps go by in lockstep: each lets every running call write a token, and reads the prompts of those that start.
    `memory` bounds the tokens of contexts; those that leave it are read again, or with `spill` come back from the
    host's memory at the core's restore_us a token. `admit_every` is how many steps pass between two looks at the queue;
    `watch_us` samples what tenants got. Time is whole microseconds; nothing is random.
    """

    def __init__(
        self,
        policy: Scheduler,
        core: Core,
        slots: int,
        *,
        memory: int | None = None,
        spill: bool = False,
        admit_every: int = 1,
        watch_us: int = 0,
        log: bool = False,
    ) -> None:
        self.policy = policy
        self.core = core
        self.slots = slots
        self.contexts = Contexts(memory, getattr(policy, "inside", None)) if memory else None
        self.spill = spill
        self.admit_every = admit_every
        self.watch_us = watch_us
        self.result = Result()
        self._digest = hashlib.sha256() if log else None
        self._rows = array("q")
        self._events: list[tuple[int, int, Run | None, int]] = []
        self._coming: Iterator[Program] = iter(())
        self._last = 0
        """Ids given so far."""
        self._steps = 0
        self._filled = -math.inf
        self._running: list[Task] = []
        self._started: list[Task] = []
        """Those of them that got their slots when the queue was last looked at."""
        self._extra_us = 0.0
        """What their restored contexts add to the next step."""
        self._counts = bool(watch_us) or bool(getattr(policy, "counts", False))
        self._served: dict[str, float] = {}
        self._waiting: dict[str, int] = {}

    def run(self, programs: Iterable[Program], until_us: int | None = None) -> Result:
        """Run to the end, or until a moment. Raises BadRequest where a call needs more memory than there is."""
        self._coming = iter(programs)
        # Nothing here refers in circles, and looking for that among a million calls takes a third of the time.
        collecting = gc.isenabled()
        gc.disable()
        try:
            return self._run(until_us)
        finally:
            if collecting:
                gc.enable()

    def _run(self, until_us: int | None) -> Result:
        self._draw(0)
        now, events, result, core = 0, self._events, self.result, self.core
        policy, running, slots = self.policy, self._running, self.slots
        watched = self.watch_us
        ns = 0
        """Below a microsecond, of the time that steps took."""
        while until_us is None or now < until_us:
            self._arrive(now)
            if running:
                steps = self._steps
                over = [task for task in running if task.end == steps]
                if over:
                    running = self._running = [task for task in running if task.end != steps]
                    for task in over:
                        self._slice_over(task, now)
                    self._arrive(now)
                    running = self._running
            cold = self._fill(now) if len(policy) and len(running) < slots else -1
            if not running:
                later = [events[0][0]] if events else []
                if len(policy) and (wake := policy.wake(now)) is not None:
                    later.append(wake)
                if not later:
                    if len(policy):
                        raise BadRequest(f"a call needs more than the memory of {self.contexts and self.contexts.size}")
                    break
                now = max(now, min(later))
                continue
            if cold >= 0:
                stride, took = 1, core.step(cold, len(running)) + self._extra_us
            else:
                took = core.step(0, len(running))
                stride = self._stride(now, took, watched)
            ns += round(stride * took * 1000)
            now += ns // 1000
            ns %= 1000
            self._steps += stride
            if cold >= 0:
                for task in self._started:
                    if task.left == task.call.output:
                        result.first_us.append(now - task.ready)
                        self._record(now, Kind.FIRST, task.id)
            if self._counts:
                self._count(stride, now)
                if watched and now >= watched:
                    result.sample(now, self._served, self._waiting)
                    watched = now - now % self.watch_us + self.watch_us
        result.makespan_us = now
        if self._digest is not None:
            self._flush()
            result.digest = self._digest.hexdigest()
        return result

    def _stride(self, now: int, took: float, watched: int) -> int:
        """How many steps go by until anything can change: a slice ends, or somebody comes for a free slot."""
        stride = min([task.end for task in self._running]) - self._steps
        if len(self._running) < self.slots:
            if len(self.policy):
                stride = min(stride, int(self._filled) + self.admit_every - self._steps)
            elif self._events:
                stride = min(stride, math.ceil((self._events[0][0] - now) / took))
        if watched:
            stride = min(stride, math.ceil((watched - now) / took))
        return max(1, stride)

    def _arrive(self, now: int) -> None:
        """Let in what has come until now."""
        events = self._events
        while events and events[0][0] <= now:
            time, _, run, index = heapq.heappop(events)
            if run is None:
                self._begin(time)
            else:
                self._ready(run, index, time)

    def _draw(self, now: int) -> None:
        program = next(self._coming, None)
        if program is not None:
            self._next = program
            self._last += 1
            heapq.heappush(self._events, (max(now, program.arrival_us), self._last, None, 0))

    def _begin(self, now: int) -> None:
        program = self._next
        self._last += 1
        run = Run(self._last, program)
        self._record(now, Kind.BEGAN, run.pid)
        self.policy.began(run.pid, program.name, program.tenant, now)
        for index, count in enumerate(run.missing):
            if not count:
                self._later(run, index, 0, now)
        self._draw(now)

    def _later(self, run: Run, index: int, waited: int, now: int) -> None:
        call = run.program.calls[index]
        wait = call.wait_us
        if call.align_us:
            wait += -(now + wait) % call.align_us
        run.waits[index] = waited + wait
        if wait:
            self._last += 1
            heapq.heappush(self._events, (now + wait, self._last, run, index))
        else:
            self._ready(run, index, now)

    def _ready(self, run: Run, index: int, now: int) -> None:
        self._last += 1
        task = Task(self._last, run, index, run.program.calls[index], now)
        self._record(now, Kind.READY, task.id)
        if self.watch_us:
            self._waiting[task.tenant] = self._waiting.get(task.tenant, 0) + 1
        self.policy.add(task, now)

    def _fill(self, now: int) -> int:
        """Give free slots to waiting calls: how many tokens they have to read, or -1 when none took one."""
        policy, running, contexts, steps = self.policy, self._running, self.contexts, self._steps
        if running and steps < self._filled + self.admit_every:
            return -1
        self._filled = steps
        started = self._started = []
        cold = 0
        self._extra_us = 0.0
        while len(running) < self.slots and policy.ready(now):
            if contexts is not None and not contexts.fits(cast(Task, policy.peek(now)), running, steps):
                break
            task = cast(Task, policy.next(now))
            if self.watch_us:
                self._waiting[task.tenant] -= 1
            again = 0
            if contexts is not None:
                again = contexts.take(task, running)
                if self.spill:
                    self._extra_us += self.core.restore_us * again
                else:
                    self.result.recomputed += again
                    cold += again
            self._plan(task, again)
            running.append(task)
            if task.paused == steps:
                continue  # it gave its slot up and got it back
            started.append(task)
            if task.paused < 0:
                cold += task.cold
                self._record(now, Kind.STARTED, task.id)
            else:
                self.result.preemptions += 1
                self._record(now, Kind.RESUMED, task.id)
        return cold if started else -1

    def _plan(self, task: Task, restored: int) -> None:  # noqa: ARG002
        """Set a task's next slice: all of it is for writing, whatever had to be restored before."""
        quantum = self.policy.quantum(task)
        task.planned = task.left if quantum is None or quantum > task.left else quantum
        task.end = self._steps + task.planned

    def _count(self, stride: int, now: int) -> None:
        served, policy = self._served, self.policy
        for task in self._running:
            served[task.tenant] = served.get(task.tenant, 0) + PROMPT * task.unread + OUTPUT * stride
            policy.served(task, task.unread, stride, now)
            task.unread = 0

    def _slice_over(self, task: Task, now: int) -> None:
        policy = self.policy
        task.left -= task.planned
        if not self._counts:
            policy.served(task, task.unread, task.planned, now)
            task.unread = 0
        if task.left:
            if not len(policy):
                self._plan(task, 0)
                self._running.append(task)
                return
            task.paused = self._steps
            if self.contexts is not None:
                self.contexts.rest(task.pid, task.context + task.call.output - task.left)
            self._record(now, Kind.PAUSED, task.id)
            if self.watch_us:
                self._waiting[task.tenant] += 1
            policy.requeue(task, now)
            return
        self._record(now, Kind.DONE, task.id)
        policy.done(task, now)
        run = task.run
        run.left -= 1
        self.result.calls += 1
        if self.contexts is not None:
            self.contexts.rest(task.pid, task.context + task.call.output)
        index = task.index
        waited = run.waits[index]
        for each in run.followers[index]:
            run.missing[each] -= 1
            if waited > run.waits[each]:
                run.waits[each] = waited
            if not run.missing[each]:
                self._later(run, each, run.waits[each], now)
        if not run.left:
            if self.contexts is not None:
                self.contexts.drop(run.pid)
            policy.ended(run.pid, now)
            self._record(now, Kind.ENDED, run.pid)
            program = run.program
            net = now - program.arrival_us - waited
            self.result.ended.append(Ended(program, net, now))

    def _record(self, now: int, kind: Kind, number: int) -> None:
        self.result.events += 1
        if self._digest is not None:
            self._rows.extend((now, kind, number))
            if len(self._rows) > 1 << 16:
                self._flush()

    def _flush(self) -> None:
        if self._digest is not None:
            if sys.byteorder == "big":
                self._rows.byteswap()
            self._digest.update(self._rows.tobytes())
            self._rows = array("q")
