"""Memory as a resource: which calls wait until their run's context has a place in it."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from itertools import islice

from aios.scheduler.base import Job, SchedulingPolicy
from aios.scheduler.programs import SPARE
from aios.scheduler.resident_set import ResidentSet

LOOK = 64
"""Calls outside among which the policy chooses who comes in next."""
READ_US = 1_000.0
"""What reading a token takes, where nobody knows better."""


class AdmissionControl:
    """Any policy, for as many programs at once as have their contexts in `capacity`, in tokens (see `ResidentSet`).

    | state of a run | event                                          | next state                            |
    |----------------|------------------------------------------------|---------------------------------------|
    | absent         | a call comes that fits                         | resident; the call goes in the policy's order |
    | absent         | a call comes that does not fit                 | waiting, or in the backlog behind LOOK others |
    | backlog        | one of the LOOK that wait has come in          | waiting                               |
    | waiting        | its call fits, and is first in the policy's order | resident                           |
    | waiting        | its call is due by the policy's cap            | resident; whatever does not run is paused |
    | resident       | it needs more than there is                    | resident; others are paused, the idle first |
    | resident       | another needs the place, and no call of it runs | absent, its context dropped last of all tiers |
    | resident       | it ends                                        | absent                                |

    No call passes a waiting one of its priority for being smaller. A resident run pauses first runs between their calls
    whose time is over, then others between their calls, then those whose calls wait, the smallest first. A waiting run
    pauses only those between their calls whose time is over, and any of less priority; all that do not run, if its
    call is due, or if no resident call can go and none is about to come. A call that is due and does not fit lets no
    other begin, so the cap holds but for the calls that run. Only what a running call writes beyond what is usual can
    exceed the capacity, until it pauses. What is larger than the capacity runs alone.

    O(log n) where there is room. Without, each call is held back once as it comes; a look is O(those inside), and
    O(LOOK * log n) when the first outside fits: the policy then chooses among LOOK, which are joined by others in the
    order in which they were held back.
    """

    def __init__(
        self,
        inner: SchedulingPolicy,
        capacity: int,
        read_us: float | Callable[[], float] = READ_US,
        takes: Callable[[int], int] = int,
        on_left: Callable[[int], None] = lambda _pid: None,
    ) -> None:
        if capacity < 1:
            raise ValueError(f"a memory of {capacity} tokens has room for no context; give 1 or more")
        self.inner = inner
        self.wants_per_step = inner.wants_per_step
        self.places = ResidentSet(capacity, read_us if callable(read_us) else lambda: read_us, takes, on_left)
        self._waiting: dict[int, Job] = {}
        """Calls held back until their run comes in, LOOK of them, in the policy's order when it was last asked."""
        self._backlog: dict[int, Job] = {}
        """The others, which come to be among these as they came."""
        self._short: dict[int, Job] = {}
        """Calls of runs inside held back until another stops."""
        self._held = (self._short, self._waiting, self._backlog)
        self._first: Job | None = None
        """The first outside, for whose run there was no place; it is not passed."""
        self._found: tuple[int, Job | None] | None = None
        """What was found, and when, until anything changes: `ready`, `peek` and `next` are to say the same."""
        self._dues: list[tuple[int, int]] = []
        """When calls that are held back are due by the policy's cap, and their ids; a heap."""

    @property
    def slice(self) -> int | None:
        return self.inner.slice

    def __len__(self) -> int:
        return len(self.inner) + sum(map(len, self._held))

    def resident(self, pid: int) -> bool:
        """Whether a run's context has its place."""
        return self.places.resident(pid)

    def ready(self, now: int = 0) -> bool:
        return self._choice(now) is not None

    def peek(self, now: int = 0) -> Job:
        job = self._choice(now)
        if job is None:
            raise IndexError("none waits that fits")
        return job

    def next(self, now: int = 0) -> Job:
        job = self.peek(now)
        self._found = None
        self.places.enter(job, now, due=self._due(job, now))
        return self.inner.next(now)

    def next_wakeup(self, now: int = 0) -> int | None:
        """When the next call that is held back is due, or the next place is no longer worth keeping for it."""
        if not any(self._held):
            return self.inner.next_wakeup(now)
        due = self._dues[0][0] if self._dues else None
        return min(
            (at for at in (due, self.places.over(now), self.inner.next_wakeup(now)) if at is not None), default=None
        )

    def quantum(self, job: Job) -> int | None:
        return self.inner.quantum(job)

    def would_preempt(self, job: Job, tokens: int, now: int = 0) -> bool:
        return bool(self._short) or self.inner.would_preempt(job, tokens, now)

    def deadline_of(self, job: Job) -> int | None:
        return self.inner.deadline_of(job)

    def add(self, job: Job, now: int = 0) -> None:
        self._found = None
        self.places.came(job, now)
        self.inner.add(job, now)

    def served(self, job: Job, prefill: int, decode: int, now: int = 0) -> None:
        self._found = None
        self.inner.served(job, prefill, decode, now)
        self.places.served(job, decode, now)

    def requeue(self, job: Job, now: int = 0) -> None:
        self._found = None
        self._stop(job, now)
        self.inner.requeue(job, now)

    def remove(self, job: Job) -> bool:
        self._found = None
        for held in self._held:
            held.pop(job.id, None)
        return self.inner.remove(job)

    def suspend(self, job: Job) -> None:
        self._found = None
        self.inner.suspend(job)

    def resume(self, job: Job, now: int = 0) -> None:
        self._found = None
        self.inner.resume(job, now)

    def done(self, job: Job, now: int = 0) -> None:
        self._found = None
        self._stop(job, now)
        self.places.done(job, now)
        self.inner.done(job, now)

    def began(self, pid: int, program: str, tenant: str, now: int = 0) -> None:
        self.inner.began(pid, program, tenant, now)

    def ended(self, pid: int, now: int = 0) -> None:
        self._found = None
        self.places.ended(pid)
        self.inner.ended(pid, now)

    def _choice(self, now: int) -> Job | None:
        if self._found is None or self._found[0] != now:
            self._found = now, self._find(now)
        return self._found[1]

    def _find(self, now: int) -> Job | None:
        """The first call in the policy's order that fits; those before it are held back."""
        self._look_again(now)
        while len(self.inner) or self._join(LOOK, now):
            job = self.inner.peek(now)
            if self._fits(job, now):
                return job
            due = self.inner.deadline_of(job)
            if due is not None and due <= now:
                return None if self.places.running else job
            if self.resident(self.places.of(job).id):
                self._short[job.id] = job
            elif len(self._waiting) < LOOK:
                self._waiting[job.id] = job
                self._first = self._first or job
            else:
                self._backlog[job.id] = job
            self.inner.suspend(job)
            if due is not None:
                self._note(due, job)
        if self.places.running:
            return None
        outside = () if self.places.over(now) else (self._waiting, self._backlog)
        for held in (self._short, *outside):
            if held:  # whoever is first, lest the core be idle for longer than it pays
                return self._release(held, next(iter(held)), now)
        return None

    def _look_again(self, now: int) -> None:
        """Give back to the policy what is due, and LOOK from outside when the first of them fits, or is gone."""
        first = self._first
        if first is not None and (first.id not in self._waiting or self._fits(first, now)):
            self._first = None
            free = LOOK - len(self._waiting)
            for job_id in list(self._waiting):
                self._release(self._waiting, job_id, now)
            self._join(free, now)
        while self._dues and self._dues[0][0] <= now:
            job_id = heapq.heappop(self._dues)[1]
            for held in self._held:
                if job_id in held:
                    self._release(held, job_id, now)

    def _join(self, count: int, now: int) -> bool:
        """Give back to the policy so many of those that it did not choose among, if those came in."""
        joining = [] if self._first is not None else list(islice(self._backlog, count))
        for job_id in joining:
            self._release(self._backlog, job_id, now)
        return bool(joining)

    def _note(self, due: int, job: Job) -> None:
        if len(self._dues) > 2 * sum(map(len, self._held)) + SPARE:
            # Whoever is held back again is noted again.
            self._dues = sorted({each for each in self._dues if any(each[1] in held for held in self._held)})
        heapq.heappush(self._dues, (due, job.id))

    def _release(self, held: dict[int, Job], job_id: int, now: int) -> Job:
        job = held.pop(job_id)
        self.inner.resume(job, now)
        return job

    def _due(self, job: Job, now: int) -> bool:
        due = self.inner.deadline_of(job)
        return due is not None and due <= now

    def _fits(self, job: Job, now: int) -> bool:
        first, due = self._first, self._due(job, now)
        passes = first is None or first is job or job.priority > first.priority
        if not (passes or due or self.resident(self.places.of(job).id)):
            return False
        return self.places.fits(job, now, due=due)

    def _stop(self, job: Job, now: int) -> None:
        """A call gives its slot back, if it had one; those inside that were held back look again."""
        if self.places.stop(job, now):
            for job_id in list(self._short):
                self._release(self._short, job_id, now)
