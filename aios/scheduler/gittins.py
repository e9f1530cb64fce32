"""For agents: who is likely to be through soonest goes first, and who has waited long enough."""

from __future__ import annotations

import heapq

from aios.scheduler.base import Job
from aios.scheduler.histogram import ServiceDistributions
from aios.scheduler.output_lengths import OutputLengths
from aios.scheduler.programs import PREFILL, Program, ProgramQueue
from aios.scheduler.round_robin import sliced
from aios.scheduler.utilization import Utilization

BETA = 8.0
USUAL = 4
"""How many times the mean length a usual call is."""
T_MAX_US = 120_000_000


class Gittins(ProgramQueue):
    """Runs by the Gittins index of their program's learnt service, and by when they arrived.

    The key is arrival + index / alpha, the index being time on a slot: the order of index + alpha * arrival, so that
    a large alpha is program FCFS. The index is the best order for the mean where totals are known as distributions
    (Gittins, 1989; on more than one server nearly, Scully et al., 2020); adding the arrival guards the tail, as boost
    policies do (Yu and Scully, 2024). Alpha follows the load (load.py). Runs of which nothing is known go by arrival.

    Cap: a call that has waited `t_max_us` and `beta` times the slot time of its run, what it had or what its program
    takes in the mean if that is more, goes before all others, of whatever priority, the longest overdue first. So it
    waits no longer than that, and for those that are overdue before it and for a slot.
    """

    def __init__(
        self,
        slice: int,
        slots: int = 1,
        *,
        learnt: ServiceDistributions | None = None,
        load: Utilization | None = None,
        beta: float = BETA,
        t_max_us: int = T_MAX_US,
    ) -> None:
        super().__init__(sliced(slice))
        self.learnt = learnt or ServiceDistributions()
        self.load = load or Utilization(slots)
        self._beta = beta
        self._t_max_us = t_max_us
        self._taken: dict[int, int] = {}
        """When each running job got its slot."""
        self._due: dict[int, int] = {}
        """Until when each waiting job may wait, and each that is held back."""
        self._dues: list[tuple[int, int]] = []
        self._answers = OutputLengths()

    def quantum(self, job: Job) -> int | None:
        # Usual calls run through: half a call is work without a reply, and what a run does between calls (a tool, a
        # person) goes on while others have the slot. A pause is for the unusually long.
        return max(self.slice or 1, self._answers.times(job.program, USUAL))

    def key(self, program: Program) -> float:
        load = self.load
        rank = self.learnt.rank(program.name, program.served)
        return program.arrival + max(rank, 0.0) * load.us_per_token / load.alpha

    def requeue(self, job: Job, now: int = 0) -> None:
        self._leave(job, now)
        super().requeue(job, now)
        program = self._programs[job.pid or -job.id]
        usual = int(self.learnt.mean(program.name) * self.load.us_per_token)
        due = now + int(self._beta * max(program.slot_us, usual)) + self._t_max_us
        self._due[job.id] = due
        heapq.heappush(self._dues, (due, job.id))

    def peek(self, now: int = 0) -> Job:
        dues = self._dues
        while dues and (dues[0][1] not in self._waiting or self._due[dues[0][1]] != dues[0][0]):
            heapq.heappop(dues)
        if dues and dues[0][0] <= now:
            return self._waiting[dues[0][1]]
        return super().peek(now)

    def next(self, now: int = 0) -> Job:
        job = super().next(now)
        del self._due[job.id]
        self._taken[job.id] = now
        self.load.took(now)
        return job

    def would_preempt(self, job: Job, tokens: int, now: int = 0) -> bool:
        if super().would_preempt(job, tokens, now):
            return True
        first = self._due.get(self.peek(now).id) if self._waiting else None
        return first is not None and first <= now

    def deadline_of(self, job: Job) -> int | None:
        return self._due.get(job.id)

    def remove(self, job: Job) -> bool:
        self._due.pop(job.id, None)
        return super().remove(job)

    def resume(self, job: Job, now: int = 0) -> None:
        super().resume(job, now)
        heapq.heappush(self._dues, (self._due[job.id], job.id))

    def served(self, job: Job, prefill: int, decode: int, now: int = 0) -> None:
        self.load.served(prefill * PREFILL + decode)
        self._answers.wrote(job.program, decode)
        super().served(job, prefill, decode, now)

    def done(self, job: Job, now: int = 0) -> None:
        self._answers.ended(job.program)
        self._leave(job, now)
        super().done(job, now)

    def forget(self, program: Program) -> None:
        super().forget(program)
        if program.served:
            self.learnt.add(program.name, program.served)

    def _leave(self, job: Job, now: int) -> None:
        taken = self._taken.pop(job.id, None)
        if taken is not None:
            self.program(job, now).slot_us += now - taken
            self.load.left(now, now - taken)
