"""What a scheduling policy is: an order over waiting jobs. Pure and synchronous: no clock, lock or I/O.

Time reaches a policy as the argument `now`, whole microseconds since any fixed moment; service is in tokens.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Mapping
from typing import Protocol

from aios.scheduler.histogram import ServiceDistributions


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

    @property
    def context(self) -> int:
        """Tokens that are in its context before it writes: its prompt, and what went before that. Just as far."""

    @property
    def graph_id(self) -> int:
        """Of the graph that it is a node of: an id that no other graph and no call has; 0 outside of graphs."""

    @property
    def critical_path_depth(self) -> int:
        """The nodes on the longest way from it to an end of its graph, itself included; 0 outside of graphs."""


class Scheduler(Protocol):
    """A queue of jobs: decides which waiting job runs next, and for how long.

    A job is `add`ed, and then taken by `next` and `requeue`d in turn until it is `done`.
    """

    @property
    def slice(self) -> int | None:
        """Tokens that a job may generate before it is paused; None lets it finish."""

    def __len__(self) -> int:
        """How many jobs wait."""

    def ready(self, now: int = 0) -> bool:
        """Whether one waits that `next` would give."""

    def add(self, job: Job, now: int = 0) -> None:
        """A job arrives."""

    def peek(self, now: int = 0) -> Job:
        """The job that `next` would take. Raises IndexError when none waits."""

    def next(self, now: int = 0) -> Job:
        """Take the job to run now out of the queue. Raises IndexError when none waits."""

    def quantum(self, job: Job) -> int | None:
        """Tokens that the job taken may generate before it is paused, if others do not get the same."""

    def would_preempt(self, job: Job, tokens: int, now: int = 0) -> bool:
        """Whether one that waits would go before the job taken, were that paused after so many tokens of its slice."""

    def requeue(self, job: Job, now: int = 0) -> None:
        """A job that used up its slice waits again."""

    def remove(self, job: Job) -> bool:
        """Forget a waiting job, or one that is suspended; whether it was one."""

    def done(self, job: Job, now: int = 0) -> None:
        """A job that does not wait has ended, well or not."""


class ProgramEvents(Protocol):
    """What a policy about whole programs is told. A run whose beginning nobody told begins with its first job."""

    @property
    def wants_per_step(self) -> bool:
        """Whether it is told of each token that is served, where that costs nothing, rather than of each slice."""

    def began(self, pid: int, program: str, tenant: str, now: int = 0) -> None:
        """A run of a program begins."""

    def served(self, job: Job, prefill: int, decode: int, now: int = 0) -> None:
        """A job has read so many tokens and written so many, told after each slice at the latest.

        What is read again to restore it does not count.
        """

    def ended(self, pid: int, now: int = 0) -> None:
        """A run has ended."""


class Suspendable(Protocol):
    """Lets jobs be left out for a while, and says by when they must not be."""

    def suspend(self, job: Job) -> None:
        """Leave a waiting job out until it is resumed: it does not wait, and keeps its place."""

    def resume(self, job: Job, now: int = 0) -> None:
        """A job that was suspended waits again, where it did."""

    def deadline_of(self, job: Job) -> int | None:
        """From when on a job that waits, or is suspended, goes before all others, if the policy has such a cap."""

    def next_wakeup(self, now: int = 0) -> int | None:
        """When to ask again whether one is ready, if none is and none comes or stops before; None: no need."""


class SchedulingPolicy(Scheduler, ProgramEvents, Suspendable, Protocol):
    """What a lane needs of a policy: a queue that is told of programs, and can leave jobs out."""


class Maker(Protocol):
    """Makes a policy's scheduler for a lane."""

    def __call__(
        self,
        slice: int,
        /,
        slots: int = 1,
        weights: Mapping[str, float] | None = None,
        learnt: ServiceDistributions | None = None,
    ) -> SchedulingPolicy:
        """For slices of so many tokens, and a core of so many slots.

        Tenants weigh 1 unless weights are given; of programs nothing is known unless it was learnt before.
        """


class PolicyBase:
    """The hooks of a policy that wants to hear nothing."""

    slice: int | None = None
    wants_per_step: bool = False

    def __len__(self) -> int:
        raise NotImplementedError

    def ready(self, now: int = 0) -> bool:  # noqa: ARG002
        return len(self) > 0

    def next_wakeup(self, now: int = 0) -> int | None:  # noqa: ARG002
        return None

    def deadline_of(self, job: Job) -> int | None:  # noqa: ARG002
        return None

    def quantum(self, job: Job) -> int | None:  # noqa: ARG002
        return self.slice

    def would_preempt(self, job: Job, tokens: int, now: int = 0) -> bool:  # noqa: ARG002
        return len(self) > 0

    def served(self, job: Job, prefill: int, decode: int, now: int = 0) -> None:
        pass

    def done(self, job: Job, now: int = 0) -> None:
        pass

    def began(self, pid: int, program: str, tenant: str, now: int = 0) -> None:
        pass

    def ended(self, pid: int, now: int = 0) -> None:
        pass


Entry = tuple[float, float, int, int]
"""Of a waiting job: level, key, ticket and id."""


class ReadyQueue(PolicyBase):
    """Waiting jobs by (priority, key, ticket): larger priorities first, then smaller keys, then smaller tickets.

    A heap with lazy deletion: O(log n) in and out, O(1) removal; a removed entry is skipped when it surfaces.
    """

    def __init__(self) -> None:
        self._heap: list[Entry] = []
        self._waiting: dict[int, tuple[Entry, Job]] = {}
        self._held: dict[int, tuple[Entry, Job]] = {}
        self._tickets = itertools.count()

    def __len__(self) -> int:
        return len(self._waiting)

    def push(self, job: Job, key: float = 0.0, level: float | None = None) -> None:
        """Put a job behind all others of its key and of its priority, or of the level that stands in for that."""
        entry = (-job.priority if level is None else level, key, next(self._tickets), job.id)
        self._waiting[job.id] = entry, job
        heapq.heappush(self._heap, entry)

    def peek(self, now: int = 0) -> Job:  # noqa: ARG002
        while True:
            entry = self._heap[0]
            found = self._waiting.get(entry[3])
            if found is not None and found[0] == entry:
                return found[1]
            heapq.heappop(self._heap)

    def next(self, now: int = 0) -> Job:  # noqa: ARG002
        heap, waiting = self._heap, self._waiting
        while True:
            entry = heapq.heappop(heap)
            found = waiting.get(entry[3])
            if found is not None and found[0] == entry:
                del waiting[entry[3]]
                return found[1]

    def remove(self, job: Job) -> bool:
        """Drop a job; whether it waited, or was held back."""
        found = self._waiting.pop(job.id, None) or self._held.pop(job.id, None)
        return found is not None

    def suspend(self, job: Job) -> None:
        self._held[job.id] = self._waiting.pop(job.id)

    def resume(self, job: Job, now: int = 0) -> None:  # noqa: ARG002
        entry, _ = self._waiting[job.id] = self._held.pop(job.id)
        heapq.heappush(self._heap, entry)
