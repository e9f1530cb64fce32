"""What a scheduling policy is: an order over waiting jobs. Pure and synchronous: no clock, lock or I/O.

Time reaches a policy as the argument `now`, whole microseconds since any fixed moment; service is in tokens.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Mapping
from typing import Protocol


class Job(Protocol):
    """What a policy may know of a request."""

    @property
    def id(self) -> int: ...

    @property
    def pid(self) -> int:
        """Of the process that asks: one run of a program. 0 is the user, each of whose calls is a run of its own."""

    @property
    def priority(self) -> int: ...

    @property
    def program(self) -> str:
        """The agent's name, under which its runs are learnt about."""

    @property
    def tenant(self) -> str:
        """On whose behalf it runs; fairness is between these."""

    @property
    def prompt(self) -> int:
        """Tokens to read before the first is written, as far as anybody can tell before it runs."""


class Scheduler(Protocol):
    """Decides which waiting job runs next, and for how long; is told what arrives, is served and ends.

    A job is `add`ed, and then taken by `next` and `requeue`d in turn until it is `done`. `served` tells, after each
    slice at the latest, what it got. `began` and `ended` frame the runs of programs; a run whose beginning nobody
    told begins with its first job.
    """

    @property
    def slice(self) -> int | None:
        """Tokens that a job may generate before it is paused; None lets it finish."""

    def __len__(self) -> int:
        """How many jobs wait."""

    def add(self, job: Job, now: int = 0) -> None:
        """A job arrives."""

    def peek(self, now: int = 0) -> Job:
        """The job that `next` would take. Raises IndexError when none waits."""

    def next(self, now: int = 0) -> Job:
        """Take the job to run now out of the queue. Raises IndexError when none waits."""

    def quantum(self, job: Job) -> int | None:
        """Tokens that the job taken may generate before it is paused, if others do not get the same."""

    def served(self, job: Job, prefill: int, decode: int, now: int = 0) -> None:
        """A job has read so many tokens and written so many; what is read again to restore it does not count."""

    def requeue(self, job: Job, now: int = 0) -> None:
        """A job that used up its slice waits again."""

    def remove(self, job: Job) -> bool:
        """Forget a waiting job; whether it was one."""

    def done(self, job: Job, now: int = 0) -> None:
        """A job that does not wait has ended, well or not."""

    def began(self, pid: int, program: str, tenant: str, now: int = 0) -> None:
        """A run of a program begins."""

    def ended(self, pid: int, now: int = 0) -> None:
        """It has ended."""


class Maker(Protocol):
    """Makes a policy's scheduler for a lane."""

    def __call__(self, slice: int, /, slots: int = 1, weights: Mapping[str, float] | None = None) -> Scheduler:
        """For slices of so many tokens, a core of so many slots, and tenants' weights, which are 1 unless given."""


class Deaf:
    """The hooks of a policy that wants to hear nothing."""

    slice: int | None = None

    def quantum(self, job: Job) -> int | None:  # noqa: ARG002
        return self.slice

    def served(self, job: Job, prefill: int, decode: int, now: int = 0) -> None:
        pass

    def done(self, job: Job, now: int = 0) -> None:
        pass

    def began(self, pid: int, program: str, tenant: str, now: int = 0) -> None:
        pass

    def ended(self, pid: int, now: int = 0) -> None:
        pass


class ReadyQueue(Deaf):
    """Waiting jobs by (priority, key, ticket): larger priorities first, then smaller keys, then smaller tickets.

    A heap with lazy deletion: O(log n) in and out, O(1) removal; a removed entry is skipped when it surfaces.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[float, float, int, int]] = []
        self._waiting: dict[int, tuple[int, Job]] = {}
        self._tickets = itertools.count()

    def __len__(self) -> int:
        return len(self._waiting)

    def push(self, job: Job, key: float = 0.0, level: float | None = None) -> None:
        """Put a job behind all others of its key and of its priority, or of the level that stands in for that."""
        ticket = next(self._tickets)
        self._waiting[job.id] = ticket, job
        heapq.heappush(self._heap, (-job.priority if level is None else level, key, ticket, job.id))

    def peek(self, now: int = 0) -> Job:  # noqa: ARG002
        while True:
            _, _, ticket, job_id = self._heap[0]
            entry = self._waiting.get(job_id)
            if entry is not None and entry[0] == ticket:
                return entry[1]
            heapq.heappop(self._heap)

    def next(self, now: int = 0) -> Job:  # noqa: ARG002
        heap, waiting = self._heap, self._waiting
        while True:
            _, _, ticket, job_id = heapq.heappop(heap)
            entry = waiting.get(job_id)
            if entry is not None and entry[0] == ticket:
                del waiting[job_id]
                return entry[1]

    def remove(self, job: Job) -> bool:
        """Drop a job; whether it waited."""
        return self._waiting.pop(job.id, None) is not None
