"""Memory as a resource: whose contexts are in it, and whose calls wait until there is room."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field

from aios.scheduler.base import Job, Scheduler
from aios.scheduler.pauses import Pauses

FADE = 1_000
"""Calls after which the mean length of answers forgets half."""


@dataclass(slots=True, eq=False)
class Guest:
    """A run of a program, and its context."""

    id: int
    name: str
    priority: int = 0
    inside: bool = False
    """Whether its context is in memory."""
    tokens: int = 0
    """Of its last call's context, while none of its calls is under way."""
    active: dict[int, int] = field(default_factory=dict)
    """Calls that have begun and are not done -> tokens of their contexts, with what they are expected to write."""
    calls: int = 0
    """In the lane: waiting, running or held back."""
    running: int = 0
    since: int = -1
    """When the last of its calls was done; -1 while it has any."""
    until: int = 0
    """When its context has not been worth its place any more."""
    over: bool = False

    @property
    def size(self) -> int:
        """Tokens that it takes, or would."""
        return sum(self.active.values()) if self.active else self.tokens


class Room:
    """Any policy, for as many programs at once as have their contexts in `capacity` tokens.

    A run comes in with its first call that fits beside those that are in, and stays until it ends or is paused as a
    whole. Calls of those outside wait; who is first of them in the policy's order comes in first, and none passes it
    because it is smaller, so nobody starves of others' size. Calls of those inside go on in the policy's order.

    Between its calls a run keeps its place for as long as that pays: reading c tokens again holds up all that memory
    could do for c * `read_us`, keeping them through a pause of t takes c of the capacity for t, so the pause that is
    worth it is read_us * capacity, whatever c is (InferCept, Abhyankar et al., ICML 2024); for how long to bet on it
    is what `Pauses` knows (Continuum, Li et al., 2025). After that it goes when others need the place.

    Those inside that need more pause others: first those that are between calls, whose time is over and then the
    smallest, then those whose calls only wait, the smallest first; never one that runs. Those outside do so where
    nothing runs, to those of less priority, and where the policy's cap is over for them. What is larger than the
    capacity runs alone.

    A decision is O(log n) while there is room; a place that becomes free has all that wait outside looked at again.
    """

    def __init__(self, inner: Scheduler, capacity: int, read_us: float) -> None:
        if capacity < 1:
            raise ValueError(f"a memory of {capacity} tokens has room for no context; give 1 or more")
        self.inner = inner
        self.capacity = capacity
        self.counts = bool(getattr(inner, "counts", False))
        self.pauses = Pauses(read_us * capacity)
        self.used = 0
        """Tokens that the contexts of those inside take."""
        self._guests: dict[int, Guest] = {}
        self._inside: dict[int, Guest] = {}
        self._written: dict[int, int] = {}
        self._running: set[int] = set()
        self._held: dict[int, Job] = {}
        self._dues: list[tuple[int, int]] = []
        self._first: Job | None = None
        """The first of those outside that did not fit."""
        self._lengths: dict[str, tuple[int, int]] = {}
        """Of each program: tokens that its calls have written, and how many calls ended."""

    @property
    def slice(self) -> int | None:
        return self.inner.slice

    def __len__(self) -> int:
        return len(self.inner) + len(self._held)

    def inside(self, pid: int) -> bool:
        """Whether a run's context has its place."""
        return pid in self._inside

    def ready(self, now: int = 0) -> bool:
        return self._find(now) is not None

    def peek(self, now: int = 0) -> Job:
        job = self._find(now)
        if job is None:
            raise IndexError("none waits that fits")
        return job

    def next(self, now: int = 0) -> Job:
        job = self.peek(now)
        guest = self._guest(job)
        self._make_room(guest, job, now)
        guest.running += 1
        self._running.add(job.id)
        return self.inner.next(now)

    def quantum(self, job: Job) -> int | None:
        return self.inner.quantum(job)

    def due(self, job: Job) -> int | None:
        return self.inner.due(job)

    def add(self, job: Job, now: int = 0) -> None:
        guest = self._guest(job)
        if guest.since >= 0:
            self.pauses.add(guest.name, now - guest.since)
            guest.since = -1
        guest.priority = job.priority
        guest.calls += 1
        self._written[job.id] = 0
        self.inner.add(job, now)

    def served(self, job: Job, prefill: int, decode: int, now: int = 0) -> None:
        self.inner.served(job, prefill, decode, now)
        tokens, calls = self._lengths.get(job.program, (0, 0))
        self._lengths[job.program] = tokens + decode, calls
        self._written[job.id] += decode
        guest = self._guest(job)
        if job.id in guest.active:
            before = guest.size
            guest.active[job.id] = max(guest.active[job.id], job.context + self._written[job.id])
            self.used += guest.size - before

    def requeue(self, job: Job, now: int = 0) -> None:
        self._stop(job)
        self.inner.requeue(job, now)

    def remove(self, job: Job) -> bool:
        held = self._held.pop(job.id, None) is not None
        return self.inner.remove(job) or held

    def hold(self, job: Job) -> None:
        self.inner.hold(job)

    def release(self, job: Job, now: int = 0) -> None:
        self.inner.release(job, now)

    def done(self, job: Job, now: int = 0) -> None:
        self._stop(job)
        tokens, calls = self._lengths.get(job.program, (0, 0))
        # Old ones fade, as an agent's habits may change.
        self._lengths[job.program] = (tokens, calls + 1) if calls < FADE else (tokens // 2, calls // 2)
        guest = self._guest(job)
        before = guest.size
        guest.calls -= 1
        written = self._written.pop(job.id, 0)
        if guest.active.pop(job.id, None) is not None:
            guest.tokens = job.context + written
        if guest.id in self._inside:
            self.used += guest.size - before
        if guest.calls <= 0:
            guest.since, guest.until = now, now + self.pauses.keep_us(guest.name)
            if guest.over or not job.pid:
                self._forget(guest)
        self.inner.done(job, now)

    def began(self, pid: int, program: str, tenant: str, now: int = 0) -> None:
        self.inner.began(pid, program, tenant, now)

    def ended(self, pid: int, now: int = 0) -> None:
        guest = self._guests.get(pid)
        if guest is not None:
            guest.over = True
            if guest.calls <= 0:
                self._forget(guest)
        self.inner.ended(pid, now)

    def _find(self, now: int) -> Job | None:
        """The first in the policy's order that fits; those before it are held back."""
        self._let_go(now)
        while len(self.inner):
            job = self.inner.peek(now)
            if self._fits(job, now):
                return job
            if self._urgent(job, now):
                return None  # nobody else gets a slot until it fits
            if not self.inside(self._guest(job).id) and self._first is None:
                self._first = job
            self.inner.hold(job)
            self._held[job.id] = job
            due = self.inner.due(job)
            if due is not None:
                heapq.heappush(self._dues, (due, job.id))
        return None

    def _let_go(self, now: int) -> None:
        """Give held calls back to the policy: all when the first fits, those inside, and those overdue."""
        first = self._first
        if first is not None and (first.id not in self._held or self._fits(first, now)):
            self._first = None
            for job in list(self._held.values()):
                self._release(job, now)
        while self._dues and self._dues[0][0] <= now:
            job_id = heapq.heappop(self._dues)[1]
            if job_id in self._held:
                self._release(self._held[job_id], now)

    def _release(self, job: Job, now: int) -> None:
        del self._held[job.id]
        self.inner.release(job, now)

    def _urgent(self, job: Job, now: int) -> bool:
        due = self.inner.due(job)
        return due is not None and due <= now

    def _fits(self, job: Job, now: int) -> bool:
        guest = self._guest(job)
        first = self._first
        inside = guest.id in self._inside
        if not inside and first is not None and first is not job and job.priority <= first.priority:
            if self._running and not self._urgent(job, now):
                return False
        more = self._more(guest, job) - (self.capacity - self.used)
        if more <= 0 or not self._running:
            return True
        return more <= sum(each.size for each in self._victims(guest, job, now))

    def _more(self, guest: Guest, job: Job) -> int:
        """Tokens that a call takes more than its run has already."""
        if job.id in guest.active:
            return 0
        has = guest.tokens if guest.id in self._inside and not guest.active else 0
        return self._needs(job) - has

    def _needs(self, job: Job) -> int:
        tokens, calls = self._lengths.get(job.program, (0, 0))
        usual = tokens // calls if calls else 0
        return job.context + max(usual, self._written[job.id])

    def _victims(self, guest: Guest, job: Job, now: int) -> list[Guest]:
        """Those inside that may be paused for a call, the first to go first."""
        anyone = guest.id in self._inside or not self._running or self._urgent(job, now)
        found = [
            each
            for each in self._inside.values()
            if not each.running
            and each is not guest
            and (anyone or each.priority < job.priority or (not each.calls and each.until <= now))
        ]
        found.sort(key=lambda each: (each.calls > 0, each.until > now, each.size))
        return found

    def _make_room(self, guest: Guest, job: Job, now: int) -> None:
        free = self.capacity - self.used
        more = self._more(guest, job)
        if more > free:
            for each in self._victims(guest, job, now):
                free += each.size
                self._leave(each)
                if free >= more:
                    break
        before = guest.size if guest.id in self._inside else 0
        self._inside[guest.id] = guest
        if job.id not in guest.active:
            guest.active[job.id] = self._needs(job)
        self.used += guest.size - before

    def _leave(self, guest: Guest) -> None:
        """A run gives up its place."""
        if self._inside.pop(guest.id, None) is not None:
            self.used -= guest.size
        guest.active.clear()
        guest.tokens = 0

    def _forget(self, guest: Guest) -> None:
        self._leave(guest)
        self._guests.pop(guest.id, None)

    def _stop(self, job: Job) -> None:
        if job.id in self._running:
            self._running.remove(job.id)
            self._guest(job).running -= 1
            for each in [each for each in self._held.values() if self.inside(self._guest(each).id)]:
                self._release(each, 0)

    def _guest(self, job: Job) -> Guest:
        number = job.pid or -job.id
        guest = self._guests.get(number)
        if guest is None:
            guest = self._guests[number] = Guest(number, job.program)
        return guest
