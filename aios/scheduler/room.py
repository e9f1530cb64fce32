"""Memory as a resource: whose contexts have a place in it, and whose calls wait outside until there is one."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice

from aios.scheduler.base import Job, Scheduler
from aios.scheduler.pauses import Pauses
from aios.scheduler.programs import SPARE

FADE = 1_000
"""Calls after which the mean length of answers forgets half."""
LOOK = 64
"""Calls outside among which the policy chooses who comes in next."""
READ_US = 1_000.0
"""What reading a token takes, where nobody knows better."""


@dataclass(slots=True, eq=False)
class Place:
    """A run of a program, and what its contexts take."""

    id: int
    name: str
    priority: int = 0
    """Of its last call."""
    calls: int = 0
    """In the lane: they wait, run or are held back."""
    running: int = 0
    begun: dict[int, int] = field(default_factory=dict)
    """Tokens of its calls that have a context: what they have, or if that is more, what they are likely to need."""
    rest: int = 0
    """Tokens that its last call left, while none has begun."""
    since: int = -1
    """When the last of its calls was done, while it has none."""
    until: int = 0
    """For how long what it left was to be kept."""
    over: bool = False

    @property
    def tokens(self) -> int:
        """Of all its contexts that are in memory."""
        return sum(self.begun.values()) if self.begun else self.rest


class Room:
    """Any policy, for as many programs at once as have their contexts in `capacity` tokens.

    A run comes in with a call that fits, and stays until it ends or is paused as a whole. Calls of those inside go in
    the policy's order. Of those outside, the first in that order comes in first, and none of its priority passes it
    for being smaller. A context is what the run's last call had read and written, or its first is to read, and what
    its calls usually write; only what a running call writes beyond that can exceed the capacity, and until it pauses.

    Between its calls a run keeps its place while that pays. To read c tokens again is c * read_us in which all of the
    memory does nothing; to keep them for t is c of it for t; so they are even at t = read_us * capacity, whatever c is
    (InferCept, Abhyankar et al., ICML 2024). For how long to bet on a return, `Pauses` learns (Continuum, Li et al.,
    2025). After that it goes when another needs the place, and not before.

    Where those inside need more, they pause others: first those between their calls, of these first whose time is
    over, then those whose calls wait; the smallest first, and none that has a call running. A run from outside pauses
    only those between their calls whose time is over, and any of less priority; and all that do not run, if its call
    is due by the policy's cap or no call inside can go. A call that is due and does not fit lets no other begin, so
    the cap holds but for the calls that run; a policy without one may let a run wait until enough of those inside have
    ended. What is larger than the capacity runs alone.

    O(log n) where there is room. Without, O(those inside), and O(LOOK * log n) when the first outside fits: the policy
    then chooses among LOOK, which are joined by others in the order in which they were held back.
    """

    def __init__(self, inner: Scheduler, capacity: int, read_us: float = READ_US) -> None:
        if capacity < 1:
            raise ValueError(f"a memory of {capacity} tokens has room for no context; give 1 or more")
        self.inner = inner
        self.capacity = capacity
        self.counts = bool(getattr(inner, "counts", False))
        self.pauses = Pauses(read_us * capacity)
        self.used = 0
        """Tokens of all contexts inside."""
        self._places: dict[int, Place] = {}
        self._inside: dict[int, Place] = {}
        self._running: set[int] = set()
        self._written: dict[int, int] = {}
        self._outside: dict[int, Job] = {}
        """Calls held back until their run comes in, LOOK of them, in the policy's order when it was last asked."""
        self._behind: dict[int, Job] = {}
        """The others, which come to be among these as they came."""
        self._short: dict[int, Job] = {}
        """Calls of runs inside held back until another stops."""
        self._held = (self._short, self._outside, self._behind)
        self._first: Job | None = None
        """The first outside, for whose run there was no place; it is not passed."""
        self._found: tuple[int, Job | None] | None = None
        """What was found, and when, until anything changes: `ready`, `peek` and `next` are to say the same."""
        self._dues: list[tuple[int, int]] = []
        self._lengths: dict[str, tuple[int, int]] = {}
        """Of each program: tokens that its calls have written, and how many calls ended."""

    @property
    def slice(self) -> int | None:
        return self.inner.slice

    def __len__(self) -> int:
        return len(self.inner) + sum(map(len, self._held))

    def inside(self, pid: int) -> bool:
        """Whether a run's context has its place."""
        return pid in self._inside

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
        place = self._place(job)
        self._enter(place, job, now)
        place.running += 1
        self._running.add(job.id)
        return self.inner.next(now)

    def quantum(self, job: Job) -> int | None:
        return self.inner.quantum(job)

    def passed(self, job: Job, tokens: int, now: int = 0) -> bool:
        return bool(self._short) or self.inner.passed(job, tokens, now)

    def due(self, job: Job) -> int | None:
        return self.inner.due(job)

    def add(self, job: Job, now: int = 0) -> None:
        self._found = None
        place = self._place(job)
        if place.since >= 0:
            self.pauses.add(place.name, now - place.since)
            place.since = -1
        place.priority = job.priority
        place.calls += 1
        self._written[job.id] = 0
        self.inner.add(job, now)

    def served(self, job: Job, prefill: int, decode: int, now: int = 0) -> None:
        self._found = None
        self.inner.served(job, prefill, decode, now)
        tokens, calls = self._lengths.get(job.program, (0, 0))
        self._lengths[job.program] = tokens + decode, calls
        self._written[job.id] += decode
        begun = self._place(job).begun
        if job.id in begun:
            more = job.context + self._written[job.id] - begun[job.id]
            if more > 0:
                begun[job.id] += more
                self.used += more
                self._shrink(now)

    def requeue(self, job: Job, now: int = 0) -> None:
        self._found = None
        self._stop(job, now)
        self.inner.requeue(job, now)

    def remove(self, job: Job) -> bool:
        self._found = None
        for held in self._held:
            held.pop(job.id, None)
        return self.inner.remove(job)

    def hold(self, job: Job) -> None:
        self._found = None
        self.inner.hold(job)

    def release(self, job: Job, now: int = 0) -> None:
        self._found = None
        self.inner.release(job, now)

    def done(self, job: Job, now: int = 0) -> None:
        self._found = None
        self._stop(job, now)
        tokens, calls = self._lengths.get(job.program, (0, 0))
        # Old ones fade, as an agent's habits may change.
        self._lengths[job.program] = (tokens, calls + 1) if calls < FADE else (tokens // 2, calls // 2)
        written = self._written.pop(job.id)
        place = self._place(job)
        before = place.tokens
        if place.begun.pop(job.id, None) is not None:
            place.rest = job.context + written
            self.used += place.tokens - before
        place.calls -= 1
        if not place.calls:
            place.since, place.until = now, now + self.pauses.keep_us(place.name)
            if place.over or not job.pid:
                self._forget(place)
        self.inner.done(job, now)

    def began(self, pid: int, program: str, tenant: str, now: int = 0) -> None:
        self.inner.began(pid, program, tenant, now)

    def ended(self, pid: int, now: int = 0) -> None:
        self._found = None
        place = self._places.get(pid)
        if place is not None:
            place.over = True
            if not place.calls:
                self._forget(place)
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
            due = self.inner.due(job)
            if due is not None and due <= now:
                return None if self._running else job
            if self.inside(self._place(job).id):
                self._short[job.id] = job
            elif len(self._outside) < LOOK:
                self._outside[job.id] = job
                self._first = self._first or job
            else:
                self._behind[job.id] = job
            self.inner.hold(job)
            if due is not None:
                self._note(due, job)
        if self._running:
            return None
        for held in self._held:
            if held:  # whoever is first, lest the core be idle
                return self._release(held, next(iter(held)), now)
        return None

    def _look_again(self, now: int) -> None:
        """Give back to the policy what is due, and LOOK from outside when the first of them fits, or is gone."""
        first = self._first
        if first is not None and (first.id not in self._outside or self._fits(first, now)):
            self._first = None
            free = LOOK - len(self._outside)
            for job_id in list(self._outside):
                self._release(self._outside, job_id, now)
            self._join(free, now)
        while self._dues and self._dues[0][0] <= now:
            job_id = heapq.heappop(self._dues)[1]
            for held in self._held:
                if job_id in held:
                    self._release(held, job_id, now)

    def _join(self, count: int, now: int) -> bool:
        """Give back to the policy so many of those that it did not choose among, if those came in."""
        joining = [] if self._first is not None else list(islice(self._behind, count))
        for job_id in joining:
            self._release(self._behind, job_id, now)
        return bool(joining)

    def _note(self, due: int, job: Job) -> None:
        if len(self._dues) > 2 * sum(map(len, self._held)) + SPARE:
            # Whoever is held back again is noted again.
            self._dues = sorted({each for each in self._dues if any(each[1] in held for held in self._held)})
        heapq.heappush(self._dues, (due, job.id))

    def _release(self, held: dict[int, Job], job_id: int, now: int) -> Job:
        job = held.pop(job_id)
        self.inner.release(job, now)
        return job

    def _due(self, job: Job, now: int) -> bool:
        due = self.inner.due(job)
        return due is not None and due <= now

    def _fits(self, job: Job, now: int) -> bool:
        place, first = self._place(job), self._first
        passes = first is None or first is job or job.priority > first.priority
        if not (passes or place.id in self._inside or self._due(job, now)):
            return False
        lacking = self.used + self._more(place, job) - self.capacity
        return lacking <= 0 or lacking <= sum(each.tokens for each in self._pausable(place, job, now))

    def _more(self, place: Place, job: Job) -> int:
        """Tokens that a call takes beyond what its run has inside."""
        if job.id in place.begun:
            return 0
        return self._needs(job) - (0 if place.begun else place.rest)

    def _needs(self, job: Job) -> int:
        tokens, calls = self._lengths.get(job.program, (0, 0))
        return job.context + max(tokens // calls if calls else 0, self._written[job.id])

    def _idle(self, now: int) -> list[Place]:
        """Those inside that have no call running, in the order in which they are paused."""
        found = [each for each in self._inside.values() if not each.running]
        return sorted(found, key=lambda each: (each.calls > 0, each.until > now, each.tokens))

    def _pausable(self, place: Place, job: Job, now: int) -> list[Place]:
        """Those of them that may be paused for a call."""
        anyone = place.id in self._inside or self._due(job, now)
        return [
            each
            for each in self._idle(now)
            if each is not place and (anyone or each.priority < job.priority or (not each.calls and each.until <= now))
        ]

    def _enter(self, place: Place, job: Job, now: int) -> None:
        """Make room for a call whose turn it is, and give it that."""
        most = self.capacity - self._more(place, job)
        if self.used > most:
            self._pause(most, self._pausable(place, job, now))
            self._pause(most, [each for each in self._idle(now) if each is not place])
        before = place.tokens
        if job.id not in place.begun:
            place.begun[job.id] = self._needs(job)
        self._inside[place.id] = place
        self.used += place.tokens - before

    def _shrink(self, now: int) -> None:
        if self.used > self.capacity:
            self._pause(self.capacity, self._idle(now))

    def _pause(self, most: int, pausable: Sequence[Place]) -> None:
        """Let the first of these go until no more than `most` tokens are used."""
        for each in pausable:
            if self.used <= most:
                return
            self._leave(each)

    def _leave(self, place: Place) -> None:
        if self._inside.pop(place.id, None) is not None:
            self.used -= place.tokens
        place.begun.clear()
        place.rest = 0

    def _forget(self, place: Place) -> None:
        self._leave(place)
        del self._places[place.id]

    def _stop(self, job: Job, now: int) -> None:
        """A call gives its slot back, if it had one; others' runs may be paused for those inside again."""
        if job.id in self._running:
            self._running.remove(job.id)
            self._place(job).running -= 1
            self._shrink(now)
            for job_id in list(self._short):
                self._release(self._short, job_id, now)

    def _place(self, job: Job) -> Place:
        number = job.pid or -job.id
        place = self._places.get(number)
        if place is None:
            place = self._places[number] = Place(number, job.program)
        return place
