"""What a scheduling policy is: an order over waiting jobs. Pure and synchronous: no clock, lock or I/O."""

from __future__ import annotations

import heapq
import itertools
from typing import Protocol


class Job(Protocol):
    """What a policy may know of a request."""

    @property
    def id(self) -> int: ...

    @property
    def pid(self) -> int: ...

    @property
    def priority(self) -> int: ...


class Scheduler(Protocol):
    """Decides which waiting job runs next, and for how long."""

    @property
    def slice(self) -> int | None:
        """Tokens that a job may generate before it is paused; None lets it finish."""

    def __len__(self) -> int:
        """How many jobs wait."""

    def add(self, job: Job) -> None:
        """A job arrives."""

    def next(self) -> Job:
        """Take the job to run now out of the queue. Raises IndexError when none waits."""

    def requeue(self, job: Job) -> None:
        """A job that used up its slice waits again."""

    def remove(self, job: Job) -> bool:
        """Forget a waiting job; whether it was one."""


class ReadyQueue:
    """Waiting jobs by (priority, ticket): larger priorities first, then smaller tickets.

    A heap with lazy deletion: O(log n) in and out, O(1) removal; a removed entry is skipped when it surfaces.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, int]] = []
        self._waiting: dict[int, tuple[int, Job]] = {}
        self._tickets = itertools.count()

    def __len__(self) -> int:
        return len(self._waiting)

    def push(self, job: Job) -> None:
        """Put a job behind all others of its priority."""
        ticket = next(self._tickets)
        self._waiting[job.id] = ticket, job
        heapq.heappush(self._heap, (-job.priority, ticket, job.id))

    def pop(self) -> Job:
        """Take the first job. Raises IndexError when none waits."""
        while True:
            _, ticket, job_id = heapq.heappop(self._heap)
            entry = self._waiting.get(job_id)
            if entry is not None and entry[0] == ticket:
                del self._waiting[job_id]
                return entry[1]

    def remove(self, job: Job) -> bool:
        """Drop a job; whether it waited."""
        return self._waiting.pop(job.id, None) is not None
