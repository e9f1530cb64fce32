"""What policies about whole programs have in common: a queue of runs, each with its waiting jobs."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field

from aios.scheduler.base import Job, PolicyBase

PREFILL = 0.1
"""What reading a token costs, in tokens written: engines read in batches."""
SPARE = 1_000
"""Outdated entries that a queue may keep beside as many as it has runs."""


Turn = tuple[int, bool, int, int, int]
"""Of a waiting job among those of its run: -priority, whether it is new, when its graph came, -depth and id."""


@dataclass(slots=True, eq=False)
class Program:
    """One run of a program: since when, what it got, and its jobs that wait."""

    id: int
    name: str
    arrival: int
    served: float = 0.0
    """Service attained, in tokens written."""
    jobs: list[Turn] = field(default_factory=list)
    """A heap; those that were removed are still in it."""
    entry: tuple[int, float, int, int] | None = None
    """Its valid entry in the queue."""
    calls: int = 0
    """Its jobs that are not done."""
    over: bool = False
    slot_us: int = 0
    """How long its jobs have held slots."""


class ProgramQueue(PolicyBase):
    """Waiting jobs by (priority, key of their run, arrival); a subclass says what a run's key is.

    Within a run those that have begun go before new ones, graphs and calls outside of them in the order in which they
    came, and in a graph the nodes with the longest way to its end (highest level first, Hu, 1961). A key may change
    whenever its run is served or gets a job. O(log n) for each of these.
    """

    def __init__(self, slice: int | None = None) -> None:
        self.slice = slice
        self._heap: list[tuple[int, float, int, int]] = []
        self._programs: dict[int, Program] = {}
        self._waiting: dict[int, Job] = {}
        self._held: set[int] = set()
        self._begun: set[int] = set()
        """Jobs that have had a slot and are not done."""

    def __len__(self) -> int:
        return len(self._waiting)

    def key(self, program: Program) -> float:
        """Runs with smaller keys go first."""
        raise NotImplementedError

    def add(self, job: Job, now: int = 0) -> None:
        self.program(job, now).calls += 1
        self.requeue(job, now)

    def requeue(self, job: Job, now: int = 0) -> None:
        self._wait(self.program(job, now), job)

    def _wait(self, program: Program, job: Job) -> None:
        self._waiting[job.id] = job
        heapq.heappush(program.jobs, self._order(job))
        self._place(program)

    def _order(self, job: Job) -> Turn:
        """Of its run's jobs, those with smaller ones go first."""
        # A paused job goes before its siblings: a context that is half done is worth more than two begun.
        return -job.priority, job.id not in self._begun, job.graph_id or job.id, -job.critical_path_depth, job.id

    def peek(self, now: int = 0) -> Job:  # noqa: ARG002
        return self._waiting[self._first().jobs[0][-1]]

    def next(self, now: int = 0) -> Job:
        job = self.peek(now)
        self.take(job)
        self._begun.add(job.id)
        return job

    def take(self, job: Job) -> None:
        """Take a waiting job out, and move its run to where its next one belongs."""
        del self._waiting[job.id]
        self._place(self._programs[job.pid or -job.id])

    def remove(self, job: Job) -> bool:
        if job.id in self._held:
            self._held.remove(job.id)
            return True
        if self._waiting.get(job.id) is None:
            return False
        self.take(job)
        return True

    def suspend(self, job: Job) -> None:
        self.take(job)
        self._held.add(job.id)

    def resume(self, job: Job, now: int = 0) -> None:
        self._held.remove(job.id)
        self._wait(self.program(job, now), job)

    def would_preempt(self, job: Job, tokens: int, now: int = 0) -> bool:
        if not self._waiting:
            return False
        program = self.program(job, now)
        before = program.served
        program.served += tokens  # its siblings would wait with the same key
        self._place(program)
        first, own = self._first(), (-job.priority, self.key(program), job.id)
        if first is program:
            passed = program.jobs[0] < self._order(job)
        else:
            passed = first.entry is not None and first.entry[:3] < own
        program.served = before
        self._place(program)
        return passed

    def served(self, job: Job, prefill: int, decode: int, now: int = 0) -> None:
        program = self.program(job, now)
        program.served += prefill * PREFILL + decode
        self._place(program)

    def done(self, job: Job, now: int = 0) -> None:
        self._begun.discard(job.id)
        program = self.program(job, now)
        program.calls -= 1
        if program.calls <= 0 and (program.over or not job.pid):
            self.forget(program)

    def began(self, pid: int, program: str, tenant: str, now: int = 0) -> None:  # noqa: ARG002
        self._programs.setdefault(pid, Program(pid, program, now))

    def ended(self, pid: int, now: int = 0) -> None:  # noqa: ARG002
        program = self._programs.get(pid)
        if program is not None:
            program.over = True
            if program.calls <= 0:
                self.forget(program)

    def forget(self, program: Program) -> None:
        """A run has ended, and so has the last of its jobs."""
        del self._programs[program.id]

    def program(self, job: Job, now: int) -> Program:
        """The run that a job belongs to."""
        number = job.pid or -job.id
        program = self._programs.get(number)
        if program is None:
            program = self._programs[number] = Program(number, job.program, now)
        return program

    def _place(self, program: Program) -> None:
        jobs, waiting = program.jobs, self._waiting
        while jobs and jobs[0][-1] not in waiting:
            heapq.heappop(jobs)
        if not jobs:
            program.entry = None
            return
        entry = (jobs[0][0], self.key(program), jobs[0][-1], program.id)
        if entry != program.entry:
            program.entry = entry
            heapq.heappush(self._heap, entry)
            if len(self._heap) > 2 * len(self._programs) + SPARE:
                self._heap = [each.entry for each in self._programs.values() if each.entry is not None]
                heapq.heapify(self._heap)

    def _first(self) -> Program:
        heap, programs = self._heap, self._programs
        while True:
            entry = heap[0]
            program = programs.get(entry[3])
            if program is not None and program.entry == entry:
                return program
            heapq.heappop(heap)
