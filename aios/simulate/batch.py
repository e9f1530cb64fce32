"""The calls that hold the slots of a simulated core: who gets one, for how long, and what memory it finds."""

from __future__ import annotations

import math
from typing import cast

from aios.scheduler import Quantum, SchedulingPolicy
from aios.simulate.contexts import SimulatedMemory
from aios.simulate.log import SimulatedEvent, SimulationLog
from aios.simulate.result import Result
from aios.simulate.task import Task
from aios.simulate.watch import SimulationWatch


class SlotBatch:
    """Gives slots to waiting calls in the policy's order, slice by slice; all of them write in lockstep."""

    def __init__(
        self,
        policy: SchedulingPolicy,
        slots: int,
        admit_every: int,
        contexts: SimulatedMemory | None,
        quantum: Quantum | None,
        result: Result,
        log: SimulationLog,
        watch: SimulationWatch | None,
    ) -> None:
        self.slots, self.admit_every = slots, admit_every
        self.steps = 0
        """That have gone by."""
        self.running: list[Task] = []
        self.started: list[Task] = []
        """Those of them that got their slots when the queue was last looked at."""
        self.filled = -math.inf
        """The step at which that was."""
        self.cold = 0
        """Tokens that those have to read before they write."""
        self.restored = 0
        """Tokens of theirs that come back from the host's memory."""
        self.wants_per_step = watch is not None or policy.wants_per_step
        """Whether service is told step by step."""
        self._policy, self._contexts, self._quantum = policy, contexts, quantum
        self._result, self._log, self._watch = result, log, watch

    def fill(self, now: int) -> bool:
        """Give free slots to waiting calls; whether one took one."""
        policy, running, contexts, steps = self._policy, self.running, self._contexts, self.steps
        if running and steps < self.filled + self.admit_every:
            return False
        self.filled = steps
        started = self.started = []
        self.cold = self.restored = 0
        while len(running) < self.slots and policy.ready(now):
            if contexts is not None and not contexts.fits(cast(Task, policy.peek(now)), running, steps):
                break
            task = cast(Task, policy.next(now))
            if self._watch is not None:
                self._watch.waits(task, -1)
            again = 0
            if contexts is not None:
                again = contexts.take(task, running)
                if contexts.spill:
                    self.restored += again
                else:
                    self._result.recomputed += again
                    self.cold += again
            self.plan(task, again, now)
            running.append(task)
            if task.paused == steps:
                continue  # it gave its slot up and got it back
            started.append(task)
            if task.paused < 0:
                self.cold += task.cold
                self._log.record(now, SimulatedEvent.STARTED, task.id)
            else:
                self._result.preemptions += 1
                self._log.record(now, SimulatedEvent.RESUMED, task.id)
        return bool(started)

    def plan(self, task: Task, restored: int, now: int) -> None:  # noqa: ARG002
        """Set a task's next slice: all of it is for writing, whatever had to be restored before."""
        tokens = self._policy.quantum(task)
        if self._quantum is not None and tokens is not None:
            tokens = self._quantum.next(tokens)
            task.since = now
        task.planned = task.left if tokens is None or tokens > task.left else tokens
        task.end = self.steps + task.planned

    def step(self, stride: int, now: int) -> None:
        """So many steps have gone by until now."""
        self.steps += stride
        if self.wants_per_step:
            for task in self.running:
                if self._watch is not None:
                    self._watch.served(task, task.unread, stride)
                self._policy.served(task, task.unread, stride, now)
                task.unread = 0

    def over(self) -> list[Task]:
        """Take those whose slices have ended out of their slots."""
        steps = self.steps
        over = [task for task in self.running if task.end == steps]
        if over:
            self.running = [task for task in self.running if task.end != steps]
        return over

    def stop(self, task: Task, now: int) -> bool:
        """A slice has ended, and its call waits again, or keeps its slot if no other waits; whether it is done."""
        policy = self._policy
        if self._quantum is not None and task.left < task.call.output:
            self._quantum.observe(task.planned, (now - task.since) / 1e6)
        task.left -= task.planned
        if not self.wants_per_step:
            policy.served(task, task.unread, task.planned, now)
            task.unread = 0
        if not task.left:
            self._log.record(now, SimulatedEvent.DONE, task.id)
            policy.done(task, now)
            if self._contexts is not None:
                self._contexts.rest(task.pid, task.context + task.call.output)
            return True
        if not len(policy):
            self.plan(task, 0, now)
            self.running.append(task)
            return False
        task.paused = self.steps
        if self._contexts is not None:
            self._contexts.rest(task.pid, task.context + task.call.output - task.left)
        self._log.record(now, SimulatedEvent.PAUSED, task.id)
        if self._watch is not None:
            self._watch.waits(task, 1)
        policy.requeue(task, now)
        return False
